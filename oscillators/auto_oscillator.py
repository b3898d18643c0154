"""Coupled spin-torque auto-oscillators in time: complex amplitudes in a rotating frame."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from oscillators import checks
from oscillators.network import Network
from physnet.errors import PhysnetError
from physnet.precision import asarray
from physnet.system import Parameter
from physnet.variable import Variable

_GOLDEN = (np.sqrt(5) - 1) / 2
_NEWTON = 4  # steps towards the root of a cubic, which they bound from above
_HOLD = 1.0  # rate that keeps an injected tone at amplitude 1, in units of its own turning: it costs no accuracy


class AutoOscillators(Network):
    """N coupled Slavin-Tiberkevich oscillators, c = sqrt(p) exp(-i phi) = x + i y, in a frame that turns at f_frame:

    dc/dt = 2 pi { -i (f0 - f_frame + N p) - G (1 + Q p) + sigma I (1 - p) } c
            + 2 pi sum_j W_ij exp(i b_ij) c_j(t - tau) + 2 pi sum_m F_im exp(-2 pi i (f_m - f_frame) t)
            + noise f,    <f f*> = 2 D delta(t)

    Slavin & Tiberkevich 2009, doi:10.1109/TMAG.2008.2009935. State (x, y), each (N,), dimensionless; with injected
    tones also their phasors (u, v), each (M,). Inputs: the currents I (N,), A. Parameters as in `Network`.

    drive: F/2pi, Hz, (M, N), or (N,) or a number for one tone. drive_frequencies: f_m, Hz, (M,) or a number, kept as
    drive_frequency: Hz, (M,).
    noise: D/2pi, Hz, of each oscillator or for all; `integrate(..., key=)` draws it. frame: Hz, by default the mean
    free frequency at the operating currents; 0 is the lab frame, where steps are ten times shorter. With delayed
    coupling the past before the first time is the initial c held in this frame, that is, turning at f_frame in the lab:
    the transient depends on the frame, which a comparison must fix.
    Raises PhysnetError for values that are not physical, shapes that do not fit, and oscillators below threshold.
    """

    drive: Float[Array, "tone oscillator"] | None
    drive_frequency: Float[Array, " tone"] | None
    noise: Float[Array, " oscillator"]
    frame: Float[Array, ""]

    _limits: ClassVar = (*Network._limits, ("noise", "Hz", 0.0, -np.inf))

    def __init__(
        self,
        *couplings,
        currents,
        frequency,
        nonlinear_shift,
        damping,
        efficiency,
        nonlinear_damping=0.0,
        drive=None,
        drive_frequencies=None,
        noise=0.0,
        frame=None,
        below_threshold=False,
    ):
        self._set_oscillators(
            couplings, currents, frequency, nonlinear_shift, damping, efficiency, nonlinear_damping, below_threshold
        )
        self.noise = self._each(noise, *self._limits[-1])
        if (drive is None) != (drive_frequencies is None):
            raise PhysnetError("AutoOscillators: give drive (Hz) and drive_frequencies (Hz) together, or neither.")
        self.drive, self.drive_frequency = None, None
        if drive is not None:
            dtype = self.frequency.dtype
            tones = jnp.atleast_1d(checks.floats(drive_frequencies, "AutoOscillators: drive_frequencies", "Hz"))
            self.drive_frequency = asarray(tones, dtype)
            drive = checks.floats(drive, "AutoOscillators: drive", "Hz", dtype=dtype)
            try:
                self.drive = jnp.broadcast_to(drive, (tones.size, self.size))
            except ValueError:
                raise PhysnetError(
                    f"AutoOscillators: drive has shape {drive.shape}; give F/2pi in Hz as ({tones.size}, {self.size}), "
                    "one row per tone."
                ) from None
        if frame is None:
            frame = jnp.mean(self.free_frequency(self.currents))
        self.frame = checks.floats(frame, "AutoOscillators: frame", "Hz", shape=(), dtype=self.frequency.dtype)
        self._check_frequencies()

    def _check_frequencies(self) -> None:
        if checks.is_traced(self.frame, self.drive_frequency):
            return
        tones = np.asarray([] if self.drive_frequency is None else self.drive_frequency)
        bad = np.flatnonzero(tones < 0)
        if bad.size:
            raise PhysnetError(
                f"AutoOscillators: drive_frequencies[{bad[0]}] is {tones[bad[0]]:.6g} Hz; frequencies of the lab frame "
                "are 0 or more."
            )
        if self.frame < 0:
            raise PhysnetError(
                f"AutoOscillators: frame is {float(self.frame):.6g} Hz; it must be 0 (the lab frame) or more."
            )

    def check_values(self, inputs):
        super().check_values(inputs)
        self._check_frequencies()

    def admissible(self, inputs):
        tones = True if self.drive_frequency is None else jnp.all(self.drive_frequency >= 0)
        return super().admissible(inputs) & tones & (self.frame >= 0)

    @property
    def variables(self):
        parts = [("amplitude_real", "real"), ("amplitude_imag", "imaginary")]
        found = [Variable(name, ("oscillator",), "1", f"{part} part of c, rotating frame") for name, part in parts]
        if self.drive is not None:
            found += [
                Variable(f"tone_{part}", ("tone",), "1", f"{part} part of the injected phasor, rotating frame")
                for part in ("real", "imag")
            ]
        return tuple(found)

    @property
    def parameters(self):
        found = list(self._oscillator_parameters())
        noise = Variable("noise", ("oscillator",), "Hz", "diffusion D/2pi of thermal noise", (0.0, np.inf))
        found.append(Parameter(noise, lambda s: s.noise, trainable=False))
        found.append(
            Parameter(Variable("frame", (), "Hz", "frequency of the rotating frame"), lambda s: s.frame, False)
        )
        if self.drive is not None:
            strength = Variable("drive", ("tone", "oscillator"), "Hz", "injected amplitude F/2pi")
            tone = Variable("drive_frequency", ("tone",), "Hz", "frequency of an injected tone")
            found += [
                Parameter(strength, lambda s: s.drive, False),
                Parameter(tone, lambda s: s.drive_frequency, False),
            ]
        return tuple(found)

    @property
    def residual_units(self):
        return "s-1"

    def initial_state(self, inputs, key=None):
        """On the free limit cycles, phases drawn with `key`, or spread by the golden section without one."""
        if key is None:
            phases = jnp.asarray(2 * np.pi * (np.arange(self.size) * _GOLDEN % 1), self.frequency.dtype)
        else:
            phases = jax.random.uniform(key, (self.size,), self.frequency.dtype, -jnp.pi, jnp.pi)
        return self.state_at(phases, inputs)

    def state_at(self, phases: Float[Array, " oscillator"], currents: Float[Array, " oscillator"]):
        """The state of free limit cycles, tones at phase 0.

        phases: rad, (N,). currents: A, (N,). An oscillator at or below its threshold starts at c = 0.01 so that it can
        grow.
        """
        amplitude = jnp.maximum(jnp.sqrt(self.free_power(currents)), 0.01)
        state = (amplitude * jnp.cos(phases), -amplitude * jnp.sin(phases))
        if self.drive is None:
            return state
        return (*state, jnp.ones_like(self.drive_frequency), jnp.zeros_like(self.drive_frequency))

    def vector_field(self, state, inputs):
        return self.delayed_vector_field(state, (), inputs)

    def delayed_vector_field(self, state, past, inputs):
        x, y = state[:2]
        power = x * x + y * y
        turning = (self.frequency - self.frame) + self.nonlinear_shift * power
        pumping = self.efficiency * inputs
        growth = (pumping - self.damping) - (self.damping * self.nonlinear_damping + pumping) * power
        u, v = self._coupled(state, past)
        if self.drive is not None:
            cos, sin = state[2:]
            u, v = u + cos @ self.drive, v + sin @ self.drive
        rate = 2 * jnp.pi
        field = (rate * (growth * x + turning * y + u), rate * (growth * y - turning * x + v))
        if self.drive is None:
            return field
        omega = rate * (self.drive_frequency - self.frame)
        hold = _HOLD * jnp.abs(omega) * (1 - cos * cos - sin * sin)
        return (*field, omega * sin + hold * cos, -omega * cos + hold * sin)

    def _coupled(self, state, past):
        """sum_j M_ij c_j of all couplings, the delayed ones from the past, turned with the frame."""
        u, v = 0.0, 0.0
        for coupling in self.couplings:
            if not coupling.delay or not past:  # without a past: the state has been what it is
                x, y = state[:2]
            else:
                x, y = past[self.delays.index(coupling.delay)][:2]
            if coupling.delay:
                angle = 2 * jnp.pi * self.frame * coupling.delay
                c, s = jnp.cos(angle), jnp.sin(angle)
                x, y = c * x - s * y, s * x + c * y
            one = coupling.apply(x, y)
            u, v = u + one[0], v + one[1]
        return u, v

    @property
    def delays(self):
        return tuple(sorted({coupling.delay for coupling in self.couplings} - {0.0}))

    def diffusion(self, state, inputs):
        amplitude = jnp.sqrt(2 * jnp.pi * self.noise)
        return (amplitude, amplitude, *(jnp.zeros_like(leaf) for leaf in state[2:]))

    @property
    def is_noisy(self):
        return bool(jnp.any(self.noise > 0))

    def fastest_rate(self, inputs):
        power = self.free_power(inputs)
        pumping = jnp.abs(self.efficiency * inputs - self.damping)
        strength = sum((coupling.total_strength() for coupling in self.couplings), jnp.zeros_like(power))
        detuning, highest = self.frequency - self.frame, self._highest_power(inputs, strength)
        turning = jnp.maximum(
            jnp.abs(detuning + self.nonlinear_shift * power), jnp.abs(detuning + self.nonlinear_shift * highest)
        )
        rate = jnp.max(turning + 2 * pumping + strength)
        if self.drive is not None:
            pull = jnp.sum(jnp.abs(self.drive), axis=0) / jnp.sqrt(jnp.maximum(power, 0.01))
            rate = jnp.max(jnp.abs(self.drive_frequency - self.frame)) + rate + jnp.max(pull)
        return 2 * jnp.pi * rate

    def _highest_power(self, inputs, strength):
        """The most power that coupling and tones, all in phase, can give each oscillator; the free power without."""
        pumping = self.efficiency * inputs
        growth = pumping - self.damping
        # Well below threshold the nonlinear losses may vanish: a tenth of the damping then stands for them.
        limit = jnp.maximum(self.damping * self.nonlinear_damping + pumping, 0.1 * self.damping)
        drive = 0.0 if self.drive is None else jnp.sum(jnp.abs(self.drive), axis=0)
        partner = jnp.max(_balance(growth + strength, limit, drive))
        return _balance(growth, limit, strength * partner + drive) ** 2

    def residual(self, state, inputs):
        """-ds/dt. It vanishes only where all turn at f_frame; locked states of any frequency: `polar`."""
        return jax.tree.map(jnp.negative, self.vector_field(state, inputs))

    def diagnosis(self, state, inputs):
        return (
            "This network is at rest only where all turn at its frame. Its locked states, of whatever frequency, are "
            "the steady states of network.polar(): relax(network.polar(), currents)."
        )

    def residual_scale(self, state, inputs):
        return jax.tree.map(lambda leaf: jnp.broadcast_to(self.fastest_rate(inputs), leaf.shape), state)

    def outputs(self, state, inputs):
        """The power p of each oscillator, dimensionless."""
        x, y = state[:2]
        return x * x + y * y

    @property
    def output_variable(self):
        return Variable("power", ("oscillator",), "1", "power |c|^2")

    def emission(self, state) -> tuple[Array, Array]:
        """(real, imag) of sum_i c_i, what an analyser sees of oscillators in series, dimensionless.

        state: of one sample, or with leading axes (..., N) on every leaf, which are kept: shape (...) each.
        """
        return state[0].sum(axis=-1), state[1].sum(axis=-1)

    def polar(self, trainable=None) -> "eqx.Module":
        """The same network in amplitudes and phases, whose steady states are the locked states.

        trainable: names of the parameters that learn, such as ("frequency", "coupling_weight", "coupling_phase").
        """
        from oscillators.locked import LockedOscillators

        return LockedOscillators(self, trainable)


def _balance(growth, limit, push):
    """A tight upper bound of the amplitude a > 0 where growth a - limit a^3 + push = 0 (limit > 0, push >= 0)."""
    a = jnp.sqrt(jnp.maximum(growth, 0) / limit + jnp.cbrt(push / limit) ** 2)
    for _ in range(_NEWTON):  # from above on a convex function: no step goes below the root
        slope = 3 * limit * a * a - growth
        step = ((limit * a * a - growth) * a - push) / jnp.where(slope > 0, slope, 1)
        a = a - jnp.where(slope > 0, step, 0)
    return a
