"""Minimum-energy paths and saddles of large systems: against closed forms, scipy's descents and dense Hessians."""

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
from scipy.spatial import cKDTree

import oscillators
from physnet import relax, results
from physnet.errors import ConvergenceError, PhysnetError
from physnet.landscape import EigenvectorFollowing, find_equilibria, lowest_modes
from physnet.landscape.dimer import Dimer
from physnet.landscape.passes.paths import minimum_energy_path


def ring(n=8, strength=1.0):
    return oscillators.PhaseNetwork(oscillators.ring(n, strength))


def twisted(turns, n=8):
    return jnp.asarray(2 * np.pi * turns * np.arange(n) / n)


@pytest.fixture(scope="module")
def mueller():
    return minimum_energy_path(MuellerBrown(), None, jnp.array([-0.558, 1.442]), jnp.array([0.623, 0.028]))


@pytest.fixture(scope="module")
def wells():
    return minimum_energy_path(coupled_wells(), None, jnp.array([-1.0, -1.0]), jnp.array([1.0, 1.0]))


# Known paths


def test_mueller_brown_goes_over_both_saddles(mueller):
    (a, b, c), (low, high) = MUELLER_BROWN_MINIMA, MUELLER_BROWN_SADDLES
    order = [a, high, c, low, b]
    np.testing.assert_allclose(mueller.stop_energy, [energy for _, energy in order], atol=1e-8)
    np.testing.assert_allclose(mueller.equilibria.vector[mueller.stop], [place for place, _ in order], atol=1e-8)
    assert mueller.equilibria.index[mueller.stop].tolist() == [0, 1, 0, 1, 0]
    assert mueller.saddles.energy.tolist() == sorted(mueller.stop_energy[[1, 3]])
    assert mueller.barrier == pytest.approx(high[1] - a[1], abs=1e-6)
    assert mueller.barrier_back == pytest.approx(high[1] - b[1], abs=1e-6)


def test_coupled_wells_turn_one_after_the_other(wells):
    exact = coupled_wells_equilibria()
    together, apart, over = (exact[k][2] for k in (0, 2, 4))
    np.testing.assert_allclose(wells.stop_energy, [together, over, apart, over, together], atol=1e-8)
    assert wells.equilibria.index[wells.stop].tolist() == [0, 1, 0, 1, 0]
    assert wells.barrier == pytest.approx(over - together, abs=1e-6)


def test_the_path_is_what_descents_from_its_saddles_trace(wells):
    """Images lie on the curve that scipy integrates from next to each saddle; at equal distances."""

    def velocity(t, s):
        return -(4 * s * (s**2 - 1) + 0.2 * (s - s[::-1]))

    traces = []
    for saddle in wells.saddles.vector:
        hessian = np.diag(4 * (3 * saddle**2 - 1) + 0.2) - 0.2 * (1 - np.eye(2))
        mode = np.linalg.eigh(hessian)[1][:, 0]
        for side in (-1e-4, 1e-4):
            times = np.linspace(0, 20, 40_001)
            traces.append(solve_ivp(velocity, (0, 20), saddle + side * mode, t_eval=times, rtol=1e-9, atol=1e-11).y.T)
    distance = cKDTree(np.concatenate(traces)).query(wells.vector)[0]
    assert distance.max() < 2e-3  # of a length of 4
    lengths = np.linalg.norm(np.diff(wells.vector, axis=0), axis=1)
    np.testing.assert_allclose(lengths, lengths.mean(), rtol=1e-2)
    assert wells.arc_length[-1] == pytest.approx(lengths.sum())
    assert wells.perpendicular_force.max() < 5e-3 * np.abs(np.gradient(wells.energy, wells.arc_length)).max()


def test_a_ring_slips_by_one_turn():
    """From no twist to one: 7 differences of pi/6 and one of 5 pi/6 on the way, wherever that is."""
    path = minimum_energy_path(ring(), None, twisted(0), twisted(1))
    over = -2 * np.pi * 6 * np.cos(np.pi / 6)
    energies = np.array([-2 * np.pi * 8, over, -2 * np.pi * 8 * np.cos(np.pi / 4)])
    np.testing.assert_allclose(path.stop_energy, energies, atol=1e-8)
    assert path.equilibria.index[path.stop].tolist() == [0, 1, 0]
    assert (path.barrier, path.barrier_back) == pytest.approx(tuple(over - energies[[0, 2]]), abs=1e-6)
    assert np.all(path.energy <= over + 1e-9) and path.energy.max() > over - 0.05


@pytest.mark.slow
def test_a_frustrated_triangle_turns_over():
    path = minimum_energy_path(ring(3, -1.0), None, twisted(1, 3), twisted(-1, 3), images=21)
    np.testing.assert_allclose(path.stop_energy, 2 * np.pi * np.array([-1.5, -1, -1.5]), atol=1e-8)
    assert path.equilibria.index[path.stop].tolist() == [0, 1, 0]


