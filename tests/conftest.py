"""Strict by default: 64-bit numbers, no silent rank promotion, annotated shapes checked; warnings are errors."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
# The numerical inside; what users call checks its input itself, with messages that tests look for.
install_import_hook(
    ["physnet.problem", "physnet.linearise", "physnet.relaxers", "circuits.nodes", "circuits.block_descent"],
    "beartype.beartype",
)
