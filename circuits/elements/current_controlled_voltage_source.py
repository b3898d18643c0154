"""The current-controlled voltage source: H of SPICE."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import MultiTerminal, first_not
from circuits.elements.fields import fixed


class CurrentControlledVoltageSource(MultiTerminal):
    """Holds v_plus - v_minus = r i_sensed, i_sensed being the current through a voltage source, whatever its own.

    A current is positive from plus through a source to minus, in both. transresistance: r, ohm, of either sign.
    Raises PhysnetError unless finite.
    """

    transresistance: Float[Array, "*element"] | float

    kind = "current_controlled_voltage_source"
    terminals = ("output_plus", "output_minus")
    has_branch = True
    senses = True
    couples = ((0, 1),)

    @classmethod
    def example(cls):
        return cls(1e3)

    def currents(self, potentials, own, sensed):
        return jnp.stack([own, -own])

    def constraint(self, potentials, own, sensed):
        return potentials[0] - potentials[1] - self.transresistance * sensed

    def constraint_scale(self, potentials, own, sensed):
        return jnp.abs(potentials[0]) + jnp.abs(potentials[1]) + jnp.abs(self.transresistance * sensed)

    def parameters(self):
        return (fixed("transresistance", "ohm", "transresistance of each current-controlled voltage source", None),)

    def fault(self):
        wrong = first_not(np.isfinite, self.transresistance)
        return None if wrong is None else f"transresistance {wrong:.6g} ohm; it must be finite."