@pytest.mark.slow
def test_a_slip_by_a_whole_turn_is_asked_for():
    """E/2pi = -h cos(phi) - f phi from one minimum to the next, where it means the same."""
    h, f = 1.0, 0.3
    system, rest = oscillators.PhaseNetwork(oscillators.Dense(np.zeros((1, 1))), f, fields=h), np.arcsin(0.3)
    ends = jnp.array([rest]), jnp.array([rest + 2 * np.pi])
    with pytest.raises(PhysnetError, match="shortest=False"):
        minimum_energy_path(system, None, *ends)
    path = minimum_energy_path(system, None, *ends, shortest=False, images=21)
    assert path.barrier == pytest.approx(2 * np.pi * (2 * h * np.cos(rest) - f * (np.pi - 2 * rest)), abs=1e-8)
    assert path.barrier_back == pytest.approx(path.barrier + 2 * np.pi * f * 2 * np.pi, abs=1e-8)


# Results and errors


def test_a_path_is_a_dataset(mueller):
    ds = mueller.to_dataset()
    assert results.validate(ds) == []
    assert ds.path_position.dims == ("image", "axis") and ds.arc_length.units == "m"
    np.testing.assert_array_equal(ds.energy.values[ds.stop_equilibrium.values], ds.stop_energy.values)
    assert float(ds.path_energy.max()) <= float(ds.stop_energy.max())


def test_errors():
    system, left, right = coupled_wells(), jnp.array([-1.0, -1.0]), jnp.array([1.0, 1.0])
    with pytest.raises(PhysnetError, match="basin of the same minimum"):
        minimum_energy_path(system, None, left, 0.9 * left)
    with pytest.raises(PhysnetError, match="images is 3"):
        minimum_energy_path(system, None, left, right, images=3)
    with pytest.raises(PhysnetError, match="give start and end"):
        minimum_energy_path(system, None, left)
    with pytest.raises(ConvergenceError, match="end did not settle"):
        minimum_energy_path(system, None, left, 0 * left)
    with pytest.raises(ConvergenceError, match="still moves after 2 steps"):
        minimum_energy_path(system, None, left, right, max_steps=2)
    assert not minimum_energy_path(system, None, left, right, max_steps=2, throw=False).converged


# Saddles without a dense Hessian


def test_dimers_find_the_saddles_that_dense_hessians_do():
    found = find_equilibria(ring(), starts=128, relaxer=Dimer())
    dense = find_equilibria(ring(), starts=128, relaxer=EigenvectorFollowing(index=1))
    dense = dense[dense.index == 1]
    assert len(found) == len(dense) == 16
    assert (found.index == 1).all() and found.converged.all()
    np.testing.assert_allclose(found.energy, dense.energy, atol=1e-8)
    assert max(found.nearest(vector)[1] for vector in dense.vector) < 1e-8


def test_dimers_find_saddles_in_closed_form():
    found = find_equilibria(coupled_wells(), starts=64, within=(-1.5, 1.5), relaxer=Dimer())
    exact = np.array([place for *place, _, index in coupled_wells_equilibria() if index == 1])
    assert len(found) == 4 and (found.index == 1).all()
    assert max(found.nearest(place)[1] for place in exact) < 1e-8


@pytest.mark.slow
def test_a_dimer_finds_a_saddle_of_three_thousand_phases():
    """A lattice too large for a dense Hessian, its couplings drawn; certified by Lanczos on its own."""
    side, rng = 55, np.random.default_rng(0)
    place = np.arange(side**2).reshape(side, side)
    edges = np.concatenate([np.stack([place, np.roll(place, -1, axis)], axis=-1).reshape(-1, 2) for axis in (0, 1)])
    coupling = oscillators.Sparse.undirected(edges, 1 + 0.3 * rng.normal(size=len(edges)), side**2)
    system = oscillators.PhaseNetwork(coupling)
    start = jnp.asarray(rng.uniform(-np.pi, np.pi, side**2))
    assert "Dimer()" in EigenvectorFollowing(index=1).refuses(system, None)
    found = relax(system, relaxer=Dimer(radius=2.0), initial=start)
    assert found.residual < 1e-10
    modes = lowest_modes(system, None, found.state, 3)
    assert modes.index == 1 and modes.flat == 0


def test_dimer_refusals():
    assert "no energy" in Dimer().refuses(oscillators.Kuramoto(oscillators.ring(3, 1.0)), None)
    with pytest.raises(PhysnetError, match="radius is 0"):
        Dimer(radius=0)
    with pytest.raises(PhysnetError, match="turns is 0"):
        Dimer(turns=0)
