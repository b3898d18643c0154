"""Gradients by moving every parameter a little and settling again: slow, and beyond doubt."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from physnet.equilibrium import settle
from physnet.errors import PhysnetError
from physnet.estimators.base import Estimator, check_count, without_nudging
from physnet.parameters import trainable_mask
from physnet.relaxers.base import Relaxer
from physnet.system import System

_LANES = 8  # entries settled at once


class FiniteDifferences(Estimator):
    """[C(theta + h) - C(theta - h)] / 2 h for every entry of every trainable parameter, both states settled again.

    step: h of an entry, in units of the root mean square of its array, or of 1 for an array of zeros; the error is
    O(step^2) and the rounding O(tolerance of the relaxer / step). 1e-4 suits double precision. An entry at the edge
    of its range is moved past it. largest: number of entries above which it refuses; it settles twice as many batches.
    """

    step: float = eqx.field(static=True, default=1e-4)
    largest: int = eqx.field(static=True, default=1000)
    relaxer: Relaxer | None = None

    def __check_init__(self):
        check_count(self.largest, "largest", "FiniteDifferences")
        if not (np.isfinite(self.step) and self.step > 0):
            raise PhysnetError(f"FiniteDifferences: step is {self.step!r}; it must be positive and finite.")

    def refuses(self, system, cost):
        entries = sum(np.size(p.get(system)) for p in system.parameters if p.trainable)
        if entries <= self.largest:
            return None
        return (
            f"it has {entries} trainable entries, and each takes two more relaxations of the whole batch; at most "
            f"{self.largest} are moved. Use ImplicitDifferentiation(), or FiniteDifferences(largest={entries})."
        )

    def estimate(self, system, inputs, targets, cost, free, relaxer, key):
        return _differences(system, inputs, targets, cost, free, relaxer, jnp.asarray(self.step, inputs.dtype))


@eqx.filter_jit
def _differences(system: System, inputs, targets, cost, free, relaxer, step):
    theta, rest = eqx.partition(system, trainable_mask(system))
    flat, unravel = ravel_pytree(theta)
    sizes = [jnp.full(leaf.size, jnp.sqrt(jnp.mean(leaf**2))) for leaf in jax.tree.leaves(theta)]
    steps = jnp.concatenate(sizes)
    steps = step * jnp.where(steps > 0, steps, 1)

    def moved(entry, sign):
        here = eqx.combine(unravel(flat.at[entry].add(sign * steps[entry])), rest)
        settled = settle(here, inputs, None, relaxer, initial=free.state)
        return jnp.mean(jax.vmap(cost)(settled.outputs, targets)), settled.converged

    def slope(entry):
        costs, converged = jax.vmap(lambda sign: moved(entry, sign))(jnp.array([1.0, -1.0], flat.dtype))
        up, down = ((flat[entry] + sign * steps[entry]) for sign in (1, -1))  # as they were rounded
        return (costs[0] - costs[1]) / (up - down), jnp.all(converged, axis=0)

    # Whole rows of lanes: what is left over would be compiled as a second program.
    lanes = min(_LANES, flat.size)
    rows = jnp.arange(-(-flat.size // lanes) * lanes).reshape(-1, lanes) % flat.size
    slopes, converged = jax.lax.map(jax.vmap(slope), rows)
    slopes, converged = slopes.reshape(-1)[: flat.size], converged.reshape(-1, inputs.shape[0])
    mean_cost = jnp.mean(jax.vmap(cost)(free.outputs, targets))
    converged = free.converged & jnp.all(converged, axis=0)
    return without_nudging(unravel(slopes), mean_cost, free, converged)
