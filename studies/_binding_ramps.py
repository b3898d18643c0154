"""The ramps of `studies.binding`: how events move the free frequencies of the three oscillators.

Times here are in a.u. of the paper's sequences, frequencies in MHz, slopes in MHz per a.u.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physnet.signals import Signal
from studies._binding_data import CLASSES

UNIT = 10e-9  # s, one a.u.: power relaxes in 8 ns and three oscillators lock in 20 ns; ramps take microseconds
WINDOW = 1180  # a.u.
FLOOR, CEILING = 318.0, 352.0  # MHz, where ramps end: above threshold with room to spare, and not far above the holds
START, END, HOLD_2, HOLD_3 = 323.0, 342.5, 346.8, 344.0  # MHz, of the paper
RAMPS = ("start_1", "slope_1", "hold_2", "slope_2", "hold_3", "slope_3")
IS_SLOPE = np.array([False, True] * 3)
STEEPEST = 0.4  # MHz per a.u.: 40 MHz in a microsecond; the power follows in 8 ns
DELAY = 60.0  # a.u. from the last event before a meeting to the meeting, chosen here
STEEP, LOW = 0.05, 320.0  # MHz per a.u. and MHz, first ramp of an early meeting, chosen here


class RampCurrents(Signal):
    """Currents under which the free frequencies rise and fall along straight lines.

    ramps: (6,) as in RAMPS: start of oscillator 1 (MHz) and its slope up (MHz per a.u.), hold and slope down of 2 and
    of 3. events: (2,), t2 and t3, a.u. device: (3,), f0 (MHz), N/2pi (MHz) and threshold current (A) of every
    oscillator, whose frequency is f0 + (N/2pi)(1 - threshold/current).
    """

    ramps: Float[Array, "*sample 6"]
    events: Float[Array, "*sample 2"]
    device: Float[Array, "*sample 3"]

    def at(self, time):
        return self._currents(frequencies_at(self.ramps, self.events, time / UNIT), self.device)

    def extremes(self):
        limits = jnp.broadcast_to(jnp.array([FLOOR, CEILING])[:, None], (2, len(RAMPS) // 2))
        return self._currents(limits, self.device[0])

    def checked(self, system):
        system.check_values(self.extremes())
        return self, True

    @staticmethod
    def _currents(frequencies, device):
        f0, shift, threshold = device
        return threshold / (1 - (frequencies - f0) / shift)


def signal_for(network, ramps, events) -> RampCurrents:
    """The signal of samples with ramps (sample, 6) and events (sample, 2), for a network of equal devices."""
    device = jnp.stack(
        [network.frequency[0] / 1e6, network.nonlinear_shift[0] / 1e6, network.damping[0] / network.efficiency[0]]
    )
    ramps, events = jnp.asarray(ramps), jnp.asarray(events)
    return RampCurrents(ramps, events, jnp.broadcast_to(device, (ramps.shape[0], 3)))


def frequencies_at(ramps: Float[Array, " 6"], events: Float[Array, " 2"], time) -> Float[Array, " 3"]:
    """Free frequencies, MHz, of one sample at a time in a.u.; traceable. Linear in `ramps` between the limits."""
    start, up, hold_2, down_2, hold_3, down_3 = ramps
    since = jnp.maximum(time - events, 0)
    lines = [start + up * time, hold_2 - down_2 * since[0], hold_3 - down_3 * since[1]]
    return jnp.clip(jnp.stack(lines), FLOOR, CEILING)


@jax.jit
def frequencies_in_time(ramps, events, times):
    """Free frequencies (sample, time, 3), MHz, of samples (sample, 6), (sample, 2) at times (time,), a.u."""
    one = jax.vmap(frequencies_at, in_axes=(None, None, 0))
    return jax.vmap(one, in_axes=(0, 0, None))(ramps, events, times)


def centroid_ramps(events: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(class, 6): the paper's levels and first ramp, the others so steep that all meet for the class's mean sequence.

    They meet DELAY after its last event. events: (sequence, 2), a.u.; labels: (sequence,).
    """
    up = (END - START) / WINDOW
    found = []
    for k in range(len(CLASSES)):
        centre = events[labels == k].mean(0)
        meeting = centre.max() + DELAY
        frequency = START + up * meeting
        down_2, down_3 = (np.array([HOLD_2, HOLD_3]) - frequency) / (meeting - centre)
        found.append((START, up, HOLD_2, down_2, HOLD_3, down_3))
    return np.array(found)


def early_ramps(events: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(class, 6): all meet for the class's mean sequence between its two events, at the level of the one that holds.

    The first ramp is STEEP, so that they get there in time; the oscillator that still holds will fall at twice that.
    Such ramps recognise a strip that ends: sequences whose later event comes too early are left out.
    """
    found = []
    for k in range(len(CLASSES)):
        centre = events[labels == k].mean(0)
        first = int(centre.argmin())
        meeting = min(centre.min() + DELAY, centre.mean())
        frequency = LOW + STEEP * meeting
        level = max((HOLD_2, HOLD_3)[first], frequency + 2)
        holds, downs = np.full(2, frequency), np.full(2, 2 * STEEP)
        holds[first], downs[first] = level, (level - frequency) / (meeting - centre[first])
        found.append((LOW, STEEP, holds[0], downs[0], holds[1], downs[1]))
    return np.array(found)


def limited(ramps):
    """Ramps (..., 6) that the device can follow: levels between FLOOR and CEILING, slopes up to STEEPEST."""
    slope = np.broadcast_to(IS_SLOPE, ramps.shape)
    low, high = np.where(slope, 1e-3, FLOOR), np.where(slope, STEEPEST, CEILING)
    return np.clip(ramps, low, high) if isinstance(ramps, np.ndarray) else jnp.clip(ramps, low, high)


def moved(ramps, units):
    """Ramps (..., 6) after a move by `units` (..., 6): of 1 MHz for levels, of 5 % for slopes; within the limits."""
    slope = np.broadcast_to(IS_SLOPE, ramps.shape)
    if isinstance(ramps, np.ndarray) and isinstance(units, np.ndarray):
        return limited(np.where(slope, ramps * np.exp(0.05 * units), ramps + units))
    return limited(jnp.where(slope, ramps * jnp.exp(0.05 * units), ramps + units))


def per_unit(ramps: np.ndarray) -> np.ndarray:
    """d(moved ramps)/d(units) at ramps (..., 6)."""
    return np.where(IS_SLOPE, 0.05 * ramps, 1.0)
