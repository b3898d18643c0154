"""Systems with known answers: every relaxer, nudging and gradient runs over all of it that it does not refuse.

Each entry knows its exact steady states and the exact gradient of a squared error, from formulas that share nothing
with the code under test. Nothing here is a circuit; those are tested against circuit theory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from physnet.relaxers.projected_newton import ProjectedNewton
from physnet.system import EnergySystem, Parameter, System
from physnet.variable import Variable


class _Described:
    """Metadata that all members of the zoo share."""

    variables = (Variable("position", ("mass",), "m", "position of each mass"),)
    input_variable = Variable("force", ("drive",), "N", "force on each drive")
    output_variable = Variable("reading", ("output",), "m", "what the cost reads")
    residual_units = "N"
    energy_units = "J"

    def default_relaxer(self):
        return ProjectedNewton()


class Springs(_Described, EnergySystem):
    """Masses tied to each other and to the ground: E = s.A s/2 - x.s with A = sum_e k_e b_e b_e^T + diag(g)."""

    stiffness: Array  # (spring,)
    anchor: Array  # (mass,)
    ends: tuple[tuple[int, int], ...] = eqx.field(static=True)

    @property
    def parameters(self):
        stiffness = Variable("stiffness", ("spring",), "N m-1", "stiffness of each spring", (0.0, np.inf))
        anchor = Variable("anchor", ("mass",), "N m-1", "stiffness of the spring to ground", (0.0, np.inf))
        return Parameter(stiffness, lambda s: s.stiffness), Parameter(anchor, lambda s: s.anchor)

    @property
    def input_shape(self):
        return self.anchor.shape

    def initial_state(self, inputs, key=None):
        return jnp.zeros_like(self.anchor)

    def energy(self, state, inputs):
        first, second = np.array(self.ends).T
        stretch = state[first] - state[second]
        return 0.5 * (jnp.vdot(self.stiffness, stretch**2) + jnp.vdot(self.anchor, state**2)) - jnp.vdot(inputs, state)

    def outputs(self, state, inputs):
        return state[-2:]


class QuadraticSprings(Springs):
    """The same, declared quadratic: phase differences are then taken as midpoint derivatives."""

    midpoint_exact = True


class WalledSprings(Springs):
    """The same between walls at 0 and 0.3 m: the last mass is on the free side of both."""

    def bounds(self, inputs):
        inf = jnp.full_like(self.anchor, jnp.inf)
        return (-inf).at[:3].set(0.0), inf.at[:3].set(0.3)


class DoubleWells(_Described, EnergySystem):
    """Independent wells E = sum a (s^2 - w^2)^2 / 4 - x s, started on the concave hump, on the side of +w."""

    height: Array  # (mass,)
    width: Array  # (mass,)

    @property
    def parameters(self):
        height = Variable("height", ("mass",), "J m-4", "height of each hump")
        width = Variable("width", ("mass",), "m", "distance of each well from the hump")
        return Parameter(height, lambda s: s.height), Parameter(width, lambda s: s.width)

    @property
    def input_shape(self):
        return self.width.shape

    def initial_state(self, inputs, key=None):
        return 0.2 * jnp.ones_like(self.width)

    def energy(self, state, inputs):
        return jnp.sum(self.height * (state**2 - self.width**2) ** 2) / 4 - jnp.vdot(inputs, state)

    def outputs(self, state, inputs):
        return state


class Chain(_Described, EnergySystem):
    """Masses on a line with nothing to hold it: E = sum k (s_{i+1} - s_i - l)^2 / 2 - x (s_{i+1} - s_i)."""

    stiffness: Array  # (spring,)
    length: Array  # (spring,)
    reads: str = eqx.field(static=True, default="stretch")

    @property
    def parameters(self):
        stiffness = Variable("stiffness", ("spring",), "N m-1", "stiffness of each spring", (0.0, np.inf))
        length = Variable("length", ("spring",), "m", "length of each spring at rest")
        return Parameter(stiffness, lambda s: s.stiffness), Parameter(length, lambda s: s.length)

    @property
    def input_shape(self):
        return self.length.shape

    def initial_state(self, inputs, key=None):
        return jnp.arange(self.length.size + 1.0, dtype=self.length.dtype)

    def energy(self, state, inputs):
        stretch = jnp.diff(state)
        return 0.5 * jnp.vdot(self.stiffness, (stretch - self.length) ** 2) - jnp.vdot(inputs, stretch)

    def neutral_modes(self, state):
        return (jnp.ones_like(state),)

    def outputs(self, state, inputs):
        return jnp.diff(state) if self.reads == "stretch" else state


class Sheared(_Described, System):
    """Linear dynamics without an energy: ds/dt = x - A s with A not symmetric."""

    matrix: Array  # (mass, source)

    @property
    def parameters(self):
        return (Parameter(Variable("matrix", ("mass", "source"), "N m-1", "force per position"), lambda s: s.matrix),)

    @property
    def input_shape(self):
        return self.matrix.shape[:1]

    def initial_state(self, inputs, key=None):
        return jnp.zeros_like(inputs)

    def residual(self, state, inputs):
        return self.matrix @ state - inputs

    def vector_field(self, state, inputs):
        return inputs - self.matrix @ state

    def outputs(self, state, inputs):
        return state[:2]


class Runaway(_Described, EnergySystem):
    """No steady state: E = sum a exp(s) + s falls for ever to the left."""

    strength: Array  # (mass,)

    @property
    def parameters(self):
        return (Parameter(Variable("strength", ("mass",), "J", "strength of the wall"), lambda s: s.strength),)

    @property
    def input_shape(self):
        return self.strength.shape

    def initial_state(self, inputs, key=None):
        return jnp.zeros_like(self.strength)

    def energy(self, state, inputs):
        return jnp.sum(self.strength * jnp.exp(state) + state - 0 * inputs)

    def outputs(self, state, inputs):
        return state


@dataclass(frozen=True)
class Animal:
    """A system, samples for it, its exact answers, and the relaxers that reach them from the system's own start.

    states: (sample, mass); compared after the mean is taken off where the system has a neutral translation.
    gradient: {parameter name: exact gradient of the mean squared error}.
    """

    system: System
    inputs: np.ndarray
    targets: np.ndarray
    states: np.ndarray
    gradient: dict[str, np.ndarray]
    relaxers: tuple[str, ...] = ("ProjectedNewton", "Newton", "Flow")
    centre: Callable[[np.ndarray], np.ndarray] = lambda states: states


_ENDS = ((0, 1), (1, 2), (2, 3), (0, 2), (3, 4), (1, 4))


def springs(kind=Springs, dtype=np.float64) -> Animal:
    """Five masses, six springs, three samples; solved by numpy, or inside walls by scipy's bounded least squares."""
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(1)
    stiffness, anchor = rng.uniform(0.5, 2, len(_ENDS)), rng.uniform(0.1, 1, 5)
    inputs, targets = rng.normal(size=(3, 5)), rng.normal(size=(3, 2))
    incidence = np.zeros((len(_ENDS), 5))
    for edge, (a, b) in enumerate(_ENDS):
        incidence[edge, a], incidence[edge, b] = 1, -1
    matrix = incidence.T @ np.diag(stiffness) @ incidence + np.diag(anchor)
    lowest, highest = np.full(5, -np.inf), np.full(5, np.inf)
    if kind is WalledSprings:
        lowest[:3], highest[:3] = 0.0, 0.3
    root = np.linalg.cholesky(matrix)
    states = np.array(
        [lsq_linear(root.T, np.linalg.solve(root, x), (lowest, highest), "bvls", tol=1e-15).x for x in inputs]
    )
    gradient = {"stiffness": np.zeros(len(_ENDS)), "anchor": np.zeros(5)}
    for state, target in zip(states, targets):
        free = (state > lowest + 1e-12) & (state < highest - 1e-12)
        slope = np.concatenate([np.zeros(3), state[3:] - target])
        adjoint = np.zeros(5)
        adjoint[free] = np.linalg.solve(matrix[np.ix_(free, free)], slope[free])
        gradient["stiffness"] -= (incidence @ state) * (incidence @ adjoint) / len(states)
        gradient["anchor"] -= state * adjoint / len(states)
    system = kind(jnp.asarray(stiffness, dtype), jnp.asarray(anchor, dtype), _ENDS)
    relaxers = Animal.relaxers if kind is Springs else ("ProjectedNewton",)
    return Animal(system, inputs, targets, states, gradient, relaxers)


