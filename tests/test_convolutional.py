"""Convolutional Hopfield networks: convolution, pooling, drive and gradients against scipy, numpy and mathematics."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.signal import correlate

from physnet import (
    Centred,
    CrossEntropy,
    Data,
    Holomorphic,
    PhysnetError,
    SquaredError,
    check_gradient,
    ep_gradient,
    fit,
    implicit_gradient,
    relax,
    results,
)
from physnet.networks import AveragePooling, ConvolutionalHopfield, HardSigmoid, Logistic, MaxPooling, SoftmaxPooling
from physnet.networks.pooling import convolve
from physnet.problem import flatten
from physnet.system import System

RNG = np.random.default_rng(0)
INPUTS, TARGETS = RNG.random((2, 16)), np.eye(3)[[0, 2]]
NETS = {
    "average": (AveragePooling(), Logistic(), None, SquaredError()),
    "softmax": (SoftmaxPooling(), Logistic(), 3, CrossEntropy()),
    "max": (MaxPooling(), HardSigmoid(), 3, CrossEntropy()),
}


@cache
def network(name: str, gain: float = 2.0) -> ConvolutionalHopfield:
    """4x4x1 -> 2 channels, 3x3 -> pool 2 -> 3 channels -> pool 2 -> 3 outputs: units that settle, or a readout."""
    pooling, activation, readout, _ = NETS[name]
    found = ConvolutionalHopfield.random(
        (4, 4, 1),
        (2, 3),
        (3,) * (readout is None),
        key=jax.random.key(1),
        kernel=3,
        readout=readout,
        gain=gain,
        pooling=pooling,
        activations=activation,
        padding=1,
    )
    biases = [np.random.default_rng(i).normal(0.2, 0.1, b.shape) for i, b in enumerate(found.biases)]
    return with_(found, biases=biases)


def with_(net, **change):
    """The network with other parts."""
    names = ("shape", "kernels", "weights", "biases", "activations", "readout", "pooling", "padding")
    return ConvolutionalHopfield(**({name: getattr(net, name) for name in names} | change))


@cache
def implicit(name: str):
    return implicit_gradient(network(name), INPUTS, TARGETS, cost=NETS[name][-1])


@cache
def report(name: str):
    betas = np.geomspace(1e-3, 0.1, 5)
    return check_gradient(network(name), INPUTS, TARGETS, cost=NETS[name][-1], betas=betas)


def gradients(net, found) -> dict[str, np.ndarray]:
    return {p.variable.name: np.asarray(p.get(found.gradient)) for p in net.parameters if p.trainable}


@pytest.mark.parametrize("method", ["matmul", "xla"])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 2), (3, 2)])
def test_convolution_is_scipys(method, size, stride):
    image, kernel = RNG.random((9, 7, 2)), RNG.normal(size=(size, size, 2, 3))
    found = convolve(image, kernel, stride, method)
    expected = np.stack([correlate(image, kernel[..., c], mode="valid")[..., 0] for c in range(3)], axis=-1)
    np.testing.assert_allclose(found, expected[::stride, ::stride], rtol=1e-12, atol=1e-12)


def test_pooling_is_numpys():
    image = RNG.normal(size=(6, 4, 3))
    pixels = image.reshape(3, 2, 2, 2, 3).transpose(0, 2, 4, 1, 3).reshape(3, 2, 3, 4)
    weights = np.exp(pixels / 0.3)
    np.testing.assert_allclose(AveragePooling()(image), pixels.mean(axis=-1), rtol=1e-13)
    np.testing.assert_array_equal(MaxPooling()(image), pixels.max(axis=-1))
    soft = (weights * pixels).sum(axis=-1) / weights.sum(axis=-1)
    np.testing.assert_allclose(SoftmaxPooling(temperature=0.3)(image), soft, rtol=1e-13)
    np.testing.assert_allclose(SoftmaxPooling(temperature=1e-3)(image + 1e4), pixels.max(axis=-1) + 1e4, rtol=1e-9)
    np.testing.assert_array_equal(AveragePooling(1)(image), image)


@pytest.mark.parametrize(("size", "side"), [(2, 3), (3, 5)])
def test_an_averaged_convolution_is_one_with_a_stride(size, side):
    image, kernel = RNG.random((6 + side - 1, 12 + side - 1, 2)), RNG.normal(size=(side, side, 2, 3))
    pooling = AveragePooling(size)
    pair = jax.jit(lambda x, w: (pooling.of_convolution(x, w), pooling(convolve(x, w, method="xla"))))
    np.testing.assert_allclose(*pair(image, kernel), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_drive_is_the_slope_of_the_primitive_function(name):
    net, x = network(name), jnp.asarray(INPUTS[0])
    silent, unravel = jax.flatten_util.ravel_pytree(net.initial_state(x))
    state = RNG.random(silent.size)
    steps = 1e-5 * np.eye(state.size)
    phi, drive = jax.jit(
        lambda states: (jax.vmap(lambda s: net.primitive(unravel(s), x))(states), net.drive(unravel(states[0]), x))
    )(np.concatenate([state[None], state + steps, state - steps]))
    up, down = np.split(np.asarray(phi[1:]), 2)
    np.testing.assert_allclose(flatten(drive), (up - down) / 2e-5, atol=1e-9)


def test_layers_see_what_they_should():
    """Phi is what the docstring says, of pooled correlations by scipy."""
    net, state = network("max"), (RNG.random((2, 2, 2)), RNG.random((1, 1, 3)))
    phi, layers = 0, (INPUTS[0].reshape(4, 4, 1), *state)
    for below, above, kernel, bias in zip(layers, state, net.kernels, net.biases):
        padded = np.pad(below, ((1, 1), (1, 1), (0, 0)))
        found = [correlate(padded, kernel[..., c], mode="valid")[..., 0] for c in range(kernel.shape[-1])]
        side = above.shape[0]
        pooled = np.stack(found, axis=-1).reshape(side, 2, side, 2, -1).max(axis=(1, 3))
        phi += np.sum(above * (pooled + np.asarray(bias)))
    np.testing.assert_allclose(net.primitive(state, jnp.asarray(INPUTS[0])), phi, rtol=1e-12)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in ("softmax", "average") else ()) for n in NETS]
)
def test_centred_gradient_is_the_implicit_one(name):
    """Also at the corners of max pooling and clipped units, which a generic state does not touch."""
    card = report(name)
    assert card.converged.all() and (card.relative_error <= 1e-6).all(), str(card)
    determined = np.isfinite(card.slope)
    assert determined.all() or name == "max", str(card)
    np.testing.assert_allclose(card.slope[determined], 2, atol=0.1, err_msg=str(card))


def test_readout_gradient_is_backpropagated():
    """A readout acts on nothing: its gradient is softmax regression's on the settled last layer."""
    net, found = network("softmax"), implicit("softmax")
    last = np.asarray(found.free.state[-1]).reshape(2, -1)
    wrong = jax.nn.softmax(found.free.outputs, axis=1) - TARGETS
    learned = gradients(net, found)
    np.testing.assert_allclose(learned["readout_weight"], last.T @ wrong / 2, rtol=1e-9)
    np.testing.assert_allclose(learned["readout_bias"], wrong.mean(axis=0), rtol=1e-9)


