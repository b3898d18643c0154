"""Continual Equilibrium Propagation: the parameters move while the nudged phase goes on."""

import warnings
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from physnet.cost import Cost
from physnet.equilibrium import Equilibrium
from physnet.errors import PhysnetError, require_instance
from physnet.gradients import prepare
from physnet.nudging import OneSided
from physnet.parameters import clip_to_bounds, map_parameters, trainable_mask
from physnet.problem import Problem
from physnet.relaxers.base import Relaxer
from physnet.rules import EnergyRule, energy_difference
from physnet.system import System, is_boxed

_GENTLE = 0.1  # eta / beta above which the parameters no longer follow the gradient


class ContinualUpdate(eqx.Module):
    """What one nudged phase did to the parameters.

    system: with the parameters it left, inside their bounds. change: what was added to each trainable array, shaped
    like the system. free: the free equilibria (sample, ...). state: where the nudged phase ended, (sample, ...).
    cost: mean cost of the free phase, in the cost's unit. converged: of the free phase. residual: relative, of `state`
    under the nudge and the final parameters, for each sample; the phase is cut off after a number of steps, so it is a
    measure, not a certificate.
    """

    system: System
    change: System
    free: Equilibrium
    state: PyTree
    cost: Float[Array, ""]
    residual: Float[Array, " sample"]
    converged: Bool[Array, " sample"]


def continual_update(
    system: System,
    inputs,
    targets,
    *,
    cost: Cost,
    nudging: OneSided,
    learning_rate: float | Mapping[str, float],
    steps: int,
    time_step: float | None = None,
    relaxer: Relaxer | None = None,
    throw: bool = True,
) -> ContinualUpdate:
    """Settles free, then nudges for some steps during each of which the parameters move, local in space and in time:

    s <- one step of the system under the nudge,    theta <- theta - (eta/beta) [dE/dtheta(s new) - dE/dtheta(s old)]

    averaged over the samples. No state is stored: with the parameters held, the sum telescopes to the EP gradient of
    that many steps, and the relative difference to it is proportional to eta/beta (Ernoult, Grollier, Querlioz, Bengio
    & Scellier 2020, arXiv:2005.04168).

    system, inputs, targets, cost, relaxer, throw: as for `ep_gradient`. nudging: OneSided(beta, sign=...), beta
    absolute. learning_rate: eta, in units of parameter squared over cost, one or by parameter name. steps: of the
    nudged phase, those of the map of a discrete-time system, or, for others, Euler steps of `time_step`, s.
    Raises PhysnetError for a system without an energy, a nudging that is not one-sided, unknown names, or a missing
    time step; ConvergenceError for free phases that did not settle. Warns, with the angle to expect between the change
    and the EP gradient, where eta/beta is above 0.1.
    """
    where = "continual_update"
    reason = EnergyRule().refuses(system)
    if reason is None and is_boxed(system) and not system.iterates:
        reason = f"{type(system).__name__} is confined to a box, at whose walls a step in time does not stop."
    if reason is not None:
        raise PhysnetError(f"{where}: {reason}")
    require_instance(nudging, OneSided, f"{where}: nudging")
    if nudging.relative:
        raise PhysnetError(f"{where}: give an absolute beta; the parameters move at the rate eta/beta for all samples.")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise PhysnetError(f"{where}: steps is {steps!r}; give a whole number of at least 1.")
    if (time_step is None) != system.iterates:
        what = "is iterated and takes no time_step" if system.iterates else "settles in time; give time_step, s"
        raise PhysnetError(f"{where}: {type(system).__name__} {what}.")
    rates = _rates(system, learning_rate, where)
    inputs, targets, relaxer, free = prepare(system, inputs, targets, cost, relaxer, throw, where)
    beta = jnp.asarray(nudging.beta * nudging.sign, inputs.dtype)
    given = (system, inputs, targets, cost, beta, rates, steps, time_step, free)
    result = _run(*given, jnp.asarray(True))
    ratio = max(float(rate) for rate in jax.tree.leaves(rates)) / nudging.beta
    if ratio > _GENTLE:
        _warn(ratio, result, _run(*given, jnp.asarray(False)))
    return result


