"""The ammeter: a wire whose current is known."""

import jax.numpy as jnp

from circuits.elements.base import MultiTerminal


class Ammeter(MultiTerminal):
    """A source of 0 V: holds v_plus = v_minus, its current, from plus through it to minus, being an unknown.

    What other elements sense. Its equations are symmetric (current and constraint together), but its current is no
    function of potentials, so that there is no co-content to give.
    """

    kind = "ammeter"
    terminals = ("plus", "minus")
    has_branch = True
    couples = ((0, 1),)

    def currents(self, potentials, own, sensed):
        return jnp.stack([own, -own])

    def constraint(self, potentials, own, sensed):
        return potentials[0] - potentials[1]

    def constraint_scale(self, potentials, own, sensed):
        return jnp.abs(potentials[0]) + jnp.abs(potentials[1])

    def parameters(self):
        return ()
