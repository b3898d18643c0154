"""A double well in one dimension whose every rate is an integral, for tests of basins and of escape."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.integrate import quad

from physnet.landscape.following import EigenvectorFollowing
from physnet.system import EnergySystem
from physnet.variable import Variable


class DoubleWell(EnergySystem):
    """E = h (x^2 - 1)^2 - f x, f the input; dx/dt = -M dE/dx."""

    height: Array
    ease: Array  # M

    variables = (Variable("position", ("axis",), "m", "position"),)
    parameters = ()
    input_variable = Variable("force", ("axis",), "N", "force")
    output_variable = Variable("reading", ("output",), "m", "position")
    residual_units = "N"
    energy_units = "J"
    input_shape = (1,)

    def default_relaxer(self):
        return EigenvectorFollowing()

    def default_inputs(self):
        return jnp.zeros(1)

    def outputs(self, state, inputs):
        return state

    def initial_state(self, inputs, key=None):
        return jnp.zeros(1)

    def energy(self, state, inputs):
        return jnp.sum(self.height * (state**2 - 1) ** 2 - inputs * state)

    def mobility(self, force):
        return self.ease * force


def double_well(height=1.0, ease=1.0) -> DoubleWell:
    return DoubleWell(jnp.asarray(height), jnp.asarray(ease))


def double_well_roots(force, height=1.0) -> np.ndarray:
    """Where the slope 4h x (x^2 - 1) - f vanishes, ascending: well, hump, well."""
    found = np.roots([4 * height, 0, -4 * height, -force])
    return np.sort(found[np.abs(found.imag) < 1e-9].real)


def mean_passage_time(noise, start, end, force=0.0, height=1.0, ease=1.0) -> float:
    """The exact mean time from `start` until `end` is first passed, moving right, by quadrature.

    T = 1/(M D) int_start^end dy exp(E(y)/D) int_-inf^y dz exp(-E(z)/D).
    """

    def energy(x):
        return height * (x * x - 1) ** 2 - force * x

    def inner(y):
        return quad(lambda z: np.exp((energy(y) - energy(z)) / noise), -4, y, limit=400, epsabs=0, epsrel=1e-10)[0]

    return quad(inner, start, end, limit=400, epsabs=0, epsrel=1e-9)[0] / (noise * ease)
