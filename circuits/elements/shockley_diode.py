"""The Shockley diode: an exponential junction."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import Element
from circuits.elements.fields import fixed, junction_fault
from circuits.lambert_w import log_lambert
from physnet.errors import PhysnetError

_BOLTZMANN_OVER_CHARGE = 1.380649e-23 / 1.602176634e-19  # V/K, exact in the SI of 2019


class ShockleyDiode(Element):
    """A junction diode, anode first: i = Is (exp(v/a) - 1), Q = Is (a (exp(v/a) - 1) - v), with a = n k T / q.

    saturation_current: Is, A, above 0. thermal_voltage: a, V, above 0; the ideality factor n is part of it. The
    defaults are a small silicon junction at 300 K. The exponential is not limited: a junction at 20 V overflows to
    infinity, as its formula does. Raises PhysnetError for values that are not positive and finite.
    Shockley 1949, doi:10.1002/j.1538-7305.1949.tb03645.x.
    """

    saturation_current: Float[Array, "*element"] | float = 1e-14
    thermal_voltage: Float[Array, "*element"] | float = 0.02585

    kind = "shockley_diode"

    @classmethod
    def at_temperature(
        cls, saturation_current: float = 1e-14, *, ideality: float = 1.0, temperature: float = 300.0
    ) -> "ShockleyDiode":
        """A diode with thermal voltage n k T / q. ideality: n, dimensionless, 1 to 2. temperature: T, K."""
        for name, value, unit in (("ideality", ideality, ""), ("temperature", temperature, " K")):
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(f"ShockleyDiode: {name} {value:.6g}{unit}; it must be finite and above 0.")
        return cls(saturation_current, ideality * _BOLTZMANN_OVER_CHARGE * temperature)

    def current(self, voltage):
        return self.saturation_current * jnp.expm1(voltage / self.thermal_voltage)

    def differential_conductance(self, voltage):
        return self.saturation_current / self.thermal_voltage * jnp.exp(voltage / self.thermal_voltage)

    def cocontent(self, voltage):
        return self.thermal_voltage * self.current(voltage) - self.saturation_current * voltage

    def parameters(self):
        return (
            fixed("saturation_current", "A", "saturation current of each diode"),
            fixed("thermal_voltage", "V", "thermal voltage n k T / q of each diode"),
        )

    def knee(self, current):
        return self.thermal_voltage * jnp.log1p(current / self.saturation_current)

    def on_load_line(self, source, conductance, start):
        """Lambert's W, from any start: v = a (log w - log(Is / a g)), w + log w = log(Is / a g) + (J + Is) / a g.

        Where w is at most 1 the other form of the same number, v = (J + Is) / g - a w, keeps more of its digits. Both
        lose those of a voltage far below a; two steps of Newton's method restore them.
        """
        a, saturation = self.thermal_voltage, self.saturation_current
        drive = (source + saturation) / (a * conductance)
        log_ratio = jnp.log(saturation / (a * conductance))
        omega = log_lambert(log_ratio + drive)
        conducting = jnp.log(jnp.where(omega > 1, omega, 1)) - log_ratio
        voltage = a * jnp.where(omega > 1, conducting, drive - omega)
        for _ in range(2):
            excess = self.current(voltage) + conductance * voltage - source
            voltage = voltage - excess / (self.differential_conductance(voltage) + conductance)
        return voltage

    def fault(self):
        return junction_fault(self)
