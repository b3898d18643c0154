"""The study nudging-error: the bias of each stencil has its order in beta, whether points run alone or together."""

import numpy as np
import pytest

from physnet import results
from physnet.errors import PhysnetError
from studies import nudging_error

BETAS = np.geomspace(1e-3, 1e-2, 4)
SEEDS = np.arange(3)


@pytest.fixture(scope="module")
def many():
    betas, seeds = (each.ravel() for each in np.meshgrid(BETAS, SEEDS, indexing="ij"))
    return nudging_error.run_many(nudging_error.Config(), {"beta": betas, "seed": seeds}, np.arange(betas.size))


@pytest.mark.slow
def test_the_bias_is_of_the_order_of_the_stencil(many):
    assert many.converged.all() and float(many.residual.max()) < 1e-12
    errors = many.error.values.reshape(len(BETAS), len(SEEDS), 2)
    for stencil, order in enumerate((1, 2)):
        slopes = np.polyfit(np.log(BETAS), np.log(errors[:, :, stencil]), 1)[0]
        assert slopes == pytest.approx(order, abs=0.03)


@pytest.mark.slow
def test_a_point_alone_is_the_same(many, tmp_path):
    ds = nudging_error.run(nudging_error.Config(beta=float(BETAS[1]), seed=2), out=tmp_path / "one.nc")
    assert np.array_equal(ds.parameter_error, many.parameter_error[len(SEEDS) + 2])
    kept = results.open(tmp_path / "one.nc")
    assert "centred: relative error" in nudging_error.summary(kept)
    figure = nudging_error.figures(kept)["error"]
    assert figure.axes[0].get_xlabel() and figure.axes[0].get_ylabel()


@pytest.mark.parametrize("wrong", [{"beta": 1.0}, {"beta": -0.1}, {"samples": 0}, {"seed": -1}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(PhysnetError, match="nudging-error: "):
        nudging_error.run(nudging_error.Config(**wrong))
