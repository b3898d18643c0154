"""What separates minima: descents in time, saddles and what they connect, barriers, the tree. Against closed forms."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from landscapes import (
    MUELLER_BROWN_MINIMA,
    MUELLER_BROWN_SADDLES,
    MuellerBrown,
    coupled_wells,
    coupled_wells_equilibria,
)
from scipy.integrate import solve_ivp

import oscillators
from circuits import Circuit, TunnelDiode
from physnet import Nudge, SquaredError, results
from physnet.errors import PhysnetError
from physnet.landscape import Chart, Symmetry, find_equilibria
from physnet.landscape.descent import Descent, followed
from physnet.landscape.lanes import relaxed
from physnet.landscape.passes.connections import connect
from physnet.landscape.passes.exploration import explore
from physnet.landscape.passes.tree import disconnectivity, merges

WITHIN = {"wells": (-1.5, 1.5), "mueller": (np.array([-1.5, -0.5]), np.array([1.0, 2.0]))}
SYSTEMS = {
    "mueller": MuellerBrown,
    "wells": coupled_wells,
    "ring": lambda: oscillators.PhaseNetwork(oscillators.ring(8, 1.0)),
    "triangle": lambda: oscillators.PhaseNetwork(oscillators.ring(3, -1.0)),
}


@pytest.fixture(scope="module")
def explored():
    """explored("ring"): its landscape, worked out once."""
    known = {}

    def of(name):
        if name not in known:
            known[name] = explore(SYSTEMS[name](), starts=64, within=WITHIN.get(name))
        return known[name]

    return of


def mueller_slope(place):
    x, y = place
    strength, a, b = np.array([-200, -100, -170, 15.0]), np.array([-1, -1, -6.5, 0.7]), np.array([0, 0, 11, 0.6])
    c, dx, dy = np.array([-10, -10, -6.5, 0.7]), x - np.array([1, 0, -0.5, -1]), y - np.array([0, 0.5, 1.5, 1])
    terms = strength * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
    return np.array([np.sum(terms * (2 * a * dx + b * dy)), np.sum(terms * (b * dx + 2 * c * dy))])


def wells_slope(place):
    x, y = place
    return 4 * place * (place**2 - 1) + 0.2 * np.array([x - y, y - x])


def paired(landscape):
    """[(saddle, set of its ends)]."""
    return [(int(s), set(map(int, ends))) for s, ends in zip(landscape.saddle, landscape.end, strict=True)]


# Descent


def test_descents_end_where_the_dynamics_do():
    """From starts all over, most of them far from their minima: against scipy's integration of the same rates."""
    for name, slope, duration in (("wells", wells_slope, 8.0), ("mueller", mueller_slope, 0.15)):
        starts = np.random.default_rng(0).uniform(*WITHIN[name], size=(12, 2))
        ends, converged = followed(Chart.of(SYSTEMS[name]()), starts)
        assert converged.all()
        way = {"fun": lambda t, s, slope=slope: -slope(s), "rtol": 1e-9, "atol": 1e-11, "method": "LSODA"}
        exact = [solve_ivp(t_span=(0, duration), y0=start, **way).y[:, -1] for start in starts]
        np.testing.assert_allclose(ends, exact, atol=1e-7)


def test_descents_do_not_depend_on_how_many_go_together():
    chart = Chart.of(coupled_wells())
    starts = np.random.default_rng(1).uniform(-1.5, 1.5, size=(70, 2))
    together, converged = followed(chart, starts)
    assert converged.all()
    apart = followed(chart, starts[::-1], chunk=64)[0][::-1]
    np.testing.assert_array_equal(together, apart)


def test_a_start_next_to_a_saddle_leaves_it_and_one_on_it_stays():
    chart = Chart.of(coupled_wells())
    x, y = next((x, y) for x, y, _, index in coupled_wells_equilibria() if index == 1)
    hessian = np.diag(4 * (3 * np.array([x, y]) ** 2 - 1) + 0.2) - 0.2 * (1 - np.eye(2))
    mode = np.linalg.eigh(hessian)[1][:, 0]
    ends, converged = followed(chart, np.array([x, y]) + 1e-7 * np.array([[-1], [1]]) * mode)
    assert converged.all()
    crossing = np.argmax(np.abs(mode))
    assert {*np.sign(ends[:, crossing])} == {-1.0, 1.0}
    assert np.all(np.sign(ends[:, 1 - crossing]) == np.sign((x, y)[1 - crossing]))
    _, converged = followed(chart, np.zeros((1, 2)))
    assert not converged.any()


