"""Subcircuits put in their places: every X becomes the elements that it stands for, with its own parameters."""

import difflib
from dataclasses import dataclass
from functools import lru_cache

from circuits.spice.expressions import parse
from circuits.spice.netlist import Netlist, Scope, is_ground
from circuits.spice.numbers import number, require_number
from circuits.spice.tokens import Card, Value

_DEEPEST = 40
_MOST_ELEMENTS = 200_000

_parsed = lru_cache(maxsize=4096)(parse)


def evaluate(value: Value, parameters: dict[str, float], what: str) -> float:
    """The number that a value of the deck stands for. what: quantity and unit, for messages."""
    if value.expression:
        return _parsed(value.text, value.where).value(parameters)
    if value.text in parameters and number(value.text) is None:
        return parameters[value.text]
    return require_number(value.text, value.where, what)


@dataclass(frozen=True)
class Frame:
    """One use of a scope: the deck itself, or a subcircuit where an X stands.

    prefix: of the names of its elements and nodes, such as 'x1.'. nodes: what its ports are connected to.
    """

    scope: Scope
    prefix: str
    parameters: dict[str, float]
    nodes: dict[str, str]
    parent: "Frame | None" = None
    global_nodes: frozenset[str] = frozenset()

    def value(self, value: Value, what: str) -> float:
        """The number that a value stands for here."""
        return evaluate(value, self.parameters, what)

    def node(self, name: str) -> str:
        """The node of the whole circuit that `name` is here."""
        if is_ground(name):
            return "0"
        if name in self.nodes:
            return self.nodes[name]
        return name if name in self.global_nodes else self.prefix + name

    def model(self, name: str) -> tuple[Card, "Frame"] | None:
        """The .model of that name to be seen from here, and the frame whose parameters hold for it."""
        frame = self
        while frame is not None:
            if name in frame.scope.models:
                return frame.scope.models[name], frame
            frame = frame.parent
        return None


@dataclass(frozen=True)
class Placed:
    """An element of the whole circuit. name: unique, such as 'x1.r1'."""

    name: str
    card: Card
    frame: Frame


def top_frame(deck: Netlist) -> Frame:
    """The frame of the deck itself, its parameters evaluated."""
    return Frame(deck.top, "", resolve(deck.top.parameters, {}), {}, None, frozenset(deck.global_nodes))


def flatten(frame: Frame) -> list[Placed]:
    """Every element of the circuit, subcircuits expanded, in the order of the deck."""
    placed: list[Placed | None] = []
    _expand(frame, (), placed)
    return [element for element in placed if element is not None]


def _expand(frame, path, placed):
    for name, card in frame.scope.elements.items():
        # An X counts as well: empty subcircuits in one another multiply just so.
        placed.append(None if name[0] == "x" else Placed(frame.prefix + name, card, frame))
        if len(placed) > _MOST_ELEMENTS:
            raise card.error(f"more than {_MOST_ELEMENTS} elements, subcircuits expanded. Make the circuit smaller.")
        if name[0] == "x":
            _expand_one(card, frame, path, placed)


def _expand_one(card, frame, path, placed):
    words = [word for word in card.words if word.text != "params:"]
    if not words:
        raise card.error(f"{card.name} names no subcircuit. Write {card.name} NODE ... NAME.")
    *nodes, last = (word.text for word in words)
    home = frame
    while home is not None and last not in home.scope.subcircuits:
        home = home.parent
    if home is None:
        known = frame.scope.names("subcircuits")
        near = difflib.get_close_matches(last, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise card.error(f"{card.name}: no subcircuit {last}.{hint} Defined: {', '.join(known[:12]) or 'none'}.")
    scope = home.scope.subcircuits[last]
    if scope in path:
        chain = " -> ".join(s.name for s in (*path[path.index(scope) :], scope))
        raise card.error(f"{card.name}: subcircuit {last} contains itself ({chain}). Remove the {card.name} line.")
    if len(path) >= _DEEPEST:
        raise card.error(f"{card.name}: subcircuits are nested more than {_DEEPEST} deep.")
    if len(nodes) != len(scope.ports):
        raise card.error(
            f"{card.name}: {len(nodes)} nodes, and subcircuit {last} ({scope.where}) has {len(scope.ports)}"
            f" ({' '.join(scope.ports)})."
        )
    unknown = [name for name in card.pairs if name not in scope.defaults and name not in scope.parameters]
    if unknown:
        known = ", ".join((*scope.defaults, *scope.parameters)) or "none"
        raise card.error(f"{card.name}: subcircuit {last} has no parameter {unknown[0]}. Its parameters: {known}.")
    given = {name: frame.value(value, f"{card.name}: {name}") for name, value in card.pairs.items()}
    own = {name: value for name, value in (scope.defaults | scope.parameters).items() if name not in given}
    parameters = resolve(own, home.parameters | given)
    connected = dict(zip(scope.ports, (frame.node(node) for node in nodes)))
    inner = Frame(scope, f"{frame.prefix}{card.name}.", parameters, connected, home, frame.global_nodes)
    _expand(inner, (*path, scope), placed)


def resolve(definitions: dict[str, Value], outer: dict[str, float]) -> dict[str, float]:
    """Values of parameters that may refer to one another in any order; those of `outer` are known.

    Raises PhysnetError for definitions that go round in a circle.
    """
    known = {name: value for name, value in outer.items() if name not in definitions}
    for start in definitions:
        stack = [start]
        while stack:
            name = stack[-1]
            if name in known:
                stack.pop()
                continue
            value = definitions[name]
            expression = _parsed(value.text, value.where)  # with or without braces
            missing = [need for need in sorted(expression.names) if need in definitions and need not in known]
            if missing:
                if missing[0] in stack:
                    round_trip = (*stack[stack.index(missing[0]) :], missing[0])
                    circle = " -> ".join(round_trip if len(round_trip) < 9 else (*round_trip[:7], "...", missing[0]))
                    raise value.where.error(f".param {name}: parameters refer to themselves ({circle}).")
                stack.append(missing[0])
                continue
            known[name] = expression.value(known)
            stack.pop()
    return known
