"""escape_times(): how long noise takes to carry a system out of a minimum into another, measured in many trials."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from physnet.errors import PhysnetError, require_instance
from physnet.landscape.chart import Chart
from physnet.landscape.datasets import equilibria_variables, landscape_dataset
from physnet.landscape.equilibria import Equilibria, joined
from physnet.landscape.intervals import check_confidence, exponentiality, rate_interval
from physnet.landscape.noise.kramers import check_noise, constant_mobility, hessians
from physnet.landscape.noise.noisy import EACH, NoisyWalk, walked
from physnet.landscape.noise.separation import Separation
from physnet.variable import Variable

_STEP, _LONGEST_STEP = 0.1, 0.5  # of the time constant of the stiffest direction
_SAME = 1e-4  # of the distance to the furthest: an equilibrium this near to the minimum is the minimum


@dataclass(frozen=True)
class EscapeTimes:
    """When and to where trials left a minimum under noise.

    time: (trial,), s, until the trial came close to another minimum; `longest` where none was reached. reached:
    (trial,), which of `others`, -1 for none. rate, low, high: s-1, escapes over the whole time watched, the estimate of
    greatest likelihood for exponential times cut at `longest`, with its interval of `confidence`. exponentiality: the
    probability of the test `intervals.exponentiality`; a small one (below 0.01) says that there is no rate, the barrier
    being too low. minimum, others: the equilibria. noise: D, in the energy's unit. time_step: s. longest: s, after
    which trials were given up. near: the share of the way left where a trial counts as there. confidence: the
    probability that the interval of the rate holds it.
    """

    minimum: Equilibria
    others: Equilibria
    time: np.ndarray
    reached: np.ndarray
    rate: float
    low: float
    high: float
    exponentiality: float
    noise: float
    time_step: float
    longest: float
    near: float
    confidence: float

    @property
    def censored(self) -> int:
        """Number of trials that reached no other minimum in the time given."""
        return int(np.sum(self.reached < 0))

    @property
    def rates(self) -> np.ndarray:
        """(other,), s-1, the rate to each of the other minima; they add up to `rate`."""
        return np.bincount(self.reached[self.reached >= 0], minlength=len(self.others)) / self.time.sum()

    def __str__(self):
        return (
            f"{len(self.time) - self.censored} of {len(self.time)} trials escaped: rate {self.rate:.6g} s-1 "
            f"({self.low:.6g} to {self.high:.6g}), exponential with p = {self.exponentiality:.3g}"
        )

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset with the dims trial and equilibrium: 0 is the minimum left, then the others.

        attributes: as for `physnet.to_dataset`.
        """
        found, one, trial = joined([self.minimum, self.others]), ("equilibrium",), ("trial",)
        reached = np.where(self.reached < 0, -1, self.reached + 1)
        to_each = np.concatenate([[np.nan], self.rates])
        p = "probability that exponential times look less so"
        near = "share of the way to another minimum that was left to go"
        pairs = [
            *equilibria_variables(found),
            (Variable("escape_time", trial, "s", "time until another minimum was reached"), self.time),
            (Variable("reached", trial, "1", "equilibrium that was reached, -1 where time ran out"), reached),
            (Variable("escape_rate_to", one, "s-1", "escape rate to each minimum"), to_each),
            (Variable("escape_rate", (), "s-1", "escape rate"), self.rate),
            (Variable("escape_rate_low", (), "s-1", "lower end of the confidence interval of the rate"), self.low),
            (Variable("escape_rate_high", (), "s-1", "upper end of the confidence interval of the rate"), self.high),
            (Variable("exponentiality", (), "1", p, (0, 1)), self.exponentiality),
            (Variable("noise_energy", (), found.chart.system.energy_units, "noise energy D"), self.noise),
            (Variable("time_step", (), "s", "step of the simulation"), self.time_step),
            (Variable("longest_time", (), "s", "time after which a trial was given up"), self.longest),
            (Variable("near", (), "1", near, (0, 1)), self.near),
            (Variable("confidence", (), "1", "confidence of the interval"), self.confidence),
        ]
        title = f"Escape of {type(found.chart.system).__name__} under noise"
        return landscape_dataset(found.chart, pairs, default_title=title, **attributes)


