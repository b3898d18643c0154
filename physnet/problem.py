"""One system, one sample, one nudge: the only place where F = E + beta C is formed."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact, PyTree

from physnet import precision
from physnet.nudge import Nudge
from physnet.system import System


class Problem(eqx.Module):
    """What a relaxer is to bring to rest: a system under given inputs, nudged or free (nudge=None)."""

    system: System
    inputs: PyTree
    nudge: Nudge | None = None

    def energy(self, state: PyTree) -> Float[Array, ""]:
        """F = E + beta C, in the system's energy unit."""
        energy = self.system.energy(state, self.inputs)
        return energy if self.nudge is None else energy + self.nudge_energy(state)

    def nudge_energy(self, state: PyTree) -> Inexact[Array, ""]:
        """beta C(outputs)."""
        outputs = self.system.outputs(state, self.inputs)
        return self.nudge.beta * self.nudge.cost(outputs, self.nudge.target)

    def force(self, state: PyTree) -> PyTree:
        """What a nudge adds to the system's own force, shaped like the state.

        -beta G^-1 dC/ds, G the metric; with an anchor s0 also (J - G^-1 J^T G) (s - s0), which turns the response
        of a system that is not reciprocal into that of its adjoint (J the Jacobian of the residual at s0): one
        derivative forwards and one backwards.
        """
        slope = jax.grad(self.nudge_energy, holomorphic=precision.is_complex(state))(state)
        force = self._lowered(jax.tree.map(jnp.negative, slope))
        anchor = self.nudge.anchor
        if anchor is None:
            return force
        displacement = jax.tree.map(jnp.subtract, state, anchor)
        anchor = precision.cast_like(anchor, displacement)

        def internal(state):
            return self.system.force(state, self.inputs)

        onwards = jax.jvp(internal, (anchor,), (displacement,))[1]
        (back,) = jax.vjp(internal, anchor)[1](self.raised(displacement))
        return jax.tree.map(lambda f, j, jt: f - j + jt, force, onwards, self._lowered(back))

    def raised(self, displacement: PyTree) -> PyTree:
        """G times a displacement."""
        metric = self.nudge.metric
        return displacement if metric is None else jax.tree.map(jnp.multiply, metric, displacement)

    def _lowered(self, force: PyTree) -> PyTree:
        metric = self.nudge.metric
        return force if metric is None else jax.tree.map(jnp.divide, force, metric)

    def residual(self, state: PyTree) -> PyTree:
        """What vanishes at the steady state: the system's residual under the force of the nudge."""
        if self.nudge is None:
            return self.system.residual(state, self.inputs)
        return self.system.forced_residual(state, self.inputs, self.force(state))

    def vector_field(self, state: PyTree) -> PyTree:
        """ds/dt with the nudge acting as one more force."""
        if self.nudge is None:
            return self.system.vector_field(state, self.inputs)
        return self.system.forced_vector_field(state, self.inputs, self.force(state))

    def residual_scale(self, state: PyTree) -> PyTree:
        """Size of the terms that cancel in `residual`, the nudge's own included."""
        scale = self.system.residual_scale(state, self.inputs)
        if self.nudge is None:
            return scale
        return jax.tree.map(lambda a, b: a + jnp.abs(b), scale, self.force(state))

    def free_coordinates(self, state: PyTree) -> Bool[Array, " coordinate"]:
        """True where a coordinate can move: not held at a bound by a force that pushes against it."""
        bounds = self.system.bounds(self.inputs)
        if bounds is None:
            return jnp.ones_like(flatten(state), dtype=bool)
        position, force = flatten(state), -flatten(self.residual(state))
        lowest, highest = flatten(bounds[0]), flatten(bounds[1])
        return ~(((position <= lowest) & (force <= 0)) | ((position >= highest) & (force >= 0)))

    def certificate(self, state: PyTree) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """(relative residual, largest absolute residual) of a state, over the coordinates that are not held.

        A coordinate held at its bound counts only with a force that would pull it back inside. NaN stays NaN.
        """
        moving = self.free_coordinates(state)
        residual = jnp.abs(flatten(self.residual(state)))
        residual = jnp.where(moving | jnp.isnan(residual), residual, 0)
        scale = flatten(self.residual_scale(state))
        relative = jnp.where(residual == 0, 0, residual / jnp.where(scale > 0, scale, jnp.finfo(scale.dtype).tiny))
        return jnp.max(relative, initial=0), jnp.max(residual, initial=0)


def flatten(tree: PyTree) -> Inexact[Array, " coordinate"]:
    """The leaves of a state as one vector."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])
