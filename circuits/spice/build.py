"""The circuit that a flattened deck stands for, one function for each letter."""

from dataclasses import dataclass, field

import numpy as np

from circuits import elements
from circuits.circuit import Circuit
from circuits.spice import models
from circuits.spice.flatten import Placed
from circuits.spice.netlist import ELEMENTS
from circuits.spice.sources import Waveform, source_value
from circuits.spice.where import DeckError, Where
from physnet.errors import PhysnetError

_NO_WEIGHT = {"c": ("ic",), "d": ("ic", "off"), "m": ("ic", "off", "ad", "as", "pd", "ps", "nrd", "nrs", "temp")}


@dataclass
class Assembly:
    """A circuit being made from a deck. temperature, nominal: K. gmin: S, beside each junction."""

    temperature: float
    nominal: float
    gmin: float
    notes: list[str]
    circuit: Circuit = field(default_factory=Circuit)
    locations: dict[str, Where] = field(default_factory=dict)
    waveforms: dict[str, Waveform] = field(default_factory=dict)
    _models: dict = field(default_factory=dict)
    _resistors: list = field(default_factory=list)

    def place(self, element: Placed) -> None:
        """Adds one element, and what belongs to it: series resistances, junctions, gmin."""
        try:
            _READERS[element.card.name[0]](self, Instance(self, element))
        except DeckError:
            raise
        except PhysnetError as error:  # of the circuit, which does not know the deck
            raise element.card.error(str(error)) from None

    def add(self, owner: "Instance", name: str, *connection, control: str | None = None) -> None:
        """Adds one element to the circuit, as a part of `owner`."""
        self._locate(owner, name)
        self.add_resistors()
        self.circuit.add(name, *connection, control=control)

    def resistor(self, owner: "Instance", name: str, a: str, b: str, conductance: float, trainable: bool) -> None:
        """Adds a resistor. They come by the thousand: those that follow one another are added together."""
        self._locate(owner, name)
        if not 0 <= conductance < float("inf"):
            raise owner.error(f"resistance {1 / conductance:.6g} ohm is no finite conductance.")
        if a == b:
            raise owner.error(f"both ends are at node {a}. Connect it to two nodes.")
        if self._resistors and self._resistors[-1][-1] != trainable:
            self.add_resistors()
        self._resistors.append((name, a, b, conductance, trainable))

    def add_resistors(self) -> None:
        """Adds the resistors that were held back, to keep the order of the deck."""
        if self._resistors:
            names, first, second, conductances, trainable = zip(*self._resistors)
            self._resistors.clear()
            resistors = elements.Resistor(np.array(conductances), trainable[0])
            self.circuit.add_many(names, first, second, resistors)

    def _locate(self, owner, name):
        if name in self.locations:
            raise owner.error(f"the name {name} is taken, by an element at {self.locations[name]}. Rename one.")
        self.locations[name] = owner.card.where

    def model(self, instance: "Instance", word, read, kinds: tuple[str, ...]):
        """The model that `word` names, read once for all its instances."""
        found = instance.frame.model(word.text)
        if found is None:
            known = ", ".join(instance.frame.scope.names("models")[:12]) or "none"
            raise instance.error(f"no .model {word.text}. Defined: {known}.")
        card, frame = found
        if card.words[1].text not in kinds:
            raise instance.error(
                f"model {word.text} ({card.where}) is of kind {card.words[1].text.upper()}, and this is a "
                f"{ELEMENTS[instance.card.name[0]]}. Supported: {models.kinds()}."
            )
        key = (id(card), id(frame))
        if key not in self._models:
            self._models[key] = read(card, frame, self.temperature, self.nominal)
        return self._models[key]


