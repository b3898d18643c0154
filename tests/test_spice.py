"""Decks: numbers, expressions, every card, and every error with its file and line."""

import math

import pytest
from spice_decks import VT

from circuits import elements
from circuits.spice import flatten, parse_spice, read_spice
from circuits.spice.analyses import DcCard, OpCard, Sweep, TranCard
from circuits.spice.expressions import parse
from circuits.spice.models import ROOM
from circuits.spice.numbers import number
from circuits.spice.sources import Exponential, PiecewiseLinear, Pulse, Sine
from circuits.spice.where import Where
from physnet.errors import PhysnetError


def deck(*lines, **options):
    return parse_spice("\n".join(["a title", *lines]), name="deck.cir", **options)


def element(name, *lines, **options):
    """The element that a deck of these lines gives that name."""
    return deck(*lines, **options).circuit[name].element


# Numbers and expressions.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("1", 1.0), ("-2.5", -2.5), (".5", 0.5), ("5.", 5.0), ("+3", 3.0), ("1e3", 1e3), ("1.5E-3", 1.5e-3)],
        *[("1t", 1e12), ("1G", 1e9), ("3MEG", 3e6), ("1megohm", 1e6), ("4.7k", 4.7e3), ("4.7kOhm", 4.7e3)],
        *[("1m", 1e-3), ("1M", 1e-3), ("2.2u", 2.2e-6), ("1µF", 1e-6), ("1n", 1e-9), ("1pF", 1e-12)],
        *[
            ("1f", 1e-15),
            ("1F", 1e-15),
            ("5V", 5.0),
            ("5Volt", 5.0),
            ("1A", 1.0),
            ("2mil", 2 * 25.4e-6),
            ("1d2", 100.0),
        ],
        *[("2e3k", 2e6), ("1e", 1.0), ("1Hz", 1.0)],
    ],
)
def test_numbers(text, value):
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "k", "1.2.3", "1e+", "--1", "1k5", "0x10", "nan", "inf", "1 k", "٣"])
def test_what_is_no_number(text):
    assert number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [  # those of ngspice where programs differ
        *[("2+3*4", 14), ("(2+3)*4", 20), ("10/4*2", 5), ("2--1", 3), ("2**3", 8), ("2^3", 8), ("2**3**2", 64)],
        *[("-2**2", -4), ("2**-1", 0.5), ("1k*2+1meg", 1.002e6), ("5.5e-1m", 5.5e-4), ("1>0?3:4", 3), ("a ? 1 : 2", 1)],
        *[("(1<2)&&(2<1)", 0), ("1>2||2>1", 1), ("!0", 1), ("1==1", 1), ("2!=2", 0), ("2>=2", 1), ("1<=0", 0)],
        *[("sqrt(16)", 4), ("exp(0)", 1), ("abs(-3)", 3), ("min(3,1,2)", 1), ("max(3,1,2)", 3), ("log(exp(2))", 2)],
        *[
            ("ln(exp(2))", 2),
            ("log10(100)", 2),
            ("pow(-2,3)", -8),
            ("pwr(-2,3)", 8),
            ("int(-2.7)", -2),
            ("nint(2.5)", 2),
        ],
        *[("floor(1.5)", 1), ("ceil(1.2)", 2), ("sgn(-2)", -1), ("2*a+b", 5), ("pi", math.pi), ("sin(0)+cos(0)", 1)],
    ],
)
def test_expressions(text, value):
    assert parse(text, Where("d", 1)).value({"a": 1.0, "b": 3.0}) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1+", "a value expected, not the end"),
        ("1)", "unexpected"),
        ("(1", r"'\)' expected"),
        ("f(1)", "unknown function f"),
        ("min()", "a value expected"),
        ("pow(1)", "takes 2 values"),
        ("1/0", "divides by zero"),
        ("sqrt(-1)", "has no value"),
        ("exp(1e4)", "has no value"),
        ("1e200*1e200", "is inf"),
        ("(-8)**3", "negative number"),
        ("c", "unknown parameter c"),
        ("1 @ 2", "unexpected '@'"),
        ("__import__('os')", "unexpected"),
        ("1?2", "':' expected"),
        ("(" * 60 + "1" + ")" * 60, "nested more than 40 deep"),
        ("-" * 60 + "1", "nested more than 40 deep"),
        ("1+" * 2500 + "1", "characters"),
    ],
)
def test_what_is_no_expression(text, message):
    with pytest.raises(PhysnetError, match=rf"^d:7: .*{message}"):
        parse(text, Where("d", 7)).value({})


