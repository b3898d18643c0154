"""Energy landscapes: where a system can settle, how stable each place is, and what it takes to leave it.

`find_equilibria` searches from many starts, `explore` adds the saddles between minima and what they connect. Names
load when first used; what draws a dataset never imports JAX.
"""

import importlib

_EXPORTS = {
    "anharmonic": ("kramers_correction",),
    "basins": ("Basins", "basin_volumes"),
    "bifurcation": ("Diagram", "bifurcation_diagram"),
    "branch": ("Branch",),
    "chart": ("Chart",),
    "connections": ("Landscape", "connect"),
    "continuation": ("follow_equilibrium",),
    "dimer": ("Dimer",),
    "drawing": ("draw_basins", "draw_spectrum"),
    "drawing_diagram": ("draw_bifurcation",),
    "drawing_slices": ("draw_line", "draw_path", "draw_plane"),
    "drawing_tree": ("draw_disconnectivity",),
    "equilibria": ("Equilibria",),
    "escape": ("EscapeTimes", "escape_times"),
    "exploration": ("explore",),
    "families": ("Family", "vary_beta", "vary_input", "vary_parameter"),
    "following": ("EigenvectorFollowing",),
    "kramers": ("KramersRate", "kramers_rate"),
    "modes": ("Spectrum", "lowest_modes"),
    "nudged": ("NudgedLandscape", "nudged_landscape"),
    "paths": ("Path", "minimum_energy_path"),
    "search": ("find_equilibria",),
    "slices": ("slice_line", "slice_plane"),
    "special": ("SpecialPoint",),
    "symmetry": ("Symmetry",),
    "tree": ("Disconnectivity", "disconnectivity"),
}
_HOME = {name: f"physnet.landscape.{module}" for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'physnet.landscape' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
