"""Two-terminal circuit elements, one to a file."""

from circuits.elements.base import Element
from circuits.elements.capacitor import Capacitor
from circuits.elements.current_source import CurrentSource
from circuits.elements.ideal_diode import IdealDiode
from circuits.elements.resistor import Resistor
from circuits.elements.shockley_diode import ShockleyDiode
from circuits.elements.voltage_source import VoltageSource

__all__ = ["Capacitor", "CurrentSource", "Element", "IdealDiode", "Resistor", "ShockleyDiode", "VoltageSource"]