def escape_times(
    minimum: Equilibria,
    others: Equilibria,
    *,
    noise: float,
    longest: float,
    trials: int = 200,
    time_step: float | None = None,
    near: float = 0.2,
    confidence: float = 0.95,
    chunk: int = 64,
    key=None,
) -> EscapeTimes:
    """Follows ds = -M dE/ds dt + sqrt(2 D M) dW from a minimum, trial by trial, until it has come to another one.

    This is the dynamics of `kramers_rate`, whose limit of small D the rate approaches. M is `System.mobility`, a
    matrix; the system's own thermal noise is not looked at. By the stochastic Heun method, of weak order 2 for additive
    noise. Halving the step quarters what it does to the rate, about (step / time constant)^2 / 6.

    A trial ends where another minimum is the nearest of all and little of the way to it is left: 1/2 + (d0^2 - d1^2)/(2
    d01^2) > 1 - near, with d0, d1 and d01 the distances to the first, to the second and between them, which is the
    projection on the straight line between them (chords where coordinates repeat, the best common phase where one is
    open). It must be too near for an early return, and not nearer than noise lets a state come.

    minimum: one equilibrium of index 0, `found.minima[0]`. others: where escapes end; whatever is not a minimum, and
    the minimum itself, is left out, so that all of `found` can be given. noise: D, in the energy's unit. longest: s,
    after which a trial is given up; it counts as censored, which biases no rate. trials: how many. time_step: s; by
    default 0.1 of the time constant of the stiffest direction of any of the minima. near: the share of the way at which
    a trial ends, as above. confidence: the probability that the interval of the rate holds it. chunk: trials held at a
    time; changes no result, trial i depends on the key and on i alone. key: jax.random.key(0) by default.
    Raises PhysnetError for arguments that do not fit, for equilibria merged by declared symmetries, and for dynamics
    that are not of this form; ConvergenceError where a state becomes infinite.
    """
    where = "escape_times"
    chart = _check_equilibria(minimum, others)
    noise = float(check_noise(noise, chart, where)[0])
    check_confidence(confidence, where)
    mobility = constant_mobility(chart, where)
    if not 0 < near < 0.5:
        raise PhysnetError(f"{where}: near is {near}; give a share above 0 and below 0.5, such as 0.2.")
    if trials < 1 or chunk < 1:
        raise PhysnetError(f"{where}: {trials} trials, {chunk} at a time; give whole numbers of at least 1.")
    others = _targets(chart, minimum, others)
    separation = Separation.of(chart, np.concatenate([minimum.vector, others.vector]))
    fastest = _fastest(chart, mobility, np.concatenate([minimum.vector, others.vector]))
    time_step = _STEP / fastest if time_step is None else float(time_step)
    if not 0 < time_step <= _LONGEST_STEP / fastest:
        raise PhysnetError(
            f"{where}: time_step is {time_step:.3g} s; the stiffest direction has a time constant of {1 / fastest:.3g} "
            f"s, of which a step may be at most half. By default it is {_STEP / fastest:.3g} s."
        )
    most = int(np.ceil(longest / (EACH * time_step))) if np.isfinite(longest) and longest > 0 else 0
    if not 0 < most < 2**31 // EACH:
        raise PhysnetError(
            f"{where}: longest is {longest} s; give a time above 0 of at most {2**31 * time_step:.3g} s, several times "
            "1/kramers_rate."
        )
    walk = NoisyWalk(
        chart,
        separation,
        jnp.asarray(_root(2 * noise * time_step * mobility), chart.dtype),
        jnp.asarray(time_step, chart.dtype),
        jnp.asarray(near, chart.dtype),
    )
    key = jax.random.key(0) if key is None else key
    looks, reached = walked(walk, key, trials, most, chunk)
    span = most * EACH * time_step
    time, escaped = looks * EACH * time_step, reached >= 0
    low, high = rate_interval(escaped.sum(), time.sum(), confidence)
    p = exponentiality(time, escaped, span)
    return EscapeTimes(
        *(minimum, others, time, reached, float(escaped.sum() / time.sum()), float(low), float(high), p),
        *(noise, time_step, span, near, confidence),
    )


def _check_equilibria(minimum, others) -> Chart:
    for what, value in (("minimum", minimum), ("others", others)):
        require_instance(value, Equilibria, f"escape_times: {what}")
    if len(minimum) != 1 or minimum.index[0] != 0:
        raise PhysnetError(
            f"escape_times: {len(minimum)} equilibria of index {minimum.index.tolist()} given as the minimum; give "
            "one of index 0, found.minima[0]."
        )
    if (np.concatenate([minimum.multiplicity, others.multiplicity]) > 1).any():
        raise PhysnetError(
            "escape_times: declared symmetries merged minima, each of which escapes may end in. Search for them "
            "without symmetries."
        )
    minimum.chart.require_energy("escape_times", "integrate() follows noise without one.")
    return minimum.chart


def _targets(chart: Chart, minimum: Equilibria, others: Equilibria) -> Equilibria:
    """The minima among the others that are not the minimum itself."""
    others = others[others.index == 0]
    away = np.abs(chart.difference(others.vector, minimum.vector[0])).max(axis=1) if len(others) else np.zeros(0)
    others = others[away > _SAME * away.max(initial=0)]
    if not len(others):
        raise PhysnetError("escape_times: no other minimum to escape to; give all of those that were found.")
    return others


def _fastest(chart: Chart, mobility: np.ndarray, vectors: np.ndarray) -> float:
    """The fastest rate, s-1, at which a small displacement from any of the vectors decays."""
    root = np.linalg.cholesky(mobility)
    found = np.asarray(hessians(chart, jnp.asarray(vectors))[0])
    return float(max(np.abs(np.linalg.eigvalsh(root.T @ hessian @ root)).max() for hessian in found))


def _root(matrix: np.ndarray) -> np.ndarray:
    diagonal = np.diagonal(matrix)
    return np.sqrt(diagonal) if np.array_equal(matrix, np.diag(diagonal)) else np.linalg.cholesky(matrix)
