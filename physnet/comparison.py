"""compare_gradients(): estimators of one gradient on equal terms, measured along the knobs that make them wrong."""

import json
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet import precision
from physnet.cost import Cost
from physnet.errors import PhysnetError, require_instance
from physnet.estimators.adjoint import ImplicitDifferentiation
from physnet.estimators.base import Estimator
from physnet.gradients import prepare
from physnet.system import System
from physnet.variable import Variable

WHOLE = "all"
_DTYPES = {"single": np.float32, "double": np.float64}
_MEASURES = {
    "cosine": ("1", "cosine between the estimated and the reference gradient"),
    "angle": ("rad", "angle between the estimated and the reference gradient"),
    "relative_error": ("1", "|estimated - reference| / |reference gradient|"),
    "norm": ("1", "|estimated| / |reference gradient|"),
}


@dataclass(frozen=True)
class _Measured:
    """Gradients of one estimator at one setting, each flattened by parameter: (draw, entry)."""

    gradients: list[np.ndarray]
    residual: float
    converged: bool


def compare_gradients(
    system: System,
    inputs,
    targets,
    *,
    cost: Cost,
    estimators: dict[str, Estimator],
    reference: Estimator | None = None,
    betas=None,
    steps=None,
    precisions=None,
    noises=None,
    noise_of: str = "displacement",
    draws: int = 16,
    key=None,
    **attributes,
):
    """A `physnet-1` dataset of how far each estimator is from the reference gradient, for each trainable parameter.

    Variables cosine, angle (rad), relative_error and norm (over the reference's) have dims (estimator, parameter) and
    one more for each knob that is swept; the last label of `parameter`, "all", is the gradient as one vector, in the
    system's own units. residual is the largest relative residual of the states behind an estimate, converged whether
    all of them settled. An estimator without a knob is constant along it.

    system, inputs, targets, cost: as for `ep_gradient`. estimators: {name: Estimator}. reference:
    ImplicitDifferentiation() by default; always taken in double precision. betas: nudging strengths in units of each
    sample's nudging scale. steps: numbers of steps, for estimators that take any. precisions: of "single" and "double";
    by default what the system holds. noises: standard deviation of Gaussian noise on every coordinate of what is read
    of the nudged states, in units of the root mean square of what noise_of names. noise_of: "displacement", of the
    nudged state from the free one, or "state", the free one. draws: how many draws of the noise; measures are then
    means over them, and <measure>_std their standard deviations. key: a JAX random key, of the noise and of what
    estimators draw; jax.random.key(0) by default. attributes: title, summary, seed, config, any global attribute.

    An estimator that refuses, or that cannot at some setting, is NaN there, with its reason in the attribute
    physnet_refusals (JSON). Raises PhysnetError for arguments that do not fit, ConvergenceError where the free phase of
    the reference does not settle.
    """
    reference = ImplicitDifferentiation() if reference is None else reference
    _check(estimators, reference, betas, steps, precisions, noises, noise_of, draws)
    key = jax.random.key(0) if key is None else key
    own = precision.dtype_of(eqx.filter(system, eqx.is_inexact_array))
    double = cast(system, np.float64)
    expected = reference(double, _as(inputs, np.float64), _as(targets, np.float64), cost, key=key)
    expected = [_flat(p, expected.gradient)[0] for p in _trainable(double)]

    knobs = {"beta": betas, "step": steps, "precision": precisions, "noise": noises}
    swept = {name: list(values) for name, values in knobs.items() if values is not None}
    names = [p.variable.name for p in _trainable(system)] + [WHOLE]
    shape = tuple(len(values) for values in swept.values())
    found = {m: np.full((len(estimators), len(names), *shape), np.nan) for m in _MEASURES}
    spread = {m: np.full_like(found[m], np.nan) for m in _MEASURES}
    residual = np.full((len(estimators), *shape), np.nan)
    converged = np.zeros((len(estimators), *shape), bool)
    refusals: dict[str, str] = {}
    bench = _Bench(system, inputs, targets, cost, key, noise_of, draws)

    for row, (name, estimator) in enumerate(estimators.items()):
        for place in np.ndindex(shape):
            setting = {knob: values[i] for (knob, values), i in zip(swept.items(), place)}
            one = bench.measured(estimator, setting, own)
            if isinstance(one, str):
                refusals.setdefault(name, one)
                continue
            index = (row, slice(None), *place)
            for measure, (mean, std) in _measures(one.gradients, expected).items():
                found[measure][index], spread[measure][index] = mean, std
            residual[(row, *place)], converged[(row, *place)] = one.residual, one.converged
    certificate = (residual, converged, refusals)
    return _dataset(system, estimators, swept, names, found, spread, certificate, reference, attributes)


