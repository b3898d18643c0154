"""Circuits: volts, amperes, siemens. Co-content is the energy; its minimum is the operating point."""

from circuits.active_system import ActiveCircuitSystem
from circuits.block_descent import BlockDescent
from circuits.branches import branch_dataset
from circuits.certificate import KirchhoffCertificate, kirchhoff_certificate
from circuits.circuit import Circuit
from circuits.circuit_system import CircuitSystem
from circuits.convolutional import ConvolutionalNetwork
from circuits.convolutional_circuit import convolutional_circuit, convolutional_inputs
from circuits.crossbar import Load, TransimpedanceAmplifier, VirtualGround, crossbar
from circuits.devices import ensemble, programmed
from circuits.draws import Uniform
from circuits.edges import EdgeCurrents, EdgePowers, edge_outputs
from circuits.editing import prune, with_values, without
from circuits.elements import (
    Ammeter,
    AntiparallelDiodes,
    BidirectionalAmplifier,
    Capacitor,
    Component,
    CurrentControlledCurrentSource,
    CurrentControlledVoltageSource,
    CurrentSource,
    EKVTransistor,
    Element,
    FiniteConductanceDiode,
    IdealDiode,
    IdealOpAmp,
    LinearDriftMemristor,
    MeasuredCurve,
    MultiTerminal,
    OpAmp,
    Resistor,
    ShockleyDiode,
    SquareLawTransistor,
    ThresholdDiode,
    ThresholdMemristor,
    TunnelDiode,
    VoltageControlledCurrentSource,
    VoltageControlledVoltageSource,
    VoltageSource,
    ZenerDiode,
)
from circuits.generators import from_networkx, grid, layered, layered_circuit, layered_inputs, random_geometric
from circuits.lambert_w import log_lambert
from circuits.layered import LayeredNetwork
from circuits.linear_solvers import CholmodSolver, DenseSolver, LinearSolver, SparseSolver
from circuits.memristive import MemristiveCircuit
from circuits.nonidealities import (
    Chain,
    CycleSpread,
    DeviceSpread,
    Drift,
    LineResistance,
    Nonideality,
    Quantised,
    ReadNoise,
    StuckDevices,
)
from circuits.on_device import OnDevice
from circuits.operating_point import OperatingPoint
from circuits.power import branch_powers, powers, supplied_energy, supplied_power
from circuits.resistance import effective_resistance, output_resistance
from circuits.small_signal import SmallSignal, ac
from circuits.stage_descent import StageDescent
from circuits.stored import system_from_dataset
from circuits.thermal import ThermalCircuit, thermal_covariance, thermal_spectrum
from circuits.transient import Sine, pulse, settling_time, with_parasitics

__all__ = [
    "ActiveCircuitSystem",
    "Ammeter",
    "AntiparallelDiodes",
    "BidirectionalAmplifier",
    "BlockDescent",
    "Capacitor",
    "Chain",
    "CholmodSolver",
    "Circuit",
    "CircuitSystem",
    "Component",
    "ConvolutionalNetwork",
    "CurrentControlledCurrentSource",
    "CurrentControlledVoltageSource",
    "CurrentSource",
    "CycleSpread",
    "DenseSolver",
    "DeviceSpread",
    "Drift",
    "EKVTransistor",
    "EdgeCurrents",
    "EdgePowers",
    "Element",
    "FiniteConductanceDiode",
    "IdealDiode",
    "IdealOpAmp",
    "KirchhoffCertificate",
    "LayeredNetwork",
    "LineResistance",
    "LinearDriftMemristor",
    "LinearSolver",
    "Load",
    "MeasuredCurve",
    "MemristiveCircuit",
    "MultiTerminal",
    "Nonideality",
    "OnDevice",
    "OpAmp",
    "OperatingPoint",
    "Quantised",
    "ReadNoise",
    "Resistor",
    "ShockleyDiode",
    "Sine",
    "SmallSignal",
    "SparseSolver",
    "SquareLawTransistor",
    "StageDescent",
    "StuckDevices",
    "ThermalCircuit",
    "ThresholdDiode",
    "ThresholdMemristor",
    "TransimpedanceAmplifier",
    "TunnelDiode",
    "Uniform",
    "VirtualGround",
    "VoltageControlledCurrentSource",
    "VoltageControlledVoltageSource",
    "VoltageSource",
    "ZenerDiode",
    "ac",
    "branch_dataset",
    "branch_powers",
    "convolutional_circuit",
    "convolutional_inputs",
    "crossbar",
    "edge_outputs",
    "effective_resistance",
    "ensemble",
    "from_networkx",
    "grid",
    "kirchhoff_certificate",
    "layered",
    "layered_circuit",
    "layered_inputs",
    "log_lambert",
    "output_resistance",
    "powers",
    "programmed",
    "prune",
    "pulse",
    "random_geometric",
    "read_spice",
    "settling_time",
    "supplied_energy",
    "supplied_power",
    "system_from_dataset",
    "thermal_covariance",
    "thermal_spectrum",
    "with_parasitics",
    "with_values",
    "without",
    "write_spice",
]


def __getattr__(name):
    """Decks are read and written by a package of their own, which is imported when it is asked for."""
    if name in ("read_spice", "write_spice"):
        from circuits import spice

        return getattr(spice, name)
    raise AttributeError(f"module 'circuits' has no attribute {name!r}")
