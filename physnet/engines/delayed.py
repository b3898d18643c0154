"""Systems whose coupling takes time: fixed steps of order 4 with the past kept and interpolated.

The method of steps. The past between two steps is the cubic through the states and velocities at both, which has order
4 too. A start from a state that was held puts a kink into the velocity, which comes back, ever smoother, after each
delay; the steps end there (`mesh`), so that no step goes across one that would cost the order.
"""

from itertools import combinations_with_replacement

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from physnet.engines import steps
from physnet.engines.lanes import lanes
from physnet.errors import PhysnetError

ORDER = 4

_ALIKE = 1e-9  # of the shortest delay: times this close are one
_MOST_STEPS = 10**8


def mesh(times, delays: tuple[float, ...], knots=(), near: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(times, kept): `times` and the kinks among them, s, and where in them the `times` are.

    knots: (knot,), s, where inputs bend or jump, which is a kink again after each delay. near: s, times this close are
    one, as are those within 1e-9 of the shortest delay.
    """
    times = np.asarray(times, float)
    kinks = [
        begin + sum(chosen)
        for begin in (times[0], *knots)
        for count in range(ORDER)  # the kink after `ORDER` delays is one of the order that a step leaves out
        for chosen in combinations_with_replacement(delays, count)
    ]
    near = max(near, _ALIKE * min(delays, default=0.0))
    found = list(times)
    for kink in sorted(kinks):
        if times[0] < kink < times[-1] and np.min(np.abs(np.array(found) - kink)) > near:
            found.append(kink)
    found = np.sort(found)
    return found, np.searchsorted(found, times)


def history(times, counts, delays: tuple[float, ...]) -> int:
    """How many steps of the past must be kept. Raises PhysnetError for more steps than anyone could wait for.

    times: (time,), s. counts: (time - 1,) steps in each interval.
    """
    lengths = np.diff(np.asarray(times, float)) / counts
    if counts.sum() > _MOST_STEPS:
        raise PhysnetError(
            f"FixedStep: {counts.sum():.3g} steps, the longest delay being {max(delays):.3g} s and the shortest "
            f"{min(delays):.3g} s; leave out a delay that is so short, or take it as a coupling phase 2 pi f delay."
        )
    nodes = np.append(np.repeat(times[:-1], counts), times[-1])
    nodes[:-1] += np.concatenate([np.arange(count) * length for count, length in zip(counts, lengths)])
    reached = np.searchsorted(nodes, nodes - max(delays) * (1 + _ALIKE), side="right")
    return int(np.max(np.arange(len(nodes)) - reached)) + 3


def follow(system, signal, initial: PyTree, times: Array, counts: Array, kept: int) -> PyTree:
    """The traceable core: states (time, ..., sample) from arrays laid out (..., sample).

    Before times[0] the state is taken to have been the initial one. times: (time,), s. counts: (time - 1,) steps in
    each interval. kept: steps of the past that are kept, from `history`. The order is `ORDER` only where `times` hold
    every kink (`mesh`).
    """
    flow = lanes(system, signal, lambda s, state, u, past: s.delayed_vector_field(state, past, u))
    delays = system.delays
    longest = jnp.max(jnp.diff(times) / counts)

    def velocity(ring, number):
        """(time, state) -> ds/dt; number: of the steps kept so far, whose last is `number` - 1."""

        def field(time, state):
            past = tuple(_recalled(ring, number, time - delay, times[0], initial) for delay in delays)
            return flow(state, time, past)

        return field

    def interval(carry, now):
        start, length, count = now
        step = length / count

        def advance(i, carry):
            state, ring, number = carry
            live, time = i < count, start + i * step
            rate = velocity(ring, number)(time, state)
            ring = jax.tree.map(lambda all, new: all.at[number % kept].set(new), ring, (time, state, rate))
            number = number + 1
            return steps.runge_kutta_4(velocity(ring, number), live, time, state, step, rate), ring, number

        carry = jax.lax.fori_loop(0, count, advance, carry)
        return carry, carry[0]

    before = times[0] - longest * jnp.arange(kept, 0, -1, dtype=times.dtype)
    ring = (
        before,
        jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (kept, *leaf.shape)), initial),
        jax.tree.map(lambda leaf: jnp.zeros((kept, *leaf.shape), leaf.dtype), initial),
    )
    carry = (initial, ring, jnp.zeros((), counts.dtype))
    _, states = jax.lax.scan(interval, carry, (times[:-1], jnp.diff(times), counts))
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), initial, states)


def _recalled(ring, number, time, begin, initial):
    """The state at an earlier time from the steps kept: the cubic between two of them, `initial` before `begin`."""
    times, states, rates = ring
    size = times.shape[0]
    first = jnp.minimum(number - 1 - jnp.sum(times > time, dtype=number.dtype), number - 2)
    a, b = first % size, (first + 1) % size
    length = times[b] - times[a]
    x = (time - times[a]) / length
    keep, turn = x * x * (3 - 2 * x), x * (1 - x)

    def between(states, rates, initial):
        cubic = (1 - keep) * states[a] + keep * states[b]
        cubic = cubic + length * turn * ((1 - x) * rates[a] - x * rates[b])
        return jnp.where(time <= begin, initial, cubic)

    return jax.tree.map(between, states, rates, initial)
