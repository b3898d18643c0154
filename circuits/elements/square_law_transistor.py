"""The MOSFET of the square law: level 1 of SPICE."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import MultiTerminal, above_zero, at_least_zero, first_not
from circuits.elements.fields import fixed, polarity_fault


class SquareLawTransistor(MultiTerminal):
    """A long-channel MOSFET, level 1 of SPICE, static: no current at the gate, no capacitance, no series resistance.

    With u = v_gs - V_th above 0, and v_ds at least 0 (else drain and source change places):
        i = beta (1 + lambda v_ds) v_ds (u - v_ds / 2)    while v_ds < u (triode)
        i = beta (1 + lambda v_ds) u^2 / 2                beyond (saturation)
    and 0 for u below 0; V_th = V_T0 + gamma (sqrt(phi - v_bs) - sqrt(phi)), where for v_bs above 0 the root is
    continued by its tangent, as in SPICE, down to 0. For p channels every voltage and current is turned round; V_T0
    keeps the sign of SPICE: negative for an enhancement p channel. A conductance between drain and source and the two
    bulk junctions, Is (exp(v/a) - 1) from bulk to drain and from bulk to source, are parallel to the channel; both are
    off (0) by default. SPICE has such junctions: bulk_saturation_current=1e-14 reproduces its default. They are not
    limited: a bulk some volts in forward overflows.

    Not reciprocal, since the gate drives the channel and nothing drives the gate: it has no co-content.

    transconductance_parameter: beta = KP W / L, A/V^2, above 0. threshold: V_T0, V. channel_length_modulation: lambda,
    1/V, at least 0. body_effect: gamma, V^0.5, at least 0. surface_potential: phi, V, above 0. minimum_conductance: S,
    at least 0. bulk_saturation_current: Is, A, at least 0. junction_thermal_voltage: a, V, above 0 (27 C by default).
    polarity: +1 for an n channel, -1 for a p channel. Raises PhysnetError for values outside these ranges.
    Shichman & Hodges 1968, doi:10.1109/JSSC.1968.1049902.
    """

    transconductance_parameter: Float[Array, "*element"] | float = 2e-5
    threshold: Float[Array, "*element"] | float = 1.0
    channel_length_modulation: Float[Array, "*element"] | float = 0.0
    body_effect: Float[Array, "*element"] | float = 0.0
    surface_potential: Float[Array, "*element"] | float = 0.6
    minimum_conductance: Float[Array, "*element"] | float = 0.0
    bulk_saturation_current: Float[Array, "*element"] | float = 0.0
    junction_thermal_voltage: Float[Array, "*element"] | float = 0.02586492
    polarity: int = eqx.field(static=True, default=1)

    kind = "square_law_transistor"
    terminals = ("drain", "gate", "source", "bulk")
    step_limit = 1.0

    @classmethod
    def example(cls):
        return cls(2e-5, 0.4, 0.05, 0.4, 0.6, 1e-9, 1e-14)

    @property
    def couples(self):
        if np.all(np.asarray(self.bulk_saturation_current) > 0):
            return ((0, 2), (3, 0), (3, 2))
        return ((0, 2),)

    def currents(self, potentials, own, sensed):
        drain, gate, source, bulk = (self.polarity * v for v in potentials)
        channel = self._channel(drain, gate, source, bulk) + self.minimum_conductance * (drain - source)
        to_drain, to_source = self._junction(bulk - drain), self._junction(bulk - source)
        none = jnp.zeros_like(channel)
        currents = (channel - to_drain, none, -channel - to_source, to_drain + to_source)
        return self.polarity * jnp.stack(jnp.broadcast_arrays(*currents))

    def _channel(self, drain, gate, source, bulk):
        """Current, A, from drain to source of the n channel."""
        reverse = drain < source
        low, high = jnp.where(reverse, drain, source), jnp.where(reverse, source, drain)
        across = high - low
        phi, forward = self.surface_potential, bulk > low
        backed = jnp.sqrt(phi - jnp.where(forward, 0, bulk - low))
        tangent = jnp.maximum(jnp.sqrt(phi) - jnp.where(forward, bulk - low, 0) / (2 * jnp.sqrt(phi)), 0)
        shift = self.body_effect * (jnp.where(forward, tangent, backed) - jnp.sqrt(phi))
        overdrive = jnp.maximum(gate - low - self.polarity * self.threshold - shift, 0)
        # Saturation begins where v_ds is the overdrive: both laws are one in the lesser of the two.
        reach = jnp.where(across < overdrive, across, overdrive)
        beta = self.transconductance_parameter * (1 + self.channel_length_modulation * across)
        current = beta * reach * (overdrive - 0.5 * reach)
        return jnp.where(reverse, -current, current)

    def _junction(self, voltage):
        """Current, A, of a bulk junction; none, at any voltage, where there is no saturation current."""
        there = self.bulk_saturation_current > 0
        current = self.bulk_saturation_current * jnp.expm1(jnp.where(there, voltage / self.junction_thermal_voltage, 0))
        return jnp.where(there, current, 0)

    def parameters(self):
        return (
            fixed("transconductance_parameter", "A V-2", "transconductance parameter KP W / L of each transistor"),
            fixed("threshold", "V", "threshold voltage of each transistor without body effect", None),
            fixed("channel_length_modulation", "V-1", "channel length modulation of each transistor"),
            fixed("body_effect", "1", "body effect coefficient of each transistor, in the square root of volt"),
            fixed("surface_potential", "V", "surface potential of each transistor"),
            fixed("minimum_conductance", "S", "conductance from drain to source of each transistor"),
            fixed("bulk_saturation_current", "A", "saturation current of the bulk junctions of each transistor"),
            fixed("junction_thermal_voltage", "V", "thermal voltage of the bulk junctions of each transistor"),
        )

    def fault(self):
        above = ("transconductance_parameter", "surface_potential", "junction_thermal_voltage")
        for parameter in self.parameters():
            name, value = parameter.variable.name, parameter.get(self)
            test, range_ = (above_zero, "above 0") if name in above else (at_least_zero, ">= 0")
            if name == "threshold":
                test, range_ = np.isfinite, "a number"
            wrong = first_not(test, value)
            if wrong is not None:
                name = name.replace("_", " ")
                return f"{name} {wrong:.6g} {parameter.variable.units}; it must be finite and {range_}."
        return polarity_fault(self)
