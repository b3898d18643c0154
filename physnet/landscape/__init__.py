"""Energy landscapes: where a system can settle, how stable each place is, and what it takes to leave it.

`find_equilibria` searches from many starts, `explore` adds the saddles between minima and what they connect. Names
load when first used; what draws a dataset never imports JAX.
"""

import importlib

_EXPORTS = {
    "chart": ("Chart",),
    "equilibria": ("Equilibria",),
    "following": ("EigenvectorFollowing",),
    "modes": ("Spectrum", "lowest_modes"),
    "search": ("find_equilibria",),
    "symmetry": ("Symmetry",),
}
_HOME = {name: f"physnet.landscape.{module}" for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'physnet.landscape' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
