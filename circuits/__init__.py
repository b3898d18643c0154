"""Circuits: volts, amperes, siemens. Co-content is the energy; its minimum is the operating point."""

from circuits.block_descent import BlockDescent
from circuits.branches import branch_dataset
from circuits.circuit import Circuit
from circuits.circuit_system import CircuitSystem
from circuits.elements import (
    Capacitor,
    CurrentSource,
    Element,
    IdealDiode,
    Resistor,
    ShockleyDiode,
    VoltageSource,
)
from circuits.lambert_w import log_lambert
from circuits.layered import LayeredNetwork
from circuits.operating_point import OperatingPoint

__all__ = [
    "BlockDescent",
    "Capacitor",
    "Circuit",
    "CircuitSystem",
    "CurrentSource",
    "Element",
    "IdealDiode",
    "LayeredNetwork",
    "OperatingPoint",
    "Resistor",
    "ShockleyDiode",
    "VoltageSource",
    "branch_dataset",
    "log_lambert",
]
