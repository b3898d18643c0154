"""The ideal diode: an inequality, not a current law."""

import jax.numpy as jnp

from circuits.elements.base import Element


class IdealDiode(Element):
    """A perfect valve, anode first: no current below 0 V, no voltage above 0 V.

    v <= 0, i >= 0, v i = 0. It adds nothing to the energy: it bounds the potentials over which the co-content is
    minimised, and its current is the force with which the bound holds (the multiplier of the inequality). The laws
    below hold in the allowed range v <= 0 and are infinite outside it. One terminal must be at a fixed potential.
    """

    kind = "ideal_diode"
    law = "inequality"
    quadratic = True

    def current(self, voltage):
        return jnp.where(voltage > 0, jnp.inf, jnp.zeros_like(voltage))

    def differential_conductance(self, voltage):
        return jnp.where(voltage > 0, jnp.inf, jnp.zeros_like(voltage))

    def cocontent(self, voltage):
        return jnp.where(voltage > 0, jnp.inf, jnp.zeros_like(voltage))

    def parameters(self):
        return ()

    @property
    def conducts(self):
        # Below 0 V it leaves its terminals to the rest of the circuit, so it cannot be what settles a node.
        return False
