"""A circuit with transistors, controlled sources or amplifiers: it settles, but it has no energy."""

import equinox as eqx
import jax
import jax.numpy as jnp

from circuits.contract import CircuitContract
from circuits.labels import Labels
from circuits.network import Network


class ActiveCircuitSystem(CircuitContract):
    """A circuit with elements that are not reciprocal, made by `Circuit.build`.

    Its state is the vector of free node potentials, V; where elements fix a voltage (amplifiers, controlled voltage
    sources) it is a pair with their currents, A (modified nodal analysis: Ho, Ruehli & Brennan 1975,
    doi:10.1109/TCS.1975.1084079). The residual is the net current that leaves each node, then what each constraint
    misses, V. There is no co-content, so learning goes by `CorrectedRule`, the default, or by implicit gradients.

    network: the elements and what they join. labels: the names of nodes, elements, inputs and outputs.
    """

    network: Network
    labels: Labels = eqx.field(static=True)

    def vector_field(self, state, inputs):
        return self.mobility(jax.tree.map(jnp.negative, self.residual(state, inputs)))

    def why_no_energy(self):
        kinds = [g.element.kind.replace("_", " ") for g in self.network.conductors if not g.element.reciprocal]
        return f" Its {', '.join(dict.fromkeys(kinds))} elements are not reciprocal."
