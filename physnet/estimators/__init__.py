"""Estimators: ways to the gradient of a settled system's cost, on equal terms.

Equilibrium Propagation and what it is held against: implicit differentiation, recurrent backpropagation, truncated
backpropagation through time, forward mode and finite differences. Every one is called alike and returns an
`EPGradient`; `physnet.comparison.compare_gradients` measures them against each other.
"""

import importlib

_EXPORTS = {
    "physnet.estimators.base": ("Estimator",),
    "physnet.estimators.propagation": ("EquilibriumPropagation",),
    "physnet.estimators.adjoint": ("ImplicitDifferentiation", "RecurrentBackpropagation"),
    "physnet.estimators.unrolled": ("TruncatedBPTT",),
    "physnet.estimators.forward": ("ForwardMode",),
    "physnet.estimators.finite_differences": ("FiniteDifferences",),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'physnet.estimators' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
