"""Four auto-oscillators under two injected tones, simulated; which of them lock to which tone."""

from dataclasses import dataclass

import equinox as eqx
import numpy as np

from oscillators import AllToAll, AutoOscillators, preset, theory
from physnet import Varied, integrate

OSCILLATORS, TONES = 4, 2
PRESET = "vortex-vowels"
STATES = ("none", "A", "B")  # of one oscillator, as numbered in a pattern
_RECORDED = 256  # times in the window
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
    """patterns: (sample, oscillator), an index into STATES. frequencies: mean ones, Hz, (sample, oscillator).

    error: largest estimated error of the amplitudes among the samples checked for it. converged: (sample,).
    """

    patterns: np.ndarray
    frequencies: np.ndarray
    error: float
    converged: np.ndarray


def set_tones(network, tones):
    """The network with its tones at these frequencies, Hz."""
    return eqx.tree_at(lambda s: s.drive_frequency, network, tones)


def currents_for(device: Device, frequencies) -> np.ndarray:
    """The currents, A, at which the oscillators alone have these free frequencies, Hz."""
    return np.asarray(device.network().currents_for(np.asarray(frequencies, float)))


def simulate(device: Device, currents, tones, *, key=None) -> Simulated:
    """Follows the network under every pair of tones. currents: (oscillator,), A. tones: (sample, 2), Hz.

    key: draws the preset's thermal noise; without one there is none.
    """
    noise = 0.0 if key is None else preset(PRESET).diffusion_hz
    system = Varied(device.network(noise=noise), set_tones, TONES, base=currents, names=("f_A", "f_B"))
    recorded = device.settling + np.linspace(0, device.window, _RECORDED + 1)
    run = integrate(system, np.asarray(tones, float), np.concatenate([[0.0], recorded]), key=key)
    real, imaginary = (np.asarray(leaf)[:, 1:] for leaf in run.state[:2])
    phase = np.unwrap(np.arctan2(-imaginary, real), axis=1)  # c = sqrt(p) exp(-i phi)
    frequencies = float(system.system.frame) + (phase[:, -1] - phase[:, 0]) / (2 * np.pi * device.window)
    return Simulated(
        locked_to(frequencies, tones, device.window),
        frequencies,
        float(np.nanmax(run.error)),
        np.asarray(run.converged),
    )


def locked_to(frequencies, tones, window: float) -> np.ndarray:
    """The state of each oscillator: 0, or 1 + the tone whose frequency it has, to within half a turn over the window.

    frequencies: (sample, oscillator), Hz. tones: (sample, 2), Hz. window: s.
    """
    apart = np.abs(np.asarray(frequencies)[:, None, :] - np.asarray(tones)[:, :, None])
    return np.where(apart.min(axis=1) < _SLIPS / window, 1 + apart.argmin(axis=1), 0)


def pattern_name(pattern) -> str:
    """For people: "1A 3B" where oscillators 1 and 3 follow the tones A and B and the others none."""
    return " ".join(f"{i + 1}{STATES[state]}" for i, state in enumerate(pattern) if state) or "none"
