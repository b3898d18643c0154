"""Slices of an energy landscape: the energies of the states they name, and equilibria projected onto them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from landscapes import coupled_wells

from oscillators import AllToAll, Kuramoto, PhaseNetwork
from physnet import PhysnetError, SquaredError, results
from physnet.landscape.chart import Chart
from physnet.landscape.equilibria import Equilibria
from physnet.landscape.slices import slice_line, slice_plane
from physnet.nudge import Nudge

WELLS = coupled_wells(1.2, 0.3)
FORCE = jnp.array([0.1, -0.2])


def known(system, inputs, vectors):
    """`Equilibria` at given places: what a search would have found, for what does not depend on how."""
    vectors = np.asarray(vectors, float)
    count = len(vectors)
    zeros, whole = np.zeros(count), np.zeros(count, int)
    chart = Chart.of(system, inputs)
    energy = np.array([float(chart.energy(jnp.asarray(v))) for v in vectors])
    return Equilibria(
        chart=chart, vector=vectors, outputs=vectors, energy=energy, residual=zeros, imbalance=zeros,
        converged=zeros == 0, index=whole, flat=whole, curvature=zeros[:, None], mode=vectors[:, None], hits=whole,
        multiplicity=whole + 1, family=zeros > 0, found=whole, size=1.0,
    )  # fmt: skip


def wells_energy(x, y, force):
    return 1.2 * ((x**2 - 1) ** 2 + (y**2 - 1) ** 2) + 0.15 * (x - y) ** 2 - force[0] * x - force[1] * y


def test_a_plane_holds_the_energies_of_its_states():
    states = (np.array([-1.0, -1.0]), np.array([1.0, -1.0]), np.array([1.0, 1.0]))
    places = [[-1.0, -1.0], [1.0, 1.0], [0.2, -0.3]]
    ds = slice_plane(WELLS, FORCE, states=states, points=(7, 5), equilibria=known(WELLS, FORCE, places))
    assert ds.slice_energy.dims == ("second_axis", "first_axis") and ds.slice_energy.shape == (5, 7)
    assert ds.slice_energy.units == "J" and ds.first_axis.units == "m" and results.validate(ds) == []
    np.testing.assert_allclose(ds.first_direction_position, [1, 0], atol=1e-15)
    np.testing.assert_allclose(ds.second_direction_position, [0, 1], atol=1e-15)
    x, y = ds.first_axis.values[None] - 1, ds.second_axis.values[:, None] - 1
    np.testing.assert_allclose(ds.slice_energy, wells_energy(x, y, FORCE), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ds.first_axis.values[[0, -1]], [-0.6, 2.6])
    np.testing.assert_allclose(ds.equilibrium_first, [0, 2, 1.2], atol=1e-12)
    np.testing.assert_allclose(ds.equilibrium_second, [0, 2, 0.7], atol=1e-12)
    np.testing.assert_allclose(ds.equilibrium_distance, 0, atol=1e-12)
    np.testing.assert_allclose(ds.equilibrium_energy[2], wells_energy(0.2, -0.3, FORCE))


def test_directions_become_orthonormal():
    directions = (np.array([3.0, 3.0]), np.array([0.0, 5.0]))
    ds = slice_plane(WELLS, FORCE, origin=np.zeros(2), directions=directions, spans=((-1, 1), (-2, 2)), points=(7, 5))
    np.testing.assert_allclose(ds.first_direction_position, np.sqrt([0.5, 0.5]))
    np.testing.assert_allclose(ds.second_direction_position, np.sqrt([0.5, 0.5]) * [-1, 1], atol=1e-15)
    a, b = ds.first_axis.values[None], ds.second_axis.values[:, None]
    np.testing.assert_allclose(ds.slice_energy, wells_energy(*((a - b) / 2**0.5, (a + b) / 2**0.5), FORCE), atol=1e-12)


def test_a_line_and_how_far_equilibria_are_from_it():
    ends = {"state": np.array([-1.0, 0.0]), "to": np.array([2.0, 4.0])}
    found = known(WELLS, FORCE, [[2.0, 4.0], [-1.0 + 0.6 - 0.8, 0.8 + 0.6]])  # 1 along and 1 aside
    ds = slice_line(WELLS, FORCE, **ends, points=11, equilibria=found, title="between")
    assert ds.title == "between" and ds.slice_energy.dims == ("position",)
    np.testing.assert_allclose(ds.position.values[[0, -1]], [-1.5, 6.5])
    x, y = -1 + 0.6 * ds.position, 0.8 * ds.position
    np.testing.assert_allclose(ds.slice_energy, wells_energy(x, y, FORCE), rtol=1e-12)
    np.testing.assert_allclose(ds.equilibrium_first, [5, 1])
    np.testing.assert_allclose(ds.equilibrium_distance, [0, 1], atol=1e-12)
    nudge = Nudge(SquaredError(), jnp.zeros(2), jnp.asarray(0.5))
    nudged = slice_line(WELLS, FORCE, **ends, points=11, nudge=nudge)
    np.testing.assert_allclose(nudged.slice_energy - ds.slice_energy, 0.25 * (x**2 + y**2), rtol=1e-9)
    assert nudged.beta == 0.5


def test_phases_go_the_short_way():
    network = PhaseNetwork(AllToAll(0.4, 3))
    start, end = np.array([3.0, 0.0, 0.0]), np.array([-3.0, 0.0, 0.0])
    shorter = 2 * np.pi - 6  # of the first phase against the others; a third of it is a common phase
    elsewhere = known(network, None, [start + 1.3, end - 2 * np.pi])
    ds = slice_line(network, state=start, to=end, points=5, equilibria=elsewhere)
    way = np.array([2, -1, -1]) / 3 * shorter
    np.testing.assert_allclose(ds.first_direction_oscillator_phase, way / np.linalg.norm(way), atol=1e-12)
    np.testing.assert_allclose(ds.equilibrium_first, [0, np.linalg.norm(way)], atol=1e-12)
    np.testing.assert_allclose(ds.equilibrium_distance, 0, atol=1e-12)
    share = ds.position.values[:, None] / np.linalg.norm(way)
    expected = [network.energy(jnp.asarray(state), jnp.zeros(3)) for state in start + share * way]
    np.testing.assert_allclose(ds.slice_energy, expected, rtol=1e-12)
    assert ds.position.units == "rad" and results.validate(ds) == []


def test_slices_that_cannot_be_are_refused():
    with pytest.raises(PhysnetError, match="has no energy"):
        slice_line(Kuramoto(AllToAll(0.4, 3)), state=np.zeros(3), to=np.ones(3))
    with pytest.raises(PhysnetError, match="direction is zero"):
        slice_line(PhaseNetwork(AllToAll(0.4, 3)), state=np.zeros(3), to=np.ones(3))  # the same up to the common phase
    with pytest.raises(PhysnetError, match="on one line"):
        slice_plane(WELLS, states=(np.zeros(2), np.ones(2), 2 * np.ones(2)))
    with pytest.raises(PhysnetError, match="give span"):
        slice_line(WELLS, state=np.zeros(2), direction=np.ones(2))
    with pytest.raises(PhysnetError, match="either another state"):
        slice_line(WELLS, state=np.zeros(2))
    with pytest.raises(PhysnetError, match="points is 1"):
        slice_line(WELLS, state=np.zeros(2), to=np.ones(2), points=1)


def test_slices_of_many_states_are_worked_out_in_blocks():
    ds = slice_plane(
        WELLS, FORCE, origin=np.zeros(2), directions=tuple(np.eye(2)), spans=((-2, 2),) * 2, points=(31, 17)
    )
    x, y = ds.first_axis.values[None], ds.second_axis.values[:, None]
    np.testing.assert_allclose(ds.slice_energy, wells_energy(x, y, FORCE), rtol=1e-12, atol=1e-12)
    assert jax.config.jax_enable_x64
