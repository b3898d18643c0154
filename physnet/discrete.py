"""Systems in discrete time: every unit takes the value that its neighbours ask for, s <- sigma(u(s, x))."""

from abc import abstractmethod

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, PyTree

from physnet import precision
from physnet.system import EnergySystem, System


class DiscreteSystem(System):
    """Settles by iterating a map, s <- sigma(u(s, x)); residual s - sigma(u). Time is counted in steps.

    A nudge's force f acts inside the nonlinearity, s <- sigma(u + f), or, with `nudged_inside` False, outside of it,
    s <- sigma(u) + f. Inside, it acts on the force that drives a unit; outside, on the unit's own value.
    """

    @abstractmethod
    def drive(self, state: PyTree, inputs: Array) -> PyTree:
        """u, what drives each unit, shaped like the state, dimensionless."""

    @abstractmethod
    def activation(self, drive: PyTree) -> PyTree:
        """sigma(u), shaped like the state.

        drive: u, shaped like the state, dimensionless.
        """

    @property
    def nudged_inside(self) -> bool:
        """Whether a nudge's force is added to u rather than to sigma(u)."""
        return True

    @property
    def iterates(self):
        return True

    @property
    def residual_units(self):
        return "1"

    def map(self, state: PyTree, inputs: Array, force: PyTree | None = None) -> PyTree:
        """The state one step later, shaped like the state, dimensionless.

        force: of a nudge, shaped like the state, dimensionless; added where `nudged_inside` says. None for none.
        """
        drive = self.drive(state, inputs)
        if force is None:
            return self.activation(drive)
        if self.nudged_inside:
            return self.activation(jax.tree.map(jnp.add, drive, force))
        return jax.tree.map(jnp.add, self.activation(drive), force)

    def residual(self, state, inputs):
        return jax.tree.map(jnp.subtract, state, self.map(state, inputs))

    def vector_field(self, state, inputs):
        """The change in one step."""
        return jax.tree.map(jnp.subtract, self.map(state, inputs), state)

    def force(self, state, inputs):
        return self.drive(state, inputs) if self.nudged_inside else self.vector_field(state, inputs)

    def forced_residual(self, state, inputs, force):
        return jax.tree.map(jnp.subtract, state, self.map(state, inputs, force))

    def forced_vector_field(self, state, inputs, force):
        return jax.tree.map(jnp.subtract, self.map(state, inputs, force), state)

    def default_relaxer(self):
        from physnet.relaxers.fixed_point import FixedPoint

        return FixedPoint()


class PrimitiveSystem(DiscreteSystem, EnergySystem):
    """A discrete-time system whose drive is the gradient of one scalar, its primitive function: u = dPhi/ds.

    Its steady states are the stationary points of E = sum_i int sigma^-1(s_i) ds_i - Phi, so that dE/dtheta =
    -dPhi/dtheta (Ernoult, Grollier, Querlioz, Bengio & Scellier 2019, arXiv:1905.13633). Nudged inside the
    nonlinearity it minimises E + beta C; nudged outside no energy describes it, and `CorrectedRule` applies.
    """

    @abstractmethod
    def primitive(self, state: PyTree, inputs: Array) -> Inexact[Array, ""]:
        """Phi(theta, s, x), dimensionless."""

    @abstractmethod
    def confinement(self, state: PyTree) -> Inexact[Array, ""]:
        """sum_i int sigma^-1(s_i) ds_i, the energy that the nonlinearity adds, dimensionless."""

    @property
    def conservative(self):
        return self.nudged_inside

    @property
    def energy_units(self):
        return "1"

    def energy(self, state, inputs):
        return self.confinement(state) - self.primitive(state, inputs)

    def drive(self, state, inputs):
        return jax.grad(self.primitive, holomorphic=precision.is_complex(state))(state, inputs)

    def residual(self, state, inputs):
        return DiscreteSystem.residual(self, state, inputs)

    def vector_field(self, state, inputs):
        return DiscreteSystem.vector_field(self, state, inputs)

    def why_no_energy(self):
        return " Its nudge acts outside the nonlinearity; inside, it would minimise E + beta C."