class Instance:
    """One element card in its place: its words and pairs, taken one after the other."""

    def __init__(self, assembly: Assembly, placed: Placed):
        self.assembly, self.name, self.card, self.frame = assembly, placed.name, placed.card, placed.frame
        self.title = f"{ELEMENTS[placed.card.name[0]].split(',')[0]} {placed.name}"
        self.words = list(placed.card.words)
        self.pairs = dict(placed.card.pairs)
        for name in _NO_WEIGHT.get(placed.card.name[0], ()):
            self.pairs.pop(name, None)

    def error(self, message):
        return self.card.error(f"{self.title}: {message}")

    def nodes(self, count: int) -> list[str]:
        """The next `count` nodes, by their names in the whole circuit."""
        words = self.words[:count]
        if len(words) < count:
            raise self.error(f"{len(words)} of its {count} nodes are given.")
        if any(word.expression for word in words):
            raise self.error("a node is an expression in braces; nodes are names.")
        self.words = self.words[count:]
        return [self.frame.node(word.text) for word in words]

    def word(self, what: str):
        """The next word."""
        if not self.words:
            raise self.error(f"{what} is missing.")
        return self.words.pop(0)

    def value(self, what: str, *names: str, default: float | None = None) -> float:
        """The pair of one of the names, else the next word, else the default."""
        for name in names:
            if name in self.pairs:
                return self.frame.value(self.pairs.pop(name), f"{self.title}: {what}")
        if default is not None and not self.words:
            return default
        return self.frame.value(self.word(what), f"{self.title}: {what}")

    def pair(self, name: str, what: str, default: float) -> float:
        """The value of name=, or the default."""
        if name not in self.pairs:
            return default
        return self.frame.value(self.pairs.pop(name), f"{self.title}: {what}")

    def multiplier(self) -> float:
        """m=: that many alike, side by side."""
        m = self.pair("m", "multiplier m", 1.0)
        if not m > 0:
            raise self.error(f"multiplier m={m:.6g}; it must be above 0.")
        return m

    def done(self, supported: str) -> None:
        """Raises PhysnetError for what was not taken."""
        left = [str(word) for word in self.words] + [f"{name}={value}" for name, value in self.pairs.items()]
        if left:
            raise self.error(f"unexpected {' '.join(left[:6])}. It takes {supported}.")

    def is_shorted(self, a: str, b: str) -> bool:
        """Whether both ends are at one node, where the element carries no weight; noted."""
        if a == b:
            self.assembly.notes.append(f"{self.card.where}: {self.title} has both ends at node {a}; left out.")
        return a == b


def _resistor(deck, r):
    a, b = r.nodes(2)
    ohm = r.value("resistance (ohm)", "r", "resistance")
    tc1, tc2 = r.pair("tc1", "tc1 (1/K)", 0.0), r.pair("tc2", "tc2 (1/K^2)", 0.0)
    m = r.multiplier()
    r.done("NODE NODE OHM [m=] [tc1=] [tc2=]")
    if not ohm > 0:
        raise r.error(f"resistance {ohm:.6g} ohm; resistances are > 0. For a wire use a source: V... {a} {b} 0.")
    dt = deck.temperature - deck.nominal
    factor = 1 + tc1 * dt + tc2 * dt * dt
    if not ohm * factor > 0:
        raise r.error(f"its temperature coefficients make it {ohm * factor:.6g} ohm at {deck.temperature:.6g} K.")
    if not r.is_shorted(a, b):
        deck.resistor(r, r.name, a, b, m / (ohm * factor), True)


def _capacitor(deck, c):
    a, b = c.nodes(2)
    farad = c.value("capacitance (F)", "c", "capacitance") * c.multiplier()
    c.done("NODE NODE FARAD [m=] [ic=]")
    if not c.is_shorted(a, b):
        deck.add(c, c.name, a, b, elements.Capacitor(farad))


def _source(deck, s):
    kind = elements.VoltageSource if s.card.name[0] == "v" else elements.CurrentSource
    a, b = s.nodes(2)
    value = source_value(s.card, tuple(s.words), s.frame.value)
    if kind is elements.VoltageSource and a == b:
        raise s.error(f"both ends are at node {a}. Connect it to two nodes.")
    if s.is_shorted(a, b):
        return
    deck.add(s, s.name, a, b, kind(value.dc))
    if value.waveform is not None:
        deck.waveforms[s.name] = value.waveform


def _voltage_controlled(deck, e):
    _refuse_behaviour(e)
    kind = elements.VoltageControlledVoltageSource if e.card.name[0] == "e" else elements.VoltageControlledCurrentSource
    nodes = e.nodes(4)
    gain = e.value("gain" if e.card.name[0] == "e" else "transconductance (S)", "gain")
    gain *= e.multiplier() if e.card.name[0] == "g" else 1.0
    e.done("OUT+ OUT- CONTROL+ CONTROL- GAIN")
    deck.add(e, e.name, *nodes, kind(gain))


