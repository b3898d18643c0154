"""A deck as it is written: elements, models, parameters and subcircuits, each in its scope."""

import re
from dataclasses import dataclass, field

from circuits.spice.lines import Line
from circuits.spice.tokens import Card, Value, card
from circuits.spice.where import Where, shown

ELEMENTS = {
    "r": "resistor",
    "c": "capacitor",
    "d": "diode",
    "v": "voltage source",
    "i": "current source",
    "e": "voltage-controlled voltage source",
    "f": "current-controlled current source",
    "g": "voltage-controlled current source",
    "h": "current-controlled voltage source",
    "m": "MOSFET, level 1",
    "x": "subcircuit",
}
_OTHER_ELEMENTS = {
    "a": "XSPICE code model",
    "b": "behavioural source",
    "j": "junction field-effect transistor",
    "k": "coupled inductors",
    "l": "inductor; in a direct-current state it is a wire, V... a b 0",
    "n": "compiled model",
    "o": "lossy line",
    "p": "coupled lines",
    "q": "bipolar transistor",
    "s": "voltage-controlled switch",
    "t": "transmission line",
    "u": "digital element, or RC line",
    "w": "current-controlled switch",
    "y": "transmission line",
    "z": "MESFET",
}
_IGNORED = (".print", ".plot", ".save", ".probe", ".width", ".four", ".meas", ".measure", ".ic", ".nodeset")
_ANALYSES = (".op", ".dc", ".tran", ".options", ".option", ".opt", ".temp")
_DOTS = (".model", ".param", ".subckt", ".ends", ".include", ".global", ".op", ".dc", ".tran", ".options", ".temp")
_UNSUPPORTED = {
    ".lib": "libraries with sections are not supported. Copy the models that you need, or .include a plain file",
    ".ac": "a deck's small-signal analysis is not run. Remove the line and use circuits.ac(equilibrium, ...)",
    ".noise": "a deck's noise analysis is not run. Remove the line and use circuits.thermal_spectrum",
    ".func": "functions are not supported. Write the expression out, with .param",
}
_DEEPEST = 20
_ASSIGNMENT = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*)\s*=(?!=)")


@dataclass(eq=False)
class Scope:
    """The deck itself, or a .subckt. defaults: of its parameters, on the .subckt line."""

    name: str
    where: Where
    ports: tuple[str, ...] = ()
    defaults: dict[str, Value] = field(default_factory=dict)
    parent: "Scope | None" = None
    elements: dict[str, Card] = field(default_factory=dict)
    models: dict[str, Card] = field(default_factory=dict)
    parameters: dict[str, Value] = field(default_factory=dict)
    subcircuits: dict[str, "Scope"] = field(default_factory=dict)

    def names(self, kind: str) -> list[str]:
        """Every name of that kind, 'models' or 'subcircuits', to be seen from here."""
        scope, found = self, []
        while scope is not None:
            found += getattr(scope, kind)
            scope = scope.parent
        return found


@dataclass
class Netlist:
    """What the lines of a deck say. controls: its analyses and settings, in order."""

    title: str
    top: Scope
    controls: list[Card]
    global_nodes: set[str]


def netlist(title: str, lines: list[Line], where: Where, notes: list[str]) -> Netlist:
    """Sorts the lines into scopes. Raises PhysnetError, with file and line, for what is not supported."""
    scope = Scope("", where)
    deck = Netlist(title, scope, [], set())
    depth = 0
    for line in lines:
        entry = card(line)
        name = entry.name
        if name == ".subckt":
            depth += 1
            if depth > _DEEPEST:
                raise entry.error(f".subckt: definitions are nested more than {_DEEPEST} deep.")
            scope = _open(entry, scope)
        elif name == ".ends":
            if scope.parent is None:
                raise entry.error(".ends without .subckt. Remove it, or add the .subckt line.")
            if entry.words and entry.words[0].text != scope.name:
                raise entry.error(f".ends {entry.words[0]} ends .subckt {scope.name} ({scope.where}). Name that one.")
            scope, depth = scope.parent, depth - 1
        elif name == ".param" or name == ".parameter":
            _parameters(entry, scope)
        elif name == ".model":
            _model(entry, scope)
        elif name == ".global":
            deck.global_nodes |= {word.text for word in entry.words}
        elif name in _ANALYSES:
            deck.controls.append(entry)
        elif name in _IGNORED:
            notes.append(f"{entry.where}: {name} is passed over.")
        elif name[0] == ".":
            raise _unknown_dot(entry)
        else:
            _element(entry, scope)
    if scope.parent is not None:
        raise scope.where.error(f".subckt {scope.name} without .ends. Add it.")
    return deck


