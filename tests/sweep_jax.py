"""A noisy trajectory to sweep, in JAX."""

import jax
import jax.numpy as jnp

OVER = {"strength": [0.1, 0.2, 0.3, 0.4, 0.5], "repeat": range(20)}


def noisy(strength, repeat, key):
    """An Ornstein-Uhlenbeck path from 1 by Euler-Maruyama: its mean, and how often it crosses zero."""

    def step(x, kick):
        x = x - 0.05 * x + strength * kick
        return x, x

    _, path = jax.lax.scan(step, jnp.ones(()), jax.random.normal(key, (200,)))
    return {"mean": jnp.mean(path) + 0 * repeat, "crossings": jnp.sum(path[1:] * path[:-1] < 0)}
