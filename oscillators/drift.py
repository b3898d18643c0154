"""Which oscillators of a network lock and which drift, by following it in time."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from oscillators.locked import LockedOscillators
from oscillators.phase_model import PhaseModel
from physnet.checks import check_inputs
from physnet.errors import PhysnetError

_TURN = 0.25  # rad, the most that a phase moves in one step
_STABLE = 0.7  # of amplitudes that relax much faster than phases slip: the step in units of their fastest rate
_STEPS, _FEWEST_STEPS, _SMALL = 16384, 2048, 64
_SLOWER = 8  # times as many steps where amplitudes move, which relax that much faster than phases slip
_SLIPS = 0.75  # of a turn, gained or lost over the time of measurement, that tell a drift from a wobble
_NAMED = 20


@dataclass(frozen=True)
class Drift:
    """Mean frequencies of a network, and who keeps step with whom.

    frequencies: (N,), Hz, each averaged over `duration`, s, which tells apart what differs by 0.75/duration.
    common: Hz, the frequency of the largest group that keeps step, or of the injected signal; NaN where no two do.
    locked, drifting: the oscillators in that group and those outside it.
    """

    frequencies: np.ndarray
    common: float
    locked: tuple[int, ...]
    drifting: tuple[int, ...]
    duration: float

    def __str__(self):
        if not self.drifting:
            return (
                f"No oscillator drifts: over {self.duration:.3g} s all keep the frequency {self.common:.9g} Hz. The "
                "network locks, but slowly, or far from where it started: try more steps, or another initial state."
            )
        count = len(self.drifting)
        names = [self._name(i) for i in self.drifting[:_NAMED]] + [f"{count - _NAMED} more"] * (count > _NAMED)
        listed = names[0] if count == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        verb = "drifts" if count == 1 else "drift"
        if np.isnan(self.common):
            against = ", no two at one frequency"
        elif self.locked:
            against = f", past {len(self.locked)} that keep {self.common:.9g} Hz"
        else:
            against = f", past the injected signal of {self.common:.9g} Hz"
        return (
            f"Not locked: {listed} {verb}{against}. Couple them (or drive them) more strongly, or bring their "
            "frequencies closer together."
        )

    def _name(self, i: int) -> str:
        if np.isnan(self.common):
            return f"oscillator {i} (at {self.frequencies[i]:.9g} Hz)"
        return f"oscillator {i} (at {self.frequencies[i]:.9g} Hz, {self.frequencies[i] - self.common:+.4g} Hz)"


def drifting(system: PhaseModel | LockedOscillators, inputs=None, *, state=None) -> Drift:
    """Follows one network in time and says which oscillators lock, and at which mean frequency the others drift.

    system: of phases, or `network.polar()`. inputs: (input,), Hz or A, for one sample; the system's own by default.
    state: where to start, shaped like the system's state; its initial state by default, or where the given one is not
    finite. Half of the time is for settling. Raises PhysnetError for a system of another kind, a batch, and amplitudes
    that collapse on the way.
    """
    if not isinstance(system, PhaseModel | LockedOscillators):
        raise PhysnetError(
            f"drifting: system is of {type(system).__name__}; pass a network of phases, or network.polar() for "
            "AutoOscillators."
        )
    inputs, batched = check_inputs(system, inputs)
    if batched:
        raise PhysnetError(f"drifting: inputs have shape {inputs.shape}; pass those of one sample, {inputs.shape[1:]}.")
    inputs = inputs[0]
    if state is None or not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state)):
        state = system.initial_state(inputs)
    start = jnp.mod(system.phases(state), 2 * jnp.pi)
    polar = isinstance(system, LockedOscillators)
    start = (state[0], start) if polar else (start,)
    steps = (_SLOWER if polar else 1) * max(_FEWEST_STEPS, int(_STEPS * min(1.0, _SMALL / system.size)))
    first, last, half = (np.asarray(value, float) for value in _follow(system, start, inputs, steps // 2))
    if not np.isfinite(last).all():
        raise PhysnetError(
            f"drifting: the amplitude of oscillator {int(np.argmin(np.isfinite(last)))} collapses or grows without "
            "end. Raise its current, or couple it more weakly."
        )
    if half == 0:  # nothing moves
        first, last, half = 0 * first, 0 * first, np.inf
    frame = float(system.frame_frequency(inputs))
    frequencies = frame + (last - first) / (2 * np.pi * half)
    return _grouped(frequencies, float(half), None if system.is_free else frame)


def _grouped(frequencies: np.ndarray, duration: float, signal: float | None) -> Drift:
    apart = _SLIPS / duration
    if signal is None:
        order = np.argsort(frequencies, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(frequencies[order]) > apart) + 1)
        largest = max(groups, key=len)
        common = float(np.mean(frequencies[largest])) if len(largest) > 1 or len(order) == 1 else np.nan
        inside = np.isin(np.arange(frequencies.size), largest) & ~np.isnan(common)
    else:
        common, inside = signal, np.abs(frequencies - signal) <= apart
    places = np.arange(frequencies.size)
    return Drift(frequencies, common, tuple(places[inside].tolist()), tuple(places[~inside].tolist()), duration)


@eqx.filter_jit
def _follow(system, start, inputs, steps):
    """Phases, rad, after `steps` and after twice as many, and the time of `steps`, s: fourth-order Runge-Kutta.

    start: (phases,), or (logarithms of amplitudes, phases) where amplitudes move.
    """
    fastest = system.fastest_rate(inputs) / (2 * jnp.pi)
    reach = _STABLE if isinstance(system, LockedOscillators) else _TURN

    def velocity(moving):
        if isinstance(system, LockedOscillators):
            return tuple(2 * jnp.pi * rate for rate in system.rates(moving, inputs))
        return (2 * jnp.pi * system.turning(jnp.cos(moving[0]), -jnp.sin(moving[0]), inputs),)

    def shifted(moving, factor, rates):
        return jax.tree.map(lambda s, r: s + factor * r, moving, rates)

    step = jnp.where(fastest > 0, reach / (2 * jnp.pi * jnp.where(fastest > 0, fastest, 1)), 0)

    def advance(_, moving):
        a = velocity(moving)
        b = velocity(shifted(moving, step / 2, a))
        c = velocity(shifted(moving, step / 2, b))
        d = velocity(shifted(moving, step, c))
        return jax.tree.map(lambda s, a, b, c, d: s + step / 6 * (a + 2 * b + 2 * c + d), moving, a, b, c, d)

    settled = jax.lax.fori_loop(0, steps, advance, start)
    return settled[-1], jax.lax.fori_loop(0, steps, advance, settled)[-1], step * steps
