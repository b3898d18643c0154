"""The XY network with held inputs: its energy, its minima, its starts, its gradients."""

from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from oscillators import AllToAll, Kuramoto, Multistart, PhaseDescent, PhaseNetwork, XYNetwork
from oscillators.driven_xy import spectral_phases
from physnet import Centred, PhysnetError, SquaredError, ep_gradient, implicit_gradient, relax

ALL = ("input_weight", "coupling_weight", "field_cosine", "field_sine", "detuning", "second_harmonic")
RNG = np.random.default_rng(5)
INPUTS = RNG.uniform(0, np.pi, (6, 4))


@cache
def network(layered=False):
    """Four inputs, three hidden and two output oscillators, with every term of the energy."""
    rng = np.random.default_rng(1)
    options = {"fields": rng.uniform(0.2, 1, 5), "field_phases": rng.uniform(-3, 3, 5), "trainable": ALL}
    options |= {"detunings": rng.normal(0, 0.1, 5), "second_harmonic": rng.normal(0, 0.2, 5)}
    return XYNetwork.random(4, 3, 2, key=jax.random.key(3), gain=2.0, layered=layered, **options)


def energy_by_pairs(net, state, theta):
    """Oscillator by oscillator, as in the docstring; rad^2/s. Analytic: complex phases are as good."""
    w, v, total = np.asarray(net.weights()), np.asarray(net.input_weight), 0
    h, psi, f, s = (np.asarray(x) for x in (net.fields, net.field_phases, net.detuning, net.second_harmonic))
    for i in range(net.size):
        total -= sum(w[i, j] * np.cos(state[i] - state[j]) for j in range(i + 1, net.size))
        if i < net.driven:
            total -= sum(v[k, i] * np.cos(state[i] - theta[k]) for k in range(len(theta)))
        total -= h[i] * np.cos(state[i] - psi[i]) + s[i] * np.cos(2 * state[i]) / 2 + f[i] * state[i]
    return 2 * np.pi * total


@jax.jit
def physics(net, state, theta):
    return net.energy(state, theta), net.residual(state, theta), net.vector_field(state, theta)


