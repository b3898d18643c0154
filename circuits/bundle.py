"""Elements as they are collected: named, connected to nodes, side by side where they are many of one kind."""

from collections.abc import Hashable
from dataclasses import dataclass

import jax
import numpy as np

from circuits.elements.base import Component


class Names(tuple):
    """A tuple of names whose hash is worked out once and whose comparison with itself costs nothing.

    Names are static in compiled programs, which hash and compare them at every call; a circuit may have a million.
    """

    def __hash__(self):
        found = self.__dict__.get("hash")
        if found is None:
            found = self.__dict__["hash"] = tuple.__hash__(self)
        return found

    def __eq__(self, other):
        return self is other or tuple.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    def index(self, name, *range_):
        places = self.__dict__.get("places")
        if places is None:
            places = self.__dict__["places"] = {n: i for i, n in enumerate(self)}
        return places[name]

    def __contains__(self, name):
        if "places" not in self.__dict__ and len(self):
            self.index(self[0])
        return name in self.__dict__.get("places", ())


@dataclass(frozen=True)
class Branch:
    """One element of a circuit: its name, its nodes, itself, and the voltage source whose current it reads, if any."""

    name: str
    nodes: tuple[str, ...]
    element: Component
    control: str | None = None

    @property
    def first(self) -> str:
        """The node of its first terminal."""
        return self.nodes[0]

    @property
    def second(self) -> str:
        """The node of its second terminal."""
        return self.nodes[1]

    @property
    def title(self) -> str:
        """The element as an error message calls it: resistor R3."""
        return f"{self.element.kind.replace('_', ' ')} {self.name}"


@dataclass(frozen=True)
class Bundle:
    """m elements of one kind. nodes: (terminal, m) numbers of nodes. element: its arrays have m rows.

    control: for each element the voltage source that it reads, or None for all.
    """

    names: Names
    nodes: np.ndarray
    element: Component
    control: tuple[str, ...] | None = None

    @property
    def key(self) -> Hashable:
        """Equal for bundles that can stand in one group: same kind, same static fields, arrays of the same shape."""
        leaves, structure = jax.tree.flatten(self.element)
        return structure, tuple(np.shape(leaf)[1:] for leaf in leaves)

    def branch(self, i: int, nodes: list[str]) -> Branch:
        """The i-th element by itself."""
        element = jax.tree.map(lambda leaf: np.asarray(leaf)[i], self.element)
        control = None if self.control is None else self.control[i]
        return Branch(self.names[i], tuple(nodes[n] for n in self.nodes[:, i]), element, control)


def joined(bundles: list[Bundle]) -> list[Bundle]:
    """Bundles of equal key made one, in order of first appearance."""
    kinds: dict = {}
    for bundle in bundles:
        kinds.setdefault(bundle.key, []).append(bundle)
    return [members[0] if len(members) == 1 else _join(members) for members in kinds.values()]


def _join(members: list[Bundle]) -> Bundle:
    elements = [member.element for member in members]
    element = jax.tree.map(lambda *leaves: np.concatenate([np.asarray(x, float) for x in leaves]), *elements)
    control = None
    if members[0].control is not None:
        control = tuple(name for member in members for name in member.control)
    names = Names(name for member in members for name in member.names)
    return Bundle(names, np.concatenate([member.nodes for member in members], axis=1), element, control)


def stacked(element: Component, m: int) -> Component:
    """The element with its numbers as arrays of m rows. Raises ValueError where a field fits neither one nor m."""
    rank = 1 if getattr(element, "table", False) else 0

    def rows(leaf):
        leaf = np.asarray(leaf, float)
        if leaf.ndim == rank:
            return np.broadcast_to(leaf, (m, *leaf.shape))
        if leaf.ndim == rank + 1 and leaf.shape[0] == m:
            return leaf
        raise ValueError(f"shape {leaf.shape}")

    return jax.tree.map(rows, element)
