"""SPICE decks in and out: `read_spice`, `write_spice`, and ngspice as an oracle."""

from circuits.spice.deck import SpiceDeck, parse_spice, read_spice
from circuits.spice.writer import SpiceText, spice_text, write_spice

__all__ = ["SpiceDeck", "SpiceText", "parse_spice", "read_spice", "spice_text", "write_spice"]
