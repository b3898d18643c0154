"""Energy landscapes: where a system can settle, how stable each place is, and what it takes to leave it.

`find_equilibria` searches from many starts, `explore` adds the saddles between minima and what they connect. Names
load when first used; what draws a dataset never imports JAX.
"""

import importlib

_EXPORTS = {
    "basins": ("Basins", "basin_volumes"),
    "chart": ("Chart",),
    "dimer": ("Dimer",),
    "equilibria": ("Equilibria",),
    "following": ("EigenvectorFollowing",),
    "modes": ("Spectrum", "lowest_modes"),
    "search": ("find_equilibria",),
    "slices": ("slice_line", "slice_plane"),
    "symmetry": ("Symmetry",),
    "branches.bifurcation": ("Diagram", "bifurcation_diagram"),
    "branches.branch": ("Branch",),
    "branches.continuation": ("follow_equilibrium",),
    "branches.families": ("Family", "vary_beta", "vary_input", "vary_parameter"),
    "branches.nudged": ("NudgedLandscape", "nudged_landscape"),
    "branches.special": ("SpecialPoint",),
    "drawing.diagrams": ("draw_bifurcation",),
    "drawing.marks": ("draw_basins", "draw_spectrum"),
    "drawing.pages": ("figures",),
    "drawing.slices": ("draw_line", "draw_path", "draw_plane"),
    "drawing.tree": ("draw_disconnectivity",),
    "noise.anharmonic": ("kramers_correction",),
    "noise.escape": ("EscapeTimes", "escape_times"),
    "noise.kramers": ("KramersRate", "kramers_rate"),
    "passes.connections": ("Landscape", "connect"),
    "passes.exploration": ("explore",),
    "passes.paths": ("Path", "minimum_energy_path"),
    "passes.tree": ("Disconnectivity", "disconnectivity"),
}
_HOME = {name: f"physnet.landscape.{module}" for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'physnet.landscape' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
