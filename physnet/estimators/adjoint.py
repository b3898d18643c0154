"""Gradients by the adjoint: solved for (implicit differentiation), or iterated (recurrent backpropagation)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from physnet.cost import Cost
from physnet.estimators.base import (
    Estimator,
    advanced,
    check_count,
    check_step,
    finite,
    time_steps,
    why_no_steps,
    without_nudging,
)
from physnet.implicit import implicit_from_states
from physnet.parameters import trainable_mask
from physnet.problem import Problem
from physnet.relaxers.base import Relaxer
from physnet.system import System


class ImplicitDifferentiation(Estimator):
    """dC/dtheta - lambda . dr/dtheta with J^T lambda = dC/ds, solved densely: exact, and the usual reference.

    r is the residual and J = dr/ds at the free steady state; a dense solve for each sample. See `implicit_gradient`.
    """

    relaxer: Relaxer | None = None

    def refuses(self, system, cost):
        return None

    def estimate(self, system, inputs, targets, cost, free, relaxer, key):
        return _implicit(system, inputs, targets, cost, free)


_implicit = eqx.filter_jit(implicit_from_states)


class RecurrentBackpropagation(Estimator):
    """The adjoint iterated at the free steady state: lambda <- M^T lambda + dC/ds, `steps` times from 0.

    M is the derivative of one step of the system's own relaxation (its map, or an explicit Euler step of `step`
    seconds), and g = dC/dtheta + lambda . d(one step)/dtheta. One vector-Jacobian product a step and no memory of the
    past; what is missing after K steps falls as (spectral radius of M)^K, and equals K-step backpropagation through
    time. Almeida 1987; Pineda 1987, doi:10.1103/PhysRevLett.59.2229; Liao et al. 2018, arXiv:1803.06396.

    steps: K, how many, at least 1. step: s, of explicit Euler steps of a system in continuous time; by default one over
    the system's fastest rate, or the longest at which no mode of its Jacobian overshoots.
    """

    steps: int = eqx.field(static=True)
    step: float | None = eqx.field(static=True, default=None)
    relaxer: Relaxer | None = None

    def __check_init__(self):
        check_count(self.steps, "steps", "RecurrentBackpropagation")
        check_step(self.step, "RecurrentBackpropagation")

    def refuses(self, system, cost):
        return why_no_steps(system)

    def with_steps(self, steps):
        return RecurrentBackpropagation(steps, self.step, self.relaxer)

    def estimate(self, system, inputs, targets, cost, free, relaxer, key):
        durations = time_steps(system, inputs, free, self.step)
        return _recurrent(system, inputs, targets, cost, free, durations, jnp.asarray(self.steps, jnp.int32))


@eqx.filter_jit
def _recurrent(system, inputs, targets, cost, free, durations, steps):
    adjoints = _iterated(system, inputs, targets, cost, free.state, durations, steps)
    theta, rest = eqx.partition(system, trainable_mask(system))

    def lagrangian(theta):
        here = eqx.combine(theta, rest)

        def one(state, adjoint, inputs, target, duration):
            moved = advanced(Problem(here, inputs), state, duration)
            pull = sum(map(jnp.vdot, jax.tree.leaves(adjoint), jax.tree.leaves(moved)))
            return cost(here.outputs(state, inputs), target) + pull

        return jnp.mean(jax.vmap(one)(free.state, adjoints, inputs, targets, durations))

    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    converged = free.converged & finite(adjoints, inputs.shape[0])
    return without_nudging(jax.grad(lagrangian)(theta), mean_cost, free, converged)


def _iterated(
    system: System, inputs: Array, targets: Array, cost: Cost, states: PyTree, durations: Array, steps: Array
) -> PyTree:
    """lambda_K of every sample, shaped like the states."""

    def one(state, inputs, target, duration):
        slope = jax.grad(lambda s: cost(system.outputs(s, inputs), target))(state)
        _, pull = jax.vjp(lambda s: advanced(Problem(system, inputs), s, duration), state)
        start = jax.tree.map(jnp.zeros_like, state)
        return jax.lax.fori_loop(0, steps, lambda _, a: jax.tree.map(jnp.add, slope, pull(a)[0]), start)

    return jax.vmap(one)(states, inputs, targets, durations)
