"""check_gradient(): how good the gradients of Equilibrium Propagation are on a given system, measured."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet import precision
from physnet.cost import Cost, check_targets
from physnet.equilibrium import check_relaxer
from physnet.gradients import check_rule, check_stencil, phase_gradient
from physnet.implicit import implicit_gradient
from physnet.linearise import asymmetry, force_jacobian
from physnet.nudge import Nudge
from physnet.nudging import Centred, Nudging
from physnet.nudging_scale import beta_units, check_nudging, nudging_scales
from physnet.problem import Problem
from physnet.relaxers.base import Relaxer
from physnet.rules import CorrectedRule, EnergyRule, LearningRule, VectorFieldRule
from physnet.system import System, is_boxed
from physnet.variable import Variable

_FEWEST_POINTS = 4
_LARGEST_ERROR = 0.1  # of a point that still counts as asymptotic
_ABOVE_FLOOR = 10.0
_RECIPROCAL = 1e-10  # asymmetry of a Jacobian that counts as symmetric


@dataclass(frozen=True)
class GradientReport:
    """EP gradients against the implicit gradient g, for each trainable parameter array.

    system, nudging: what was measured. parameters: names. cosine: (parameter,), dimensionless, of the angle between g
    and the gradient of the nudging asked for, g_ep; relative_error: (parameter,), |g_ep - g| / |g|, dimensionless.
    beta: (beta,) in units of each sample's nudging scale. error: (parameter, beta), relative errors along that ladder.
    slope: (parameter,) dimensionless, of log error against log beta over the points that count; NaN is undetermined:
    fewer than four. points: (parameter,) how many counted. order: the slope that the nudging promises. switched:
    (beta,) number of coordinates, over samples and phases, that reached or left a bound between the free and a nudged
    phase (diode flips). residual: (beta,) relative, the worst of all phases; converged: (beta,) whether all did.
    asymmetry: |J - J^T| / |J + J^T|, dimensionless, of the force at the free states, in coordinates that suit the
    system, 0 for a reciprocal one; the worst of the samples. nudging_scale: the smallest of the samples, in
    `beta_units`. rule: what was compared; exact_rules: names of the rules whose gradient is exact on this system as
    beta goes to 0.
    """

    system: System
    nudging: Nudging
    parameters: tuple[str, ...]
    cosine: np.ndarray
    relative_error: np.ndarray
    beta: np.ndarray
    error: np.ndarray
    slope: np.ndarray
    points: np.ndarray
    order: int
    switched: np.ndarray
    residual: np.ndarray
    converged: np.ndarray
    asymmetry: float
    nudging_scale: float
    beta_units: str
    rule: LearningRule
    exact_rules: tuple[str, ...]

    def __str__(self):
        width = max(len("residual"), *map(len, self.parameters))
        lines = [
            f"EP gradient of {type(self.system).__name__} against the implicit gradient",
            f"rule {type(self.rule).__name__}; exact on this system: {', '.join(self.exact_rules)}",
            f"nudging {type(self.nudging).__name__}(beta={self.nudging.beta:g}, relative={self.nudging.relative}); "
            f"nudging scale {self.nudging_scale:.4g} {self.beta_units}; asymmetry of the Jacobian {self.asymmetry:.1e}",
            "",
            f"{'parameter':<{width}}  {'1 - cosine':>10}  {'rel. error':>10}  slope (expected {self.order})",
        ]
        for name, cosine, error, slope, points in zip(
            self.parameters, self.cosine, self.relative_error, self.slope, self.points
        ):
            fitted = f"{slope:.3f} from {points} betas" if np.isfinite(slope) else f"undetermined ({points} betas)"
            lines.append(f"{name:<{width}}  {1 - cosine:>10.1e}  {error:>10.1e}  {fitted}")
        columns = [(name, [f"{e:.1e}" for e in errors]) for name, errors in zip(self.parameters, self.error)]
        columns += [("switched", map(str, self.switched)), ("residual", [f"{r:.1e}" for r in self.residual])]
        columns += [("converged", ["yes" if c else "NO" for c in self.converged])]
        lines += ["", "relative error against beta (in units of the nudging scale):"]
        lines.append(f"{'beta':>8}  " + "  ".join(f"{name:>{max(9, len(name))}}" for name, _ in columns))
        for beta, *cells in zip(self.beta, *(cells for _, cells in columns)):
            row = "  ".join(f"{cell:>{max(9, len(name))}}" for (name, _), cell in zip(columns, cells))
            lines.append(f"{beta:>8.1e}  {row}")
        return "\n".join(lines)

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset with dims (parameter, beta). attributes: as for `physnet.to_dataset`."""
        from physnet.datasets import build

        dims = ("parameter",)
        variables = [
            (Variable("cosine", dims, "1", "cosine between the EP and the implicit gradient"), self.cosine),
            (Variable("relative_error", dims, "1", "relative error of the EP gradient"), self.relative_error),
            (
                Variable("error", ("parameter", "beta"), "1", "relative error of the EP gradient at each beta"),
                self.error,
            ),
            (Variable("slope", dims, "1", "slope of log error against log beta; NaN: undetermined"), self.slope),
            (Variable("slope_points", dims, "1", "betas that the slope was fitted to"), self.points),
            (Variable("switched", ("beta",), "1", "coordinates that reached or left a bound"), self.switched),
            (Variable("residual", ("beta",), "1", "largest relative residual of all phases"), self.residual),
            (Variable("converged", ("beta",), "1", "whether every phase met its tolerance"), self.converged),
            (
                Variable("asymmetry", (), "1", "antisymmetric part of the Jacobian over its symmetric part"),
                self.asymmetry,
            ),
            (Variable("nudging_scale", (), self.beta_units, "smallest unit of beta"), self.nudging_scale),
        ]
        coords = [
            (Variable("parameter", dims, "1", "trainable parameter"), np.array(self.parameters)),
            (Variable("beta", ("beta",), "1", "nudging strength over the nudging scale"), self.beta),
        ]
        title = f"Gradient check of {type(self.system).__name__}"
        return build(self.system, variables, coords=coords, default_title=title, dtype=self.error.dtype, **attributes)


