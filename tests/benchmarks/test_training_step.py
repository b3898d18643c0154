"""One EP training step against one backpropagation step of a perceptron of the same shape, batch 64, float32.

    python -m pytest tests/benchmarks --benchmark-only -s -n 0

prints the table of docs/benchmarks.md. An EP step is the one that `fit` takes: free phase, two nudged phases, gradient,
update, bounds. The backpropagation step is as plain as JAX allows: forward, backward, update, all in one jit. Before
anything is timed, the states are held to a relative residual of 1e-4 (measured exactly, branch by branch) and the
gradients to a cosine of 0.999 to fully converged double-precision ones.
"""

import os
import statistics
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from circuits import BlockDescent, IdealDiode, LayeredNetwork
from physnet import Centred, Nudge, SquaredError
from physnet.equilibrium import settle
from physnet.gradients import phase_gradient
from physnet.parameters import trainable_mask
from physnet.trainer import Trainer

BATCH, RUNS, STEPS, TRAINED = 64, 5, 20, 100
# Hidden layers, published input gain (V) and beta (S), and the ratio that must not be exceeded.
NETWORKS = {
    "1568-1024-10": ((1024,), 480.0, 1.0, 1.6),
    "1568-1024-1024-10": ((1024, 1024), 2000.0, 1.0, 5.5),
    "1568-1024-1024-1024-10": ((1024, 1024, 1024), 4000.0, 2.0, 8.0),
}


def images():
    """A batch of MNIST where PHYSNET_DATA names a folder that has it, else pixels as sparse as MNIST's."""
    classes = np.eye(10, dtype=np.float32)
    if os.environ.get("PHYSNET_DATA"):
        from studies._digit_data import load

        data = load(Path(os.environ["PHYSNET_DATA"]), 0)
        return np.float32(data.train_images[:BATCH]) / 255, classes[data.train_labels[:BATCH]]
    rng = np.random.default_rng(0)
    pixels = np.where(rng.random((BATCH, 784)) < 0.19, rng.random((BATCH, 784)), 0).astype(np.float32)
    return pixels, classes[rng.integers(0, 10, BATCH)]


def ep_step(hidden, gain, beta):
    """(step function, its first arguments, the engine) of EP training."""
    network = LayeredNetwork.random(
        (784, *hidden, 10), key=jax.random.key(0), input_gain=gain, diode=IdealDiode(), dtype=jnp.float32
    )
    optimiser = optax.sgd(5e-3)
    engine = Trainer(SquaredError(), Centred(beta), BlockDescent(tolerance=2e-5), optimiser, {}, BATCH)
    state = optimiser.init(eqx.filter(network, trainable_mask(network)))
    arrays, rest = eqx.partition((network, state), eqx.is_array)

    @jax.jit
    def step(arrays, inputs, targets):
        network, state, found = engine.step(*eqx.combine(arrays, rest), inputs, targets)
        return eqx.filter((network, state), eqx.is_array), found.cost

    return step, arrays, engine, network


def backpropagation_step(hidden):
    """(step function, its first arguments): ReLU layers, squared error, stochastic gradient descent."""
    widths = (1568, *hidden, 10)
    keys = jax.random.split(jax.random.key(1), len(hidden) + 1)
    weights = [
        jax.random.normal(k, (n, m), jnp.float32) / np.float32(n**0.5) for k, n, m in zip(keys, widths, widths[1:])
    ]

    def loss(weights, inputs, targets):
        values = jnp.concatenate([inputs, -inputs], axis=1)
        for matrix in weights[:-1]:
            values = jax.nn.relu(values @ matrix)
        return 0.5 * jnp.mean(jnp.sum((values @ weights[-1] - targets) ** 2, axis=1))

    @jax.jit
    def step(weights, inputs, targets):
        cost, gradient = jax.value_and_grad(loss)(weights, inputs, targets)
        return [w - 1e-3 * g for w, g in zip(weights, gradient)], cost

    return step, weights


def quality(network, engine, inputs, targets):
    """(largest exact relative residual of all phases, smallest cosine to the converged gradient, mean sweeps)."""
    found = eqx.filter_jit(phase_gradient)(
        network, inputs, targets, engine.cost, engine.nudging, engine.relaxer, certify=False
    )
    certificate = eqx.filter_jit(lambda *args, **kw: settle(*args, **kw).residual)
    frozen = BlockDescent(max_sweeps=0)
    residuals = [certificate(network, inputs, None, frozen, initial=found.free.state)]
    for k, factor in enumerate(engine.nudging.factors):
        beta = jnp.full(inputs.shape[:1], factor * engine.nudging.beta, inputs.dtype)
        state = jax.tree.map(lambda leaf, k=k: leaf[k], found.nudged.state)
        residuals.append(certificate(network, inputs, Nudge(engine.cost, targets, beta), frozen, initial=state))
    residual = float(jnp.max(jnp.stack(residuals)))

    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, network)
    exact = eqx.filter_jit(phase_gradient)(
        wide, inputs.astype(float), targets.astype(float), engine.cost, engine.nudging, BlockDescent(), certify=False
    )
    cosines = [
        float(jnp.vdot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b)))
        for a, b in zip(found.gradient.conductances, exact.gradient.conductances)
    ]
    sweeps = float(jnp.mean(found.free.steps)), float(jnp.mean(found.nudged.steps))
    return residual, min(cosines), sweeps


def seconds(step, carry, *args):
    """Time of one step, over STEPS steps that feed each other."""
    started = time.perf_counter()
    for _ in range(STEPS):
        carry, cost = step(carry, *args)
    cost.block_until_ready()
    return (time.perf_counter() - started) / STEPS


@pytest.mark.parametrize("name", NETWORKS)
def test_training_step(benchmark, name):
    hidden, gain, beta, limit = NETWORKS[name]
    inputs, targets = map(jnp.asarray, images())
    ep, ep_carry, engine, network = ep_step(hidden, gain, beta)
    backpropagation, bp_carry = backpropagation_step(hidden)
    residual, cosine, sweeps = quality(network, engine, inputs, targets)
    trained = ep_carry
    for _ in range(TRAINED):
        trained, _ = ep(trained, inputs, targets)
    later = quality(eqx.combine(trained[0], network), engine, inputs, targets)
    seconds(ep, ep_carry, inputs, targets), seconds(backpropagation, bp_carry, inputs, targets)  # compile, warm up

    def measure():
        pairs = [
            (seconds(ep, ep_carry, inputs, targets), seconds(backpropagation, bp_carry, inputs, targets))
            for _ in range(RUNS)
        ]
        return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)

    ep_time, bp_time = benchmark.pedantic(measure, rounds=1)
    print(
        f"\n{name:24} EP {1e3 * ep_time:6.1f} ms   backpropagation {1e3 * bp_time:6.1f} ms"
        f"   ratio {ep_time / bp_time:5.2f} (at most {limit})   sweeps {sweeps[0]:.1f} + {sweeps[1]:.1f}"
        f"   residual {residual:.1e}   cosine {cosine:.5f}"
        f"   after {TRAINED} steps: sweeps {later[2][0]:.1f} + {later[2][1]:.1f}, residual {later[0]:.1e}, "
        f"cosine {later[1]:.5f}"
    )
    assert max(residual, later[0]) <= 1e-4
    assert min(cosine, later[1]) >= 0.999