def test_long_sums_do_not_recurse():
    assert parse("+".join(["1"] * 1900), Where("d", 1)).value({}) == 1900


# Lines.


def test_title_comments_continuations_and_the_end():
    d = deck(
        *["* a comment", "R1 a 0 1k ; another", "R2 a", "+ 0 $ a third", "* between", "", "+ 2k", "   * indented"],
        *["V1 a 0 1", ".end", "this is not read"],
    )
    assert d.title == "a title"
    assert [b.name for b in d.circuit.branches()] == ["r1", "r2", "v1"]
    assert float(d.circuit["r2"].element.conductance) == 1 / 2e3
    assert str(d.locations["r2"]) == "deck.cir:4" and str(d.locations["v1"]) == "deck.cir:10"
    assert any("what follows .end" in note for note in d.notes)


def test_the_first_line_is_the_title_and_a_note_says_so():
    d = parse_spice("R1 a 0 1k\nR2 a 0 1k\n", name="d.cir")
    assert len(d.circuit) == 1 and "first line is the title" in d.notes[0]


def test_names_are_folded_and_ground_has_two():
    d = deck("VIN In GND 1", "r1 IN 0 1K")
    assert d.circuit["vin"].nodes == ("in", "0") and d.circuit["r1"].nodes == ("in", "0")


def test_include(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.inc").write_text("R2 a 0 2k\n.include c.inc\n")
    (tmp_path / "sub" / "c.inc").write_text("R3 a 0 3k\n")
    (tmp_path / "a.cir").write_text("t\nV1 a 0 1\n.include 'sub/b.inc'\nR1 a 0 1k\n")
    d = read_spice(tmp_path / "a.cir")
    assert [b.name for b in d.circuit.branches()] == ["v1", "r2", "r3", "r1"]
    assert str(d.locations["r3"]) == f"{tmp_path / 'sub' / 'c.inc'}:1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (".include none.inc", "a.cir:2: .include: .*none.inc does not exist"),
        (".include a.ci", "does not exist. Did you mean .*a.cir"),
        (".include a.cir", "includes itself"),
        (".include .", "is a folder"),
        (".include", "names no file"),
        (".include ''", "names no file"),
        (".include /dev/zero", "not a regular file"),
        (".include b.bin", "is not text"),
    ],
)
def test_include_errors(tmp_path, line, message):
    (tmp_path / "a.cir").write_text(f"t\n{line}\nR1 a 0 1k\n")
    (tmp_path / "b.bin").write_bytes(b"\0\1\2")
    with pytest.raises(PhysnetError, match=message):
        read_spice(tmp_path / "a.cir")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(PhysnetError, match="none.cir does not exist"):
        read_spice(tmp_path / "none.cir")
    with pytest.raises(PhysnetError, match="is a folder"):
        read_spice(tmp_path)
    (tmp_path / "latin.cir").write_bytes("t\nR1 a 0 1k * 5\xb5\n".replace("* 5", "; 5").encode("latin-1"))
    assert len(read_spice(tmp_path / "latin.cir").circuit) == 1


# Cards.


def test_resistor():
    assert float(element("r1", "R1 a 0 2k").conductance) == 1 / 2e3
    assert float(element("r1", "R1 a 0 r=2k m=4").conductance) == 4 / 2e3
    assert float(element("r1", "R1 a 0 {2*rr}", ".param rr=1k").conductance) == 1 / 2e3
    assert float(element("r1", "R1 a 0 rr", ".param rr='1k'").conductance) == 1e-3
    warm = element("r1", "R1 a 0 1k tc1=1m tc2=1u", ".temp 37")
    assert float(warm.conductance) == pytest.approx(1 / (1e3 * (1 + 10e-3 + 100e-6)), rel=1e-12)


