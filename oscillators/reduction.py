"""From auto-oscillators to phases alone: the reduced network, and how far it may be trusted."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from oscillators.auto_oscillator import AutoOscillators
from oscillators.coupling import AllToAll, Coupling, Dense
from oscillators.kuramoto import Kuramoto
from oscillators.low_rank import LowRank
from oscillators.phase import PhaseNetwork
from oscillators.sparse import Sparse
from physnet.checks import check_inputs
from physnet.equilibrium import relax
from physnet.errors import PhysnetError, require_instance
from physnet.linearise import asymmetry, jacobian
from physnet.problem import Problem


@dataclass(frozen=True)
class Reduction:
    """A network of phases in the place of auto-oscillators, to first order in the couplings over G_p.

    system: a `PhaseNetwork` where the reduced coupling has an energy, else a `Kuramoto`. currents: (N,), A, for which
    it holds. expected_excursion: the largest (sum_j |W_ij| sqrt(max p/p_i) + |F_i|/sqrt(p_i))/G_p, a ratio that bounds
    to first order the relative change of any power; the reduction needs it well below 1.
    locks: whether both the reduced and the full network have a locked state where the reduced one leads. The rest is
    measured there, and NaN without. excursion: the largest relative change of any power of the full network from its
    free value. phase_error: rad, the largest difference of any phase (against oscillator 0, or the injected tone)
    between the two. asymmetry: |J - J^T| / |J + J^T|, dimensionless, of the Jacobian of the reduced network, 0 where it
    has an energy.
    """

    system: PhaseNetwork | Kuramoto
    currents: np.ndarray
    expected_excursion: float
    locks: bool
    excursion: float
    phase_error: float
    asymmetry: float

    def __str__(self):
        head = (
            f"{type(self.system).__name__} of {self.system.size} oscillators, (W + F)/G_p {self.expected_excursion:.3g}"
        )
        if not self.locks:
            return f"{head}: no locked state to measure its error in."
        return (
            f"{head}: powers change by up to {self.excursion:.3g} of their free value, phases are off by up to "
            f"{self.phase_error:.3g} rad, asymmetry of the Jacobian {self.asymmetry:.3g}."
        )


def reduce_to_phases(network: AutoOscillators, currents=None) -> Reduction:
    """The phases of a network whose powers follow at once, W/G_p << 1, and what that costs at the locked state:

    dphi_i/dt = 2 pi [f_g,i - sum_j W_ij sqrt(p_j/p_i) sqrt(1 + nu_i^2) sin(phi_i - phi_j + b_ij - arctan nu_i)]

    (Slavin & Tiberkevich 2009, doi:10.1109/TMAG.2008.2009935), all of p, nu and f_g those of the free oscillators. An
    injected tone becomes a field, h_i = F_i sqrt(1 + nu_i^2)/sqrt(p_i) at arctan nu_i. All-to-all and low-rank
    couplings stay so where the oscillators are alike, sparse ones always; others, and sums of several, become dense.

    network: free of delays, with one injected tone at most. currents: (N,), A; the operating currents by default.
    Raises PhysnetError for several tones and for delays, for oscillators below threshold, and above 4000 oscillators
    where the matrix must be formed.
    """
    require_instance(network, AutoOscillators, "reduce_to_phases: network")
    inputs, batched = check_inputs(network, currents)
    if batched:
        raise PhysnetError(
            f"reduce_to_phases: currents have shape {inputs.shape}; pass those of one network, ({network.size},), A."
        )
    currents = inputs[0]
    polar = network.polar()  # refuses what has no locked state
    power, gain = network.free_power(currents), 1 - 1j * network.nu(currents)
    if not bool(jnp.all(power > 0)):
        i = int(jnp.argmin(power))
        raise PhysnetError(
            f"reduce_to_phases: oscillator {i} is below threshold at {float(currents[i]):.6g} A and has no phase of "
            "its own. Raise its current."
        )
    coupling = _reduced(network, np.asarray(power), np.asarray(gain))
    given = {"frequencies": network.free_frequency(currents)}
    strength = sum((_strength(c, power) for c in network.couplings), jnp.zeros_like(power))
    if polar.drive is not None:
        own = polar.drive / jnp.sqrt(power)
        given |= {"fields": own * jnp.abs(gain), "field_phases": -jnp.angle(gain)}
        given["reference_frequency"] = polar.drive_frequency
        strength = strength + jnp.abs(own)
    model, coupling = _model(coupling)
    system = model(coupling, **given)
    expected = float(jnp.max(strength / network.relaxation_rate(currents)))
    return Reduction(system, np.asarray(currents), expected, *_measured(system, polar, currents, power))


def _strength(coupling: Coupling, power):
    """A bound of sum_j |W_ij| sqrt(p_j/p_i), Hz, that needs no matrix: with the largest p_j."""
    return coupling.total_strength() * jnp.sqrt(jnp.max(power) / power)


def _reduced(network, power, gain) -> Coupling:
    """M_ij sqrt(p_j/p_i) (1 - i nu_i), with the structure of the network's coupling where it can be kept."""
    dtype = power.dtype
    if not network.couplings:
        return AllToAll(dtype.type(0), network.size)
    one = network.couplings[0] if len(network.couplings) == 1 else None
    size, turn = np.abs(gain), np.angle(gain)
    amplitude = np.sqrt(power)
    same = [np.ptp(values) <= 1e-12 * np.abs(values).max(initial=0) for values in (amplitude, size, turn)]
    alike = same[1] and same[2]
    if isinstance(one, AllToAll) and all(same):
        return AllToAll(one.weight * size[0], one.size, _shifted(one.phase, turn[0]))
    if isinstance(one, LowRank) and alike:
        left, right = one.left * (size / amplitude)[:, None], one.right * amplitude[:, None]
        return LowRank(left.astype(dtype), right.astype(dtype), _shifted(one.phase, turn[0]))
    if isinstance(one, Sparse):
        if one.reciprocal and all(same):
            phases = np.zeros(len(one.weights), dtype) if one.phases is None else one.phases
            return Sparse.undirected(np.array(one.ends()), one.weights * size[0], one.size, phases + turn[0])
        rows, columns, edge = (np.asarray(part) for part in (one.rows, one.columns, one.edge))
        weights = np.asarray(one.weights)[edge] * (size / amplitude)[rows] * amplitude[columns]
        phases = (0 if one.phases is None else np.asarray(one.phases)[edge]) + turn[rows]
        return Sparse(rows, columns, weights.astype(dtype), phases.astype(dtype), size=one.size)
    matrix = sum(coupling.complex_matrix() for coupling in network.couplings)
    matrix = matrix * (gain / amplitude)[:, None] * amplitude
    return Dense(np.abs(matrix).astype(dtype), np.angle(matrix).astype(dtype))