@pytest.mark.parametrize("layered", [False, True])
def test_energy_and_residual_are_those_of_the_pairs(layered):
    net, state, theta = network(layered), np.array([0.3, -2.0, 1.1, 2.9, -0.4]), INPUTS[0]
    assert net.driven == (3 if layered else 5) and len(net.coupling_weight) == (6 if layered else 10)
    energy, residual, flow = physics(net, state, theta)
    np.testing.assert_allclose(energy, energy_by_pairs(net, state, theta), rtol=1e-12)
    step = 1e-6
    slope = [
        (energy_by_pairs(net, state + step * e, theta) - energy_by_pairs(net, state - step * e, theta)) / (2 * step)
        for e in np.eye(5)
    ]
    np.testing.assert_allclose(residual, slope, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(flow, -residual, rtol=1e-12)
    # At complex phases too, as holomorphic nudging takes it: an analytic continuation, and its derivative.
    there = state + 0.2j * np.arange(5)
    found = jax.jit(lambda s: net.energy(s, jnp.asarray(theta)))(there)
    np.testing.assert_allclose(found, energy_by_pairs(net, there, theta), rtol=1e-12)
    shifted = energy_by_pairs(net, state + 1e-30j * np.eye(5)[2], theta)
    np.testing.assert_allclose(shifted.imag / 1e-30, residual[2], rtol=1e-12)


def test_couplings_stay_symmetric_and_off_the_diagonal():
    for layered in (False, True):
        w = np.asarray(network(layered).weights())
        np.testing.assert_array_equal(w, w.T)
        assert not np.diagonal(w).any()
        assert not layered or not (w[:3, :3].any() or w[3:, 3:].any())
    net = network()
    rebuilt = XYNetwork(net.input_weight, net.weights(), outputs=2, fields=net.fields, field_phases=net.field_phases)
    np.testing.assert_allclose(rebuilt.field_sine, net.field_sine, rtol=1e-14)
    np.testing.assert_array_equal(rebuilt.coupling_weight, net.coupling_weight)


def starts(key=0):
    return jax.vmap(network().initial_state)(jnp.asarray(INPUTS), jax.random.split(jax.random.key(key), 6))


def test_random_starts_cover_the_circle():
    first = np.asarray(starts())
    assert first.shape == (6, 5) and (np.abs(first) <= np.pi).all() and np.ptp(first) > 4
    assert len(np.unique(first)) == first.size


def test_the_relaxer_finds_what_a_quasi_newton_minimiser_finds():
    """Minima, and from starts next to each other the same ones, with a smaller residual; from far off two ways down
    may end in two valleys, of which neither is deeper as a rule."""
    net, first = network(), np.asarray(starts())
    found = relax(net, INPUTS, initial=first)
    assert found.converged.all() and (found.residual <= 1e-10).all()
    nearby = np.asarray(found.state) + np.random.default_rng(2).uniform(-0.4, 0.4, first.shape)
    again = relax(net, INPUTS, initial=nearby)
    depth = []
    for k, theta in enumerate(INPUTS):
        energy = partial(energy_by_pairs, net, theta=theta)
        other = minimize(energy, nearby[k], method="BFGS")
        np.testing.assert_allclose(again.state[k], other.x, atol=1e-4)
        assert again.energy[k] <= other.fun + 1e-9
        slope = np.abs(physics(net, other.x, theta)[1]).max()
        assert again.imbalance[k] <= max(slope, 1e-9)
        depth.append(minimize(energy, first[k], method="BFGS").fun - float(found.energy[k]))
    assert np.sum(np.array(depth) > -1e-6) >= 3 and np.median(depth) > -1e-6


def test_a_sample_does_not_depend_on_its_company():
    net, first = network(), starts()
    together = relax(net, INPUTS, initial=first)
    inputs, first = INPUTS.copy(), np.array(first)
    inputs[3:], first[3:] = RNG.uniform(0, 3, (3, 4)), RNG.uniform(-3, 3, (3, 5))
    apart = relax(net, inputs, initial=first)
    np.testing.assert_array_equal(together.state[:3], apart.state[:3])
    np.testing.assert_array_equal(together.steps[:3], apart.steps[:3])
    assert not np.array_equal(together.steps[3:], apart.steps[3:])


def test_it_leaves_a_saddle():
    """Oscillators that repel each other rest on a saddle when in phase; in the minimum they are opposite. What nothing
    acts on stays."""
    net = jax.tree.map(jnp.zeros_like, network())
    net = eqx.tree_at(lambda n: n.coupling_weight, net, net.coupling_weight.at[jnp.array([0, 7])].set(-1.0))
    found = relax(net, INPUTS, initial=np.zeros((6, 5)))
    np.testing.assert_allclose(found.energy, -2 * 2 * np.pi, rtol=1e-12)
    w, phases = np.asarray(net.weights()), np.asarray(found.state)
    assert w[0, 1] == w[2, 3] == -1 and np.abs(w).sum() == 4
    np.testing.assert_allclose(np.cos(phases[:, [0, 2]] - phases[:, [1, 3]]), -1, rtol=1e-12)
    assert found.converged.all() and (np.abs(phases[:, 4]) < 0.05).all()


def test_ep_meets_the_implicit_gradient():
    net, targets = network(), np.tile([1.0, -0.5, 0.2, 0.4], (6, 1))
    nudging = Centred(1e-4, relative=True)
    learned = ep_gradient(net, INPUTS, targets, cost=SquaredError(), nudging=nudging)
    exact = implicit_gradient(net, INPUTS, targets, cost=SquaredError()).gradient
    for name in ALL:
        a, b = (np.asarray(getattr(g, name)) for g in (learned.gradient, exact))
        assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b), name
    # The squared error of phasors is sum 1 - cos(phi - phi_target).
    angles = np.array([[0.5, -1.0]])
    phasors = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    state = jnp.array([0.1, 0.2, 0.3, 2.0, -1.5])
    cost = SquaredError()(net.outputs(state, jnp.zeros(4)), jnp.asarray(phasors[0]))
    np.testing.assert_allclose(cost, np.sum(1 - np.cos(np.array([2.0, -1.5]) - angles)), rtol=1e-12)


def test_many_starts_are_averaged():
    """Each copy goes where the network alone goes from that start; energies and readings are means."""
    net, first = network(), np.asarray(starts(4))[:3]
    several = Multistart(net, first)
    found = relax(several, INPUTS, relaxer=PhaseDescent(tolerance=1e-9, polish=False))
    assert found.state.shape == (6, 3, 5) and found.converged.all()
    assert (found.residual <= 1e-9).all() and found.residual.max() > 1e-13  # a coarse descent stops at its tolerance
    alone = [relax(net, INPUTS, initial=np.tile(start, (6, 1))) for start in first]
    np.testing.assert_allclose(found.state, np.stack([a.state for a in alone], axis=1), atol=1e-8)
    np.testing.assert_allclose(found.outputs, np.mean([a.outputs for a in alone], axis=0), atol=1e-8)
    np.testing.assert_allclose(found.energy, np.mean([a.energy for a in alone], axis=0), rtol=1e-9)
    state, theta = np.asarray(found.state[0]) + 0.1, INPUTS[0]
    _, residual, flow = physics(several, state, theta)
    np.testing.assert_allclose(residual, jax.jit(jax.grad(several.energy))(state, theta), atol=1e-12)
    np.testing.assert_allclose(flow, [physics(net, phases, theta)[2] for phases in state], rtol=1e-9)
    assert [p.variable.name for p in several.parameters if p.trainable] == list(ALL)
    drawn = Multistart.random(net, 4, key=jax.random.key(0))
    assert drawn.starts.shape == (4, 5) and drawn.description["starts"] == 4


