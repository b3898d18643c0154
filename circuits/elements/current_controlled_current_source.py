"""The current-controlled current source: F of SPICE."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import MultiTerminal, first_not
from circuits.elements.fields import fixed


class CurrentControlledCurrentSource(MultiTerminal):
    """Drives i = A i_sensed through itself from plus to minus, i_sensed being the current through a voltage source.

    A current is positive from plus through a source to minus, in both. current_gain: A, dimensionless, of either sign.
    Raises PhysnetError unless finite.
    """

    current_gain: Float[Array, "*element"] | float

    kind = "current_controlled_current_source"
    terminals = ("output_plus", "output_minus")
    senses = True

    @classmethod
    def example(cls):
        return cls(2.0)

    def currents(self, potentials, own, sensed):
        current = self.current_gain * sensed
        return jnp.stack([current, -current])

    def parameters(self):
        return (fixed("current_gain", "1", "gain of each current-controlled current source", None),)

    def fault(self):
        wrong = first_not(np.isfinite, self.current_gain)
        return None if wrong is None else f"current gain {wrong:.6g}; it must be finite."
