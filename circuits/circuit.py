"""Circuits by name: elements between named nodes, turned into a system that settles."""

import numpy as np

from circuits.assembly import assemble
from circuits.circuit_system import CircuitSystem
from circuits.elements import (
    Capacitor,
    CurrentSource,
    Element,
    IdealDiode,
    Resistor,
    ShockleyDiode,
    VoltageSource,
)
from circuits.topology import Branch, analyse, nearest
from physnet.errors import PhysnetError

Node = str | int


class Circuit:
    """A circuit under construction. Nodes come to be by being named (text or number); ground is "0" or 0.

        divider = Circuit()
        divider.voltage_source("V1", "in", 0, voltage=10.0)
        divider.resistor("R1", "in", "mid", resistance=2e3).resistor("R2", "mid", 0, resistance=3e3)
        relax(divider.build()).outputs  # [6.0], the only free node

    Every method adds one element and returns the circuit. The first node is the first terminal: positive current
    flows from it, through the element, to the second. All values in SI units. Names are unique over all elements.
    Each method raises PhysnetError that names the element and the value, with its unit, that cannot be.
    """

    def __init__(self):
        self._branches: dict[str, Branch] = {}

    def add(self, name: str, first: Node, second: Node, element: Element) -> "Circuit":
        """Any two-terminal element, also one of your own (see docs/extending.md)."""
        if not isinstance(name, str) or not name:
            raise PhysnetError(f"element name {name!r}: give a text that is not empty, such as 'R1'.")
        branch = Branch(name, _node(name, first), _node(name, second), element)
        if not isinstance(element, Element):
            hint = (
                "did you forget the parentheses?" if isinstance(element, type) else "pass one, such as Resistor(1e-3)."
            )
            raise PhysnetError(f"{name}: {element!r} is not an Element; {hint}")
        if element.law != "current" and type(element) not in (Capacitor, IdealDiode, VoltageSource):
            raise PhysnetError(f"{branch.title}: its law is '{element.law}'; an added element states a current law.")
        if any(np.ndim(leaf) for leaf in vars(element).values() if not isinstance(leaf, bool)):
            raise PhysnetError(f"{branch.title}: its values are arrays; a named element has single values.")
        if name in self._branches:
            other = self._branches[name]
            raise PhysnetError(
                f"{branch.title}: the name is taken, by the {other.element.kind.replace('_', ' ')} between "
                f"{other.first} and {other.second}. Use another name."
            )
        if branch.first == branch.second:
            raise PhysnetError(f"{branch.title}: both ends are at node {branch.first}. Connect it to two nodes.")
        self._branches[name] = branch
        return self

    def resistor(
        self,
        name: str,
        first: Node,
        second: Node,
        *,
        resistance: float | None = None,
        conductance: float | None = None,
        trainable: bool = True,
    ) -> "Circuit":
        """A linear resistor of `resistance` (ohm, above 0) or `conductance` (S, at least 0; 0 S is open)."""
        title = f"resistor {name}"
        if (resistance is None) == (conductance is None):
            given = "neither" if resistance is None else "both"
            raise PhysnetError(f"{title}: {given} given; pass resistance= (ohm) or conductance= (S), one of them.")
        if resistance is not None:
            if not isinstance(resistance, int | float | np.number):
                raise PhysnetError(f"{title}: resistance {resistance!r}; give a number in ohm.")
            if not (resistance > 0 and np.isfinite(resistance)):
                raise PhysnetError(
                    f"{title}: resistance {resistance:.6g} ohm; resistances are finite and > 0. For a wire give both "
                    "ends one node; for an open branch pass conductance=0.0."
                )
            conductance = 1 / resistance
        return self.add(name, first, second, _make(title, Resistor, conductance, trainable))

    def diode(self, name: str, anode: Node, cathode: Node, model: Element | None = None) -> "Circuit":
        """A diode, conducting from anode to cathode. model: ShockleyDiode() (the default), or IdealDiode()."""
        return self.add(name, anode, cathode, ShockleyDiode() if model is None else model)

    def capacitor(self, name: str, first: Node, second: Node, capacitance: float) -> "Circuit":
        """A capacitor of `capacitance` (F, at least 0); it matters in time only."""
        return self.add(name, first, second, _make(f"capacitor {name}", Capacitor, capacitance))

    def voltage_source(self, name: str, plus: Node, minus: Node, voltage: float) -> "Circuit":
        """Holds `plus` at `voltage` (V) above `minus`; both may be free of ground (a floating source)."""
        return self.add(name, plus, minus, _make(f"voltage source {name}", VoltageSource, voltage))

    def current_source(self, name: str, first: Node, second: Node, current: float) -> "Circuit":
        """Drives `current` (A) through itself from `first` to `second`: out of the one node, into the other."""
        return self.add(name, first, second, _make(f"current source {name}", CurrentSource, current))

    def build(self, inputs=(), outputs=None, *, dtype=float) -> CircuitSystem:
        """The system that settles: its state is the vector of free node potentials, V.

        inputs: names of the sources whose values are the system's inputs; their declared values are the defaults.
        outputs: names of nodes, or pairs (node, node) for the voltage between them (one name is one output); by default
        every free node.
        dtype: float, or numpy.float32 for single precision.
        Raises PhysnetError for a circuit without elements or without a free node; nodes that float; ideal diodes
        between free nodes; loops of voltage sources that disagree; unknown names among inputs and outputs.
        """
        if not self._branches:
            raise PhysnetError("Circuit: it has no elements. Add some, such as circuit.resistor('R1', 'a', 0, ...).")
        branches = list(self._branches.values())
        inputs = self._check_inputs([inputs] if isinstance(inputs, str) else inputs)
        topology = analyse(branches, inputs)
        if not topology.free:
            raise PhysnetError(
                "Circuit: voltage sources fix the potential of every node, so nothing is left to settle. Add a node."
            )
        if outputs is None:
            outputs = topology.free
        outputs = [outputs] if isinstance(outputs, str | int) else outputs
        pairs = [self._check_output(output, topology.nodes) for output in outputs]
        if not pairs:
            raise PhysnetError("Circuit: outputs is empty. Name nodes, or leave it out for every free node.")
        return assemble(branches, topology, inputs, pairs, np.dtype(dtype))

    def _check_inputs(self, inputs) -> tuple[str, ...]:
        inputs = tuple(inputs)
        sources = [b.name for b in self._branches.values() if isinstance(b.element, VoltageSource | CurrentSource)]
        for name in inputs:
            if name in self._branches and name not in sources:
                raise PhysnetError(f"inputs: {self._branches[name].title} is not a source. Sources: {_list(sources)}.")
            if name not in sources:
                raise PhysnetError(f"inputs: unknown source {name}.{nearest(str(name), sources)} ({_list(sources)})")
            if inputs.count(name) > 1:
                raise PhysnetError(f"inputs: source {name} is named twice. Name it once.")
        return inputs

    def _check_output(self, output, nodes) -> tuple[str, str | None]:
        pair = tuple(output) if isinstance(output, tuple | list) else (output,)
        if len(pair) not in (1, 2):
            raise PhysnetError(f"outputs: {output!r}; give a node name, or a pair (node, node).")
        names = [str(node) for node in pair]
        for name in names:
            if name not in nodes:
                raise PhysnetError(f"outputs: unknown node {name}.{nearest(name, nodes)} Nodes: {_list(nodes)}.")
        return names[0], names[1] if len(names) == 2 else None


def _list(names) -> str:
    return (", ".join(names[:12]) + (", ..." if len(names) > 12 else "")) or "none"


def _node(element, node) -> str:
    if isinstance(node, bool) or not isinstance(node, str | int | np.integer) or str(node) == "":
        raise PhysnetError(f"{element}: node {node!r}; nodes are named by text or whole numbers.")
    return str(node)


def _make(title, kind, *values) -> Element:
    """An element whose error, if its values are wrong, names it."""
    try:
        return kind(*values)
    except PhysnetError as error:
        raise PhysnetError(f"{title}: {str(error).removeprefix(f'{kind.__name__}: ')}") from None
