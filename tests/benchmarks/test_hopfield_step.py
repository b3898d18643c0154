"""One EP training step of a layered Hopfield network, 784-512-10, batch 64, float32, against a plain loop.

    python -m pytest tests/benchmarks/test_hopfield_step.py --benchmark-only -s -n 0

The plain loop is what one writes first: jit, lax.scan over 30 synchronous free steps and 10 nudged ones of either sign
of beta, the gradient of the difference of the primitive functions, one update. Ours is the step that `fit` takes, once
with the same 30 + 10 steps and once with phases that stop at a residual: the loosest at which the gradient is at least
as good as that of the plain loop. Before anything is timed every gradient is held against that of fully converged
states in double precision.
"""

import statistics
import time
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_training_step import BATCH, images

from physnet import Centred, EnergyRule, FixedPoint, SquaredError
from physnet.gradients import phase_gradient
from physnet.networks import LayeredHopfield
from physnet.parameters import trainable_mask
from physnet.trainer import Trainer

FREE, NUDGED, BETA, RATE = 30, 10, 0.1, 0.05
RUNS, STEPS, TRAINED = 9, 20, 200
FIXED = FixedPoint(update="synchronous", tolerance=0.0, max_steps=FREE, nudged_steps=NUDGED)
LADDER = [1e-4, 5e-5, 2e-5, 1e-5, 5e-6, 2e-6, 1e-6]  # tolerances, of which the loosest that is accurate enough counts


FLOOR = FixedPoint(tolerance=0.0, max_steps=1, nudged_steps=1)  # what a step costs that hardly settles


def stopping(tolerance: float) -> FixedPoint:
    return FixedPoint(tolerance=tolerance, max_steps=FREE, nudged_steps=2 * NUDGED)


EXACT = FixedPoint(tolerance=1e-13)


def sigma(u):
    return 1 / (1 + jnp.exp(2 - 4 * u))


def plain_gradient(theta, inputs, targets, hoisted):
    """EP by hand; hoisted: the drive of the inputs worked out once rather than in every step."""
    (w0, b0), (w1, b1) = theta
    once = inputs @ w0 + b0

    def settle(state, beta, steps):
        def step(state, _):
            hidden, output = state
            drive = once if hoisted else inputs @ w0 + b0
            nudge = beta * (targets - output)
            return (sigma(drive + output @ w1.T), sigma(hidden @ w1 + b1 + nudge)), None

        return jax.lax.scan(step, state, None, length=steps)[0]

    free = settle((jnp.zeros((BATCH, w0.shape[1]), w0.dtype), jnp.zeros_like(targets)), 0.0, FREE)
    up, down = (jax.lax.stop_gradient(settle(free, sign * BETA, NUDGED)) for sign in (1, -1))

    def primitive(theta, state):
        (w0, b0), (w1, b1) = theta
        hidden, output = state
        return jnp.mean(jnp.sum((inputs @ w0 + b0) * hidden, axis=1) + jnp.sum((hidden @ w1 + b1) * output, axis=1))

    return jax.grad(lambda theta: (primitive(theta, down) - primitive(theta, up)) / (2 * BETA))(theta)


@partial(jax.jit, static_argnums=3)
def plain_step(theta, inputs, targets, hoisted):
    gradient = plain_gradient(theta, inputs, targets, hoisted)
    return jax.tree.map(lambda leaf, slope: leaf - RATE * slope, theta, gradient)


def our_step(net, relaxer):
    """(step function, its first arguments)."""
    trainer = Trainer(SquaredError(), Centred(BETA), EnergyRule(), relaxer, optax.sgd(RATE), {}, BATCH)
    state = trainer.optimiser.init(eqx.filter(net, trainable_mask(net)))
    arrays, rest = eqx.partition((net, state), eqx.is_array)

    @jax.jit
    def step(arrays, inputs, targets):
        net, state, _ = trainer.step(*eqx.combine(arrays, rest), inputs, targets, jax.random.key(0))
        return eqx.filter((net, state), eqx.is_array)

    return step, arrays


