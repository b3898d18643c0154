"""The free oscillators of an XY network under a drive that does not change while they settle."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physnet.system import EnergySystem
from physnet.variable import Variable


class DrivenXY(EnergySystem):
    """Phases phi (N,), rad, coupled to each other and pulled by a drive m = (real, imag), (2, N), Hz, their input:

    E/2pi = - 1/2 sum_ij W_ij cos(phi_i - phi_j) - sum_i (Re m_i cos phi_i + Im m_i sin phi_i)
            - 1/2 sum_i S_i cos(2 phi_i) - sum_i f_i phi_i

    What is left of an `XYNetwork` once its inputs are known: it has no parameters of its own. Nothing but sums and
    products of cosines and sines, so that E is an analytic function of the phases.
    """

    matrix: Float[Array, "oscillator oscillator"]
    detuning: Float[Array, " oscillator"] | None
    second_harmonic: Float[Array, " oscillator"] | None
    number_of_outputs: int = eqx.field(static=True)
    readout: str = eqx.field(static=True)

    parameters = ()
    variables = (Variable("oscillator_phase", ("oscillator",), "rad", "phase of each oscillator", period=2 * np.pi),)
    input_variable = Variable("drive", ("part", "oscillator"), "Hz", "real and imaginary part of the drive")
    output_variable = Variable("reading", ("output",), "1", "what is read of the output phases")
    residual_units, energy_units = "rad s-1", "rad2 s-1"

    @property
    def input_shape(self):
        return (2, self.matrix.shape[0])

    def initial_state(self, inputs, key=None):
        return jnp.arctan2(inputs[1], inputs[0])

    def pull(self, cosine: Array, sine: Array, drive: Array) -> tuple[Array, Array]:
        """Real and imaginary part, Hz, of what acts on each oscillator, sum_j W_ij exp(i phi_j) + m_i."""
        return self.matrix @ cosine + drive[0], self.matrix @ sine + drive[1]

    def energy(self, state, inputs):
        cosine, sine = jnp.cos(state), jnp.sin(state)
        u, v = self.pull(cosine, sine, 2 * inputs)
        energy = -0.5 * jnp.sum(cosine * u + sine * v)
        if self.second_harmonic is not None:
            energy = energy - 0.5 * jnp.sum(self.second_harmonic * jnp.cos(2 * state))
        if self.detuning is not None:
            energy = energy - jnp.sum(self.detuning * state)
        return 2 * jnp.pi * energy

    def residual(self, state, inputs):
        return self.phasor_residual(jnp.cos(state), jnp.sin(state), inputs)

    def phasor_residual(self, cosine, sine, inputs) -> Float[Array, " oscillator"]:
        """`residual` from cosines and sines of the phases, each (N,), without trigonometry."""
        u, v = self.pull(cosine, sine, inputs)
        slope = sine * u - cosine * v
        if self.second_harmonic is not None:
            slope = slope + 2 * self.second_harmonic * sine * cosine
        if self.detuning is not None:
            slope = slope - self.detuning
        return 2 * jnp.pi * slope

    def _extra_forces(self) -> Float[Array, " oscillator"]:
        size = jnp.zeros(self.matrix.shape[0], self.matrix.dtype)
        for strength in (self.detuning, self.second_harmonic):
            size = size if strength is None else size + jnp.abs(strength)
        return size

    def residual_scale(self, state, inputs):
        u, v = self.pull(jnp.cos(state), jnp.sin(state), inputs)
        forces = jnp.sqrt(jnp.abs(u) ** 2 + jnp.abs(v) ** 2) + self._extra_forces()
        floor = jnp.finfo(self.matrix.dtype).eps ** 0.25 * self.stiffness(inputs) / (2 * jnp.pi)
        return 2 * jnp.pi * jnp.maximum(forces, floor)

    def stiffness(self, inputs: Float[Array, "part oscillator"]) -> Float[Array, " oscillator"]:
        """2 pi (sum_j |W_ij| + |m_i| + |f_i| + 2 |S_i|), rad/s, D: the curvature never exceeds that of 2 D."""
        extra = self._extra_forces() + (0 if self.second_harmonic is None else jnp.abs(self.second_harmonic))
        total = jnp.sum(jnp.abs(self.matrix), axis=1) + jnp.sqrt(inputs[0] ** 2 + inputs[1] ** 2) + extra
        return 2 * jnp.pi * total

    def outputs(self, state, inputs):
        read = state[state.shape[0] - self.number_of_outputs :]
        return jnp.cos(read) if self.readout == "cosines" else jnp.concatenate([jnp.cos(read), jnp.sin(read)])

    def default_relaxer(self):
        from oscillators.xy_relaxation import PhaseDescent

        return PhaseDescent()


def spectral_phases(matrix: Float[Array, "oscillator oscillator"], drive: Float[Array, "part oscillator"]) -> Array:
    """Phases, rad, (N,), of the leading eigenvector of the couplings and the drive: a start near a deep minimum.

    With z = (exp(i phi), 1), E/2pi = - z^H A z / 2 for the Hermitian matrix A = [[W, m], [m^H, 0]]. If only the norm
    of z is held, not every |z_i|, the minimum is A's leading eigenvector; its phases, against that of the last entry,
    are the start.
    """
    m = drive[0] + 1j * drive[1]
    upper = jnp.concatenate([matrix.astype(m.dtype), m[:, None]], axis=1)
    lower = jnp.concatenate([jnp.conj(m), jnp.zeros(1, m.dtype)])
    leading = jnp.linalg.eigh(jnp.concatenate([upper, lower[None]], axis=0))[1][:, -1]
    return jnp.angle(leading[:-1] * jnp.conj(leading[-1])).astype(matrix.dtype)
