"""Equilibria found by search against closed forms, enumeration, polynomial roots and scipy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from landscapes import (
    MUELLER_BROWN_MINIMA,
    MUELLER_BROWN_SADDLES,
    MuellerBrown,
    _Surface,
    coupled_wells,
    coupled_wells_equilibria,
)
from scipy.optimize import minimize
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import eigsh
from zoo import ZOO, Runaway

from oscillators import AllToAll, Dense, Kuramoto, PhaseNetwork, Phasors, Sparse, ring
from physnet import ConvergenceError, Newton, Nudge, PhysnetError, SquaredError, relax, results
from physnet.landscape import Chart, EigenvectorFollowing, Symmetry, find_equilibria, lowest_modes

TURN = 2 * np.pi  # energies of phases are in rad^2/s for couplings in Hz


@pytest.fixture(scope="module")
def twisted():
    """What 300 starts find on a ring of eight equal oscillators."""
    return find_equilibria(PhaseNetwork(ring(8, 1.0)), starts=300)


# Closed forms


def test_the_minima_and_saddles_of_mueller_and_brown():
    corners = np.array([-1.5, -0.5]), np.array([1.2, 2.0])
    for index, known in ((0, MUELLER_BROWN_MINIMA), (1, MUELLER_BROWN_SADDLES)):
        relaxer = EigenvectorFollowing(index, radius=0.1)
        found = find_equilibria(MuellerBrown(), starts=150, within=corners, relaxer=relaxer)
        assert len(found) == len(known)
        assert (found.index == index).all() and found.converged.all()
        np.testing.assert_allclose(found.energy, [energy for _, energy in known], rtol=0, atol=1e-8)
        np.testing.assert_allclose(found.vector, [place for place, _ in known], rtol=0, atol=1e-9)


@pytest.mark.parametrize("coupling", [0.2, 1.5])
def test_all_equilibria_of_two_wells_coupled_weakly_and_strongly(coupling):
    known = coupled_wells_equilibria(coupling=coupling)
    for index in (0, 1, 2):
        relaxer = EigenvectorFollowing(index)
        found = find_equilibria(coupled_wells(coupling=coupling), starts=200, within=(-1.4, 1.4), relaxer=relaxer)
        found = found[found.index == index]
        expected = sorted((x, y, energy) for x, y, energy, k in known if k == index)
        reached = sorted((*place, energy) for place, energy in zip(found.vector, found.energy))
        np.testing.assert_allclose(reached, expected, atol=1e-8)


def test_the_stable_twisted_states_of_a_ring(twisted):
    """phi_i = 2 pi q i/N is stable where cos(2 pi q/N) > 0: curvatures 2 pi cos(2 pi q/N) (2 - 2 cos(2 pi k/N))."""
    differences = np.diff(np.append(twisted.vector, twisted.vector[:, :1], axis=1), axis=1)
    winding = np.round(np.sum((differences + np.pi) % TURN - np.pi, axis=1) / TURN).astype(int)
    assert sorted(winding) == [-1, 0, 1] and winding[0] == 0
    np.testing.assert_allclose(twisted.energy, -TURN * 8 * np.cos(TURN * winding / 8), atol=1e-8)
    for q, curvature in zip(winding, twisted.curvature):
        known = TURN * np.cos(TURN * q / 8) * (2 - 2 * np.cos(TURN * np.arange(8) / 8))
        np.testing.assert_allclose(curvature, np.sort(known)[1:7], atol=1e-8)
    assert (twisted.flat == 0).all() and twisted.hits.sum() == 300


def test_a_state_without_any_curvature_is_flat_and_not_unstable():
    """On a ring of eight the twisted state q = 2 has neighbours a quarter turn apart: its Hessian vanishes."""
    state = jnp.arange(8) * (np.pi / 2)
    found = find_equilibria(PhaseNetwork(ring(8, 1.0)), starts=state[None], relaxer=EigenvectorFollowing(0))
    assert found.index[0] == 0 and found.flat[0] == 7
    np.testing.assert_allclose(found.energy, 0, atol=1e-9)
    # The state is so flat that a single curvature is rounding; a neighbour of it still rolls away.
    assert np.abs(found.curvature).max() < 1e-6


@pytest.mark.slow  # test_landscape_explore has its minima and saddles
def test_the_frustrated_triangle():
    """Three oscillators that repel: two chiral minima -1.5 |J|, three saddles -|J|, one maximum 3 |J|."""
    net = PhaseNetwork(ring(3, -1.0))
    for index, number, energy in ((0, 2, -1.5), (1, 3, -1.0), (2, 1, 3.0)):
        found = find_equilibria(net, starts=100, relaxer=EigenvectorFollowing(index))
        assert len(found) == number and (found.index == index).all()
        np.testing.assert_allclose(found.energy, TURN * energy, atol=1e-8)


# Symmetries


def test_declared_symmetries_leave_one_of_each_kind():
    """The ring's sixteen saddles are one, in eight places and two senses: pi - a among seven differences a = pi/6."""
    turned = Symmetry(np.roll(np.arange(8), 1)), Symmetry(sign=-1)
    found = find_equilibria(PhaseNetwork(ring(8, 1.0)), starts=200, relaxer=EigenvectorFollowing(1), symmetries=turned)
    assert len(found) == 1 and found.multiplicity[0] == 16 and found.hits[0] == 200 - found.unsettled
    np.testing.assert_allclose(found.energy, -TURN * 6 * np.cos(np.pi / 6), atol=1e-8)


