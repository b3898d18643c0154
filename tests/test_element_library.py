"""Every exported element against its own definition; a new one is tested the day it is exported."""

import inspect
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import circuits.elements
from circuits.elements import (
    Component,
    CurrentSource,
    Element,
    LinearDriftMemristor,
    MeasuredCurve,
    MultiTerminal,
    SquareLawTransistor,
    ThresholdDiode,
    ThresholdMemristor,
    ZenerDiode,
)
from physnet import PhysnetError

KINDS = [
    kind
    for kind in vars(circuits.elements).values()
    if isinstance(kind, type) and issubclass(kind, Component) and not inspect.isabstract(kind)
]
# Variants whose laws branch elsewhere.
EXAMPLES = [kind.example() for kind in KINDS] + [
    ThresholdDiode(),
    MeasuredCurve([0.1, 0.3, 0.4], [1e-3, 2e-3, 4e-3]),
    SquareLawTransistor(polarity=-1, threshold=-0.4, body_effect=0.3),
]
LAWFUL = [e for e in EXAMPLES if isinstance(e, Element) and e.law != "voltage"]
CONDUCTING = [e for e in LAWFUL if e.law == "current"]
MULTI = [e for e in EXAMPLES if isinstance(e, MultiTerminal)]


def name(element):
    return type(element).__name__


