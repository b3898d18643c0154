"""Thermal noise of resistors (Johnson and Nyquist): in time, as a covariance, and as a spectrum.

A conductance g at temperature T carries a current noise of spectral density 4 k T g (A^2/Hz, one-sided) beside its
current, independent of that of every other (Nyquist 1928, doi:10.1103/PhysRev.32.110). With the capacitances C,

    C dv = -I(v) dt + sum_e b_e sqrt(2 k T g_e) dW_e,

b_e being +1 and -1 at the ends of e. Noise is taken of every two-terminal element with a linear law (resistors,
memristors in their present state), not of junctions, whose shot noise is another matter, nor of amplifiers.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import solve_continuous_lyapunov

from circuits.contract import CircuitContract
from circuits.group import gather
from circuits.labels import Labels
from circuits.linear_solvers import DENSE_LIMIT
from circuits.linearised import Linearised, operating_points
from circuits.network import Network
from physnet.errors import PhysnetError
from physnet.precision import asarray, real_array
from physnet.system import Parameter
from physnet.variable import Variable

BOLTZMANN = 1.380649e-23  # J/K, exact in the SI of 2019


class ThermalCircuit(CircuitContract):
    """A circuit whose resistors are at a temperature: `integrate(ThermalCircuit(system, 300.0), key=...)`.

    system: what `Circuit.build` made. temperature: K, at least 0, one for all resistors. Every node needs a
    capacitance. network, labels: those of the circuit.
    `relax` gives the state without noise. A linear circuit knows its fastest rate, so that ensembles of it run with
    fixed steps; others adapt their steps, and the tolerances of `Adaptive` must then lie below the noise (sqrt(kT/C) is
    64 uV at 1 pF). There is no energy: a fluctuating circuit does not go downhill.
    Raises PhysnetError for a temperature that is negative or not finite, and systems that are no circuits.
    """

    network: Network
    labels: Labels = eqx.field(static=True)
    temperature: Float[Array, ""]

    def __init__(self, system: CircuitContract, temperature: float):
        if not isinstance(system, CircuitContract):
            raise PhysnetError(
                f"ThermalCircuit: this is a {type(system).__name__}; pass the system that Circuit.build() returned."
            )
        self.network, self.labels = system.network, system.labels
        self.temperature = asarray(check_temperature(temperature, "ThermalCircuit"), self.network.dtype)

    @property
    def parameters(self):
        temperature = Variable("temperature", (), "K", "temperature of the resistors", (0.0, np.inf))
        return (*super().parameters, Parameter(temperature, lambda system: system.temperature, trainable=False))

    def vector_field(self, state, inputs):
        return self.mobility(jax.tree.map(jnp.negative, self.residual(state, inputs)))

    def mobility(self, force):
        if self.labels.capacitors_grounded or self.network.free > DENSE_LIMIT:
            return super().mobility(force)
        # One inverse for a whole ensemble: many small triangular solves would take most of its time.
        inverse = jax.vmap(super().mobility)(jnp.eye(self.network.free, dtype=self.network.dtype))
        return inverse @ force

    @property
    def is_noisy(self):
        return True

    def diffusion(self, state, inputs):
        """sqrt(2 k T g), A s^1/2, of each resistor, group by group."""
        # k T is 4e-21 J: below what single precision can square.
        root = np.sqrt(2 * BOLTZMANN) * jnp.sqrt(self.temperature)
        return [root * jnp.sqrt(conductances(group)) for group in self._noisy]

    def noise_to_state(self, noise, inputs):
        """dv, V, of charges, C, that go through the resistors."""
        flows = [jnp.stack([-charge, charge]) for charge in noise]
        return self.mobility(gather(self._noisy, flows, self.network.unknowns, self.network.dtype))

    @property
    def _noisy(self):
        return [group for group in self.network.conductors if is_noisy(group)]

    def fastest_rate(self, inputs):
        """A bound on the rates of C^-1 J of a linear circuit, rad/s (Gershgorin); None for any other."""
        network = self.network
        linear = all(group.element.quadratic and group.two_terminal for group in network.conductors)
        if not linear or self.labels.without_capacitance:
            return None
        if self.labels.capacitors_grounded:
            flows = [jnp.stack([jnp.abs(conductances(group))] * 2) for group in network.conductors]
            return 2 * jnp.max(self.mobility(gather(network.conductors, flows, network.unknowns, network.dtype)))
        if network.unknowns > DENSE_LIMIT:
            return None
        rates = jax.jacfwd(lambda v: self.mobility(network.balance(v)))(jnp.zeros(network.unknowns, network.dtype))
        return jnp.max(jnp.sum(jnp.abs(rates), axis=1))

    def why_no_energy(self):
        return " Its resistors fluctuate; the circuit without its temperature has an energy if it is reciprocal."


def is_noisy(group) -> bool:
    """Whether the elements of a group carry Johnson-Nyquist noise: two terminals and a linear law."""
    return group.two_terminal and group.element.quadratic and group.element.law == "current"


def conductances(group) -> Float[Array, " element"]:
    """S, of each element of a group with a linear law; 0 for a current source."""
    zero = jnp.zeros(len(group.names), jax.tree.leaves(group.element)[0].dtype)
    return jnp.broadcast_to(group.element.differential_conductance(zero), zero.shape)


def thermal_covariance(equilibrium, temperature: float) -> np.ndarray:
    """Covariance of the free potentials about an operating point, V^2, (*sample, node, node), in the state's order.

    k T C^-1 (equipartition) where every element is a resistor or a source, whatever the conductances; otherwise the
    stationary covariance S of the circuit made linear there: A S + S A^T + 2 k T C^-1 L C^-1 = 0 (Lyapunov) with A =
    -C^-1 J and L the Laplacian of the noisy conductances. equilibrium: what `relax` returned. temperature: K.
    Raises PhysnetError for nodes without capacitance, states that did not converge, and operating points that are not
    stable.
    """
    kt = BOLTZMANN * float(check_temperature(temperature, "thermal_covariance"))
    found = []
    for circuit, state, inputs in operating_points(equilibrium, "thermal_covariance"):
        circuit.mobility(state)  # raises where there is no capacitance
        here = Linearised.at(circuit, state, inputs)
        capacitance = here.capacitance.toarray()
        groups = circuit.network.conductors
        if circuit.conservative and all(is_noisy(group) for group in groups):
            found.append(kt * np.linalg.inv(capacitance))
        else:
            found.append(kt * _lyapunov(here.jacobian.toarray(), _noise_laplacian(circuit, inputs), capacitance))
    return np.stack(found) if np.ndim(equilibrium.residual) else found[0]


def thermal_spectrum(equilibrium, temperature: float, frequencies) -> np.ndarray:
    """One-sided spectral density of each output, V^2/Hz, (*sample, frequency, output): sum_e 4 k T g_e |Z_e(f)|^2.

    Z_e: the transfer impedance from the ends of resistor e to the output, at the operating point. It is the `.noise` of
    SPICE for resistors alone. equilibrium: what `relax` returned. temperature: K; frequencies: Hz. Needs no
    capacitances.
    Raises PhysnetError for states that did not converge and a circuit that is singular at a frequency.
    """
    kt = BOLTZMANN * float(check_temperature(temperature, "thermal_spectrum"))
    frequencies = np.atleast_1d(np.asarray(frequencies, float))
    found = []
    for circuit, state, inputs in operating_points(equilibrium, "thermal_spectrum"):
        adjoint = Linearised.at(circuit, state, inputs).transposed()
        a, b, g = _resistors(circuit, inputs)
        density = np.empty((len(frequencies), len(circuit.labels.outputs)))
        for k in range(density.shape[1]):
            reading = adjoint.readout[[k]].toarray()[0]
            drive = {"current": -reading, "charge": np.zeros_like(reading), "limit": np.zeros_like(reading)}
            heard = np.pad(adjoint.alternating(frequencies, drive), ((0, 0), (0, 1)))
            density[:, k] = 4 * kt * (np.abs(heard[:, a] - heard[:, b]) ** 2 @ g)
        found.append(density)
    return np.stack(found) if np.ndim(equilibrium.residual) else found[0]


def check_temperature(temperature, where: str):
    """The temperature, K. Raises PhysnetError unless it is one finite number of at least 0."""
    value = np.asarray(real_array(temperature, f"{where}: temperature"), float)
    if value.ndim or not (np.isfinite(value) and value >= 0):
        raise PhysnetError(f"{where}: temperature {temperature!r} K; give one finite number of at least 0 (300 K).")
    return value


def _resistors(circuit, inputs):
    """(potential of the first end, of the second, S) of every noisy element; the number of unknowns for fixed ends."""
    groups = [group for group in circuit.driven(inputs).conductors if is_noisy(group)]
    columns = [(group.out_of, group.into, conductances(group)) for group in groups]
    a, b, g = (np.concatenate([np.zeros(0), *map(np.asarray, column)]) for column in zip(*columns))
    return a.astype(int), b.astype(int), g.astype(float)


def _noise_laplacian(circuit, inputs) -> np.ndarray:
    n = circuit.network.unknowns
    a, b, g = _resistors(circuit, inputs)
    matrix = np.zeros((n + 1, n + 1))
    for i, j, value in ((a, a, g), (b, b, g), (a, b, -g), (b, a, -g)):
        np.add.at(matrix, (i, j), value)
    return matrix[:n, :n]


def _lyapunov(jacobian, laplacian, capacitance) -> np.ndarray:
    """S of A S + S A^T + 2 C^-1 L C^-T = 0, A = -C^-1 J, in 1/F."""
    drift = -np.linalg.solve(capacitance, jacobian)
    spread = np.linalg.solve(capacitance, np.linalg.solve(capacitance, laplacian).T)
    rate = np.abs(np.linalg.eigvals(drift))
    slowest = np.linalg.eigvals(drift).real.max()
    if not slowest < 0:
        raise PhysnetError(
            f"thermal_covariance: the operating point is not stable (a deviation grows at {slowest:.3g} 1/s), so that "
            "its noise has no stationary covariance."
        )
    # In units of the fastest rate, so that no term is lost.
    size = rate.max()
    return solve_continuous_lyapunov(drift / size, -2 * spread / size)
