"""Gradients read off steady states: by Equilibrium Propagation, and by the implicit function theorem as reference."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from physnet.cost import Cost, check_targets
from physnet.equilibrium import Equilibrium, check_relaxer, compiled_settle, raise_unless_converged, settle
from physnet.errors import PhysnetError, require_instance
from physnet.linearise import solve_transposed
from physnet.nudging import FREE, Nudge, Nudging
from physnet.nudging_scale import beta_units, check_nudging, nudging_scales
from physnet.problem import flatten
from physnet.relaxers.base import Relaxer
from physnet.system import EnergySystem, System, check_inputs, trainable_mask


class EPGradient(eqx.Module):
    """A gradient and the steady states it was read off.

    gradient: shaped like the system, with arrays at the trainable parameters and None elsewhere; the mean over samples.
    cost: mean cost of the free phase. free: the free equilibria (sample, ...). nudged: the nudged ones
    (phase, sample, ...), None for a gradient without nudging. converged: per sample, in every phase. betas: (phase,
    sample) of the nudged phases, in units of energy over cost. cost_units: of the cost; those of a gradient are
    cost_units over the parameter's.
    """

    gradient: System
    cost: Float[Array, ""]
    free: Equilibrium
    nudged: Equilibrium | None
    converged: Bool[Array, " sample"]
    betas: Float[Array, "phase sample"] | None = None
    cost_units: str = eqx.field(static=True, default="1")

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset: one `gradient_<name>` for each trainable parameter, cost, residual, converged."""
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
    scale: Array | None = None,
    free: Equilibrium | None = None,
    certify: bool = True,
) -> EPGradient:
    """The traceable core of `ep_gradient`: free phase, nudged phases in one batch, and their difference.

    scale: (sample,) the unit of a relative beta. free: the free equilibria, where they are known already.
    """
    if free is None:
        free = settle(system, inputs, None, relaxer, certify=certify)
    beta = jnp.asarray(nudging.beta, inputs.dtype) * (scale if nudging.relative else 1)
    beta = jnp.broadcast_to(beta, inputs.shape[:1])
    betas = jnp.stack([factor * beta for factor in nudging.factors])

    def phase(beta):
        nudge = Nudge(cost, targets, beta)
        return settle(system, inputs, nudge, relaxer, reference=free, certify=certify)

    nudged = jax.vmap(phase)(betas)
    theta, rest = eqx.partition(system, trainable_mask(system))
    displaced = [jax.tree.map(lambda leaf, k=k: leaf[k], nudged.displacement) for k in range(len(nudging.factors))]
    zero = jax.tree.map(jnp.zeros_like, free.state)

    def displacement_and_beta(index):
        return (zero, jnp.zeros_like(beta)) if index == FREE else (displaced[index], betas[index])

    def difference_quotient(theta):
        here = eqx.combine(theta, rest)
        quotients = []
        for a, b in nudging.pairs:
            (from_b, beta_b), (from_a, beta_a) = displacement_and_beta(b), displacement_and_beta(a)
            one = jax.vmap(lambda *args: _pair_quotient(here, cost, *args))
            quotients.append(jnp.mean(one(free.state, from_a, beta_a, from_b, beta_b, inputs, targets)))
        return sum(quotients) / len(quotients)

    gradient = jax.grad(difference_quotient)(theta)
    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    converged = free.converged & jnp.all(nudged.converged, axis=0)
    return EPGradient(gradient, mean_cost, free, nudged, converged, betas)


def _pair_quotient(system, cost, free, from_a, beta_a, from_b, beta_b, inputs, target):
    """(F(s_a) - F(s_b)) / (beta_a - beta_b) of one sample, as a function of the parameters only.

    Where dE/dtheta is quadratic in the state its difference is exactly its derivative at the midpoint along s_a - s_b:
    no two large numbers are subtracted, which is what keeps single precision sound.
    """
    weight = 1 / (beta_a - beta_b)
    at_a = jax.tree.map(jnp.add, free, from_a)
    at_b = jax.tree.map(jnp.add, free, from_b)
    if system.midpoint_exact:
        midpoint = jax.tree.map(lambda s, a, b: s + (a + b) / 2, free, from_a, from_b)
        step = jax.tree.map(lambda a, b: weight * (a - b), from_a, from_b)
        energy = jax.jvp(lambda s: system.energy(s, inputs), (midpoint,), (step,))[1]
    else:
        energy = weight * (system.energy(at_a, inputs) - system.energy(at_b, inputs))
    cost_a = cost(system.outputs(at_a, inputs), target)
    cost_b = cost(system.outputs(at_b, inputs), target)
    return energy + weight * (beta_a * cost_a - beta_b * cost_b)


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


def _prepare(system, inputs, targets, cost, relaxer, throw, where):
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


