"""Two junctions in parallel, head to tail: the symmetric clamp."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.elements.base import Element
from circuits.elements.fields import fixed, junction_fault


class AntiparallelDiodes(Element):
    """Two equal junctions, each the other way round: i = 2 Is sinh(v/a), Q = 2 Is a (cosh(v/a) - 1).

    The nonlinearity of analogue neurons that may take either sign. saturation_current: Is of each junction, A, above
    0. thermal_voltage: a = n k T / q, V, above 0. The exponentials are not limited. Raises PhysnetError for values
    that are not positive and finite. Kendall et al. 2020, arXiv:2006.01981.
    """

    saturation_current: Float[Array, "*element"] | float = 1e-14
    thermal_voltage: Float[Array, "*element"] | float = 0.02585

    kind = "antiparallel_pair"

    def current(self, voltage):
        return 2 * self.saturation_current * jnp.sinh(voltage / self.thermal_voltage)

    def differential_conductance(self, voltage):
        return 2 * self.saturation_current / self.thermal_voltage * jnp.cosh(voltage / self.thermal_voltage)

    def cocontent(self, voltage):
        # cosh x - 1 = 2 sinh(x/2)^2, which keeps its digits near 0 V.
        return 4 * self.saturation_current * self.thermal_voltage * jnp.sinh(0.5 * voltage / self.thermal_voltage) ** 2

    def parameters(self):
        return (
            fixed("saturation_current", "A", "saturation current of each junction"),
            fixed("thermal_voltage", "V", "thermal voltage n k T / q of each pair"),
        )

    def knee(self, current):
        return self.thermal_voltage * jnp.arcsinh(0.5 * current / self.saturation_current)

    def reverse_knee(self, current):
        return -self.knee(current)

    def fault(self):
        return junction_fault(self)
