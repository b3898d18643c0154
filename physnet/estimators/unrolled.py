"""Backpropagation through the last steps of a relaxation."""

import equinox as eqx
import jax
import jax.numpy as jnp

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
from physnet.parameters import trainable_mask
from physnet.problem import Problem
from physnet.relaxers.base import Relaxer

_SHORTEST = 32


class TruncatedBPTT(Estimator):
    """Backpropagation through `steps` steps of the system's own relaxation, started at its free steady state.

    C is the cost after the last step, and every step uses theta: what K nudged steps of Equilibrium Propagation give
    as beta goes to 0 (Ernoult, Grollier, Querlioz, Bengio & Scellier 2019, arXiv:1905.13633). Synchronous steps of
    the map for systems that iterate one, else explicit Euler steps of `step` seconds. The states of all steps are
    kept, parameters are not.

    steps: K, how many, at least 1. step: s, of explicit Euler steps of a system in continuous time; by default one over
    the system's fastest rate, or the longest at which no mode of its Jacobian overshoots.
    """

    steps: int = eqx.field(static=True)
    step: float | None = eqx.field(static=True, default=None)
    relaxer: Relaxer | None = None

    def __check_init__(self):
        check_count(self.steps, "steps", "TruncatedBPTT")
        check_step(self.step, "TruncatedBPTT")

    def refuses(self, system, cost):
        return why_no_steps(system)

    def with_steps(self, steps):
        return TruncatedBPTT(steps, self.step, self.relaxer)

    def estimate(self, system, inputs, targets, cost, free, relaxer, key):
        durations = time_steps(system, inputs, free, self.step)
        # Lengths are powers of two, so that a sweep over the number of steps compiles a handful of programs.
        length = max(_SHORTEST, 1 << (int(self.steps) - 1).bit_length())
        return _unrolled(system, inputs, targets, cost, free, durations, jnp.asarray(self.steps, jnp.int32), length)


@eqx.filter_jit
def _unrolled(system, inputs, targets, cost, free, durations, steps, length):
    theta, rest = eqx.partition(system, trainable_mask(system))

    def final_cost(theta):
        here = eqx.combine(theta, rest)

        def one(state, inputs, target, duration):
            def advance(state, k):
                moved = advanced(Problem(here, inputs), state, duration)
                return jax.tree.map(lambda a, b: jnp.where(k < steps, a, b), moved, state), None

            last, _ = jax.lax.scan(advance, state, jnp.arange(length))
            return cost(here.outputs(last, inputs), target), last

        costs, last = jax.vmap(one)(free.state, inputs, targets, durations)
        return jnp.mean(costs), last

    gradient, last = jax.grad(final_cost, has_aux=True)(theta)
    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    sound = finite(last, inputs.shape[0])
    for leaf in jax.tree.leaves(gradient):  # one gradient for all samples: it is finite for all or for none
        sound = sound & jnp.all(jnp.isfinite(leaf))
    return without_nudging(gradient, mean_cost, free, free.converged & sound)
