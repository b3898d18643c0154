"""What learning may change of a system: masks and maps over its parameters."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from physnet.system import Parameter, System


def trainable_mask(system: System) -> PyTree:
    """A pytree shaped like the system: True at the arrays that learning may change, False elsewhere."""
    getters = [parameter.get for parameter in system.parameters if parameter.trainable]
    mask = jax.tree.map(lambda _: False, system)
    return eqx.tree_at(lambda tree: [get(tree) for get in getters], mask, replace=[True] * len(getters))


def map_parameters(fn: Callable[[Parameter, Array], Array], system: System, *, only_trainable: bool = True) -> System:
    """A copy of the system with fn(parameter, array) in the place of each parameter's array."""
    chosen = [parameter for parameter in system.parameters if parameter.trainable or not only_trainable]
    values = [fn(parameter, parameter.get(system)) for parameter in chosen]
    return eqx.tree_at(lambda tree: [parameter.get(tree) for parameter in chosen], system, replace=values)


def clip_to_bounds(system: System) -> System:
    """Puts every trainable parameter back inside its physical range (a conductance is not negative)."""

    def clip(parameter, value):
        return value if parameter.variable.bounds is None else jnp.clip(value, *parameter.variable.bounds)

    return map_parameters(clip, system)
