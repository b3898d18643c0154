"""What is special to single elements, and the values they refuse; laws that all share: test_element_library.py."""

import jax.numpy as jnp
import numpy as np
import pytest

from circuits import Capacitor, CurrentSource, IdealDiode, Resistor, ShockleyDiode, VoltageSource
from physnet import PhysnetError


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