def _shifted(phase, turn):
    return turn if phase is None else phase + turn


def _model(coupling: Coupling):
    """(PhaseNetwork, the coupling without its rounding) where it has an energy, else (Kuramoto, as it is)."""
    close = 10 * float(jnp.finfo(coupling.total_strength().dtype).eps) ** 0.5
    if coupling.irreversibility() > close:
        return Kuramoto, coupling
    if isinstance(coupling, LowRank):  # its symmetric part has twice the rank
        turn = 1.0 if coupling.phase is None else jnp.cos(coupling.phase)
        return PhaseNetwork, LowRank(coupling.left * turn, coupling.right)
    return PhaseNetwork, coupling.symmetrised()


def _measured(system, polar, currents, power) -> tuple[bool, float, float, float]:
    """(locks, excursion, phase error, asymmetry) at the locked state of both networks."""
    inputs = system.default_inputs()
    reduced = relax(system, throw=False)
    full = None
    if reduced.converged:
        full = relax(polar, currents, initial=(jnp.log(power) / 2, system.phases(reduced.state)), throw=False)
    if full is None or not full.converged:
        return False, np.nan, np.nan, np.nan
    excursion = float(jnp.max(jnp.abs(polar.power(full.state) / power - 1)))
    difference = full.state[1] - system.phases(reduced.state)
    if system.is_free:
        difference = difference - difference[0]
    error = float(jnp.max(jnp.abs(jnp.angle(jnp.exp(1j * difference)))))
    return True, excursion, error, float(asymmetry(jacobian(Problem(system, inputs), reduced.state)))