class _Bench:
    """Measures estimators at settings, each free phase and each gradient once."""

    def __init__(self, system, inputs, targets, cost, key, noise_of, draws):
        self.given = (system, inputs, targets)
        self.cost, self.key, self.noise_of, self.draws = cost, key, noise_of, draws
        self.prepared, self.known = {}, {}

    def measured(self, estimator: Estimator, setting: dict, own) -> _Measured | str:
        """The gradients at a setting, or why there are none."""
        dtype = np.dtype(_DTYPES[setting["precision"]] if "precision" in setting else own)
        if "beta" in setting:
            estimator = estimator.with_beta(float(setting["beta"]))
        if "step" in setting:
            estimator = estimator.with_steps(int(setting["step"]))
        noise = float(setting.get("noise", 0.0))
        mark = (id(type(estimator)), repr(estimator), dtype, noise)  # equal settings are one measurement
        if mark not in self.known:
            try:
                self.known[mark] = self._measure(estimator, dtype, noise)
            except PhysnetError as problem:
                self.known[mark] = str(problem)
        return self.known[mark]

    def _measure(self, estimator, dtype, noise):
        system, inputs, targets, relaxer, free = self._free(estimator, dtype)
        reason = estimator.refuses(system, self.cost)
        if reason is not None:
            return reason
        arguments = (system, inputs, targets, self.cost, free, relaxer)
        result = estimator.estimate(*arguments, self.key)
        phases = [free] if result.nudged is None else [free, result.nudged]
        residual = max(float(jnp.max(phase.residual)) for phase in phases)
        gradients = jax.tree.map(lambda leaf: leaf[None], result.gradient)
        if noise > 0:
            keys = jax.random.split(self.key, self.draws)
            drawn = estimator.noisy(*arguments, noise, self.noise_of, keys)
            gradients = gradients if drawn is None else drawn
        flat = [_flat(p, gradients, like=p.get(system)) for p in _trainable(system)]
        return _Measured(flat, residual, bool(jnp.all(result.converged)))

    def _free(self, estimator, dtype):
        """(system, inputs, targets, relaxer, free phase) in a precision; settled once for each relaxer."""
        mark = (repr(estimator.relaxer), dtype)
        if mark not in self.prepared:
            system = cast(self.given[0], dtype)
            where = type(estimator).__name__
            settled = prepare(system, *self.given[1:], self.cost, estimator.relaxer, False, where)
            self.prepared[mark] = (system, *settled)
        return self.prepared[mark]


def cast(system: System, dtype) -> System:
    """The system with its floating arrays in this dtype; itself where they are."""
    arrays, rest = eqx.partition(system, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda leaf: leaf.astype(dtype), arrays), rest)


def _as(values, dtype):
    return None if values is None else np.asarray(values, dtype)


def _trainable(system):
    return [parameter for parameter in system.parameters if parameter.trainable]


def _flat(parameter, gradient, like=None) -> np.ndarray:
    """(draw, entry) of one parameter, in double precision."""
    array = np.asarray(parameter.get(gradient), float)
    return array.reshape(1, -1) if like is None else array.reshape(-1, max(np.size(like), 1))


