"""The Zener diode: a junction that breaks down in reverse."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.elements.base import Element, above_zero, first_not
from circuits.elements.fields import fixed


class ZenerDiode(Element):
    """A junction with exponential breakdown, anode first: i = Is (exp(v/a) - 1) - Ib (exp(-(v + Vz)/b) - exp(-Vz/b)).

    The breakdown model of SPICE, less the constant that makes i(0) = 0 exactly, so that it is passive. Its integral is
    Q = Is (a (exp(v/a) - 1) - v) + Ib (b (exp(-(v + Vz)/b) - exp(-Vz/b)) + v exp(-Vz/b)).

    breakdown_voltage: Vz, V, above 0. saturation_current: Is, A, and thermal_voltage: a = n k T / q, V, of the forward
    junction. breakdown_current: Ib, A, carried at -Vz. breakdown_slope: b, V, in which the reverse current grows
    e-fold. All above 0. The exponentials are not limited, neither way. Raises PhysnetError for values that are not
    positive and finite. Vladimirescu, The SPICE Book, Wiley 1994.
    """

    breakdown_voltage: Float[Array, "*element"] | float
    saturation_current: Float[Array, "*element"] | float = 1e-14
    thermal_voltage: Float[Array, "*element"] | float = 0.02585
    breakdown_current: Float[Array, "*element"] | float = 1e-3
    breakdown_slope: Float[Array, "*element"] | float = 0.02585

    kind = "zener_diode"

    @classmethod
    def example(cls):
        return cls(0.8)

    def _breakdown(self, voltage):
        """Ib (exp(-(v + Vz)/b) - exp(-Vz/b)), A, to its last digits: no difference of near numbers, no inf times 0."""
        b, reverse = self.breakdown_slope, voltage < 0
        below, above = jnp.where(reverse, voltage, 0), jnp.where(reverse, 0, voltage)
        conducting = -jnp.exp(-(below + self.breakdown_voltage) / b) * jnp.expm1(below / b)
        blocking = jnp.exp(-self.breakdown_voltage / b) * jnp.expm1(-above / b)
        return self.breakdown_current * jnp.where(reverse, conducting, blocking)

    def current(self, voltage):
        return self.saturation_current * jnp.expm1(voltage / self.thermal_voltage) - self._breakdown(voltage)

    def differential_conductance(self, voltage):
        forward = self.saturation_current / self.thermal_voltage * jnp.exp(voltage / self.thermal_voltage)
        reverse = jnp.exp(-(voltage + self.breakdown_voltage) / self.breakdown_slope)
        return forward + self.breakdown_current / self.breakdown_slope * reverse

    def cocontent(self, voltage):
        a, b = self.thermal_voltage, self.breakdown_slope
        forward = self.saturation_current * (a * jnp.expm1(voltage / a) - voltage)
        leak = self.breakdown_current * jnp.exp(-self.breakdown_voltage / b)
        return forward + b * self._breakdown(voltage) + leak * voltage

    def parameters(self):
        return (
            fixed("breakdown_voltage", "V", "breakdown voltage of each Zener diode"),
            fixed("saturation_current", "A", "forward saturation current of each Zener diode"),
            fixed("thermal_voltage", "V", "forward thermal voltage n k T / q of each Zener diode"),
            fixed("breakdown_current", "A", "current of each Zener diode at its breakdown voltage"),
            fixed("breakdown_slope", "V", "voltage in which the breakdown current of each Zener diode grows e-fold"),
        )

    def knee(self, current):
        return self.thermal_voltage * jnp.log1p(current / self.saturation_current)

    def reverse_knee(self, current):
        # b log(i / Ib exp(Vz/b) + 1), whose exponential may overflow
        b = self.breakdown_slope
        return -b * jax.nn.softplus(jnp.log(current / self.breakdown_current) + self.breakdown_voltage / b)

    def fault(self):
        for parameter in self.parameters():
            wrong = first_not(above_zero, parameter.get(self))
            if wrong is not None:
                name = parameter.variable.name.replace("_", " ")
                hint = " Vz is given as a positive number." if name == "breakdown voltage" else ""
                return f"{name} {wrong:.6g} {parameter.variable.units}; it must be finite and above 0.{hint}"
        return None