def require_energy(system: System, where: str) -> None:
    """Raises PhysnetError for a system whose energies cannot be compared because it has none."""
    if not isinstance(system, EnergySystem):
        raise PhysnetError(
            f"{where}: {type(system).__name__} has no energy, so a difference of energies is not its gradient. "
            f"Use implicit_gradient, which needs only the residual.{system.why_no_energy()}"
        )


def ep_gradient(
    system: System,
    inputs,
    targets,
    *,
    cost: Cost,
    nudging: Nudging,
    relaxer: Relaxer | None = None,
    throw: bool = True,
) -> EPGradient:
    """dC/dtheta by Equilibrium Propagation: the system settles free, then nudged, and the energies are compared.

    g = mean over the nudging's pairs of d/dtheta [F(s_a) - F(s_b)] / (beta_a - beta_b), F = E + beta C, averaged over
    samples (Scellier & Bengio 2017, doi:10.3389/fncom.2017.00024). No per-sample parameter array is ever formed.

    inputs: (sample, input) or (input,). targets: (sample, output) or (output,), in the outputs' unit. nudging: the
    stencil, `Centred(beta)` or `OneSided(beta)`, beta in units of energy over cost (S), or relative. throw: raise
    where a phase did not settle; with False, `converged` says so for each sample.
    Raises PhysnetError for shapes that do not fit, a relaxer that refuses, a beta too negative, or a system without
    an energy; ConvergenceError for phases that did not settle.
    """
    require_energy(system, "ep_gradient")
    require_instance(nudging, Nudging, "nudging")
    inputs, targets, relaxer, free = _prepare(system, inputs, targets, cost, relaxer, throw, "ep_gradient")
    scale = None
    if nudging.relative or nudging.most_negative:
        scale = nudging_scales(system, cost, free.state, inputs)
        check_nudging(nudging, cost, scale, "ep_gradient", beta_units(system, cost))
    beta = nudging.beta * (scale if nudging.relative else jnp.ones(inputs.shape[:1], inputs.dtype))
    unit = replace(nudging, beta=1.0, relative=True)  # the size of beta travels as an array: one program for all
    result = _phase_gradient(system, inputs, targets, cost, unit, relaxer, scale=beta, free=free)
    if throw:
        raise_unless_converged(result.nudged, system, relaxer, "ep_gradient, nudged phases")
    return _complete(result, system, inputs, cost)


def _complete(result: EPGradient, system: System, inputs: Array, cost: Cost) -> EPGradient:
    """The result with what its dataset needs."""
    free = replace(result.free, inputs=inputs, system=system)
    return replace(result, free=free, cost_units=cost.units(system.output_variable.units))


def implicit_gradient(
    system: System, inputs, targets, *, cost: Cost, relaxer: Relaxer | None = None, throw: bool = True
) -> EPGradient:
    """dC/dtheta by the implicit function theorem at the free steady state: the reference for every EP gradient.

    dC/dtheta - lambda . dr/dtheta with J^T lambda = dC/ds, r the residual and J = dr/ds, solved densely on the
    coordinates that are free to move. Needs no energy. Arguments, result and errors as for `ep_gradient`.
    """
    inputs, targets, relaxer, free = _prepare(system, inputs, targets, cost, relaxer, throw, "implicit_gradient")
    result = _implicit(system, inputs, targets, cost, free)
    return _complete(result, system, inputs, cost)


def implicit_from_states(system: System, inputs: Array, targets: Array, cost: Cost, free: Equilibrium) -> EPGradient:
    """The traceable core of `implicit_gradient`, from free equilibria (sample, ...)."""
    from physnet.problem import Problem

    def adjoint(sample):
        state, inputs, target = sample
        slope = jax.grad(lambda s: cost(system.outputs(s, inputs), target))(state)
        return solve_transposed(Problem(system, inputs), state, slope)

    # One sample at a time: a dense Jacobian each is large enough.
    adjoints = jax.lax.map(adjoint, (free.state, inputs, targets))
    theta, rest = eqx.partition(system, trainable_mask(system))

    def lagrangian(theta):
        here = eqx.combine(theta, rest)

        def one(state, adjoint, inputs, target):
            if isinstance(here, EnergySystem):
                pull = jax.jvp(lambda s: here.energy(s, inputs), (state,), (adjoint,))[1]
            else:
                pull = jnp.vdot(flatten(here.residual(state, inputs)), flatten(adjoint))
            return cost(here.outputs(state, inputs), target) - pull

        return jnp.mean(jax.vmap(one)(free.state, adjoints, inputs, targets))

    gradient = jax.grad(lagrangian)(theta)
    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    return EPGradient(gradient, mean_cost, free, None, free.converged)


_implicit = eqx.filter_jit(implicit_from_states)
