"""Networks of phases: locking, twisted states, frustration, Ising machines, gradients, and who drifts."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscillators.coupling import AllToAll, Dense
from oscillators.drift import drifting
from oscillators.kuramoto import Kuramoto, Phasors
from oscillators.low_rank import LowRank
from oscillators.phase import PhaseNetwork
from oscillators.sparse import Sparse, chain, ring
from physnet import (
    Centred,
    ConvergenceError,
    OneSided,
    PhysnetError,
    SquaredError,
    check_gradient,
    implicit_gradient,
    relax,
)
from physnet.checks import check_initial

COST = SquaredError()
MODELS = (PhaseNetwork, Kuramoto, Phasors)


def symmetric(size, seed, mean=1.0, spread=0.5):
    weights = np.triu(np.random.default_rng(seed).normal(mean, spread, (size, size)), 1)
    return Dense(weights + weights.T)


def phases(model, angles):
    angles = jnp.asarray(angles)
    return (jnp.cos(angles), -jnp.sin(angles)) if model is Phasors else angles


HESSIAN = jax.jit(lambda system, s: jax.jacfwd(lambda s: system.residual(s, system.default_inputs()))(s))


def hessian_signs(system, state):
    values = np.linalg.eigvalsh(HESSIAN(system, state))
    return values / np.abs(values).max()


@pytest.mark.parametrize("model", [PhaseNetwork, Phasors])
def test_two_oscillators_lock_while_the_coupling_outweighs_the_detuning(model):
    """Each is pulled by W sin(difference): they lock while |f_1 - f_0| <= 2 W, at arcsin(detuning / 2 W)."""
    pair = model(AllToAll(0.5e6, 2), [300e6, 300e6])
    detuning = np.array([0.0, 0.5, 0.999, -0.9, 1.001, 3.0]) * 1e6
    inputs = np.stack([-detuning / 2, detuning / 2], axis=1)
    found = relax(pair, inputs, throw=False)
    assert found.converged.tolist() == [True] * 4 + [False] * 2
    np.testing.assert_allclose(found.outputs[:4, 1], detuning[:4] / 1e6, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.outputs[:4, 0], np.sqrt(1 - (detuning[:4] / 1e6) ** 2), rtol=1e-6)
    state = jax.tree.map(lambda leaf: leaf[1], found.state)
    np.testing.assert_allclose(pair.frequencies(state, jnp.asarray(inputs[1])), 300e6, rtol=1e-14)


def test_an_unlocked_network_says_who_drifts():
    """Oscillator 3, coupled with strength W to each of three others at one frequency, far off: past an injected field
    or against a group it turns at its own frequency; two alone beat at sqrt(detuning^2 - (2 W)^2)."""
    pair = drifting(PhaseNetwork(AllToAll(0.5, 2), [0.0, 1.3]))
    assert pair.drifting == (0, 1) and pair.locked == () and np.isnan(pair.common)
    np.testing.assert_allclose(np.diff(pair.frequencies), np.sqrt(1.3**2 - 1), rtol=5e-3)
    four = PhaseNetwork(AllToAll(1.0, 4), [10.0, 10.5, 9.5, 40.0])
    with pytest.raises(ConvergenceError, match="1 of 1 steady states of PhaseNetwork not reached by Locking"):
        relax(four)
    found = drifting(four)
    assert found.drifting == (3,) and found.locked == (0, 1, 2)
    assert "oscillator 3 (at 39." in str(found) and "drifts, past 3 that keep 10." in str(found)
    state = relax(four, throw=False).state
    assert four.diagnosis(state, four.default_inputs()).startswith("Not locked: oscillator 3 (at 39.")
    driven = PhaseNetwork(AllToAll(0.1, 2), [100.0, 105.0], fields=1.0, reference_frequency=100.0)
    assert drifting(driven).drifting == (1,) and "oscillator 1" in str(drifting(driven))
    locked = drifting(driven, [0.0, -4.5])
    assert locked.drifting == () and "No oscillator drifts" in str(locked)
    with pytest.raises(PhysnetError, match="drifting: inputs have shape"):
        drifting(driven, np.zeros((2, 2)))


@pytest.mark.parametrize(("factor", "locks"), [(0.99, True), (1.01, False)])
def test_an_open_chain_locks_while_every_partial_sum_of_detunings_is_below_the_coupling(factor, locks):
    rng = np.random.default_rng(3)
    detuning = rng.normal(size=6)
    detuning -= detuning.mean()
    partial = np.cumsum(detuning)[:-1]
    detuning, partial = (factor * x / np.abs(partial).max() for x in (detuning, partial))
    network = PhaseNetwork(chain(6, 1.0), detuning)
    found = relax(network, throw=False)
    assert bool(found.converged) == locks
    if locks:  # edge m carries the partial sum: sin(phi_m - phi_{m+1}) = partial_m
        np.testing.assert_allclose(np.sin(-np.diff(found.state)), partial, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("twist", [0, 1, 2, 3, 4])
def test_twisted_states_of_a_ring_are_stable_below_a_quarter_turn(twist):
    network, size = PhaseNetwork(ring(9, 1.0)), 9
    state = jnp.asarray(2 * np.pi * twist * np.arange(size) / size)
    inputs = network.default_inputs()
    np.testing.assert_allclose(network.residual(state, inputs), 0, atol=1e-12)
    np.testing.assert_allclose(network.energy(state, inputs), -2 * np.pi * size * np.cos(2 * np.pi * twist / size))
    values = hessian_signs(network, state)
    assert (np.abs(values) < 1e-10).sum() == 1  # the common phase
    assert (values > -1e-10).all() == (2 * np.pi * twist / size < np.pi / 2)


def test_the_antiferromagnetic_triangle_is_frustrated():
    found = relax(PhaseNetwork(AllToAll(-2.0, 3)))
    np.testing.assert_allclose(found.energy / (2 * np.pi), -1.5 * 2.0, rtol=1e-12)
    np.testing.assert_allclose(found.outputs[:2], -0.5, rtol=1e-8)


def test_second_harmonics_leave_two_phases():
    """An oscillator Ising machine: 0 or pi, and on an even antiferromagnetic ring every neighbour opposite."""
    found = relax(PhaseNetwork(ring(6, -1.0), second_harmonic=1.5, reference=0))
    np.testing.assert_allclose(found.outputs[:5], [-1, 1, -1, 1, -1], atol=1e-9)
    np.testing.assert_allclose(found.outputs[5:], 0, atol=1e-9)
    np.testing.assert_allclose(np.abs(np.cos(found.state)), 1, atol=1e-9)
    np.testing.assert_allclose(found.energy, -2 * np.pi * (6 * 1.0 + 6 * 1.5 / 2), rtol=1e-12)


def test_fields_pull_phases_to_their_own():
    """A single oscillator: h sin(phi - psi) = f - f_frame."""
    alone = PhaseNetwork(AllToAll(0.0, 1), 7.5, fields=2.0, field_phases=0.4, reference_frequency=6.5)
    np.testing.assert_allclose(relax(alone).state, 0.4 + np.arcsin(0.5), rtol=1e-10)


@pytest.mark.parametrize("fixed", [False, True])
def test_three_ways_to_write_one_velocity(fixed):
    rng = np.random.default_rng(4)
    coupling, size = symmetric(5, 4), 5
    weights = coupling.matrices()[0]
    frequency, angles, inputs = rng.normal(size=(3, size))
    given = {"fields": rng.normal(size=size), "field_phases": rng.normal(size=size), "second_harmonic": 0.3}
    given = given | {"reference_frequency": 0.2} if fixed else {}
    frame = 0.2 if fixed else np.mean(frequency + inputs)
    expected = frequency + inputs - frame
    expected = expected - np.sum(weights * np.sin(angles[:, None] - angles), axis=1)
    if fixed:
        expected = expected - given["fields"] * np.sin(angles - given["field_phases"]) - 0.3 * np.sin(2 * angles)
    expected = 2 * np.pi * expected
    for model in MODELS:
        system = model(coupling, frequency, **given)
        state, x = phases(model, angles), jnp.asarray(inputs)
        turned = (-np.sin(angles) * expected, -np.cos(angles) * expected)
        expected_field = turned if model is Phasors else (expected,)
        for found, exact in zip(jax.tree.leaves(system.vector_field(state, x)), expected_field):
            np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-10)
        for residual, exact in zip(jax.tree.leaves(system.residual(state, x)), expected_field):
            np.testing.assert_allclose(residual, -exact, rtol=1e-10, atol=1e-10)
        if model is PhaseNetwork:
            np.testing.assert_allclose(-jax.grad(system.energy)(state, x), expected, rtol=1e-10, atol=1e-10)
        turned = phases(model, angles + 0.7)
        invariant = np.allclose(system.outputs(state, x), system.outputs(turned, x), atol=1e-12)
        assert invariant == (not fixed) and len(system.neutral_modes(state)) == (not fixed)


def test_opposite_coupling_phases_have_an_energy():
    """A gauge field on a triangle: b_ij = -b_ji turns the energy's angles and stays reciprocal."""
    turn = 0.6 * (np.eye(3, k=1) - np.eye(3, k=-1))
    network = PhaseNetwork(Dense(np.ones((3, 3)) - np.eye(3), turn), [0.1, 0.0, -0.1])
    state, x = jnp.array([0.3, -1.0, 2.0]), network.default_inputs()
    np.testing.assert_allclose(network.residual(state, x), jax.grad(network.energy)(state, x), rtol=1e-12)


