"""Sweeps: a study or a function at many settings, part by part, on one core or a cluster, and on from any stop."""

import importlib

_EXPORTS = {
    "physnet.sweeps.design": ("Axis", "Design", "grid", "random", "sobol", "zipped"),
    "physnet.sweeps.combined": ("open",),
    "physnet.sweeps.parts": ("is_sweep",),
    "physnet.sweeps.running": ("sweep",),
    "physnet.sweeps.task": ("FunctionTask", "StudyTask", "Task"),
    "physnet.sweeps.vmapped": ("Vmapped",),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'physnet.sweeps' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
