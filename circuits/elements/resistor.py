"""The linear resistor: the element whose conductance learns."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import Element, at_least_zero, first_not
from physnet.system import Parameter
from physnet.variable import Variable


class Resistor(Element):
    """A linear resistor: i = g v, Q = g v^2 / 2.

    conductance: S, at least 0; 0 S is an open branch. trainable: whether learning may change it.
    Raises PhysnetError for a negative, infinite or NaN conductance.
    """

    conductance: Float[Array, "*element"] | float
    trainable: bool = eqx.field(static=True, default=True)

    quadratic = True

    @classmethod
    def example(cls):
        return cls(0.7)

    @property
    def kind(self):
        """What a dataset calls it: resistor, or fixed_resistor where its conductance does not learn."""
        return "resistor" if self.trainable else "fixed_resistor"

    def current(self, voltage):
        return self.conductance * voltage

    def differential_conductance(self, voltage):
        return self.conductance + jnp.zeros_like(voltage)

    def cocontent(self, voltage):
        return 0.5 * self.conductance * voltage**2

    def parameters(self):
        name = "conductance" if self.trainable else "fixed_conductance"
        variable = Variable(name, (), "S", "conductance of each resistor", (0.0, np.inf))
        return (Parameter(variable, lambda element: element.conductance, self.trainable),)

    @property
    def conducts(self):
        return self.conductance > 0

    def fault(self):
        wrong = first_not(at_least_zero, self.conductance)
        if wrong is None:
            return None
        return f"conductance {wrong:.6g} S; conductances are finite and >= 0 (0 S is open). Did you pass ohms?"
