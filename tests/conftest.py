"""Strict by default: 64-bit numbers, no silent rank promotion, annotated shapes checked; warnings are errors."""

import gc
import os
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
gc.set_threshold(200_000, 20, 100)  # tracing makes millions of objects that live on: a twelfth of the suite's time
MEASURING = "--benchmark-only" in sys.argv  # benchmarks run as users' programs do
if jax.__version_info__ < (0, 11) and not MEASURING:  # XLA stops at flags it does not know
    # A third less time to compile, and no step that is slower for it.
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_use_fusion_emitters=false"
jax.config.update("jax_numpy_rank_promotion", "raise")
# The numerical inside; what users call checks its input itself, with messages that tests look for.
install_import_hook(
    ["physnet.problem", "physnet.linearise", "physnet.relaxers", "circuits.nodes", "circuits.block_descent"],
    "beartype.beartype",
)


# Compiling takes most of the suite's time, and code that runs for milliseconds need not be optimised for a third of a
# second. Modules that integrate many steps in time, or train, keep the optimiser.
OPTIMISED = {
    "test_auto_oscillator",
    "test_binding",
    "test_digits",
    "test_engines",
    "test_landscape_escape",
    "test_spectrum",
    "test_synchronisation",
    "test_synchronisation_map",
    "test_vowels",
}


# Files that take long, the longest first: so no worker is left alone with one at the end.
LONG = (
    *("test_docs", "test_nudgings", "test_circuit", "test_synchronisation", "test_operating_point", "test_binding"),
    *("test_landscape_search", "test_sparse_circuits", "test_phase", "test_resistive_convolution", "test_layered"),
    *("test_auto_oscillator", "test_landscape_explore", "test_engines", "test_vowels", "test_beta_advice"),
    *("test_digits", "test_sweep_survival", "test_trajectory", "test_synchronisation_map", "test_coupled_learning"),
    *("test_locked", "test_spice_ngspice", "test_landscape_paths", "test_thermal_noise", "test_flow_network"),
    *("test_tunnel_diode", "test_convolutional", "test_landscape_escape", "test_circuit_transient"),
    *("test_rules_study", "test_nonidealities", "test_conv_studies"),
)


def pytest_collection_modifyitems(items):
    """The long files first, the others as they were."""
    rank = {name: k for k, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.module.__name__, len(LONG)) if hasattr(item, "module") else len(LONG))


@pytest.fixture(autouse=True, scope="module")
def optimisation(request):
    """Sets how hard XLA optimises what this module compiles."""
    jax.config.update("jax_disable_most_optimizations", not MEASURING and request.module.__name__ not in OPTIMISED)
    yield
    # Every compiled program holds two dozen of the 65,530 memory maps that Linux grants a process; XLA crashes beyond.
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
        gc.collect()
