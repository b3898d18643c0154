"""Every exported element against its own definition: current is the slope of co-content, conductance its curvature."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import circuits
from circuits import Capacitor, CurrentSource, Element, IdealDiode, Resistor, ShockleyDiode, VoltageSource
from circuits.limiting import Limited
from physnet import PhysnetError

KINDS = [x for x in vars(circuits).values() if isinstance(x, type) and issubclass(x, Element) and x is not Element]


def example(kind):
    """An element of a kind: its own defaults, and 0.7 in SI units for what has none."""
    required = [f for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
    return kind(*[0.7] * len(required))


ELEMENTS = [example(kind) for kind in KINDS] + [Limited(ShockleyDiode(), 0.45)]
LAWFUL = [element for element in ELEMENTS if element.law != "voltage"]


def name(element):
    return type(element).__name__


def voltages(element, n=41):
    """Voltages that the element can have, within a volt of zero: an ideal diode's end at zero."""
    return np.linspace(-1.0, 0.0 if element.law == "inequality" else 0.6, n)


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_current_is_the_derivative_of_cocontent(element):
    v = jnp.asarray(voltages(element))
    slope = jax.vmap(jax.grad(element.cocontent))(v)
    current = element.current(v)
    np.testing.assert_allclose(slope, current, rtol=1e-12, atol=1e-14 * np.abs(current).max())


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_cocontent_is_the_integral_of_current(element):
    for v in voltages(element, 7):
        area, error = quad(lambda u: float(element.current(u)), 0, v, epsabs=0, epsrel=1e-12)
        assert float(element.cocontent(v)) == pytest.approx(area, rel=1e-9, abs=max(10 * error, 1e-24))
    assert float(element.cocontent(0.0)) == 0


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_conductance_is_the_derivative_of_current(element):
    v = jnp.asarray(voltages(element))
    slope = jax.vmap(jax.grad(element.current))(v)
    # JAX takes the derivative of expm1 as expm1 + 1, which is right to eps of its value at zero.
    rounding = 4 * np.finfo(float).eps * float(element.differential_conductance(0.0))
    np.testing.assert_allclose(element.differential_conductance(v), slope, rtol=1e-12, atol=rounding)


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_currents_never_fall_so_that_the_cocontent_is_convex(element):
    v = jnp.asarray(voltages(element))
    assert np.all(np.diff(element.current(v)) >= 0)
    assert np.all(element.differential_conductance(v) >= 0)


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_elements_but_sources_are_passive(element):
    v = jnp.asarray(voltages(element))
    power = v * element.current(v)
    assert isinstance(element, CurrentSource) or np.all(power >= 0)


@pytest.mark.parametrize("element", LAWFUL, ids=name)
def test_a_quadratic_cocontent_has_no_third_derivative(element):
    v = jnp.asarray(voltages(element, 5))
    third = jax.vmap(jax.grad(jax.grad(jax.grad(element.cocontent))))(v)
    assert element.quadratic == bool(np.all(third == 0))


@pytest.mark.parametrize("element", ELEMENTS, ids=name)
def test_laws_act_on_groups_and_keep_single_precision(element):
    group = jax.tree.map(lambda leaf: jnp.full(3, leaf, jnp.float32), element)
    v = jnp.asarray([-0.3, -0.2, -0.1], jnp.float32)
    for law in (element.current, element.differential_conductance, element.cocontent):
        assert law(v).shape == (3,)
    for law in (group.current, group.differential_conductance, group.cocontent):
        assert law(v).shape == (3,)
        assert law(v).dtype == jnp.float32


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_a_described_parameter(kind):
    element = example(kind)
    described = [p.get(element) for p in element.parameters()]
    assert len(described) == len(jax.tree.leaves(eqx.filter(element, eqx.is_inexact_array_like)))
    for p in element.parameters():
        assert p.variable.units and p.variable.long_name
    learns = [p.variable.name for p in element.parameters() if p.trainable]
    assert learns == (["conductance"] if kind is Resistor else [])


def test_open_resistor_is_allowed_and_does_not_conduct():
    assert not Resistor(0.0).conducts
    assert Resistor(1e-6).conducts
    assert float(Resistor(0.0).current(3.0)) == 0
    assert not Resistor(1.0, trainable=False).parameters()[0].trainable


def test_ideal_diode_has_no_place_above_zero():
    diode = IdealDiode()
    assert diode.cocontent(jnp.array([-2.0, 0.0, 1e-9])).tolist() == [0, 0, np.inf]
    assert diode.current(jnp.array([-2.0, 0.0, 1e-9])).tolist() == [0, 0, np.inf]


def test_voltage_source_fixes_its_voltage_only():
    source = VoltageSource(1.5)
    assert source.cocontent(jnp.array([1.5, 1.4])).tolist() == [0, np.inf]
    assert np.isnan(source.current(1.5))


def test_shockley_diode_from_temperature():
    diode = ShockleyDiode.at_temperature(1e-12, ideality=2.0, temperature=300.0)
    assert diode.thermal_voltage == pytest.approx(2 * 0.02585, rel=1e-3)
    # The current at the knee of a current is that current.
    assert float(diode.current(diode.knee(1e-3))) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resistor(-0.2), r"conductance -0\.2 S; .* Did you pass ohms"),
        (lambda: Resistor(jnp.array([1.0, np.nan])), "conductance nan S"),
        (lambda: Capacitor(-1e-12), "capacitance -1e-12 F"),
        (lambda: ShockleyDiode(0.0), "saturation current 0 A"),
        (lambda: ShockleyDiode(1e-14, -0.02), "thermal voltage -0.02 V"),
        (lambda: ShockleyDiode.at_temperature(temperature=-3.0), "temperature -3 K"),
        (lambda: ShockleyDiode.at_temperature(ideality=0.0), "ideality 0"),
        (lambda: VoltageSource(np.nan), "voltage nan V"),
        (lambda: CurrentSource(np.inf), "current inf A"),
    ],
)
def test_values_that_cannot_be(make, message):
    with pytest.raises(PhysnetError, match=message):
        make()