def test_one_sided_couplings_turn_at_a_frequency_of_their_own():
    """Oscillator 1 follows 0 and does not act back: both at f_0, and W sin(phi_1 - phi_0) = f_1 - f_0."""
    follower = Kuramoto(Sparse([1], [0], [2.0], size=2), [10.0, 11.0])
    found = relax(follower)
    np.testing.assert_allclose(found.outputs[1], 0.5, rtol=1e-9)
    np.testing.assert_allclose(follower.frequencies(found.state, follower.default_inputs()), 10.0, rtol=1e-10)
    pair = Kuramoto(AllToAll(1.0, 2, 0.5), [3.0, 3.0])  # Sakaguchi: in phase, the common frequency shifts by -W sin b
    np.testing.assert_allclose(pair.frequencies(jnp.ones(2), jnp.zeros(2)), 3.0 - np.sin(0.5), rtol=1e-10)
    np.testing.assert_allclose(pair.residual(jnp.ones(2), jnp.zeros(2)), 0, atol=1e-12)


@cache
def learning(fixed: bool):
    rng = np.random.default_rng(7)
    given = {"reference": 5}
    if fixed:
        given = {"fields": rng.normal(1.5, 0.3, 6), "field_phases": rng.normal(size=6), "second_harmonic": 0.2}
    network = PhaseNetwork(symmetric(6, 1), rng.normal(0, 0.5, 6), driven=[0, 1, 2], outputs=[3, 4], **given)
    return network, rng.normal(0, 0.5, (3, 3)), rng.normal(0, 0.7, (3, 4))


