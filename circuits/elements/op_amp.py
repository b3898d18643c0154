"""The operational amplifier of finite gain."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.elements.base import MultiTerminal, above_zero, at_least_zero, first_not
from circuits.elements.fields import fixed


class OpAmp(MultiTerminal):
    """Holds v_output = A (v_plus - v_minus) + R_o i, i being the current into the output; its inputs draw none.

    The output current returns through ground, by the supply; the output does not saturate. open_loop_gain: A,
    dimensionless, above 0. output_resistance: R_o, ohm, at least 0. Raises PhysnetError for values outside these
    ranges.
    """

    open_loop_gain: Float[Array, "*element"] | float = 1e5
    output_resistance: Float[Array, "*element"] | float = 0.0

    kind = "op_amp"
    terminals = ("output", "plus", "minus")
    has_branch = True
    holds = (0,)

    @classmethod
    def example(cls):
        return cls(1e3, 75.0)

    def currents(self, potentials, own, sensed):
        none = jnp.zeros_like(own)
        return jnp.stack([own, none, none])

    def constraint(self, potentials, own, sensed):
        return potentials[0] - self.open_loop_gain * (potentials[1] - potentials[2]) - self.output_resistance * own

    def constraint_scale(self, potentials, own, sensed):
        size = jnp.abs(potentials)
        return size[0] + self.open_loop_gain * (size[1] + size[2]) + self.output_resistance * jnp.abs(own)

    def parameters(self):
        return (
            fixed("open_loop_gain", "1", "open-loop gain of each operational amplifier"),
            fixed("output_resistance", "ohm", "output resistance of each amplifier"),
        )

    def fault(self):
        wrong = first_not(above_zero, self.open_loop_gain)
        if wrong is not None:
            return f"open-loop gain {wrong:.6g}; it must be finite and above 0. For no limit use IdealOpAmp."
        wrong = first_not(at_least_zero, self.output_resistance)
        return None if wrong is None else f"output resistance {wrong:.6g} ohm; it must be finite and >= 0."