def test_a_symmetry_that_the_system_does_not_have_is_refused():
    weights = np.zeros((3, 3))
    weights[0, 1] = weights[1, 0] = 1.0
    with pytest.raises(PhysnetError, match="Symmetry: PhaseNetwork does not have it.*off by"):
        find_equilibria(PhaseNetwork(Dense(weights)), starts=8, symmetries=(Symmetry([1, 2, 0]),))
    with pytest.raises(PhysnetError, match="permutation of 0 to 2"):
        find_equilibria(PhaseNetwork(Dense(weights)), starts=8, symmetries=(Symmetry([1, 2]),))
    with pytest.raises(PhysnetError, match="sign is 2"):
        Symmetry(sign=2)


class _Hat(_Surface):
    """E = (x^2 + y^2 - 1)^2 + z^2: a circle of minima, the symmetry of which nobody declared."""

    parameters = ()
    input_shape = (3,)

    def energy(self, state, inputs):
        return (state[0] ** 2 + state[1] ** 2 - 1) ** 2 + state[2] ** 2 - jnp.vdot(inputs, state)


def test_a_valley_that_nobody_declared_counts_as_one_family():
    found = find_equilibria(_Hat(), starts=100, within=(-1.5, 1.5))
    assert len(found) == 1 and found.family[0] and found.flat[0] == 1 and found.index[0] == 0
    assert found.hits[0] + found.unsettled == 100 and found.hits[0] > 90
    hump = find_equilibria(_Hat(), starts=8, within=(-0.01, 0.01), relaxer=EigenvectorFollowing(2))
    assert len(hump) == 1 and hump.index[0] == 2 and not hump.family[0]


def test_rotations_of_phasors_cannot_be_shifted_away():
    with pytest.raises(PhysnetError, match="Kuramoto in place of Phasors"):
        find_equilibria(Phasors(AllToAll(1.0, 3)), starts=8)


# Enumeration and scipy


def _binary_minima(weights, harmonic):
    """{spins: energy} of every state of phases 0 and pi that is a minimum, by enumeration of Hessians."""
    size, found = len(weights), {}
    for spins in itertools.product((1, -1), repeat=size - 1):
        s = np.array((1, *spins))  # the other half is the same with 0 and pi exchanged
        hessian = np.diag(s * (weights @ s) + 2 * harmonic) - weights * np.outer(s, s)
        if np.linalg.eigvalsh(hessian)[0] > 1e-9:
            found[tuple(s)] = TURN * (-0.5 * s @ weights @ s - 0.5 * size * harmonic)
    return found


@pytest.mark.parametrize("size, harmonic, seed", [(8, 0.6, 0), (12, 0.5, 1)])
def test_the_minima_of_an_ising_machine_are_those_of_enumeration(size, harmonic, seed):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(size, size)), 1) / np.sqrt(size)
    weights = upper + upper.T
    known = _binary_minima(weights, harmonic)
    net = PhaseNetwork(Dense(weights), second_harmonic=harmonic)
    found = find_equilibria(net, starts=3000, symmetries=(Symmetry(shift=np.pi),))
    assert (found.index == 0).all() and (found.multiplicity == 2).all()
    binary = np.abs(np.sin(found.vector)).max(axis=1) < 1e-6
    spins = np.sign(np.cos(found.vector[binary])).astype(int)
    reached = {tuple(s * s[0]): energy for s, energy in zip(spins, found.energy[binary])}
    assert reached.keys() == known.keys() and len(known) >= 4
    for state, energy in known.items():
        assert abs(reached[state] - energy) < 1e-8


