"""Four auto-oscillators under two injected tones, simulated; which of them lock to which tone."""

from dataclasses import dataclass

import equinox as eqx
import numpy as np

from oscillators import AllToAll, AutoOscillators, preset, theory
from oscillators.window import Window
from physnet import FixedStep, Varied, integrate
from physnet.engines.base import fastest_rate
from physnet.signals import Held

OSCILLATORS, TONES = 4, 2
PRESET = "vortex-vowels"
_SPACING, _FEWEST = 2e-6 / 256, 16  # s between records of the window, and intervals in it: 2.4 rad are 48 MHz
_STEP, _NOISY_STEP = 1.0, 0.5  # over the fastest rate: amplitudes to better than 1e-5, more than locking needs
_LANES = 128  # samples in a chunk: every batch is a multiple of it, so that one compiled program serves all
_SLIPS = 0.5  # turns between an oscillator and a tone over the window, from which on they are not locked


@dataclass(frozen=True)
class Device:
    """What does not learn: rates in Hz, times in s.

    drive: F/2pi of each tone on each oscillator. coupling: W/2pi between any two. settling, window: how long the run
    is before frequencies are measured, and how long they are.
    """

    drive: float
    coupling: float
    settling: float
    window: float

    def half_range(self, frequency):
        """Theory: the largest detuning, Hz, at which an oscillator of this free frequency, Hz, locks to one tone."""
        device = preset(PRESET)
        power = (np.asarray(frequency, float) - device.frequency_hz) / device.nonlinear_shift_hz
        zeta = (1 + device.nonlinear_damping * power) / (1 - power)
        relaxation = theory.relaxation_rate(device.damping_hz, zeta)
        nu = theory.nonlinear_coupling(device.nonlinear_shift_hz, power, relaxation)
        return theory.injection_locking_half_range(self.drive, power, nu)

    def network(self, *, noise: float = 0.0) -> AutoOscillators:
        """The network at the preset's operating currents, both tones at its frequency. noise: D/2pi, Hz."""
        centre = preset(PRESET).generation_frequency_hz
        return AutoOscillators.from_preset(
            PRESET,
            AllToAll(self.coupling, OSCILLATORS),
            drive=np.full((TONES, OSCILLATORS), self.drive),
            drive_frequencies=np.full(TONES, centre),
            frame=centre,
            noise=noise,
        )


@dataclass(frozen=True)
class Simulated:
    """patterns: (sample, oscillator), 0 for none, 1 + tone. frequencies: mean ones, Hz, (sample, oscillator).

    error: largest estimated error of the amplitudes among the samples checked for it, NaN with noise. residual:
    (sample,), Hz, how far the mean frequencies of locked oscillators are from their tones. settled: (sample,), whether
    the run reached its end and both halves of the window show the same pattern.
    """

    patterns: np.ndarray
    frequencies: np.ndarray
    error: float
    residual: np.ndarray
    settled: np.ndarray


def set_tones(network, tones):
    """The network with its tones at these frequencies, Hz."""
    return eqx.tree_at(lambda s: s.drive_frequency, network, tones)


def currents_for(device: Device, frequencies) -> np.ndarray:
    """The currents, A, at which the oscillators alone have these free frequencies, Hz."""
    return np.asarray(device.network().currents_for(np.asarray(frequencies, float)))


def simulate(device: Device, currents, tones, *, key=None) -> Simulated:
    """Follows the network under every pair of tones. currents: (oscillator,), A. tones: (sample, 2), Hz.

    key: draws the preset's thermal noise; without one there is none. Raises PhysnetError where an oscillator turns so
    fast against the frame that its turns cannot be counted.
    """
    tones = np.asarray(tones, float)
    samples = len(tones)
    padded = tones[np.minimum(np.arange(-(-samples // _LANES) * _LANES), samples - 1)]
    noise = 0.0 if key is None else preset(PRESET).diffusion_hz
    system = Varied(device.network(noise=noise), set_tones, TONES, base=currents, names=("f_A", "f_B"))
    intervals = max(_FEWEST, 2 * int(np.ceil(device.window / (2 * _SPACING) - 1e-9)))  # even: the halves end at one
    recorded = device.settling + np.linspace(0, device.window, intervals + 1)
    step = (_STEP if key is None else _NOISY_STEP) / fastest_rate(system, Held(padded))
    engine = FixedStep(step=step, checked=_LANES if key is None else 0, lanes=_LANES)
    run = integrate(system, padded, np.concatenate([[0.0], recorded]), engine=engine, key=key)
    means = Window.of(run, recorded[0]).frequencies("flat")  # the window, its halves
    frequencies, *halves = np.moveaxis(means, -1, 1)[:, :samples]
    patterns = locked_to(frequencies, tones, device.window)
    early, late = (locked_to(half, tones, device.window / 2) for half in halves)
    followed = np.take_along_axis(tones, np.maximum(patterns - 1, 0), axis=1)
    return Simulated(
        patterns,
        frequencies,
        float(np.nanmax(np.asarray(run.error))) if key is None else np.nan,
        np.where(patterns > 0, np.abs(frequencies - followed), 0).max(axis=1),
        np.asarray(run.converged)[:samples] & (early == late).all(axis=1),
    )


def locked_to(frequencies, tones, window: float) -> np.ndarray:
    """The state of each oscillator: 0, or 1 + the tone whose frequency it has, to within half a turn over the window.

    frequencies: (sample, oscillator), Hz. tones: (sample, 2), Hz. window: s.
    """
    apart = np.abs(np.asarray(frequencies)[:, None, :] - np.asarray(tones)[:, :, None])
    return np.where(apart.min(axis=1) < _SLIPS / window, 1 + apart.argmin(axis=1), 0)