def our_gradient(net, inputs, targets, relaxer):
    found = eqx.filter_jit(phase_gradient)(
        net, inputs, targets, SquaredError(), Centred(BETA), relaxer, rule=EnergyRule(), certify=False
    )
    steps = float(jnp.mean(found.free.steps)), float(jnp.mean(found.nudged.steps))
    return list(zip(found.gradient.weights, found.gradient.biases)), steps


def by_layer(net):
    """((weight, bias as a row), ...), as the plain loop takes them."""
    return [(weight, bias[None]) for weight, bias in zip(net.weights, net.biases)]


def worst_error(found, expected):
    pairs = zip(map(jnp.ravel, jax.tree.leaves(found)), map(jnp.ravel, jax.tree.leaves(expected)))
    return max(float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) for a, b in pairs)


def errors(net, inputs, targets):
    """({way: relative error of the worst parameter array to the converged double-precision gradient}, steps taken,
    the relaxer that stops at the loosest residual that is accurate enough)."""
    wide = LayeredHopfield([w.astype(float) for w in net.weights], [b.astype(float) for b in net.biases])
    exact, _ = our_gradient(wide, inputs.astype(float), targets.astype(float), EXACT)
    plain = jax.jit(plain_gradient, static_argnums=3)(by_layer(net), inputs, targets, False)
    fixed, _ = our_gradient(net, inputs, targets, FIXED)
    found = {"plain": worst_error(plain, exact), "fixed": worst_error(fixed, exact)}
    for tolerance in LADDER:
        stopped, steps = our_gradient(net, inputs, targets, stopping(tolerance))
        found["stopped"] = worst_error(stopped, exact)
        if found["stopped"] <= found["plain"]:
            break
    return found, steps, stopping(tolerance)


def milliseconds(step, carry, *args):
    started = time.perf_counter()
    for _ in range(STEPS):
        carry = step(carry, *args)
    jax.block_until_ready(carry)
    return 1e3 * (time.perf_counter() - started) / STEPS


@pytest.mark.parametrize("trained", [False, True])
def test_hopfield_step(benchmark, trained):
    inputs, targets = map(jnp.asarray, images())
    net = LayeredHopfield.random((784, 512, 10), key=jax.random.key(0), dtype=np.float32)
    if trained:
        step, arrays = our_step(net, stopping(1e-5))
        for _ in range(TRAINED):
            arrays = step(arrays, inputs, targets)
        net = eqx.combine(arrays[0], net)
    error, steps, stopped = errors(net, inputs, targets)
    theta = by_layer(net)
    ways = {
        "plain": (lambda *args: plain_step(*args, False), theta),
        "hoisted": (lambda *args: plain_step(*args, True), theta),
        "fixed": our_step(net, FIXED),
        "stopped": our_step(net, stopped),
        "floor": our_step(net, FLOOR),
    }
    for step, carry in ways.values():
        milliseconds(step, carry, inputs, targets)  # compile, warm up

    def measure():
        """Medians of runs that take turns, so that what else the machine does falls on all of them."""
        times = {way: [] for way in ways}
        for _ in range(RUNS):
            for way, (step, carry) in ways.items():
                times[way].append(milliseconds(step, carry, inputs, targets))
        return {way: statistics.median(found) for way, found in times.items()}

    took = benchmark.pedantic(measure, rounds=1)
    print(
        f"\n784-512-10, {'trained' if trained else 'new':8} plain {took['plain']:.2f} ms, "
        f"with x W once {took['hoisted']:.2f} ms, fixed {FREE} + {NUDGED} {took['fixed']:.2f} ms, "
        f"stopped at {stopped.tolerance:g} after {steps[0]:.1f} + {steps[1]:.1f} {took['stopped']:.2f} ms;   "
        f"plain / fixed {took['plain'] / took['fixed']:.2f}   plain / stopped {took['plain'] / took['stopped']:.2f}   "
        f"fixed / stopped {took['fixed'] / took['stopped']:.2f}   1 + 1 steps {took['floor']:.2f} ms   "
        f"errors {', '.join(f'{way} {value:.1e}' for way, value in error.items())}"
    )
    assert error["stopped"] <= error["plain"] and error["fixed"] <= 1.05 * error["plain"]
