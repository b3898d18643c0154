"""Circuits by name: elements between named nodes, turned into a system that settles."""

from collections.abc import Iterator, Sequence

import numpy as np

from circuits.ammeters import with_ammeters
from circuits.assembly import assemble
from circuits.bundle import Branch, Bundle, Names, joined, stacked
from circuits.elements import (
    Capacitor,
    CurrentSource,
    IdealDiode,
    Resistor,
    ShockleyDiode,
    VoltageSource,
)
from circuits.elements.base import Component, Element, MultiTerminal
from circuits.topology import GROUND, analyse, nearest
from physnet.errors import PhysnetError

Node = str | int


class Circuit:
    """A circuit under construction. Nodes come to be by being named (text or number); ground is "0" or 0.

        divider = Circuit()
        divider.voltage_source("V1", "in", 0, voltage=10.0)
        divider.resistor("R1", "in", "mid", resistance=2e3).resistor("R2", "mid", 0, resistance=3e3)
        relax(divider.build()).outputs  # [6.0], the only free node

    Every method adds elements and returns the circuit. The first node is the first terminal: positive current
    flows from it, through the element, to the second. All values in SI units. Names are unique over all elements.
    Each method raises PhysnetError that names the element and the value, with its unit, that cannot be.

    Methods take name: of the new element. first, second: its nodes, text or number. plus, minus, anode, cathode:
    likewise, where the terminals are called so. trainable: whether its value learns.
    """

    def __init__(self):
        self._numbers: dict[str, int] = {GROUND: 0}  # of nodes, in order of appearance
        self._bundles: list[Bundle] = []
        self._owner: dict[str, int] = {}  # name -> bundle; no more, since there may be a million

    def add(self, name: str, *connection, control: str | None = None) -> "Circuit":
        """Any element, also one of your own (see docs/extending.md): add(name, node, ..., element).

        connection: as many nodes as the element has terminals, in their order, then the element. control: the name of
        the voltage source whose current the element senses (F and H of SPICE), which may be added later.
        """
        *nodes, element = connection or (None,)
        if not isinstance(name, str) or not name:
            raise PhysnetError(f"element name {name!r}: give a text that is not empty, such as 'R1'.")
        nodes = [_node(name, node) for node in nodes]
        if not isinstance(element, Element | MultiTerminal):
            hint = (
                "did you forget the parentheses?" if isinstance(element, type) else "pass one, such as Resistor(1e-3)."
            )
            raise PhysnetError(f"{name}: {element!r} is not an Element; {hint}")
        branch = Branch(name, tuple(nodes), element)
        self._check_kind(branch, control)
        if not getattr(element, "table", False) and any(
            np.ndim(leaf) for leaf in vars(element).values() if not isinstance(leaf, bool)
        ):
            raise PhysnetError(f"{branch.title}: its values are arrays; a named element has single values.")
        if name in self._owner:
            other = self[name]
            raise PhysnetError(
                f"{branch.title}: the name is taken, by the {other.element.kind.replace('_', ' ')} between "
                f"{' and '.join(other.nodes)}. Use another name."
            )
        if isinstance(element, Element) and branch.first == branch.second:
            raise PhysnetError(f"{branch.title}: both ends are at node {branch.first}. Connect it to two nodes.")
        controls = None if control is None else (str(control),)
        numbers = np.array([[self._number(node)] for node in nodes], np.int32)
        self._append(Bundle(Names((name,)), numbers, stacked(element, 1), controls))
        return self

    def add_many(self, names: Sequence[str], *connection, control: Sequence[str] | None = None) -> "Circuit":
        """Many elements of one kind at once: add_many(names, nodes of the first terminal, ..., element).

        names: m of them, or one text, which is then numbered (R0, R1, ...). connection: for each terminal a sequence of
        m nodes (or one node for all), and last the element, whose fields are numbers or arrays (m,). control: for each
        element, as for `add`. A grid of a million resistors takes a few seconds.
        """
        *nodes, element = connection or (None,)
        if not isinstance(element, Element | MultiTerminal):
            raise PhysnetError(f"add_many: {element!r} is not an Element; pass one, such as Resistor(conductances).")
        many = [node for node in nodes if not isinstance(node, str | int | np.integer)]
        if not many:
            raise PhysnetError("add_many: give the nodes of at least one terminal as a sequence, one for each element.")
        m = len(many[0])
        names = Names(f"{names}{i}" for i in range(m)) if isinstance(names, str) else Names(map(str, names))
        title = f"add_many, {element.kind.replace('_', ' ')}s {names[0] if names else ''}..."
        numbers = [self._many_numbers(title, node, m) for node in nodes]
        if len(names) != m or len({*names}) != m:
            raise PhysnetError(f"{title}: {len({*names})} different names for {m} elements; give one for each.")
        taken = next((name for name in names if name in self._owner), None)
        if taken is not None:
            raise PhysnetError(f"{title}: the name {taken} is taken. Use another.")
        self._check_kind(Branch(names[0] if m else "", ("",) * len(nodes), element), control)
        numbers = np.array(numbers, np.int32).reshape(len(nodes), m)
        if isinstance(element, Element) and (numbers[0] == numbers[1]).any():
            i = int(np.argmax(numbers[0] == numbers[1]))
            raise PhysnetError(f"{title}: both ends of {names[i]} are at one node. Connect it to two nodes.")
        try:
            element = stacked(element, m)
        except ValueError as error:
            raise PhysnetError(f"{title}: a field of {error} for {m} elements; give one value, or {m}.") from None
        self._append(Bundle(names, numbers, element, None if control is None else tuple(map(str, control))))
        return self

    def _check_kind(self, branch: Branch, control):
        element = branch.element
        terminals = 2 if isinstance(element, Element) else len(element.terminals)
        if len(branch.nodes) != terminals:
            named = "" if isinstance(element, Element) else f" ({', '.join(element.terminals)})"
            raise PhysnetError(f"{branch.title}: {len(branch.nodes)} nodes given; it has {terminals} terminals{named}.")
        law = getattr(element, "law", "current")
        if law != "current" and type(element) not in (Capacitor, IdealDiode, VoltageSource):
            raise PhysnetError(f"{branch.title}: its law is '{law}'; an added element states a current law.")
        senses = isinstance(element, MultiTerminal) and element.senses
        if senses != (control is not None):
            wanted = (
                "pass control=, the name of the voltage source whose current it reads."
                if senses
                else "leave out control=."
            )
            raise PhysnetError(
                f"{branch.title}: {'it senses a current' if senses else 'it senses no current'}; {wanted}"
            )

    def _append(self, bundle: Bundle):
        self._owner.update(dict.fromkeys(bundle.names, len(self._bundles)))
        self._bundles.append(bundle)

    def _number(self, node: str) -> int:
        return self._numbers.setdefault(node, len(self._numbers))

    def _many_numbers(self, title, nodes, m) -> list[int]:
        if isinstance(nodes, str | int | np.integer):
            return [self._number(_node(title, nodes))] * m
        if len(nodes) != m:
            raise PhysnetError(f"{title}: {len(nodes)} nodes for {m} elements; give one for each, or one node for all.")
        if isinstance(nodes, np.ndarray) and nodes.dtype.kind in "iu":
            nodes = nodes.tolist()
        return [self._number(node if type(node) is str and node else _node(title, node)) for node in nodes]

    @classmethod
    def from_dataset(cls, source, elements: Sequence[type[Component]] = ()) -> "Circuit":
        """The circuit of a dataset, or of the file at a path, that holds its parameters (an equilibrium's does).

        source: the dataset, or the path. elements: your own element classes that it uses.
        `circuits.system_from_dataset` builds it as well, with the inputs, outputs and precision that it had. Raises
        PhysnetError that names what the dataset lacks.
        """
        from circuits.stored import circuit_from_dataset

        return circuit_from_dataset(source, elements)

    def __getitem__(self, name: str) -> Branch:
        """The element of this name. Raises PhysnetError for an unknown one."""
        if name not in self._owner:
            raise PhysnetError(f"Circuit: no element {name!r}.{nearest(str(name), list(self._owner))}")
        bundle = self._bundles[self._owner[name]]
        return bundle.branch(bundle.names.index(name), list(self._numbers))

    def __contains__(self, name: str) -> bool:
        return name in self._owner

    def __len__(self) -> int:
        """The number of elements."""
        return len(self._owner)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node, ground first, in order of appearance."""
        return tuple(self._numbers)

    def branches(self) -> Iterator[Branch]:
        """Every element by itself, in the order in which they were added."""
        nodes = list(self._numbers)
        for bundle in self._bundles:
            for i in range(len(bundle.names)):
                yield bundle.branch(i, nodes)

    def bundles(self) -> tuple[Bundle, ...]:
        """The elements as they were added, many at a time; nodes are indices into `nodes`."""
        return tuple(self._bundles)

    def mapped(self, change) -> "Circuit":
        """A circuit of the same nodes with `change(bundle)` in the place of each bundle, left out where that is None.

        change: a function of a `Bundle` to a Bundle or None: what spreads, sticks, drifts or removes elements is one.
        """
        other = Circuit()
        other._numbers = dict(self._numbers)
        for bundle in self._bundles:
            new = change(bundle)
            if new is not None and len(new.names):
                other._append(new)
        return other

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

    def build(self, inputs=(), outputs=None, *, dtype=float):
        """The system that settles: its state is the vector of free node potentials, V.

        A circuit of reciprocal elements is a `CircuitSystem`, which has an energy; one with transistors, controlled
        sources or amplifiers an `ActiveCircuitSystem`, which has none.

        inputs: names of the sources whose values are the system's inputs; their declared values are the defaults.
        outputs: names of nodes, or pairs (node, node) for the voltage between them (one name is one output); by default
        every free node (every node, where sources fix them all).
        dtype: float, or numpy.float32 for single precision.
        Raises PhysnetError for a circuit without elements; nodes that float; ideal diodes
        between free nodes; loops of voltage sources that disagree; unknown names among inputs, outputs and controls.
        """
        if not self._bundles:
            raise PhysnetError("Circuit: it has no elements. Add some, such as circuit.resistor('R1', 'a', 0, ...).")
        inputs = self._check_inputs([inputs] if isinstance(inputs, str) else inputs)
        nodes, bundles = with_ammeters(list(self._numbers), self._bundles, self._source)
        topology = analyse(nodes, joined(bundles), inputs)
        if outputs is None:
            outputs = topology.free or nodes[1:]
        outputs = [outputs] if isinstance(outputs, str | int) else outputs
        known = {node: i for i, node in enumerate(nodes)}
        pairs = [self._check_output(output, known) for output in outputs]
        if not pairs:
            raise PhysnetError("Circuit: outputs is empty. Name nodes, or leave it out for every free node.")
        return assemble(joined(bundles), topology, inputs, pairs, np.dtype(dtype))

    def _source(self, title: str, name: str) -> tuple[int, int]:
        """Where the voltage source of this name is. Raises PhysnetError for anything else."""
        found = self._owner.get(name)
        if found is None or not isinstance(self._bundles[found].element, VoltageSource):
            sources = [n for b in self._bundles if isinstance(b.element, VoltageSource) for n in b.names]
            what = "unknown voltage source" if found is None else "no voltage source, so it cannot be sensed:"
            raise PhysnetError(f"{title}: control: {what} {name}.{nearest(name, sources)} ({_list(sources)})")
        return found, self._bundles[found].names.index(name)

    def _check_inputs(self, inputs) -> tuple[str, ...]:
        inputs = tuple(inputs)
        sources = [n for b in self._bundles if isinstance(b.element, VoltageSource | CurrentSource) for n in b.names]
        if {*inputs} <= {*sources} and len({*inputs}) == len(inputs):
            return inputs
        for name in inputs:
            if name in self._owner and name not in sources:
                raise PhysnetError(f"inputs: {self[name].title} is not a source. Sources: {_list(sources)}.")
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
                raise PhysnetError(f"outputs: unknown node {name}.{nearest(name, nodes)} Nodes: {_list(list(nodes))}.")
        return names[0], names[1] if len(names) == 2 else None


def _list(names) -> str:
    return (", ".join(names[:12]) + (", ..." if len(names) > 12 else "")) or "none"


def _node(element, node) -> str:
    if isinstance(node, bool) or not isinstance(node, str | int | np.integer) or str(node) == "":
        raise PhysnetError(f"{element}: node {node!r}; nodes are named by text or whole numbers.")
    return str(node)


def _make(title, kind, *values) -> Component:
    """An element whose error, if its values are wrong, names it."""
    try:
        return kind(*values)
    except PhysnetError as error:
        raise PhysnetError(f"{title}: {str(error).removeprefix(f'{kind.__name__}: ')}") from None
