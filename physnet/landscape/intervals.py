"""How far counts can be trusted: intervals of a share and of a rate, and whether waiting times are random."""

import numpy as np
from scipy.stats import beta, chi2

from physnet.errors import PhysnetError

_FEWEST = 8  # escapes: below it no test can tell one law from another
_REPLICAS = 999
_AT_ONCE = 1 << 22  # numbers


def check_confidence(value, where: str) -> None:
    """Raises PhysnetError unless the value is a number between 0 and 1."""
    if not isinstance(value, int | float | np.number) or not 0 < value < 1:
        raise PhysnetError(f"{where}: confidence is {value!r}; give a number between 0 and 1, such as 0.95.")


def share_interval(successes, trials, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the probability behind `successes` of `trials`, which hold it at least as often as `confidence`.

    Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404 (m). Arguments broadcast; 0 to 1 where there are no trials.
    """
    k, n = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    tail = (1 - confidence) / 2
    low = np.where(k > 0, beta.ppf(tail, np.maximum(k, 1), n - k + 1), 0.0)
    high = np.where(k < n, beta.ppf(1 - tail, k + 1, np.maximum(n - k, 1)), 1.0)
    return low, high


def rate_interval(events, time, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), s-1, of the rate behind random `events` counted over the total `time`, s.

    From the Poisson law of the count (Garwood 1936, doi:10.1093/biomet/28.3-4.437 (m)): with c = chi-squared
    quantiles, c(2k)/2T and c(2k + 2)/2T. High alone is above 0 without an event. Arguments broadcast.
    """
    k, total = np.broadcast_arrays(np.asarray(events, float), np.asarray(time, float))
    tail = (1 - confidence) / 2
    low = np.where(k > 0, chi2.ppf(tail, 2 * np.maximum(k, 1)), 0.0)
    return low / (2 * total), chi2.ppf(1 - tail, 2 * k + 2) / (2 * total)


def exponentiality(times: np.ndarray, escaped: np.ndarray, longest: float) -> float:
    """Probability that times which are exponential would look less so: small where escape has a memory.

    times: (trial,), s, up to `longest` where not `escaped` (trial,). The Kolmogorov-Smirnov distance between the times
    of those that escaped and the exponential law of the same rate, cut at `longest`, against that of 999 samples drawn
    from that law and treated alike: the rate is estimated from the data, which standard tables do not know (Lilliefors
    1969, doi:10.1080/01621459.1969.10500983 (m)). NaN below 8 escapes.
    """
    count = int(np.sum(escaped))
    if count < _FEWEST:
        return float("nan")
    rate = count / float(np.sum(times))
    distance = _distances(np.asarray(times, float)[None], longest)[0]
    rng = np.random.default_rng(0)
    block = max(1, _AT_ONCE // len(times))
    drawn = []
    for first in range(0, _REPLICAS, block):
        replicas = rng.exponential(1 / rate, (min(block, _REPLICAS - first), len(times)))
        drawn.append(_distances(np.minimum(replicas, longest), longest))
    return float((1 + np.sum(np.concatenate(drawn) >= distance)) / (1 + _REPLICAS))


def _distances(times: np.ndarray, longest: float) -> np.ndarray:
    """The Kolmogorov-Smirnov distance of each row of times (sample, trial), those at `longest` being censored."""
    ordered = np.sort(times, axis=1)
    inside = ordered < longest
    count = inside.sum(axis=1, keepdims=True)
    rate = count / ordered.sum(axis=1, keepdims=True)
    law = -np.expm1(-rate * ordered) / -np.expm1(-rate * longest)
    rank = np.arange(times.shape[1])
    above, below = (rank + 1) / np.maximum(count, 1) - law, law - rank / np.maximum(count, 1)
    return np.max(np.where(inside, np.maximum(above, below), 0), axis=1)