def test_capacitor_and_sources():
    assert float(element("c1", "C1 a 0 1u ic=2").capacitance) == 1e-6
    for line in ("V1 a 0 5", "V1 a 0 DC 5", "V1 a 0 dc=5", "V1 a 0 5 AC 1 0", "V1 a 0 AC 1 DC 5", "V1 (a,0) 5V"):
        assert float(element("v1", line).voltage) == 5
    assert float(element("i1", "I1 a 0 1mA").current_value) == 1e-3
    assert float(element("v1", "V1 a 0 AC 1").voltage) == 0
    assert float(element("v1", "V1 a 0").voltage) == 0


@pytest.mark.parametrize(
    ("text", "waveform", "start"),
    [
        ("PULSE(1 5 1n 2n 3n 4n 20n)", Pulse(1, 5, 1e-9, 2e-9, 3e-9, 4e-9, 2e-8), 1),
        ("PULSE 1 5", Pulse(1, 5), 1),
        ("SIN(1 2 1k 0 0 90)", Sine(1, 2, 1e3, 0, 0, 90), 3),
        ("PWL(0 1 1m 2)", PiecewiseLinear((0.0, 1e-3), (1.0, 2.0)), 1),
        ("PWL(1 3, 2 4)", PiecewiseLinear((1.0, 2.0), (3.0, 4.0)), 3),
        ("EXP(2 3 0 1m)", Exponential(2, 3, 0, 1e-3), 2),
        ("DC 7 PULSE(1 5)", Pulse(1, 5), 7),
    ],
)
def test_waveforms(text, waveform, start):
    d = deck(f"V1 a 0 {text}", "R1 a 0 1k")
    assert d.waveforms == {"v1": waveform}
    assert float(d.circuit["v1"].element.voltage) == start


def test_waveforms_in_time():
    pulse = Pulse(1, 5, 1.0, 1.0, 2.0, 3.0, 10.0)
    assert pulse.at([0, 1, 1.5, 2, 4, 5, 6, 7, 8, 11.5]).tolist() == [1, 1, 3, 5, 5, 5, 3, 1, 1, 3]
    assert Sine(1, 2, 0.25).at([0, 1, 3]) == pytest.approx([1, 3, -1])
    assert Exponential(0, 1, 0, 1.0, 1.0, 2.0).at([1, 3]) == pytest.approx(
        [1 - math.exp(-1), math.exp(-1) - math.exp(-3)]
    )


def test_controlled_sources():
    lines = ["V1 a 0 1", "E1 e 0 a 0 3", "G1 g 0 (a 0) 1m m=2", "F1 f 0 v1 4", "H1 h 0 V1 50"]
    d = deck(*lines)
    assert float(d.circuit["e1"].element.voltage_gain) == 3
    assert float(d.circuit["g1"].element.transconductance) == 2e-3
    assert float(d.circuit["f1"].element.current_gain) == 4 and d.circuit["f1"].control == "v1"
    assert float(d.circuit["h1"].element.transresistance) == 50 and d.circuit["h1"].control == "v1"


def test_diode():
    plain = element("d1", "D1 a 0 dm", ".model dm d", gmin=0)
    assert float(plain.saturation_current) == 1e-14 and float(plain.thermal_voltage) == VT
    large = element("d1", "D1 a 0 dm 2 m=3", ".model DM D(IS=1n, N=2 cjo=1p tt=1n)", gmin=0)
    assert float(large.saturation_current) == pytest.approx(6e-9, rel=1e-15) and float(large.thermal_voltage) == 2 * VT
    d = deck("D1 a 0 dm area=2", ".model dm d rs=10", "R1 a 0 1")
    names = {b.name: b for b in d.circuit.branches()}
    assert float(names["d1#rs"].element.conductance) == pytest.approx(2 / 10)
    assert names["d1"].nodes == ("d1#internal", "0")
    assert float(names["d1#gmin"].element.conductance) == 1e-12 and names["d1#gmin"].nodes == ("d1#internal", "0")
    assert "d1#gmin" not in deck("D1 a 0 dm", ".model dm d", ".options gmin=0").circuit


