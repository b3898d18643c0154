"""How likely oscillators are to lock under noise, with confidence intervals."""

from dataclasses import dataclass
from statistics import NormalDist

import jax
import numpy as np

from oscillators import checks
from oscillators.records import chosen_oscillators, recording_times
from oscillators.synchronisation import synchrony
from oscillators.window import oscillators_of, resolution_over
from physnet.checks import check_inputs
from physnet.engines.base import Engine
from physnet.errors import PhysnetError
from physnet.system import System
from physnet.trajectory import integrate


@dataclass(frozen=True)
class LockingProbability:
    """The share of draws that locked at each point of a map, and what it was counted from.

    probability: (*point), share of draws that locked. low, high: (*point), Wilson interval of that share. confidence:
    the probability that such an interval holds it.

    locked: (*point, draw), which draws did. frequencies: (*point, draw, oscillator), Hz. resolution: Hz, within which
    frequencies count as equal. draws: number of draws at each point. settled: (*point, draw), whether the draw's mean
    frequencies in both halves of the window agree within 3 resolutions; where few do, take a longer duration. error:
    (*point, draw), of the state, in its unit, by step doubling; NaN where it was not measured.
    """

    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    locked: np.ndarray
    frequencies: np.ndarray
    resolution: float
    draws: int
    confidence: float
    settled: np.ndarray
    error: np.ndarray


def wilson_interval(successes, trials, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the probability behind a count: Wilson's score interval, no continuity correction.

    Wilson 1927, doi:10.1080/01621459.1927.10502953. It stays within 0 and 1, and is not empty at 0 and at all
    successes. successes, trials: whole numbers, which broadcast. confidence: the probability, between 0 and 1, that the
    interval holds what is sought. Raises PhysnetError for counts that are not 0 <= successes <= trials, trials > 0.
    """
    k, n = np.broadcast_arrays(np.asarray(successes), np.asarray(trials))
    if k.dtype.kind not in "iu" or n.dtype.kind not in "iu" or (n < 1).any() or (k < 0).any() or (k > n).any():
        raise PhysnetError(
            f"wilson_interval: {successes!r} successes of {trials!r} trials; give whole numbers, none "
            "negative, no more successes than trials."
        )
    _check_confidence(confidence, "wilson_interval")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = k / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)
    return low[()], high[()]


def _check_confidence(value, where: str) -> None:
    if not isinstance(value, int | float | np.number) or not 0 < value < 1:
        raise PhysnetError(f"{where}: confidence is {value!r}; give a number between 0 and 1, such as 0.95.")


def probability_of_locking(
    system: System,
    inputs=None,
    *,
    key,
    draws: int = 100,
    duration: float,
    settling: float | None = None,
    records: int | None = None,
    oscillators=None,
    resolution: float | None = None,
    confidence: float = 0.95,
    engine: Engine | None = None,
) -> LockingProbability:
    """How many of several runs, each with its own noise and random initial phases, end with oscillators in step.

    system: oscillators with phases, `Varied` or not. draws: runs at each point. inputs: of one point (input,) or of
    many (point, input), in the system's input unit (`Varied` makes any parameter an input); the system's own by
    default. key: of all draws. duration: s, of each run; settling: s, the part of it before mean frequencies are taken,
    half by default. records: times recorded in the rest; by default as many as the fastest rate asks for, which is safe
    and often more than is needed. oscillators: those that have to keep step; all by default. resolution: Hz, how close
    their mean frequencies have to be, see `synchrony`: by default one phase slip more in one direction than in the
    other parts them. confidence: of the interval, a probability. engine: as for `integrate`. Without noise in the
    system the draws differ by their initial phases alone.
    Raises PhysnetError as `integrate` and `mean_frequencies` do.
    """
    where = "probability_of_locking"
    draws = checks.whole(draws, f"{where}: draws")
    chosen = chosen_oscillators(oscillators, where, oscillators_of(system, f"{where}: system").size)
    _check_confidence(confidence, where)
    try:
        start_key, noise_key = jax.random.split(key)
    except (TypeError, ValueError) as error:
        raise PhysnetError(f"{where}: key is {key!r}; pass one, jax.random.key(seed).") from error
    points, batched = check_inputs(system, inputs)
    times, first = recording_times(system, points, duration, settling, records, where)
    resolution = resolution_over(times[-1] - times[first], "flat", resolution, where)
    rows = np.repeat(np.asarray(points), draws, axis=0)
    starts = jax.vmap(system.initial_state)(rows, jax.random.split(start_key, len(rows)))
    drawn = {"key": noise_key} if system.is_noisy else {}
    run = integrate(system, rows, times, initial=starts, engine=engine, **drawn)
    found = synchrony(run, begin=times[first], resolution=resolution)
    labels = found.clusters[:, chosen]
    shape = (len(points), draws) if batched else (draws,)
    locked = ((labels == labels[:, :1]) & (labels >= 0)).all(axis=1).reshape(shape)
    counts = locked.sum(axis=-1)
    low, high = wilson_interval(counts, draws, confidence)
    error = np.full(shape, np.nan) if run.error is None else np.asarray(run.error).reshape(shape)
    return LockingProbability(
        counts / draws,
        low,
        high,
        locked,
        found.frequencies.reshape(*shape, -1),
        found.resolution,
        draws,
        confidence,
        (found.settled & np.asarray(run.converged)).reshape(shape),
        error,
    )