def _measures(found: list[np.ndarray], expected: list[np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{measure: (mean, standard deviation) over draws}, (parameter,), the whole gradient last."""
    found = [*found, np.concatenate(found, axis=1)]
    expected = [*expected, np.concatenate(expected)]
    rows = [compared(one, against) for one, against in zip(found, expected)]
    return {m: (np.array([r[m].mean() for r in rows]), np.array([r[m].std() for r in rows])) for m in _MEASURES}


def compared(found: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of gradients (draw, entry) against one (entry,), each (draw,); NaN where a direction does not exist.

    The angle is 2 atan2(|a - b|, |a + b|) of the unit vectors, which keeps its digits where the cosine is 1.
    """
    size, against = np.linalg.norm(found, axis=1), np.linalg.norm(expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = found / size[:, None], expected / against
        angle = 2 * np.arctan2(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
        error = np.linalg.norm(found - expected, axis=1) / against
        return {"cosine": np.cos(angle), "angle": angle, "relative_error": error, "norm": size / against}


def _check(estimators, reference, betas, steps, precisions, noises, noise_of, draws):
    where = "compare_gradients"
    if not isinstance(estimators, dict) or not estimators:
        raise PhysnetError(f'{where}: estimators is {estimators!r}; give a dict, such as {{"ep": ...}}.')
    for name, estimator in estimators.items():
        require_instance(estimator, Estimator, f"estimators[{name!r}]")
    require_instance(reference, Estimator, "reference")
    for name, values in (("betas", betas), ("steps", steps), ("precisions", precisions), ("noises", noises)):
        if values is not None and (isinstance(values, str) or np.ndim(values) != 1 or not len(values)):
            raise PhysnetError(f"{where}: {name} is {values!r}; give a list of values, or None.")
    for name, values, least in (("betas", betas, 0), ("steps", steps, 0.5), ("noises", noises, -1e-300)):
        wrong = [v for v in (values if values is not None else ()) if not (np.isfinite(v) and v > least)]
        if wrong:
            raise PhysnetError(f"{where}: {name} holds {wrong[0]!r}; values are finite and positive.")
    for value in precisions or ():
        if value not in _DTYPES:
            raise PhysnetError(f"{where}: precision {value!r} is not known; give 'single' or 'double'.")
    if noise_of not in ("displacement", "state"):
        raise PhysnetError(f"{where}: noise_of is {noise_of!r}; give 'displacement' or 'state'.")
    if draws < 1:
        raise PhysnetError(f"{where}: draws is {draws}; take at least 1.")


_KNOBS = {
    "beta": "nudging strength over the nudging scale",
    "step": "number of steps that an estimate takes",
    "precision": "precision of the arithmetic",
    "noise": "standard deviation of the noise in what is read, over the root mean square of it",
}


def _dataset(system, estimators, swept, names, found, spread, certificate, reference, attributes):
    from physnet.datasets import build

    residual, converged, refusals = certificate

    dims = ("estimator", "parameter", *swept)
    variables = [(Variable(m, dims, units, text), found[m]) for m, (units, text) in _MEASURES.items()]
    if "noise" in swept:
        variables += [
            (Variable(f"{m}_std", dims, units, f"standard deviation over draws of the {text}"), spread[m])
            for m, (units, text) in _MEASURES.items()
        ]
    states = ("estimator", *swept)
    variables += [
        (Variable("residual", states, "1", "largest relative residual of the states behind it"), residual),
        (Variable("converged", states, "1", "whether every state behind it settled"), converged),
    ]
    coords = [
        (Variable("estimator", ("estimator",), "1", "way to the gradient"), np.array(list(estimators))),
        (Variable("parameter", ("parameter",), "1", "trainable parameter array, or all of them"), np.array(names)),
    ]
    coords += [(Variable(name, (name,), "1", _KNOBS[name]), np.asarray(values)) for name, values in swept.items()]
    marks = {"physnet_reference": type(reference).__name__, "physnet_refusals": json.dumps(refusals, sort_keys=True)}
    title = f"Gradients of {type(system).__name__} by {len(estimators)} estimators"
    return build(
        system, variables, coords=coords, default_title=title, dtype=np.dtype(np.float64), **{**marks, **attributes}
    )
