"""The tunnel diode: its law, and the circuit with three operating points that it makes. Oracles: numpy and scipy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from circuits import Circuit, Resistor, SparseSolver, TunnelDiode
from circuits.operating_point import OperatingPoint
from physnet import Newton, PhysnetError, integrate, relax

PEAK, AT, IS, A = 4.7e-3, 0.065, 1e-11, 0.02585
RESISTANCE, CAPACITANCE = 200.0, 1e-12
SUPPLIES = (0.3, 0.5, 0.7, 0.9, 1.1)  # V: one, three, three, three, one operating point


def law(v):
    """The current, A, written down once more with numpy."""
    return PEAK * v / AT * np.exp(1 - v / AT) + IS * np.expm1(v / A)


def operating_points(supply):
    """[V] where the diode meets the load line of the resistor: changes of sign on a fine grid, then brentq."""
    v = np.linspace(-0.1, 0.7, 20_001)
    excess = law(v) + (v - supply) / RESISTANCE
    places = np.flatnonzero(np.sign(excess[1:]) != np.sign(excess[:-1]))
    return [brentq(lambda u: law(u) + (u - supply) / RESISTANCE, v[k], v[k + 1], xtol=1e-16) for k in places]


@pytest.fixture(scope="module")
def bistable():
    circuit = Circuit().voltage_source("V1", "in", 0, 0.7).resistor("R1", "in", "out", resistance=RESISTANCE)
    circuit.add("D1", "out", 0, TunnelDiode()).capacitor("C1", "out", 0, capacitance=CAPACITANCE)
    return circuit.build(inputs=["V1"], outputs=["out"])


def test_peak_slope_and_content_are_those_of_the_formula():
    diode = TunnelDiode()
    v = np.array([-0.2, -1e-3, 0.03, AT, 2 * AT, 0.4, 0.5])
    np.testing.assert_allclose(diode.current(jnp.asarray(v)), law(v), rtol=1e-13)
    assert float(diode.current(AT)) == pytest.approx(PEAK + IS * np.expm1(AT / A), rel=1e-14)
    # The tunnel falls fastest at 2 Vp, by Ip / (e Vp).
    fall = -PEAK / (np.e * AT) + IS / A * np.exp(2 * AT / A)
    assert float(diode.differential_conductance(2 * AT)) == pytest.approx(fall, rel=1e-13)
    for end in v:
        assert float(diode.cocontent(end)) == pytest.approx(quad(law, 0, end, epsabs=0, epsrel=1e-12)[0], rel=1e-10)


def test_knees_bound_the_voltage_on_every_branch():
    """From far below the valley to far above the peak no voltage above the knee carries less; reverse likewise."""
    diode = TunnelDiode()
    current = np.logspace(-12, 1, 40)
    knee, reverse = np.asarray(diode.knee(jnp.asarray(current))), np.asarray(diode.reverse_knee(jnp.asarray(current)))
    np.testing.assert_allclose(law(knee), current, rtol=1e-9)
    np.testing.assert_allclose(law(reverse), -current, rtol=1e-12)
    above = knee + np.linspace(1e-6, 1.0, 500)[:, None]
    assert np.all(law(above) >= current)
    assert np.all(np.diff(knee) > 0) and np.all(np.diff(reverse) < 0)


def test_a_load_line_is_met_somewhere_and_beside_a_start_that_is_near():
    roots = np.array(operating_points(0.7))
    drive, shunt = jnp.asarray(0.7 / RESISTANCE), jnp.asarray(1 / RESISTANCE)
    stable = roots[[0, 2]]
    starts = np.concatenate([[-1.0, 0.0, 0.3, 0.7, 40.0], stable - 1e-3, stable + 1e-3])
    found = np.asarray(TunnelDiode().on_load_line(drive, shunt, jnp.asarray(starts)))
    assert np.abs(found[:, None] - roots).min(axis=1).max() <= 1e-14
    np.testing.assert_allclose(found[5:], [*stable, *stable], rtol=1e-12)


def test_a_resistor_and_a_tunnel_diode_have_the_operating_points_of_scipy(bistable):
    for supply, count in zip(SUPPLIES, (1, 3, 3, 3, 1)):
        roots = operating_points(supply)
        assert len(roots) == count
        # Beside the outer ones these; plain Newton steps find the unstable one too.
        outer = relax(bistable, [[supply]] * 2, initial=jnp.asarray([[roots[0] - 5e-3], [roots[-1] + 5e-3]]))
        assert np.all(outer.residual <= 1e-12)
        np.testing.assert_allclose(outer.state[:, 0], [roots[0], roots[-1]], rtol=1e-12)
        if count == 3:
            middle = relax(bistable, [supply], initial=jnp.asarray([roots[1] + 1e-3]), relaxer=Newton())
            np.testing.assert_allclose(middle.state, roots[1:2], rtol=1e-9)


def test_the_middle_point_is_left_and_the_outer_ones_are_kept(bistable):
    """Small displacements grow or shrink at -(di/dv + 1/R) / C; a start on either side ends on that side."""
    low, middle, high = operating_points(0.7)
    rate = -(float(TunnelDiode().differential_conductance(middle)) + 1 / RESISTANCE) / CAPACITANCE
    assert rate > 0
    times = np.linspace(0, 5e-10, 21)
    for sign in (1, -1):
        run = integrate(bistable, [0.7], times, initial=jnp.asarray([middle + sign * 1e-6]))
        grown = sign * (np.asarray(run.state)[:, 0] - middle)
        linear = grown < 1e-4
        np.testing.assert_allclose(grown[linear], 1e-6 * np.exp(rate * times[linear]), rtol=2e-2)
    after = [
        integrate(bistable, [0.7], [0, 1e-8], initial=jnp.asarray([middle + d])).state[-1, 0] for d in (-0.01, 0.01)
    ]
    np.testing.assert_allclose(after, [low, high], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("cells", [60, 200])
def test_rows_of_bistable_cells_settle_by_dense_and_sparse_solvers(cells):
    """Weakly coupled cells keep the side that each starts on, so that a row of n has 2^n stable states."""
    circuit, nodes = Circuit().voltage_source("V1", "in", 0, 0.7), [f"n{k}" for k in range(cells)]
    circuit.add_many("feed", "in", nodes, Resistor(np.full(cells, 1 / RESISTANCE)))
    circuit.add_many("diode", nodes, 0, TunnelDiode(np.full(cells, PEAK)))
    circuit.add_many("link", nodes[:-1], nodes[1:], Resistor(np.full(cells - 1, 1e-5)))
    up = np.random.default_rng(0).random(cells) < 0.5
    relaxers = (None, OperatingPoint(solver=SparseSolver()))
    for relaxer in relaxers:
        found = relax(circuit.build(inputs=["V1"]), initial=jnp.where(up, 0.5, 0.0), relaxer=relaxer)
        assert float(found.residual) <= 1e-12
        low, _, high = operating_points(0.7)
        np.testing.assert_allclose(found.state, np.where(up, high, low), atol=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peak_current": 0.0}, "peak current 0 A; it must be finite and above 0"),
        ({"peak_voltage": -0.1}, "peak voltage -0.1 V"),
        ({"saturation_current": np.inf}, "saturation current inf A"),
        ({"thermal_voltage": 0.0}, "thermal voltage 0 V"),
    ],
)
def test_values_that_no_tunnel_diode_has_are_refused(change, message):
    with pytest.raises(PhysnetError, match=f"TunnelDiode: {message}"):
        TunnelDiode(**change)
