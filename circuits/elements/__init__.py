"""Circuit elements, one to a file."""

from circuits.elements.ammeter import Ammeter
from circuits.elements.antiparallel_diodes import AntiparallelDiodes
from circuits.elements.base import Component, Element, MultiTerminal
from circuits.elements.bidirectional_amplifier import BidirectionalAmplifier
from circuits.elements.capacitor import Capacitor
from circuits.elements.current_controlled_current_source import CurrentControlledCurrentSource
from circuits.elements.current_controlled_voltage_source import CurrentControlledVoltageSource
from circuits.elements.current_source import CurrentSource
from circuits.elements.ekv_transistor import EKVTransistor
from circuits.elements.finite_conductance_diode import FiniteConductanceDiode
from circuits.elements.ideal_diode import IdealDiode
from circuits.elements.ideal_op_amp import IdealOpAmp
from circuits.elements.linear_drift_memristor import LinearDriftMemristor
from circuits.elements.measured_curve import MeasuredCurve
from circuits.elements.op_amp import OpAmp
from circuits.elements.resistor import Resistor
from circuits.elements.shockley_diode import ShockleyDiode
from circuits.elements.square_law_transistor import SquareLawTransistor
from circuits.elements.threshold_diode import ThresholdDiode
from circuits.elements.threshold_memristor import ThresholdMemristor
from circuits.elements.tunnel_diode import TunnelDiode
from circuits.elements.voltage_controlled_current_source import VoltageControlledCurrentSource
from circuits.elements.voltage_controlled_voltage_source import VoltageControlledVoltageSource
from circuits.elements.voltage_source import VoltageSource
from circuits.elements.zener_diode import ZenerDiode

__all__ = [
    "Ammeter",
    "AntiparallelDiodes",
    "BidirectionalAmplifier",
    "Capacitor",
    "Component",
    "CurrentControlledCurrentSource",
    "CurrentControlledVoltageSource",
    "CurrentSource",
    "EKVTransistor",
    "Element",
    "FiniteConductanceDiode",
    "IdealDiode",
    "IdealOpAmp",
    "LinearDriftMemristor",
    "MeasuredCurve",
    "MultiTerminal",
    "OpAmp",
    "Resistor",
    "ShockleyDiode",
    "SquareLawTransistor",
    "ThresholdDiode",
    "ThresholdMemristor",
    "TunnelDiode",
    "VoltageControlledCurrentSource",
    "VoltageControlledVoltageSource",
    "VoltageSource",
    "ZenerDiode",
]
