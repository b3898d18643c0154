"""One EP training step of a convolutional network, 28x28x1 - 32 - 64 - 10, against other ways to take it, float32.

    python -m pytest tests/benchmarks/test_convolutional_step.py --benchmark-only -s -n 0

The step is the one that `fit` takes: free phase, two nudged phases, gradient, Adam; 5 x 5 kernels, pooling of 2 x 2,
softmax readout, as many steps as `studies.conv_mnist`. It is printed beside a backpropagation step of a feed-forward
network of the same shape. The floor counts the multiplications of the settling layers alone, at the speed of one large
matrix product.
"""

import statistics
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from physnet import Centred, CrossEntropy, EnergyRule, FixedPoint
from physnet.networks import AveragePooling, ConvolutionalHopfield
from physnet.parameters import trainable_mask
from physnet.trainer import Trainer

BATCH, RUNS = 64, 5
FREE, NUDGED = 15, 6


def images():
    """Pixels as sparse as MNIST's."""
    rng = np.random.default_rng(0)
    pixels = np.where(rng.random((BATCH, 784)) < 0.19, rng.random((BATCH, 784)), 0).astype(np.float32)
    return jnp.asarray(pixels), jnp.asarray(np.eye(10, dtype=np.float32)[rng.integers(0, 10, BATCH)])


def network(pooling, method=None):
    return ConvolutionalHopfield.random(
        (28, 28, 1),
        (32, 64),
        key=jax.random.key(0),
        readout=10,
        gain=2.0,
        pooling=pooling,
        method=method,
        dtype=jnp.float32,
    )


def ep_step(net):
    """(step function, its first argument)."""
    optimiser = optax.adam(1e-3)
    relaxer = FixedPoint(tolerance=2e-3, max_steps=FREE, nudged_steps=NUDGED)
    engine = Trainer(CrossEntropy(), Centred(0.5), EnergyRule(), relaxer, optimiser, {}, BATCH)
    arrays, rest = eqx.partition((net, optimiser.init(eqx.filter(net, trainable_mask(net)))), eqx.is_array)

    @jax.jit
    def step(arrays, inputs, targets):
        net, state, found = engine.step(*eqx.combine(arrays, rest), inputs, targets, jax.random.key(0))
        return eqx.filter((net, state), eqx.is_array), found.cost

    return step, arrays


def backpropagation_step(net):
    """(step function, its first argument): the same convolutions, forwards only, clipped and pooled alike."""
    optimiser = optax.adam(1e-3)
    mask = trainable_mask(net)
    arrays, rest = eqx.partition(net, mask)

    def outputs(net, image):
        first = jnp.clip(net.resolve(image) + net.biases[0][None, None], 0, 1)
        second = net.pooling.of_convolution(first, net.kernels[1], net.method)
        second = jnp.clip(second + net.biases[1][None, None], 0, 1)
        return second.reshape(-1) @ net.readout[0] + net.readout[1]

    @jax.jit
    def step(carry, inputs, targets):
        arrays, state = carry

        def loss(arrays):
            logits = jax.vmap(lambda x: outputs(eqx.combine(arrays, rest), x))(inputs)
            return jnp.mean(optax.softmax_cross_entropy(logits, targets))

        cost, gradient = jax.value_and_grad(loss)(arrays)
        updates, state = optimiser.update(gradient, state, arrays)
        return (eqx.apply_updates(arrays, updates), state), cost

    return step, (arrays, optimiser.init(arrays))


def seconds(step, carry, *args):
    started = time.perf_counter()
    carry, cost = step(carry, *args)
    jax.block_until_ready((carry, cost))
    return time.perf_counter() - started


def floor() -> float:
    """Seconds that the settling layers' products would take at the speed of one product of 2048-square matrices."""
    square = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(lambda a, carry: (a @ carry, carry[0, 0]))
    seconds(lambda c, a: product(a, c), square, square)
    speed = 2 * 2048**3 / min(seconds(lambda c, a: product(a, c), square, square) for _ in range(5))
    forward = 2 * 64 * 32 * 16 * 36  # of the second convolution with its pooling, per sample
    first = 2 * 32 * 144 * 36
    sweeps = 2 * forward * (FREE + 2 * NUDGED)  # each moves both layers: one product forwards, one backwards
    gradients = 2 * (2 * forward + 2 * first)
    return BATCH * (first + sweeps + gradients) / speed


def test_convolutional_training_step(benchmark):
    inputs, targets = images()
    cases = {
        "EP, average pooling": ep_step(network(AveragePooling())),
        "backpropagation, average pooling": backpropagation_step(network(AveragePooling())),
    }
    for case in cases.values():
        seconds(*case, inputs, targets)

    def measure():
        rows = [{name: seconds(*case, inputs, targets) for name, case in cases.items()} for _ in range(RUNS)]
        return {name: statistics.median(row[name] for row in rows) for name in cases}

    found = benchmark.pedantic(measure, rounds=1)
    first = found["EP, average pooling"]
    for name, value in found.items():
        print(f"\n{name:36}{1e3 * value:8.1f} ms{value / first:8.2f} of the first", end="")
    print(f"\nfloor {1e3 * floor():.1f} ms")
