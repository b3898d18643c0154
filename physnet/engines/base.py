"""What every engine is: something that follows a batch of systems through given times."""

from abc import abstractmethod
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from physnet.signals import Signal
from physnet.system import System


class Run(eqx.Module):
    """What an engine hands back; every array has a leading sample axis.

    state: shaped like the system's state, each leaf (sample, time, ...). steps: taken, per sample. reached: the last
    time was reached with every number finite. error: the largest difference of any state variable at any recorded time
    from a run at twice the step, divided by what halving gains (2^order - 1; by 1 where inputs may bend inside a step):
    an estimate of the error of this run, in the unit of the state; NaN for samples that were not checked so, None where
    the engine controls its error itself.
    """

    state: PyTree
    steps: Int[Array, " sample"]
    reached: Bool[Array, " sample"]
    error: Float[Array, " sample"] | None = None


class Engine(eqx.Module):
    """Integrates ds/dt = vector_field(s, inputs(t)), with the system's noise where a key is given.

    advice: what may help where a run stops early, for the message.

    Methods take these. system: what moves. noisy: whether its noise will be drawn. signal: its inputs in time, of a
    batch. times: (time,), s, increasing. initial: the states at times[0], shaped like the system's, with a leading
    sample axis. key: a JAX random key for the noise, or one for each sample, (sample,); None for a run without it.
    """

    advice: ClassVar[str] = "Try an earlier end"

    @abstractmethod
    def refuses(self, system: System, *, noisy: bool) -> str | None:
        """Why this engine cannot follow this system (with noise), and what to use; None if it can."""

    @abstractmethod
    def run(self, system: System, signal: Signal, times: Array, initial: PyTree, key: PRNGKeyArray | None) -> Run:
        """Follows every sample from `initial` at times[0] through `times`. Not to be called under a JAX trace."""


def sample_keys(key: PRNGKeyArray | None, samples: int) -> PRNGKeyArray | None:
    """A random key for every sample, (sample,): the key with the sample's index folded in; None without noise.

    key: one, or already one for each sample, so that a batch can be cut into several.
    """
    if key is None:
        return None
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):  # of the older kind, jax.random.PRNGKey
        key = jax.random.wrap_key_data(key)
    if key.ndim:
        return key
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(samples))


def tree_finite(tree: Any) -> Array:
    """Whether every number of `tree`, a pytree of arrays, is finite: shape ()."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def fastest_rate(system: System, signal: Signal) -> float | None:
    """The fastest rate of a system, rad/s, under all values that a signal takes; None where it does not say."""
    rate = _largest_rate(system, signal.extremes())
    return None if rate is None else float(rate)


@eqx.filter_jit
def _largest_rate(system, extremes):
    rates = jax.vmap(system.fastest_rate)(extremes)
    return None if rates is None else jnp.max(rates)
