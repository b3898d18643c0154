"""A SPICE deck, read: its circuit, what it asks for, and where everything stands in it."""

import re
from dataclasses import dataclass
from pathlib import Path

from circuits.circuit import Circuit
from circuits.spice import analyses
from circuits.spice.build import Assembly
from circuits.spice.flatten import flatten, top_frame
from circuits.spice.lines import deck_lines, read_text
from circuits.spice.models import ROOM
from circuits.spice.netlist import netlist
from circuits.spice.sources import Waveform
from circuits.spice.where import Where
from physnet.errors import PhysnetError

GMIN = 1e-12  # S, SPICE's own default


@dataclass(frozen=True)
class SpiceDeck:
    """What a SPICE deck says.

    title: its first line. name: of the file, for messages. circuit: its elements, names in lower case, subcircuits
    expanded (x1.r1). analyses: OpCard, DcCard and TranCard, in order. temperature, nominal: TEMP and TNOM, K. gmin: S.
    options: of .options, as given. waveforms: what sources do in time, by their names. locations: file and line of
    every element. notes: what was passed over, one sentence each.
    """

    title: str
    name: str
    circuit: Circuit
    analyses: tuple
    temperature: float
    nominal: float
    gmin: float
    options: dict
    waveforms: dict[str, Waveform]
    locations: dict[str, Where]
    notes: tuple[str, ...]

    def build(self, inputs=(), outputs=None, **options):
        """The system; errors name the file, and the line of the element or node that they are about.

        inputs, outputs, options: as for `Circuit.build`.
        """
        try:
            return self.circuit.build(inputs, outputs, **options)
        except PhysnetError as error:
            raise self.located(error) from None

    def located(self, error: PhysnetError) -> PhysnetError:
        """`error` with the place in the deck that it is about, as well as its text tells."""
        words = re.findall(r"[^\s,:;()\"']+", str(error))
        for word in words:
            where = self.locations.get(word.rstrip("."))
            if where is not None:
                return type(error)(f"{where}: {error}")
        of_node = {}
        for branch in self.circuit.branches():
            for node in branch.nodes:
                if node != "0":
                    of_node.setdefault(node, self.locations.get(branch.name))
        for word in words:
            where = of_node.get(word.rstrip("."))
            if where is not None:
                return type(error)(f"{where}: {error}")
        return type(error)(f"{self.name}:1: {error}")


def read_spice(path, *, gmin: float | None = None) -> SpiceDeck:
    """Reads a SPICE deck: R, C, D, V, I, E, F, G, H, M (level 1) and X, with .model, .param, .subckt and .include.

    path: of the deck. Its first line is the title. Names and nodes are folded to lower case; node 0 (or gnd) is ground.
    gmin: S, the conductance that stands beside every junction; by default that of .options, or 1e-12 S.
    Raises PhysnetError naming file and line for what cannot be read, and what is supported instead.
    """
    path = Path(path)
    return parse_spice(read_text(path), name=str(path), folder=path.parent, gmin=gmin)


def parse_spice(text: str, *, name: str = "deck", folder: str | Path = ".", gmin: float | None = None) -> SpiceDeck:
    """Reads a deck from its text. Errors as those of `read_spice`.

    text: the deck. name: how messages call it. folder: where .include looks. gmin: as for `read_spice`.
    """
    notes: list[str] = []
    title, lines = deck_lines(text, name, Path(folder), notes)
    start = Where(name, 1)
    if not lines:
        raise start.error("the deck holds no line after its title. Write one element a line (R1 a 0 1k).")
    deck = netlist(title, lines, start, notes)
    frame = top_frame(deck)
    asked, options, temperature, nominal, own_gmin = _settings(deck.controls, frame, notes)
    gmin = own_gmin if gmin is None else gmin
    if not (isinstance(gmin, int | float) and 0 <= gmin < float("inf")):
        raise PhysnetError(f"read_spice: gmin is {gmin!r} S; give a conductance of at least 0.")
    assembly = Assembly(temperature, nominal, float(gmin), notes)
    for element in flatten(frame):
        assembly.place(element)
    assembly.add_resistors()
    if not len(assembly.circuit):
        raise start.error("the deck has no elements. Write one a line (R1 a 0 1k).")
    _check_swept(asked, assembly, start)
    return SpiceDeck(
        title,
        name,
        assembly.circuit,
        tuple(card for card, _ in asked),
        temperature,
        nominal,
        float(gmin),
        options,
        assembly.waveforms,
        assembly.locations,
        tuple(notes),
    )


def _settings(controls, frame, notes):
    """(analyses with their places, options, temperature K, nominal temperature K, gmin S)."""
    asked, options = [], {}
    temperature, nominal, gmin = ROOM, ROOM, GMIN
    for card in controls:
        if card.name == ".op":
            asked.append((analyses.OpCard(), card))
        elif card.name == ".dc":
            asked.append((analyses.dc_card(card, frame.value), card))
        elif card.name == ".tran":
            asked.append((analyses.tran_card(card, frame.value), card))
        elif card.name == ".temp":
            if len(card.words) != 1 or card.pairs:
                raise card.error(".temp takes one temperature, degree C (.temp 27).")
            temperature = analyses.kelvin(card, frame.value(card.words[0], ".temp (degree C)"))
        else:
            new = analyses.option_values(card, frame.value)
            options |= new
            if "temp" in new:
                temperature = analyses.kelvin(card, new["temp"])
            if "tnom" in new:
                nominal = analyses.kelvin(card, new["tnom"])
            if "gmin" in new:
                gmin = new["gmin"]
                if gmin < 0:
                    raise card.error(f".options gmin={gmin:.6g} S; it must be at least 0.")
            others = [name for name in new if name not in ("temp", "tnom", "gmin")]
            if others:
                notes.append(f"{card.where}: options {', '.join(others)} are for other programs; passed over.")
    return asked, options, temperature, nominal, gmin


def _check_swept(asked, assembly, start):
    for analysis, card in asked:
        for sweep in getattr(analysis, "sweeps", ()):
            if sweep.source not in assembly.locations:
                sources = [n for n in assembly.locations if n[0] in "vi" and "#" not in n]
                raise card.error(f".dc: no source {sweep.source}. Sources: {', '.join(sources[:12]) or 'none'}.")