def test_breakdown_follows_ngspice():
    zener = element("d1", "D1 a 0 dz", ".model dz d is=1e-14 bv=5 ibv=1m nbv=2", gmin=0)
    assert isinstance(zener, elements.ZenerDiode)
    knee = float(zener.breakdown_voltage)
    # ngspice's matching: at -BV the current is IBV, up to the knee's share of it
    at_bv = float(zener.saturation_current) * (math.exp((5 - knee) / (2 * VT)) - 1 + knee / VT)
    assert at_bv == pytest.approx(1e-3, rel=1e-9)
    small = element("d1", "D1 a 0 dz", ".model dz d is=1e-6 bv=5 ibv=1e-6", gmin=0)
    assert float(small.breakdown_voltage) == 5


def test_diode_temperature():
    hot = element("d1", "D1 a 0 dm", ".model dm d is=1e-14 n=1.5 eg=1.2 xti=2", ".temp 77", gmin=0)
    ratio, vt = 350.15 / 300.15, VT * 350.15 / 300.15
    law = 1e-14 * math.exp((ratio - 1) * 1.2 / (1.5 * vt) + 2 / 1.5 * math.log(ratio))
    assert float(hot.saturation_current) == pytest.approx(law, rel=1e-12)
    same = element("d1", "D1 a 0 dm", ".model dm d is=1e-14 tnom=77 trs=1", ".options temp=77", gmin=0)
    assert float(same.saturation_current) == pytest.approx(1e-14, rel=1e-12)
    with pytest.raises(PhysnetError, match=r"deck.cir:3: .*TRS matters at 350.15 K, away from TNOM"):
        deck("D1 a 0 dm", ".model dm d trs=1", ".temp 77")


def test_mosfet():
    d = deck("M1 d g s b nm W=10u L=2u m=2", ".model nm nmos vto=0.7 kp=50u lambda=0.02 gamma=0.4 phi=0.7 rd=5")
    m = d.circuit["m1"]
    assert m.nodes == ("m1#drain", "g", "s", "b")
    assert float(m.element.transconductance_parameter) == pytest.approx(2 * 50e-6 * 5)
    got = [float(x) for x in (m.element.threshold, m.element.channel_length_modulation, m.element.body_effect)]
    assert got == [0.7, 0.02, 0.4] and float(m.element.surface_potential) == 0.7
    assert float(m.element.bulk_saturation_current) == 2e-14 and m.element.polarity == 1
    p = deck("M1 d g s s pm", ".model pm pmos vto=-1 level=1")
    assert p.circuit["m1"].element.polarity == -1 and float(p.circuit["m1"].element.threshold) == -1
    assert float(p.circuit["m1"].element.transconductance_parameter) == 2e-5  # W = L by default
    assert "m1#gmind" in p.circuit and "m1#gmins" not in p.circuit


def test_models_with_other_spellings_and_ignored_charges():
    m = element("m1", "M1 d g s 0 nm", ".model nm nmos (vt0=0.5 kp=1u tox=1e-7 uo=600 cgso=1p mj=0.5)")
    assert float(m.threshold) == 0.5


# Parameters and subcircuits.


def test_parameters_in_any_order():
    d = deck(".param a = {2*b} b=3", ".param c=sqrt(a*a) d='a+ b', e=1k", "R1 x 0 {c+d+e}")
    assert float(d.circuit["r1"].element.conductance) == pytest.approx(1 / 1015)


def test_many_parameters_in_a_row():
    lines = [f".param p{k}={{p{k + 1}}}" for k in range(3000)] + [".param p3000=5", "R1 a 0 {p0}"]
    assert float(element("r1", *lines).conductance) == 1 / 5


