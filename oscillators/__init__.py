"""Oscillators: hertz, radians, amperes. Spin-torque auto-oscillators and the phases they reduce to."""

import importlib

_EXPORTS = {
    "oscillators.auto_oscillator": ("AutoOscillators",),
    "oscillators.coupling": ("AllToAll", "Coupling", "Dense"),
    "oscillators.drift": ("Drift", "drifting"),
    "oscillators.kuramoto": ("Kuramoto", "Phasors"),
    "oscillators.line_fit": ("LorentzianFit", "linewidth_from_phase", "lorentzian_fit"),
    "oscillators.locking": ("Locking",),
    "oscillators.low_rank": ("LowRank",),
    "oscillators.phase": ("PhaseNetwork",),
    "oscillators.presets": ("Preset", "preset", "presets"),
    "oscillators.sparse": ("Sparse", "chain", "ring"),
    "oscillators.spectrum": ("Spectrum", "emission_spectrum"),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'oscillators' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