def _open(entry, parent):
    # PARAMS: before the pairs is another program's spelling of the same.
    words = [word.text for word in entry.words if word.text not in ("params:", "optional:")]
    if not words:
        raise entry.error(".subckt has no name. Write .subckt NAME NODE ...")
    name, ports = words[0], tuple(words[1:])
    if name in parent.subcircuits:
        raise entry.error(f".subckt {name} is defined twice; first at {parent.subcircuits[name].where}.")
    twice = [port for port in ports if ports.count(port) > 1]
    if twice:
        raise entry.error(f".subckt {name}: node {twice[0]} is listed twice. List it once.")
    grounds = [port for port in ports if is_ground(port)]
    if grounds:
        raise entry.error(f".subckt {name}: ground ({grounds[0]}) cannot be one of its nodes. Remove it from the list.")
    scope = Scope(name, entry.where, ports, dict(entry.pairs), parent)
    parent.subcircuits[name] = scope
    return scope


def _parameters(entry, scope):
    """Splits NAME = EXPRESSION ... where a name and '=' stand, since expressions need no braces here."""
    parts = _ASSIGNMENT.split(entry.text.split(maxsplit=1)[1] if len(entry.text.split(maxsplit=1)) > 1 else "")
    if parts[0].strip() or len(parts) < 3:
        raise entry.error(f".param: {shown(parts[0].strip())} has no value. Write .param NAME=VALUE.")
    for name, text in zip(parts[1::2], parts[2::2]):
        text = text.strip(" \t,")
        if text[:1] + text[-1:] in ("{}", "''") and len(text) > 1:
            text = text[1:-1]
        if not text.strip():
            raise entry.error(f".param: {name} has no value. Write .param {name}=VALUE.")
        scope.parameters[name.lower()] = Value(text.lower(), True, entry.where)  # the last one counts


def _model(entry, scope):
    if len(entry.words) < 2:
        raise entry.error(".model takes a name and a kind (.model D1N4148 D is=2.5n n=1.8).")
    name = entry.words[0].text
    if name in scope.models:
        raise entry.error(f".model {name} is defined twice; first at {scope.models[name].where}. Rename one.")
    scope.models[name] = entry


def _element(entry, scope):
    name, letter = entry.name, entry.name[0]
    if letter not in ELEMENTS:
        kind = f" ({_OTHER_ELEMENTS[letter]})" if letter in _OTHER_ELEMENTS else ""
        raise entry.error(f"unknown card {shown(entry.text.split()[0])}{kind}. Supported: {supported()}.")
    if len(name) == 1 and not entry.words:
        raise entry.error(f"{shown(entry.text)}: {ELEMENTS[letter]} without nodes.")
    if name in scope.elements:
        raise entry.error(f"{name} is there twice; first at {scope.elements[name].where}. Rename one.")
    scope.elements[name] = entry


def _unknown_dot(entry):
    if entry.name in _UNSUPPORTED:
        return entry.error(f"{entry.name}: {_UNSUPPORTED[entry.name]}.")
    return entry.error(f"unknown card {shown(entry.name)}. Supported: {', '.join(_DOTS)}, .end.")


def supported() -> str:
    """Every element by letter, for messages."""
    return ", ".join(f"{letter.upper()} ({kind})" for letter, kind in ELEMENTS.items())


def is_ground(node: str) -> bool:
    """Whether a node, in lower case, is ground."""
    return node in ("0", "gnd")
