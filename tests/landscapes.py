"""Landscapes with known equilibria, for the tests of physnet.landscape. Answers share nothing with the code tested."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from physnet.landscape.following import EigenvectorFollowing
from physnet.system import EnergySystem, Parameter
from physnet.variable import Variable


class _Surface(EnergySystem):
    """What the surfaces share: positions, no inputs to speak of, drawn starts."""

    variables = (Variable("position", ("axis",), "m", "position"),)
    input_variable = Variable("force", ("axis",), "N", "force along each axis")
    output_variable = Variable("reading", ("output",), "m", "position")
    residual_units = "N"
    energy_units = "J"

    def default_relaxer(self):
        return EigenvectorFollowing()

    def default_inputs(self):
        return jnp.zeros(self.input_shape)

    def outputs(self, state, inputs):
        return state

    def initial_state(self, inputs, key=None):
        return jnp.zeros(self.input_shape)


class MuellerBrown(_Surface):
    """The surface of Mueller & Brown 1979 (doi:10.1007/BF00547608): 3 minima, 2 saddles."""

    parameters = ()
    input_shape = (2,)

    def energy(self, state, inputs):
        x, y = state
        total = -jnp.vdot(inputs, state)
        for strength, a, b, c, x0, y0 in zip(
            (-200.0, -100.0, -170.0, 15.0),
            (-1.0, -1.0, -6.5, 0.7),
            (0.0, 0.0, 11.0, 0.6),
            (-10.0, -10.0, -6.5, 0.7),
            (1.0, 0.0, -0.5, -1.0),
            (0.0, 0.5, 1.5, 1.0),
        ):
            total += strength * jnp.exp(a * (x - x0) ** 2 + b * (x - x0) * (y - y0) + c * (y - y0) ** 2)
        return total


# (x, y), energy, to the digits that the documentation and tests of public programs print (pts, Molly.jl).
MUELLER_BROWN_MINIMA = (
    ((-0.5582236346, 1.4417258418), -146.69951721),
    ((0.6234994049, 0.0280377585), -108.16672412),
    ((-0.0500108231, 0.4666941049), -80.76781813),
)
MUELLER_BROWN_SADDLES = (
    ((0.2124865820, 0.2929883251), -72.24894011),
    ((-0.8220015587, 0.6243128028), -40.66484351),
)


class CoupledWells(_Surface):
    """E = sum h (x_i^2 - 1)^2 + k (x_1 - x_2)^2 / 2 - f.x; two double wells and a spring between them."""

    height: Array
    coupling: Array
    input_shape = (2,)

    @property
    def parameters(self):
        height = Variable("height", (), "J m-4", "height of each hump")
        coupling = Variable("coupling", (), "N m-1", "stiffness of the spring between the two")
        return Parameter(height, lambda s: s.height), Parameter(coupling, lambda s: s.coupling)

    def energy(self, state, inputs):
        wells = jnp.sum(self.height * (state**2 - 1) ** 2)
        return wells + 0.5 * self.coupling * (state[0] - state[1]) ** 2 - jnp.vdot(inputs, state)


def coupled_wells(height=1.0, coupling=0.2) -> CoupledWells:
    return CoupledWells(jnp.asarray(height), jnp.asarray(coupling))


def coupled_wells_equilibria(height=1.0, coupling=0.2):
    """[(x1, x2, energy, index)] of all equilibria: x2 from one equation, put into the other, roots by numpy."""
    h, k = height, coupling
    # 4h x (x^2 - 1) + k (x - y) = 0 gives y = x + 4h x (x^2 - 1) / k, a cubic in x; the same with x and y exchanged.
    y = np.polynomial.Polynomial([0, 1 - 4 * h / k, 0, 4 * h / k])
    equation = 4 * h * y * (y**2 - 1) + k * (y - np.polynomial.Polynomial([0, 1]))
    found = []
    for x in equation.roots():
        if abs(x.imag) > 1e-9:
            continue
        a, b = x.real, y(x.real)
        energy = h * ((a * a - 1) ** 2 + (b * b - 1) ** 2) + 0.5 * k * (a - b) ** 2
        hessian = np.diag(4 * h * (3 * np.array([a, b]) ** 2 - 1) + k) - k * (1 - np.eye(2))
        found.append((a, b, energy, int(np.sum(np.linalg.eigvalsh(hessian) < 0))))
    return sorted(found, key=lambda item: item[2])
