"""Many trials of noisy motion out of one minimum, each until it has come to another."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physnet.errors import ConvergenceError
from physnet.landscape.chart import Chart
from physnet.landscape.noise.separation import Separation

EACH = 4  # steps between looks at where a trial is
_LEG = 256  # looks of one call of the compiled program, after which trials that have ended make place for others


class NoisyWalk(eqx.Module):
    """The noisy dynamics and where they end."""

    chart: Chart
    separation: Separation  # from the minimum, then from the others
    root: Array  # of 2 D M step: (coordinate,) where M is diagonal, else (coordinate, coordinate)
    step: Float[Array, ""]
    near: Float[Array, ""]

    def advance(self, position, normal):
        """One step of Heun's method."""
        kick = self.root * normal if self.root.ndim == 1 else self.root @ normal
        velocity = self.chart.velocity(position)
        ahead = self.chart.velocity(position + self.step * velocity + kick)
        return position + self.step / 2 * (velocity + ahead) + kick

    def entered(self, position):
        """The number of the other minimum that the state has come to, -1 for none."""
        own, *_ = squared = self.separation.squared(position)
        nearest = jnp.argmin(squared[1:])
        between = self.separation.squared(self.separation.states[0])[1:][nearest]
        passed = (1 + (own - squared[1:][nearest]) / between) / 2
        return jnp.where(passed > 1 - self.near, nearest, -1)


@eqx.filter_jit
def _leg(walk: NoisyWalk, positions, keys, looks, most):
    """(positions, looks, entered) of trials after one leg more, each stopped where it enters and after `most` looks."""

    def one(position, key, first):
        def going(now):
            _, look, reached = now
            return (reached < 0) & (look < jnp.minimum(first + _LEG, most))

        def onwards(now):
            position, look, _ = now

            def step(i, position):
                noise = jax.random.normal(jax.random.fold_in(key, look * EACH + i), position.shape, position.dtype)
                return walk.advance(position, noise)

            position = jax.lax.fori_loop(0, EACH, step, position)
            return position, look + 1, walk.entered(position)

        return jax.lax.while_loop(going, onwards, (position, first, jnp.asarray(-1)))

    return jax.vmap(one)(positions, keys, looks)


def walked(walk: NoisyWalk, key, trials: int, most: int, chunk: int):
    """(looks, entered) of every trial; those that have ended make place for those that wait."""
    lanes = min(chunk, 1 << (trials - 1).bit_length())
    keys = jax.vmap(lambda trial: jax.random.fold_in(key, trial))(jnp.arange(trials))
    positions = np.tile(np.asarray(walk.separation.states[0]), (trials, 1))
    looks, reached = np.zeros(trials, np.int32), np.full(trials, -1)
    limit = jnp.asarray(most, jnp.int32)
    waiting = np.arange(trials)
    while len(waiting):
        now = waiting[:lanes]
        padded = np.concatenate([now, np.repeat(now[-1:], lanes - len(now))])
        ended = _leg(walk, jnp.asarray(positions[padded]), keys[padded], jnp.asarray(looks[padded]), limit)
        positions[now], looks[now], reached[now] = (np.asarray(part)[: len(now)] for part in ended)
        if not np.isfinite(positions[now]).all():
            raise ConvergenceError(
                f"escape_times: a state of {type(walk.chart.system).__name__} became infinite: the energy is steeper "
                f"away from the minima than in them. Give a shorter time_step than {float(walk.step):.3g} s."
            )
        waiting = waiting[(reached[waiting] < 0) & (looks[waiting] < most)]
    return looks, reached