def test_subcircuits_nest_and_take_parameters():
    d = deck(
        *[".param top=1k", ".subckt inner a b r=1k k=2", ".param half={r/k}", "R1 a mid {half}", "R2 mid b {top}"],
        *[
            ".model dm d is={r*1e-15}",
            "D1 mid 0 dm",
            ".ends inner",
            ".subckt outer p q params: s=3",
            "X1 p n inner r={s*100}",
        ],
        *["X2 n q inner k=4", ".ends", "V1 in 0 1", "Xa in 0 outer s=7", "Xb in gnd outer"],
        gmin=0,
    )
    value = {b.name: b for b in d.circuit.branches()}
    assert float(value["xa.x1.r1"].element.conductance) == 2 / 700
    assert float(value["xb.x1.r1"].element.conductance) == 2 / 300
    assert float(value["xa.x2.r1"].element.conductance) == 4 / 1000
    assert value["xa.x1.r1"].nodes == ("in", "xa.x1.mid") and value["xa.x2.r2"].nodes == ("xa.x2.mid", "0")
    assert value["xa.x1.r2"].nodes == ("xa.x1.mid", "xa.n")
    assert float(value["xa.x1.d1"].element.saturation_current) == pytest.approx(700e-15)
    assert str(d.locations["xa.x1.r1"]) == "deck.cir:5"


def test_subcircuits_see_models_and_subcircuits_outside_and_globals():
    d = deck(
        *[".global vdd", ".subckt a p", "R1 p vdd 1k", "V2 p q 0", "F1 p 0 v2 2", "D1 q 0 dm", ".ends"],
        *["X1 n a", ".model dm d", "V1 vdd 0 1"],
    )
    assert d.circuit["x1.r1"].nodes == ("n", "vdd") and d.circuit["x1.f1"].control == "x1.v2"


# Analyses and settings.


def test_analyses():
    d = deck("V1 a 0 1", "V2 b 0 1", "R1 a b 1k", ".op", ".dc V1 0 1 0.25 v2 1 0 -0.5", ".tran 1u 1m 0 2u uic")
    op, dc, tran = d.analyses
    assert op == OpCard() and tran == TranCard(1e-6, 1e-3, 0.0, 2e-6, True)
    assert dc == DcCard((Sweep("v1", 0, 1, 0.25), Sweep("v2", 1, 0, -0.5)))
    assert dc.sweeps[0].values().tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert Sweep("v", 0, 0.3, 0.1).count == 4 and Sweep("v", 0, 0.35, 0.1).count == 4