def test_descent_refuses_what_has_no_energy():
    with pytest.raises(PhysnetError, match="has no energy whose slope is its residual"):
        followed(Chart.of(oscillators.Kuramoto(oscillators.ring(3, 1.0))), np.zeros((1, 3)), relaxer=Descent())


@pytest.mark.slow
def test_stiff_circuits_are_followed_to_the_end():
    """Two tunnel diodes with capacitances 1e5 apart: too stiff for explicit steps. Against scipy's Radau."""
    circuit = Circuit().voltage_source("V1", "in", 0, 0.7).resistor("Rc", "n1", "n2", resistance=2000.0)
    capacitance = np.array([1e-12, 1e-7])
    for node, farads in zip(("n1", "n2"), capacitance.tolist(), strict=True):
        circuit.resistor(f"R{node}", "in", node, resistance=200.0).capacitor(f"C{node}", node, 0, capacitance=farads)
        circuit.add(f"D{node}", node, 0, TunnelDiode())
    chart = Chart.of(circuit.build(inputs=["V1"], outputs=["n1", "n2"]))

    def velocity(t, v):
        diode = 4.7e-3 * v / 0.065 * np.exp(1 - v / 0.065) + 1e-11 * np.expm1(v / 0.02585)
        return (-diode - (v - 0.7) / 200 + (v[::-1] - v) / 2000) / capacitance

    starts = np.random.default_rng(0).uniform(0, 0.7, (16, 2))
    assert not relaxed(chart, starts, Descent())[1].all()
    ends, converged = followed(chart, starts)
    assert converged.all()
    way = {"method": "Radau", "rtol": 1e-8, "atol": 1e-10}
    exact = [solve_ivp(velocity, (0, 1e-3), start, **way).y[:, -1] for start in starts]
    np.testing.assert_allclose(ends, exact, atol=1e-10)


# Known landscapes


def test_mueller_brown(explored):
    """Three minima and two saddles as published; A-C-B in a row."""
    found = explored("mueller")
    (a, b, c), (low, high) = MUELLER_BROWN_MINIMA, MUELLER_BROWN_SADDLES
    exact = [a, b, c, low, high]
    np.testing.assert_allclose(found.equilibria.energy, [energy for _, energy in exact], atol=1e-8)
    np.testing.assert_allclose(found.equilibria.vector, [place for place, _ in exact], atol=1e-8)
    assert found.equilibria.index.tolist() == [0, 0, 0, 1, 1]
    assert paired(found) == [(3, {1, 2}), (4, {0, 2})]
    assert found.barrier(0, 1) == pytest.approx(high[1] - a[1], abs=1e-6)
    assert found.barrier(1, 2) == pytest.approx(low[1] - b[1], abs=1e-6)
    assert found.barrier(2, 1) == pytest.approx(low[1] - c[1], abs=1e-6)
    assert found.barrier(1, 0) == pytest.approx(high[1] - b[1], abs=1e-6)


def test_coupled_wells(explored):
    """All nine equilibria; a saddle joins the two minima on either side of the well that it crosses."""
    found, exact = explored("wells"), coupled_wells_equilibria()
    np.testing.assert_allclose(found.equilibria.energy, [energy for _, _, energy, _ in exact], atol=1e-8)
    assert found.equilibria.index.tolist() == [index for *_, index in exact]
    vector = found.equilibria.vector
    for saddle, ends in paired(found):
        still = np.argmax(np.abs(vector[saddle]))
        assert {np.sign(vector[k, still]) for k in ends} == {np.sign(vector[saddle, still])}
        assert {np.sign(vector[k, 1 - still]) for k in ends} == {-1.0, 1.0}
    together, apart, over = exact[0][2], exact[2][2], exact[4][2]
    barriers = np.full((4, 4), over) - np.array([together, together, apart, apart])[:, None]
    barriers[np.diag_indices(4)] = 0
    np.testing.assert_allclose(found.barriers(), barriers, atol=1e-6)