def group(element, m, dtype=float):
    """m copies of an element, as a circuit stacks them."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.array([leaf] * m), dtype), element)


def voltages(element):
    """Voltages that the element can have, every 50 mV (kinks of the examples are among them): at most 0.6 V.

    The same number for all, so that compiled programs are shared.
    """
    step = 0.05
    return np.round(step * np.arange(-32, 1 if element.law == "inequality" else 13), 12)


def between(element):
    """Voltages in between, where every law is smooth."""
    return voltages(element)[1:] - 0.02


@eqx.filter_jit
def call(element, law, *at):
    """One law of an element, compiled whole: its operations one by one take longer."""
    return getattr(element, law)(*at)


@eqx.filter_jit
def evaluate(element, v):
    """Co-content, its slope, current, its slope, differential conductance at (n,) voltages."""
    one = jnp.ones_like(v)
    content, current = (jax.jvp(law, (v,), (one,)) for law in (element.cocontent, element.current))
    return *content, *current, element.differential_conductance(v)


class Curves:
    """The laws of an element at all voltages that tests ask for: compiled once, evaluated once."""

    known: ClassVar[dict] = {}
    h = 1e-5

    def __init__(self, element):
        self.grid, self.smooth = voltages(element), between(element)
        nodes, self.weights = np.polynomial.legendre.leggauss(16)
        fine = (self.grid[:-1, None] + 0.025 * (1 + nodes)).ravel()
        parts = [self.grid, self.smooth, self.smooth + self.h, self.smooth - self.h, fine]
        values = map(np.asarray, evaluate(element, jnp.asarray(np.concatenate(parts))))
        ends = np.cumsum([part.size for part in parts])[:-1]
        names = ("content", "content_slope", "current", "current_slope", "conductance")
        for law, value in zip(names, values):
            setattr(self, law, dict(zip(("grid", "smooth", "above", "below", "fine"), np.split(value, ends))))

    @classmethod
    def of(cls, element):
        if id(element) not in cls.known:
            cls.known[id(element)] = cls(element)
        return cls.known[id(element)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_a_described_parameter_in_its_range(kind):
    element = kind.example()
    parameters = element.parameters()
    fields = (
        0 if getattr(kind, "table", False) else len(jax.tree.leaves(eqx.filter(element, eqx.is_inexact_array_like)))
    )
    assert len(parameters) == fields
    assert len({p.variable.name for p in parameters}) == fields
    for p in parameters:
        v = p.variable
        assert v.name == v.name.lower() and v.units and v.long_name and v.dims == ()
        lowest, highest = v.bounds or (-np.inf, np.inf)
        assert lowest <= p.get(element) <= highest
        assert eqx.tree_at(p.get, element, p.get(element), is_leaf=lambda leaf: leaf is None) is not None
    assert isinstance(element.kind, str) and element.description["kind"] == element.kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_values_that_are_no_finite_numbers_are_refused_with_name_and_unit(kind):
    element = kind.example()
    for p in element.parameters():
        for bad in (np.nan, "three"):
            with pytest.raises(PhysnetError, match=rf"^{kind.__name__}: .*(nan|three).*; \S+"):
                eqx.tree_at(p.get, element, bad).__check_init__()


@pytest.mark.parametrize("kind", [k for k in KINDS if getattr(k, "polarity", None)], ids=lambda kind: kind.__name__)
def test_a_polarity_is_plus_or_minus_one(kind):
    with pytest.raises(PhysnetError, match="polarity 0; give 1 for an n channel"):
        kind(polarity=0)


# Two terminals


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_current_is_the_derivative_of_cocontent(element):
    c = Curves.of(element)
    largest = np.abs(c.current["smooth"]).max()
    np.testing.assert_allclose(c.content_slope["smooth"], c.current["smooth"], rtol=1e-9, atol=1e-13 * largest)


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_cocontent_is_the_integral_of_current(element):
    c = Curves.of(element)
    content = c.content["grid"]
    pieces = 0.025 * c.current["fine"].reshape(-1, c.weights.size) @ c.weights
    # The difference cancels where the content itself is large: what is left is its rounding.
    np.testing.assert_allclose(np.diff(content), pieces, rtol=1e-9, atol=1e-14 * np.abs(content).max())
    assert abs(content[c.grid == 0][0]) <= 1e-16 * np.abs(content).max()


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_conductance_is_the_derivative_of_current(element):
    c = Curves.of(element)
    conductance = c.conductance["smooth"]
    # JAX takes the derivative of expm1 as expm1 + 1, which is right to eps of its value at zero.
    rounding = 1e-14 * conductance.max()
    np.testing.assert_allclose(conductance, c.current_slope["smooth"], rtol=1e-10, atol=rounding)
    difference = (c.current["above"] - c.current["below"]) / (2 * c.h)
    np.testing.assert_allclose(conductance, difference, rtol=1e-6, atol=1e-9 * conductance.max())


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_monotone_elements_never_fall_and_others_do(element):
    c = Curves.of(element)
    rises = np.all(np.diff(c.current["grid"]) >= 0) and np.all(c.conductance["fine"] >= 0)
    assert element.monotone == bool(rises)


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_elements_but_sources_are_passive(element):
    c = Curves.of(element)
    if isinstance(element, MeasuredCurve) and not np.any(element.voltages == 0):
        return  # a table that does not go through the origin promises nothing
    assert isinstance(element, CurrentSource) == bool(np.any(c.grid * c.current["grid"] < 0))
    assert isinstance(element, CurrentSource) == (c.current["grid"][c.grid == 0][0] != 0)


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_a_quadratic_cocontent_is_one(element):
    content = Curves.of(element).content["grid"]
    assert element.quadratic == bool(np.abs(np.diff(content, 3)).max() <= 1e-13 * np.abs(content).max())


@pytest.mark.parametrize("element", [e for e in EXAMPLES if isinstance(e, Element)], ids=name)
def test_laws_act_on_groups_and_keep_single_precision(element):
    three = group(element, 3, jnp.float32)
    v = jnp.asarray([-0.32, -0.22, -0.12], jnp.float32)
    laws = ("current", "differential_conductance", "cocontent")
    for law in laws:
        for shape in ((), (3,)):
            assert jax.eval_shape(getattr(element, law), jax.ShapeDtypeStruct(shape, v.dtype)).shape == shape
        out = jax.eval_shape(getattr(three, law), jax.ShapeDtypeStruct((3,), v.dtype))
        assert out.shape == (3,) and out.dtype == jnp.float32
    if element.law != "current":
        return
    values = eqx.filter_jit(lambda e, v: [getattr(e, law)(v) for law in laws])(three, v)
    c = Curves.of(element)
    places = [int(np.argmin(np.abs(c.smooth - x))) for x in (-0.32, -0.22, -0.12)]
    for value, law in zip(values, (c.current, c.conductance, c.content)):
        exact = law["smooth"][places]
        np.testing.assert_allclose(value, exact, rtol=1e-4, atol=1e-6 * np.abs(exact).max())
    drive = jnp.asarray([-1e-6, 0.0, 1e-6], jnp.float32)
    found = eqx.filter_jit(three.on_load_line)(drive, jnp.full(3, 1e-3, jnp.float32), jnp.zeros(3, jnp.float32))
    assert found.shape == (3,) and found.dtype == jnp.float32 and np.all(np.isfinite(found))


DRIVES = np.concatenate([[0.0], np.logspace(-18, 2, 11), -np.logspace(-18, 2, 11)])
SHUNTS = np.logspace(-12, 1, 7)
STARTS = (0.0, 40.0, -1e9)


@pytest.mark.parametrize("element", CONDUCTING, ids=name)
def test_load_lines_are_met_wherever_the_search_starts(element):
    drive, shunt, start = (jnp.asarray(x.ravel()) for x in np.meshgrid(DRIVES, SHUNTS, STARTS))
    v = call(element, "on_load_line", drive, shunt, start)
    current, conductance = (np.asarray(call(element, law, v)) for law in ("current", "differential_conductance"))
    # What a rounded voltage and rounded terms leave of the balance.
    resolved = np.abs(current) + np.abs(shunt * v) + np.abs(drive)
    steep = conductance * np.abs(v) * np.finfo(float).eps
    assert np.all(np.isfinite(v))
    assert np.all(np.abs(current + shunt * v - drive) <= 1e-12 * resolved + 4 * steep)
    # All starts lead to one voltage.
    first, *others = (np.asarray(v)[np.asarray(start) == s] for s in STARTS)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("element", CONDUCTING, ids=name)
def test_knees_carry_their_current(element):
    current = jnp.asarray([1e-9, 1e-3])
    knee, reverse = call(element, "knee", current), call(element, "reverse_knee", current)
    assert knee is not None or reverse is None
    if knee is not None:
        np.testing.assert_allclose(call(element, "current", knee), current, rtol=1e-4)
    if reverse is not None:
        np.testing.assert_allclose(call(element, "current", reverse), -current, rtol=1e-4)
    # Elements without a knee stay finite far beyond any supply.
    far = call(element, "current", jnp.asarray([-1e3, 1e3]))
    assert np.all(np.isfinite(far)) == (knee is None)


# Any number of terminals


def operating_points(element, count=12):
    """(potentials, own, sensed): terminals at random within 1 V, a branch current where there is one."""
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, (len(element.terminals) + 2, count))
    own, sensed = x[-2] * element.has_branch, x[-1] * element.senses
    return jnp.asarray(x[:-2]), jnp.asarray(own), jnp.asarray(sensed)


def equations(element, x):
    """Every equation that the element brings into a circuit: currents, its constraint; one for what it senses."""
    potentials, own, sensed = x[:-2], x[-2], x[-1]
    rows = [*element.currents(potentials, own, sensed)]
    rows += [element.constraint(potentials, own, sensed)] if element.has_branch else [jnp.zeros_like(own)]
    return jnp.stack([*rows, jnp.zeros_like(own)])


@eqx.filter_jit
def linearise(element, x, h):
    """The Jacobian of `equations` at each point, (point, equation, unknown), and the same by central differences."""

    def f(y):
        return equations(element, y)

    steps = h * jnp.eye(x.shape[0])
    differences = jax.vmap(lambda step: (f(x + step[:, None]) - f(x - step[:, None])) / (2 * h))(steps)
    columns = jax.vmap(lambda step: jax.jvp(f, (x,), (jnp.broadcast_to(step[:, None], x.shape),))[1])(steps / h)
    return columns.transpose(2, 1, 0), differences.transpose(2, 1, 0)


@pytest.mark.parametrize("element", MULTI, ids=name)
def test_jacobians_are_as_the_flags_say(element):
    potentials, own, sensed = operating_points(element)
    x = jnp.concatenate([potentials, own[None], sensed[None]])
    jacobian, differences = map(np.asarray, linearise(element, x, 1e-6))
    largest = np.abs(jacobian).max(axis=(1, 2), keepdims=True)
    assert np.all(np.abs(jacobian - differences) <= 1e-4 * np.abs(jacobian) + 1e-6 * largest)
    symmetric = np.allclose(jacobian, jacobian.swapaxes(1, 2), rtol=1e-10)
    closed = not (element.has_branch or element.senses)
    assert element.reciprocal == (symmetric and closed)
    lowest = np.linalg.eigvalsh(jacobian + jacobian.swapaxes(1, 2)).min(axis=1)
    assert element.monotone == bool(closed and np.all(lowest >= -1e-12 * np.abs(jacobian).max(axis=(1, 2))))
    for pair in element.couples:
        assert len({*pair}) == 2 and {*pair} <= {*range(len(element.terminals))}
    assert {*element.holds} <= {*range(len(element.terminals))}
    # Terminals that draw no current settle no node.
    idle = ~np.any(jacobian[:, : len(element.terminals)] != 0, axis=(0, 2))
    assert not any(idle[k] for pair in (*element.couples, element.holds) for k in pair)


@pytest.mark.parametrize("element", MULTI, ids=name)
def test_currents_sum_to_zero_unless_the_rest_returns_through_ground(element):
    at = operating_points(element)
    currents = np.asarray(call(element, "currents", *at))
    assert currents.shape == at[0].shape
    balanced = np.all(np.abs(currents.sum(axis=0)) <= 1e-14 * np.abs(currents).sum(axis=0))
    assert balanced or "ground" in type(element).__doc__


@pytest.mark.parametrize("element", [e for e in MULTI if e.reciprocal], ids=name)
def test_reciprocal_elements_have_a_cocontent(element):
    at = operating_points(element)
    slope = jax.grad(lambda p: jnp.sum(element.cocontent(p)))(at[0])
    np.testing.assert_allclose(slope, element.currents(*at), rtol=1e-12)
    assert element.cocontent(at[0]).shape == at[1].shape
    if element.quadratic:
        np.testing.assert_allclose(element.cocontent(3 * at[0]), 9 * element.cocontent(at[0]), rtol=1e-12)


@pytest.mark.parametrize("element", [e for e in MULTI if e.has_branch], ids=name)
def test_constraints_are_measured_by_their_terms(element):
    at = operating_points(element)
    value, scale = call(element, "constraint", *at), call(element, "constraint_scale", *at)
    assert value.shape == scale.shape == at[1].shape
    assert np.all(np.abs(value) <= (1 + 1e-12) * scale)
    assert float(element.constraint(*(jnp.zeros_like(x) for x in at))[0]) == 0


@pytest.mark.parametrize("element", MULTI, ids=name)
def test_many_terminals_act_on_groups_and_keep_single_precision(element):
    at = operating_points(element, 3)
    single = tuple(x.astype(jnp.float32) for x in at)
    three = group(element, 3, jnp.float32)
    for law in ("currents", *(["constraint", "constraint_scale"] if element.has_branch else [])):
        one, many = call(element, law, *at), call(three, law, *single)
        assert many.shape == one.shape and many.dtype == jnp.float32
        np.testing.assert_allclose(many, one, rtol=1e-4, atol=1e-5 * np.abs(one).max())


# Elements that remember


@pytest.mark.parametrize(
    ("memristor", "voltage", "duration"),
    [
        (LinearDriftMemristor(0.1), 1.0, 0.5),
        (LinearDriftMemristor(0.6, window=3), -1.0, 0.2),
        (LinearDriftMemristor(0.5, window=10), 1.0, 3.0),
        (ThresholdMemristor(0.2), 1.5, 1e-6),
        (ThresholdMemristor(0.9, exponent=3.0), -2.5, 4e-7),
        (ThresholdMemristor(0.3), 0.99, 1.0),
    ],
    ids=lambda x: name(x) if isinstance(x, Component) else None,
)
def test_pulses_integrate_the_state(memristor, voltage, duration):
    after = memristor.pulsed(voltage, duration)

    def rate(t, w):
        return np.asarray(eqx.tree_at(lambda e: e.state, memristor, w).state_rate(voltage))

    exact = solve_ivp(rate, (0, duration), [memristor.state], method="LSODA", rtol=1e-11, atol=1e-13).y[0, -1]
    assert float(after.state) == pytest.approx(exact, rel=1e-8)
    assert 0 <= after.state <= 1
    assert eqx.tree_equal(eqx.tree_at(lambda e: e.state, after, memristor.state), memristor)
    assert float(memristor.pulsed(voltage, 0.0).state) == pytest.approx(memristor.state, rel=1e-14)


@pytest.mark.parametrize("kind", [LinearDriftMemristor, ThresholdMemristor])
def test_memristors_conduct_between_their_two_ends(kind):
    least, most = (float(kind(w).differential_conductance(0.0)) for w in (0.0, 1.0))
    ends = {p.variable.name: p.get(kind()) for p in kind().parameters()}
    if kind is LinearDriftMemristor:
        assert (least, most) == pytest.approx((1 / ends["off_resistance"], 1 / ends["on_resistance"]))
    else:
        assert (least, most) == pytest.approx((ends["off_conductance"], ends["on_conductance"]))
    states = group(kind(), 3).with_state(jnp.asarray([0.0, 0.5, 1.0])).pulsed(2.0, 1e-7).state
    assert states.shape == (3,) and states[1] > 0.5
    assert group(kind(), 3, jnp.float32).pulsed(jnp.float32(2.0), jnp.float32(1e-7)).state.dtype == jnp.float32
    with pytest.raises(PhysnetError, match=r"pulsed: duration -1 s; it must be finite and >= 0"):
        kind().pulsed(1.0, -1.0)


# The level-1 transistor, by its two regions and the mirror between its ends


def test_square_law_transistor_has_the_textbook_currents():
    beta, threshold, modulation = 2e-4, 0.7, 0.05
    transistor = SquareLawTransistor(beta, threshold, modulation)

    def drain(vd, vg, vs=0.0, vb=0.0, of=transistor):
        return float(call(of, "currents", jnp.asarray([vd, vg, vs, vb]), jnp.zeros(()), jnp.zeros(()))[0])

    assert drain(3.0, 1.7) == pytest.approx(0.5 * beta * (1 + 3 * modulation))
    assert drain(0.2, 1.7) == pytest.approx(beta * (1 + 0.2 * modulation) * 0.2 * 0.9)
    assert drain(3.0, 0.69) == 0
    assert drain(0.0, 1.7, 3.0) == pytest.approx(-drain(3.0, 1.7))
    mirror = SquareLawTransistor(beta, -threshold, modulation, polarity=-1)
    assert drain(-3.0, -1.7, of=mirror) == pytest.approx(-drain(3.0, 1.7))
    # A reverse bulk raises the threshold by gamma (sqrt(phi + 2) - sqrt(phi)).
    bodied = SquareLawTransistor(beta, threshold, modulation, 0.5, 0.6)
    raised = 0.5 * (np.sqrt(2.6) - np.sqrt(0.6))
    assert drain(3.0, 1.7 + raised, vb=-2.0, of=bodied) == pytest.approx(drain(3.0, 1.7))


# Current, A, into drain and source of two transistors in ngspice 39, at (drain, gate, source, bulk), V, reversed for p.
NGSPICE = {
    (3.0, 2.0, 0.0, 0.0): ((9.46400000010e-04, -9.464000000000e-04), (-3.312000000100e-04, 3.31200000000e-04)),
    (0.3, 2.5, 0.1, -1.0): ((2.75689522833e-04, -2.756895228127e-04), (-1.007987773074e-04, 1.00798777287e-04)),
    (-0.2, 1.5, 0.9, -0.5): ((-4.458600229362e-04, 4.45860022956e-04), (1.41299106229e-04, -1.412991062495e-04)),
    (1.0, 1.2, 0.0, 0.35): ((1.85753473824e-04, -1.857610039748e-04), (-5.346673556722e-05, 5.34742657177e-05)),
    (2.0, 0.5, 0.0, 0.0): ((1.0e-14, 0.0), (-1.0e-14, 0.0)),
}


@pytest.mark.parametrize("at", NGSPICE)
def test_square_law_transistor_has_the_currents_of_ngspice(at):
    n = SquareLawTransistor(1e-3, 0.7, 0.04, 0.45, 0.65, 0.0, 1e-14)
    p = SquareLawTransistor(4e-4, -0.8, 0.05, 0.5, 0.7, 0.0, 1e-14, polarity=-1)
    for transistor, expected in zip((n, p), NGSPICE[at]):
        potentials = transistor.polarity * jnp.asarray(at)
        drain, gate, source, _ = call(transistor, "currents", potentials, jnp.zeros(()), jnp.zeros(()))
        np.testing.assert_allclose((drain, source), expected, rtol=1e-9, atol=1e-16)
        assert float(gate) == 0


def test_zener_diode_breaks_down_at_its_voltage_whatever_its_size():
    for voltage in (2.4, 100.0, 2000.0):
        zener = ZenerDiode(voltage)
        assert float(zener.current(-voltage)) == pytest.approx(-1e-3, rel=1e-9)
        assert float(zener.current(0.0)) == 0 and float(zener.cocontent(0.0)) == 0
        assert np.isfinite(zener.cocontent(-voltage))


# Tables


def test_measured_curves_pass_through_their_points_and_go_on_straight():
    v, i = np.array([-1.0, 0.0, 0.2, 0.7]), np.array([-2.0, 0.0, 0.1, 5.0])
    curve = MeasuredCurve(v, i)
    found = np.asarray(call(curve, "current", jnp.asarray([*v, 1.7, 2.7, 3.7])))
    np.testing.assert_allclose(found[:4], i, atol=1e-15)
    np.testing.assert_allclose(np.diff(found[4:]), curve.slopes[-1])
    # 0 V outside the table: i = 1 + 2 v, Q = v + v^2.
    line = MeasuredCurve([1.0, 2.0], [3.0, 5.0])
    at = jnp.asarray([0.0, 2.0, -1.0])
    np.testing.assert_allclose(call(line, "current", at), [1.0, 5.0, -1.0], atol=1e-15)
    np.testing.assert_allclose(call(line, "cocontent", at), [0.0, 6.0, 0.0], atol=1e-15)


def test_groups_of_measured_curves_hold_different_tables():
    curves = [MeasuredCurve([0.0, 1.0, 2.0], [0.0, k, 4.0 * k]) for k in (1.0, 2.0)]
    two = jax.tree.map(lambda *leaves: jnp.asarray(np.array(leaves)), *curves)
    v = jnp.asarray([0.5, 1.5])
    each = [call(curve, "current", v) for curve in curves]
    expected = [float(each[0][0]), float(each[1][1])]
    np.testing.assert_allclose(call(two, "current", v), expected)
    np.testing.assert_allclose(jax.jit(jax.vmap(two.current))(jnp.stack([v, v])), [expected, expected])
    assert jax.eval_shape(two.current, jnp.stack([v, v])).shape == (2, 2)


@pytest.mark.parametrize(
    ("voltages", "currents", "message"),
    [
        ([0.0], [0.0], r"1 row; a curve needs 2"),
        ([0.0, 1.0, 0.5], [0.0, 1.0, 2.0], r"row 3: voltage 0.5 V after 1 V \(row 2\).*Sort"),
        ([1.0, 0.5, 0.0], [1.0, 0.5, 0.0], r"row 2: .*turn it round"),
        ([0.0, 1.0, 2.0], [0.0, 1.0, 0.9], r"current falls from 1 A \(row 2\) to 0.9 A"),
        ([0.0, 1.0], [0.0, np.inf], r"row 2: current inf A"),
        ([0.0, np.nan], [0.0, 1.0], r"row 2: voltage nan V"),
        ([0.0, 1.0], [0.0], r"shape \(2,\) and currents \(1,\)"),
        (["a", "b"], [0.0, 1.0], "voltages: real numbers are needed"),
    ],
)
def test_tables_that_are_no_current_law(voltages, currents, message):
    with pytest.raises(PhysnetError, match=message):
        MeasuredCurve(voltages, currents)


def test_measured_curves_come_from_files(tmp_path):
    file = tmp_path / "diode.csv"
    file.write_text("# swept up\nvoltage, current\n-1, -1e-9\n\n0, 0\n0.6, 1e-3\n")
    curve = MeasuredCurve.from_csv(file)
    np.testing.assert_array_equal(curve.voltages, [-1, 0, 0.6])
    np.testing.assert_array_equal(curve.currents, [-1e-9, 0, 1e-3])
    for text, message in (
        ("0, 0\n1, 2, 3\n", "line 2: 3 columns"),
        ("0, 0\n1, x\n", "line 2: '1, x' is not two numbers"),
        ("V, A\nvolt, ampere\n0, 0\n", "line 2: .* is not two numbers"),
        ("V, A\n0, 0\n\n1, -1\n", r"line 4: current falls from 0 A \(line 2\)"),
        ("V, A\n0, 0\n0, 1\n", r"line 3: voltage 0 V after 0 V \(line 2\)"),
        ("", "0 rows"),
    ):
        file.write_text(text)
        with pytest.raises(PhysnetError, match=rf"diode\.csv.*{message}"):
            MeasuredCurve.from_csv(file)
    with pytest.raises(PhysnetError, match=r"nowhere\.csv: it cannot be read"):
        MeasuredCurve.from_csv(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("flag", ["has_branch", "reciprocal"])
def test_an_element_that_promises_more_than_it_defines_is_refused(flag):
    body = {
        "kind": "promise",
        "terminals": ("a", "b", "c"),
        flag: True,
        "currents": lambda self, potentials, own, sensed: potentials,
        "parameters": lambda self: (),
    }
    promise = type("Promise", (MultiTerminal,), body)
    with pytest.raises(PhysnetError, match=f"Promise: with {flag} = True it must define (constraint|cocontent)"):
        promise()
    with pytest.raises(PhysnetError, match="SquareLawTransistor: it is not reciprocal"):
        SquareLawTransistor.example().cocontent(jnp.zeros(4))
