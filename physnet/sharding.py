"""Batches spread over several devices: the one place that says which device takes which samples.

Computation follows data: hand `relax(system, spread(inputs))` a spread batch, and every device settles its own samples.
Loops go on until the slowest sample of all devices has settled, so the devices exchange one number each time round.
Virtual devices on one processor (`jax_num_cpu_devices`) can wait for each other for ever where XLA has no more threads
than there are devices: the environment variable NPROC=8 gives it more.
"""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from physnet.errors import PhysnetError


def devices_for(samples: int, devices: Sequence[jax.Device] | None = None) -> tuple[jax.Device, ...]:
    """The devices that share so many samples evenly: as many of them, from the first, as divide their number.

    samples: how many. devices: to choose from; by default all that this process has on JAX's default platform. Raises
    PhysnetError for an empty or repeated choice.
    """
    devices = tuple(jax.local_devices() if devices is None else devices)
    if not devices or len(set(devices)) < len(devices):
        raise PhysnetError(f"devices are {list(devices)}; give at least one, each once, such as jax.local_devices()")
    return devices[: next(n for n in range(len(devices), 0, -1) if samples % n == 0)]


def spread(tree: PyTree, devices: Sequence[jax.Device] | None = None) -> PyTree:
    """The same arrays, their first axis cut into equal parts that lie on different devices.

    tree: arrays with a leading sample axis, such as inputs and targets; single numbers are copied to every device.
    devices: as for `devices_for`, which are as many as divide the number of samples of every array. On one device the
    tree comes back as it is. Raises PhysnetError as `devices_for` does.
    """
    counts = [leaf.shape[0] for leaf in jax.tree.leaves(tree) if jnp.ndim(leaf)]
    chosen = devices_for(math.gcd(*counts), devices)
    if len(chosen) == 1:
        return tree if devices is None else replicated(tree, chosen)
    return jax.tree.map(lambda leaf: jax.device_put(leaf, _placement(chosen, jnp.ndim(leaf) > 0)), tree)


def replicated(tree: PyTree, devices: Sequence[jax.Device]) -> PyTree:
    """The pytree `tree` with a copy of its arrays on every one of the `devices`; what is no array stays as it is."""
    placement = _placement(tuple(devices), False)
    return jax.tree.map(lambda leaf: jax.device_put(leaf, placement) if eqx.is_array(leaf) else leaf, tree)


def gathered(tree: PyTree) -> PyTree:
    """The same arrays on JAX's default device alone, free to go where they are needed next.

    tree: any; what is no array, and random keys, stay as they are.
    """

    def home(leaf):
        if not eqx.is_array(leaf) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        return jnp.asarray(np.asarray(leaf))

    return jax.tree.map(home, tree)


def devices_of(tree: PyTree) -> tuple[jax.Device, ...]:
    """The devices that share the arrays of a tree, in order; () where one device holds them all.

    tree: any; what is no JAX array is passed over.
    """
    found = {device for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array) for device in leaf.devices()}
    return tuple(sorted(found, key=lambda device: device.id)) if len(found) > 1 else ()


def pinned(tree: PyTree, devices: Sequence[jax.Device], *, samples: bool) -> PyTree:
    """Inside a compiled function: keeps the arrays of `tree` where they are to be, on these `devices`.

    samples: spread by their first axis; else whole on every device.
    """
    if len(devices) < 2:
        return tree
    placement = _placement(tuple(devices), samples)
    return jax.tree.map(
        lambda leaf: jax.lax.with_sharding_constraint(leaf, placement) if eqx.is_array(leaf) else leaf, tree
    )


def _placement(devices: tuple[jax.Device, ...], samples: bool) -> NamedSharding:
    # Auto: JAX finds the placement of what is computed. Under explicit axes diffrax does not trace inside vmap.
    mesh = jax.make_mesh((len(devices),), ("sample",), axis_types=(AxisType.Auto,), devices=devices)
    return NamedSharding(mesh, PartitionSpec("sample") if samples else PartitionSpec())
