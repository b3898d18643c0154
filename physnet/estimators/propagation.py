"""Equilibrium Propagation as an estimator, settled to the end or nudged for a number of steps."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from physnet.errors import PhysnetError
from physnet.estimators.base import Estimator, advanced, check_count, check_step, time_steps, why_no_steps
from physnet.estimators.noise import NoisyReading
from physnet.gradients import check_rule, check_stencil, phase_gradient
from physnet.nudging import Nudging
from physnet.nudging_scale import beta_units, check_nudging, nudging_scales
from physnet.problem import Problem
from physnet.relaxers.base import Relaxer, Solution
from physnet.rules import LearningRule, rule_for


class EquilibriumPropagation(Estimator):
    """The system settles free, then nudged, and the phases are compared (`ep_gradient`).

    nudging: the stencil. rule: what is compared; the exact one by default. relaxer: of both phases; the system's own
    by default. steps: nudged phases are not settled but take this many synchronous steps of the system's own
    relaxation from the free state; `converged` then speaks of the free phase only. step: s, of explicit Euler steps
    of a system in continuous time.
    """

    nudging: Nudging
    rule: LearningRule | None = None
    relaxer: Relaxer | None = None
    steps: int | None = eqx.field(static=True, default=None)
    step: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_count(self.steps, "steps", "EquilibriumPropagation", optional=True)
        check_step(self.step, "EquilibriumPropagation")

    def refuses(self, system, cost):
        rule = rule_for(system) if self.rule is None else self.rule
        relaxer = system.default_relaxer() if self.relaxer is None else self.relaxer
        if self.steps is not None and why_no_steps(system) is not None:
            return why_no_steps(system)
        return (
            rule.refuses(system) or relaxer.refuses(system, cost) or self.nudging.refuses(system, cost, rule, relaxer)
        )

    def with_beta(self, beta):
        return replace(self, nudging=replace(self.nudging, beta=float(beta), relative=True))

    def with_steps(self, steps):
        return self if self.steps is None else replace(self, steps=steps)

    def _prepared(self, system, inputs, targets, cost, free, relaxer):
        """(unit nudging, relaxer of the nudged phases, rule, beta of each sample): one program for all betas."""
        where = type(self).__name__
        rule = check_rule(system, self.rule, where)
        check_stencil(system, cost, self.nudging, rule, relaxer, where)
        self.nudging.check(system, cost, free.state, inputs, targets)
        beta = jnp.full(inputs.shape[:1], self.nudging.beta, inputs.dtype)
        if self.nudging.relative or self.nudging.most_negative:
            scale = nudging_scales(system, cost, free.state, inputs)
            check_nudging(self.nudging, cost, scale, where, beta_units(system, cost))
            beta = beta * scale if self.nudging.relative else beta
        if self.steps is not None:
            durations = time_steps(system, inputs, free, self.step)
            relaxer = _Steps(jnp.asarray(self.steps, jnp.int32), durations)
        return replace(self.nudging, beta=1.0, relative=True), relaxer, rule, beta

    def estimate(self, system, inputs, targets, cost, free, relaxer, key):
        if self.nudging.is_random and key is None:
            raise PhysnetError(f"EquilibriumPropagation: {type(self.nudging).__name__} draws at random; pass key=.")
        unit, nudged, rule, beta = self._prepared(system, inputs, targets, cost, free, relaxer)
        return _propagated(system, inputs, targets, cost, unit, nudged, rule=rule, scale=beta, free=free, key=key)

    def noisy(self, system, inputs, targets, cost, free, relaxer, noise, of, keys):
        unit, nudged, rule, beta = self._prepared(system, inputs, targets, cost, free, relaxer)
        noise = jnp.asarray(noise, inputs.dtype)
        return _noisy(system, inputs, targets, cost, unit, nudged, rule, beta, free, noise, of, keys)


_propagated = eqx.filter_jit(phase_gradient)


@eqx.filter_jit
def _noisy(system, inputs, targets, cost, unit, relaxer, rule, beta, free, noise, of, keys):
    def draw(key):  # the phases do not depend on the key: they are settled once, and read many times
        key, signs = jax.random.split(key)
        reading = NoisyReading(1.0, True, unit, noise, key, of)
        arguments = {"rule": rule, "scale": beta, "free": free, "key": signs}
        return phase_gradient(system, inputs, targets, cost, reading, relaxer, **arguments).gradient

    return jax.vmap(draw)(keys)


class _Steps(Relaxer):
    """A number of synchronous steps of the system's own relaxation, settled or not. Both travel as arrays."""

    steps: Array
    durations: Array  # (sample,)

    def for_complex_states(self):
        return self

    def tolerance_for(self, dtype):
        return float("inf")

    def refuses(self, system, cost):
        return None

    def solve(self, system, inputs, nudge, initial, reference, certify):
        def one(inputs, nudge, state, duration):
            problem = Problem(system, inputs, nudge)
            return jax.lax.fori_loop(0, self.steps, lambda _, s: advanced(problem, s, duration), state)

        state = jax.vmap(one)(inputs, nudge, initial, self.durations)
        return Solution(state, jnp.broadcast_to(self.steps, self.durations.shape))
