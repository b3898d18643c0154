"""Iris on 16 resistors as its user meets it, at a small size, and its updates against `ep_gradient`."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from physnet import Centred, Clamped, PhysnetError, SquaredError, discovery, ep_gradient, results
from physnet.repeat import repeat
from studies import _circuit_copies as copies
from studies import _flow_runs, flow_network
from studies._iris_data import class_means, iris, nearest

SMALL = flow_network.Config(seeds=(0, 1), epochs=6, learning_rate=2e-5)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    path = tmp_path_factory.mktemp("flow") / "run.nc"
    flow_network.run(SMALL, out=path, progress=False)
    return path


def test_both_rules_learn_iris(learned):
    assert "flow-network" in discovery.studies()
    ds = results.open(learned)
    assert (ds.train_cost[..., -1] < 0.5 * ds.train_cost[..., 0]).all()
    assert (ds.test_accuracy[..., -1] >= 0.95).all()
    assert (ds.software_accuracy > 0.8).all()


def test_its_file_repeats_itself(learned, tmp_path):
    assert repeat(learned, tmp_path / "again.nc", progress=False).agree


def test_its_file_holds_what_it_promises(learned):
    ds = results.open(learned)
    assert results.validate(ds) == []
    assert ds.sizes["edge"] == 16 and list(ds.rule.values) == ["ep", "coupled"]
    nodes = {*map(str, ds.first_node.values), *map(str, ds.second_node.values)}
    assert len(nodes) == 9
    assert (ds.converged == 1).all() and (ds.test_converged == 1).all()
    assert float(max(ds.residual.max(), ds.test_residual.max())) < 1e-12
    low, high = SMALL.lowest * (1 - 1e-12), SMALL.highest * (1 + 1e-12)
    assert (ds.conductance >= low).all() and (ds.conductance <= high).all()
    np.testing.assert_allclose(ds.edge_power.sum("edge"), ds.power[..., -1], rtol=1e-12)


def test_the_stored_voltages_obey_ohm_and_kirchhoff(learned):
    """Output potentials again, from the stored conductances and the flowers alone, by a linear solve."""
    ds = results.open(learned)
    flowers = iris(SMALL.samples, 0, SMALL.inverted)
    order = ["x0", "x1", "x2", "x3", "0", "y0", "y1", "y2", "h"]
    ends = [[order.index(str(n)) for n in end.values] for end in (ds.first_node, ds.second_node)]
    for rule in ds.rule.values:
        laplacian = np.zeros((9, 9))
        for a, b, g in zip(*ends, ds.conductance.sel(rule=rule).isel(seed=0).values):
            laplacian[[a, b, a, b], [a, b, b, a]] += [g, g, -g, -g]
        held = np.pad(SMALL.voltage * flowers.test_inputs, ((0, 0), (0, 1)))
        free = np.linalg.solve(laplacian[5:, 5:], -laplacian[5:, :5] @ held.T).T
        np.testing.assert_allclose(ds.output_voltage.sel(rule=rule), free[:, :3], atol=1e-12)
        told = nearest(free[:, :3], ds.prototype.sel(rule=rule).isel(seed=0).values)
        assert np.mean(told == flowers.test_species) == ds.test_accuracy.sel(rule=rule)[0, -1]


def test_figures_and_summary_come_from_the_file(learned):
    ds = results.open(learned)
    drawn = flow_network.figures(ds)
    assert set(drawn) == {"learning", "network", "outputs"}
    for name in ("learning", "outputs"):
        drawn[name].canvas.draw()
        assert all(axes.get_xlabel() for axes in drawn[name].axes)
    drawn["network"].canvas.draw()
    assert any("µS" in axes.get_ylabel() for axes in drawn["network"].axes)
    text = flow_network.summary(ds)
    for word in ("EP, centred", "coupled learning", "logistic regression", "uW", "2 seed", "Settled: 100.00 %"):
        assert word in text


def test_a_run_goes_on_from_its_file(learned, monkeypatch):
    monkeypatch.setattr(_flow_runs.Bench, "trained", lambda *given: pytest.fail("trained again"))
    again = flow_network.run(SMALL, out=learned, resume=True, progress=False)
    assert again.equals(results.open(learned))
    with pytest.raises(PhysnetError, match="made with other options"):
        flow_network.run(replace(SMALL, beta=0.2), out=learned, resume=True, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["ep", "coupled"])
def test_its_updates_are_those_of_ep_gradient(rule):
    bench = _flow_runs.Bench(SMALL)
    nudging, beta = copies.stencil(rule, jnp.asarray(bench.scale), beta=SMALL.beta, eta=SMALL.eta)
    bulk = copies.learn(bench.system, bench.initial, bench.train, bench.targets, nudging, beta)
    one = Centred(float(beta[0])) if rule == "ep" else Clamped(SMALL.eta)
    here = copies.placed(bench.system, bench.initial[0])
    found = ep_gradient(here, bench.train[0], bench.targets[0], cost=SquaredError(), nudging=one)
    (parameter,) = (p for p in here.parameters if p.trainable)
    np.testing.assert_allclose(bulk.gradient[0], parameter.get(found.gradient), rtol=1e-6, atol=1e-9)


def test_flowers_are_split_by_seed_and_scaled_by_the_training_flowers():
    flowers, other = iris(30, 0, (0, 1)), iris(30, 1, (0, 1))
    assert flowers.train_inputs.shape == (30, 4) and flowers.test_inputs.shape == (120, 4)
    assert list(np.bincount(flowers.train_species)) == [10, 10, 10]
    assert flowers.train_inputs.min() == 0 and flowers.train_inputs.max() == 1
    assert not np.array_equal(flowers.train_inputs, other.train_inputs)
    plain = iris(30, 0)
    np.testing.assert_allclose(flowers.train_inputs[:, :2], 1 - plain.train_inputs[:, :2])
    np.testing.assert_array_equal(flowers.train_inputs[:, 2:], plain.train_inputs[:, 2:])
    means = class_means(plain.train_inputs[None], plain.train_species[None])[0]
    np.testing.assert_allclose(means[1], plain.train_inputs[plain.train_species == 1].mean(axis=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": ("ep", "hebb")}, "name one or more, once each, of ep, coupled"),
        ({"seeds": (1, 1)}, "one or more different ones"),
        ({"samples": 31}, "multiple of 3"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0 S2 V-2"),
        ({"lowest": 2e-3}, "lowest < highest"),
        ({"beta": 1.0}, "0 < beta < 1"),
        ({"eta": 0.0}, "0 < eta <= 1"),
        ({"inverted": (4,)}, "numbered 0 to 3"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        flow_network.run(replace(SMALL, **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []
