"""Circuits changed after they were made: elements removed, weak ones pruned, learned values put back."""

from collections.abc import Iterable
from dataclasses import replace

import jax
import numpy as np

from circuits.bundle import Bundle, Names
from circuits.circuit import Circuit
from circuits.contract import CircuitContract
from circuits.elements import Resistor
from circuits.topology import nearest
from physnet.errors import PhysnetError, require_instance


def without(circuit: Circuit, names: str | Iterable[str]) -> Circuit:
    """The circuit without the elements of these names, and without the nodes that nothing is connected to any more.

    circuit: stays as it is. names: of elements, one or many. What remains must still hold every node: `Circuit.build`
    names those that float. Raises PhysnetError for a name that no element has.
    """
    gone = {names} if isinstance(names, str) else set(names)
    for name in sorted(gone, key=str):
        if name not in circuit:
            known = [name for bundle in circuit.bundles() for name in bundle.names]
            raise PhysnetError(f"without: no element {name!r}.{nearest(str(name), known)}")
    return _kept(circuit, lambda bundle: [name not in gone for name in bundle.names])


def prune(circuit: Circuit, *, below: float) -> Circuit:
    """The circuit without its weakest trainable resistors, and without the nodes that hung on them alone.

    circuit: stays as it is. below: S, the conductance under which a resistor goes. After training, first
    `with_values(circuit, system)`. Raises PhysnetError where `below` is no conductance.
    """
    if isinstance(below, bool) or not isinstance(below, int | float | np.number) or not below >= 0:
        raise PhysnetError(f"prune: below is {below!r} S; give the smallest conductance to keep, such as 1e-6.")

    def strong(bundle):
        if isinstance(bundle.element, Resistor) and bundle.element.trainable:
            return np.asarray(bundle.element.conductance) >= below
        return np.ones(len(bundle.names), bool)

    return _kept(circuit, strong)


def with_values(circuit: Circuit, system: CircuitContract) -> Circuit:
    """The circuit with the values that a system built from it has now, its trained conductances for instance.

    circuit: stays as it is. system: that `circuit.build` made, trained or changed since. Sources keep their declared
    values, which the inputs of the system do not change. Raises PhysnetError for a system that lacks one of the
    circuit's elements.
    """
    require_instance(system, CircuitContract, "with_values: system")
    groups = system.groups()

    def change(bundle: Bundle) -> Bundle:
        if not jax.tree.leaves(bundle.element):
            return bundle
        found = next((group for group in groups if bundle.names[0] in group.names), None)
        if found is None or not all(name in found.names for name in bundle.names):
            raise PhysnetError(
                f"with_values: the {type(system).__name__} has no {bundle.branch(0, circuit.nodes).title}, or not all "
                "of its kind. Pass a system that this circuit's build() returned."
            )
        places = np.array([found.names.index(name) for name in bundle.names])
        return replace(bundle, element=jax.tree.map(lambda leaf: np.asarray(leaf)[places], found.element))

    return circuit.mapped(change)


def _kept(circuit: Circuit, which) -> Circuit:
    """The circuit with the elements for which `which(bundle)`, one truth value each, holds."""

    def change(bundle: Bundle) -> Bundle | None:
        keep = np.asarray(which(bundle), bool)
        if keep.all():
            return bundle
        element = jax.tree.map(lambda leaf: np.asarray(leaf)[keep], bundle.element)
        names = Names(name for name, kept in zip(bundle.names, keep) if kept)
        control = None if bundle.control is None else tuple(np.array(bundle.control, object)[keep])
        return Bundle(names, bundle.nodes[:, keep], element, control)

    left = circuit.mapped(change)
    used = np.zeros(len(left.nodes), bool)
    used[0] = True
    for bundle in left.bundles():
        used[bundle.nodes] = True
    return left if used.all() else _renumbered(left)


def _renumbered(circuit: Circuit) -> Circuit:
    """The same elements; nodes that none of them is connected to are forgotten."""
    names = np.array(circuit.nodes, object)
    other = Circuit()
    for bundle in circuit.bundles():
        other.add_many(bundle.names, *names[bundle.nodes].tolist(), bundle.element, control=bundle.control)
    return other
