"""The voltage-controlled current source: G of SPICE."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import MultiTerminal, first_not
from circuits.elements.fields import fixed


class VoltageControlledCurrentSource(MultiTerminal):
    """Drives i = G (v_control+ - v_control-) through itself from output plus to output minus; its controls draw none.

    transconductance: G, S, of either sign. Raises PhysnetError unless finite.
    """

    transconductance: Float[Array, "*element"] | float

    kind = "voltage_controlled_current_source"
    terminals = ("output_plus", "output_minus", "control_plus", "control_minus")

    @classmethod
    def example(cls):
        return cls(1e-3)

    def currents(self, potentials, own, sensed):
        current = self.transconductance * (potentials[2] - potentials[3])
        none = jnp.zeros_like(current)
        return jnp.stack([current, -current, none, none])

    def parameters(self):
        return (fixed("transconductance", "S", "transconductance of each voltage-controlled current source", None),)

    def fault(self):
        wrong = first_not(np.isfinite, self.transconductance)
        return None if wrong is None else f"transconductance {wrong:.6g} S; it must be finite."
