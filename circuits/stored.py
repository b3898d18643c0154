"""Circuits in datasets: what a file must say for the circuit to be built again, and how that is done.

Values of elements stand as parameters on the axis of their kind, names and nodes as text coordinates on it
("resistor_first", "resistor_second", or a terminal's name). The attribute physnet_system (JSON) holds the class of each
kind, its static fields, and whatever has no axis: kinds without parameters, tables.
"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import numpy as np

from circuits.ammeters import ammeter_name
from circuits.bundle import Bundle, Names
from circuits.elements.base import Component, MultiTerminal
from physnet.errors import PhysnetError
from physnet.variable import Variable

if TYPE_CHECKING:
    from circuits.circuit import Circuit
    from circuits.contract import CircuitContract

_MOST_LISTED = 1000  # inputs and outputs that are listed in the description; their axes name them in any case
_PLAIN = bool | int | float | str | None


def wiring(system: "CircuitContract") -> tuple[tuple[Variable, np.ndarray], ...]:
    """Coordinates of where elements are connected: the node of each terminal, the source that an element reads."""
    nodes, found = np.array(system.labels.nodes), []
    for i, group in enumerate(system.groups()):
        dim = system._dim(i)
        for terminal, numbers in zip(_terminals(group.element), np.asarray(group.terminals)):
            long_name = f"node of the terminal '{terminal}' of each {group.element.kind.replace('_', ' ')}"
            found.append((Variable(f"{dim}_{terminal}", (dim,), "1", long_name), nodes[numbers]))
        if control := _controls(system, group):
            found.append((Variable(f"{dim}_control", (dim,), "1", "voltage source whose current is sensed"), control))
    names, network = system.labels.outputs, system.network
    plus, minus = nodes[np.asarray(network.plus)], nodes[np.asarray(network.minus)]
    if any(name != node for name, node in zip(names, plus)):
        found.append((Variable("output_plus", ("output",), "1", "node whose voltage is read"), plus))
        single = np.where(np.array(names) == plus, "", minus)
        found.append((Variable("output_minus", ("output",), "1", "node that it is read against, if one is"), single))
    return tuple(found)


def described(system: "CircuitContract") -> dict:
    """What no parameter and no coordinate says, as plain values for JSON."""
    elements, taken = {}, {}
    nodes = system.labels.nodes
    for i, group in enumerate(system.groups()):
        element, parameters = group.element, []
        for p in element.parameters():
            taken[p.variable.name] = count = taken.get(p.variable.name, 0) + 1
            parameters.append(p.variable.name if count == 1 else f"{p.variable.name}_{count}")
        entry = {"kind": element.kind, "count": len(group.names), "place": i, "class": type(element).__name__}
        held = [p.get(element) for p in element.parameters()]
        static, arrays = {}, {}
        for field in dataclasses.fields(element):
            value = getattr(element, field.name)
            if any(value is x for x in held):
                continue
            if eqx.is_array(value):
                arrays[field.name] = np.asarray(value, float).tolist()
            elif isinstance(value, _PLAIN):
                static[field.name] = value
        for name, value in (("parameters", parameters), ("static", static), ("fields", arrays)):
            if value:
                entry[name] = value
        if not parameters:  # no variable has its axis, which a dataset then leaves out
            entry["names"] = list(group.names)
            ends = zip(_terminals(element), np.asarray(group.terminals))
            entry["terminals"] = {terminal: [nodes[n] for n in numbers] for terminal, numbers in ends}
        elements[system._dim(i)] = entry
    found = {"elements": elements}
    for name in ("inputs", "outputs"):
        names = getattr(system.labels, name)
        found[name] = list(names) if len(names) <= _MOST_LISTED else len(names)
    return found


def circuit_from_dataset(source, elements=()) -> "Circuit":
    """The circuit behind a dataset. See `Circuit.from_dataset`."""
    return _Stored.of(source, elements).circuit()


def system_from_dataset(source, elements=()) -> "CircuitContract":
    """The system behind a dataset, with its inputs, outputs and precision: `Circuit.from_dataset`, then `build`.

    source, elements: as for `Circuit.from_dataset`, as are the errors.
    """
    stored = _Stored.of(source, elements)
    return stored.circuit().build(stored.inputs, stored.outputs, dtype=stored.dtype)


@dataclasses.dataclass(frozen=True)
class _Stored:
    """A dataset of a circuit, its description read. classes: of elements, by name."""

    ds: object
    description: dict
    classes: dict[str, type[Component]]

    @classmethod
    def of(cls, source, elements) -> "_Stored":
        from circuits import elements as exported
        from physnet import results

        ds = results.open(source) if isinstance(source, str | Path) else source
        where = f"{source}" if isinstance(source, str | Path) else "this dataset"
        try:
            description = json.loads(ds.attrs["physnet_system"])
        except (AttributeError, KeyError, ValueError):
            raise PhysnetError(
                f"from_dataset: {where} does not say what system it is of (physnet_system); save what relax(), "
                "integrate() or ep_gradient() returned for a circuit, by to_dataset()."
            ) from None
        while "elements" not in description and isinstance(description.get("system"), dict):
            description = description["system"]  # of a system around a circuit
        entries = description.get("elements")
        if not isinstance(entries, dict) or not all("class" in entry for entry in entries.values()):
            raise PhysnetError(
                f"from_dataset: {where} is of a {description.get('kind', 'system')}, which Circuit.build() did not "
                "make (or of a physnet that did not store the wiring)."
            )
        classes = {name: getattr(exported, name) for name in exported.__all__}
        classes |= {kind.__name__: kind for kind in elements}
        for dim, entry in entries.items():
            if entry["class"] not in classes:
                raise PhysnetError(
                    f"from_dataset: {where} holds {entry['count']} elements of class {entry['class']} (axis {dim}), "
                    f"which is not of physnet; pass elements=({entry['class']},)."
                )
        return cls(ds, description, classes)

    @property
    def dtype(self):
        return np.float32 if self.ds.attrs.get("physnet_precision") == "single" else float

    @property
    def inputs(self) -> list[str]:
        return self._named("input", "inputs") or []

    @property
    def outputs(self) -> list | None:
        if "output_minus" in self.ds.coords:
            plus, minus = _text(self.ds, "output_plus"), _text(self.ds, "output_minus")
            return [(a, b) if b else a for a, b in zip(plus, minus)]
        return self._named("output", "outputs")

    def _named(self, dim, key):
        if dim in self.ds.coords:
            return _text(self.ds, dim)
        found = self.description.get(key)
        return found if isinstance(found, list) else None

    def circuit(self) -> "Circuit":
        from circuits.circuit import Circuit

        found = Circuit()
        # Nodes in the order of the state, so that the circuit built again has its unknowns in the same order.
        for node in _text(self.ds, "node") if "node" in self.ds.coords else ():
            found._number(node)
        entries = sorted(self.description["elements"].items(), key=lambda pair: pair[1]["place"])
        parts = [self._part(dim, entry) for dim, entry in entries]
        # An ammeter in series with each sensed source was put there by build(): out of it again.
        sensed = {ammeter_name(name) for *_, control in parts for name in control or ()}
        wires = {}
        for names, terminals, _, _ in parts:
            wires |= {terminals[1][k]: terminals[0][k] for k, name in enumerate(names) if name in sensed}
        for names, terminals, element, control in parts:
            kept = [k for k, name in enumerate(names) if name not in sensed]
            if not kept:
                continue
            numbers = [[found._number(wires.get(nodes[k], nodes[k])) for k in kept] for nodes in terminals]
            element = jax.tree.map(lambda leaf: leaf[kept], element)  # noqa: B023
            found._append(Bundle(Names(names[k] for k in kept), np.array(numbers, np.int32), element, control))
        if len(found) != sum(len(bundle.names) for bundle in found.bundles()):
            raise PhysnetError("from_dataset: two elements of the dataset have one name; it was changed since.")
        return found

    def _part(self, dim, entry):
        """(names, nodes of each terminal, element, controls or None) of one kind."""
        kind, ds = self.classes[entry["class"]], self.ds
        element = self._element(kind, dim, entry)
        if "names" in entry:
            names, terminals = entry["names"], [entry["terminals"][t] for t in _terminals(element)]
        else:
            names, terminals = _text(ds, dim), [_text(ds, f"{dim}_{t}") for t in _terminals(element)]
        senses = isinstance(element, MultiTerminal) and element.senses
        return names, terminals, element, tuple(_text(ds, f"{dim}_control")) if senses else None

    def _element(self, kind, dim, entry) -> Component:
        """The elements of one kind, each field an array, without calling the class: fields are as they were stored."""
        element = object.__new__(kind)
        known = entry.get("static", {}) | {k: np.array(v, float) for k, v in entry.get("fields", {}).items()}
        for field in dataclasses.fields(kind):
            object.__setattr__(element, field.name, known.get(field.name, _Missing(field.name)))
        parameters, names = element.parameters(), entry.get("parameters", [])
        if len(parameters) != len(names):
            raise PhysnetError(
                f"from_dataset: {kind.__name__} has {len(parameters)} parameters and the dataset {len(names)} (axis "
                f"{dim}); the class was changed since. Pass elements= with the class as it was."
            )
        missing = [name for name in names if name not in self.ds.variables]
        if missing:
            raise PhysnetError(
                f"from_dataset: the dataset has no variable {missing[0]} (axis {dim}); take one from "
                "equilibrium.to_dataset(), which holds every parameter."
            )
        if names:
            values = [np.asarray(self.ds[name].values, float) for name in names]
            element = eqx.tree_at(lambda e: [p.get(e) for p in e.parameters()], element, values, is_leaf=_is_missing)
        lost = [leaf.name for leaf in jax.tree.leaves(element, is_leaf=_is_missing) if isinstance(leaf, _Missing)]
        if lost:
            raise PhysnetError(
                f"from_dataset: the field {lost[0]} of {kind.__name__} (axis {dim}) is not in the dataset: it is "
                "neither a number nor a text, nor an array that parameters() names."
            )
        fault = element.fault()
        if fault is not None:
            raise PhysnetError(f"from_dataset: {kind.__name__} (axis {dim}): {fault}")
        return element


@dataclasses.dataclass(frozen=True)
class _Missing:
    """In the place of a field until its value is known."""

    name: str


def _is_missing(leaf) -> bool:
    return isinstance(leaf, _Missing)


def _terminals(element) -> tuple[str, ...]:
    return element.terminals if isinstance(element, MultiTerminal) else ("first", "second")


def _controls(system, group) -> list[str]:
    """The voltage source that each element of a group reads."""
    if group.two_terminal or not group.element.senses:
        return []
    suffix = len(ammeter_name(""))
    return [system.labels.branches[c - system.network.free][:-suffix] for c in np.asarray(group.columns[-1])]


def _text(ds, name) -> list[str]:
    if name not in ds.coords:
        raise PhysnetError(
            f"from_dataset: the dataset has no coordinate {name}; take one from equilibrium.to_dataset(), which holds "
            "names and nodes of every element."
        )
    return [str(value) for value in ds[name].values]