def check_gradient(
    system: System,
    inputs,
    targets,
    *,
    cost: Cost,
    nudging: Nudging | None = None,
    rule: LearningRule | None = None,
    relaxer: Relaxer | None = None,
    betas=None,
    key=None,
) -> GradientReport:
    """Measures the EP gradient of a system against implicit differentiation, parameter by parameter.

    system, inputs, targets, cost, rule, relaxer, key: as for `ep_gradient`. nudging: Centred(1e-4, relative=True) by
    default. betas: the ladder on which the bias is measured, in units of the nudging scale; thirteen from 1e-4 (from
    0.05 for stencils of a higher order than 2) to 1, those below 1 where the stencil nudges away from the target.

    A slope is fitted where no coordinate switched, the phases converged, the error is below 0.1 and more than ten times
    the floor. Residuals and rounding contribute as 1/beta, so the error at the smallest beta bounds that floor.
    Raises what `ep_gradient` and `implicit_gradient` raise.
    """
    nudging = Centred(1e-4, relative=True) if nudging is None else nudging
    key = jax.random.key(0) if key is None else key
    rule = check_rule(system, rule, "check_gradient")
    relaxer = check_relaxer(system, relaxer, cost)
    check_stencil(system, cost, nudging, rule, relaxer, "check_gradient")
    reference = implicit_gradient(system, inputs, targets, cost=cost, relaxer=relaxer)
    inputs = reference.free.inputs
    targets = check_targets(system, cost, targets, inputs.shape[0])
    free = replace(reference.free, inputs=None, system=None)
    scale = nudging_scales(system, cost, free.state, inputs)
    units = beta_units(system, cost)
    check_nudging(nudging, cost, scale, "check_gradient", units)
    nudging.check(system, cost, free.state, inputs, targets)
    if betas is None:
        betas = np.geomspace(1e-4 if nudging.order <= 2 else 0.05, 1, 13)
        betas = betas[betas * nudging.most_negative < 1]
    betas = np.sort(np.asarray(betas, dtype=float))
    for beta in betas:
        check_nudging(replace(nudging, beta=float(beta), relative=True), cost, scale, "check_gradient, betas", units)

    unit = replace(nudging, beta=1.0, relative=True)
    chosen = [parameter for parameter in system.parameters if parameter.trainable]
    expected = [np.ravel(np.asarray(parameter.get(reference.gradient), float)) for parameter in chosen]

    def measured(beta):
        """Gradients of each parameter, switched, residual and converged at one beta (sample,)."""
        beta = precision.asarray(np.broadcast_to(beta, scale.shape), inputs.dtype)
        gradient, *certificate = _at_beta(system, inputs, targets, cost, unit, rule, relaxer, beta, free, key)
        return [np.ravel(np.asarray(parameter.get(gradient), float)) for parameter in chosen], certificate

    asked = nudging.beta * (np.asarray(scale) if nudging.relative else 1.0)
    found, _ = measured(asked)
    ladder = [measured(beta * np.asarray(scale)) for beta in betas]
    error = np.array([[_relative_error(g, e) for g, e in zip(gradients, expected)] for gradients, _ in ladder]).T
    switched, residual, converged = (np.array([float(row[i]) for _, row in ladder]) for i in range(3))
    usable = (switched == 0) & (converged == 1)
    fits = [_slope(betas, errors, usable) for errors in error]
    reciprocity = float(_reciprocity(system, free.state, inputs))
    return GradientReport(
        system=system,
        nudging=nudging,
        parameters=tuple(parameter.variable.name for parameter in chosen),
        cosine=np.array([_cosine(g, e) for g, e in zip(found, expected)]),
        relative_error=np.array([_relative_error(g, e) for g, e in zip(found, expected)]),
        beta=betas,
        error=error,
        slope=np.array([slope for slope, _ in fits]),
        points=np.array([points for _, points in fits]),
        order=nudging.order,
        switched=switched.astype(int),
        residual=residual,
        converged=converged.astype(bool),
        asymmetry=reciprocity,
        nudging_scale=float(np.min(np.asarray(scale))),
        beta_units=units,
        rule=rule,
        exact_rules=_exact_rules(system, reciprocity),
    )


