"""The three oscillators of `studies.binding` in time, and the detector that reads whether they have synchronised."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from oscillators import AllToAll, AutoOscillators, preset
from physnet import FixedStep, integrate
from studies._binding_ramps import UNIT, WINDOW, signal_for

# W/2pi, Hz: free peaks at 335, 339.5 and 343 MHz then lock at 339.4 MHz, and peaks 5 % further apart do not.
COUPLING = 0.55e6
SPAN = 40  # samples, one per a.u., that the detector looks at together: a resolution bandwidth of 2.5 MHz
HOP = 3  # a.u. between successive looks
THRESHOLD = 5.0  # peaks of one free oscillator; two in phase give at most 4.7, three that lock 5.9 to 9
SLIP = 0.25  # turn: oscillators whose phases part by less over a look are at one mean frequency
NOISY_STEP = 1.25e-9  # s, of order 3: as the noise vanishes it decides on all 40 sequences as order 8 does
STEP = UNIT / 4  # s, without noise; the stored integration error says what that costs
LANES = 160  # sequences computed at once; one shape is one compilation


def device():
    """The parameter set of the oscillators."""
    return preset("vortex-binding")


def network(diffusion: float = 0.0) -> AutoOscillators:
    """Three equal oscillators, all acting on each other with b = arctan nu. diffusion: D/2pi of the noise, Hz."""
    coupling = AllToAll(COUPLING, 3, phase=np.arctan(device().nu))
    return AutoOscillators.from_preset(device(), coupling, noise=diffusion)


def reduced_coupling() -> float:
    """W sqrt(1 + nu^2) / 2pi, Hz, between the phases alone, at the operating point."""
    return COUPLING * float(np.hypot(1, device().nu))


@dataclass(frozen=True)
class Readings:
    """What the detector says of each sequence; arrays (sample,).

    peak: highest peak in the spectrum of the summed emission in any look, in peaks of a free oscillator at the
    operating point. slip: the least over looks of the largest difference of two phases' advance over the look, turns.
    time: of the look with the highest peak, its middle, a.u. error: of the integration by step doubling, NaN where not
    checked.
    """

    peak: np.ndarray
    slip: np.ndarray
    time: np.ndarray
    error: np.ndarray

    @property
    def recognised(self) -> np.ndarray:
        """The decision: the emission of three oscillators in step is seen at some time."""
        return self.peak >= THRESHOLD

    @property
    def locked(self) -> np.ndarray:
        """The same from the phases, which an experiment does not see: three equal mean frequencies over one look."""
        return self.slip <= SLIP


def follow(ramps, events, *, diffusion: float = 0.0, key=None, checked: int | None = 0):
    """The trajectory, one state per a.u., of samples with ramps (sample, 6) and events (sample, 2)."""
    system = network(diffusion)
    signal = signal_for(system, ramps, events)
    times = UNIT * np.arange(WINDOW + 1)
    initial = jax.vmap(lambda one: system.initial_state(one.at(jnp.zeros(()))))(signal)
    engine = FixedStep(step=STEP if key is None else NOISY_STEP, checked=checked, lanes=LANES)
    return integrate(system, signal, times, initial=initial, engine=engine, key=key)


def read(ramps, events, *, diffusion: float = 0.0, key=None, checked: int | None = 0) -> Readings:
    """Runs every sample, a part at a time, and reads the detector. Arguments as for `follow`."""
    ramps, events = np.asarray(ramps), np.asarray(events)
    parts = []
    for i, begin in enumerate(range(0, len(ramps), 4 * LANES)):
        rows = slice(begin, begin + 4 * LANES)
        part_key = None if key is None else jax.random.fold_in(key, i)
        run = follow(filled(ramps[rows]), filled(events[rows]), diffusion=diffusion, key=part_key, checked=checked)
        error = np.full(len(run.steps), np.nan) if run.error is None or key is not None else np.asarray(run.error)
        found = (*detect(np.asarray(run.state[0]), np.asarray(run.state[1])), error)
        parts.append([array[: len(ramps[rows])] for array in found])
    return Readings(*(np.concatenate(arrays) for arrays in zip(*parts)))


def filled(array):
    """The array repeated at its end to a multiple of LANES rows, so that all runs share one compiled program."""
    missing = -len(array) % LANES
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])


def detect(real: np.ndarray, imag: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(peak, slip, time) as in `Readings` from amplitudes (sample, time, oscillator), one per a.u."""
    emission = real.sum(-1) + 1j * imag.sum(-1)
    looks = sliding_window_view(emission, SPAN, axis=1)[:, ::HOP]
    spectra = np.abs(np.fft.fft(looks / SPAN, 2 * SPAN)) ** 2 / device().power
    peaks = spectra.max(-1)
    phases = np.unwrap(np.arctan2(imag, real), axis=1)
    advance = (phases[:, SPAN - 1 :] - phases[:, : 1 - SPAN])[:, ::HOP] / (2 * np.pi)
    slip = np.ptp(advance, axis=-1).min(-1)
    return peaks.max(-1), slip, HOP * peaks.argmax(-1) + (SPAN - 1) / 2


def crossed(ramps: np.ndarray, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every network's ramps (class, 6) with every sequence (sequence, 2): samples (class * sequence, ...)."""
    return np.repeat(ramps, len(events), axis=0), np.tile(events, (len(ramps), 1))
