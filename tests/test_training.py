"""fit(): it learns, it keeps to the bounds, it says what did not settle, and it resumes to the same numbers."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from circuits import BlockDescent, IdealDiode, LayeredNetwork
from physnet import (
    Centred,
    ConvergenceError,
    Data,
    OneSided,
    PhysnetError,
    SquaredError,
    checkpoint,
    files,
    fit,
    results,
)
from physnet.parameters import trainable_mask
from physnet.trainer import Trainer, correctly_classified

RELAXER = BlockDescent(tolerance=1e-6, nudged_tolerance=1e-4)
OPTIMISER = optax.sgd(0.05, momentum=0.5)


def network():
    return LayeredNetwork.random((5, 7, 3), key=jax.random.key(0), input_gain=6.0, diode=IdealDiode())


def data(samples=60, seed=0):
    """Three noisy patterns to be told apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, samples)
    patterns = np.random.default_rng(99).random((3, 5))
    return Data(patterns[labels] + 0.05 * rng.standard_normal((samples, 5)), np.eye(3)[labels])


def train(epochs, **options):
    settings = dict(
        cost=SquaredError(),
        nudging=Centred(0.05),
        optimiser=OPTIMISER,
        batch_size=5,
        key=jax.random.key(7),
        relaxer=RELAXER,
        test=data(12, seed=1),
        probe=data(4, seed=2),
        measures={"accuracy": correctly_classified},
        config={"name": "three patterns", "epochs": epochs},
    )
    system, samples = options.pop("system", network()), options.pop("data", data())
    return fit(system, samples, epochs=epochs, **(settings | {"overwrite": True} | options))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "run.nc"
    return train(6, out=path), path


def test_it_learns_and_says_how(unbroken):
    history = unbroken[0].history
    assert history["test_cost"][-1] < 0.7 * history["test_cost"][0]
    assert history["test_accuracy"][-1] > 0.9
    assert (history["converged"] == 1).all()
    assert (history["residual"] <= 1e-6).all()
    assert (history["gradient_cosine"] > 0.999).all()
    assert history["gradient_cosine"].shape == (6, 2)


def test_conductances_stay_in_their_range(unbroken):
    pushed = train(2, optimiser=optax.sgd(5.0), throw=False, test=None, probe=None)
    for g in (*unbroken[0].system.conductances, *pushed.system.conductances):
        assert (np.asarray(g) >= 0).all()
    assert any((np.asarray(g) == 0).any() for g in pushed.system.conductances)


def test_only_trainable_parameters_move(unbroken):
    trained = unbroken[0].system
    assert trained.input_gain == network().input_gain
    assert trained.capacitance == network().capacitance
    assert not np.array_equal(trained.conductances[0], network().conductances[0])


def test_the_file_is_a_valid_dataset_and_a_checkpoint(unbroken):
    run, path = unbroken
    ds = results.open(path)
    assert results.validate(ds) == []
    np.testing.assert_array_equal(ds.epoch, np.arange(1, 7))
    np.testing.assert_array_equal(ds.conductance_1, run.system.conductances[0])
    assert set(ds.train_cost.dims) == {"epoch"}
    assert list(ds.parameter.values) == ["conductance_1", "conductance_2"]


@pytest.mark.parametrize("broken_after", [1, 4])
def test_a_resumed_run_equals_an_unbroken_one(unbroken, tmp_path, broken_after):
    path = tmp_path / "broken.nc"
    train(broken_after, out=path)
    resumed = train(6, out=path, resume=True)
    for name, values in unbroken[0].history.items():
        if name != "wall_time":
            np.testing.assert_array_equal(resumed.history[name], values, err_msg=name)
    for a, b in zip(resumed.system.conductances, unbroken[0].system.conductances):
        np.testing.assert_array_equal(a, b)
    ours, whole = results.open(path), results.open(unbroken[1])
    assert set(ours.variables) == set(whole.variables)


def test_an_existing_file_is_kept(tmp_path):
    path = tmp_path / "mine.nc"
    path.write_text("not yours")
    with pytest.raises(PhysnetError, match="exists"):
        train(1, out=path, overwrite=False)
    assert path.read_text() == "not yours"


def test_test_samples_must_settle_too():
    """Training inputs of 0 V settle in one sweep; the test samples do not."""
    still = Data(np.zeros((10, 5)), np.zeros((10, 3)))
    hasty = BlockDescent(tolerance=1e-8, max_sweeps=2)
    with pytest.raises(ConvergenceError, match="of the test samples of epoch 1 did not settle"):
        train(1, data=still, relaxer=hasty, probe=None)
    run = train(1, data=still, relaxer=hasty, probe=None, throw=False)
    assert run.history["converged"][0] == 1
    assert run.history["test_converged"][0] < 1


def test_nothing_is_left_to_do(unbroken):
    again = train(6, out=unbroken[1], resume=True)
    assert again.epochs == 6


def test_a_job_killed_before_its_first_epoch_starts_anew(tmp_path):
    path = tmp_path / "run.nc"
    assert train(1, out=path, resume=True).epochs == 1
    assert train(2, out=path, resume=True).epochs == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.nc"]


