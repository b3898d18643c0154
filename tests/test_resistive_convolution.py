"""Convolutional resistive networks against the same circuit element by element."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from circuits import IdealDiode, ShockleyDiode
from circuits.convolutional import ConvolutionalNetwork, patches
from circuits.convolutional_circuit import convolutional_circuit, convolutional_inputs, tied
from circuits.stage_descent import StageDescent
from physnet import Centred, CrossEntropy, Nudge, PhysnetError, SquaredError, ep_gradient, relax

RNG = np.random.default_rng(7)


def uniform(*shape):
    return RNG.uniform(0.1, 1, shape)


def network(diode, **options):
    """One stage: 3 x 3 pixels, 2 x 2 hidden nodes of 2 channels, one window, two outputs."""
    return ConvolutionalNetwork((3, 3, 1), [uniform(2, 2, 2, 2)], uniform(2, 2), input_gain=3.0, diode=diode, **options)


IMAGES, TARGETS = RNG.random((2, 3, 3, 1)), RNG.random((2, 2))
OPTIONS = dict(cost=SquaredError(), nudging=Centred(1e-3, relative=True))


def test_patches_are_those_of_a_correlation():
    image, kernel = jnp.asarray(uniform(5, 6, 3)), jnp.asarray(uniform(2, 2, 3, 4))
    found = patches(image, 2) @ kernel.reshape(-1, 4)
    expected = jax.lax.conv_general_dilated(
        image[None], kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(found, expected[0], rtol=1e-12)


def test_states_and_gradients_are_those_of_the_circuit_with_tied_conductances():
    net = network(ShockleyDiode())
    circuit = convolutional_circuit(net)
    assert len(circuit) == 18 + 2 * 2 * (8 * 2 + 2 + 2) + 2 + 4
    system = circuit.build(inputs=convolutional_inputs(net), outputs=["y0", "y1"])
    sources = jnp.stack([net.sources(image).ravel() for image in jnp.asarray(IMAGES)])
    ours = ep_gradient(net, IMAGES, TARGETS, **OPTIONS)
    theirs = relax(system, sources)
    np.testing.assert_allclose(ours.free.outputs, theirs.outputs, rtol=1e-10)
    np.testing.assert_allclose(ours.free.energy, theirs.energy, rtol=1e-10)
    parameter = next(p for p in system.parameters if p.variable.name == "conductance")

    def energies(system, sign):
        """Of the circuit in the nudged phases of the network, over their betas, averaged."""
        states = jax.tree.map(lambda leaf: leaf[sign], ours.nudged.state)
        vectors = jax.vmap(lambda state: _vector(net, state, system.labels.free))(states)
        return jnp.mean(jax.vmap(system.energy)(vectors, sources) / (ours.betas[0] - ours.betas[1]))

    rule = eqx.filter_grad(lambda system: energies(system, 0) - energies(system, 1))(system)
    for a, b in zip((*ours.gradient.kernels, ours.gradient.weights), tied(net, parameter.get(rule))):
        np.testing.assert_allclose(a, b, atol=1e-8 * np.abs(b).max())
    # Kirchhoff's law and its scale, node by node, of a state away from rest.
    state = jax.tree.map(lambda leaf: leaf[0] + 0.01, ours.free.state)
    vector = _vector(net, state, system.labels.free)
    image, potentials = jnp.asarray(IMAGES[0]), sources[0]
    found = _vector(net, net.residual(state, image), system.labels.free)
    np.testing.assert_allclose(found, system.residual(vector, potentials), rtol=1e-9, atol=1e-14)
    found = _vector(net, net.residual_scale(state, image), system.labels.free)
    np.testing.assert_allclose(found, system.residual_scale(vector, potentials), rtol=2e-2)


def _potentials(net, state):
    found = {f"y{i}": value for i, value in enumerate(state[-1])}
    for i, leaf in enumerate(state[:-1]):
        found |= {
            "_".join(map(str, (f"{'hpa'[i % 3]}{i // 3 + 1}", *index))): leaf[index] for index in np.ndindex(leaf.shape)
        }
    return found


def _vector(net, state, nodes):
    """The state as the circuit orders it."""
    at = _potentials(net, state)
    return jnp.stack([at[node] for node in nodes])


def test_ideal_diodes_keep_half_of_the_channels_on_either_side():
    net = network(IdealDiode())
    found = relax(net, IMAGES)
    hidden = np.asarray(found.state[0])
    assert (hidden[..., 0] >= 0).all() and (hidden[..., 1] <= 0).all() and (hidden == 0).any()
    again = relax(net, IMAGES, relaxer=StageDescent())
    for a, b in zip(again.state, found.state):
        np.testing.assert_allclose(a, b, atol=1e-8)


@pytest.mark.slow
def test_stages_follow_one_another():
    net = ConvolutionalNetwork((5, 6, 1), [uniform(2, 2, 2, 3), uniform(2, 2, 3, 1)], uniform(12, 2), pooling=1)
    assert net.sizes() == ((4, 5, 3), (3, 4, 1))
    circuit = convolutional_circuit(net)
    system = circuit.build(inputs=convolutional_inputs(net))
    image = jnp.asarray(uniform(5, 6, 1))
    state = tuple(jnp.asarray(uniform(*leaf.shape)) for leaf in net.initial_state(image))
    vector = _vector(net, state, system.labels.free)
    energy = system.energy(vector, net.sources(image).ravel())
    np.testing.assert_allclose(net.energy(state, image), energy, rtol=1e-12)
    settled = relax(net, image, relaxer=StageDescent())
    at = _vector(net, settled.state, system.labels.free)
    residual = system.residual(at, net.sources(image).ravel()) / system.residual_scale(at, net.sources(image).ravel())
    assert float(jnp.max(jnp.abs(residual))) < 1e-9


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (((3, 3), [uniform(2, 2, 2, 2)], uniform(2, 2)), {}, r"shape is \(3, 3\)"),
        (((3, 3, 1), [uniform(2, 2, 1, 2)], uniform(2, 2)), {}, r"expected \(k, k, 2, channels after it\)"),
        (((4, 4, 1), [uniform(2, 2, 2, 2)], uniform(2, 2)), {}, "3 x 3 hidden nodes of 4 x 4 nodes, which windows"),
        (
            ((3, 3, 1), [uniform(2, 2, 2, 2)], uniform(3, 2)),
            {},
            r"weights have shape \(3, 2\); expected \(2, outputs\)",
        ),
        (((3, 3, 1), [-uniform(2, 2, 2, 2)], uniform(2, 2)), {}, "kernel 0: conductance -0"),
        (((3, 3, 1), [uniform(2, 2, 2, 2)], 0 * uniform(2, 2)), {}, "so that it floats"),
        (
            ((3, 3, 1), [uniform(2, 2, 2, 2)], uniform(2, 2)),
            {"amplifier_gain": 0.0},
            "amplifier_gain is 0.0; it must be",
        ),
        (((3, 3, 1), [uniform(2, 2, 2, 2)], uniform(2, 2)), {"pool_conductance": -1.0}, "pool_conductance is -1.0 S"),
        (((3, 3, 1), [uniform(2, 2, 2, 2)], uniform(2, 2)), {"diode": ShockleyDiode}, "forget the parentheses"),
        (((3, 3, 1), [uniform(2, 2, 2, 2)], uniform(2, 2)), {"pooling": 0}, "pooling is 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, options, message):
    with pytest.raises(PhysnetError, match=f"ConvolutionalNetwork: .*{message}"):
        ConvolutionalNetwork(*arguments, **options)


def test_stage_descent_nudges_by_quadratic_costs_only():
    net = network(ShockleyDiode())
    nudge = Nudge(SquaredError(), TARGETS, 0.3)
    states = [relax(net, IMAGES, nudge=nudge, relaxer=relaxer).state for relaxer in (StageDescent(), None)]
    for a, b in zip(*states):
        np.testing.assert_allclose(a, b, atol=1e-8)
    with pytest.raises(PhysnetError, match="CrossEntropy is not a quadratic cost"):
        relax(net, IMAGES, nudge=Nudge(CrossEntropy(), [0.0, 1.0], 0.3), relaxer=StageDescent())