def test_the_same_minima_as_scipy_from_the_same_starts():
    size, starts = 12, 200
    rng = np.random.default_rng(3)
    upper = np.triu(rng.normal(size=(size, size)), 1) / np.sqrt(size)
    weights = upper + upper.T
    net = PhaseNetwork(Dense(weights))
    key = jax.random.key(5)
    found = find_equilibria(net, starts=starts, key=key)
    ends = []

    def energy(phases):
        c, s = np.cos(phases), np.sin(phases)
        u, v = weights @ c, weights @ s
        return -0.5 * (c @ u + s @ v), s * u - c * v

    for i in range(starts):
        first = np.asarray(net.initial_state(jnp.zeros(size), jax.random.fold_in(key, i)))
        ends.append(minimize(energy, first, jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 1e-15}).fun)
    levels = np.unique(np.round(ends, 6))
    np.testing.assert_allclose(levels, np.unique(np.round(found.energy / TURN, 6)), atol=2e-6)
    assert len(found) == 2 * len(levels)  # phi and -phi


def test_states_of_a_network_without_an_energy_and_how_stable_they_are():
    """Two oscillators, dphi = w -+ 2 pi k sin(phi_1 - phi_0 + b): locked at two angles, one stable."""
    b, detuning = 0.4, 0.3
    net = Kuramoto(AllToAll(1.0, 2, phase=b), np.array([0.0, detuning]))
    # d(phi_1 - phi_0)/dt = 2 pi [detuning - sin(x + b) - sin(x - b)] with x the difference
    x = np.arcsin(detuning / (2 * np.cos(b)))
    found = find_equilibria(net, starts=60, relaxer=Newton())
    assert len(found) == 2
    for number in range(2):
        angle = found.vector[number, 1] - found.vector[number, 0]
        known = x if found.index[number] == 0 else np.pi - x
        np.testing.assert_allclose(np.exp(1j * angle), np.exp(1j * known), atol=1e-9)
        rate = TURN * 2 * np.cos(b) * np.cos(known)
        np.testing.assert_allclose(found.curvature[number], [rate], atol=1e-7)
    assert sorted(found.index) == [0, 1] and np.isnan(found.energy).all()
    stable = find_equilibria(net, starts=20)
    assert len(stable) == 1 and stable.index[0] == 0


def test_the_nudged_landscape_of_a_double_well_loses_a_well():
    """Nudged to +1 by beta (x - 1)^2/2, E = (x^2 - 1)^2 keeps x < 0 as long as 4 x (x^2 - 1) + beta (x - 1) has it."""
    system = coupled_wells(coupling=0.0)
    for beta in (0.3, 1.5):
        nudge = Nudge(SquaredError(), jnp.ones(2), beta)
        roots = np.roots([4, 0, beta - 4, -beta])
        roots = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
        stable = [x for x in roots if 12 * x * x - 4 + beta > 0]
        found = find_equilibria(system, starts=100, within=(-1.5, 1.5), nudge=nudge)
        assert len(found) == len(stable) ** 2
        np.testing.assert_allclose(np.unique(np.round(found.vector, 7)), np.round(stable, 7), atol=1e-6)


def test_what_a_wall_holds_counts_in_no_curvature():
    animal = ZOO["walled_springs"]
    found = find_equilibria(animal.system, animal.inputs[0], starts=8, within=(0.0, 0.3))
    assert len(found) == 1 and found.index[0] == 0
    state = animal.states[0]
    np.testing.assert_allclose(found.vector[0], state, atol=1e-9)
    free = np.array([*((state[:3] > 1e-9) & (state[:3] < 0.3 - 1e-9)), True, True])
    assert not free.all()
    hessian = np.asarray(jax.hessian(animal.system.energy)(jnp.asarray(state), animal.inputs[0]))[np.ix_(free, free)]
    np.testing.assert_allclose(found.curvature[0, : free.sum()], np.linalg.eigvalsh(hessian), rtol=1e-9)


# Spectra of large systems


def test_the_lowest_modes_of_a_large_network_are_those_of_its_sparse_hessian():
    size = 900
    i = np.arange(size)
    edges = np.concatenate([np.stack([i, (i + d) % size], axis=1) for d in (1, 7, 30, 31)])
    weights = np.random.default_rng(0).uniform(0.5, 1.5, len(edges))
    net = PhaseNetwork(Sparse.undirected(edges, weights, size))
    twist = jnp.asarray(TURN * i / size)  # nearly a state: any state will do for its curvatures
    found = lowest_modes(net, state=twist, count=5)
    a, b = edges.T
    w = TURN * weights * np.cos(np.asarray(twist)[a] - np.asarray(twist)[b])
    entries = np.concatenate([-w, -w, w, w]), (np.concatenate([a, b, a, b]), np.concatenate([b, a, a, b]))
    hessian = coo_matrix(entries, shape=(size, size)).tocsc()
    known = np.sort(eigsh(hessian, 6, sigma=-0.01, return_eigenvectors=False))[1:]
    np.testing.assert_allclose(found.curvature, known, rtol=1e-5)
    assert found.index == 0 and found.flat == 0
    residual = hessian @ found.mode.T - found.mode.T * found.curvature
    assert np.abs(residual).max() < 1e-3 * known[-1]
    assert np.abs(found.mode.sum(axis=1)).max() < 1e-6  # the common phase is none of them