SLOW = [pytest.param(*case, marks=pytest.mark.slow) for case in ((True, Centred), (False, OneSided))]


@pytest.mark.parametrize(("fixed", "nudging"), [(False, Centred), *SLOW])
def test_ep_meets_its_figures(fixed, nudging):
    network, inputs, targets = learning(fixed)
    betas = np.geomspace(1e-4, 0.1, 7)
    card = check_gradient(network, inputs, targets, cost=COST, nudging=nudging(1e-4, relative=True), betas=betas)
    assert card.parameters == ("natural_frequency", "coupling_weight", "field")[: 2 + fixed]
    assert card.converged.all() and card.asymmetry < 1e-12, str(card)
    if nudging is Centred:
        assert (card.relative_error <= 1e-6).all(), str(card)
    np.testing.assert_allclose(card.slope, 1 if nudging is OneSided else 2, atol=0.1, err_msg=str(card))


def test_gradients_are_those_of_the_cost():
    """Against finite differences through the solver, for the frequencies and for one coupling."""
    network, inputs, targets = learning(False)
    found = implicit_gradient(network, inputs, targets, cost=COST).gradient  # which EP is held to above

    def cost(frequencies, weights):
        system = PhaseNetwork(Dense(weights), frequencies, driven=[0, 1, 2], outputs=[3, 4], reference=5)
        return np.mean(np.sum((np.asarray(relax(system, inputs).outputs) - targets) ** 2, axis=1)) / 2

    step, frequencies, weights = 1e-5, network.natural_frequency, network.coupling.weights
    up, down = (cost(frequencies.at[1].add(sign * step), weights) for sign in (1, -1))
    np.testing.assert_allclose((up - down) / (2 * step), found.natural_frequency[1], rtol=1e-4)
    up, down = (cost(frequencies, weights.at[3, 4].add(sign * step).at[4, 3].add(sign * step)) for sign in (1, -1))
    slopes = found.coupling.weights
    np.testing.assert_allclose((up - down) / (2 * step), slopes[3, 4] + slopes[4, 3], rtol=1e-4)
    np.testing.assert_allclose(np.sum(found.natural_frequency), 0, atol=1e-12)
    assert np.array_equal(np.diagonal(slopes), np.zeros(6))
    np.testing.assert_allclose(slopes, slopes.T, rtol=1e-9, atol=1e-12)