def test_the_spectral_start_is_the_leading_eigenvector():
    net, theta = network(), jnp.asarray(INPUTS[1])
    drive = np.asarray(net.resolve(theta))
    hermitian = np.zeros((6, 6), complex)
    hermitian[:5, :5], hermitian[:5, 5] = net.weights(), drive[0] + 1j * drive[1]
    hermitian[5] = hermitian[:, 5].conj()
    leading = np.linalg.eigh(hermitian)[1][:, -1]
    expected = np.exp(1j * np.angle(leading[:5] / leading[5]))
    spectral = XYNetwork(net.input_weight, net.weights(), outputs=2, start="spectral", fields=net.fields)
    found = spectral_phases(net.weights(), jnp.asarray(drive))
    np.testing.assert_allclose(np.exp(1j * found), expected, atol=1e-12)
    state = spectral.initial_state(theta)
    np.testing.assert_allclose(state, spectral_phases(spectral.weights(), spectral.resolve(theta)), atol=1e-12)
    # Without couplings, every oscillator follows its drive.
    alone = spectral_phases(jnp.zeros((5, 5)), jnp.asarray(drive))
    np.testing.assert_allclose(alone, np.arctan2(drive[1], drive[0]), atol=1e-12)


def test_datasets_say_what_is_what():
    ds = relax(network(), INPUTS).to_dataset()
    assert ds.oscillator_phase.attrs["units"] == "rad" and ds.input_phase.attrs["units"] == "rad"
    assert ds.output.values.tolist() == ["cos_0", "cos_1", "sin_0", "sin_1"]
    assert ds.oscillator.values.tolist() == ["hidden_0", "hidden_1", "hidden_2", "output_0", "output_1"]
    assert ds.coupling_weight.dims == ("pair",) and ds.pair.values[0] == "0-1"
    assert ds.residual.dims == ("sample",) and bool(ds.converged.all())


V, W = np.ones((4, 5)), np.ones((5, 5)) - np.eye(5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: XYNetwork(V, W[:4], outputs=2), r"weights have shape \(4, 5\); give a square matrix"),
        (lambda: XYNetwork(V, np.triu(W), outputs=2), r"weights\[0, 1\] is 1 Hz and weights\[1, 0\] 0 Hz"),
        (lambda: XYNetwork(V, np.ones((5, 5)), outputs=2), r"weights\[0, 0\] is 1 Hz; an oscillator does not couple"),
        (lambda: XYNetwork(V[:, :3], W, outputs=2, layered=True), "a layered network has none inside a layer"),
        (lambda: XYNetwork(V[:, :3], W, outputs=2), r"input_weights have shape \(4, 3\); give \(input, 5\)"),
        (lambda: XYNetwork(V, W, outputs=6), "6 outputs of 5 free oscillators leave -1 hidden"),
        (lambda: XYNetwork(V, W, outputs=5, layered=True), "leave 0 hidden"),
        (lambda: XYNetwork(V, W, outputs=2, fields=[1.0, 2.0]), r"fields has shape \(2,\); give \(5,\)"),
        (lambda: XYNetwork(V * np.inf, W, outputs=2), "every value must be finite"),
        (lambda: XYNetwork(V, W, outputs=2, readout="sine"), "readout is 'sine'; choose one of phasors, cosines"),
        (lambda: XYNetwork(V, W, outputs=2, start="cold"), "start is 'cold'; choose one of in phase, spectral"),
        (lambda: XYNetwork(V, W, outputs=2, trainable=["gain"]), r"trainable names \['gain'\]; its parameters are inp"),
        (lambda: relax(network(), INPUTS[:, :3]), r"inputs have shape \(6, 3\)"),
        (lambda: relax(network(), INPUTS, initial=np.zeros((6, 4))), r"oscillator_phase has shape \(6, 4\)"),
        (lambda: Multistart(network(), np.zeros((2, 4))), r"starts has shape \(2, 4\); give \(2, 5\)"),
        (lambda: Multistart(PhaseNetwork(AllToAll(1.0, 3)), np.zeros((2, 3))), "Multistart: network is"),
        (lambda: relax(Kuramoto(AllToAll(1.0, 3)), relaxer=PhaseDescent()), "refuses Kuramoto.*Locking"),
    ],
)
def test_what_does_not_fit_is_named(build, message):
    with pytest.raises(PhysnetError, match=message):
        build()
