"""Batches spread over several devices: the one place that says which device takes which samples.

Computation follows data: hand `relax(system, spread(inputs))` a spread batch, and every device settles its own samples.
Loops that end when the samples have settled run on each device for itself (`apart`): none waits for another, and XLA
on CPUs, which runs loops of one program side by side, deadlocks where two of them talk across devices.
"""

import math
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from physnet.errors import PhysnetError
from physnet.relaxers.base import Relaxer


def devices_for(samples: int, devices: Sequence[jax.Device] | None = None) -> tuple[jax.Device, ...]:
    """The devices that share so many samples evenly: as many of them, from the first, as divide their number.

    devices: to choose from; by default all that this process has on JAX's default platform. Raises PhysnetError for
    an empty or repeated choice.
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
    """The same arrays with a copy on every one of the devices; what is no array stays as it is."""
    placement = _placement(tuple(devices), False)
    return jax.tree.map(lambda leaf: jax.device_put(leaf, placement) if eqx.is_array(leaf) else leaf, tree)


def devices_of(tree: PyTree) -> tuple[jax.Device, ...]:
    """The devices that hold the arrays of a batch, in order; () for arrays that lie on none yet, or on one."""
    found = {device for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array) for device in leaf.devices()}
    return tuple(sorted(found, key=lambda device: device.id)) if len(found) > 1 else ()


def pinned(tree: PyTree, devices: Sequence[jax.Device], *, samples: bool) -> PyTree:
    """Inside a compiled function: keeps arrays spread by their first axis (samples), or whole on every device."""
    if len(devices) < 2:
        return tree
    placement = _placement(tuple(devices), samples)
    return jax.tree.map(
        lambda leaf: jax.lax.with_sharding_constraint(leaf, placement) if eqx.is_array(leaf) else leaf, tree
    )


def apart(function: Callable, shared: PyTree, batch: PyTree, devices: Sequence[jax.Device]) -> PyTree:
    """function(shared, batch) by every device for its part of a batch, with nothing exchanged. Traceable.

    batch: arrays with a leading sample axis, a multiple of the number of devices; shared: what all samples have in
    common. Every array of the result has that axis too, and must depend on its own sample alone.
    """
    if len(devices) < 2:
        return function(shared, batch)
    arrays, rest = eqx.partition((shared, batch), eqx.is_array)
    plain = []

    def on_one(*arrays):
        found, others = eqx.partition(function(*eqx.combine(arrays, rest)), eqx.is_array)
        plain.append(others)
        return found

    cut = PartitionSpec("sample")
    mesh = _placement(tuple(devices), True).mesh
    # Unchecked: loops of solvers start from constants, which the check of what varies over devices refuses.
    found = jax.shard_map(on_one, mesh=mesh, in_specs=(PartitionSpec(), cut), out_specs=cut, check_vma=False)(*arrays)
    return eqx.combine(found, plain[-1])


class EachDevice(Relaxer):
    """Another relaxer, on every device for its own samples.

    relaxer: what settles them. devices: that share the samples; two or more.
    """

    relaxer: Relaxer
    devices: tuple[jax.Device, ...] = eqx.field(static=True)

    @property
    def solves_displacement(self):
        return self.relaxer.solves_displacement

    @property
    def strategies(self):
        return self.relaxer.strategies

    def for_complex_states(self):
        return EachDevice(self.relaxer.for_complex_states(), self.devices)

    def tolerance_for(self, dtype):
        return self.relaxer.tolerance_for(dtype)

    def refuses(self, system, cost):
        return self.relaxer.refuses(system, cost)

    def solve(self, system, inputs, nudge, initial, reference, certify):
        def solve(shared, batch):
            relaxer, system = shared
            return relaxer.solve(system, *batch, certify)

        return apart(solve, (self.relaxer, system), (inputs, nudge, initial, reference), self.devices)

    def settle(self, settle, system, inputs, nudge, initial, reference, certify):
        """`physnet.equilibrium.settle` by each device, start and certificate included: these may hold loops, too."""

        def part(shared, batch):
            relaxer, system = shared
            inputs, nudge, initial, reference = batch
            return settle(system, inputs, nudge, relaxer, initial=initial, reference=reference, certify=certify)

        return apart(part, (self.relaxer, system), (inputs, nudge, initial, reference), self.devices)


def each_device(relaxer: Relaxer, devices: Sequence[jax.Device]) -> Relaxer:
    """The relaxer for samples that are spread over these devices: itself on one."""
    return EachDevice(relaxer, tuple(devices)) if len(devices) > 1 else relaxer


def _placement(devices: tuple[jax.Device, ...], samples: bool) -> NamedSharding:
    # Auto: JAX finds the placement of what is computed. Under explicit axes diffrax does not trace inside vmap.
    mesh = jax.make_mesh((len(devices),), ("sample",), axis_types=(AxisType.Auto,), devices=devices)
    return NamedSharding(mesh, PartitionSpec("sample" if samples else None))
