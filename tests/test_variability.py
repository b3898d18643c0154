"""Imperfect devices before and after learning in situ, as the study's user meets them, at a small size."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physnet import PhysnetError, discovery, results
from studies import _variability_runs, _variability_training, variability

SMALL = variability.Config(kinds=("spread",), strengths=(0.0, 0.6), shares=(0.0, 0.1), devices=2, hidden=16)
SMALL = replace(SMALL, epochs=6, retraining=2, samples=1000)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("variability") / "run.nc"
    variability.run(SMALL, out=path, progress=False)
    return path


def test_learning_in_situ_gives_back_what_spread_costs(measured):
    assert "variability" in discovery.studies()
    ds = results.open(measured)
    assert float(ds.perfect_accuracy) > 0.75
    perfect, spread = (ds.transferred_accuracy.isel(level=i).mean() for i in (0, 1))
    np.testing.assert_allclose(ds.transferred_accuracy.isel(level=0), ds.perfect_accuracy, atol=1e-6)
    assert spread < perfect - 0.05
    assert ds.test_accuracy.isel(level=1, epoch=-1).mean() > spread + 0.05


def test_its_file_holds_what_it_promises(measured):
    ds = results.open(measured)
    assert results.validate(ds) == []
    assert dict(ds.sizes) == {"kind": 1, "level": 2, "device": 2, "epoch": 2}
    assert (ds.converged == 1).all() and (ds.test_converged == 1).all()
    assert float(ds.residual.max()) <= SMALL.tolerance
    assert list(ds.strength.values[0]) == [0.0, 0.6]


def test_figures_and_summary_come_from_the_file(measured):
    ds = results.open(measured)
    drawn = variability.figures(ds)
    assert set(drawn) == {"accuracy", "recovery"}
    for figure in drawn.values():
        figure.canvas.draw()
        assert all(axes.get_xlabel() for axes in figure.axes) and figure.axes[0].get_ylabel()
    text = variability.summary(ds)
    for word in ("device spread", "as written", "learned in situ", "control", "2 devices", "Settled: 100.00 %"):
        assert word in text


def test_a_run_goes_on_from_its_file(measured, monkeypatch):
    monkeypatch.setattr(_variability_runs.Bench, "trained", lambda *given: pytest.fail("trained again"))
    again = variability.run(SMALL, out=measured, resume=True, progress=False)
    assert again.equals(results.open(measured))


def test_devices_are_what_their_kind_says():
    """The transform of each kind, on conductances as they are; a device keeps its draws, noise does not."""
    g, key = jnp.full(20_000, 0.5), jax.random.key(3)
    made = {
        kind: _variability_training.imperfection(kind, jnp.asarray(0.2), jnp.asarray(2.0)) for kind in variability.KINDS
    }
    first, again = ({kind: np.asarray(make(g, key, cycle)) for kind, make in made.items()} for cycle in (0, 1))
    for kind in ("spread", "stuck"):
        np.testing.assert_array_equal(first[kind], again[kind])
    assert not np.array_equal(first["noise"], again["noise"])
    for kind in ("spread", "noise"):
        assert first[kind].mean() == pytest.approx(0.5, rel=0.01)
        assert first[kind].std() == pytest.approx(0.1, rel=0.05)
    for value in (0.0, 2.0):
        assert np.mean(first["stuck"] == value) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": ("aged",)}, "name one or more, once each, of spread, stuck, noise"),
        ({"strengths": (0.1, 0.1)}, "rising ones"),
        ({"strengths": (-0.1, 0.1)}, "0 or more"),
        ({"shares": (0.0, 1.5)}, "0 to 1"),
        ({"shares": (0.0,)}, "as many shares as strengths"),
        ({"devices": 0}, "devices is 0"),
        ({"input_gain": -1.0}, "input_gain is -1.0 V"),
        ({"beta": 1.0}, "0 < beta < 1"),
        ({"samples": 20}, "samples is 20"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        variability.run(replace(SMALL, **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []
