"""How far a state is from others, as something that compiled code can compute at every step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physnet.errors import PhysnetError
from physnet.landscape.chart import Chart


class Separation(eqx.Module):
    """Squared distances from states, what means the same being at distance 0.

    Coordinates that repeat are points on circles, and the distance of two of them is the chord; the common phase that
    a neutral mode leaves open is the one that makes the sum of squares least. Shifts of other coordinates are
    projected out.
    """

    states: Float[Array, "other coordinate"]
    cosines: Float[Array, "other coordinate"]  # of the states' angles
    sines: Float[Array, "other coordinate"]
    angular: Float[Array, " coordinate"]  # rad per unit of a repeating coordinate, its sign that of the common phase; 0
    weight: Float[Array, " coordinate"]  # squared radius of its circle; 1
    turning: Float[Array, " coordinate"]  # 1 where the common phase moves the coordinate, else 0
    straight: Float[Array, "mode coordinate"]

    @classmethod
    def of(cls, chart: Chart, states: np.ndarray) -> "Separation":
        """From states (other, coordinate). Raises PhysnetError for symmetries other than those above."""
        modes, periods = chart.translations(), chart.periods
        circular = np.isfinite(periods)
        angular = np.where(circular, 2 * np.pi / np.where(circular, periods, 1), 0)
        weight = np.where(circular, 1 / np.where(circular, angular, 1) ** 2, 1)
        straight = modes[~(np.abs(modes[:, circular]) > 1e-9).any(axis=1)]
        winding = modes[(np.abs(modes[:, circular]) > 1e-9).any(axis=1)]
        turning = np.zeros(chart.size)
        if len(winding):
            moving = np.abs(winding[0]) > 1e-9
            rates = np.abs(winding[0] * angular)[moving]
            if len(winding) > 1 or not circular[moving].all() or not np.allclose(rates, rates[0], rtol=1e-9, atol=0):
                raise PhysnetError(
                    f"landscape: the neutral modes of {type(chart.system).__name__} are no common phase, and distances "
                    "that leave them out are not known."
                )
            angular, turning = angular * np.where(winding[0] < 0, -1, 1), moving.astype(float)
        basis = np.linalg.qr(straight.T)[0].T if len(straight) else straight
        parts = (states, np.cos(states * angular), np.sin(states * angular), angular, weight, turning, basis)
        return cls(*(jnp.asarray(part, chart.dtype) for part in parts))

    def squared(self, vector: Float[Array, " coordinate"]) -> Float[Array, " other"]:
        """Of one vector from each of the states, in the state's unit, squared."""
        # By the addition theorem: one cosine and sine for all the states.
        c, s = jnp.cos(vector * self.angular), jnp.sin(vector * self.angular)
        shared = self.weight * self.turning

        def of(state, cosines, sines):
            difference = vector - state
            difference = difference - (self.straight @ difference) @ self.straight
            cosine, sine = c * cosines + s * sines, s * cosines - c * sines
            each = jnp.where(self.angular != 0, 2 * (1 - cosine), difference**2) * (1 - self.turning)
            together = jnp.hypot(shared @ cosine, shared @ sine)
            return self.weight @ each + 2 * (jnp.sum(shared) - together)

        return jax.vmap(of)(self.states, self.cosines, self.sines)