def test_ring_of_phases(explored):
    """Twisted states of 8 oscillators and the phase slips between them (DeVille 2012)."""
    found = explored("ring")
    n, unit = 8, 2 * np.pi
    assert found.equilibria.index[:19].tolist() == [0] * 3 + [1] * 16
    assert not (found.equilibria.index[19:] < 2).any()
    minima = [-unit * n, *[-unit * n * np.cos(2 * np.pi / n)] * 2]
    np.testing.assert_allclose(found.equilibria.energy[:19], minima + [-unit * 6 * np.cos(np.pi / 6)] * 16, atol=1e-8)
    for k in range(19):  # what the differences of neighbours are
        steps = np.angle(np.exp(1j * np.diff(found.equilibria.vector[k], append=found.equilibria.vector[k, :1])))
        if k < 3:
            assert np.ptp(steps) < 1e-8 and abs(steps[0]) == pytest.approx((0, 2 * np.pi / n)[k > 0], abs=1e-8)
        else:
            inner = np.sort(np.abs(steps))
            np.testing.assert_allclose(inner, [np.pi / 6] * 7 + [5 * np.pi / 6], atol=1e-8)
    assert len(found.saddle) == 16
    assert [ends for _, ends in paired(found)].count({0, 1}) == 8
    assert [ends for _, ends in paired(found)].count({0, 2}) == 8
    over = -unit * 6 * np.cos(np.pi / 6)
    assert found.barrier(0, 1) == pytest.approx(over - minima[0], abs=1e-6)
    assert found.barrier(1, 2) == pytest.approx(over - minima[1], abs=1e-6)


def test_frustrated_triangle(explored):
    """Two chiral states of phases that repel each other, and three ways from one to the other."""
    found = explored("triangle")
    np.testing.assert_allclose(found.equilibria.energy[:5], 2 * np.pi * np.array([-1.5] * 2 + [-1] * 3), atol=1e-8)
    assert found.equilibria.index[:5].tolist() == [0, 0, 1, 1, 1]
    assert paired(found) == [(k, {0, 1}) for k in (2, 3, 4)]
    assert found.barrier(0, 1) == pytest.approx(np.pi, abs=1e-6)


@pytest.mark.slow
def test_an_escape_by_a_slip_costs_what_the_tilt_leaves():
    """E/2pi = -h cos(phi) - f phi: the same saddle, one turn apart, stands at two heights over one minimum."""
    h, f = 1.0, 0.3
    system = oscillators.PhaseNetwork(oscillators.Dense(np.zeros((1, 1))), f, fields=h)
    found = explore(system, starts=8, modes=1)
    rest = np.arcsin(f / h)
    ahead, back = (2 * np.pi * (2 * h * np.cos(rest) - s * f * (np.pi - s * 2 * rest)) for s in (1, -1))
    assert found.end.tolist() == [[0, 0]] or found.end.tolist() == [[1, 1]]
    np.testing.assert_allclose(np.sort(found.height[0]), [ahead, back], atol=1e-8)
    with pytest.raises(PhysnetError, match="changes in a whole turn"):
        found.barriers()


def test_a_nudge_moves_minima_and_saddles():
    """F = E + beta |s - t|^2 / 2 with E an exact double well each: roots of a cubic, by numpy."""
    target, beta = np.array([0.5, 0.2]), 0.3
    nudge = Nudge(SquaredError(), jnp.asarray(target), beta)
    found = explore(coupled_wells(coupling=0.0), starts=64, within=WITHIN["wells"], nudge=nudge)
    roots = [np.sort(np.roots([4, 0, beta - 4, -beta * t]).real) for t in target]  # minimum, hump, minimum
    energy = [(r**2 - 1) ** 2 + beta * (r - t) ** 2 / 2 for r, t in zip(roots, target, strict=True)]
    pairs = list(itertools.product(range(3), repeat=2))
    index = np.array([(i == 1) + (j == 1) for i, j in pairs])
    total = np.array([energy[0][i] + energy[1][j] for i, j in pairs])
    known = found.equilibria.index < 2
    np.testing.assert_allclose(found.equilibria.energy[known], np.sort(total[index < 2]), atol=1e-8)
    # Out of the lowest minimum over the lower of its two humps.
    lowest = [int(np.argmin(e)) for e in energy]
    up = [e[1] - e[k] for e, k in zip(energy, lowest, strict=True)]
    assert np.sort(found.barriers()[0])[1] == pytest.approx(min(up), abs=1e-6)


# What a search says of itself