def test_settings():
    d = deck("R1 a 0 1k", ".options temp=50 gmin=1e-15 method=gear noacct", ".print v(a) v(b,c)", ".save all")
    assert d.temperature == pytest.approx(323.15) and d.gmin == 1e-15 and d.options["method"] == "gear"
    assert any("noacct, method" in note for note in d.notes) and any(".print" in note for note in d.notes)
    assert deck("R1 a 0 1k", gmin=3e-9).gmin == 3e-9
    assert deck("R1 a 0 1k").temperature == ROOM
    assert deck("R1 a 0 1k", ".control", "run ( {", ".endc").notes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Q1 c b e qm", r"unknown card 'Q1' \(bipolar transistor\)\. Supported: R \(resistor\)"),
        ("L1 a 0 1u", r"unknown card 'L1' \(inductor; in a direct-current state it is a wire"),
        ("B1 a 0 i=v(a)", r"unknown card 'B1' \(behavioural source\)"),
        ("?1 a 0 1", "unknown card"),
        (".lib x.lib tt", r"\.lib: libraries with sections are not supported"),
        (".ac dec 10 1 1k", "small-signal analysis is not run"),
        (".foo", r"unknown card '\.foo'\. Supported: \.model"),
        ("R1", "resistor r1: 0 of its 2 nodes are given"),
        ("R1 a 0", r"resistance \(ohm\) is missing"),
        ("R1 a 0 0", r"resistance 0 ohm; resistances are > 0\. For a wire use a source: V\.\.\. a 0 0"),
        ("R1 a 0 -1k", "resistance -1000 ohm"),
        ("R1 a 0 1e999", "no floating-point number holds"),
        ("R1 a 0 abc", r"resistance \(ohm\) is 'abc'; give a number"),
        ("R1 a 0 {x}", "unknown parameter x"),
        ("R1 a 0 1k 2k", r"unexpected 2k\. It takes NODE NODE OHM"),
        ("R1 a 0 1k tc3=1", "unexpected tc3=1"),
        ("R1 a 0 1k m=0", "multiplier m=0; it must be above 0"),
        ("R1 a 0 1k\nr1 b 0 1k", "deck.cir:3: r1 is there twice; first at deck.cir:2"),
        ("C1 a 0 -1u", "capacitance -1e-06 F"),
        ("V1 a a 1", "both ends are at node a"),
        ("V1 a 0 5 6", "two direct-current values"),
        ("V1 a 0 DC", "DC has no value"),
        ("V1 a 0 SFFM(1 2)", "SFFM is not supported"),
        ("V1 a 0 PULSE(1)", "PULSE takes 2 to 7 values; 1 are given"),
        ("V1 a 0 PWL(0 1 0 2)", "PWL times must rise"),
        ("V1 a 0 PWL(0 1 2)", "PWL takes pairs"),
        ("V1 a 0 foo=1", "unknown parameter foo"),
        ("E1 a 0 b 0", "gain is missing"),
        ("E1 a 0 POLY(1) b 0 0 1", "POLY is not supported; the linear form is"),
        ("E1 a 0 value={v(b)}", "VALUE is not supported"),
        ("G1 a 0 cur='v(b)'", "CUR is not supported"),
        ("F1 a 0 vx 1", "control vx is no voltage source beside it"),
        ("H1 a 0", "the voltage source whose current controls it is missing"),
        ("D1 a 0", "its model is missing"),
        ("D1 a 0 dx", r"no \.model dx\. Defined: none"),
        ("D1 a 0 dm\n.model dm nmos", "model dm .* is of kind NMOS, and this is a diode"),
        ("D1 a 0 dm\n.model dm d is=0", r"deck.cir:3: \.model dm: IS is 0 A; it is > 0"),
        ("D1 a 0 dm\n.model dm d ikf=1", "parameter IKF is not supported"),
        ("D1 a 0 dm\n.model dm d isx=1", "Did you mean IS?"),
        ("D1 a 0 dm\n.model dm d level=3", "level 3 is not supported"),
        ("D1 a 0 dm\n.model dm d is", "is has no value"),
        ("D1 a 0 dm -1\n.model dm d", "area -1; it must be above 0"),
        (".model dm d\n.model dm d", "defined twice; first at deck.cir:2"),
        (".model dm", "takes a name and a kind"),
        ("M1 d g s nm\n.model nm nmos", "its model is missing"),
        ("M1 d g s b nm W=0\n.model nm nmos", r"W=0 m, L=0\.0001 m; both must be above 0"),
        ("M1 d g s b nm\n.model nm nmos level=8", "level 8 is not supported; level 1 is"),
        ("M1 d g s b nm\n.model nm nmos tox=1n", "KP from TOX and UO is not supported"),
        ("M1 d g s b nm\n.model nm nmos kp=-1", "KP is -1 A/V"),
        ("X1 a b none", "no subcircuit none"),
        ("X1", "names no subcircuit"),
        (".subckt s a\nR1 a 0 1k\n.ends\nX1 a b s", "2 nodes, and subcircuit s .* has 1"),
        (".subckt s a\nR1 a 0 1k\n.ends\nX1 a s r=2", "subcircuit s has no parameter r. Its parameters: none"),
        (".subckt s a\nX1 a s\n.ends\nX1 a s", r"contains itself \(s -> s\)"),
        (".subckt s a\nX1 a t\n.ends\n.subckt t a\nX1 a s\n.ends\nX1 a s", "contains itself"),
        (".subckt s a\nR1 a 0 1k", r"deck.cir:2: \.subckt s without \.ends"),
        (".subckt s a a\n.ends", "node a is listed twice"),
        (".subckt s a 0\n.ends", "ground"),
        (".subckt s a\n.ends t", r"\.ends t ends \.subckt s"),
        (".subckt", "has no name"),
        (".ends", r"\.ends without \.subckt"),
        (".param", "names nothing|has no value"),
        (".param x", "has no value"),
        (".param x=", "has no value"),
        (".param a={b} b={a}\nR1 a 0 1", "parameters refer to themselves"),
        (".dc V1 0 1", r"\.dc takes SOURCE START STOP STEP"),
        (".dc V1 0 1 0", "the step of v1 is 0"),
        (".dc V1 0 1 -1", "leads away from 1. Give 1"),
        (".dc V1 0 1 1e-9", "1000000 is the most"),
        (".dc R1 0 1 1", "only V and I sources"),
        (".dc V9 0 1 1\nR1 a 0 1", r"deck.cir:2: \.dc: no source v9"),
        (".tran 1u", r"\.tran takes STEP STOP"),
        (".tran 0 1", "times are above 0"),
        (".temp -300", "above -273.15"),
        (".temp 1e300", "above -273.15 and below 5000"),
        ("V1 a 0 SIN(0 1 1 -1e300 -1e300)", "its waveform is"),
        (".temp 1 2", "takes one temperature"),
        (".options gmin=-1", "must be at least 0"),
        (".options temp=warm", "is 'warm'; give a number"),
        ("+ R1 a 0 1", "'\\+' continues the line before it"),
        ("R1 a 0 {1", "'{' without '}'"),
        ("R1 a 0 1}", "'}' without '{'"),
        ("R1 a 0 '1", "quote without its end"),
        ("R1 (a 0 1", r"'\(' without '\)'"),
        ("R1 a) 0 1", r"'\)' without '\('"),
        ("R1 a 0 r=", "r= has no value"),
        ("R1 a 0 =1 2", "resistance .ohm. is missing"),
        ("R1 a 0 r=1 r=2", "r is given twice"),
        ("R1 {a} 0 1", "a node is an expression"),
        (".control\nrun", r"deck.cir:2: \.control without \.endc"),
    ],
)
def test_errors_name_file_and_line(line, message):
    start = "" if message.startswith("deck.cir") else r"deck\.cir:\d+: (?:.*)"
    with pytest.raises(PhysnetError, match=rf"^{start}(?:{message})") as caught:
        deck(line)
    assert "\n" not in str(caught.value)
    if "deck.cir" not in message:
        count = line.count("\n") + 2
        assert int(str(caught.value).split(":")[1]) <= count


