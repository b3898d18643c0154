"""The physics of one sample, for every sample at once: arrays laid out (..., sample)."""

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import PyTree

from physnet.signals import Held, Signal
from physnet.system import System


def lanes(system: System, signal: Signal, act: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """(state, time, *more) -> act(system, state, inputs, *more) of every sample; the last axis of arrays is the sample.

    Where inputs are held, what they make of the system is worked out here, once; arrays that they leave alone stay one
    for all samples.
    """
    own = {id(leaf) for leaf in jax.tree.leaves(system)}
    held = isinstance(signal, Held)
    changed, rest = signal, system
    if held:

        def resolve(inputs):
            return eqx.partition(system.under(inputs), lambda leaf: eqx.is_array(leaf) and id(leaf) not in own)

        changed, rest = eqx.filter_vmap(resolve, in_axes=-1, out_axes=(eqx.if_array(-1), None))(signal.value)

    def every(state, time, *more):
        def one(changed, state, *more):
            here, inputs = eqx.combine(changed, rest) if held else (rest, changed.at(time))
            return act(here, state, inputs, *more)

        batch = (changed, state, *more)
        if jax.tree.leaves(state)[0].shape[-1] > 1:
            return jax.vmap(one, in_axes=-1, out_axes=-1)(*batch)
        # One large network: XLA on CPU computes (N,) several times faster than (N, 1).
        alone = one(*jax.tree.map(lambda leaf: leaf[..., 0], batch))
        return jax.tree.map(lambda leaf: leaf[..., None], alone)

    return every
