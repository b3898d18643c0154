"""A circuit as a system that settles: the minimum of its total co-content over the free potentials."""

import equinox as eqx
import jax.numpy as jnp

from circuits.contract import CircuitContract
from circuits.labels import Labels
from circuits.network import Network
from physnet.system import EnergySystem


class CircuitSystem(CircuitContract, EnergySystem):
    """A circuit of reciprocal elements, made by `Circuit.build`. Its state is the vector of free node potentials, V.

    The energy is the total co-content sum_e Q_e(v_a - v_b), W, current sources included as Q = I v; its stationary
    points obey Kirchhoff's current law, dE/dv_n = sum of the currents that leave node n, A. Voltage sources tie nodes
    together; ideal diodes bound potentials from below or above. Inputs are the values of the sources named as such.

    network: the elements and what they join. labels: the names of nodes, elements, inputs and outputs.
    """

    network: Network
    labels: Labels = eqx.field(static=True)

    @property
    def midpoint_exact(self):
        """Whether the energy is quadratic in the state for all that learns (see `EnergySystem`)."""
        learning = [g.element for g in self.network.conductors if any(p.trainable for p in g.element.parameters())]
        return all(element.quadratic for element in learning)

    def energy(self, state, inputs):
        driven = self.driven(inputs)
        potentials = driven.potentials(state)
        contents = [
            jnp.sum(
                group.element.cocontent(group.voltage(potentials))
                if group.two_terminal
                else group.element.cocontent(potentials[group.terminals])
            )
            for group in driven.conductors
        ]
        return sum(contents, jnp.zeros((), state.dtype))