@pytest.mark.slow
def test_holomorphic_gradient_of_a_smooth_network():
    nudging = Holomorphic(0.1, relative=True, points=8)
    found = ep_gradient(network("softmax"), INPUTS, TARGETS, cost=CrossEntropy(), nudging=nudging)
    exact = gradients(network("softmax"), implicit("softmax"))
    for name, gradient in gradients(network("softmax"), found).items():
        assert np.linalg.norm(gradient - exact[name]) <= 1e-5 * np.linalg.norm(exact[name]), name


def test_holomorphic_nudging_refuses_what_clips_and_what_compares():
    arguments = {"cost": CrossEntropy(), "nudging": Holomorphic(0.1, relative=True, points=8)}
    with pytest.raises(PhysnetError, match="confined to a box, and what clips is no analytic function"):
        ep_gradient(network("max"), INPUTS, TARGETS, **arguments)
    smooth = with_(network("max"), activations=Logistic())
    with pytest.raises(PhysnetError, match="max pooling takes the largest of a window, which complex numbers do not"):
        ep_gradient(smooth, INPUTS, TARGETS, **arguments)


def test_nudging_scale_is_the_dense_one():
    net, states = network("softmax"), implicit("softmax").free.state
    state, x = jax.tree.map(lambda leaf: leaf[0], states), jnp.asarray(INPUTS[0])
    lean, dense = jax.jit(lambda s, x: (net.nudging_scale(s, x), System.nudging_scale(net, s, x)))(state, x)
    np.testing.assert_allclose(lean, dense, rtol=1e-3)


