"""The studies of convolutional networks, at their smallest."""

from dataclasses import replace

import numpy as np
import pytest

from physnet import PhysnetError, results
from studies import conv_mnist, nudging_bias

SMALL = conv_mnist.Config(
    epochs=4, samples=300, channels=(4, 8), batch_size=10, learning_rate=0.02, activation="logistic", validate=True
)
TINY = nudging_bias.Config(
    epochs=1, seeds=1, betas=(0.5,), channels=(2, 4), samples=100, max_steps=40, activation="logistic"
)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PHYSNET_DATA", raising=False)
        path = tmp_path_factory.mktemp("conv") / "conv.nc"
        conv_mnist.run(SMALL, out=path, progress=False)
    return results.open(path)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    path = tmp_path_factory.mktemp("bias") / "bias.nc"
    nudging_bias.run(TINY, out=path, progress=False)
    return results.open(path)


def test_a_convolutional_network_learns_digits(learned):
    assert results.validate(learned) == []
    assert learned.train_cost[-1] < learned.train_cost[0]
    assert learned.test_accuracy[-1] > 0.3  # chance is 0.1; four epochs over 300 images
    assert (learned.gradient_quality > 0.9).all()
    assert "287 training images held out" in learned.attrs["summary"]
    middle = learned.settling.median("sample")
    assert middle[-1] < 1e-3 * middle[0]


def test_its_figures_and_summary_need_the_file_alone(learned):
    assert set(conv_mnist.figures(learned)) == {"error", "kernels", "settling"}
    assert "test error" in conv_mnist.summary(learned)
    partial = learned.drop_vars(["settling", "gradient_quality"])
    assert set(conv_mnist.figures(partial)) == {"error", "kernels"}
    assert "cosine" not in conv_mnist.summary(partial)


@pytest.mark.slow  # nine networks of its own kind to compile
def test_nudgings_are_compared_on_equal_terms(compared):
    assert results.validate(compared) == []
    assert compared.gradient_angle.dims == ("nudging", "beta", "seed", "epoch", "parameter")
    angle = compared.gradient_angle.sel(parameter="kernel_0").squeeze()
    assert angle.sel(nudging="centred") < angle.sel(nudging="one-sided") < 90
    assert np.isfinite(compared.gradient_angle).all()


@pytest.mark.slow
def test_the_comparisons_figures_and_summary(compared):
    assert set(nudging_bias.figures(compared)) == {"error", "angle"}
    text = nudging_bias.summary(compared)
    assert all(name in text for name in nudging_bias.NUDGINGS)


@pytest.mark.parametrize(
    ("study", "change", "message"),
    [
        (conv_mnist, {"beta": 0.0}, "beta is 0"),
        (conv_mnist, {"samples": 10}, "samples is 10"),
        (conv_mnist, {"seed": -1}, "seed is -1"),
        (nudging_bias, {"betas": ()}, "give at least one"),
        (nudging_bias, {"channels": (2,) * 4}, "pooled 1 to 3 times"),
        (nudging_bias, {"tolerance": float("nan")}, "tolerance is nan"),
    ],
)
def test_options_without_meaning_are_refused(study, change, message):
    with pytest.raises(PhysnetError, match=message):
        study.run(replace(study.Config(), **change), progress=False)