def test_only_the_same_run_resumes(unbroken):
    path = unbroken[1]
    with pytest.raises(PhysnetError, match="holds another run .*name: 'three patterns' in the file, 'other' now"):
        train(7, out=path, resume=True, config={"name": "other"})
    with pytest.raises(PhysnetError, match="random key"):
        train(7, out=path, resume=True, key=jax.random.key(8))
    with pytest.raises(PhysnetError, match="batch_size: '5' in the file, '6' now"):
        train(7, out=path, resume=True, batch_size=6)
    with pytest.raises(PhysnetError, match="nudging: 'Centred.*OneSided"):
        train(7, out=path, resume=True, nudging=OneSided(0.05))
    with pytest.raises(PhysnetError, match="system: .*diode=IdealDiode.*diode=None"):
        fit_other = {"system": eqx.tree_at(lambda net: net.diode, network(), None)}
        train(7, out=path, resume=True, **fit_other)
    with pytest.raises(PhysnetError, match="optimiser"):
        train(7, out=path, resume=True, optimiser=optax.adam(0.1))
    with pytest.raises(PhysnetError, match=r"the optimiser makes other steps .*\(learning rate"):
        train(7, out=path, resume=True, optimiser=optax.sgd(0.0501, momentum=0.5))
    with pytest.raises(PhysnetError, match="input_gain: another value"):
        train(7, out=path, resume=True, system=eqx.tree_at(lambda net: net.input_gain, network(), jnp.asarray(5.0)))
    with pytest.raises(PhysnetError, match="data"):
        train(7, out=path, resume=True, data=data(seed=3))
    with pytest.raises(PhysnetError, match="holds 6 epochs already; epochs=5"):
        train(5, out=path, resume=True)
    with pytest.raises(PhysnetError, match="needs out=FILE"):
        train(7, resume=True)


SCHEDULE = optax.piecewise_constant_schedule(0.05, {50_000: 0.1})


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (optax.sgd(0.05, momentum=0.5), optax.sgd(0.0501, momentum=0.5)),
        (optax.sgd(0.05, momentum=0.5), optax.sgd(0.05, momentum=0.6)),
        (optax.sgd(0.05), optax.sgd(-0.05)),
        (optax.chain(optax.clip(20.0), optax.sgd(0.05)), optax.chain(optax.clip(30.0), optax.sgd(0.05))),
        (optax.sgd(SCHEDULE), optax.sgd(lambda count: 0.05 + 0 * count)),
        (optax.adamw(1e-3, weight_decay=1e-2), optax.adamw(1e-3, weight_decay=1e-3)),
        (optax.MultiSteps(optax.sgd(0.05), 4), optax.MultiSteps(optax.sgd(0.06), 4)),
    ],
)
def test_what_an_optimiser_does_is_compared(first, other):
    def kept(optimiser):
        network_, parts = network(), (SquaredError(), Centred(0.05), None, RELAXER, optimiser, {}, 5)
        state = optimiser.init(eqx.filter(network_, trainable_mask(network_)))
        return checkpoint.settings(network_, Trainer(*parts), state, data())

    assert kept(first)["optimiser"] == kept(other)["optimiser"]  # states of one shape
    assert checkpoint.differences(kept(first), kept(first)) == []
    assert "makes other steps" in checkpoint.differences(kept(first), kept(other))[0]


def test_a_file_from_before_the_steps_were_kept_resumes(unbroken, tmp_path):
    ds = results.open(unbroken[1])
    kept = json.loads(ds.attrs["physnet_fit"])
    assert len(kept.pop("updates").split()) > 10
    path = results.save(ds.assign_attrs(physnet_fit=json.dumps(kept)), tmp_path / "old.nc")
    assert train(6, out=path, resume=True, optimiser=optax.sgd(0.07, momentum=0.5)).epochs == 6


def test_an_optimiser_that_draws_resumes_to_the_same_numbers(tmp_path):
    noisy = optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(3)), optax.sgd(0.05))
    options = {"optimiser": noisy, "test": None, "probe": None}
    whole = train(3, out=tmp_path / "whole.nc", **options)
    train(1, out=tmp_path / "broken.nc", **options)
    broken = train(3, out=tmp_path / "broken.nc", resume=True, **options)
    np.testing.assert_array_equal(broken.system.conductances[0], whole.system.conductances[0])


def test_a_second_run_on_the_same_file_is_refused(unbroken):
    path = unbroken[1]
    before = path.read_bytes()
    with files.sole_writer(path), pytest.raises(PhysnetError, match="being written by process"):
        train(7, out=path, resume=True)
    assert path.read_bytes() == before


def test_unsettled_states_stop_the_training_or_are_counted():
    hasty = BlockDescent(tolerance=1e-9, max_sweeps=2)
    with pytest.raises(ConvergenceError, match="did not settle"):
        train(1, relaxer=hasty, test=None, probe=None)
    run = train(1, relaxer=hasty, throw=False, test=None, probe=None)
    assert run.history["converged"][0] < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 61}, "batch_size is 61; choose 1 to 60"),
        ({"epochs": 0}, "epochs is 0"),
        ({"nudging": Centred(50.0)}, r"beta = -50 S is too negative"),
        ({"test": Data(np.ones((3, 4)), np.ones((3, 3)))}, r"fit: test: .*shape \(3, 4\); expected"),
        ({"probe": Data(np.ones((3, 5)), np.ones((2, 3)))}, r"fit: probe: targets have shape \(2, 3\)"),
        ({"out": "no/such/folder/run.nc"}, "no/such/folder"),
    ],
)
def test_bad_input_is_named_before_any_training(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PhysnetError, match=message):
        train(**({"epochs": 1} | options))
    assert list(tmp_path.iterdir()) == []


def test_single_precision_stays_single():
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if eqx.is_inexact_array(leaf) else leaf, network())
    run = fit(
        narrow,
        data(),
        cost=SquaredError(),
        nudging=Centred(0.05),
        optimiser=OPTIMISER,
        epochs=1,
        batch_size=6,
        key=jax.random.key(0),
        relaxer=BlockDescent(),
    )
    assert all(g.dtype == jnp.float32 for g in run.system.conductances)
    assert run.to_dataset().attrs["physnet_precision"] == "single"
