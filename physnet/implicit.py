"""The gradient by the implicit function theorem: what every other gradient is held against."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from physnet.cost import Cost
from physnet.equilibrium import Equilibrium
from physnet.gradients import EPGradient, complete, prepare
from physnet.parameters import trainable_mask
from physnet.problem import flatten
from physnet.relaxers.base import Relaxer
from physnet.system import System


def implicit_gradient(
    system: System, inputs, targets, *, cost: Cost, relaxer: Relaxer | None = None, throw: bool = True
) -> EPGradient:
    """dC/dtheta by the implicit function theorem at the free steady state: the reference for every EP gradient.

    dC/dtheta - lambda . dr/dtheta with J^T lambda = dC/ds, r the residual and J = dr/ds, solved on the
    coordinates that are free to move (`System.adjoints`). Needs no energy. Arguments, result and errors as for
    `ep_gradient`.
    """
    inputs, targets, relaxer, free = prepare(system, inputs, targets, cost, relaxer, throw, "implicit_gradient")
    result = _implicit(system, inputs, targets, cost, free)
    return complete(result, system, inputs, cost)


def implicit_from_states(system: System, inputs: Array, targets: Array, cost: Cost, free: Equilibrium) -> EPGradient:
    """The traceable core of `implicit_gradient`, from free equilibria (sample, ...)."""

    def slope(state, inputs, target):
        return jax.grad(lambda s: cost(system.outputs(s, inputs), target))(state)

    slopes = jax.vmap(slope)(free.state, inputs, targets)
    adjoints = system.adjoints(free.state, inputs, slopes, free.memory)
    theta, rest = eqx.partition(system, trainable_mask(system))

    def lagrangian(theta):
        here = eqx.combine(theta, rest)

        def one(state, adjoint, inputs, target):
            if here.conservative:  # by the energy, whose parameters may stand in several forces (W_ij = W_ji)
                pull = jax.jvp(lambda s: here.energy(s, inputs), (state,), (_on_forces(here, state, inputs, adjoint),))[
                    1
                ]
            else:
                pull = jnp.vdot(flatten(here.residual(state, inputs)), flatten(adjoint))
            return cost(here.outputs(state, inputs), target) - pull

        return jnp.mean(jax.vmap(one)(free.state, adjoints, inputs, targets))

    gradient = jax.grad(lagrangian)(theta)
    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    return EPGradient(gradient, mean_cost, free, None, free.converged)


def _on_forces(system: System, state, inputs, adjoint):
    """The adjoint of the forces, -dE/ds, from that of the residual, which a nonlinearity may stand before."""
    zero = jax.tree.map(jnp.zeros_like, state)
    (pulled,) = jax.vjp(lambda force: system.forced_residual(state, inputs, force), zero)[1](adjoint)
    return jax.lax.stop_gradient(jax.tree.map(jnp.negative, pulled))


_implicit = eqx.filter_jit(implicit_from_states)
