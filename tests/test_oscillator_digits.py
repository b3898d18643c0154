"""The study of digits on phase oscillators as its user meets it, at a small size."""

from dataclasses import replace

import numpy as np
import pytest

from physnet import PhysnetError, discovery, results
from studies import oscillator_digits as study

SMALL = study.Config(epochs=3, batch_size=20, restarts=1, probe=0)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    path = tmp_path_factory.mktemp("oscillator_digits") / "run.nc"
    study.run(SMALL, out=path, progress=False)
    return results.open(path)


def test_it_learns(learned):
    assert "oscillator-digits" in discovery.studies()
    assert float(learned.train_accuracy[-1]) > float(learned.train_accuracy[0]) + 0.2
    assert float(learned.test_accuracy[-1]) > 0.8
    assert float(learned.converged.min()) > 0.999 and float(learned.residual.max()) <= SMALL.tolerance


def test_its_file_holds_what_it_promises(learned):
    assert results.validate(learned) == []
    for name in ("train_cost", "test_cost", "train_accuracy", "test_accuracy", "residual", "converged", "steps"):
        assert learned[name].dims == ("epoch",), name
    for name, dims in (("input_weight", ("input", "oscillator")), ("coupling_weight", ("pair",))):
        assert learned[name].dims == dims and learned[name].attrs["units"] == "Hz"
    assert learned.confusion.values.sum() == 360
    assert (learned.state_residual[learned.state_converged.values] <= 1e-10).all()
    assert float(learned.state_converged.mean()) == 1
    np.testing.assert_allclose(np.trace(learned.confusion) / 360, learned.test_accuracy[-1], atol=0.006)
    assert learned.attrs["physnet_study"] == "oscillator-digits"


def test_the_stored_network_gives_the_stored_states(learned):
    """From the file alone: the phases rest where the stored couplings and fields balance."""
    data, size = study.images(SMALL), 21
    weights = np.zeros((size, size))
    weights[np.triu_indices(size, 1)] = learned.coupling_weight
    field = learned.field_cosine.values + 1j * learned.field_sine.values
    phases, theta = learned.state_phase.values, data.test_images * (SMALL.white / data.white)
    pull = np.exp(1j * phases) @ (weights + weights.T) + np.exp(1j * theta) @ learned.input_weight.values + field
    assert np.abs(np.sin(np.angle(pull) - phases)).max() < 1e-9
    assert (np.cos(np.angle(pull) - phases) > 0).mean() > 0.9  # along the pull, not against it, but where torn


def test_figures_and_summary_come_from_the_file(learned):
    drawn = study.figures(learned)
    assert set(drawn) == {"accuracy", "confusion", "phases"}
    for figure in drawn.values():
        figure.canvas.draw()
        for axes in figure.axes:
            assert axes.get_xlabel() or axes.get_ylabel()
    text = study.summary(learned)
    for word in ("logistic regression", "perceptron, 11 hidden", "published", "random start", "certified: 100.0 %"):
        assert word in text
    early = learned.drop_vars([n for n in learned.variables if n.startswith(("state_", "restart", "baseline"))])
    early = early.drop_vars(["confusion", "averaged_accuracy"])
    assert set(study.figures(early)) == {"accuracy"} and "oscillators" in study.summary(early)


def test_validation_images_are_none_of_the_test_images():
    whole, held = study.images(SMALL), study.images(replace(SMALL, validate=True))
    assert (len(whole.train_labels), len(whole.test_labels)) == (1437, 360)
    assert (len(held.train_labels), len(held.test_labels)) == (1149, 288)
    train = {row.tobytes() for row in whole.train_images}
    assert all(row.tobytes() in train for row in (*held.train_images, *held.test_images))
    assert min(np.bincount(held.test_labels)) >= 27


def test_quick_is_small():
    assert study.Config().quick().epochs <= 6
    assert study.Config(epochs=1).quick().epochs == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.0}, "beta is 0.0 rad2 s-1; it must be finite and above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"hidden": -1}, "hidden is -1; it must be 0 or more"),
        ({"hidden": 0, "layered": True}, "hidden is 0; it must be 1 or more"),
        ({"starts": -1}, "starts is -1"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        study.run(replace(SMALL, **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []
