"""Circuits written as decks: they read back the same, names survive, phases of a nudging stand side by side."""

import numpy as np
import pytest
from spice_decks import VT

from circuits import Circuit, elements
from circuits.spice import parse_spice, read_spice, spice_text, write_spice
from physnet import relax
from physnet.cost import CrossEntropy, SquaredError
from physnet.errors import PhysnetError
from physnet.nudge import Nudge


def every_element():
    c = Circuit()
    c.voltage_source("V in", "In", 0, 2.0).resistor("R1", "In", "a b", resistance=1e3)
    c.add("D1", "a b", 0, elements.ShockleyDiode(1e-12, 0.04)).add("D2", "a b", 0, elements.ShockleyDiode(1e-12, 0.04))
    c.add("Z1", 0, "a b", elements.ZenerDiode(4.0)).capacitor("C1", "a b", 0, 1e-9)
    c.current_source("I1", 0, "a b", 1e-5).resistor("open", "a b", 0, conductance=0.0)
    c.add("G1", "g", 0, "a b", 0, elements.VoltageControlledCurrentSource(1e-4)).resistor("Rg", "g", 0, resistance=3e3)
    c.add("F1", "g", 0, elements.CurrentControlledCurrentSource(0.1), control="V in")
    c.add("E1", "e", 0, "a b", 0, elements.VoltageControlledVoltageSource(2.0)).resistor("Re", "e", "x", resistance=1e3)
    c.add("H1", "h", 0, elements.CurrentControlledVoltageSource(5.0), control="V in").resistor(
        "Rh", "h", "x", resistance=1e3
    )
    c.add("M1", "x", "In", 0, 0, elements.SquareLawTransistor(1e-4, 0.7, 0.02, 0.3, 0.6, 1e-9, 1e-14, VT))
    return c


def test_what_is_written_reads_back_the_same(tmp_path):
    c = every_element()
    written = spice_text(c, title="every element")
    path = write_spice(c, tmp_path / "a.cir", title="every element")
    assert path.read_text() == written.text
    back = read_spice(path, gmin=0)
    assert back.title == "* every element"
    got = {b.name: b for b in back.circuit.branches()}
    for branch in c.branches():
        if branch.name == "open":
            assert "* 'open': 0 S, open: left out" in written.text
            continue
        other = got[written.elements[branch.name]]
        assert other.nodes == tuple(written.nodes[node] for node in branch.nodes)
        assert other.control == (None if branch.control is None else written.elements[branch.control])
        assert type(other.element) is type(branch.element)
        if branch.name not in ("M1", "Z1"):
            for p in branch.element.parameters():
                assert float(p.get(other.element)) == pytest.approx(float(p.get(branch.element)), rel=1e-15)
    v = np.linspace(-4.6, 0.6, 50)
    own, other = c["Z1"].element.current(v), got["z1" if "z1" in got else "dz1"].element.current(v)
    assert np.asarray(other) == pytest.approx(np.asarray(own), rel=1e-12, abs=1e-25)
    assert written.text.count(".model") == 3  # two equal diodes share one
    with pytest.raises(PhysnetError, match="exists"):
        write_spice(c, path)
    with pytest.raises(PhysnetError, match="does not exist"):
        write_spice(c, tmp_path / "no" / "a.cir")


def test_a_system_is_written_with_its_inputs():
    c = every_element()
    system = c.build(inputs=("V in",), outputs=("g",))
    for written in (spice_text(system, inputs=[3.5]), spice_text(c, inputs={"V in": 3.5})):
        back = parse_spice(written.text).circuit
        assert float(back["v_in"].element.voltage) == 3.5 and back["v_in"].nodes[1] == "0"
        assert back["h1"].element.transresistance == 5
    with pytest.raises(PhysnetError, match="inputs have shape"):
        spice_text(system, inputs=[1.0, 2.0])
    with pytest.raises(PhysnetError, match="unknown source V9"):
        spice_text(c, inputs={"V9": 1.0})
    with pytest.raises(PhysnetError, match="a mapping"):
        spice_text(c, inputs=[1.0])
    with pytest.raises(PhysnetError, match="is no circuit"):
        spice_text("R1")


def test_names_that_differ_by_case_stay_apart():
    c = Circuit().resistor("r", "A", "a", resistance=1.0).resistor("R", "a", "gnd", resistance=1.0)
    c.voltage_source("x1", "A", 0, 1.0).resistor("weird name=(1)", "gnd", 0, resistance=1.0)
    written = spice_text(c)
    assert len(set(written.nodes.values())) == 4 and len(set(written.elements.values())) == 4
    back = parse_spice(written.text).circuit
    assert sorted(back.nodes) == sorted(written.nodes.values()) and len(back) == 4


@pytest.mark.parametrize("kind", ["IdealOpAmp", "MeasuredCurve", "IdealDiode"])
def test_elements_without_a_spice_line_are_refused_by_name(kind):
    element = elements.MeasuredCurve([0.0, 1.0], [0.0, 1.0]) if kind == "MeasuredCurve" else getattr(elements, kind)()
    nodes = ("a", 0) if isinstance(element, elements.Element) else ("a", "b", "c")
    c = Circuit().add("odd one", *nodes, element)
    with pytest.raises(PhysnetError, match=rf"odd one \({kind}\) has no SPICE element with its law"):
        spice_text(c)


def test_phases_are_copies_with_a_conductance_to_the_target():
    c = Circuit().voltage_source("V1", "in", 0, 2.0).resistor("R1", "in", "out", resistance=1e3)
    c.resistor("R2", "out", 0, resistance=1e3)
    phases = [("free", None), ("nudged", Nudge(SquaredError(), np.array([0.5]), 1e-4))]
    system = c.build(outputs=("out",))
    text = spice_text(system, phases=phases).text
    assert sorted(text.split("\n")) == sorted(spice_text(c, phases=phases, outputs="out").text.split("\n"))
    got = {b.name: b.element for b in parse_spice(text).circuit.branches()}
    assert (
        float(got["xnudged.gnudge_0"].transconductance) == 1e-4 and float(got["xfree.gnudge_0"].transconductance) == 0
    )
    assert float(got["xnudged.vtarget_0"].voltage) == 0.5
    for bad, message in (
        ([("a b", None)], "name phases by letters"),
        ([("a", None), ("A", None)], "a name of its own"),
        ([], "a name of its own"),
        ([("a", Nudge(CrossEntropy(), np.array([1.0]), 1e-4))], "is no conductance; use SquaredError"),
        ([("a", Nudge(SquaredError(), np.array([1.0, 2.0]), 1e-4))], r"target of shape \(2,\)"),
    ):
        with pytest.raises(PhysnetError, match=message):
            spice_text(system, phases=bad)
    with pytest.raises(PhysnetError, match="need outputs="):
        spice_text(c, phases=phases)


def test_the_operating_point_survives_the_way_there_and_back():
    c = Circuit().voltage_source("v1", "in", 0, 2.0).resistor("r1", "in", "out", resistance=1.1e3)
    c.add("d1", "out", 0, elements.ShockleyDiode(1.3e-12, 0.037)).resistor("r2", "out", 0, conductance=1 / 3e4)
    system, again = c.build(), parse_spice(spice_text(c).text, gmin=0).build()
    assert again.labels == system.labels  # the same names, so that one compiled program serves both
    assert float(relax(again).outputs[0]) == pytest.approx(float(relax(system).outputs[0]), rel=1e-12)
