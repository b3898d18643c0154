"""The linear capacitor: what gives a node its time to settle."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.elements.base import Element, at_least_zero, first_not
from circuits.elements.fields import fixed


class Capacitor(Element):
    """A linear capacitor: i = C dv/dt, so no direct current and no share of the co-content.

    It does not move a steady state; it sets how fast one is reached. capacitance: F, at least 0.
    Raises PhysnetError for a negative, infinite or NaN capacitance.
    """

    capacitance: Float[Array, "*element"] | float

    kind = "capacitor"
    law = "charge"
    quadratic = True

    @classmethod
    def example(cls):
        return cls(0.7)

    def current(self, voltage):
        return jnp.zeros_like(self.capacitance * voltage)

    def differential_conductance(self, voltage):
        return jnp.zeros_like(self.capacitance * voltage)

    def cocontent(self, voltage):
        return jnp.zeros_like(self.capacitance * voltage)

    def parameters(self):
        return (fixed("capacitance", "F", "capacitance of each capacitor"),)

    @property
    def conducts(self):
        return False

    def fault(self):
        wrong = first_not(at_least_zero, self.capacitance)
        return None if wrong is None else f"capacitance {wrong:.6g} F; capacitances are finite and >= 0."
