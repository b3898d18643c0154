"""Edges as outputs: their voltages, currents and powers, for targets on edges instead of nodes."""

from abc import abstractmethod
from collections.abc import Iterable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.circuit import Circuit
from circuits.circuit_system import CircuitSystem
from circuits.topology import nearest
from physnet.augmented import Resolving
from physnet.errors import PhysnetError, require_instance
from physnet.relaxers.projected_newton import ProjectedNewton
from physnet.system import EnergySystem
from physnet.variable import Variable


def edge_outputs(circuit: Circuit, names: str | Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of nodes that make the voltages of these elements the outputs: build(outputs=edge_outputs(c, ["R1"])).

    circuit: that has them. names: one or many. First terminal above second, V. For a current or a power as target use
    `EdgeCurrents` or `EdgePowers`, or put a small resistor in series and read its voltage, as on a bench. Raises
    PhysnetError for an unknown name.
    """
    return [circuit[name].nodes[:2] for name in ([names] if isinstance(names, str) else names)]


class EdgeReadout(Resolving, EnergySystem):
    """A circuit whose outputs are read off its edges, elements with a current law. Everything else is the circuit's.

    system: the circuit. names: of the elements, one or many.
    """

    system: eqx.AbstractVar[CircuitSystem]
    names: eqx.AbstractVar[tuple[str, ...]]

    @abstractmethod
    def read(self, voltage: Float[Array, " element"], current: Float[Array, " element"]) -> Float[Array, " element"]:
        """The outputs, A or W, from what the edges carry. voltage: V, of each. current: A, of each."""

    @property
    def midpoint_exact(self):
        """Whether the energy is quadratic in the state for all that learns (see `EnergySystem`)."""
        return self.system.midpoint_exact

    @property
    def description(self):
        return {"kind": type(self).__name__, "system": self.system.description, "edges": list(self.names)}

    def coordinates(self):
        kept = tuple(c for c in self.system.coordinates() if c[0].name != "output")
        return (*kept, (Variable("output", ("output",), "1", "edge"), self.names))

    def default_inputs(self):
        return self.system.default_inputs()

    def default_relaxer(self):
        return ProjectedNewton()

    def under(self, inputs):
        return self.system, inputs

    def energy(self, state, inputs):
        return self.system.energy(state, inputs)

    def mobility(self, force):
        return self.system.mobility(force)

    def outputs(self, state, inputs):
        driven = self.system.driven(inputs)
        potentials = driven.potentials(state)
        found = []
        for name in self.names:
            group = next(group for group in driven.conductors if name in group.names)
            i = group.names.index(name)
            element = jax.tree.map(lambda leaf, i=i: leaf[i], group.element)
            voltage = potentials[group.first[i]] - potentials[group.second[i]]
            found.append(self.read(voltage, element.current(voltage)))
        return jnp.stack(found)


class EdgeCurrents(EdgeReadout):
    """A circuit whose outputs are the currents, A, of named two-terminal elements, from first terminal to second.

    A target is a current; a cost in square amperes makes beta an impedance, ohm. Raises PhysnetError for names that no
    element with a current law has.
    """

    system: CircuitSystem
    names: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, system, names):
        self.system, self.names = system, _checked("EdgeCurrents", system, names)

    @property
    def output_variable(self):
        return Variable("output_current", ("output",), "A", "current of each output edge")

    def read(self, voltage, current):
        return current


class EdgePowers(EdgeReadout):
    """A circuit whose outputs are the powers, W, that named two-terminal elements absorb: v i, g v^2 in a resistor.

    Raises PhysnetError for names that no element with a current law has.
    """

    system: CircuitSystem
    names: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, system, names):
        self.system, self.names = system, _checked("EdgePowers", system, names)

    @property
    def output_variable(self):
        return Variable("output_power", ("output",), "W", "power absorbed by each output edge")

    def read(self, voltage, current):
        return voltage * current


def _checked(where, system, names) -> tuple[str, ...]:
    require_instance(system, CircuitSystem, f"{where}: system")
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names:
        raise PhysnetError(f"{where}: names is empty. Name at least one element.")
    known = [name for group in system.network.conductors if group.two_terminal for name in group.names]
    for name in names:
        if name not in known:
            raise PhysnetError(f"{where}: no two-terminal element {name!r} with a current law.{nearest(name, known)}")
    return names
