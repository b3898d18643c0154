"""The gradient-quality study as its user meets it."""

from dataclasses import replace

import numpy as np
import pytest

from physnet import PhysnetError, cli, results
from studies import gradient_quality

SMALL = gradient_quality.Config(
    systems=("hopfield",),
    single=(),
    stencils=("positive", "centred"),
    smallest_beta=1e-4,
    betas_per_decade=3,
    samples=2,
    steps=32,
    networks=("tanh",),
    mixings=3,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("quality") / "quality.nc"
    gradient_quality.run(SMALL, out=path, progress=False)
    return path


@pytest.fixture
def ds(path):
    return results.open(path)


def test_its_dataset_holds_what_it_promises(ds):
    assert results.validate(ds) == [] and ds.attrs["physnet_study"] == "gradient_quality"
    assert ds.error.dims == ("system", "stencil", "precision", "beta")
    assert ds.rule_angle.units == "degree" and ds.attrs["physnet_refusals"] == "{}"


def test_stencils_keep_their_order(ds):
    np.testing.assert_allclose(ds.slope, ds.order.values[None], atol=0.1)
    assert float(ds.error.sel(stencil="centred", precision="double").min()) < 1e-7


def test_nudged_steps_are_backpropagation_and_miss_what_the_spectral_radius_says(ds):
    assert float(ds.step_difference.max()) < 1e-6
    gaps = np.log([float(ds.decay), float(ds.spectral_radius)])
    assert gaps[0] / gaps[1] == pytest.approx(1, abs=0.2)


def test_continual_updates_differ_in_proportion_to_the_rate(ds):
    assert float(ds.continual_slope) == pytest.approx(1, abs=0.05)


def test_only_the_corrected_rule_is_exact_without_symmetry(ds):
    odd, angle = ds.jacobian_asymmetry.values[0], ds.rule_angle.sel(network="tanh")
    assert odd[0] < 1e-12 and odd[-1] > 0.1 and (np.diff(odd) > 0).all()
    assert float(angle.sel(rule="corrected").max()) < 1e-3
    assert angle.sel(rule="vector field").values[0] < 1e-3 and angle.sel(rule="vector field").values[-1] > 3


def test_figures_and_summary_need_the_file_alone(path, ds, tmp_path):
    assert cli.main(["figures", str(path), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "page.png").stat().st_size > 30_000
    text = gradient_quality.summary(ds)
    for part in ("centred", "spectral radius", "eta/beta", "corrected rule"):
        assert part in text


def test_a_run_that_was_broken_off_is_drawn_and_continued(path, ds, tmp_path):
    out = tmp_path / "again.nc"
    results.save(ds.drop_vars([name for name in ds.data_vars if name.startswith("continual")]), out)
    assert set(gradient_quality.figures(results.open(out))) == {"page"}
    again = gradient_quality.run(SMALL, out=out, resume=True, progress=False)
    np.testing.assert_array_equal(again.continual_difference, ds.continual_difference)
    with pytest.raises(PhysnetError, match="other options"):
        gradient_quality.run(replace(SMALL, steps=9), out=out, resume=True, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"systems": ("spins",)}, "systems holds"),
        ({"stencils": ()}, "stencils is empty"),
        ({"largest_beta": 1.2}, "outputs come loose"),
        ({"steps": 2}, "steps is 2; take 8"),
    ],
)
def test_options_without_meaning_are_refused(change, message):
    with pytest.raises(PhysnetError, match=message):
        gradient_quality.run(replace(gradient_quality.Config(), **change), progress=False)


def test_the_quick_run_is_the_same_path():
    quick = gradient_quality.Config().quick()
    quick.check()
    assert quick.systems == ("hopfield",) and len(quick.betas) < len(gradient_quality.Config().betas)
