"""Noise in what is read of the nudged states."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from physnet.nudging import Nudging, Phases


def noise_on(displacement: PyTree, state: PyTree, noise: Array, of: str, key: PRNGKeyArray) -> PyTree:
    """A displacement (..., sample, coordinate) with independent Gaussian noise on every coordinate.

    Its standard deviation is `noise` times the root mean square, over the coordinates of a variable, of the
    displacement itself (of = "displacement") or of the free state (sample, coordinate) (of = "state"). On a complex
    displacement, half of its power is real.
    """
    leaves, structure = jax.tree.flatten(displacement)
    keys = jax.random.split(key, len(leaves))

    def read(leaf, free, key):
        against = leaf if of == "displacement" else jnp.broadcast_to(free, leaf.shape)
        axes = tuple(range(leaf.ndim - free.ndim + 1, leaf.ndim))
        size = jnp.sqrt(jnp.mean(jnp.abs(against) ** 2, axis=axes, keepdims=True))
        return leaf + noise * size * jax.random.normal(key, leaf.shape, leaf.dtype)

    noisy = [read(leaf, free, key) for leaf, free, key in zip(leaves, jax.tree.leaves(state), keys)]
    return jax.tree.unflatten(structure, noisy)


class NoisyReading(Nudging):
    """Another nudging whose nudged states are read with noise; `beta` is in units of energy over cost."""

    inner: Nudging | None = None
    noise: Array | None = None
    key: PRNGKeyArray | None = None
    of: str = eqx.field(static=True, default="displacement")

    @property
    def factors(self):
        return self.inner.factors

    @property
    def pairs(self):
        return self.inner.pairs

    @property
    def weights(self):
        return self.inner.weights

    @property
    def order(self):
        return self.inner.order

    @property
    def most_negative(self):
        return self.inner.most_negative

    def drawn(self, beta, key):
        return self.inner.drawn(beta, key)

    def phases(self, system, inputs, targets, cost, rule, relaxer, *, beta, free, certify=True):
        clean = self.inner.phases(system, inputs, targets, cost, rule, relaxer, beta=beta, free=free, certify=certify)
        read = noise_on(clean.displacement, free.state, self.noise, self.of, self.key)
        return Phases(clean.equilibrium, read, clean.betas, clean.converged)
