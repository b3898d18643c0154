"""The ideal current source: a current that no voltage changes."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import Element, first_not
from circuits.elements.fields import fixed


class CurrentSource(Element):
    """Drives `current_value` through itself from the first terminal to the second: i = I, Q = I v.

    It takes the current out of the node of its first terminal and feeds it into that of its second.
    current_value: I, A. Raises PhysnetError unless finite.
    """

    current_value: Float[Array, "*element"] | float

    kind = "current_source"
    quadratic = True

    @classmethod
    def example(cls):
        return cls(0.7)

    def current(self, voltage):
        return self.current_value + jnp.zeros_like(voltage)

    def differential_conductance(self, voltage):
        return jnp.zeros_like(self.current_value * voltage)

    def cocontent(self, voltage):
        return self.current_value * voltage

    def parameters(self):
        return (fixed("current_value", "A", "current of each current source", None, name="source_current"),)

    @property
    def conducts(self):
        return False

    def fault(self):
        wrong = first_not(np.isfinite, self.current_value)
        return None if wrong is None else f"current {wrong:.6g} A; it must be finite."
