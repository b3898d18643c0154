"""Auto-oscillators in amplitudes and phases, whose steady states are the states in which all keep one frequency."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from oscillators.locking import Locking
from oscillators.network import Network
from oscillators.phase import PHASE
from physnet.errors import PhysnetError
from physnet.system import Parameter
from physnet.variable import Variable

_LARGEST_DENSE = 2000  # oscillators, as in `Locking`
_OFFSET = 0.01  # rad
_LEAST_POWER = 1e-4  # at which an oscillator starts that does not run by itself

State = tuple[Float[Array, " oscillator"], Float[Array, " oscillator"]]


class LockedOscillators(Network):
    """The physics of `AutoOscillators` for c = r exp(-i phi), without noise; the state is (ln r, phi), each (N,):

    d(ln r)/dt = 2 pi [sigma I (1 - p) - G (1 + Q p) + Re z],    dphi/dt = 2 pi [f0 + N p - f - Im z],
    z_i = (sum_j W_ij exp(i b_ij) c_j + F_i) / c_i,    p = r^2

    A steady state is a locked state. Without an injected tone its frequency f is unknown beforehand: the frame turns
    with the mean of the oscillators (residual and velocity, s-1, have the mean phase velocity taken out; `frequencies`
    tells the frequency), and the common phase is a neutral mode. With one tone the frame is the tone's and phases count
    from it. Inputs: currents (N,), A. Outputs: cosines, then sines, of the phases against that of oscillator 0, of
    the phases themselves where a tone is injected.

    network: the `AutoOscillators` to take over; `AutoOscillators.polar` makes this of it. drive: F/2pi of its tone, Hz,
    and drive_frequency: that of the tone, Hz; None without one. frame: Hz, the tone's, else the network's. trainable:
    names of the parameters that learn; frequencies and coupling weights by default. Raises PhysnetError for unknown
    names, several tones, which lock nothing to one frequency, and for delays.
    """

    drive: Float[Array, " oscillator"] | None
    drive_frequency: Float[Array, ""] | None
    frame: Float[Array, ""]
    trainable: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, network, trainable=None):
        for name in ("currents", "frequency", "nonlinear_shift", "damping", "nonlinear_damping", "efficiency"):
            setattr(self, name, getattr(network, name))
        self.couplings, self.below_threshold = network.couplings, network.below_threshold
        delayed = [coupling.delay for coupling in self.couplings if coupling.delay]
        if delayed:
            raise PhysnetError(
                f"LockedOscillators: a coupling has a delay of {delayed[0]:.6g} s, and steady states keep no history. "
                "In a locked state of frequency f a delay acts as the coupling phase 2 pi f delay: add it to b, and "
                "leave delay=0."
            )
        self.drive, self.drive_frequency, self.frame = None, None, network.frame
        if network.drive is not None:
            if network.drive.shape[0] != 1:
                raise PhysnetError(
                    f"LockedOscillators: {network.drive.shape[0]} tones are injected, and a steady state has one "
                    "frequency. Keep one tone, or follow the network in time with integrate()."
                )
            self.drive, self.drive_frequency = network.drive[0], network.drive_frequency[0]
            self.frame = self.drive_frequency
        self.trainable = None if trainable is None else tuple(trainable)
        known = {parameter.variable.name for parameter in self.parameters}
        unknown = set(self.trainable or ()) - known
        if unknown:
            raise PhysnetError(
                f"LockedOscillators: trainable names {sorted(unknown)}; the parameters are {sorted(known)}."
            )

    @property
    def is_free(self) -> bool:
        """Whether nothing fixes the common phase and the common frequency."""
        return self.drive is None

    @property
    def variables(self):
        return (
            Variable("log_amplitude", ("oscillator",), "1", "logarithm of the amplitude sqrt(p)"),
            PHASE,
        )

    @property
    def parameters(self):
        found = self._oscillator_parameters()
        if not self.is_free:
            found = (*found, *self._drive_parameters())
        if self.trainable is None:
            return found
        return tuple(Parameter(p.variable, p.get, p.variable.name in self.trainable) for p in found)

    def _drive_parameters(self):
        strength = Variable("drive", ("oscillator",), "Hz", "injected amplitude F/2pi")
        tone = Variable("drive_frequency", (), "Hz", "frequency of the injected tone")
        return (
            Parameter(strength, lambda s: s.drive, trainable=False),
            Parameter(tone, lambda s: s.drive_frequency, trainable=False),
        )

    @property
    def residual_units(self):
        return "s-1"

    @property
    def output_variable(self):
        return Variable("reading", ("output",), "1", "cosines, then sines, of the phases")

    def coordinates(self):
        read, against = (range(1, self.size), "-0") if self.is_free else (range(self.size), "")
        readings = tuple(f"{name}_{i}{against}" for name in ("cos", "sin") for i in read)
        return ((Variable("output", ("output",), "1", "phase read out"), readings), *super().coordinates())

    def initial_state(self, inputs, key=None):
        """Free powers, all nearly in phase (offsets of up to 0.01 rad leave what is not stable), or random phases."""
        if key is None:
            phases = jnp.asarray(_OFFSET * (np.arange(self.size) * (np.sqrt(5) - 1) / 2 % 1), self.frequency.dtype)
        else:
            phases = jax.random.uniform(key, (self.size,), self.frequency.dtype, -jnp.pi, jnp.pi)
        return jnp.log(jnp.maximum(self.free_power(inputs), _LEAST_POWER)) / 2, phases

    # What is read off a state

    def power(self, state: State) -> Float[Array, " oscillator"]:
        """p of each oscillator, dimensionless."""
        return jnp.exp(2 * state[0])

    def phases(self, state: State) -> Float[Array, " oscillator"]:
        """phi, rad, in the common frame."""
        return state[1]

    def frequencies(self, state: State, inputs: Array) -> Float[Array, " oscillator"]:
        """Frequency, Hz, at which each oscillator turns at this instant in the lab; all alike in a locked state."""
        return self.frame + self.rates(state, inputs)[1]

    def to_cartesian(self, state: State) -> tuple[Array, ...]:
        """The state as one of the `AutoOscillators` this was made of: (x, y), and the tone's phasor where injected.

        Shapes (N,), and (1,) for the phasor; all dimensionless.
        """
        amplitude, phase = jnp.exp(state[0]), state[1]
        parts = (amplitude * jnp.cos(phase), -amplitude * jnp.sin(phase))
        return parts if self.is_free else (*parts, jnp.ones_like(phase[:1]), jnp.zeros_like(phase[:1]))

    def from_cartesian(self, state: tuple[Array, ...]) -> State:
        """The inverse of `to_cartesian`: phases, rad, against the tone where one is injected.

        state: (x, y) of `AutoOscillators`, (N,) each, and the tone's phasor where one is injected; dimensionless.
        """
        x, y = state[:2]
        phases = jnp.arctan2(-y, x)
        if not self.is_free:
            phases = phases - jnp.arctan2(-state[3], state[2])
        return jnp.log(x * x + y * y) / 2, phases

    def outputs(self, state, inputs):
        angles = state[1][1:] - state[1][0] if self.is_free else state[1]
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)])

    # Physics

    def frame_frequency(self, inputs: Array) -> Float[Array, ""]:
        """Hz, against which `rates` are given: the tone's, else the network's frame, near the mean free frequency."""
        return self.frame

    def _pull(self, state) -> tuple[Array, Array]:
        """(real, imag) of z, Hz."""
        amplitude, phase = jnp.exp(state[0]), state[1]
        x, y = amplitude * jnp.cos(phase), -amplitude * jnp.sin(phase)
        u, v = jnp.zeros_like(x), jnp.zeros_like(y)
        for coupling in self.couplings:
            one = coupling.apply(x, y)
            u, v = u + one[0], v + one[1]
        if self.drive is not None:
            u = u + self.drive
        power = amplitude * amplitude
        return (u * x + v * y) / power, (v * x - u * y) / power

    def rates(self, state: State, inputs: Array) -> tuple[Array, Array]:
        """(d(ln r)/dt, dphi/dt) / 2 pi, Hz, (N,) each, in a frame of `frame_frequency`, locked or not."""
        power = self.power(state)
        real, imag = self._pull(state)
        pumping = self.efficiency * inputs
        growth = (pumping - self.damping) - (self.damping * self.nonlinear_damping + pumping) * power
        return growth + real, (self.frequency - self.frame) + self.nonlinear_shift * power - imag

    def vector_field(self, state, inputs):
        growth, turning = self.rates(state, inputs)
        if self.is_free:
            turning = turning - jnp.mean(turning)
        return 2 * jnp.pi * growth, 2 * jnp.pi * turning

    def residual(self, state, inputs):
        return jax.tree.map(jnp.negative, self.vector_field(state, inputs))

    def residual_scale(self, state, inputs):
        """2 pi (|pumping| + |damping| + |z|) and 2 pi (|detuning at this power| + |z|), or what arithmetic can resolve.

        So the relative residual of a phase velocity is the angle, rad, by which a phase is off its place.
        """
        power = self.power(state)
        pull = jnp.hypot(*self._pull(state))
        pumping = self.efficiency * inputs
        growth = pumping * jnp.abs(1 - power) + self.damping * jnp.abs(1 + self.nonlinear_damping * power)
        offset, shift = self.frequency - self.frame, self.nonlinear_shift * power
        detuning = offset + shift
        common = jnp.mean(self.rates(state, inputs)[1]) if self.is_free else 0.0
        share = jnp.finfo(power.dtype).eps ** 0.25
        turning = jnp.maximum(
            jnp.abs(detuning - common) + pull, share * (jnp.abs(offset) + jnp.abs(shift) + jnp.abs(common) + pull)
        )
        return 2 * jnp.pi * (growth + pull), 2 * jnp.pi * turning

    def metric(self, state, inputs):
        """kappa^2 for ln r and 1 for phi, kappa^2 = |d(phi-dot)/d(ln r)| / |d(ln r-dot)/d(phi)| (Frobenius norms).

        In the coordinates (kappa ln r, phi) amplitudes and phases pull on each other about equally hard, so that the
        response to a nudge is as little one-sided as the nonlinear frequency shift allows.
        """
        size = self.size

        def velocity(flat):
            return jnp.concatenate(self.vector_field((flat[:size], flat[size:]), inputs))

        matrix = jax.jacfwd(velocity)(jnp.concatenate(state))
        turning, growing = (jnp.linalg.norm(block) for block in (matrix[size:, :size], matrix[:size, size:]))
        known = (turning > 0) & (growing > 0)
        weight = jnp.where(known, jnp.where(known, turning, 1) / jnp.where(known, growing, 1), 1)
        return jnp.broadcast_to(weight, (size,)), jnp.ones_like(state[1])

    def neutral_modes(self, state):
        return ((jnp.zeros_like(state[0]), jnp.ones_like(state[1])),) if self.is_free else ()

    def fastest_rate(self, inputs):
        power = jnp.maximum(self.free_power(inputs), _LEAST_POWER)
        strength = sum((coupling.total_strength() for coupling in self.couplings), jnp.zeros_like(power))
        if self.drive is not None:
            strength = strength + jnp.abs(self.drive) / jnp.sqrt(jnp.max(power))
        turning = self.frequency - self.frame + self.nonlinear_shift * power
        if self.is_free:
            turning = turning - jnp.mean(turning)
        relaxing = jnp.abs(self.efficiency * inputs - self.damping)
        pull = strength * jnp.sqrt(jnp.max(power) / power)
        return 2 * jnp.pi * jnp.max(jnp.abs(turning) + 2 * relaxing + pull)

    def stability(self, state: State, inputs: Array) -> Float[Array, " mode"]:
        """Growth rates, s-1, of small disturbances of a locked state, the largest first, without the neutral mode.

        The real parts of the eigenvalues of the velocity's Jacobian, (2 N - 1,), or (2 N,) where a tone is injected:
        the state is stable where the first is negative, and one over its size is the time in which it settles.
        """
        size = self.size
        if len(state[0]) != size:
            raise PhysnetError(f"LockedOscillators.stability: pass the state of one sample, two arrays ({size},).")

        def velocity(flat):
            return jnp.concatenate(self.vector_field((flat[:size], flat[size:]), inputs))

        matrix = jax.jacfwd(velocity)(jnp.concatenate(state))
        if self.is_free:  # on the complement of the common phase, which the Jacobian maps into itself
            common = np.append(np.zeros(size), np.ones(size))
            basis = np.linalg.qr(np.column_stack([common, np.eye(2 * size)[:, :-1]]))[0][:, 1:]
            matrix = basis.T @ matrix @ basis
        return jnp.sort(jnp.linalg.eigvals(matrix).real)[::-1]

    def default_relaxer(self):
        """`Locking`, tighter than for phases alone: the power turns the phase nu times as fast as it relaxes."""
        polished = self.size <= _LARGEST_DENSE
        relaxer = Locking(rtol=1e-9, atol=1e-11, max_steps=20_000)
        return relaxer if polished else Locking(None, event_tolerance=1e-6, rtol=1e-10, atol=1e-12, max_steps=20_000)

    def diagnosis(self, state, inputs):
        """Why a locked state may not have been reached: which oscillators drift, and how fast. For one sample."""
        from oscillators.drift import drifting

        return str(drifting(self, inputs, state=state))
