"""Circuits with memristors in time: potentials and states move together."""

import equinox as eqx
import jax
import jax.numpy as jnp

from circuits.contract import CircuitContract
from physnet.augmented import Augmented, parameters_inside
from physnet.errors import PhysnetError
from physnet.system import System
from physnet.variable import Variable


class MemristiveCircuit(Augmented):
    """A circuit whose memristors change: `integrate(MemristiveCircuit(system), inputs, times)`.

    State: (state of the circuit, {axis of a kind: states of its memristors}); C dv/dt = -I(v, w), dw/dt = state_rate,
    of each memristor at its own voltage. It starts with the nodes at 0 V and the memristors in the states that they
    were built with. In `relax` the circuit stands alone: there the states are held. Every node needs a capacitance
    (`with_parasitics`); a step that oversteps an end of 0 to 1 is taken to have reached it.
    system: what `Circuit.build` made. Raises PhysnetError for a circuit without memristors (elements with a `state`
    and a `state_rate`) and for one with nodes that have no capacitance.
    """

    system: System

    def __init__(self, system: CircuitContract):
        if not isinstance(system, CircuitContract):
            raise PhysnetError(
                f"MemristiveCircuit: this is a {type(system).__name__}; pass the system that Circuit.build() returned."
            )
        self.system = system
        if not self.memristors:
            raise PhysnetError(
                "MemristiveCircuit: the circuit has no memristors; add some, such as "
                "circuit.add('M1', a, b, LinearDriftMemristor()), or integrate the circuit itself."
            )
        jax.eval_shape(lambda state: system.mobility(state), system.initial_state(None))  # raises without capacitors

    @property
    def memristors(self) -> tuple[tuple[str, int], ...]:
        """(axis, place among the conducting groups) of every group with memory."""
        return tuple(
            (self.system._dim(i), i) for i, group in enumerate(self.system.network.conductors) if has_memory(group)
        )

    def held(self, memories) -> CircuitContract:
        """The circuit with its memristors in given states.

        memories: for each group of `memristors`, by its axis, (element,), 0 (off) to 1 (on), dimensionless.
        """
        places = [i for _, i in self.memristors]
        values = [jnp.clip(memories[name], 0, 1) for name, _ in self.memristors]
        return eqx.tree_at(
            lambda system: [system.network.conductors[i].element.state for i in places], self.system, values
        )

    def initial_state(self, inputs, key=None):
        """The nodes at 0 V, the memristors in the states that the circuit was built with."""
        states = {name: self.system.network.conductors[i].element.state for name, i in self.memristors}
        return self.system.initial_state(inputs, key), states

    def vector_field(self, state, inputs):
        potentials, memories = state
        circuit = self.held(memories)
        driven = circuit.driven(inputs)
        at_nodes = driven.potentials(circuit.unknowns(potentials))
        rates = {}
        for name, i in self.memristors:
            group = driven.conductors[i]
            rates[name] = group.element.state_rate(group.voltage(at_nodes))
        return circuit.vector_field(potentials, inputs), rates

    def residual(self, state, inputs):
        rates = self.vector_field(state, inputs)[1]
        return self.held(state[1]).residual(state[0], inputs), jax.tree.map(jnp.negative, rates)

    def residual_scale(self, state, inputs):
        return self.held(state[1]).residual_scale(state[0], inputs), jax.tree.map(jnp.ones_like, state[1])

    def outputs(self, state, inputs):
        return self.held(state[1]).outputs(state[0], inputs)

    @property
    def variables(self):
        # `memristor_state` is a parameter of the circuit: the state that each was built with.
        memories = (
            Variable(f"{name}_memory", (name,), "1", "state of each memristor in time", (0.0, 1.0))
            for name, _ in sorted(self.memristors)
        )
        return (*self.system.variables, *memories)

    @property
    def parameters(self):
        return parameters_inside(self.system)

    def coordinates(self):
        return self.system.coordinates()

    @property
    def description(self):
        return {"kind": "MemristiveCircuit", "system": self.system.description}

    def default_inputs(self):
        return self.system.default_inputs()

    def bounds(self, inputs):
        box = self.system.bounds(inputs)
        if box is None:
            return None
        states = self.initial_state(inputs)[1]
        zeros, ones = (jax.tree.map(like, states) for like in (jnp.zeros_like, jnp.ones_like))
        return (box[0], zeros), (box[1], ones)

    def branch_currents(self, state, inputs):
        """Current, A, of every element of one sample that has a current law, as `branch_names`, capacitors 0 A."""
        return self.held(state[1]).branch_currents(state[0], inputs)

    @property
    def branch_names(self) -> tuple[str, ...]:
        """The name of every element."""
        return self.system.branch_names

    def default_relaxer(self):
        from physnet.relaxers.newton import Newton

        return Newton()


def has_memory(group) -> bool:
    """Whether the elements of a group have a state that a voltage moves."""
    return hasattr(group.element, "state_rate") and hasattr(group.element, "state")
