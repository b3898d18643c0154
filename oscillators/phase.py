"""Networks of phases that descend an energy: XY and Kuramoto models, oscillator Ising machines."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from oscillators import checks
from oscillators.coupling import Coupling
from oscillators.locking import Locking
from oscillators.phase_model import PhaseModel
from physnet.errors import PhysnetError
from physnet.system import EnergySystem
from physnet.variable import Variable

PHASE = Variable(
    "oscillator_phase", ("oscillator",), "rad", "phase of each oscillator in the common frame", period=2 * np.pi
)


class PhaseNetwork(PhaseModel, EnergySystem):
    """Oscillators whose phases, phi (N,) in rad, run downhill: dphi/dt = -dE/dphi with, in the frame of f_frame,

    E/2pi = - 1/2 sum_ij W_ij cos(phi_i - phi_j + b_ij) - sum_i h_i cos(phi_i - psi_i) - 1/2 sum_i S_i cos(2 phi_i)
            - sum_i (f_i - f_frame) phi_i

    (E in rad^2/s). A locked state is a minimum of E; the energy of frequencies is a slope without end, so a network
    whose detunings exceed its couplings has none, and relaxing it raises an error that names the oscillators that
    drift. Equal frequencies give the XY model, with fields that of equilibrium propagation (Wang, Wanjura & Marquardt
    2024, arXiv:2402.08579); second harmonics make an oscillator Ising machine (Wang & Roychowdhury 2017,
    arXiv:1709.08102).

    The coupling must be reciprocal: W_ij = W_ji and b_ij = -b_ji, so that a symmetric b is 0 or pi (which is W < 0).
    Arguments as for `PhaseModel`. Raises PhysnetError for a coupling that no energy describes.
    """

    def _check_coupling(self, coupling: Coupling) -> None:
        super()._check_coupling(coupling)
        if checks.is_traced(coupling):
            return
        found = coupling.irreversibility()
        if found > 10 * float(jnp.finfo(coupling.total_strength().dtype).eps) ** 0.5:
            raise PhysnetError(
                f"PhaseNetwork: the coupling has no energy: |M - M^H| / |M + M^H| = {found:.3g} for M = W exp(i b), "
                "which must be 0 (W_ij = W_ji and b_ij = -b_ji; a symmetric b is 0 or pi). Use Kuramoto(coupling, "
                "...) with implicit_gradient, or coupling.symmetrised()."
            )

    @property
    def variables(self):
        return (PHASE,)

    def initial_state(self, inputs, key=None):
        """All nearly in phase, or uniform in [-pi, pi) with a key.

        Exactly in phase, equal oscillators balance whether they attract or repel; offsets of up to 0.01 rad let them
        leave what is not stable.
        """
        return self._first_phases(key)

    def phases(self, state):
        return state

    def phasors(self, state):
        return jnp.cos(state), -jnp.sin(state)

    def energy(self, state, inputs):
        real, imag = self.phasors(state)
        u, v = self.coupling.apply(real, imag)
        energy = -0.5 * jnp.sum(real * u + imag * v)  # vdot would conjugate the complex states of holomorphic nudging
        energy -= jnp.vdot(self.detuned(inputs) - self.frame_frequency(inputs), state)
        if self.field is not None:
            energy -= jnp.vdot(self.field, jnp.cos(state - self.field_phase))
        if self.second_harmonic is not None:
            energy -= 0.5 * jnp.vdot(self.second_harmonic, jnp.cos(2 * state))
        return 2 * jnp.pi * energy

    def residual(self, state, inputs):
        """dE/dphi = -dphi/dt, rad/s: half the work of differentiating the energy."""
        return -2 * jnp.pi * self.turning(*self.phasors(state), inputs)

    def phasor_residual(self, cosine, sine, inputs) -> Float[Array, " oscillator"]:
        """`residual`, rad/s, without trigonometry. cosine, sine: of the phases, (N,), dimensionless."""
        return -2 * jnp.pi * self.turning(cosine, -sine, inputs)

    def stiffness(self, inputs) -> Float[Array, " oscillator"]:
        """2 pi (sum_j |W_ij| + |f - f_frame| + |h| + 2 |S|), rad/s, D: the curvature never exceeds that of 2 D."""
        total = self.coupling.total_strength() + jnp.abs(self.detuned(inputs) - self.frame_frequency(inputs))
        for strength, times in ((self.field, 1), (self.second_harmonic, 2)):
            total = total if strength is None else total + times * jnp.abs(strength)
        return 2 * jnp.pi * total

    def scouts(self):
        from oscillators.phasor_descent import PhasorDescent
        from oscillators.xy_relaxation import LARGEST_POLISHED, PhaseDescent

        return PhasorDescent(max_steps=64), PhaseDescent() if self.size <= LARGEST_POLISHED else self.default_relaxer()

    def residual_scale(self, state, inputs):
        """2 pi (|detuning| + |sum_j W_ij c_j| + |h| + |S|), rad/s, or the least that arithmetic can resolve."""
        return self._size_of_terms(state, inputs)

    def neutral_modes(self, state):
        return (jnp.ones_like(state),) if self.is_free else ()

    def default_relaxer(self):
        return Locking.of_size(self.size)