def _current_controlled(deck, f):
    _refuse_behaviour(f)
    is_current = f.card.name[0] == "f"
    kind = elements.CurrentControlledCurrentSource if is_current else elements.CurrentControlledVoltageSource
    nodes = f.nodes(2)
    control = f.word("the voltage source whose current controls it")
    if control.expression or control.text not in f.frame.scope.elements or control.text[0] != "v":
        raise f.error(f"its control {control} is no voltage source beside it. Name one, such as vsense.")
    gain = f.value("gain" if is_current else "transresistance (ohm)", "gain")
    gain *= f.multiplier() if is_current else 1.0
    f.done("OUT+ OUT- VSOURCE GAIN")
    deck.add(f, f.name, *nodes, kind(gain), control=f.frame.prefix + control.text)


def _refuse_behaviour(e):
    words = {word.text for word in e.words if not word.expression} | set(e.pairs)
    for name in ("poly", "table", "value", "vol", "cur", "laplace", "freq", "function"):
        if name in words:
            raise e.error(f"{name.upper()} is not supported; the linear form is: OUT+ OUT- CONTROL GAIN.")


def _diode(deck, d):
    a, b = d.nodes(2)
    model = deck.model(d, d.word("its model"), models.diode_model, ("d",))
    if d.words and d.words[-1].text == "off":
        d.words.pop()
    area = d.value("area", "area", default=1.0)
    size = area * d.multiplier()
    d.done("ANODE CATHODE MODEL [AREA] [m=]")
    if not size > 0:
        raise d.error(f"area {area:.6g}; it must be above 0.")
    if d.is_shorted(a, b):
        return
    inner = a
    if model.resistance > 0:
        inner = f"{d.name}#internal"
        deck.resistor(d, f"{d.name}#rs", a, inner, size / model.resistance, False)
    saturation = model.saturation_current * size
    if model.breakdown_voltage is None:
        junction = elements.ShockleyDiode(saturation, model.thermal_voltage)
    else:
        junction = elements.ZenerDiode(
            model.knee(size), saturation, model.thermal_voltage, saturation, model.breakdown_slope
        )
    deck.add(d, d.name, inner, b, junction)
    _gmin(deck, d, "gmin", inner, b)


def _mosfet(deck, m):
    drain, gate, source, bulk = m.nodes(4)
    model = deck.model(m, m.word("its model"), models.mosfet_model, ("nmos", "pmos"))
    if m.words and m.words[-1].text == "off":
        m.words.pop()
    width, length = m.pair("w", "W (m)", 1e-4), m.pair("l", "L (m)", 1e-4)
    many = m.multiplier()
    m.done("DRAIN GATE SOURCE BULK MODEL [W=] [L=] [m=]")
    if not (width > 0 and length > 0):
        raise m.error(f"W={width:.6g} m, L={length:.6g} m; both must be above 0.")
    for end, ohm in (("drain", model.drain_resistance), ("source", model.source_resistance)):
        if ohm > 0:
            outer, inner = (drain if end == "drain" else source), f"{m.name}#{end}"
            deck.resistor(m, f"{m.name}#r{end[0]}", outer, inner, many / ohm, False)
            drain, source = (inner, source) if end == "drain" else (drain, inner)
    transistor = elements.SquareLawTransistor(
        transconductance_parameter=model.transconductance * many * width / length,
        threshold=model.threshold,
        channel_length_modulation=model.modulation,
        body_effect=model.body,
        surface_potential=model.surface,
        bulk_saturation_current=model.saturation_current * many,
        junction_thermal_voltage=model.thermal_voltage,
        polarity=model.sign,
    )
    deck.add(m, m.name, drain, gate, source, bulk, transistor)
    for end, node in (("d", drain), ("s", source)):
        if node != bulk:
            _gmin(deck, m, f"gmin{end}", bulk, node)


def _gmin(deck, owner, name, a, b):
    if deck.gmin > 0:
        deck.resistor(owner, f"{owner.name}#{name}", a, b, deck.gmin, False)


_READERS = {
    "r": _resistor,
    "c": _capacitor,
    "v": _source,
    "i": _source,
    "e": _voltage_controlled,
    "g": _voltage_controlled,
    "f": _current_controlled,
    "h": _current_controlled,
    "d": _diode,
    "m": _mosfet,
}
