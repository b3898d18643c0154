"""Oscillators that lock without an energy: any coupling matrix, by phases or by phasors."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from oscillators import checks
from oscillators.locking import Locking
from oscillators.phase import PHASE
from oscillators.phase_model import PhaseModel
from physnet.errors import PhysnetError
from physnet.system import Parameter
from physnet.variable import Variable


class Kuramoto(PhaseModel):
    """Phases, phi (N,) in rad, under any coupling W_ij exp(i b_ij), returned or not:

    dphi_i/dt = 2 pi [f_i - f_frame - sum_j W_ij sin(phi_i - phi_j + b_ij) - h_i sin(phi_i - psi_i) - S_i sin(2 phi_i)]

    (Kuramoto 1975, doi:10.1007/BFb0013365; Sakaguchi & Kuramoto 1986, doi:10.1143/PTP.76.576, where b is not 0). A
    locked state turns at a common frequency that is unknown beforehand: its residual, rad/s, is the velocity less its
    mean over the oscillators (`frequencies` tells the frequency), and the common phase is a neutral mode, unless a
    field or second harmonic fixes it. Gradients by `implicit_gradient`. Arguments and errors as for `PhaseModel`.
    """

    @property
    def variables(self):
        return (PHASE,)

    def initial_state(self, inputs, key=None):
        """All nearly in phase (offsets of up to 0.01 rad leave what is not stable); uniform in [-pi, pi) with a key."""
        return self._first_phases(key)

    def phases(self, state):
        return state

    def phasors(self, state):
        return jnp.cos(state), -jnp.sin(state)

    def vector_field(self, state, inputs):
        """dphi/dt, rad/s, in the frame that turns at `frame_frequency`."""
        return 2 * jnp.pi * self.turning(*self.phasors(state), inputs)

    def residual(self, state, inputs):
        turning = self.turning(*self.phasors(state), inputs)
        return -2 * jnp.pi * (turning - jnp.mean(turning) if self.is_free else turning)

    def residual_scale(self, state, inputs):
        """2 pi (|detuning| + |sum_j W_ij c_j| + |h| + |S|), rad/s, or the least that arithmetic can resolve."""
        return self._size_of_terms(state, inputs)

    def neutral_modes(self, state):
        return (jnp.ones_like(state),) if self.is_free else ()

    def why_no_energy(self):
        return _reciprocity(self.coupling)

    def default_relaxer(self):
        return Locking.of_size(self.size)


def _reciprocity(coupling) -> str:
    """What keeps a network of phases from having an energy, and which network has one."""
    odd = coupling.irreversibility()
    if odd < 1e-12:
        return " Its coupling is reciprocal, so PhaseNetwork of the same coupling and frequencies has an energy."
    return (
        f" Its coupling is not reciprocal (|M - M^H| is {odd:.2g} of |M + M^H|, M = W exp(ib)): PhaseNetwork of "
        "coupling.symmetrised() has an energy, that of its reciprocal part."
    )


class Phasors(PhaseModel):
    """The physics of `Kuramoto` on phasors c = exp(-i phi), the state (real, imag), each (N,): no trigonometry.

    dc_i/dt = -i (dphi_i/dt) c_i + rate (1 - |c_i|^2) c_i

    The second term holds |c| = 1 and turns nothing. radial_rate: that rate, s-1; the largest sum of |W| over an
    oscillator's partners, times 2 pi, by default. arguments: all others, with their errors, as for `PhaseModel`.
    """

    radial_rate: Float[Array, ""]

    def __init__(self, coupling, frequencies=0.0, *, radial_rate=None, **arguments):
        super().__init__(coupling, frequencies, **arguments)
        largest = 2 * jnp.pi * jnp.max(coupling.total_strength())
        rate = jnp.where(largest > 0, largest, 1) if radial_rate is None else radial_rate
        self.radial_rate = checks.floats(rate, "Phasors: radial_rate", "s-1", shape=(), dtype=largest.dtype)
        if not checks.is_traced(self.radial_rate) and not self.radial_rate > 0:
            raise PhysnetError(
                f"Phasors: radial_rate is {float(self.radial_rate):.6g} s-1; it must be above 0 to hold |c| at 1."
            )

    def _all_parameters(self):
        rate = Variable("radial_rate", (), "s-1", "rate at which |c| returns to 1")
        return (*super()._all_parameters(), Parameter(rate, lambda s: s.radial_rate, trainable=False))

    @property
    def variables(self):
        names = (("real", "real part of exp(-i phase)"), ("imag", "imaginary part of exp(-i phase)"))
        return tuple(Variable(f"phasor_{name}", ("oscillator",), "1", long_name) for name, long_name in names)

    @property
    def residual_units(self):
        return "s-1"

    def initial_state(self, inputs, key=None):
        """All nearly in phase (offsets of up to 0.01 rad leave what is not stable); uniform in [-pi, pi) with a key."""
        phases = self._first_phases(key)
        return jnp.cos(phases), -jnp.sin(phases)

    def phases(self, state):
        return jnp.arctan2(-state[1], state[0])

    def phasors(self, state):
        return state

    def _moved(self, state, turning):
        """dc/dt, s-1, of phasors that turn at `turning`, Hz."""
        real, imag = state
        angular, radial = 2 * jnp.pi * turning, self.radial_rate * (1 - real**2 - imag**2)
        return angular * imag + radial * real, radial * imag - angular * real

    def vector_field(self, state, inputs):
        """dc/dt, s-1, in the frame that turns at `frame_frequency`."""
        return self._moved(state, self.turning(*state, inputs))

    def residual(self, state, inputs):
        turning = self.turning(*state, inputs)
        moved = self._moved(state, turning - jnp.mean(turning) if self.is_free else turning)
        return tuple(-part for part in moved)

    def residual_scale(self, state, inputs):
        """The terms of the phase velocity, as for `Kuramoto`, and the share of the radial rate that can be resolved."""
        floor = jnp.finfo(state[0].dtype).eps ** 0.25 * self.radial_rate
        scale = self._size_of_terms(state, inputs) + floor
        return scale, scale

    def neutral_modes(self, state):
        real, imag = state
        return ((imag, -real),) if self.is_free else ()

    def outputs(self, state, inputs):
        """Cosines, then sines, of the phases read out: of phasors brought to |c| = 1."""
        real, imag = state
        size = jnp.sqrt(real**2 + imag**2)
        return super().outputs((real / size, imag / size), inputs)

    def why_no_energy(self):
        return _reciprocity(self.coupling)

    def default_relaxer(self):
        return Locking.of_size(self.size)
