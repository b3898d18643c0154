"""Many copies of one network trained side by side, each with its own conductances, data and learning rate.

`physnet.fit` trains one system at a time and compiles anew for every rule, beta and optimiser. Comparing rules takes
more than a hundred trainings of a small network, so here the copies are one more array axis, and rules that differ in
numbers only (the sign of beta, eta) share one compiled program.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from circuits import BlockDescent, LayeredNetwork
from physnet import SquaredError
from physnet.equilibrium import settle
from physnet.gradients import phase_gradient
from physnet.implicit import implicit_from_states
from physnet.nudging import Nudging
from physnet.trainer import correctly_classified

COST = SquaredError()

Conductances = tuple[Float[Array, "copy before after"], ...]


class Measured(NamedTuple):
    """What one pass over batches measured, for each copy.

    gradient: mean over the batches, one array for each layer. cost: mean over the free phases, V2. residual: the
    largest relative one of the free phases, estimated (see BlockDescent). converged: fraction of samples whose phases
    all settled. steps, nudged_steps: mean sweeps of a phase.
    """

    gradient: Conductances
    cost: Float[Array, " copy"]
    residual: Float[Array, " copy"]
    converged: Float[Array, " copy"]
    steps: Float[Array, " copy"]
    nudged_steps: Float[Array, " copy"]


@eqx.filter_jit
def descend(
    network: LayeredNetwork,
    conductances: Conductances,
    images: Float[Array, "copy sample feature"],
    targets: Float[Array, "copy sample output"],
    nudging: Nudging,
    relaxer: BlockDescent,
    rates: tuple[Float[Array, " copy"], ...],
    order: Int[Array, "step copy batch"],
    beta: Float[Array, "step copy batch"],
) -> tuple[Conductances, Measured]:
    """One pass over the batches in `order`: conductances step down the rule's gradient, and never below 0 S.

    network: gives the copies all but their conductances. nudging: a stencil of size 1 that `beta` multiplies: nudging
    strengths of either sign, S, or, for clamped outputs, eta. rates: learning rate of each layer of conductances.
    """

    def one(conductances, images, targets, rates, chosen, beta):
        here = eqx.tree_at(lambda tree: tree.conductances, network, conductances)
        x, y = images[chosen], targets[chosen]
        found = phase_gradient(here, x, y, COST, nudging, relaxer, scale=beta, certify=False)
        slopes = found.gradient.conductances
        moved = tuple(jnp.maximum(g - rate * slope, 0) for g, rate, slope in zip(conductances, rates, slopes))
        means = [jnp.mean(part, dtype=x.dtype) for part in (found.converged, found.free.steps, found.nudged.steps)]
        return moved, Measured(slopes, found.cost, jnp.max(found.free.residual), *means)

    def body(carry, batch):
        conductances, total = carry
        conductances, new = jax.vmap(one)(conductances, images, targets, rates, *batch)
        summed = jax.tree.map(jnp.add, total, new)
        return (conductances, summed._replace(residual=jnp.maximum(total.residual, new.residual))), None

    start = Measured(jax.tree.map(jnp.zeros_like, conductances), *[jnp.zeros_like(rates[0])] * 5)
    (conductances, total), _ = jax.lax.scan(body, (conductances, start), (order, beta))
    mean = jax.tree.map(lambda leaf: leaf / order.shape[0], total)
    return conductances, mean._replace(residual=total.residual)


@eqx.filter_jit
def evaluate(network, conductances: Conductances, images, targets, relaxer) -> tuple[Array, Array, Array, Array]:
    """(cost, V2; whether right; residual; whether settled), (copy, sample), of free states, and (copy,): nudging scale,
    S, the beta at which a negative nudge first unbinds the outputs."""

    def one(conductances, images, targets):
        here = eqx.tree_at(lambda tree: tree.conductances, network, conductances)
        free = settle(here, images, None, relaxer, certify=False)
        right = jax.vmap(correctly_classified)(free.outputs, targets)
        costs = jax.vmap(COST)(free.outputs, targets)
        return costs, right, free.residual, free.converged, here.nudging_scale(None, None)

    return jax.vmap(one)(conductances, images, targets)


@eqx.filter_jit
def exact_gradient(network, conductances: Conductances, images, targets, relaxer) -> Conductances:
    """The implicit gradient, averaged over the samples given, for each copy in turn."""

    def one(copy):
        conductances, images, targets = copy
        here = eqx.tree_at(lambda tree: tree.conductances, network, conductances)
        free = settle(here, images, None, relaxer, certify=False)
        return implicit_from_states(here, images, targets, COST, free).gradient.conductances

    return jax.lax.map(one, (conductances, images, targets))
