"""Relaxation in time against the matrix exponential."""

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm
from zoo import ZOO, springs

from circuits import LayeredNetwork, ShockleyDiode
from physnet import Adaptive, ConvergenceError, PhysnetError, integrate, relax

SPRINGS, WALLED = ZOO["springs"], ZOO["walled_springs"]
TIMES = np.array([0.0, 0.1, 0.5, 2.0, 60.0])


def exact(animal, inputs, times):
    """s(t) = (1 - exp(-A t)) s_steady from rest, A by differences of the energy's gradient."""
    zero, force = jnp.zeros(5), jnp.zeros(5)
    matrix = np.stack([np.asarray(animal.system.residual(zero.at[i].set(1.0), force)) for i in range(5)])
    steady = np.linalg.solve(matrix, inputs)
    return np.stack([steady - expm(-matrix * t) @ steady for t in times])


@pytest.fixture(scope="module")
def batch():
    return integrate(SPRINGS.system, SPRINGS.inputs, TIMES, engine=Adaptive(diffrax.Tsit5()))


def test_states_follow_the_matrix_exponential(batch):
    for state, inputs in zip(batch.state, SPRINGS.inputs):
        np.testing.assert_allclose(state, exact(SPRINGS, inputs, TIMES), atol=1e-7)
    assert batch.state.shape == (3, 5, 5) and batch.outputs.shape == (3, 5, 2) and batch.converged.all()
    np.testing.assert_allclose(batch.state[:, -1], SPRINGS.states, atol=1e-7)


def test_the_energy_never_rises_and_the_residual_falls(batch):
    assert (np.diff(batch.energy, axis=1) <= 1e-9).all()
    assert (batch.residual[:, -1] < 1e-6).all() and (batch.residual[:, 0] > 0.1).all()


def test_one_sample_with_the_implicit_solver_from_a_given_start(batch):
    start = batch.state[0, 2]
    single = integrate(SPRINGS.system, SPRINGS.inputs[0], TIMES[2:] - TIMES[2], initial=start)
    assert single.state.shape == (3, 5) and single.converged.shape == () and single.inputs.shape == (5,)
    np.testing.assert_allclose(single.state, batch.state[0, 2:], atol=1e-7)


def test_a_layered_network_settles_in_time_from_rest():
    """From 0 V, not from the relaxation's feed-forward guess, to where relax() ends."""
    rng = np.random.default_rng(5)
    conductances = [rng.uniform(1e-3, 1e-2, shape) for shape in ((4, 4), (4, 2))]
    network = LayeredNetwork(conductances, input_gain=2.0, diode=ShockleyDiode(1e-9, 0.05), capacitance=1e-12)
    inputs = np.array([0.2, 0.9])
    found = integrate(network, inputs, np.array([0.0, 1e-10, 3e-9]))
    assert all(np.all(layer[0] == 0) for layer in found.state)
    assert any(np.any(layer != 0) for layer in network.initial_state(inputs))
    settled = relax(network, inputs)
    for layer, steady in zip(found.state, settled.state):
        np.testing.assert_allclose(layer[-1], steady, atol=1e-9)
        assert np.abs(layer[1] - steady).max() > 1e-3
    assert np.all(np.diff(found.energy) <= 0)


def test_single_precision_stays_single():
    small = springs(dtype=np.float32)
    found = integrate(small.system, small.inputs, TIMES, engine=Adaptive(diffrax.Tsit5()))
    assert {a.dtype for a in (found.state, found.energy, found.times, found.residual)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(found.state[0], exact(SPRINGS, SPRINGS.inputs[0], TIMES), atol=1e-4)


def test_a_run_that_stops_early_raises_or_is_flagged():
    arguments = {"engine": Adaptive(diffrax.Tsit5(), max_steps=3)}
    with pytest.raises(ConvergenceError, match=r"3 of 3 samples of Springs stopped before 60 s .* after 3 steps"):
        integrate(SPRINGS.system, SPRINGS.inputs, TIMES, **arguments)
    assert not integrate(SPRINGS.system, SPRINGS.inputs, TIMES, throw=False, **arguments).converged.any()


def test_walls_have_no_finite_speed():
    with pytest.raises(PhysnetError, match=r"WalledSprings is confined to a box .*Shockley"):
        integrate(WALLED.system, WALLED.inputs, TIMES)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (None, "times are missing"),
        ([1.0], r"times have shape \(1,\)"),
        ([[0.0, 1.0]], r"times have shape \(1, 2\)"),
        ([0.0, np.nan, 1.0], r"times\[1\] is nan s"),
        ([0.0, np.inf], r"times\[1\] is inf s"),
        ([0.0, 2.0, 1.0], r"times\[2\] = 1 s does not come after times\[1\] = 2 s"),
        ([0.0, 1.0, 1.0], r"times\[2\] = 1 s does not come after"),
    ],
)
def test_bad_times_are_named(times, message):
    with pytest.raises(PhysnetError, match=message):
        integrate(SPRINGS.system, SPRINGS.inputs, times)
