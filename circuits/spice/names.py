"""Names that SPICE takes: one case, no spaces, an element's first letter its kind, none twice."""

import re

from circuits.spice.netlist import is_ground


class SpiceNames:
    """Gives every node and element of a circuit a name for a deck, near its own."""

    def __init__(self):
        self.nodes: dict[str, str] = {"0": "0"}
        self.elements: dict[str, str] = {}
        self._taken_nodes = {"0", "gnd"}
        self._taken_elements: set[str] = set()

    def node(self, name: str) -> str:
        """The node's name in the deck."""
        if name not in self.nodes:
            plain = _plain(name)
            if is_ground(plain):  # a node called gnd that is not ground
                plain += "_node"
            self.nodes[name] = _unique(plain, self._taken_nodes)
        return self.nodes[name]

    def element(self, name: str, letter: str, part: str = "") -> str:
        """The element's name in the deck. part: of one that needs several lines, which one this is."""
        key = name + part
        if key not in self.elements:
            plain = _plain(key)
            plain = plain if plain[0] == letter else letter + plain
            self.elements[key] = _unique(plain, self._taken_elements)
        return self.elements[key]

    def inner_node(self, name: str) -> str:
        """A node of the deck alone, which no node of the circuit is."""
        return _unique(_plain(name), self._taken_nodes)

    def renamed(self) -> list[str]:
        """Comment lines on every node and element whose name had to change by more than its case."""
        changed = [("node", old, new) for old, new in self.nodes.items() if old.lower() != new]
        changed += [("element", old, new) for old, new in self.elements.items() if old.lower() != new]
        return [f"* {what} {old.encode('ascii', 'backslashreplace').decode()!r} is {new}" for what, old, new in changed]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9_.]", "_", name.lower()) or "_"


def _unique(name: str, taken: set[str]) -> str:
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    taken.add(unique)
    return unique