def test_a_finished_search_says_so_and_no_more(explored):
    found = explored("wells")
    assert found.fresh[-1] == 0 and found.rounds == len(found.fresh) and sum(found.fresh) == 9
    assert "the last of which found nothing new; that nothing is missing is not proven" in str(found)
    assert "4 minima and 4 saddles" in str(found)


def test_minima_met_on_the_way_are_added(explored):
    everything = explored("wells").equilibria
    found = connect(everything[:1], everything[4:8])
    assert found.equilibria.index.tolist() == [0] * 4 + [1] * 4
    np.testing.assert_array_equal(np.sort(found.end.ravel()), np.repeat(range(4), 2))
    np.testing.assert_allclose(found.height, explored("wells").height, atol=1e-9)


def test_symmetric_copies_are_one():
    """Exchange and reversal leave one minimum of each kind and one saddle between the two kinds."""
    symmetries = (Symmetry([1, 0]), Symmetry(sign=-1))
    found = explore(coupled_wells(), starts=64, within=WITHIN["wells"], symmetries=symmetries)
    assert found.equilibria.index.tolist() == [0, 0, 1, 2]
    assert found.equilibria.multiplicity.tolist() == [2, 2, 4, 1]
    assert paired(found) == [(2, {0, 1})]
    assert found.barrier(0, 1) == pytest.approx(coupled_wells_equilibria()[4][2], abs=1e-6)


def test_datasets_hold_the_connections(explored, tmp_path):
    for name in ("wells", "ring"):
        found = explored(name)
        ds = results.open(results.save(found.to_dataset(), tmp_path / f"{name}.nc"))
        assert results.validate(ds) == []
        height = ds.energy.values[ds.connection_saddle.values][:, None] - ds.energy.values[ds.connection_end.values]
        np.testing.assert_allclose(ds.barrier, height, atol=1e-9)
        assert ds.attrs["summary"].startswith("2 rounds of search")
        tree = disconnectivity(ds)
        for field in ("energy", "equilibrium", "height", "saddle", "left", "right"):
            np.testing.assert_array_equal(getattr(tree, field), getattr(found.tree, field))


# The tree


def test_tree_against_all_paths():
    """Minimax over all ways, by brute force; two sets of minima that nothing connects stay apart."""
    rng = np.random.default_rng(3)
    energy = rng.uniform(-1, 0, 7)
    end = np.array([pair for pair in itertools.combinations(range(5), 2) if rng.uniform() < 0.7] + [(5, 6), (2, -1)])
    height = rng.uniform(0, 1, len(end))
    lowest = np.full((7, 7), np.inf)
    for h, (a, b) in zip(height[:-1], end[:-1], strict=True):
        lowest[a, b] = lowest[b, a] = h
    for k in range(7):  # Floyd and Warshall
        lowest = np.minimum(lowest, np.maximum(lowest[:, k, None], lowest[None, k, :]))
    lowest[np.diag_indices(7)] = energy
    tree = merges(energy, height, end)
    np.testing.assert_array_equal(tree.passes(), lowest)
    assert len(tree.height) == 5 and len(tree.roots) == 2
    assert sorted(leaf for root in tree.roots for leaf in tree.minima(root)) == list(range(7))
    assert np.all(np.diff(tree.height) >= 0)
    for left, right in zip(tree.left, tree.right, strict=True):
        assert energy[tree.minima(left)].min() < energy[tree.minima(right)].min()


def test_a_tree_of_nothing():
    tree = merges([0.5], [], np.zeros((0, 2)))
    assert tree.roots == [0] and tree.passes().tolist() == [[0.5]]


# Errors


def test_errors(explored):
    found = explored("wells")
    with pytest.raises(PhysnetError, match="has no energy"):
        explore(oscillators.Kuramoto(oscillators.ring(3, 1.0)))
    with pytest.raises(PhysnetError, match="rounds is 0"):
        explore(coupled_wells(), rounds=0)
    with pytest.raises(PhysnetError, match="equilibrium 5 is no minimum"):
        found.barrier(0, 5)
    with pytest.raises(PhysnetError, match="different systems"):
        connect(found.equilibria, explored("ring").equilibria)
    with pytest.raises(PhysnetError, match="there are minima 0 to 1"):
        merges([0.0, 1.0], [2.0], [(0, 2)])
    minima = find_equilibria(coupled_wells(), starts=8, within=(-1.5, 1.5))
    with pytest.raises(PhysnetError, match="no connection_saddle"):
        disconnectivity(minima.to_dataset())
