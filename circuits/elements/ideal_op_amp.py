"""The ideal operational amplifier: gain without limit."""

import jax.numpy as jnp

from circuits.elements.base import MultiTerminal


class IdealOpAmp(MultiTerminal):
    """A nullor: its output carries whatever current makes v_plus = v_minus, its inputs none.

    The output current returns through ground, by the supply. It says nothing of which input is which: only feedback to
    the minus input is stable in the laboratory, and what settles here is the operating point alone.
    """

    kind = "ideal_op_amp"
    terminals = ("output", "plus", "minus")
    has_branch = True
    holds = (0,)

    def currents(self, potentials, own, sensed):
        none = jnp.zeros_like(own)
        return jnp.stack([own, none, none])

    def constraint(self, potentials, own, sensed):
        return potentials[1] - potentials[2]

    def constraint_scale(self, potentials, own, sensed):
        # Both inputs of an inverting amplifier are near 0 V: its output is the measure there.
        return jnp.sum(jnp.abs(potentials), axis=0)

    def parameters(self):
        return ()
