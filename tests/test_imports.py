"""Imports point one way, and reading results never starts the simulator."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "physnet": {"circuits", "oscillators", "studies"},
    "circuits": {"oscillators", "studies"},
    "oscillators": {"circuits", "studies"},
}
WITHOUT_JAX = (
    *("results", "provenance", "inspection", "discovery", "variable", "errors", "cli", "__init__", "__main__"),
    *("configs", "figures", "files", "schema", "reading", "sealing", "nodes", "slabs", "tables", "measuring"),
    "markup",
    *(
        "differences",
        "number_differences",
        "repeat",
        "report",
        "report_figures",
        "report_page",
        "report_style",
        "markup",
    ),
    *(f"commands.{path.stem}" for path in (ROOT / "physnet" / "commands").glob("*.py")),
    *(f"sweeps.{path.stem}" for path in (ROOT / "physnet" / "sweeps").glob("*.py") if path.stem != "vmapped"),
    *(f"landscape.drawing.{name}" for name in ("__init__", "pages", "marks", "diagrams", "slices", "tree")),
    *("landscape.__init__", "landscape.passes.__init__", "landscape.passes.tree"),
)
SIMULATOR = {"jax", "jaxlib", "jaxtyping", "equinox", "diffrax", "optimistix", "lineax", "optax"}


def imported(path: Path) -> set[str]:
    """Every module that a file imports anywhere, functions included, with relative imports made absolute."""
    package = path.relative_to(ROOT).parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            names |= {".".join(base), *(".".join([*base, alias.name]) for alias in node.names)}
    return names


@pytest.mark.parametrize("package", [name for name in FORBIDDEN if (ROOT / name).is_dir()])
def test_imports_point_one_way(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        wrong = {name for name in imported(path) if name.split(".")[0] in FORBIDDEN[package]}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize("module", WITHOUT_JAX)
def test_readers_do_not_import_the_simulator(module):
    names = imported(ROOT.joinpath("physnet", *module.split(".")).with_suffix(".py"))
    assert not {name for name in names if name.split(".")[0] in SIMULATOR}
    own = {name.removeprefix("physnet.") for name in names if name.startswith("physnet.") and _is_module(name)}
    own = {f"{name}.__init__" if (ROOT / "physnet" / name).is_dir() else name for name in own}
    assert own <= set(WITHOUT_JAX), f"physnet.{module} imports {sorted(own - set(WITHOUT_JAX))}, which may import JAX"


def _is_module(name: str) -> bool:
    return (ROOT.joinpath(*name.split(".")).with_suffix(".py")).exists() or ROOT.joinpath(*name.split(".")).is_dir()


def test_readers_do_not_load_jax():
    program = (
        "import sys, physnet, physnet.results, physnet.inspection, physnet.discovery, physnet.cli\n"
        "import xarray, netCDF4\n"
        "physnet.discovery.studies()\n"
        f"print(sorted(set(sys.modules) & {SIMULATOR!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_starts_without_the_heavy_libraries():
    heavy = SIMULATOR | {"xarray", "matplotlib", "netCDF4", "tyro", "scipy"}
    program = f"import sys, physnet.cli\nphysnet.cli.main(['list'])\nprint(sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("package", ["physnet", "circuits", "oscillators", "studies"])
def test_the_packages_are_ours(package):
    """PyPI holds other distributions of these names."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and [Path(place).resolve() for place in spec.submodule_search_locations] == [ROOT / package]
