"""The bidirectional amplifier: gain forward in voltage, backward in current, and an energy."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import MultiTerminal, at_least_zero, first_not
from physnet.system import Parameter
from physnet.variable import Variable


class BidirectionalAmplifier(MultiTerminal):
    """A voltage A v_i behind a conductance g, whose current returns to the input A times: Q = g (A v_i - v_o)^2 / 2.

    i_input = g A (A v_i - v_o) and i_output = -g (A v_i - v_o). It lifts a signal from layer to layer and keeps the
    circuit reciprocal, so that equilibrium propagation holds. The difference of the two currents returns through
    ground, by the supply. Convex: one operating point.

    amplifier_conductance: g, S, at least 0, which learns. amplifier_gain: A, dimensionless, of either sign, not 0.
    Raises PhysnetError for values outside these ranges. Kendall et al. 2020, arXiv:2006.01981.
    """

    amplifier_conductance: Float[Array, "*element"] | float
    amplifier_gain: Float[Array, "*element"] | float

    kind = "bidirectional_amplifier"
    terminals = ("input", "output")
    quadratic = True
    monotone = True
    reciprocal = True

    @classmethod
    def example(cls):
        return cls(1e-3, 4.0)

    @property
    def couples(self):
        return ((0, 1),) if np.all(np.asarray(self.amplifier_conductance) > 0) else ()

    def _current(self, potentials):
        return self.amplifier_conductance * (self.amplifier_gain * potentials[0] - potentials[1])

    def currents(self, potentials, own, sensed):
        current = self._current(potentials)
        return jnp.stack([self.amplifier_gain * current, -current])

    def cocontent(self, potentials):
        return 0.5 * self._current(potentials) * (self.amplifier_gain * potentials[0] - potentials[1])

    def parameters(self):
        conductance = Variable(
            "amplifier_conductance", (), "S", "output conductance of each bidirectional amplifier", (0.0, np.inf)
        )
        gain = Variable("amplifier_gain", (), "1", "voltage gain of each bidirectional amplifier")
        return (
            Parameter(conductance, lambda element: element.amplifier_conductance),
            Parameter(gain, lambda element: element.amplifier_gain, trainable=False),
        )

    def fault(self):
        wrong = first_not(at_least_zero, self.amplifier_conductance)
        if wrong is not None:
            return f"conductance {wrong:.6g} S; conductances are finite and >= 0. Did you pass ohms?"
        wrong = first_not(lambda gain: (gain != 0) & np.isfinite(gain), self.amplifier_gain)
        return None if wrong is None else f"gain {wrong:.6g}; it must be finite and not 0."
