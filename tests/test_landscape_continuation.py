"""How equilibria move, merge and vanish, against closed forms: folds, pitchforks, crossings, Hopf points."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from landscapes import CoupledWells, _Surface, coupled_wells, coupled_wells_equilibria
from scipy.optimize import brentq

from circuits import Circuit, TunnelDiode
from oscillators import AllToAll, Dense, Kuramoto, PhaseNetwork
from physnet import ConvergenceError, results
from physnet.landscape.branches.bifurcation import bifurcation_diagram
from physnet.landscape.branches.continuation import follow_equilibrium
from physnet.landscape.branches.families import vary_input, vary_parameter
from physnet.system import System
from physnet.variable import Variable

EXACT = 1e-8


class Curves(_Surface):
    """E = s^3/3 - a s^2/2 + (b^2 - c) s: steady at s^2 - a s + b^2 - c = 0, a circle over b where a is 0."""

    parameters = ()
    input_shape = (3,)

    def energy(self, state, inputs):
        a, b, c = inputs
        return jnp.sum(state**3 / 3 - a * state**2 / 2 + (b**2 - c) * state)

    def initial_state(self, inputs, key=None):
        return jnp.zeros(1)


class Polynomial(_Surface):
    """E = sum_k c_k s^(k+1) / (k+1) - f s: steady where the polynomial of coefficients c equals the force f."""

    coefficients: Array
    parameters = ()
    input_shape = (1,)

    def energy(self, state, inputs):
        power = jnp.arange(1, self.coefficients.size + 1)
        return jnp.sum(self.coefficients * state**power / power) - inputs[0] * jnp.sum(state)

    def initial_state(self, inputs, key=None):
        return jnp.zeros(1)


class Turning(System):
    """r' = m r - r^3, theta' = 2 in the plane, and a third coordinate that decays at rate 3: no energy."""

    variables = (Variable("position", ("axis",), "m", "position"),)
    parameters = ()
    input_variable = Variable("gain", ("input",), "s-1", "growth rate at the origin")
    output_variable = Variable("reading", ("output",), "m", "position")
    residual_units, energy_units, input_shape = "m s-1", "1", (1,)

    def default_relaxer(self):
        raise NotImplementedError

    def default_inputs(self):
        return jnp.zeros(1)

    def initial_state(self, inputs, key=None):
        return jnp.zeros(3)

    def outputs(self, state, inputs):
        return state

    def vector_field(self, state, inputs):
        x, y, z = state
        grow = inputs[0] - x**2 - y**2
        return jnp.stack([grow * x - 2 * y, grow * y + 2 * x, -3 * z])

    def residual(self, state, inputs):
        return -self.vector_field(state, inputs)


def of_kind(found, kind):
    return sorted(point.value for point in found.special if point.kind == kind)


@pytest.fixture(scope="module")
def diagram():
    """Two equal double wells, along the stiffness of the spring between them, from all equilibria at 0.1 N/m."""
    family = vary_parameter(coupled_wells(1.0, 0.2), name="coupling")
    states = [jnp.array([a, b]) for a, b, _, _ in coupled_wells_equilibria(1.0, 0.1)]
    return bifurcation_diagram(family, states, 0.1, 3.0)


def test_a_double_well_under_a_force_folds_where_its_cubic_does():
    # 4h x (x^2 - 1) = f has two equal roots at x = -+1/sqrt(3), where |f| = 8h / (3 sqrt 3).
    height, fold = 1.3, 8 * 1.3 / (3 * np.sqrt(3))
    branch = follow_equilibrium(vary_input(coupled_wells(height, 0.0), which=0), jnp.array([-1.0, -1.0]), -3.0, 3.0)
    with pytest.raises(ConvergenceError, match=r"force_0 = -3 N.*relative residual"):
        follow_equilibrium(vary_input(coupled_wells(height, 0.0), which=0), jnp.array([5e5, -1.0]), -3.0, 3.0)
    np.testing.assert_allclose(of_kind(branch, "fold"), [-fold, fold], rtol=0, atol=EXACT)
    assert [(p.index_before, p.index_after) for p in branch.special] == [(0, 1), (1, 0)]
    np.testing.assert_allclose([p.vector[0] for p in branch.special], [-(3**-0.5), 3**-0.5], atol=EXACT)
    assert branch.ended == "end of the range" and branch.value[0] == -3 and branch.value[-1] == 3
    assert branch.converged.all() and branch.residual.max() < 1e-12
    x = branch.vector[:, 0]
    np.testing.assert_allclose(4 * height * x * (x**2 - 1), branch.value, atol=1e-10)
    np.testing.assert_array_equal(branch.stable, 3 * x**2 > 1)
    np.testing.assert_allclose(branch.curvature.min(axis=1), np.minimum(4 * height * (3 * x**2 - 1), 8 * height))
    np.testing.assert_allclose(branch.energy, height * (x**2 - 1) ** 2 - branch.value * x, atol=1e-9)


def test_a_branch_ends_where_it_is_told_to():
    family, well = vary_input(coupled_wells(1.0, 0.0), which=0), jnp.array([-1.0, -1.0])
    to_fold = follow_equilibrium(family, well, 0.0, 3.0, to_fold=True)
    assert to_fold.ended == "fold" and to_fold.stable.all() and len(to_fold.special) == 1
    short = follow_equilibrium(family, well, 0.0, 3.0, max_points=5)
    assert short.ended == "max_points" and len(short) == 5
    states, index = follow_equilibrium(family, well, -3.0, 3.0).at(0.5)
    expected = np.sort(np.roots([4, 0, -4, -0.5]).real)
    np.testing.assert_allclose(np.sort(states[:, 0]), expected, atol=1e-12)
    assert sorted(index) == [0, 0, 1]


def test_coupled_wells_have_every_branch_of_the_roots_at_every_coupling(diagram):
    # 4h x (x^2 - 1) + k (x - y) = 0. (a, -a) has a^2 = 1 - k/2h, gone at k = 2h; its in-phase curvature 4h (3a^2 - 1)
    # vanishes at a^2 = 1/3, k = 4h/3, where the states of two sizes end on it.
    np.testing.assert_allclose(of_kind(diagram, "pitchfork"), [4 / 3, 4 / 3, 2], rtol=0, atol=EXACT)
    assert diagram.complete and len(diagram.special) == 3
    for coupling in [0.11, 0.5, 1.0, 1.3, 1.36, 1.9, 2.05, 2.9]:
        states, index, _ = diagram.at(coupling)
        expected = coupled_wells_equilibria(1.0, coupling)
        assert len(states) == len(expected)
        order, known = np.lexsort(states.round(6).T), np.array([item[:2] for item in expected])
        known_order = np.lexsort(known.round(6).T)
        np.testing.assert_allclose(states[order], known[known_order], atol=1e-7)
        np.testing.assert_array_equal(index[order], np.array([item[3] for item in expected])[known_order])


def test_one_state_leads_to_all_that_hang_together_with_it(diagram):
    grown = bifurcation_diagram(diagram.family, [jnp.zeros(2)], 3.0, 0.1)
    np.testing.assert_allclose(of_kind(grown, "pitchfork"), [4 / 3, 4 / 3, 2], rtol=0, atol=EXACT)
    _, index, _ = grown.at(0.5)
    assert sorted(index) == [0, 0, 1, 1, 1, 1, 2]  # all but (1, 1) and (-1, -1), which nothing connects
    middle = bifurcation_diagram(diagram.family, [jnp.zeros(2)], 0.1, 3.0, at=1.0)
    assert len(middle.at(0.5)[0]) == 7 and len(middle) == len(grown)
    first = bifurcation_diagram(diagram.family, [jnp.zeros(2)], 3.0, 0.1, max_branches=1)
    assert len(first) == 1 and not first.complete and grown.complete


def test_diagrams_are_datasets(diagram, tmp_path):
    ds = results.open(results.save(diagram.to_dataset(), tmp_path / "diagram.nc"))
    assert results.validate(ds) == []
    assert ds.special_kind.values.tolist() == ["pitchfork"] * 3
    assert ds.coupling.dims == ("point",) and ds.coupling.units == "N m-1" and ds.position.dims == ("point", "axis")
    assert ds.special_coupling.dims == ("special",) and ds.special_position.dims == ("special", "axis")
    assert (np.diff(ds.arc_length.values[ds.branch.values == 2]) > 0).all()
    assert ds.force.values.tolist() == [0, 0] and ds.height == 1
    plain = follow_equilibrium(vary_input(coupled_wells(1.0, 0.0), which=0), jnp.ones(2), 0.0, 3.0).to_dataset()
    assert "special" not in plain.dims and np.isnan(plain.force.values[0]) and plain.force.values[1] == 0
    assert results.save(plain, tmp_path / "plain.nc")


def test_directions_that_soften_together_are_one_multiple_point():
    family = vary_parameter(coupled_wells(1.0, 0.0), name="height")
    branch = follow_equilibrium(family, jnp.zeros(2), -1.0, 1.7)
    assert [point.kind for point in branch.special] == ["multiple"]
    assert abs(branch.special[0].value) < EXACT and branch.special[0].index_after == 2


def test_two_lines_cross_in_a_transcritical_point():
    family = vary_input(Curves(), which=0)  # s (s - a) = 0
    found = bifurcation_diagram(family, [jnp.zeros(1)], -1.0, 2.0)
    np.testing.assert_allclose(of_kind(found, "transcritical"), [0.0], atol=EXACT)
    assert len(found) == 2 and len(found.special) == 1
    for a in (-0.7, 0.4, 1.7):
        states, index, _ = found.at(a)
        order = np.argsort(states[:, 0])
        np.testing.assert_allclose(states[order, 0], sorted([0, a]), atol=1e-12)
        assert index[order].tolist() == [1, 0]


@pytest.mark.parametrize("gap", [1e-4, 1e-6, 1e-8])
def test_curves_that_nearly_cross_are_not_confused(gap):
    family = vary_input(Curves(), jnp.array([0.0, 0.0, gap]), which=0)  # s^2 - a s = gap
    branch = follow_equilibrium(family, -jnp.ones(1), -1.0, 2.0)
    a = branch.value
    np.testing.assert_allclose(branch.vector[:, 0], -2 * gap / (a + np.hypot(a, 2 * gap**0.5)), rtol=1e-6, atol=1e-12)
    assert branch.special == () and (branch.index == 1).all() and a[-1] == 2


def test_a_circle_of_equilibria_closes():
    family = vary_input(Curves(), jnp.array([0.0, 0.0, 1.0]), which=1)  # s^2 + b^2 = 1
    found = bifurcation_diagram(family, [jnp.ones(1), -jnp.ones(1)], -2.0, 2.0, at=0.0)
    assert len(found) == 1 and found.branches[0].ended == "closed"
    np.testing.assert_allclose(of_kind(found, "fold"), [-1, 1], atol=EXACT)
    branch = found.branches[0]
    np.testing.assert_allclose(branch.vector[:, 0] ** 2 + branch.value**2, 1, atol=1e-10)
    states, index, _ = found.at(0.5)
    np.testing.assert_allclose(np.abs(states[:, 0]), np.sqrt(0.75))
    np.testing.assert_array_equal(index, states[:, 0] < 0)


def test_phases_under_a_second_harmonic_leave_the_field_at_a_pitchfork():
    # Both at phi: E/2pi = -2 h cos(phi) - S cos(2 phi) - W. At phi = 0 the Hessian is h + 2S in phase and h + 2S + 2W
    # out of phase; below h = -2S the minima are at cos(phi) = -h / 2S.
    weight, second = 0.3, -0.5
    network = PhaseNetwork(AllToAll(weight, 2), fields=1.0, second_harmonic=second)
    found = bifurcation_diagram(vary_parameter(network, name="field"), [jnp.zeros(2)], 2.0, 0.2)
    values = of_kind(found, "pitchfork")
    for expected in (-2 * second, -2 * second - 2 * weight):
        assert np.abs(np.array(values) - expected).min() < EXACT
    states, index, _ = found.at(0.7)
    stable = np.sort(states[index == 0][:, 0])
    np.testing.assert_allclose(stable, [-np.arccos(0.7), np.arccos(0.7)], atol=1e-10)
    assert index[np.abs(states).max(axis=1) < 1e-9] == [1]


def test_two_oscillators_lock_up_to_a_detuning_of_twice_their_coupling():
    # d(phi1 - phi2)/dt = 2 pi [f1 - f2 - 2 W sin(phi1 - phi2)]: a closed curve, half of it stable.
    found = bifurcation_diagram(vary_input(PhaseNetwork(AllToAll(0.2, 2)), which=0), [jnp.zeros(2)], -1.0, 1.0, at=0.0)
    assert len(found) == 1 and found.branches[0].ended == "closed"
    np.testing.assert_allclose(of_kind(found, "fold"), [-0.4, 0.4], atol=EXACT)
    branch = found.branches[0]
    apart = branch.vector[:, 0] - branch.vector[:, 1]
    np.testing.assert_allclose(0.4 * np.sin(apart), branch.value, atol=1e-10)
    np.testing.assert_array_equal(branch.stable, np.cos(apart) > 0)
    np.testing.assert_allclose(branch.curvature[:, 0], 2 * np.pi * 0.4 * np.cos(apart), atol=1e-9)


def test_phases_without_an_energy_lose_their_lock_in_the_same_way():
    # With a coupling phase b: d(phi1 - phi2)/dt = 2 pi [f1 - f2 - 2 W cos(b) sin(phi1 - phi2)].
    network = Kuramoto(AllToAll(0.2, 2, phase=0.5))
    branch = follow_equilibrium(vary_input(network, which="0"), jnp.zeros(2), 0.0, 1.0)
    np.testing.assert_allclose(of_kind(branch, "fold"), [0.4 * np.cos(0.5)], atol=EXACT)
    assert branch.ended == "end of the range" and branch.value[-1] == 0 and np.isnan(branch.energy).all()
    assert abs(abs(branch.vector[-1, 0] - branch.vector[-1, 1]) - np.pi) < 1e-9
    assert results.validate(branch.to_dataset()) == [] and "energy" not in branch.to_dataset()


def test_an_oscillation_is_born_at_a_hopf_point():
    branch = follow_equilibrium(vary_input(Turning()), jnp.zeros(3), -1.0, 1.3)
    (hopf,) = branch.special
    assert hopf.kind == "hopf" and abs(hopf.value) < EXACT and abs(hopf.frequency - 2) < EXACT
    assert (hopf.index_before, hopf.index_after) == (0, 2)
    np.testing.assert_array_equal(branch.stable, branch.value < 0)
    np.testing.assert_allclose(branch.curvature, np.stack([-branch.value] * 2 + [np.full(len(branch), 3)], 1))


def test_a_tunnel_diode_switches_where_the_load_line_touches_its_curve():
    # Vs = v + R i(v) turns where 1 + R di/dv = 0.
    peak, at, saturation, thermal, resistance = 4.7e-3, 0.065, 1e-11, 0.02585, 200.0

    def supply(v):
        return v + resistance * (peak * v / at * np.exp(1 - v / at) + saturation * np.expm1(v / thermal))

    def slope(v):
        tunnel = peak / at * (1 - v / at) * np.exp(1 - v / at)
        return 1 + resistance * (tunnel + saturation / thermal * np.exp(v / thermal))

    folds = [supply(brentq(slope, *bracket, xtol=1e-16)) for bracket in ((0.13, 0.45), (0.066, 0.13))]
    circuit = Circuit().voltage_source("V1", "in", 0, 0.7).resistor("R1", "in", "out", resistance=resistance)
    circuit.add("D1", "out", 0, TunnelDiode()).capacitor("C1", "out", 0, capacitance=1e-12)
    system = circuit.build(inputs=["V1"], outputs=["out"])
    branch = follow_equilibrium(vary_input(system, [0.0], "V1"), system.initial_state(jnp.zeros(1)), 0.0, 1.5)
    np.testing.assert_allclose(of_kind(branch, "fold"), folds, rtol=0, atol=EXACT)
    assert branch.converged.all()
    np.testing.assert_allclose(supply(branch.outputs[:, 0]), branch.value, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_every_fold_of_a_random_polynomial_is_met(seed):
    p = 20 * np.polynomial.Polynomial.fromroots(np.random.default_rng(seed).uniform(-1, 1, 7))
    turns = p.deriv().roots().real  # six real ones, as the seven roots are
    top = 1.3 * np.abs(p(turns)).max()
    ends = (p + top).roots()
    first = ends.real[np.abs(ends.imag) < 1e-9].min()
    branch = follow_equilibrium(vary_input(Polynomial(jnp.asarray(p.coef))), jnp.array([first]), -top, top)
    assert [point.kind for point in branch.special] == ["fold"] * 6 and branch.value[-1] == top
    found = [point.value for point in branch.special]
    np.testing.assert_allclose(found, p(np.sort(turns)), rtol=0, atol=EXACT * top)


@pytest.mark.slow
def test_equal_directions_of_a_ring_soften_in_pairs():
    # In phase on a ring of 8, W = -1 Hz, the Hessian is 2 S - 2 (1 - cos q), q = 2 pi k / 8: twice the same but at pi.
    weights = -(np.roll(np.eye(8), 1, axis=0) + np.roll(np.eye(8), -1, axis=0))
    ring = PhaseNetwork(Dense(weights), second_harmonic=0.2)
    branch = follow_equilibrium(vary_parameter(ring, name="second_harmonic"), jnp.zeros(8), 0.2, 3.0)
    assert [point.kind for point in branch.special] == ["multiple"] * 3 + ["pitchfork"]
    expected = 1 - np.cos(np.pi * np.arange(1, 5) / 4)
    np.testing.assert_allclose([point.value for point in branch.special], expected, rtol=0, atol=EXACT)
    # At the last one the alternating states (x, -x, ...) all have the same energy: a line of them at one value.
    grown = bifurcation_diagram(vary_parameter(ring, name="second_harmonic"), [jnp.zeros(8)], 1.8, 3.0)
    line = grown.branches[1]
    np.testing.assert_allclose(line.value, 2, atol=1e-12)
    np.testing.assert_allclose(line.vector, line.vector[:, :1] * np.resize([1, -1], 8), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("height", [0.5, 2.0, 7.0])
@pytest.mark.parametrize("step", [0.02, 0.1])
def test_pitchforks_do_not_depend_on_the_step(height, step):
    family = vary_parameter(CoupledWells(jnp.asarray(height), jnp.asarray(0.2)), name="coupling")
    found = bifurcation_diagram(family, [jnp.zeros(2)], 3 * height, 0.1 * height, step=step)
    expected = [4 * height / 3, 4 * height / 3, 2 * height]
    np.testing.assert_allclose(of_kind(found, "pitchfork"), expected, rtol=0, atol=EXACT)
