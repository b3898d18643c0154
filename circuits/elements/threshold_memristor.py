"""The memristor with thresholds: a resistor that only large voltages change."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import Element, above_zero, first_not
from circuits.elements.fields import fixed
from circuits.elements.pulse import check_pulse, is_share


class ThresholdMemristor(Element):
    """A memristive resistor that a voltage below its thresholds leaves alone: i = g(w) v, g = g_off + (g_on - g_off) w.

    Beyond the set threshold w rises, dw/dt = r_set (v / v_set - 1)^n (1 - w); beyond the reset threshold it falls,
    dw/dt = -r_reset (v / v_reset - 1)^n w; between them it rests. At an operating point w is held: Q = g v^2 / 2.
    This is VTEAM with exponential windows, so that w approaches its ends and never passes them; there a positive
    voltage moves towards off, which is this element turned round.

    state: w, 0 (off) to 1 (on), dimensionless. on_conductance, off_conductance: S, above 0, the first at least the
    second. set_threshold: v_set, V, above 0. reset_threshold: v_reset, V, below 0. set_rate, reset_rate: r, 1/s, at
    twice the threshold, above 0. exponent: n, above 0, dimensionless. Raises PhysnetError for values outside these
    ranges.
    Kvatinsky et al. 2015, doi:10.1109/TCSII.2015.2433536.
    """

    state: Float[Array, "*element"] | float = 0.5
    on_conductance: Float[Array, "*element"] | float = 1e-3
    off_conductance: Float[Array, "*element"] | float = 1e-5
    set_threshold: Float[Array, "*element"] | float = 1.0
    reset_threshold: Float[Array, "*element"] | float = -1.0
    set_rate: Float[Array, "*element"] | float = 1e6
    reset_rate: Float[Array, "*element"] | float = 1e6
    exponent: Float[Array, "*element"] | float = 1.0

    kind = "threshold_memristor"
    quadratic = True

    @property
    def conductance(self) -> Float[Array, "*element"]:
        """g(w), S, at the present state."""
        return self.off_conductance + (self.on_conductance - self.off_conductance) * self.state

    def current(self, voltage):
        return self.conductance * voltage

    def differential_conductance(self, voltage):
        return self.conductance + jnp.zeros_like(voltage)

    def cocontent(self, voltage):
        return 0.5 * self.conductance * voltage**2

    def _rates(self, voltage):
        """(rate of setting, rate of resetting), 1/s, at most one of them above 0."""

        def rate(full, threshold):
            beyond = voltage / threshold - 1
            return jnp.where(beyond > 0, full * jnp.where(beyond > 0, beyond, 1) ** self.exponent, 0)

        return rate(self.set_rate, self.set_threshold), rate(self.reset_rate, self.reset_threshold)

    def state_rate(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """dw/dt, 1/s, under a voltage, V."""
        setting, resetting = self._rates(voltage)
        return setting * (1 - self.state) - resetting * self.state

    def with_state(self, state: Float[Array, "*element"] | float) -> "ThresholdMemristor":
        """The same element in another state. state: w, dimensionless."""
        return ThresholdMemristor(
            state,
            self.on_conductance,
            self.off_conductance,
            self.set_threshold,
            self.reset_threshold,
            self.set_rate,
            self.reset_rate,
            self.exponent,
        )

    def pulsed(
        self, voltage: Float[Array, "*element"] | float, duration: Float[Array, "*element"] | float
    ) -> "ThresholdMemristor":
        """The element after `duration` (s, at least 0) at a constant voltage (V): exact, the state relaxes to its end.

        Raises PhysnetError for a negative duration.
        """
        check_pulse(voltage, duration)
        setting, resetting = self._rates(voltage)
        raised = -(1 - self.state) * jnp.expm1(-setting * duration)
        lowered = self.state * jnp.expm1(-resetting * duration)
        return self.with_state(jnp.clip(self.state + raised + lowered, 0, 1))

    def parameters(self):
        return (
            fixed("state", "1", "state of each memristor, 0 off and 1 on", (0.0, 1.0), name="memristor_state"),
            fixed("on_conductance", "S", "conductance of each memristor at state 1"),
            fixed("off_conductance", "S", "conductance of each memristor at state 0"),
            fixed("set_threshold", "V", "voltage above which the state of each memristor rises"),
            fixed("reset_threshold", "V", "voltage below which the state of each falls", (-np.inf, 0.0)),
            fixed("set_rate", "s-1", "rate at which each memristor sets at twice its threshold"),
            fixed("reset_rate", "s-1", "rate at which each memristor resets at twice its threshold"),
            fixed("exponent", "1", "power of the overdrive in the rates of each memristor", name="switching_exponent"),
        )

    def fault(self):
        wrong = first_not(is_share, self.state)
        if wrong is not None:
            return f"state {wrong:.6g}; it must lie between 0 (off) and 1 (on)."
        for name, unit in (
            ("on_conductance", "S"),
            ("off_conductance", "S"),
            ("set_threshold", "V"),
            ("set_rate", "1/s"),
            ("reset_rate", "1/s"),
            ("exponent", ""),
        ):
            wrong = first_not(above_zero, getattr(self, name))
            if wrong is not None:
                return f"{name.replace('_', ' ')} {wrong:.6g} {unit}".rstrip() + "; it must be finite and above 0."
        wrong = first_not(_below_zero, self.reset_threshold)
        if wrong is not None:
            return f"reset threshold {wrong:.6g} V; it must be finite and below 0. Did you leave out its sign?"
        if np.any(np.asarray(self.on_conductance) < np.asarray(self.off_conductance)):
            on, off = np.min(self.on_conductance), np.max(self.off_conductance)
            return f"on conductance {on:.6g} S below the off conductance {off:.6g} S; swap them."
        return None


def _below_zero(values):
    return (values < 0) & np.isfinite(values)
