"""Equilibrium Propagation without a beta: the displacement's derivative, forwards."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, PyTree

from physnet.cost import Cost
from physnet.equilibrium import Equilibrium
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
from physnet.estimators.noise import noise_on
from physnet.gradients import check_rule
from physnet.linearise import free_jacobian
from physnet.parameters import trainable_mask
from physnet.problem import Problem, flatten
from physnet.relaxers.base import Relaxer
from physnet.rules import EnergyRule, LearningRule, VectorFieldRule, rule_for
from physnet.system import System


class ForwardMode(Estimator):
    """The limit of Equilibrium Propagation as beta goes to 0: d = ds/d(beta) at 0, read off by a learning rule.

    steps: with None d is solved for, J d = -dr/d(beta), J the Jacobian of the nudged residual r at the free state. Else
    d follows this many steps of the nudged relaxation as its tangent, d <- M d + d(one step)/d(beta), from 0: what a
    nudged phase of that many steps shows. rule: as for `ep_gradient`; the exact one by default. step: s, of explicit
    Euler steps of a system in continuous time.
    """

    steps: int | None = eqx.field(static=True, default=None)
    step: float | None = eqx.field(static=True, default=None)
    rule: LearningRule | None = None
    relaxer: Relaxer | None = None

    def __check_init__(self):
        check_count(self.steps, "steps", "ForwardMode", optional=True)
        check_step(self.step, "ForwardMode")

    def refuses(self, system, cost):
        rule = rule_for(system) if self.rule is None else self.rule
        if not isinstance(rule, EnergyRule | VectorFieldRule):
            return f"the limit of {type(rule).__name__} is not known. Use EquilibriumPropagation(nudging, rule)."
        return rule.refuses(system) or (None if self.steps is None else why_no_steps(system))

    def with_steps(self, steps):
        return self if self.steps is None else ForwardMode(steps, self.step, self.rule, self.relaxer)

    def _prepared(self, system, inputs, free):
        rule = check_rule(system, self.rule, "ForwardMode")
        if self.steps is None:
            return rule, None, None
        return rule, time_steps(system, inputs, free, self.step), jnp.asarray(self.steps, jnp.int32)

    def estimate(self, system, inputs, targets, cost, free, relaxer, key):
        return _forward(system, inputs, targets, cost, free, *self._prepared(system, inputs, free))

    def noisy(self, system, inputs, targets, cost, free, relaxer, noise, of, keys):
        prepared = self._prepared(system, inputs, free)
        return _noisy(system, inputs, targets, cost, free, *prepared, jnp.asarray(noise, inputs.dtype), of, keys)


def displacement_rates(
    system: System,
    inputs: Array,
    targets: Array,
    cost: Cost,
    rule: LearningRule,
    free: Equilibrium,
    durations: Array | None = None,
    steps: Array | None = None,
) -> PyTree:
    """ds/d(beta) at beta = 0 for every sample, shaped like the states: solved, or after `steps` steps. Traceable."""
    nudges = rule.nudge(system, inputs, targets, cost, jnp.zeros(inputs.shape[:1], inputs.dtype), free.state)

    def at(inputs, nudge, beta):
        return Problem(system, inputs, eqx.tree_at(lambda n: n.beta, nudge, beta))

    def solved(state, inputs, nudge):
        _, pushed = jax.jvp(lambda b: at(inputs, nudge, b).residual(state), (nudge.beta,), (jnp.ones_like(nudge.beta),))
        problem = Problem(system, inputs, nudge)
        moving = Problem(system, inputs).free_coordinates(state)
        right = jnp.where(moving, -flatten(pushed), 0)
        return ravel_pytree(state)[1](lu_solve(lu_factor(free_jacobian(problem, state, moving)), right))

    def followed(state, inputs, nudge, duration):
        _, push = jax.linearize(lambda s, b: advanced(at(inputs, nudge, b), s, duration), state, nudge.beta)
        one = jnp.ones_like(nudge.beta)
        return jax.lax.fori_loop(0, steps, lambda _, d: push(d, one), jax.tree.map(jnp.zeros_like, state))

    if steps is None:
        return jax.lax.map(lambda sample: solved(*sample), (free.state, inputs, nudges))
    return jax.vmap(followed)(free.state, inputs, nudges, durations)


def read_off(system: System, inputs: Array, targets: Array, cost: Cost, rule, free: Equilibrium, rates: PyTree):
    """What the rule makes of ds/d(beta): its quotient in the limit of no nudge, differentiated by the parameters."""
    theta, rest = eqx.partition(system, trainable_mask(system))

    def quotient(theta):
        here = eqx.combine(theta, rest)

        def one(state, rate, inputs, target):
            if isinstance(rule, EnergyRule):
                energy = jax.jvp(lambda s: here.energy(s, inputs), (state,), (rate,))[1]
                return energy + cost(here.outputs(state, inputs), target)
            unit, zero = jnp.ones_like(inputs, shape=()), jax.tree.map(jnp.zeros_like, rate)
            return rule.quotient(here, cost, state, rate, unit, zero, 0 * unit, inputs, target)

        return jnp.mean(jax.vmap(one)(free.state, rates, inputs, targets))

    return jax.grad(quotient)(theta)


@eqx.filter_jit
def _forward(system, inputs, targets, cost, free, rule, durations, steps):
    rates = displacement_rates(system, inputs, targets, cost, rule, free, durations, steps)
    gradient = read_off(system, inputs, targets, cost, rule, free, rates)
    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    return without_nudging(gradient, mean_cost, free, free.converged & finite(rates, inputs.shape[0]))


@eqx.filter_jit
def _noisy(system, inputs, targets, cost, free, rule, durations, steps, noise, of, keys):
    rates = displacement_rates(system, inputs, targets, cost, rule, free, durations, steps)

    def draw(key):
        read = noise_on(rates, free.state, noise, of, key)
        return read_off(system, inputs, targets, cost, rule, free, read)

    return jax.vmap(draw)(keys)