def double_wells() -> Animal:
    """Three wells, two samples; the right-hand root of each cubic by numpy. Newton would stop on the hump."""
    rng = np.random.default_rng(2)
    height, width = rng.uniform(1, 2, 3), rng.uniform(0.8, 1.2, 3)
    inputs, targets = rng.uniform(-0.1, 0.1, (2, 3)), rng.normal(size=(2, 3))
    states = np.array(
        [[np.roots([a, 0, -a * w * w, -x]).real.max() for a, w, x in zip(height, width, row)] for row in inputs]
    )
    curvature = height * (3 * states**2 - width**2)
    slope = states - targets
    gradient = {
        "height": np.mean(-slope * states * (states**2 - width**2) / curvature, axis=0),
        "width": np.mean(slope * 2 * height * states * width / curvature, axis=0),
    }
    system = DoubleWells(jnp.asarray(height), jnp.asarray(width))
    return Animal(system, inputs, targets, states, gradient, ("ProjectedNewton", "Flow"))


def chain() -> Animal:
    """Four masses, two samples: each spring stretches by l + x/k, wherever the chain is."""
    rng = np.random.default_rng(3)
    stiffness, length = rng.uniform(0.5, 2, 3), rng.uniform(0.5, 1.5, 3)
    inputs, targets = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    stretch = length + inputs / stiffness
    states = np.concatenate([np.zeros((2, 1)), np.cumsum(stretch, axis=1)], axis=1)
    slope = stretch - targets
    gradient = {"stiffness": np.mean(-slope * inputs / stiffness**2, axis=0), "length": np.mean(slope, axis=0)}
    system = Chain(jnp.asarray(stiffness), jnp.asarray(length))
    return Animal(system, inputs, targets, states, gradient, centre=lambda s: s - s.mean(axis=-1, keepdims=True))


def sheared() -> Animal:
    """Three variables, two samples, a matrix with a large antisymmetric part."""
    rng = np.random.default_rng(4)
    matrix = 2 * np.eye(3) + rng.normal(size=(3, 3)) * 0.7
    inputs, targets = rng.normal(size=(2, 3)), rng.normal(size=(2, 2))
    states = np.linalg.solve(matrix, inputs.T).T
    slope = np.concatenate([states[:, :2] - targets, np.zeros((2, 1))], axis=1)
    adjoint = np.linalg.solve(matrix.T, slope.T).T
    gradient = {"matrix": -np.einsum("ni,nj->ij", adjoint, states) / 2}
    return Animal(Sheared(jnp.asarray(matrix)), inputs, targets, states, gradient)


ZOO = {
    "springs": springs(),
    "quadratic_springs": springs(QuadraticSprings),
    "walled_springs": springs(WalledSprings),
    "double_wells": double_wells(),
    "chain": chain(),
    "sheared": sheared(),
}
