"""The MOSFET of Enz, Krummenacher and Vittoz: one smooth law from weak to strong inversion."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import MultiTerminal, above_zero, first_not
from circuits.elements.fields import fixed, polarity_fault


class EKVTransistor(MultiTerminal):
    """A long-channel MOSFET referred to its bulk: i = 2 n beta Vt^2 (f((v_p - v_s) / 2Vt) - f((v_p - v_d) / 2Vt)).

    f(x) = log(1 + e^x)^2, v_p = (v_g - V_T0) / n the pinch-off voltage, potentials against the bulk. Smooth
    everywhere, exponential below threshold, square above it, symmetric in drain and source. No current at gate and
    bulk. For p channels every voltage and current is turned round; V_T0 keeps the sign of SPICE (negative for an
    enhancement p channel). Not reciprocal: it has no co-content.

    transconductance_parameter: beta, A/V^2, above 0. threshold: V_T0, V. slope_factor: n, dimensionless, at least 1.
    thermal_voltage: Vt = k T / q, V, above 0. polarity: +1 for an n channel, -1 for a p channel.
    Raises PhysnetError for values outside these ranges. Enz, Krummenacher & Vittoz 1995, doi:10.1007/BF01239381.
    """

    transconductance_parameter: Float[Array, "*element"] | float = 1e-4
    threshold: Float[Array, "*element"] | float = 0.5
    slope_factor: Float[Array, "*element"] | float = 1.3
    thermal_voltage: Float[Array, "*element"] | float = 0.02585
    polarity: int = eqx.field(static=True, default=1)

    kind = "ekv_transistor"
    terminals = ("drain", "gate", "source", "bulk")
    step_limit = 1.0
    couples = ((0, 2),)

    def currents(self, potentials, own, sensed):
        drain, gate, source, bulk = (self.polarity * v for v in potentials)
        n, vt = self.slope_factor, self.thermal_voltage
        pinch_off = bulk + (gate - bulk - self.polarity * self.threshold) / n
        forward = jax.nn.softplus(0.5 * (pinch_off - source) / vt)
        reverse = jax.nn.softplus(0.5 * (pinch_off - drain) / vt)
        current = 2 * n * self.transconductance_parameter * vt**2 * (forward - reverse) * (forward + reverse)
        none = jnp.zeros_like(current)
        return self.polarity * jnp.stack([current, none, -current, none])

    def parameters(self):
        return (
            fixed("transconductance_parameter", "A V-2", "transconductance parameter of each transistor"),
            fixed("threshold", "V", "threshold voltage of each transistor", None),
            fixed("slope_factor", "1", "slope factor of each transistor", (1.0, np.inf)),
            fixed("thermal_voltage", "V", "thermal voltage k T / q of each transistor"),
        )

    def fault(self):
        wrong = first_not(above_zero, self.transconductance_parameter)
        if wrong is not None:
            return f"transconductance parameter {wrong:.6g} A/V^2; it must be finite and above 0."
        wrong = first_not(np.isfinite, self.threshold)
        if wrong is not None:
            return f"threshold {wrong:.6g} V; it must be finite."
        wrong = first_not(lambda n: (n >= 1) & np.isfinite(n), self.slope_factor)
        if wrong is not None:
            return f"slope factor {wrong:.6g}; it must be finite and at least 1 (1.2 to 1.6 in practice)."
        wrong = first_not(above_zero, self.thermal_voltage)
        if wrong is not None:
            return f"thermal voltage {wrong:.6g} V; it must be finite and above 0 (k T / q is 0.02585 V at 300 K)."
        return polarity_fault(self)