def test_empty_decks():
    for text in ("", "title only", "title\n* nothing\n", "t\n.op\n"):
        with pytest.raises(PhysnetError, match=r"^d\.cir:1: the deck "):
            parse_spice(text, name="d.cir")
    with pytest.raises(PhysnetError, match="gmin is -1"):
        deck("R1 a 0 1", gmin=-1)


def test_elements_without_weight_are_left_out_with_a_note():
    d = deck("R1 a a 1k", "D1 b b dm", ".model dm d", "I1 0 0 1", "R2 a 0 1")
    assert [b.name for b in d.circuit.branches()] == ["r2"] and len(d.notes) == 3


def test_expansions_without_end_are_stopped(monkeypatch):
    monkeypatch.setattr(flatten, "_MOST_ELEMENTS", 3000)
    lines = ["R0 a 0 1"]
    for k in range(19):
        lines += [f".subckt s{k} a", f"X1 a s{k + 1}", f"X2 a s{k + 1}", ".ends"]
    lines += [".subckt s19 a", ".ends", "X1 a s0"]
    with pytest.raises(PhysnetError, match="more than 3000 elements"):
        deck(*lines)


def test_errors_of_the_circuit_are_located():
    d = deck("V1 a 0 1", "R1 a b 1k", "R2 b 0 1k", "C1 b c 1u")
    with pytest.raises(PhysnetError, match=r"^deck\.cir:5: node c floats"):
        d.build()
    d = deck("V1 a 0 1", "V2 a 0 2", "R1 a b 1k", "R2 b 0 1k")
    with pytest.raises(PhysnetError, match=r"^deck\.cir:\d: voltage sources"):
        d.build()