# What does not depend on how it was computed


def test_the_same_numbers_whatever_the_chunk(twisted):
    for chunk in (64, 100, 10_000):
        again = find_equilibria(PhaseNetwork(ring(8, 1.0)), starts=300, chunk=chunk)
        for name in ("index", "flat", "hits", "found", "converged"):
            np.testing.assert_array_equal(getattr(again, name), getattr(twisted, name))
        for name in ("vector", "energy", "curvature"):
            np.testing.assert_allclose(getattr(again, name), getattr(twisted, name), rtol=0, atol=1e-10)


def test_more_starts_begin_with_the_same_ones(twisted):
    fewer = find_equilibria(PhaseNetwork(ring(8, 1.0)), starts=70)
    np.testing.assert_array_equal(fewer.energy[fewer.found], twisted.energy[twisted.found[:70]])


def test_the_dataset_survives_a_file(twisted, tmp_path):
    ds = twisted.to_dataset(title="Twisted states", seed=0)
    assert not results.validate(ds)
    again = results.open(results.save(ds, tmp_path / "twisted.nc"))
    assert again.identical(results.open(tmp_path / "twisted.nc"))
    np.testing.assert_array_equal(again.energy, twisted.energy)
    assert again.sizes["equilibrium"] == 3 and again.curvature.attrs["units"] == "s-1"
    assert "equilibria of PhaseNetwork" in str(twisted)
    minima = twisted[twisted.index == 0]
    assert len(minima.saddles) == 0 and len(minima.minima) == 3
    state = minima.state(1)
    assert relax(PhaseNetwork(ring(8, 1.0)), initial=state).steps <= 20


# Errors


def test_what_cannot_be_searched_is_refused_with_a_way_out():
    net = PhaseNetwork(ring(5, 1.0))
    with pytest.raises(PhysnetError, match="refuses Kuramoto: it has no energy.*Newton"):
        find_equilibria(Kuramoto(ring(5, 1.0)), relaxer=EigenvectorFollowing(1))
    with pytest.raises(PhysnetError, match="lowest_modes: Kuramoto has no energy.*PhaseNetwork.*has an energy"):
        lowest_modes(Kuramoto(ring(5, 1.0)))
    with pytest.raises(PhysnetError, match="always starts from the same state.*within="):
        find_equilibria(MuellerBrown(), starts=4)
    with pytest.raises(PhysnetError, match="GiB of the .* Use fewer starts"):
        find_equilibria(net, starts=10**10)
    with pytest.raises(PhysnetError, match="starts is 0"):
        find_equilibria(net, starts=0)
    with pytest.raises(PhysnetError, match="lowest value above the highest"):
        find_equilibria(net, within=(1.0, -1.0))
    with pytest.raises(PhysnetError, match="7 samples of inputs; a landscape belongs to one"):
        Chart.of(net, np.zeros((7, 5)))
    with pytest.raises(PhysnetError, match="count is 5; give 1 to 4"):
        lowest_modes(net, count=5)
    with pytest.raises(PhysnetError, match="index is -1"):
        EigenvectorFollowing(-1)
    with pytest.raises(PhysnetError, match="2 coordinates, fewer than index 3"):
        find_equilibria(MuellerBrown(), starts=4, within=(-1.0, 1.0), relaxer=EigenvectorFollowing(3))


def test_a_search_that_finds_nothing_says_how_far_it_came():
    with pytest.raises(ConvergenceError, match="none of 20 starts of Runaway settled.*relative residual"):
        find_equilibria(Runaway(jnp.ones(2)), np.zeros(2), starts=20, within=(-1.0, 1.0))
    nothing = find_equilibria(Runaway(jnp.ones(2)), np.zeros(2), starts=20, within=(-1.0, 1.0), throw=False)
    assert len(nothing) == 0 and nothing.unsettled == 20
    with pytest.raises(PhysnetError, match="there is none to be near to"):
        nothing.nearest(np.zeros(2))
