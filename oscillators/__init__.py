"""Oscillators: hertz, radians, amperes. Spin-torque auto-oscillators and the phases they reduce to."""

import importlib

_EXPORTS = {
    "oscillators.auto_oscillator": ("AutoOscillators",),
    "oscillators.coupling": ("AllToAll", "Coupling", "Dense"),
    "oscillators.drift": ("Drift", "drifting"),
    "oscillators.kuramoto": ("Kuramoto", "Phasors"),
    "oscillators.line_fit": ("LorentzianFit", "linewidth_from_phase", "lorentzian_fit"),
    "oscillators.locking": ("Locking",),
    "oscillators.locked": ("LockedOscillators",),
    "oscillators.locking_probability": ("LockingProbability", "probability_of_locking", "wilson_interval"),
    "oscillators.low_rank": ("LowRank",),
    "oscillators.maps": ("synchronisation_map",),
    "oscillators.multistart": ("Multistart",),
    "oscillators.phase": ("PhaseNetwork",),
    "oscillators.device_presets": ("Preset", "preset", "presets"),
    "oscillators.records": ("mean_frequencies", "order_parameter", "phase_slips", "unwrapped_phases"),
    "oscillators.reduction": ("Reduction", "reduce_to_phases"),
    "oscillators.sparse": ("Sparse", "chain", "ring"),
    "oscillators.spectrum": ("Spectrum", "emission_spectrum"),
    "oscillators.synchronisation": (
        "Synchronisation",
        "clusters",
        "emission",
        "locked_pairs",
        "spectral_peaks",
        "synchrony",
    ),
    "oscillators.xy": ("XYNetwork",),
    "oscillators.xy_relaxation": ("PhaseDescent",),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'oscillators' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
