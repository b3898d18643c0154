"""Physics that computes and learns by settling.

A `System` says what settles, a `Relaxer` how, a `Nudging` how the outputs are pulled; `relax` and `ep_gradient` take
any of them. Names load when first used, so inspecting a dataset never imports JAX.
"""

import importlib
from importlib.metadata import version

_EXPORTS = {
    "physnet.errors": ("ConvergenceError", "PhysnetError", "SchemaError"),
    "physnet.variable": ("Variable",),
    "physnet.system": ("EnergySystem", "Parameter", "System"),
    "physnet.cost": ("Cost", "CrossEntropy", "SquaredError"),
    "physnet.nudge": ("Nudge",),
    "physnet.nudging": ("Centred", "Nudging", "OneSided", "RandomSign"),
    "physnet.holomorphic": ("Holomorphic",),
    "physnet.clamped": ("Clamped",),
    "physnet.rules": ("CorrectedRule", "EnergyRule", "LearningRule", "VectorFieldRule"),
    "physnet.relaxers.base": ("Relaxer",),
    "physnet.relaxers.flow": ("Flow",),
    "physnet.relaxers.newton": ("Newton",),
    "physnet.relaxers.projected_newton": ("ProjectedNewton",),
    "physnet.relaxers.fixed_point": ("FixedPoint",),
    "physnet.discrete": ("DiscreteSystem", "PrimitiveSystem"),
    "physnet.equilibrium": ("Equilibrium", "relax"),
    "physnet.gradients": ("EPGradient", "ep_gradient"),
    "physnet.continual": ("ContinualUpdate", "continual_update"),
    "physnet.implicit": ("implicit_gradient",),
    "physnet.checking": ("GradientReport", "check_gradient"),
    "physnet.estimators.base": ("Estimator",),
    "physnet.estimators.propagation": ("EquilibriumPropagation",),
    "physnet.estimators.adjoint": ("ImplicitDifferentiation", "RecurrentBackpropagation"),
    "physnet.estimators.unrolled": ("TruncatedBPTT",),
    "physnet.estimators.forward": ("ForwardMode",),
    "physnet.estimators.finite_differences": ("FiniteDifferences",),
    "physnet.comparison": ("compare_gradients",),
    "physnet.beta_advice": ("BetaAdvice", "suggest_beta"),
    "physnet.signals": ("Held", "PiecewiseLinear", "Signal"),
    "physnet.varied": ("Varied",),
    "physnet.engines.base": ("Engine",),
    "physnet.engines.adaptive": ("Adaptive",),
    "physnet.engines.fixed_step": ("FixedStep",),
    "physnet.trajectory": ("Trajectory", "integrate"),
    "physnet.trainer": ("Data", "correctly_classified"),
    "physnet.training": ("TrainingRun", "fit"),
    "physnet.datasets": ("to_dataset",),
    "physnet.sweeps.running": ("sweep",),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])
__version__ = version("physnet")


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'physnet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
