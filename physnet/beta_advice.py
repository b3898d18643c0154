"""suggest_beta(): how hard to nudge, from what bias and rounding make of the gradient at a few betas."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.comparison import cast
from physnet.cost import Cost
from physnet.errors import ConvergenceError, PhysnetError, require_instance
from physnet.estimators.forward import displacement_rates
from physnet.estimators.propagation import EquilibriumPropagation
from physnet.gradients import check_rule, prepare
from physnet.nudging import Centred, Nudging
from physnet.nudging_scale import beta_units, nudging_scales
from physnet.problem import Problem, flatten
from physnet.relaxers.base import Relaxer
from physnet.rules import LearningRule
from physnet.system import System, is_boxed

_DTYPES = {"single": np.float32, "double": np.float64, None: None}
_LARGEST_BIAS = 0.02  # of the first beta that the bias is measured at
_WIDEST = 0.5  # relative beta: further out, higher orders and the edge of analyticity matter
_FAITHFUL = 2.5  # by which the measured ratio of differences may depart from that of the order
_TRIES = 8
_NOISE = 0.05  # share of the gradient that rounding may reach where it is measured
_MARGIN = 0.9  # of the largest safe beta


@dataclass(frozen=True)
class BetaAdvice:
    """The beta of smallest predicted error, error(beta) = bias beta^order + floor / beta, beta relative.

    beta: in units of each sample's nudging scale. absolute: at the smallest scale of the samples, in `units`. error:
    predicted, relative: |g - dC/dtheta| / |dC/dtheta| over all trainable parameters at that beta. bias, floor: the
    coefficients, dimensionless since beta is relative; order: of the nudging. measured: whether the bias was seen to
    grow as beta^order; where not (it drowned in rounding, or higher orders or bounds came in first), it is an upper
    bound. scale: the smallest nudging scale of the samples, in `units`. most_negative: size of the largest negative
    relative beta that is safe for all samples: 1, where the outputs may unbind, or less where a coordinate meets a
    bound before. switches: (negative, positive) sizes of the relative beta up to which, by linear response, no
    coordinate reaches or leaves a bound;
    inf without a box. limited: whether one of these, not the error, set the beta. residual: the largest relative
    residual of the states measured. samples, precision, nudging, rule: what it holds for.
    """

    beta: float
    absolute: float
    units: str
    error: float
    bias: float
    floor: float
    order: int
    measured: bool
    most_negative: float
    scale: float
    switches: tuple[float, float]
    limited: bool
    residual: float
    samples: int
    precision: str
    nudging: Nudging
    rule: LearningRule

    def predicted(self, beta):
        """The predicted relative error at relative betas.

        beta: in units of the nudging scale, a number or (beta,); the result has its shape.
        """
        beta = np.asarray(beta, float)
        return self.bias * beta**self.order + self.floor / beta

    @property
    def nudge(self) -> Nudging:
        """The nudging with the suggested beta, relative: for `ep_gradient` and `fit`."""
        return replace(self.nudging, beta=self.beta, relative=True)

    def __str__(self):
        name, away = type(self.nudging).__name__, self.most_negative
        lines = [
            f"{name}(beta={self.beta:.2g}, relative=True): predicted relative error {self.error:.1e}",
            f"  absolute {self.absolute:.3g} {self.units} at the smallest nudging scale of {self.samples} samples; "
            f"{self.precision} precision, {type(self.rule).__name__}, residual {self.residual:.1e}",
            f"  error(beta) = {self.bias:.2g} beta^{self.order} + {self.floor:.2g} / beta"
            + ("" if self.measured else " (the bias is a bound: it was not seen to grow as beta^order)"),
            f"  largest safe negative beta: -{away:.3g} (-{away * self.scale:.3g} {self.units})",
        ]
        if np.isfinite(self.switches).any():
            below, above = self.switches
            lines.append(f"  a coordinate reaches or leaves a bound at beta = -{below:.3g} or {above:.3g}")
        if self.limited:
            lines.append("  limited by what is safe, not by the error")
        return "\n".join(lines)


def suggest_beta(
    system: System,
    inputs,
    targets,
    *,
    cost: Cost,
    nudging: Nudging | type[Nudging] | None = None,
    relaxer: Relaxer | None = None,
    rule: LearningRule | None = None,
    precision: str | None = None,
) -> BetaAdvice:
    """The nudging strength at which a gradient by Equilibrium Propagation is predicted to be best.

    A stencil of order p is off by A beta^p, and what rounding and the relaxer's tolerance leave in a state by B / beta:
    the least error is at beta = (B / p A)^(1 / (p + 1)). A is measured from the differences of the gradients at three
    large betas, and B from gradients at small ones against their extrapolation. No reference gradient is needed.

    nudging: a stencil, or its class; its beta is not looked at. Centred by default. precision: "single" or "double";
    by default what the system holds. Other arguments as for `ep_gradient`. Raises what `ep_gradient` raises.
    """
    nudging = Centred if nudging is None else nudging
    nudging = nudging(beta=0.1, relative=True) if isinstance(nudging, type) else nudging
    require_instance(nudging, Nudging, "nudging")
    if precision not in _DTYPES:
        raise PhysnetError(f"suggest_beta: precision is {precision!r}; give 'single', 'double' or None.")
    if precision is not None:
        system = cast(system, _DTYPES[precision])
    rule = check_rule(system, rule, "suggest_beta")
    estimator = EquilibriumPropagation(replace(nudging, beta=0.1, relative=True), rule, relaxer)
    reason = estimator.refuses(system, cost)
    if reason is not None:
        raise PhysnetError(f"suggest_beta: {type(nudging).__name__} refuses {type(system).__name__}: {reason}")
    inputs, targets, relaxer, free = prepare(system, inputs, targets, cost, relaxer, True, "suggest_beta")
    scales = np.asarray(nudging_scales(system, cost, free.state, inputs), float)
    switches = _switches(system, inputs, targets, cost, rule, free, scales)
    bench = _Bench(estimator, (system, inputs, targets, cost, free, relaxer))

    safe = _safe(nudging, switches)
    bias, gradient, measured = _bias(bench, nudging.order, min(safe, _WIDEST))
    floor = _floor(bench, gradient, bias, nudging.order)
    best = (floor / (nudging.order * bias)) ** (1 / (nudging.order + 1)) if bias > 0 else safe
    beta = float(min(best, safe))
    return BetaAdvice(
        beta=beta,
        absolute=beta * float(scales.min()),
        units=beta_units(system, cost),
        error=float(max(bias * beta**nudging.order + floor / beta, np.finfo(inputs.dtype).eps)),
        bias=float(bias),
        floor=float(floor),
        order=nudging.order,
        measured=measured,
        most_negative=min(1.0, switches[0]),
        scale=float(scales.min()),
        switches=switches,
        limited=bool(best > safe),
        residual=bench.residual,
        samples=inputs.shape[0],
        precision="single" if inputs.dtype == np.float32 else "double",
        nudging=nudging,
        rule=rule,
    )


class _Bench:
    """Gradients at one relative beta after another, by one compiled program."""

    def __init__(self, estimator, arguments):
        self.estimator, self.arguments, self.residual = estimator, arguments, 0.0

    def gradient(self, beta: float) -> np.ndarray | None:
        """All trainable entries as one vector; None where a state did not settle."""
        try:
            result = self.estimator.with_beta(beta).estimate(*self.arguments, jax.random.key(0))
        except ConvergenceError:
            return None
        if not bool(jnp.all(result.converged)):
            return None
        self.residual = max(self.residual, float(jnp.max(result.free.residual)), float(jnp.max(result.nudged.residual)))
        return np.concatenate([np.ravel(np.asarray(leaf, float)) for leaf in jax.tree.leaves(result.gradient)])


def _bias(bench: _Bench, order: int, widest: float) -> tuple[float, np.ndarray, bool]:
    """(A, the gradient extrapolated to no nudge, whether A was seen to be that of beta^order).

    Three betas in the ratio q: their differences are in the ratio q^order. Two steps of Richardson's extrapolation
    take away the terms in beta^order and beta^(2 order), which are the first two of every stencil.
    """
    q = 2.0 if order == 1 else 4 ** (1 / order)
    beta = min(widest, _LARGEST_BIAS ** (1 / order))
    bound, fallback = np.inf, None
    for _ in range(_TRIES):
        ladder = [bench.gradient(beta / q**k) for k in range(3)]
        if all(g is not None for g in ladder):
            first, second = (np.linalg.norm(a - b) for a, b in zip(ladder, ladder[1:]))
            once = [(q**order * b - a) / (q**order - 1) for a, b in zip(ladder, ladder[1:])]
            gradient = (q ** (2 * order) * once[1] - once[0]) / (q ** (2 * order) - 1)
            size = np.linalg.norm(gradient)
            bias = first / (beta**order * (1 - q**-order)) / size if size > 0 else 0.0
            if first == 0 or 1 / _FAITHFUL < first / max(second, np.finfo(float).tiny) / q**order < _FAITHFUL:
                return bias, gradient, bool(first > 0)
            if bias < bound:
                bound, fallback = bias, gradient
        beta /= q * q
    if fallback is None:
        raise PhysnetError(
            f"suggest_beta: no nudged phase settled at relative betas down to {beta:.2g}. Try another relaxer=..., or "
            "look at ep_gradient(..., throw=False)."
        )
    return bound, fallback, False


def _floor(bench: _Bench, gradient: np.ndarray, bias: float, order: int) -> float:
    """B: beta times the relative error where rounding and tolerances rule, root mean square of three small betas."""
    dtype = bench.arguments[1].dtype
    eps, size = float(np.finfo(dtype).eps), np.linalg.norm(gradient)
    if size == 0:
        return eps

    def error(beta):
        found = bench.gradient(beta)
        return np.inf if found is None else np.linalg.norm(found - gradient) / size

    beta = 10 * eps
    while beta < 0.1 and error(beta) > _NOISE:
        beta *= 10
    betas = beta * np.array([1.0, 2.0, 5.0])
    found = np.array([error(b) - bias * b**order for b in betas])
    found = np.where(np.isfinite(found), np.maximum(found, 0), 0)
    return max(float(np.sqrt(np.mean((found * betas) ** 2))), eps * eps)


def _safe(nudging: Nudging, switches: tuple[float, float]) -> float:
    """The largest relative beta of a stencil that unbinds no outputs and moves no coordinate to or off a bound."""
    away, towards = nudging.most_negative, max(0.0, *(np.real(factor) for factor in nudging.factors))
    limits = [_MARGIN * min(1.0, switches[0]) / away] if away else []
    limits += [_MARGIN * min(switches[1] / towards, 1 / _MARGIN)] if towards else []
    return float(min(limits))


def _switches(system, inputs, targets, cost, rule, free, scales) -> tuple[float, float]:
    """(negative, positive) sizes of the relative beta at which the first coordinate of any sample meets a bound."""
    if not is_boxed(system):
        return np.inf, np.inf
    below, above = _first_switch(system, inputs, targets, cost, rule, free)
    below, above = (float(np.min(np.asarray(beta, float) / scales)) for beta in (below, above))
    # A negative nudge softens the outputs: what they answer grows by up to 1 / (1 - beta).
    return (below / (1 + below) if np.isfinite(below) else below), above


@eqx.filter_jit
def _first_switch(system, inputs, targets, cost, rule, free):
    """(sample,) sizes of the negative and the positive beta at which, by linear response, a coordinate switches."""
    rates = displacement_rates(system, inputs, targets, cost, rule, free)
    nudges = rule.nudge(system, inputs, targets, cost, jnp.zeros(inputs.shape[:1], inputs.dtype), free.state)

    def one(state, rate, inputs, nudge):
        def pushed(state, beta):
            return flatten(Problem(system, inputs, eqx.tree_at(lambda n: n.beta, nudge, beta)).residual(state))

        force, change = jax.jvp(pushed, (state, nudge.beta), (rate, jnp.ones_like(nudge.beta)))
        moving = Problem(system, inputs).free_coordinates(state)
        lowest, highest = map(flatten, system.bounds(inputs))
        position, rate = flatten(state), flatten(rate)

        def first(sign):
            step, turn = sign * rate, sign * change
            reach = jnp.where(step > 0, highest - position, position - lowest) / jnp.abs(step)
            leave = jnp.where(force * turn < 0, jnp.abs(force) / jnp.abs(turn), jnp.inf)
            return jnp.min(jnp.where(moving, jnp.where(step == 0, jnp.inf, reach), leave), initial=jnp.inf)

        return first(-1.0), first(1.0)

    return jax.vmap(one)(free.state, rates, inputs, nudges)