@eqx.filter_jit
def _at_beta(system, inputs, targets, cost, unit, rule, relaxer, beta, free, key):
    """(gradient, coordinates that switched, worst residual, whether all converged) at one traced beta (sample,)."""
    result = phase_gradient(system, inputs, targets, cost, unit, relaxer, rule=rule, scale=beta, free=free, key=key)
    residual = jnp.maximum(jnp.max(result.nudged.residual), jnp.max(free.residual))
    if not is_boxed(system):
        return result.gradient, jnp.zeros((), int), residual, jnp.all(result.converged)

    def moving(state, inputs, nudge):
        return Problem(system, inputs, nudge).free_coordinates(state)

    before = jax.vmap(lambda state, inputs: moving(state, inputs, None))(free.state, inputs)

    def after(state, beta):
        return jax.vmap(moving)(state, inputs, Nudge(cost, targets, beta))

    switched = jnp.sum(jax.vmap(after)(result.nudged.state, result.betas) != before[None])
    return result.gradient, switched, residual, jnp.all(result.converged)


@eqx.filter_jit
def _reciprocity(system, state, inputs):
    """Asymmetry of the force's Jacobian at the free states, the worst of the samples."""
    return jnp.max(jax.lax.map(lambda pair: asymmetry(force_jacobian(system, *pair)), (state, inputs)))


def _exact_rules(system, asymmetry) -> tuple[str, ...]:
    reciprocal = asymmetry < _RECIPROCAL
    chosen = [EnergyRule] * system.conservative + [VectorFieldRule] * reciprocal + [CorrectedRule]
    return tuple(rule.__name__ for rule in chosen)


def _relative_error(found, expected) -> float:
    size = np.linalg.norm(expected)
    return float(np.linalg.norm(found - expected) / size) if size > 0 else float(np.linalg.norm(found) > 0)


def _cosine(found, expected) -> float:
    size = np.linalg.norm(found) * np.linalg.norm(expected)
    return float(found @ expected / size) if size > 0 else float(np.array_equal(found, expected))


def _slope(betas, errors, usable) -> tuple[float, int]:
    """(slope of log error against log beta, points it rests on); NaN for fewer than four points."""
    floor = errors[0] * betas[0] / betas
    counts = usable & (errors > _ABOVE_FLOOR * floor) & (errors <= _LARGEST_ERROR)
    if counts.sum() < _FEWEST_POINTS:
        return np.nan, int(counts.sum())
    return float(np.polyfit(np.log(betas[counts]), np.log(errors[counts]), 1)[0]), int(counts.sum())
