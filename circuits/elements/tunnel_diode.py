"""The tunnel (Esaki) diode: between its peak and its valley more voltage drives less current."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.elements.base import Element, above_zero, first_not
from circuits.elements.fields import fixed, junction_fault
from circuits.lambert_w import log_lambert

_STEPS = 30  # of Newton's method, which is monotonic here: a dozen do but where peak and valley nearly meet


class TunnelDiode(Element):
    """A tunnel diode, anode first: i = Ip (v/Vp) exp(1 - v/Vp) + Is (exp(v/a) - 1), which falls beyond its peak at Vp.

    Its co-content is Q = e Ip Vp (1 - (1 + v/Vp) exp(-v/Vp)) + Is (a (exp(v/a) - 1) - v), which is not convex: fed
    through less conductance than di/dv falls by, Ip / (e Vp) at its steepest, the diode has three operating points, the
    outer two stable with a capacitance across it and the middle one not. `relax` may end in any of them, the unstable
    one too: say which by `initial=`, or ask `find_equilibria` for all.

    peak_current: Ip, A. peak_voltage: Vp, V. saturation_current: Is, A, and thermal_voltage: a = n k T / q, V, of the
    junction beside the tunnel. All above 0. The defaults are near a germanium diode of 4.7 mA (m). The exponentials are
    not limited, neither way. Raises PhysnetError for values that are not positive and finite.
    Esaki 1958, doi:10.1103/PhysRev.109.603; the law is the empirical one of Sze, Physics of Semiconductor Devices (m).
    """

    peak_current: Float[Array, "*element"] | float = 4.7e-3
    peak_voltage: Float[Array, "*element"] | float = 0.065
    saturation_current: Float[Array, "*element"] | float = 1e-11
    thermal_voltage: Float[Array, "*element"] | float = 0.02585

    kind = "tunnel_diode"
    monotone = False

    def current(self, voltage):
        x = voltage / self.peak_voltage
        junction = self.saturation_current * jnp.expm1(voltage / self.thermal_voltage)
        return self.peak_current * x * jnp.exp(1 - x) + junction

    def differential_conductance(self, voltage):
        x = voltage / self.peak_voltage
        junction = self.saturation_current / self.thermal_voltage * jnp.exp(voltage / self.thermal_voltage)
        return self.peak_current / self.peak_voltage * (1 - x) * jnp.exp(1 - x) + junction

    def cocontent(self, voltage):
        x, a = voltage / self.peak_voltage, self.thermal_voltage
        tunnel = -jnp.e * self.peak_current * self.peak_voltage * (jnp.expm1(-x) + x * jnp.exp(-x))
        return tunnel + self.saturation_current * (a * jnp.expm1(voltage / a) - voltage)

    def parameters(self):
        return (
            fixed("peak_current", "A", "tunnel current of each tunnel diode at its peak"),
            fixed("peak_voltage", "V", "voltage of each tunnel diode at the peak of its tunnel current"),
            fixed("saturation_current", "A", "saturation current of the junction of each tunnel diode"),
            fixed("thermal_voltage", "V", "thermal voltage n k T / q of the junction of each tunnel diode"),
        )

    def knee(self, current):
        """The highest voltage, V, at which it carries `current` (A): a bound on what that current can bring about.

        Beyond 2 Vp the law is convex: Newton's method comes down to the crossing from where the junction alone would
        carry the current. Where there is none it passes the valley, and starts again from 0 V, up the concave first
        rise.
        """
        convex = 2 * self.peak_voltage
        above = self.thermal_voltage * jnp.log1p(current / self.saturation_current)

        def advance(_, v):
            slope = self.differential_conductance(v)
            new = v - (self.current(v) - current) / slope
            return jnp.where((v <= convex) | ((slope > 0) & (new > convex)), new, 0)

        return jax.lax.fori_loop(0, _STEPS, advance, jnp.where(above > convex, above, jnp.zeros_like(above)))

    def reverse_knee(self, current):
        """The tunnel alone, x exp(x) = i / (e Ip) by Lambert's W, then the little that the junction adds."""
        voltage = -self.peak_voltage * log_lambert(jnp.log(current / self.peak_current) - 1)
        for _ in range(3):
            voltage = voltage - (self.current(voltage) + current) / self.differential_conductance(voltage)
        return voltage

    def fault(self):
        for name, unit in (("peak_current", "A"), ("peak_voltage", "V")):
            wrong = first_not(above_zero, getattr(self, name))
            if wrong is not None:
                return f"{name.replace('_', ' ')} {wrong:.6g} {unit}; it must be finite and above 0."
        return junction_fault(self)
