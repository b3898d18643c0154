"""Gradients read off steady states by Equilibrium Propagation."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact, PRNGKeyArray

from physnet.checks import check_inputs
from physnet.cost import Cost, check_targets
from physnet.equilibrium import Equilibrium, check_relaxer, compiled_settle, raise_unless_converged, settle
from physnet.errors import PhysnetError, require_instance
from physnet.nudging import FREE, Nudging
from physnet.nudging_scale import beta_units, check_nudging, nudging_scales
from physnet.parameters import trainable_mask
from physnet.problem import flatten
from physnet.relaxers.base import Relaxer
from physnet.rules import LearningRule, rule_for
from physnet.system import System


class EPGradient(eqx.Module):
    """A gradient and the steady states it was read off.

    gradient: shaped like the system, with arrays at the trainable parameters and None elsewhere; the mean over samples.
    cost: mean cost of the free phase, in `cost_units`. free: the free equilibria (sample, ...). nudged: the nudged ones
    (phase, sample, ...), None for a gradient without nudging. converged: per sample, in every phase. betas: (phase,
    sample) of the nudged phases, in units of energy over cost. cost_units: of the cost; those of a gradient are
    cost_units over the parameter's.
    """

    gradient: System
    cost: Float[Array, ""]
    free: Equilibrium
    nudged: Equilibrium | None
    converged: Bool[Array, " sample"]
    betas: Inexact[Array, "phase sample"] | None = None
    cost_units: str = eqx.field(static=True, default="1")

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset: one `gradient_<name>` for each trainable parameter, cost, residual, converged.

        attributes: as for `physnet.to_dataset`.
        """
        from physnet.datasets import gradient_dataset

        return gradient_dataset(self, **attributes)


def phase_gradient(
    system: System,
    inputs: Array,
    targets: Array,
    cost: Cost,
    nudging: Nudging,
    relaxer: Relaxer,
    *,
    rule: LearningRule | None = None,
    scale: Array | None = None,
    free: Equilibrium | None = None,
    key: PRNGKeyArray | None = None,
    certify: bool = True,
) -> EPGradient:
    """The traceable core of `ep_gradient`: free phase, nudged phases in one batch, and what the rule makes of them.

    scale: (sample,) the unit of a relative beta. free: the free equilibria, where they are known already.
    """
    rule = rule_for(system) if rule is None else rule
    if free is None:
        free = settle(system, inputs, None, relaxer, certify=certify)
    beta = jnp.asarray(nudging.beta, inputs.dtype) * (scale if nudging.relative else 1)
    beta = nudging.drawn(jnp.broadcast_to(beta, inputs.shape[:1]), key)
    nudged = nudging.phases(system, inputs, targets, cost, rule, relaxer, beta=beta, free=free, certify=certify)
    theta, rest = eqx.partition(system, trainable_mask(system))
    zero = jax.tree.map(jnp.zeros_like, free.state)

    def displacement_and_beta(index):
        if index == FREE:
            return zero, jnp.zeros_like(beta)
        return jax.tree.map(lambda leaf: leaf[index], nudged.displacement), nudged.betas[index]

    def difference_quotient(theta):
        here = eqx.combine(theta, rest)
        quotients = []
        for (a, b), weight in zip(nudging.pairs, nudging.weights):
            one = jax.vmap(lambda *args: rule.quotient(here, cost, *args))
            pair = (*displacement_and_beta(a), *displacement_and_beta(b))
            quotients.append(weight * jnp.mean(one(free.state, *pair, inputs, targets).real))
        return sum(quotients)

    gradient = jax.grad(difference_quotient)(theta)
    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    converged = free.converged & nudged.converged
    return EPGradient(gradient, mean_cost, free, nudged.equilibrium, converged, nudged.betas)


_phase_gradient = eqx.filter_jit(phase_gradient)


@eqx.filter_jit
def _cost_along_modes(system, cost, state, inputs, targets):
    """Largest |u . dC/ds| / (|u| |dC/ds|) over samples and neutral modes u."""

    def one(state, inputs, target):
        slope = flatten(jax.grad(lambda s: cost(system.outputs(s, inputs), target))(state))
        modes = [flatten(mode) for mode in system.neutral_modes(state)]
        outputs = system.outputs(state, inputs)  # where the cost is at its least, its slope is rounding
        rounding = cost.largest_curvature() * (jnp.linalg.norm(outputs) + jnp.linalg.norm(target))
        size = jnp.maximum(jnp.linalg.norm(slope), jnp.sqrt(jnp.finfo(slope.dtype).eps) * rounding)
        size = size + jnp.finfo(slope.dtype).tiny
        return jnp.max(jnp.stack([jnp.abs(u @ slope) / (jnp.linalg.norm(u) * size) for u in modes]))

    return jnp.max(jax.vmap(one)(state, inputs, targets))


