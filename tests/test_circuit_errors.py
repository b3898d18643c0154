"""Circuits that cannot be: each is refused before tracing, naming the thing, its value and unit, and the fix."""

import jaxtyping
import numpy as np
import pytest

from circuits import Circuit, IdealDiode, LayeredNetwork, OperatingPoint, Resistor, ShockleyDiode, VoltageSource
from physnet import PhysnetError, relax


@pytest.fixture(autouse=True)
def as_users_call_it():
    """Without the checks of annotations that the tests add: these are about what physnet itself says."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def base():
    """A divider to spoil."""
    circuit = Circuit().voltage_source("V1", "in", 0, 5.0).resistor("R1", "in", "mid", resistance=1e3)
    return circuit.resistor("R2", "mid", 0, resistance=1e3)


def two_diodes():
    circuit = base().voltage_source("V2", "ref", 0, 1.0).diode("D1", "in", "mid", IdealDiode())
    return circuit.diode("D2", "mid", "ref", IdealDiode())


ELEMENTS = {
    "negative conductance": (
        lambda: base().resistor("R3", "mid", 0, conductance=-0.2),
        r"resistor R3: conductance -0\.2 S; conductances are .*>= 0.*Did you pass ohms\?",
    ),
    "NaN conductance": (lambda: base().resistor("R3", "mid", 0, conductance=np.nan), "resistor R3: conductance nan S"),
    "zero resistance": (lambda: base().resistor("R3", "mid", 0, resistance=0.0), "resistor R3: resistance 0 ohm"),
    "negative resistance": (lambda: base().resistor("R3", "mid", 0, resistance=-5.0), "resistor R3: resistance -5 ohm"),
    "NaN resistance": (lambda: base().resistor("R3", "mid", 0, resistance=np.nan), "resistor R3: resistance nan ohm"),
    "neither": (lambda: base().resistor("R3", "mid", 0), "resistor R3: neither given; .*ohm.*S"),
    "both": (lambda: base().resistor("R3", "mid", 0, resistance=1.0, conductance=1.0), "resistor R3: both given"),
    "capacitance": (lambda: base().capacitor("C1", "mid", 0, -1e-9), "capacitor C1: capacitance -1e-09 F"),
    "NaN source": (lambda: base().voltage_source("V2", "x", 0, np.nan), "voltage source V2: voltage nan V"),
    "infinite source": (lambda: base().current_source("I1", "mid", 0, np.inf), "current source I1: current inf A"),
    "saturation current": (lambda: ShockleyDiode(-1e-14), "saturation current -1e-14 A"),
    "duplicate name": (
        lambda: base().capacitor("R1", "mid", 0, 1e-9),
        "capacitor R1: the name is taken, by the resistor between in and mid",
    ),
    "one node twice": (lambda: base().resistor("R3", "mid", "mid", resistance=1.0), "R3: both ends are at node mid"),
    "ground twice": (lambda: base().resistor("R3", 0, "0", resistance=1.0), "R3: both ends are at node 0"),
    "node type": (lambda: base().resistor("R3", 1.5, 0, resistance=1.0), "R3: node 1.5; nodes are named by"),
    "no name": (lambda: base().resistor("", "mid", 0, resistance=1.0), "element name ''"),
    "not an element": (lambda: base().add("X1", "mid", 0, 3.0), "X1: 3.0 is not an Element"),
    "array": (lambda: base().add("R3", "mid", 0, Resistor(np.ones(2))), "resistor R3: its values are arrays"),
}

CIRCUITS = {
    "empty": (Circuit(), {}, "no elements"),
    "floating node": (base().capacitor("C1", "mid", "x", 1e-9), {}, "node x floats: no way through resistors"),
    "open branch": (base().resistor("R3", "mid", "x", conductance=0.0), {}, "node x floats"),
    "floating by ideal diode": (base().diode("D1", "x", 0, IdealDiode()), {}, "node x floats"),
    "floating island": (
        base()
        .resistor("R3", "x", "y", resistance=1.0)
        .current_source("I1", "mid", "y", 1.0)
        .voltage_source("E", "y", "z", 1.0),
        {},
        "nodes x, y, z float: ",
    ),
    "no ground": (
        Circuit().resistor("R1", "a", "b", resistance=1.0),
        {},
        'nodes a, b float.*connected to ground, the node "0"',
    ),
    "ideal diode between free nodes": (
        base().resistor("R3", "x", 0, resistance=1.0).diode("D1", "mid", "x", IdealDiode()),
        {},
        r"ideal diode D1 joins two free nodes, mid and x; .*ShockleyDiode\(\)",
    ),
    "ideal diode across a source": (
        base().diode("D1", "in", 0, IdealDiode()),
        {},
        "ideal diode D1: voltage sources hold its anode in 5 V above its cathode 0",
    ),
    "contradicting ideal diodes": (
        two_diodes(),
        {},
        "node mid: ideal diode D1 holds it above 5 V and ideal diode D2 below 1 V",
    ),
    "parallel sources": (
        base().voltage_source("V2", "in", 0, 3.0),
        {},
        r"voltage sources V1 \(5 V\) and V2 \(3 V\) are in parallel and disagree by 2 V",
    ),
    "loop of sources": (
        base().voltage_source("V2", "x", "in", 1.0).voltage_source("V3", "x", 0, 7.0),
        {},
        r"V1 \(5 V\) and V2 \(1 V\) and V3 \(7 V\) are in a loop and disagree by 1 V",
    ),
    "input in a loop": (
        base().voltage_source("V2", "in", 0, 5.0),
        {"inputs": ["V2"]},
        "in parallel, and V2 is an input",
    ),
    "unknown output": (base(), {"outputs": ["mdi"]}, "unknown node mdi. Did you mean mid?"),
    "unknown output pair": (base(), {"outputs": [("mid", "inn")]}, "unknown node inn. Did you mean in?"),
    "three nodes": (base(), {"outputs": [("mid", "in", "0")]}, "a node name, or a pair"),
    "no outputs": (base(), {"outputs": []}, "outputs is empty"),
    "unknown input": (base(), {"inputs": ["V11"]}, "unknown source V11. Did you mean V1?"),
    "input is no source": (base(), {"inputs": ["R1"]}, "resistor R1 is not a source. Sources: V1"),
    "input twice": (base(), {"inputs": ["V1", "V1"]}, "source V1 is named twice"),
}


@pytest.mark.parametrize("case", ELEMENTS)
def test_elements_that_cannot_be(case):
    make, message = ELEMENTS[case]
    with pytest.raises(PhysnetError, match=message):
        make()


@pytest.mark.parametrize("case", CIRCUITS)
def test_circuits_that_cannot_be(case):
    circuit, options, message = CIRCUITS[case]
    with pytest.raises(PhysnetError, match=message):
        circuit.build(**options)


def test_a_refused_element_leaves_the_circuit_as_it_was():
    circuit = base()
    with pytest.raises(PhysnetError):
        circuit.resistor("R3", "mid", 0, conductance=-1.0)
    assert circuit.build().branch_names == base().build().branch_names


def test_sources_that_agree_may_be_in_parallel():
    system = base().voltage_source("V2", "in", 0, 5.0).build()
    assert system.labels.redundant == ("V2",)
    currents = system.branch_currents(np.array([2.5]), system.default_inputs())
    assert dict(zip(system.branch_names, currents.tolist())) == pytest.approx(
        {"R1": 2.5e-3, "R2": 2.5e-3, "V1": -2.5e-3, "V2": 0.0}
    )


def test_no_capacitance_no_dynamics():
    circuit = base().resistor("R3", "mid", "x", resistance=1.0).resistor("R4", "y", "mid", resistance=1.0)
    circuit.capacitor("C1", "mid", 0, 1e-9).capacitor("C2", "x", "y", 1e-9)
    system = circuit.build()
    with pytest.raises(PhysnetError, match=r"no capacitors lead from x, y to a fixed potential.*ProjectedNewton"):
        system.vector_field(np.zeros(3), system.default_inputs())


def test_a_constraint_of_ones_own_is_refused():
    class Follower(VoltageSource):
        pass

    with pytest.raises(PhysnetError, match="its law is 'voltage'"):
        base().add("X1", "mid", "x", Follower(1.0))


def test_operating_point_refuses_what_is_no_circuit():
    with pytest.raises(PhysnetError, match=r"OperatingPoint refuses .* it is not a circuit of elements"):
        relax(LayeredNetwork([np.eye(2)]), [1.0], relaxer=OperatingPoint())
