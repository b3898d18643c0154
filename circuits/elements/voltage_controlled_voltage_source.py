"""The voltage-controlled voltage source: E of SPICE."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import MultiTerminal, first_not
from circuits.elements.fields import fixed


class VoltageControlledVoltageSource(MultiTerminal):
    """Holds v_output+ - v_output- = A (v_control+ - v_control-), whatever its current; its controls draw none.

    Its own current is positive from output plus through the source to output minus. voltage_gain: A, dimensionless, of
    either sign. Raises PhysnetError unless finite.
    """

    voltage_gain: Float[Array, "*element"] | float

    kind = "voltage_controlled_voltage_source"
    terminals = ("output_plus", "output_minus", "control_plus", "control_minus")
    has_branch = True
    couples = ((0, 1),)

    @classmethod
    def example(cls):
        return cls(-3.0)

    def currents(self, potentials, own, sensed):
        none = jnp.zeros_like(own)
        return jnp.stack([own, -own, none, none])

    def constraint(self, potentials, own, sensed):
        return potentials[0] - potentials[1] - self.voltage_gain * (potentials[2] - potentials[3])

    def constraint_scale(self, potentials, own, sensed):
        size = jnp.abs(potentials)
        return size[0] + size[1] + jnp.abs(self.voltage_gain) * (size[2] + size[3])

    def parameters(self):
        return (fixed("voltage_gain", "1", "gain of each voltage-controlled voltage source", None),)

    def fault(self):
        wrong = first_not(np.isfinite, self.voltage_gain)
        return None if wrong is None else f"voltage gain {wrong:.6g}; it must be finite. For no limit use IdealOpAmp."
