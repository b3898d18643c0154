"""Networks whose conductances are written into imperfect devices, many of them side by side."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from circuits import BlockDescent, LayeredNetwork
from circuits.devices import apply
from circuits.nonidealities import DeviceSpread, Nonideality, ReadNoise, StuckDevices
from physnet import Centred, SquaredError
from physnet.equilibrium import settle
from physnet.gradients import phase_gradient
from physnet.trainer import correctly_classified

COST = SquaredError()
_TESTED = 10**6  # the read in which a device is tested: none of those in which it learns


class Devices(NamedTuple):
    """Copies of the network: what is written, S, by layer; how strong the imperfection is; each device's own draws."""

    written: tuple[Float[Array, "copy before after"], ...]
    strength: Float[Array, " copy"]
    key: PRNGKeyArray


def imperfection(kind: str, strength: Float[Array, ""], highest: Float[Array, ""]) -> Nonideality:
    """What is wrong with the devices. highest: conductance, S, at which half of the stuck ones are stuck."""
    if kind == "stuck":
        return StuckDevices(0.0, highest, strength / 2, strength / 2)
    return DeviceSpread(strength) if kind == "spread" else ReadNoise(strength)


def _as_read(network, written, kind, strength, key, highest, cycle):
    """The network as the device of this key has it."""
    meant = eqx.tree_at(lambda tree: tree.conductances, network, written)
    return apply(meant, imperfection(kind, strength, highest), key=key, cycle=cycle)


class Measured(NamedTuple):
    """Of every copy: mean cost of the free phases, V2; their largest relative residual, estimated; fraction of samples
    whose phases all settled."""

    cost: Float[Array, " copy"]
    residual: Float[Array, " copy"]
    converged: Float[Array, " copy"]


@eqx.filter_jit
def descend(
    network: LayeredNetwork,
    devices: Devices,
    kind: str,
    highest: Float[Array, ""],
    images: Float[Array, "sample feature"],
    targets: Float[Array, "sample output"],
    relaxer: BlockDescent,
    beta: Float[Array, ""],
    rate: Float[Array, ""],
    order: Int[Array, "step batch"],
) -> tuple[Devices, Measured]:
    """One pass over the batches in `order`: what is written steps down the gradient that the device itself measured.

    beta: of the centred nudge, in units of the nudging scale of the device as read.
    """

    def one(written, strength, key, x, y, cycle):
        here = _as_read(network, written, kind, strength, key, highest, cycle)
        scale = jnp.broadcast_to(beta * here.nudging_scale(None, None), x.shape[:1])
        found = phase_gradient(here, x, y, COST, Centred(1.0, relative=True), relaxer, scale=scale, certify=False)
        moved = tuple(jnp.maximum(g - rate * slope, 0) for g, slope in zip(written, found.gradient.conductances))
        settled = jnp.mean(found.converged, dtype=x.dtype)
        return moved, Measured(found.cost, jnp.max(found.free.residual), settled)

    def body(carry, chosen):
        written, cycle, total = carry
        batched = jax.vmap(one, in_axes=(0, 0, 0, None, None, None))
        given = (devices.strength, devices.key, images[chosen], targets[chosen], cycle)
        written, new = batched(written, *given)
        residual = jnp.maximum(total.residual, new.residual)
        total = Measured(total.cost + new.cost, residual, total.converged + new.converged)
        return (written, cycle + 1, total), None

    zero = jnp.zeros_like(devices.strength)
    start = (devices.written, jnp.zeros((), jnp.int32), Measured(zero, zero, zero))
    (written, _, total), _ = jax.lax.scan(body, start, order)
    steps = order.shape[0]
    return devices._replace(written=written), Measured(total.cost / steps, total.residual, total.converged / steps)


@eqx.filter_jit
def tested(network, devices: Devices, kind: str, highest, images, targets, relaxer) -> tuple[Array, Array, Array]:
    """(share of the images that are told right, largest relative residual, fraction settled) of every copy."""

    def one(copy):
        written, strength, key = copy
        here = _as_read(network, written, kind, strength, key, highest, _TESTED)
        free = settle(here, images, None, relaxer, certify=False)
        right = jax.vmap(correctly_classified)(free.outputs, targets)
        return jnp.mean(right), jnp.max(free.residual), jnp.mean(free.converged, dtype=right.dtype)

    return jax.lax.map(one, devices, batch_size=8)
