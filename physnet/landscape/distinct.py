"""Telling states apart: which of many vectors are the same state, up to symmetries that shift and repeat."""

import numpy as np

from physnet.landscape.chart import Chart


def span(chart: Chart, vectors: np.ndarray) -> float:
    """The natural size of differences between states: the shortest period, or how far the vectors spread."""
    shortest = float(chart.periods.min(initial=np.inf))
    if np.isfinite(shortest):
        return shortest
    spread = float(np.ptp(chart.canonical(vectors), axis=0).max(initial=0)) if len(vectors) else 0.0
    return spread or float(np.abs(vectors).max(initial=0)) or 1.0


def grouped(chart: Chart, vectors: np.ndarray, same: float) -> np.ndarray:
    """The group of each vector, (vector,), numbered in order of their first members, which represent them.

    same: largest difference, of any coordinate and in the state's unit, within a group. Vectors are compared only
    with those whose fingerprint, one smooth function of the state, is as near as it must then be.
    """
    group = np.full(len(vectors), -1)
    if not len(vectors):
        return group
    marks, slope = _fingerprints(chart, vectors)
    order = np.argsort(marks, kind="stable")
    sorted_marks, reach = marks[order], slope * same * 1.0001 + 1e-12 * np.abs(marks).max(initial=1)
    for number, first in enumerate(_unassigned(group)):
        low, high = np.searchsorted(sorted_marks, [marks[first] - reach, marks[first] + reach])
        near = order[low:high]
        near = near[group[near] < 0]
        close = np.abs(chart.difference(vectors[near], vectors[first])).max(axis=1) <= same
        group[near[close]] = number
        group[first] = number
    return group


def _unassigned(group):
    """The first vector without a group, again and again, until there is none."""
    for i in range(len(group)):
        if group[i] < 0:
            yield i


def _fingerprints(chart, vectors) -> tuple[np.ndarray, float]:
    """(one number for each vector, how fast it can change per unit of the largest coordinate difference).

    Of repeating coordinates by cosine and sine, of differences that neutral modes leave alone.
    """
    rng = np.random.default_rng(0)
    modes = chart.translations()
    vectors = np.asarray(vectors, float)
    projected = vectors
    if len(modes):
        if np.isfinite(chart.periods).any():  # differences of neighbours: whole turns and the common shift drop out
            projected = chart.canonical(vectors)
        else:
            basis = np.linalg.qr(modes.T)[0]
            projected = vectors - (vectors @ basis) @ basis.T
    angular = 2 * np.pi / np.where(np.isfinite(chart.periods), chart.periods, np.inf)
    weight, offset = rng.uniform(0.5, 1.5, chart.size), rng.uniform(0, 2 * np.pi, chart.size)
    periodic = np.isfinite(chart.periods)
    waves = np.cos(projected * angular + offset) * weight
    straight = projected * weight
    marks = np.where(periodic, waves, straight).sum(axis=-1)
    # The canonical form pins one coordinate, so that a difference can count twice; a projection at most doubles it.
    slope = 2 * float(np.sum(weight * np.where(periodic, np.where(periodic, angular, 0), 1)))
    return marks, slope
