"""Basins against closed forms, scipy's integration of the same starts, and systems that never come to rest."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from wells import double_well, double_well_roots

from oscillators import Dense, Kuramoto, PhaseNetwork, ring
from physnet import Newton, PhysnetError, results
from physnet.landscape.basins import basin_volumes
from physnet.landscape.search import find_equilibria
from physnet.landscape.symmetry import Symmetry
from physnet.relaxers.flow import Flow
from physnet.system import System
from physnet.variable import Variable

FORCE, BOX = 0.3, (-1.5, 2.0)


@pytest.fixture(scope="module")
def known():
    """All equilibria of the tilted double well, the hump among them."""
    return find_equilibria(double_well(), [FORCE], starts=40, within=BOX, relaxer=Newton())


@pytest.fixture(scope="module")
def well(known):
    return basin_volumes(double_well(), [FORCE], equilibria=known, starts=2000, within=BOX)


def test_shares_are_those_of_the_intervals(known, well):
    left, hump, right = double_well_roots(FORCE)
    np.testing.assert_allclose(well.equilibria.vector[:, 0], [right, left], atol=1e-9)
    exact = (BOX[1] - hump) / (BOX[1] - BOX[0])
    assert well.low[0] < exact < well.high[0] and well.share.sum() == pytest.approx(1)
    assert well.unsettled == 0 and well.undecided == 0
    assert well.equilibria.hits.sum() == 2000


def test_every_start_ends_where_its_side_of_the_hump_leads():
    starts = np.linspace(*BOX, 200)[:, None]
    found = basin_volumes(double_well(), [FORCE], starts=starts)
    _, hump, _ = double_well_roots(FORCE)
    np.testing.assert_array_equal(found.equilibria.found, np.where(starts[:, 0] > hump, 0, 1))


def test_known_equilibria_come_first_and_count_none_where_no_start_leads(known):
    found = basin_volumes(double_well(), [FORCE], equilibria=known, starts=50, within=(-1.5, -0.5))
    assert found.share.tolist() == [0, 1] and found.low[0] == 0 and 0 < found.high[0] < 0.1
    some = basin_volumes(double_well(), [FORCE], equilibria=known[known.vector[:, 0] < -0.5], starts=50, within=BOX)
    assert len(some.equilibria) == 2 and some.equilibria.vector[0, 0] < 0 < some.equilibria.vector[1, 0]
    assert some.equilibria.hits.sum() == 50


def test_a_start_on_the_hump_is_undecided():
    found = basin_volumes(double_well(), starts=np.array([[-0.5], [0.0], [0.5], [0.7]]))
    assert (found.undecided, found.unsettled) == (0.25, 0)
    np.testing.assert_array_equal(found.equilibria.found == -1, [False, True, False, False])


def test_intervals_hold_the_truth_as_often_as_they_say(known):
    _, hump, _ = double_well_roots(FORCE)
    exact = (BOX[1] - hump) / (BOX[1] - BOX[0])
    held = []
    for seed in range(60):
        key = jax.random.key(seed)
        found = basin_volumes(double_well(), [FORCE], equilibria=known, starts=40, within=BOX, key=key)
        held.append(found.low[0] < exact < found.high[0])
    assert np.mean(held) >= 0.9


def test_symmetric_wells_are_one_basin():
    found = basin_volumes(double_well(), starts=30, within=(-1.5, 1.5), symmetries=(Symmetry(sign=-1),))
    assert len(found.equilibria) == 1 and found.share[0] == 1 and found.equilibria.multiplicity[0] == 2
    merged = basin_volumes(
        double_well(), starts=30, within=(-1.5, 1.5), symmetries=(Symmetry(sign=-1),), equilibria=found.equilibria
    )
    assert len(merged.equilibria) == 1 and merged.share[0] == 1


def winding(phases):
    """How often the phases turn around the ring."""
    steps = np.angle(np.exp(1j * (np.roll(phases, -1, axis=-1) - phases)))
    return np.round(steps.sum(axis=-1) / (2 * np.pi)).astype(int)


@pytest.fixture(scope="module")
def ring_of_eight():
    net = PhaseNetwork(Dense(ring(8, 1.0).matrices()[0]))
    return net, basin_volumes(net, starts=300)


def test_ring_ends_as_scipy_says(ring_of_eight):
    net, found = ring_of_eight
    keys = [jax.random.fold_in(jax.random.key(0), i) for i in range(12)]
    ends = winding(found.equilibria.vector)
    for i, key in enumerate(keys):
        start = np.asarray(net.initial_state(net.default_inputs(), key))

        def field(t, phases):
            return 2 * np.pi * (np.sin(np.roll(phases, 1) - phases) + np.sin(np.roll(phases, -1) - phases))

        last = solve_ivp(field, (0, 20), start, rtol=1e-9, atol=1e-9).y[:, -1]
        assert winding(last) == ends[found.equilibria.found[i]]


def test_twists_of_either_sense_are_equally_likely(ring_of_eight):
    _, found = ring_of_eight
    share = dict(zip(winding(found.equilibria.vector).tolist(), zip(found.low, found.high)))
    assert set(share) == {-1, 0, 1} and found.unsettled == 0
    assert share[0][0] > share[1][1] and max(share[1][0], share[-1][0]) < min(share[1][1], share[-1][1])


def test_what_drifts_settles_nowhere():
    pair = Kuramoto(Dense(np.array([[0.0, 1.0], [1.0, 0.0]])), [0.0, 3.0])  # locks up to a detuning of 2
    short = Flow(diffrax.Tsit5(), polish=None, rtol=1e-6, atol=1e-8, event_tolerance=1e-5, max_steps=100)
    found = basin_volumes(pair, starts=8, relaxer=short)
    assert found.unsettled == 1 and len(found.equilibria) == 0


class Circling(System):
    """dr/dt = -r (1 - r^2)(1 - r^2/4), dphi/dt = 1: rest at 0, a stable circle r = 2, parted by the circle r = 1."""

    variables = (Variable("position", ("axis",), "m", "position"),)
    parameters = ()
    input_variable = Variable("force", ("axis",), "N", "force")
    output_variable = Variable("reading", ("output",), "m", "position")
    residual_units = "m s-1"
    energy_units = "1"
    input_shape = (2,)

    def default_inputs(self):
        return jnp.zeros(2)

    def default_relaxer(self):
        return Newton()

    def outputs(self, state, inputs):
        return state

    def initial_state(self, inputs, key=None):
        return jnp.zeros(2)

    def vector_field(self, state, inputs):
        square = jnp.sum(state**2)
        inwards = (1 - square) * (1 - square / 4)
        return -inwards * state + jnp.stack([-state[1], state[0]]) + inputs

    def residual(self, state, inputs):
        return -self.vector_field(state, inputs)

    def residual_scale(self, state, inputs):
        return jnp.ones_like(state)


@pytest.mark.slow
def test_what_circles_is_not_taken_to_the_rest_it_circles():
    found = basin_volumes(Circling(), starts=400, within=(-2.0, 2.0))
    rest = np.pi / 16
    assert len(found.equilibria) == 1 and found.low[0] < rest < found.high[0]
    assert found.unsettled == pytest.approx(1 - found.share[0]) and found.undecided == 0


def test_dataset_follows_the_schema(well, tmp_path):
    ds = well.to_dataset()
    assert results.validate(ds) == []
    assert ds.share.dims == ("equilibrium",) and ds.found.dims == ("start",) and float(ds.confidence) == 0.95
    results.save(ds, tmp_path / "basins.nc")
    assert "2 basins of DoubleWell, from 2000 starts" in str(well)


def test_what_cannot_be_done_is_said(ring_of_eight, known):
    for call, message in (
        (lambda: basin_volumes(double_well(), starts=10, within=BOX, confidence=95), "confidence is 95"),
        (lambda: basin_volumes(ring_of_eight[0], equilibria=known, starts=10), "have 1 coordinates"),
        (lambda: basin_volumes(double_well(), starts=10, within=BOX, symmetries=("mirror",)), "symmetries"),
        (lambda: basin_volumes(double_well(), starts=10), "always starts from the same state"),
    ):
        with pytest.raises(PhysnetError, match=message):
            call()