def test_single_precision_and_training():
    """float32 stays float32, through steps of training on images in bytes; their dataset is a valid one."""
    net = ConvolutionalHopfield.random(
        (4, 4, 1),
        (2,),
        key=jax.random.key(0),
        kernel=3,
        padding=1,
        readout=3,
        pooling=AveragePooling(),
        input_gain=1 / 255,
        dtype=jnp.float32,
        flat=False,
    )
    data = Data((255 * INPUTS).astype(np.uint8).reshape(2, 4, 4, 1), TARGETS.astype(np.float32))
    settings = {"cost": CrossEntropy(), "nudging": Centred(0.1), "optimiser": optax.sgd(0.1)}
    run = fit(net, data, epochs=2, batch_size=2, key=jax.random.key(0), **settings)
    assert {leaf.dtype for leaf in jax.tree.leaves((run.system.kernels, run.system.readout))} == {np.dtype("float32")}
    assert run.history["train_cost"][1] < run.history["train_cost"][0]
    ds = run.to_dataset(title="two steps")
    assert results.validate(ds) == []
    assert ds.kernel_0.dims == ("kernel_row_0", "kernel_column_0", "channel", "channel_1")
    assert ds.readout_weight.dims == ("feature_1", "output")


def kernels(*shapes):
    return [np.ones(shape) for shape in shapes]


READOUT = (np.ones((8, 3)), np.zeros(3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernels": ()}, "no kernels"),
        ({"kernels": kernels((3, 3, 2, 2))}, r"kernel_0 has shape \(3, 3, 2, 2\), but the layer before has 1 channels"),
        ({"kernels": kernels((3, 2, 1, 2))}, r"kernel_0 has shape \(3, 2, 1, 2\); give \(k, k, before, after\)"),
        ({"kernels": kernels((4, 4, 1, 2))}, r"gives 3 x 3, which windows of 2 x 2 do not tile"),
        ({"kernels": kernels((7, 7, 1, 2))}, "do not tile"),
        ({"weights": kernels((5, 3))}, r"weight_1 has shape \(5, 3\), but the layer before has 8 units"),
        ({"biases": [np.zeros(3)]}, r"bias_0 has shape \(3,\); give one number for each of 2 channels"),
        ({"biases": []}, "0 biases for 1 layers"),
        ({"readout": None}, "neither dense layers nor a readout"),
        ({"readout": (np.ones((4, 3)), np.zeros(3))}, r"give a matrix \(8, output\)"),
        ({"activations": Logistic}, "Logistic; did you forget the parentheses"),
        ({"activations": (Logistic(), Logistic())}, "2 activations for 1 layers"),
        ({"pooling": "max"}, "pooling is 'max'"),
        ({"padding": -1}, "padding is -1"),
        ({"method": "fft"}, "method is 'fft'"),
        ({"input_gain": np.nan}, "NaN or infinite"),
        ({"shape": (6, 6)}, r"shape is \(6, 6\); give \(row, column, channel\)"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    parts = {"shape": (6, 6, 1), "kernels": kernels((3, 3, 1, 2)), "readout": READOUT} | change
    with pytest.raises(PhysnetError, match=message):
        ConvolutionalHopfield(**parts)


def test_wrong_inputs_and_pooling_are_named():
    with pytest.raises(PhysnetError, match=r"inputs have shape \(2, 15\); expected \(16,\)"):
        relax(network("max"), INPUTS[:, :-1])
    with pytest.raises(PhysnetError, match=r"targets have shape \(2, 4\); expected \(2, 3\)"):
        ep_gradient(network("max"), INPUTS, np.ones((2, 4)) / 4, cost=CrossEntropy(), nudging=Centred(0.1))
    with pytest.raises(PhysnetError, match="MaxPooling: size is 0"):
        MaxPooling(0)
    with pytest.raises(PhysnetError, match="SoftmaxPooling: temperature is 0"):
        SoftmaxPooling(temperature=0.0)