def prepare(system, inputs, targets, cost, relaxer, throw, where):
    """Checks everything a gradient needs before tracing, and settles the free phase."""
    inputs, _ = check_inputs(system, inputs)
    targets = check_targets(system, cost, targets, inputs.shape[0])
    relaxer = check_relaxer(system, relaxer, cost)
    free = compiled_settle(system, inputs, None, relaxer, initial=None)  # called as relax calls it: one program
    if throw:
        raise_unless_converged(free, system, relaxer, f"{where}, free phase", inputs)
    if system.neutral_modes(jax.tree.map(lambda leaf: leaf[0], free.state)):
        slope = float(_cost_along_modes(system, cost, free.state, inputs, targets))
        if slope > 1e-6:
            raise PhysnetError(
                f"{where}: the cost changes along a neutral mode of {type(system).__name__} (relative slope "
                f"{slope:.2g}), so its gradient does not exist. Use a cost of differences, or fix a reference."
            )
    return inputs, targets, relaxer, free


def check_rule(system: System, rule: LearningRule | None, where: str) -> LearningRule:
    """The rule to use: the given one, or the one that is exact on this system. Raises PhysnetError where it refuses."""
    rule = rule_for(system) if rule is None else rule
    require_instance(rule, LearningRule, "rule")
    reason = rule.refuses(system)
    if reason is not None:
        raise PhysnetError(f"{where}: {type(rule).__name__} refuses: {reason}")
    return rule


def check_stencil(system, cost, nudging, rule, relaxer, where: str) -> None:
    """Raises PhysnetError for a nudging that does not work on this system, with this cost, rule and relaxer."""
    require_instance(nudging, Nudging, "nudging")
    reason = nudging.refuses(system, cost, rule, relaxer)
    if reason is not None:
        raise PhysnetError(f"{where}: {type(nudging).__name__} refuses {type(system).__name__}: {reason}")


def ep_gradient(
    system: System,
    inputs,
    targets,
    *,
    cost: Cost,
    nudging: Nudging,
    rule: LearningRule | None = None,
    relaxer: Relaxer | None = None,
    throw: bool = True,
    key: PRNGKeyArray | None = None,
) -> EPGradient:
    """dC/dtheta by Equilibrium Propagation: the system settles free, then nudged, and the phases are compared.

    With an energy, g = mean over the nudging's pairs of d/dtheta [F(s_a) - F(s_b)] / (beta_a - beta_b), F = E + beta C
    (Scellier & Bengio 2017, doi:10.3389/fncom.2017.00024); without one, by the force and its antisymmetric correction
    (`CorrectedRule`). Averaged over samples; no per-sample parameter array is ever formed.

    system: whose parameters learn. inputs: (sample, input) or (input,), in the inputs' unit. targets: (sample, output)
    or (output,), in the outputs' unit. cost: of one sample's outputs against its target. relaxer: what settles every
    phase; the system's own by default. nudging: the stencil, such as `Centred(beta)`, beta in units of energy over cost
    (S), or relative. rule: what is compared; by default energies where the system has one, else `CorrectedRule()`,
    either of them exact. throw: raise where a phase did not settle; with False, `converged` says so for each sample.
    key: for a nudging that draws (`RandomSign`). Raises PhysnetError for shapes that do not fit, a relaxer, rule or
    nudging that refuses, or a beta too negative; ConvergenceError for phases that did not settle, or a beta beyond the
    reach of a holomorphic stencil.
    """
    rule = check_rule(system, rule, "ep_gradient")
    require_instance(nudging, Nudging, "nudging")
    if nudging.is_random and key is None:
        raise PhysnetError(f"ep_gradient: {type(nudging).__name__} draws at random; pass key=jax.random.key(seed).")
    relaxer = check_relaxer(system, relaxer, cost)
    check_stencil(system, cost, nudging, rule, relaxer, "ep_gradient")
    inputs, targets, relaxer, free = prepare(system, inputs, targets, cost, relaxer, throw, "ep_gradient")
    nudging.check(system, cost, free.state, inputs, targets)
    scale = None
    if nudging.relative or nudging.most_negative:
        scale = nudging_scales(system, cost, free.state, inputs)
        check_nudging(nudging, cost, scale, "ep_gradient", beta_units(system, cost))
    beta = nudging.beta * (scale if nudging.relative else jnp.ones(inputs.shape[:1], inputs.dtype))
    unit = replace(nudging, beta=1.0, relative=True)  # the size of beta travels as an array: one program for all
    result = _phase_gradient(system, inputs, targets, cost, unit, relaxer, rule=rule, scale=beta, free=free, key=key)
    if throw:
        raise_unless_converged(result.nudged, system, relaxer, "ep_gradient, nudged phases")
    return complete(result, system, inputs, cost)


def complete(result: EPGradient, system: System, inputs: Array, cost: Cost) -> EPGradient:
    """The result with what its dataset needs."""
    free = replace(result.free, inputs=inputs, system=system)
    return replace(result, free=free, cost_units=cost.units(system.output_variable.units))
