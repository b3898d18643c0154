"""The piecewise linear diode: one conductance each way."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import Element, at_least_zero, first_not
from circuits.elements.fields import fixed


class FiniteConductanceDiode(Element):
    """A diode that is a resistor either way, anode first: i = g_on v above 0 V, g_off v below, Q = g v^2 / 2.

    The leaky rectifier of learning networks, and a stand-in for an ideal diode between two free nodes. Convex, with a
    kink of the current at 0 V. on_conductance, off_conductance: S, at least 0 (0 S is open, and settles no node).
    Raises PhysnetError for negative, infinite or NaN conductances.
    """

    on_conductance: Float[Array, "*element"] | float = 1.0
    off_conductance: Float[Array, "*element"] | float = 1e-9

    kind = "finite_conductance_diode"

    def differential_conductance(self, voltage):
        """At 0 V that above it."""
        return jnp.where(voltage < 0, self.off_conductance, self.on_conductance)

    def current(self, voltage):
        return self.differential_conductance(voltage) * voltage

    def cocontent(self, voltage):
        return 0.5 * self.differential_conductance(voltage) * voltage**2

    def on_load_line(self, source, conductance, start):
        """v = J / (g + g_on) for a current J above 0, else J / (g + g_off)."""
        return source / (conductance + jnp.where(source < 0, self.off_conductance, self.on_conductance))

    def parameters(self):
        return (
            fixed("on_conductance", "S", "conductance of each diode above 0 V"),
            fixed("off_conductance", "S", "conductance of each diode below 0 V"),
        )

    @property
    def conducts(self):
        return np.minimum(self.on_conductance, self.off_conductance) > 0

    def fault(self):
        for name, values in (("on", self.on_conductance), ("off", self.off_conductance)):
            wrong = first_not(at_least_zero, values)
            if wrong is not None:
                return f"{name} conductance {wrong:.6g} S; conductances are finite and >= 0. Did you pass ohms?"
        return None