def _rates(system: System, learning_rate, where: str) -> System:
    """eta of each trainable parameter, shaped like the system with None elsewhere."""
    names = [parameter.variable.name for parameter in system.parameters if parameter.trainable]
    given = learning_rate if isinstance(learning_rate, Mapping) else dict.fromkeys(names, learning_rate)
    unknown = set(given) - set(names)
    if unknown:
        raise PhysnetError(f"{where}: learning_rate names {sorted(unknown)}; the parameters that learn are {names}.")
    for name, value in given.items():
        if isinstance(value, str | bool) or not np.isscalar(value) or not np.isfinite(value) or value < 0:
            raise PhysnetError(f"{where}: the learning rate of {name} is {value!r}; give a number of at least 0.")
    placed = map_parameters(lambda p, array: jnp.asarray(given.get(p.variable.name, 0.0), array.dtype), system)
    return eqx.filter(placed, trainable_mask(system))


def _warn(ratio: float, moved: ContinualUpdate, held: ContinualUpdate) -> None:
    """Says how far the change is from that of the same steps with the parameters held, which is the EP gradient's."""
    found, exact = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(update.change)]).astype(float)
        for update in (moved, held)
    )
    size = np.linalg.norm(found) * np.linalg.norm(exact)
    angle = np.degrees(np.arccos(np.clip(found @ exact / size, -1, 1))) if size > 0 else np.nan
    warnings.warn(
        f"continual_update: eta/beta is {ratio:.3g}, above {_GENTLE:g}: the parameters move faster than the states "
        f"follow, and the change is {angle:.2g} degrees off the EP gradient here. Use a smaller learning rate, or a "
        "larger beta.",
        stacklevel=3,
    )


@eqx.filter_jit
def _run(system, inputs, targets, cost, beta, rates, steps, time_step, free, moving) -> ContinualUpdate:
    """moving: whether the parameters move; held, their changes add up to the EP gradient's."""
    theta, rest = eqx.partition(system, trainable_mask(system))
    nudge = EnergyRule().nudge(system, inputs, targets, cost, jnp.broadcast_to(beta, inputs.shape[:1]), free.state)

    def one_step(here, state, inputs, nudge):
        problem = Problem(here, inputs, nudge)
        if time_step is None:
            return jax.tree.map(jnp.subtract, state, problem.residual(state))
        return jax.tree.map(lambda s, v: s + time_step * v, state, problem.vector_field(state))

    def within(change):
        """(parameters after this change, inside their bounds; the change that this makes)."""
        asked = jax.tree.map(jnp.add, theta, change)
        placed = eqx.filter(clip_to_bounds(eqx.combine(asked, rest)), trainable_mask(system))
        # A change smaller than the rounding of the parameter is kept: it adds up over steps.
        change = jax.tree.map(lambda c, a, p, t: jnp.where(a == p, c, p - t), change, asked, placed, theta)
        return jax.tree.map(lambda t, p: jnp.where(moving, p, t), theta, placed), change

    def advance(_, carry):
        change, state = carry
        now, change = within(change)
        moved = jax.vmap(lambda *args: one_step(eqx.combine(now, rest), *args))(state, inputs, nudge)

        def work(theta):
            """[F(new) - F(old)] / beta, F = E + beta C, of the batch."""
            here = eqx.combine(theta, rest)
            step, still = jax.tree.map(jnp.subtract, moved, state), jax.tree.map(jnp.zeros_like, state)

            def one(old, new, step, still, inputs, target):
                energy = energy_difference(here, old, step, still, inputs)
                return energy / beta + asked(here, new, inputs, target) - asked(here, old, inputs, target)

            return jnp.mean(jax.vmap(one)(state, moved, step, still, inputs, targets))

        return descend(change, now, work), moved

    def asked(here, state, inputs, target):
        return cost(here.outputs(state, inputs), target)

    def descend(change, now, work):
        return jax.tree.map(lambda c, rate, slope: c - rate * slope, change, rates, jax.grad(work)(now))

    def readout(theta):
        return jnp.mean(jax.vmap(lambda *args: asked(eqx.combine(theta, rest), *args))(free.state, inputs, targets))

    still = jax.tree.map(jnp.zeros_like, theta)
    first = descend(still, theta, readout)  # switching the nudge on: parameters that the outputs themselves depend on
    change, state = jax.lax.fori_loop(0, steps, advance, (first, free.state))
    final, change = within(change)
    moved = eqx.combine(final, rest)
    measured = jax.vmap(lambda state, inputs, nudge: Problem(moved, inputs, nudge).certificate(state)[0])
    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    residual = measured(state, inputs, nudge)
    return ContinualUpdate(moved, change, free, state, mean_cost, residual, free.converged)