def test_phasors_have_the_implicit_gradient_of_the_phases():
    network, inputs, targets = learning(False)
    expected = implicit_gradient(network, inputs, targets, cost=COST).gradient
    system = Phasors(network.coupling, network.natural_frequency, driven=[0, 1, 2], outputs=[3, 4], reference=5)
    found = implicit_gradient(system, inputs, targets, cost=COST).gradient
    np.testing.assert_allclose(found.natural_frequency, expected.natural_frequency, rtol=1e-7)
    symmetric_part = (found.coupling.weights + found.coupling.weights.T) / 2  # each direction learns by itself
    np.testing.assert_allclose(symmetric_part, expected.coupling.weights, rtol=1e-7, atol=1e-10)


def test_starts_parameters_and_datasets():
    network, inputs, _ = learning(True)
    start = network.initial_state(jnp.zeros(3), jax.random.key(0))
    assert (start >= -np.pi).all() and (start < np.pi).all() and np.ptp(start) > 1
    assert np.ptp(network.initial_state(jnp.zeros(3))) < 0.01
    check_initial(network, jnp.zeros((1, 3)), start, False)
    only = PhaseNetwork(AllToAll(1.0, 3), fields=1.0, trainable=["field_phase"])
    assert [p.variable.name for p in only.parameters if p.trainable] == ["field_phase"]
    dataset = relax(network, inputs).to_dataset()
    assert dataset.oscillator_phase.attrs["units"] == "rad"
    assert dataset.output.values.tolist() == ["cos_3", "cos_4", "sin_3", "sin_4"]
    names = {variable.name: labels for variable, labels in PhaseNetwork(ring(4, 1.0), reference=2).coordinates()}
    assert names["output"][0] == "cos_0-2" and names["edge"][3] == "0-3"


def test_single_precision_settles_and_stays_single():
    network = PhaseNetwork(AllToAll(np.float32(0.5), 3), [0.0, 0.3, -0.2])
    found = relax(network)
    assert found.converged and {leaf.dtype for leaf in (found.state, found.outputs)} == {np.dtype(np.float32)}
    assert found.steps < 200


ASYMMETRIC = Sparse([0], [1], [1.0], size=2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PhaseNetwork(ASYMMETRIC), r"no energy: .* = 1 for M .*Kuramoto\(coupling.*symmetrised"),
        (lambda: PhaseNetwork(AllToAll(1.0, 3, np.pi / 2)), "no energy"),
        (lambda: PhaseNetwork(LowRank(np.eye(3)[:, :1], np.eye(3)[:, 1:2])), "no energy"),
        (lambda: PhaseNetwork(np.ones((2, 2))), "PhaseNetwork: coupling is"),
        (lambda: Kuramoto(AllToAll(1.0, 2, delay=1e-9)), "Kuramoto: the coupling has a delay of 1e-09 s"),
        (lambda: PhaseNetwork(AllToAll(1.0, 3), [1.0, 2.0]), r"frequencies has shape \(2,\); give \(3,\) or one"),
        (lambda: PhaseNetwork(AllToAll(1.0, 3), [1.0, np.nan, 0.0]), r"frequencies\[1\] is nan Hz"),
        (lambda: PhaseNetwork(AllToAll(1.0, 3), field_phases=1.0), "field_phases without fields"),
        (lambda: PhaseNetwork(AllToAll(1.0, 3), driven=[3]), r"driven\[0\] is 3; oscillators are numbered"),
        (lambda: PhaseNetwork(AllToAll(1.0, 3), driven=[1, 1]), "driven names oscillator 1 more than once"),
        (lambda: PhaseNetwork(AllToAll(1.0, 3), outputs=[0, 1]), "outputs hold oscillator 0, the reference"),
        (lambda: PhaseNetwork(AllToAll(1.0, 3), trainable=["gain"]), r"trainable names \['gain'\]"),
        (lambda: Phasors(AllToAll(1.0, 3), radial_rate=-1.0), "radial_rate is -1 s-1"),
    ],
)
def test_bad_networks_are_named(build, message):
    with pytest.raises(PhysnetError, match=message):
        build()


def test_what_symmetrised_returns_is_accepted():
    pair = PhaseNetwork(ASYMMETRIC.symmetrised(), [0.0, 0.2])
    np.testing.assert_array_equal(pair.coupling.matrices()[0], [[0, 0.5], [0.5, 0]])
    assert PhaseNetwork(AllToAll(1.0, 3, np.pi)).size == 3
