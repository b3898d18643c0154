"""The ideal voltage source: it fixes a difference of potentials, whatever the current."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import Element, first_not
from circuits.elements.fields import fixed


class VoltageSource(Element):
    """Holds its first terminal (plus) `voltage` above its second (minus).

    Not a term of the energy but a constraint on the potentials: its co-content is 0 at its voltage and infinite
    elsewhere. Its current is what Kirchhoff's law asks of it (NaN here: the voltage alone does not tell), positive
    from plus through the source to minus, so negative in a source that delivers power.
    voltage: V. Raises PhysnetError unless finite.
    """

    voltage: Float[Array, "*element"] | float

    kind = "voltage_source"
    law = "voltage"

    @classmethod
    def example(cls):
        return cls(0.7)

    def current(self, voltage):
        return jnp.full_like(voltage - self.voltage, jnp.nan)

    def differential_conductance(self, voltage):
        return jnp.full_like(voltage - self.voltage, jnp.inf)

    def cocontent(self, voltage):
        return jnp.where(voltage == self.voltage, jnp.zeros_like(voltage), jnp.inf)

    def parameters(self):
        return (fixed("voltage", "V", "voltage of each voltage source", None, name="source_voltage"),)

    def fault(self):
        wrong = first_not(np.isfinite, self.voltage)
        return None if wrong is None else f"voltage {wrong:.6g} V; it must be finite."
