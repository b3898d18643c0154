"""Many starts relaxed in lanes of one width, so that no result depends on how many were held at a time."""

import os
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.equilibrium import settle
from physnet.landscape.chart import Chart
from physnet.landscape.distinct import grouped, span
from physnet.relaxers.base import Relaxer

LANES = 64  # starts that move together in one program
_LEGS = 30  # of a scout's steps, after which what is still under way is left to the relaxer
_NEAR = 5e-3  # of the span: a scouted state this near to a minimum that was reached from next to it is in that minimum


@eqx.filter_jit
def _relax_lanes(chart: Chart, relaxer: Relaxer, starts, certify: bool):
    """Ends (lane block, lane, ...) of starts (lane block, lane, coordinate)."""

    def block(vectors):
        lanes = len(vectors)
        inputs = jnp.broadcast_to(chart.problem.inputs, (lanes, *chart.problem.inputs.shape))
        nudge = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (lanes, *leaf.shape)), chart.problem.nudge)
        states = jax.vmap(chart.state)(vectors)
        end = settle(chart.system, inputs, nudge, relaxer, initial=states, certify=certify)
        ends = jnp.concatenate([leaf.reshape(lanes, -1) for leaf in jax.tree.leaves(end.state)], axis=1)
        return ends, end.converged, end.status

    return jax.lax.map(block, starts)


def relaxed(chart: Chart, vectors, relaxer: Relaxer, chunk: int = 1024):
    """(ends (start, coordinate), converged (start,), status (start,)) of starts (start, coordinate), NumPy arrays."""
    vectors = np.asarray(vectors, chart.dtype)
    return relaxed_from(chart, _rows(vectors), len(vectors), chunk, relaxer)


def _rows(vectors):
    return lambda numbers: jnp.asarray(vectors[np.asarray(numbers)])


def relaxed_from(chart, starts, count, chunk, relaxer, *, scouting=False):
    """As `relaxed`, of starts that a function makes, chunk by chunk, from their numbers.

    scouting: the relaxer is a scout: converged means what it says itself, not that the exact residual is within the
    tolerance, and chunks run side by side, one on each core. (Not so with relaxers in general: two programs that both
    wait for LAPACK within XLA's threads can wait for ever.)
    """
    lanes = LANES if count > 8 else 8
    blocks = 1 << (max(-(-count // lanes), 1) - 1).bit_length()  # powers of two, so that few programs serve all counts
    chunk = max(min(chunk, blocks * lanes), lanes)

    def part(first):
        numbers = jnp.minimum(jnp.arange(first, first + chunk), count - 1)
        vectors = starts(numbers).reshape(-1, lanes, chart.size)
        end = jax.tree.map(np.asarray, _relax_lanes(chart, relaxer, vectors, not scouting))
        return [leaf.reshape(chunk, *leaf.shape[2:])[: min(chunk, count - first)] for leaf in end]

    if not count:
        return np.zeros((0, chart.size)), np.zeros(0, bool), np.zeros(0, int)
    firsts = range(0, count, chunk)
    parts = [part(0)]  # by itself, since it compiles
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8) if scouting else 1) as pool:
        parts += pool.map(part, firsts[1:])
    return tuple(np.concatenate(leaves) for leaves in zip(*parts, strict=True))


def scouted(chart, starts, count, chunk, scout, relaxer):
    """As `relaxed_from`, but only what the scout's rough descent tells apart is taken to the end.

    A scouted state within `_NEAR` of where one of its group came to rest is taken to have come to rest there too; the
    others follow on their own.
    """
    rough, there, _ = relaxed_from(chart, starts, count, chunk, scout, scouting=True)
    for _ in range(_LEGS):  # those that are under way together, so that few wait for the slowest
        late = np.flatnonzero(~there)
        if not len(late):
            break
        rough[late], there[late], _ = relaxed_from(chart, _rows(rough[late]), len(late), chunk, scout, scouting=True)
    rough = chart.canonical(rough)
    near = _NEAR * span(chart, rough)
    ends, good, status = rough.copy(), np.zeros(count, bool), np.zeros(count, int)
    group = grouped(chart, rough, near)
    first = np.array([np.argmax(group == g) for g in range(group.max() + 1)])
    reached, settled, stopped = relaxed(chart, rough[first], relaxer, chunk)
    close = np.abs(chart.difference(rough, reached[group])).max(axis=1) <= near
    close &= settled[group]
    close[first] = True
    ends[close], good[close], status[close] = reached[group[close]], settled[group[close]], stopped[group[close]]
    rest = np.flatnonzero(~close)
    if len(rest):
        ends[rest], good[rest], status[rest] = relaxed(chart, rough[rest], relaxer, chunk)
    return ends, good, status
