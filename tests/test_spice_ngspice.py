"""Agreement with ngspice: operating points, element laws at several temperatures, expressions, written decks."""

import math

import numpy as np
import pytest
from spice_decks import NAMED, needs_ngspice, random_lines, side_by_side

from circuits import Circuit, elements
from circuits.spice import ngspice, parse_spice, spice_text
from circuits.spice.check import compare
from physnet import relax
from physnet.cost import SquaredError
from physnet.errors import PhysnetError
from physnet.nudge import Nudge

pytestmark = needs_ngspice
GMIN = 1e-18


def with_op(text):
    return f"{text}\n{ngspice.ACCURATE}.op\n.end\n"


def both(circuits):
    """(node names, our potentials, those of ngspice) of many circuits side by side."""
    text = side_by_side(circuits)
    deck = parse_spice(text, gmin=GMIN)
    system = deck.build()
    equilibrium = relax(system)
    potentials = np.asarray(system.potentials(equilibrium.state, equilibrium.inputs))
    return system.labels.nodes, potentials, ngspice.run_all(with_op(text))[0].potentials


@pytest.fixture(scope="module")
def named():
    return both(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_named_circuits(named, name):
    nodes, ours, theirs = named
    own = [k for k, node in enumerate(nodes) if node.startswith(f"x{name}.")]
    found = compare([nodes[k] for k in own], ours[None, own], theirs)
    assert found.count >= 1 and found.share <= 1, found


@pytest.mark.parametrize(("stages", "count"), [(1, 200), pytest.param(3, 100, marks=pytest.mark.slow)])
def test_random_circuits(stages, count):
    rng = np.random.default_rng(stages)
    nodes, ours, theirs = both({f"r{k}": random_lines(rng, stages) for k in range(count)})
    found = compare(nodes, ours[None], theirs)
    assert found.count > 300 and found.share <= 1, found


# Laws, element by element, with every terminal at a source: nothing is left to settle.


@pytest.mark.parametrize("celsius", [-20, 27, 85])
@pytest.mark.parametrize(
    "model",
    [
        "d is=2e-14 n=1.3",
        "d is=1e-12 eg=0.69 xti=2 tnom=50",
        "d is=1e-14 bv=4 ibv=1m",
        "d is=1e-13 n=1.2 bv=4 ibv=1u nbv=3",
        "d is=1e-14 bv=4 ibv=1f",
        "nmos vto=0.7 kp=40u lambda=0.03 gamma=0.4 phi=0.65",
        "pmos vto=-0.7 kp=40u lambda=0.03 gamma=0.4 phi=0.65",
    ],
)
def test_laws_at_temperatures(model, celsius):
    rng = np.random.default_rng(0)
    mosfet = model[1:4] == "mos"
    points = rng.uniform(-4, 4, (60, 4)) if mosfet else np.linspace(-4.3, 0.75, 60)[:, None]
    if mosfet:  # bulk junctions in reverse, as in use
        points[:, 3] = -4.5 if model[0] == "n" else 4.5
    lines = ["laws", f".model mm {model}"]
    for k, point in enumerate(points):
        ends = [f"n{k}_{j}" for j in range(len(point))]
        lines += [f"v{k}_{j} {end} 0 {v!r}" for j, (end, v) in enumerate(zip(ends, point.tolist()))]
        lines.append(f"m{k} {' '.join(ends)} mm w=5u l=1u" if mosfet else f"d{k} {ends[0]} 0 mm")
    text = "\n".join([*lines, f".temp {celsius}"])
    deck = parse_spice(text, gmin=0.0)
    currents = ngspice.run_all(with_op(text))[0].currents
    element = deck.circuit["m0" if mosfet else "d0"].element
    ours = element.currents(points.T, 0.0, 0.0)[0] if mosfet else element.current(points[:, 0])
    theirs = -np.array([currents[f"v{k}_0"][0] for k in range(len(points))])
    # In reverse ngspice has a cubic in 1/v in place of the exponential, within 5 % of the saturation current, and none
    # of that current where the junction has broken down.
    share = 1.01 if isinstance(element, elements.ZenerDiode) else 0.06
    slack = share * float(element.bulk_saturation_current if mosfet else element.saturation_current)
    assert np.asarray(ours) == pytest.approx(theirs, rel=1e-8, abs=slack + 1e-15)


def test_expressions():
    texts = [
        "-2**2",
        "2**3**2",
        "log(10)",
        "10/4*2",
        "2^3",
        "1>0?3:4",
        "pwr(-2,3)",
        "int(-2.7)",
        "nint(2.5)",
        "sgn(-2)",
    ]
    texts += ["1meg+1k*2", "5.5e-1m", "min(2,1)+max(3,4)", "abs(-1)+floor(1.5)+ceil(1.2)", "pow(2,3)", "2--1", "1m*2"]
    texts += ["atan(1)+arctan(1)", "sinh(1)+cosh(1)+tanh(1)", "sqrt(2)*exp(1)", "(1<2)&&(2<1)", "log10(50)", "2**-1"]
    lines = ["t", *(f"v{k} n{k} 0 {{{text}}}" for k, text in enumerate(texts))]
    numbers = ["1a", "5V", "2mil", "3MEGohm", "1x", "1e", "1.5d2", "1F", "2.2uF", "1T", "4G", "3nH"]
    lines += [f"w{k} m{k} 0 {text}".replace("w", "vw", 1) for k, text in enumerate(numbers)]
    theirs = ngspice.run(with_op("\n".join(lines)))
    for branch in parse_spice("\n".join(lines)).circuit.branches():
        assert float(branch.element.voltage) == pytest.approx(theirs[branch.nodes[0]], rel=1e-12), branch


TWO_TERMINAL = [
    elements.Resistor(2e-3),
    elements.ShockleyDiode(1e-12, 0.04),
    elements.ZenerDiode(3.0, 1e-13, 0.03, 1e-4, 0.05),
    elements.ZenerDiode(0.8),
    elements.AntiparallelDiodes(1e-11, 0.05),
    elements.FiniteConductanceDiode(1e-2, 1e-6),
    elements.ThresholdDiode(0.4, 1e-2, 1e-6, 0.0),
    elements.ThresholdDiode(0.4, 1e-2, 1e-6, 0.3),
    elements.LinearDriftMemristor(),
    elements.ThresholdMemristor(),
    elements.CurrentSource(1e-4),
]


def test_written_two_terminal_elements():
    voltages = np.linspace(-0.9, 0.9, 31)
    c = Circuit()
    for e, element in enumerate(TWO_TERMINAL):
        for k, v in enumerate(voltages):
            c.voltage_source(f"v{e}_{k}", f"n{e}_{k}", 0, v).add(f"e{e}_{k}", f"n{e}_{k}", 0, element)
    currents = ngspice.run_all(spice_text(c).text)[0].currents
    for e, element in enumerate(TWO_TERMINAL):
        theirs = -np.array([currents[f"v{e}_{k}"][0] for k in range(len(voltages))])
        ours = np.asarray(element.current(voltages)) + np.zeros_like(voltages)
        slack = 0.06 * float(getattr(element, "saturation_current", 0)) * 2
        assert theirs == pytest.approx(ours, rel=1e-8, abs=slack + 1e-14), element


def test_written_transistors_and_amplifiers():
    points = np.random.default_rng(3).uniform(-2, 2, (20, 4))
    thermal = 1.38064852e-23 * 300.15 / 1.6021766208e-19
    transistors = [
        elements.SquareLawTransistor(2e-4, 0.6, 0.05, 0.4, 0.7, 1e-6),
        elements.SquareLawTransistor(2e-4, -0.6, 0.05, 0.4, 0.7, polarity=-1),
        elements.EKVTransistor(1e-3, 0.4),
        elements.EKVTransistor(1e-3, -0.4, polarity=-1),
        elements.SquareLawTransistor(2e-4, 0.6, 0.05, 0.4, 0.7, 0.0, 1e-14, thermal),
        elements.SquareLawTransistor(2e-4, 0.6, 0.05, 0.4, 0.7, 0.0, 1e-14, 0.03),
        elements.VoltageControlledCurrentSource(1e-3),
    ]
    points[:, 3] = np.where(np.arange(20) % 2, -2.5, 2.5)
    c = Circuit()
    for e, element in enumerate(transistors):
        for k, point in enumerate(points):
            if getattr(element, "bulk_saturation_current", 0) and point[3] > 0:
                continue  # junctions far in forward
            nodes = [f"n{e}_{k}_{j}" for j in range(4)]
            for j, (node, v) in enumerate(zip(nodes, point)):
                c.voltage_source(f"v{e}_{k}_{j}", node, 0, v)
            c.add(f"e{e}_{k}", *nodes, element)
    currents = ngspice.run_all(spice_text(c).text)[0].currents
    for e, element in enumerate(transistors):
        for k, point in enumerate(points):
            if f"v{e}_{k}_0" in currents:
                ours = np.asarray(element.currents(point, 0.0, 0.0))
                theirs = -np.array([currents[f"v{e}_{k}_{j}"][0] for j in range(4)])
                assert theirs == pytest.approx(ours, rel=1e-8, abs=1e-14), (element, point)


def test_written_amplifiers_and_sensing_sources():
    c = Circuit().voltage_source("Vin", "in", 0, 2.0).resistor("Rin", "in", 0, resistance=500.0)
    c.add("OA", "oo", "in", "om", elements.OpAmp(1e3, 75.0)).resistor("Rf", "oo", "om", resistance=1e3)
    c.resistor("Rg", "om", 0, resistance=1e3).add(
        "E1", "e", 0, "in", "om", elements.VoltageControlledVoltageSource(3.0)
    )
    c.add("F1", "f", 0, elements.CurrentControlledCurrentSource(2.0), control="Vin").resistor(
        "Rff", "f", 0, resistance=1e3
    )
    c.add("H1", "h", 0, elements.CurrentControlledVoltageSource(50.0), control="Vin")
    c.add("BA", "in", "bo", elements.BidirectionalAmplifier(1e-3, 4.0)).resistor("Rb", "bo", 0, resistance=1e3)
    c.resistor("Ra", "in", "am", resistance=1e3).add("A", "am", 0, elements.Ammeter())
    v = ngspice.run(spice_text(c).text)
    # 1 + Rf/Rg at finite gain: with b = Rg/(Rf+Rg), v_oo = A v / (1 + A b + Ro/(Rf+Rg))
    assert v["oo"] == pytest.approx(1e3 * 2 / (1 + 1e3 / 2 + 75 / 2e3), rel=1e-9)
    assert v["e"] == pytest.approx(3 * (2 - v["om"]), rel=1e-9)
    assert v["bo"] == pytest.approx(4.0, rel=1e-9) and v["am"] == 0  # A v g / (g + 1/R) with g = 1/R
    through = -(2 / 500 + 4e-3 * (8 - 4) + 2e-3)  # from plus through Vin to minus
    assert v["f"] == pytest.approx(-2 * through * 1e3, rel=1e-9) and v["h"] == pytest.approx(50 * through, rel=1e-9)


def test_written_phases_are_nudged_states():
    c = Circuit().voltage_source("V1", "in", 0, 2.0).resistor("R1", "in", "mid", resistance=1e3)
    c.diode("D1", "mid", "out").resistor("R2", "out", 0, resistance=2e3).resistor("R3", "mid", 0, resistance=5e3)
    system = c.build(outputs=(("mid", "out"), "out"))
    target = np.array([0.3, 0.9])
    phases = [("free", None), ("plus", 1e-4), ("minus", -1e-5)]
    nudges = [(name, beta and Nudge(SquaredError(), target, beta)) for name, beta in phases]
    written = spice_text(system, phases=nudges)
    v = ngspice.run(written.text)
    for name, beta in phases:
        state = np.array([v[f"x{name}.{written.nodes[node]}"] for node in system.labels.free])
        pull = (beta or 0) * (np.asarray(system.outputs(state, np.zeros(0))) - target)
        force = {"mid": pull[0], "out": pull[1] - pull[0]}
        left = np.asarray(system.residual(state, np.zeros(0))) + [force[node] for node in system.labels.free]
        assert np.max(np.abs(left)) < 1e-12, name
    assert abs(v["xplus.out"] - v["xfree.out"]) > 1e-3


# ngspice itself.


def test_sweeps_and_runs_in_time():
    text = "t\nV1 a 0 PULSE(0 1 0 1p)\nR1 a b 1k\nC1 b 0 1u\n.op\n.dc v1 0 2 0.5\n.tran 10u 3m\n.end\n"
    plots = {plot.kind: plot for plot in ngspice.run_all(text)}  # in an order of its own
    op, dc, tran = (plots[kind] for kind in ("Operating Point", "DC transfer characteristic", "Transient Analysis"))
    assert op.axis is None and op.potentials["b"].tolist() == [0.0]
    assert dc.axis == pytest.approx([0, 0.5, 1, 1.5, 2]) and dc.potentials["b"] == pytest.approx(dc.axis)
    end = int(np.argmin(np.abs(tran.axis - 1e-3)))
    assert tran.potentials["b"][end] == pytest.approx(1 - math.exp(-tran.axis[end] / 1e-3), abs=2e-3)
    assert dc.currents["v1"] == pytest.approx(0, abs=1e-9)


def test_includes_are_found_from_elsewhere(tmp_path):
    (tmp_path / "r.inc").write_text("R2 b 0 1k\n")
    (tmp_path / "a.cir").write_text("t\nV1 a 0 2\nR1 a b 1k\n.include r.inc\n.op\n.end\n")
    assert ngspice.run(tmp_path / "a.cir")["b"] == pytest.approx(1.0)


def test_errors_of_ngspice_are_told(monkeypatch):
    for text, message in (
        ("t\nV1 a 0 1\nR1 a b 1k\nR2 b 0 1k\n.tran 1 2\n.end\n", "asks for no operating point"),
        ("t\nV1 a 0 1\nD1 a 0 none\n.op\n.end\n", "ngspice (gave no result|found no operating point)"),
        ("t\nV1 a 0 1\nV2 a 0 2\nR1 a 0 1\n.op\n.end\n", "ngspice (gave no result|found no operating point)"),
    ):
        with pytest.raises(PhysnetError, match=message):
            ngspice.run(text)
    with pytest.raises(PhysnetError, match="no answer after 0.001 s"):
        ngspice.run("t\nR1 a 0 1\n.op\n.end\n", timeout=0.001)
    monkeypatch.setattr(ngspice.shutil, "which", lambda name: None)
    with pytest.raises(PhysnetError, match="apt-get install ngspice"):
        ngspice.run("t\n.op\n")
