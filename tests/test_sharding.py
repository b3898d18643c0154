"""Results do not depend on how many devices share a batch: two virtual devices in one process of its own."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from physnet import PhysnetError
from physnet.sharding import devices_for, devices_of, gathered, replicated, spread

# Integers must be equal, floating numbers equal to 1e-10 in double precision.
SETTING = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
import equinox as eqx, jax.numpy as jnp, numpy as np, optax
from circuits import BlockDescent, IdealDiode, LayeredNetwork
from oscillators import AllToAll, AutoOscillators, Dense, PhaseNetwork
from physnet import *
from physnet.sharding import devices_of, spread
from physnet.trainer import correctly_classified

rng = np.random.default_rng(0)


def on_both(array):
    return [shard.device.id for shard in array.addressable_shards] == [0, 1] and all(
        shard.data.shape[0] == array.shape[0] // 2 for shard in array.addressable_shards
    )


def check_equal(one, two):
    one, two = (jax.tree.leaves(eqx.filter(tree, eqx.is_array)) for tree in (one, two))
    assert len(one) == len(two) > 0
    for a, b in zip(one, two):
        a, b = np.asarray(a), np.asarray(b)
        if a.dtype.kind in "iub":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * max(1.0, np.nanmax(np.abs(a), initial=0)))


def check(settle, batch, *others):
    one, two = settle(batch, *others), settle(*spread((jnp.asarray(batch), *others)))
    check_equal(one, two)
    return two


network = LayeredNetwork.random((5, 7, 3), key=jax.random.key(0), input_gain=6.0, diode=IdealDiode())
labels = rng.integers(0, 3, 24)
inputs, targets = rng.random((24, 5)), np.eye(3)[labels]
"""

RELAX = """
found = check(lambda x: relax(network, x), inputs)
assert on_both(found.outputs) and on_both(found.steps) and found.converged.all()

spins = rng.normal(size=(5, 5))
phases = PhaseNetwork(Dense(np.triu(spins, 1) + np.triu(spins, 1).T))
starts = jnp.asarray(rng.uniform(0, 6, (4, 5)))
found = check(lambda x, start: relax(phases, x, initial=start), jnp.zeros((4, *phases.input_shape)), starts)
assert on_both(jax.tree.leaves(found.state)[0]) and found.converged.all()
"""

FIT = """
def train(devices, nudging):
    return fit(
        network, Data(inputs, targets), test=Data(inputs[:9], targets[:9]), cost=SquaredError(), nudging=nudging,
        relaxer=BlockDescent(tolerance=1e-9, nudged_tolerance=1e-7), optimiser=optax.adam(1e-3), epochs=2,
        batch_size=6, key=jax.random.key(7), measures={"accuracy": correctly_classified}, devices=devices,
    )


one, two = train(jax.devices()[:1], RandomSign(0.05)), train(None, RandomSign(0.05))
assert len(one.system.conductances[0].devices()) == len(two.system.conductances[0].devices()) == 1
check_equal(one.system, two.system)
check_equal(one.optimiser_state, two.optimiser_state)
for name in set(one.history) - {"wall_time"}:
    np.testing.assert_allclose(one.history[name], two.history[name], rtol=0, atol=1e-10, err_msg=name)

# The batches of the run by default are on both devices, and each holds half of them.
from physnet.sharding import pinned
from physnet.trainer import Trainer
trainer = Trainer(
    SquaredError(), RandomSign(0.05), EnergyRule(), BlockDescent(), optax.sgd(0.1), {}, 6, tuple(jax.devices())
)
step = jax.jit(lambda x, y: trainer.step(network, optax.sgd(0.1).init(None), x, y, jax.random.key(0))[2].free.outputs)
assert on_both(step(inputs[:6], targets[:6]))
"""

GRADIENTS = """
for nudging in (Centred(0.05), RandomSign(0.05)):
    options = dict(cost=SquaredError(), nudging=nudging, key=jax.random.key(1))
    found = check(lambda x: ep_gradient(network, x, targets, **options), inputs)
    assert on_both(found.free.outputs)
found = check(lambda x: implicit_gradient(network, x, targets, cost=SquaredError()), inputs)
assert on_both(found.free.outputs)
"""

OSCILLATORS = """
def detune(system, values):
    return eqx.tree_at(lambda s: s.frequency, system, system.frequency.at[1].add(values[0]))


pair = AutoOscillators.from_preset("oracle", AllToAll(10e3, 2, 0.0), frequency=np.full(2, 3e8))
noisy = AutoOscillators.from_preset("oracle", AllToAll(10e3, 2, 0.0), frequency=np.full(2, 3e8), noise=30.0)
detunings, times = np.linspace(0, 2e3, 6)[:, None], np.linspace(0, 1e-6, 11)
for engine in (FixedStep(lanes=1), Adaptive()):
    found = check(lambda x: integrate(Varied(pair, detune, 1), x, times, engine=engine).state, detunings)
assert on_both(found[0])
check(lambda x: integrate(Varied(noisy, detune, 1), x, times, key=jax.random.key(3)).state, detunings)
"""

CIRCUITS = """
from circuits import Circuit, DenseSolver, OperatingPoint, Resistor, ShockleyDiode, SparseSolver
nodes = np.array([[f"{i},{j}" for j in range(5)] for i in range(5)], dtype=object)
a, b = np.r_[nodes[:, :-1].ravel(), nodes[:-1].ravel()], np.r_[nodes[:, 1:].ravel(), nodes[1:].ravel()]
circuit = Circuit().voltage_source("V", "in", 0, 5.0).resistor("Rin", "in", "0,0", resistance=1.0)
circuit.add_many("R", a, b, Resistor(rng.uniform(0.5, 1.5, len(a)) * 1e-3))
circuit.add_many("D", nodes.ravel()[::6], 0, ShockleyDiode())
system = circuit.resistor("Rg", "4,4", 0, resistance=1e3).build(inputs=["V"], outputs=["2,2", "4,4"])
for solver in (DenseSolver(), SparseSolver()):
    found = check(lambda x: relax(system, x, relaxer=OperatingPoint(solver=solver)), np.linspace(1, 5, 4)[:, None])
    assert on_both(found.outputs) and found.converged.all()
"""


def run(*parts):
    # XLA's devices on one processor stop for ever where threads are fewer than they: NPROC says how many it takes.
    environment = os.environ | {"NPROC": "8"}
    program = "\n".join((SETTING, *parts, "print('equal')"))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=280, check=False
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "equal", done.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [RELAX, FIT, GRADIENTS, OSCILLATORS, CIRCUITS],
    ids=["states", "training", "gradients", "oscillators", "circuits"],
)
def test_states_training_and_ensembles_are_the_same_on_two_devices(part):
    run(part)


def test_one_device_takes_batches_as_they_are():
    tree = {"inputs": np.ones((3, 2)), "scale": 2.0}
    assert spread(tree) is tree
    assert devices_for(6) == tuple(jax.local_devices()[:1])
    array = jax.numpy.ones(3)
    assert devices_of(array) == ()
    np.testing.assert_array_equal(gathered(replicated({"x": array}, jax.devices()[:1]))["x"], array)


@pytest.mark.parametrize("devices", [[], jax.devices()[:1] * 2])
def test_devices_that_make_no_sense_are_refused(devices):
    with pytest.raises(PhysnetError, match="give at least one, each once"):
        spread(np.ones((4, 2)), devices)
