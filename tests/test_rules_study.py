"""The comparison of learning rules as its user meets it, at a small size, and its rules against `ep_gradient`."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physnet import Centred, Clamped, OneSided, PhysnetError, SquaredError, discovery, ep_gradient, results
from studies import _rules_runs, rules

SMALL = rules.Config(rules=("negative", "coupled"), hidden=(8,), epochs=2, seeds=(0, 1), learning_rates=(0.003, 0.01))
SMALL = replace(SMALL, input_gain=30.0, batch_size=10, probe=20, samples=200)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "run.nc"
    rules.run(SMALL, out=path, progress=False)
    return path


def test_it_learns(learned):
    assert "rules" in discovery.studies()
    ds = results.open(learned)
    assert (ds.train_cost[..., -1] < ds.train_cost[..., 0]).all()
    assert (ds.nudging_scale > 0).all()


def test_its_file_holds_what_it_promises(learned):
    ds = results.open(learned)
    assert results.validate(ds) == []
    assert dict(ds.sizes) == {"rule": 2, "seed": 2, "epoch": 2, "rate": 2, "parameter": 3}
    assert list(ds.parameter.values) == ["conductance_1", "conductance_2", "all"]
    for name in ("train_cost", "test_cost", "test_accuracy", "residual", "converged", "test_converged"):
        assert ds[name].dims == ("rule", "seed", "epoch"), name
    assert (ds.converged == 1).all() and (ds.test_converged == 1).all()
    assert float(ds.residual.max()) <= SMALL.tolerance
    assert np.isnan(ds.beta.sel(rule="coupled")).all() and (ds.beta.sel(rule="negative") > 0).all()
    np.testing.assert_allclose(  # what was taken is what was best on the validation images
        ds.validation_accuracy[..., -1].mean("seed"), ds.rate_validation_accuracy.mean("seed").max("rate")
    )
    assert (ds.start_cosine.sel(parameter="all") > 0.5).all() and (ds.start_cosine <= 1 + 1e-6).all()


def test_figures_and_summary_come_from_the_file(learned):
    ds = results.open(learned)
    drawn = rules.figures(ds)
    assert set(drawn) == {"accuracy", "gradient", "learning", "rates"}
    for figure in drawn.values():
        figure.canvas.draw()
        assert all(axes.get_xlabel() for axes in figure.axes)
    text = rules.summary(ds)
    for word in ("EP, negative", "coupled learning", "S2 V-2", "Settled: 100.00 %", "2 seed"):
        assert word in text


def test_a_run_goes_on_from_its_file(learned):
    """Rules that the file holds are not trained again; a file of other options is refused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_rules_runs, "_trained", lambda *given: pytest.fail("trained again"))
        again = rules.run(SMALL, out=learned, resume=True, progress=False)
    assert again.equals(results.open(learned))
    with pytest.raises(PhysnetError, match="holds a run with other beta"):
        rules.run(replace(SMALL, beta=0.4), out=learned, resume=True, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coupled", "positive", "negative", "centred", "contrastive"])
def test_a_rule_is_the_nudging_it_is_named_for(name):
    """The update that the study measures in bulk is the gradient of `ep_gradient` with the package's own nudging."""
    bench = _rules_runs.Bench(SMALL)
    beta = float(np.float32(SMALL.beta * bench.scale[0]))
    nudging = {
        "positive": OneSided(beta),
        "negative": OneSided(beta, sign=-1),
        "centred": Centred(beta),
        "coupled": Clamped(SMALL.eta),
        "contrastive": Clamped(1.0),
    }[name]
    steps = SMALL.samples // SMALL.batch_size
    order = jnp.broadcast_to(jnp.arange(SMALL.batch_size, dtype=jnp.int32), (steps, len(bench.copies), 10))
    _, measured = bench.pass_over(name, bench.initial, bench.scale, 0, order, still=True)
    images, targets = (part[0, : SMALL.batch_size] for part in bench.train)
    options = {"cost": SquaredError(), "nudging": nudging, "relaxer": bench.relaxer}
    # Clamped outputs do not certify in single precision: what holds them is 1e4 times stiffer than they are.
    found = ep_gradient(bench.network, images, targets, throw=False, **options).gradient
    for bulk, one in zip(measured.gradient, jax.tree.leaves(found)):
        assert np.linalg.norm(bulk[0] - one) < 1e-2 * np.linalg.norm(one)


def test_seeds_share_their_start_and_order_across_rates():
    bench = _rules_runs.Bench(SMALL)
    assert bench.copies == [(0.003, 0), (0.003, 1), (0.01, 0), (0.01, 1)]
    for array in (*bench.initial, *bench.train, *bench.validation, *bench.test):
        np.testing.assert_array_equal(array[0], array[2])
        assert not np.array_equal(array[0], array[1])
    order = np.asarray(bench.order(0))
    np.testing.assert_array_equal(order[:, 0], order[:, 2])
    assert sorted(order[:, 0].ravel()) == list(range(200))
    rows = [{row.tobytes() for row in np.asarray(part[0][0])} for part in (bench.train, bench.validation, bench.test)]
    assert not rows[0] & rows[1] and not rows[0] & rows[2] and not rows[1] & rows[2]
    drawn = np.asarray(bench.beta("random", order.shape, bench.scale, 0))
    np.testing.assert_allclose(np.abs(drawn[..., 0]), np.tile(SMALL.beta * bench.scale, (20, 1)), rtol=1e-6)
    assert 0.3 < np.mean(drawn > 0) < 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": ("centred", "hebbian")}, "name one or more, once each, of positive"),
        ({"seeds": ()}, "give one or more, different ones"),
        ({"beta": 1.0}, "0 < beta < 1"),
        ({"eta": 0.0}, "0 < eta <= 1"),
        ({"learning_rates": (0.1, -1.0)}, "learning_rates is .* S2 V-2; it must be finite and above 0"),
        ({"layer_rates": (1.0, 2.0, 3.0)}, "3 layer_rates for 2 layers"),
        ({"probe": 15}, "multiple of batch_size, 10"),
        ({"hidden": (0,)}, "at least 1 node"),
        ({"samples": 50}, "samples is 50"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        rules.run(replace(SMALL, **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_quick_is_small():
    quick = rules.Config().quick()
    quick.check()
    assert quick.epochs <= 3 and len(quick.seeds) == 1
