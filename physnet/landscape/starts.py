"""Where a search starts: states drawn one by one, so that start i is the same however many are drawn at once."""

import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.chart import Chart
from physnet.landscape.lanes import LANES
from physnet.landscape.smooth import LARGEST_DENSE


def drawn_starts(chart: Chart, starts, within, key):
    """(how to make starts first..last, as vectors (start, coordinate); their number)."""
    if not isinstance(starts, int | np.integer):
        leaves = jax.tree.leaves(starts)
        count = int(np.shape(leaves[0])[0]) if leaves and np.ndim(leaves[0]) else 0
        if not count:
            raise PhysnetError("find_equilibria: starts must be a number, or states with a leading axis.")
        states = [jax.tree.map(lambda leaf, i=i: leaf[i], starts) for i in range(count)]
        vectors = np.stack([np.asarray(chart.vector(state)) for state in states])
        return (lambda numbers: jnp.asarray(vectors)[numbers]), count
    if starts < 1:
        raise PhysnetError(f"find_equilibria: starts is {starts}; give 1 or more.")
    if within is not None:
        lowest, highest = (_corner(chart, corner) for corner in within)
        if not np.all(lowest <= highest):
            raise PhysnetError("find_equilibria: within=(lowest, highest) has a lowest value above the highest.")
        return (lambda numbers: uniform_vectors(key, numbers, lowest, highest)), int(starts)

    first = initial_vectors(chart, key, jnp.arange(2))
    if starts > 1 and np.array_equal(np.asarray(first[0]), np.asarray(first[1])):
        raise PhysnetError(
            f"find_equilibria: {type(chart.system).__name__} always starts from the same state. Say where to start: "
            "within=(lowest, highest), in the state's unit, or starts=states with a leading axis."
        )
    return (lambda numbers: initial_vectors(chart, key, numbers)), int(starts)


def _corner(chart: Chart, corner) -> np.ndarray:
    if np.ndim(corner) == 0 and not isinstance(corner, tuple | list | dict):
        return np.full(chart.size, corner, chart.dtype)
    return np.asarray(chart.vector(corner))


@eqx.filter_jit
def initial_vectors(chart: Chart, key, numbers):
    """What the system draws to start from, (number, coordinate); start i with the key folded with i."""

    def one(number):
        state = chart.system.initial_state(chart.problem.inputs, jax.random.fold_in(key, number))
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(state)]).astype(chart.dtype)

    return jax.vmap(one)(numbers)


@eqx.filter_jit
def uniform_vectors(key, numbers, lowest, highest):
    """Starts uniform between two corners (coordinate,), (number, coordinate); start i with the key folded with i."""

    def one(number):
        drawn = jax.random.uniform(jax.random.fold_in(key, number), lowest.shape, lowest.dtype)
        return lowest + (highest - lowest) * drawn

    return jax.vmap(one)(numbers)


def check_memory(chart: Chart, count: int, chunk: int) -> None:
    """Raises PhysnetError where a search would not fit into the machine's memory."""
    held = 8 * chart.size * (4 * count + 20 * min(chunk, count))
    dense = chart.size <= LARGEST_DENSE
    held += 8 * chart.size**2 * 6 * min(LANES, count) if dense else 0
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if held > 0.8 * memory:
        raise PhysnetError(
            f"find_equilibria: {count} starts of {chart.size} coordinates, {chunk} at a time, would take about "
            f"{held / 2**30:.3g} GiB of the {memory / 2**30:.3g} GiB of this machine. Use fewer starts, or a smaller "
            "chunk."
        )
