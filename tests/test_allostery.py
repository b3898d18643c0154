"""The network that answers at a distance, as its user meets it, on a small grid."""

from dataclasses import replace

import numpy as np
import pytest

from physnet import PhysnetError, discovery, results
from studies import _allostery_runs, allostery

SMALL = allostery.Config(rules=("ep", "removal"), rows=4, columns=4, seeds=(0, 1), epochs=60, learning_rate=0.04)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    path = tmp_path_factory.mktemp("allostery") / "run.nc"
    allostery.run(SMALL, out=path, progress=False)
    return path


def test_every_way_of_tuning_reaches_the_response(tuned):
    assert "allostery" in discovery.studies()
    ds = results.open(tuned)
    assert (ds.initial_response < 0.1).all()
    assert (abs(ds.response[..., -1] / SMALL.response - 1) < 0.05).all()


def test_its_file_holds_what_it_promises(tuned):
    ds = results.open(tuned)
    assert results.validate(ds) == []
    assert dict(ds.sizes) == {"rule": 2, "seed": 2, "epoch": 60, "edge": 24, "node": 16}
    assert (ds.converged == 1).all() and float(ds.residual.max()) < 1e-12
    learned = ds.sel(rule="ep")
    assert (learned.edge_count == 24).all() and (learned.conductance >= SMALL.lowest * (1 - 1e-12)).all()
    removed = ds.sel(rule="removal")
    assert (removed.edge_count.diff("epoch") <= 0).all() and (removed.edge_count[:, -1] < 24).all()
    kept = removed.conductance > 0
    np.testing.assert_array_equal(kept.sum("edge"), removed.edge_count[:, -1])
    np.testing.assert_array_equal(removed.conductance.where(kept, ds.initial_conductance), ds.initial_conductance)


def test_the_stored_potentials_obey_kirchhoff(tuned):
    """At every node but the source's two, from the file alone."""
    ds = results.open(tuned)
    number = {str(name): i for i, name in enumerate(ds.node.values)}
    first, second = ([number[str(n)] for n in end.values] for end in (ds.first_node, ds.second_node))
    inner = ds.node_role.values != "source"
    for rule in ds.rule.values:
        for g, v in zip(ds.conductance.sel(rule=rule).values, ds.potential.sel(rule=rule).values):
            current, net = g * (v[first] - v[second]), np.zeros(len(v))
            np.add.at(net, first, current)
            np.add.at(net, second, -current)
            assert np.abs(net[inner]).max() < 1e-12 * np.abs(current).max()
            source = v[~inner]
            assert source[0] - source[1] == pytest.approx(SMALL.voltage)
    target = ds.potential[..., ds.node_role.values == "target"].values
    np.testing.assert_allclose(target[..., 0] - target[..., 1], ds.response[..., -1], atol=1e-12)


def test_removal_takes_the_best_edge_first():
    bench = _allostery_runs.Bench(replace(SMALL, epochs=1))
    history, left = bench.removed()
    (gone,) = np.flatnonzero(left[0] == 0)
    tried = np.repeat(bench.initial, len(bench.edges), axis=0)  # the second seed's, too: as many as it tries itself
    tried[np.arange(len(tried)), np.arange(len(tried)) % len(bench.edges)] = 0
    error = np.abs(bench.measured(tried)["response"] - SMALL.response)[: len(bench.edges)]
    assert error[gone] == error.min() == pytest.approx(abs(history[0]["response"][0] - SMALL.response))
    cut = bench.initial[0].copy()
    cut[[i for i, (_, a, b) in enumerate(bench.edges) if "0,0" in (a, b)]] = 0
    assert bench.in_one_piece(bench.initial[0]) and not bench.in_one_piece(cut)


def test_figures_and_summary_come_from_the_file(tuned):
    ds = results.open(tuned)
    drawn = allostery.figures(ds)
    assert set(drawn) == {"network", "learning", "way"}
    for name in ("learning", "way"):
        drawn[name].canvas.draw()
        assert all(axes.get_xlabel() and axes.get_ylabel() for axes in drawn[name].axes)
    drawn["network"].canvas.draw()
    assert any("µS" in axes.get_ylabel() for axes in drawn["network"].axes)
    text = allostery.summary(ds)
    for word in ("fresh grid", "EP, centred", "edge removal", "uW", "Settled: 100.00 %"):
        assert word in text


def test_a_run_goes_on_from_its_file(tuned, tmp_path, monkeypatch):
    ds, path = results.open(tuned), tmp_path / "part.nc"
    results.save(ds.sel(rule=["ep"]), path)
    monkeypatch.setattr(_allostery_runs.Bench, "learned", lambda *given: pytest.fail("learned again"))
    again = allostery.run(SMALL, out=path, resume=True, progress=False)
    assert again.equals(ds) and results.open(path).equals(ds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": ("magic",)}, "name one or more, once each, of ep, coupled, removal"),
        ({"rows": 2}, "give 3 rows and 2 columns or more"),
        ({"response": 1.0}, "between 0 and 1"),
        ({"voltage": -1.0}, "voltage is -1.0 V"),
        ({"lowest": 1e-3}, "lowest < highest / 2"),
        ({"beta": 2.0}, "0 < beta < 1"),
        ({"seeds": ()}, "one or more different ones"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        allostery.run(replace(SMALL, **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []
