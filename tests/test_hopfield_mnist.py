"""The Hopfield study as its user meets it, at a size that trains in a second."""

from dataclasses import replace

import numpy as np
import pytest

from physnet import PhysnetError, cli, results
from studies import hopfield_mnist as study

SMALL = study.Config(epochs=2, hidden=(32,), samples=1000, learning_rate=(0.4, 0.2))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Two epochs on the 8x8 digits, through the command line."""
    path = tmp_path_factory.mktemp("hopfield") / "hopfield.nc"
    options = ["--epochs", "2", "--hidden", "32", "--samples", "1000", "--learning-rate", "0.4", "0.2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PHYSNET_DATA", raising=False)
        assert cli.main(["run", "hopfield-mnist", *options, "--out", str(path)]) == 0
    return path


def test_it_learns_and_its_dataset_says_how_its_states_settled(learned):
    ds = results.open(learned)
    assert results.validate(ds) == []
    assert ds.sizes["epoch"] == 2
    assert ds.test_accuracy[-1] > 0.85
    for name in ("residual", "converged", "steps", "nudged_steps", "test_converged", "wall_time"):
        assert ds[name].dims == ("epoch",), name
    assert (ds.converged > 0.9).all() and (ds.gradient_cosine > 0.99).all()
    assert ds.weight_0.dims == ("feature", "hidden_1") and ds.weight_0.dtype == np.float32


def test_settling_is_followed_step_by_step(learned):
    """Blocks settle in half the steps, and what settles goes down in energy."""
    ds = results.open(learned)
    residual = ds.settling_residual
    steps = {u: int((residual.sel(update=u) > 1e-4).sum()) for u in ("blocks", "synchronous")}
    assert steps["blocks"] <= 0.7 * steps["synchronous"]
    energy = ds.settling_energy.sel(update="blocks").values
    assert (np.diff(energy) < 1e-4).all()


def test_figures_and_summary_need_the_file_alone(learned, tmp_path):
    assert cli.main(["figures", str(learned), "--out", str(tmp_path)]) == 0
    for name in ("error", "settled", "settling", "receptive_fields"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    ds = results.open(learned)
    assert "test error" in study.summary(ds) and "published" not in study.summary(ds)
    partial = ds.drop_vars([name for name in ds.variables if name.startswith("settling")])
    assert "settling" not in study.figures(partial)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.0}, "beta is 0.0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"tolerance": -1.0}, "tolerance is -1.0"),
        ({"learning_rate": (0.1, 0.1, 0.1)}, "3 learning rates for 2 layers"),
        ({"hidden": ()}, "one layer or more"),
        ({"samples": 5}, "samples is 5"),
        ({"decay": float("nan")}, "decay is nan"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        study.run(replace(SMALL, **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_published_settings():
    mnist = study.Config().resolved(small=False)
    assert mnist.learning_rate == (0.08, 0.04) and mnist.hidden == (512,)
    assert (mnist.free_steps, mnist.nudged_steps, mnist.beta, mnist.batch_size, mnist.epochs) == (40, 15, 0.1, 20, 30)
    assert study.Config(learning_rate=(0.1,)).resolved(small=True).learning_rate == (0.1, 0.1)
