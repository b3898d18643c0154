"""The diode with a threshold: piecewise linear, with a rounded corner if wanted."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import Element, above_zero, at_least_zero, first_not
from circuits.elements.fields import fixed


class ThresholdDiode(Element):
    """A diode that conducts beyond a threshold, anode first: i = g_off v + (g_on - g_off) r(v - Vt).

    r is the ramp max(x, 0), its corner rounded by a parabola (x + w/2)^2 / 2w over |x| < w/2, so that the current is
    once and the co-content twice continuously differentiable; the integral of r is (x + w/2)^3 / 6w there and
    x^2/2 + w^2/24 beyond.

    threshold: Vt, V, above 0. on_conductance, off_conductance: S, at least 0: the slope beyond the threshold and below
    it (0 S leaves a node below the threshold to float). corner_width: w, V, from 0 (a kink) to 2 Vt, so that no
    current flows at 0 V. Raises PhysnetError for values outside these ranges.
    """

    threshold: Float[Array, "*element"] | float = 0.4
    on_conductance: Float[Array, "*element"] | float = 1.0
    off_conductance: Float[Array, "*element"] | float = 1e-9
    corner_width: Float[Array, "*element"] | float = 0.0

    kind = "threshold_diode"

    @classmethod
    def example(cls):
        return cls(corner_width=0.1)

    def _corner(self, voltage):
        """(way into the corner, from 0 to w, way beyond it, its width or 1 for a kink, V; the step in slope, S)."""
        w = self.corner_width
        x = voltage - self.threshold + 0.5 * w
        step = self.on_conductance - self.off_conductance
        return jnp.clip(x, 0, w), jnp.maximum(x - w, 0), jnp.where(w > 0, w, 1), step

    def current(self, voltage):
        within, beyond, width, step = self._corner(voltage)
        return self.off_conductance * voltage + step * (0.5 * within**2 / width + beyond)

    def differential_conductance(self, voltage):
        """At a kink that above it."""
        within, beyond, width, step = self._corner(voltage)
        rounded = self.corner_width > 0
        sharp = voltage >= self.threshold
        return self.off_conductance + step * jnp.where(rounded, within / width, sharp.astype(beyond.dtype))

    def cocontent(self, voltage):
        within, beyond, width, step = self._corner(voltage)
        area = within**3 / (6 * width) + 0.5 * beyond * (self.corner_width + beyond)
        return 0.5 * self.off_conductance * voltage**2 + step * area

    def on_load_line(self, source, conductance, start):
        """The root of the linear or quadratic equation of the piece that J falls in."""
        w = self.corner_width
        slope, step = conductance + self.off_conductance, self.on_conductance - self.off_conductance
        corner = self.threshold - 0.5 * w
        excess = jnp.maximum(source - slope * corner, 0)  # current that is left where the corner begins
        # w' = 2 d / (s + sqrt(s^2 + 2 (g_on - g_off) d / w)), the root that does not cancel
        width = jnp.where(w > 0, w, 1)
        root = jnp.sqrt(jnp.maximum(slope**2 + 2 * step * excess / width, 0))
        within = jnp.minimum(jnp.where(w > 0, 2 * excess / (slope + root), 0), w)
        # The slope has its mean over the corner: s + (g_on - g_off) / 2.
        beyond = jnp.maximum(excess - (slope + 0.5 * step) * w, 0) / (slope + step)
        return jnp.where(excess > 0, corner + within + beyond, source / slope)

    def parameters(self):
        return (
            fixed("threshold", "V", "voltage beyond which each diode conducts"),
            fixed("on_conductance", "S", "slope of each diode beyond its threshold"),
            fixed("off_conductance", "S", "conductance of each diode below its threshold"),
            fixed("corner_width", "V", "width of the rounded corner of each diode"),
        )

    @property
    def conducts(self):
        return np.minimum(self.on_conductance, self.off_conductance) > 0

    def fault(self):
        wrong = first_not(above_zero, self.threshold)
        if wrong is not None:
            return f"threshold {wrong:.6g} V; it must be finite and above 0. For 0 V use FiniteConductanceDiode."
        for name, values in (("on", self.on_conductance), ("off", self.off_conductance)):
            wrong = first_not(at_least_zero, values)
            if wrong is not None:
                return f"{name} conductance {wrong:.6g} S; conductances are finite and >= 0. Did you pass ohms?"
        widths, most = np.broadcast_arrays(np.asarray(self.corner_width, float), 2 * np.asarray(self.threshold, float))
        wide = ~((widths >= 0) & (widths <= most))
        if wide.any():
            return (
                f"corner width {widths[wide].flat[0]:.6g} V; it must lie between 0 and twice the threshold "
                f"({most[wide].flat[0]:.6g} V), so that no current flows at 0 V."
            )
        return None
