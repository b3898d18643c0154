"""compare_gradients: what its dataset says, knob by knob."""

import json

import jax
import numpy as np
import pytest

from physnet import Centred, FixedPoint, Newton, OneSided, PhysnetError, SquaredError, results
from physnet.comparison import compare_gradients, compared
from physnet.estimators import (
    EquilibriumPropagation,
    FiniteDifferences,
    ForwardMode,
    ImplicitDifferentiation,
    RecurrentBackpropagation,
)
from physnet.networks import LayeredHopfield, Tanh

NET = LayeredHopfield.random((2, 4, 3), key=jax.random.key(1), activations=Tanh())
RNG = np.random.default_rng(0)
GIVEN = (NET, RNG.uniform(-1, 1, (2, 2)), RNG.uniform(-0.5, 0.5, (2, 3)))
FINE = FixedPoint(tolerance=1e-13)
CENTRED = EquilibriumPropagation(Centred(1e-2, relative=True), relaxer=FINE)
ESTIMATORS = {
    "centred": CENTRED,
    "steps": ForwardMode(steps=1, relaxer=FINE),
    "adjoint": RecurrentBackpropagation(1, relaxer=FINE),
    "implicit": ImplicitDifferentiation(relaxer=FINE),
    "differences": FiniteDifferences(largest=3),
}


@pytest.fixture(scope="module")
def ds():
    return compare_gradients(
        *GIVEN,
        cost=SquaredError(),
        estimators=ESTIMATORS,
        reference=ESTIMATORS["implicit"],
        betas=[1e-3, 1e-2, 2.0],
        steps=[2, 400],
        noises=[0.0, 0.1],
        draws=32,
        title="A network, compared",
    )


def test_its_dataset_follows_the_schema(ds, tmp_path):
    assert results.validate(ds) == [] and ds.attrs["title"] == "A network, compared"
    assert ds.relative_error.dims == ("estimator", "parameter", "beta", "step", "noise")
    assert ds.parameter.values[-1] == "all" and ds.sizes["parameter"] == 1 + len(NET.parameters)
    assert ds.converged.dims == ("estimator", "beta", "step", "noise")
    assert ds.angle.units == "rad" and ds.attrs["physnet_reference"] == "ImplicitDifferentiation"
    results.save(ds, tmp_path / "compared.nc")


def test_what_refuses_is_nan_with_its_reason(ds):
    reasons = json.loads(ds.attrs["physnet_refusals"])
    assert "27 trainable entries" in reasons["differences"] and "too negative" in reasons["centred"]
    assert np.isnan(ds.relative_error.sel(estimator="differences")).all()
    assert not ds.converged.sel(estimator="differences").any()
    assert np.isnan(ds.relative_error.sel(estimator="centred", beta=2.0)).all()
    assert set(reasons) == {"differences", "centred"}


def test_a_knob_turns_only_what_has_it(ds):
    whole = ds.relative_error.sel(parameter="all", noise=0.0)
    centred = whole.sel(estimator="centred", step=2).values
    assert centred[1] / centred[0] == pytest.approx(100, rel=0.02)
    assert (whole.sel(estimator="centred", step=400).values[:2] == centred[:2]).all()
    for name in ("steps", "adjoint"):
        few, many = whole.sel(estimator=name, beta=1e-3).values
        assert few > 0.01 and many < 1e-9
        assert (whole.sel(estimator=name, beta=2.0).values == [few, many]).all()
    assert (whole.sel(estimator="implicit") == 0).all()


def test_single_precision_is_held_against_double():
    small = EquilibriumPropagation(Centred(1e-3, relative=True))
    exact = ImplicitDifferentiation(relaxer=Newton())  # to rounding in either precision
    estimators, precisions = {"centred": small, "implicit": exact}, ["single", "double"]
    ds = compare_gradients(*GIVEN, cost=SquaredError(), estimators=estimators, reference=exact, precisions=precisions)
    single, double = ds.relative_error.sel(parameter="all").transpose("precision", "estimator").values
    assert 1e-8 < single[1] < 1e-5 and double[1] == 0
    assert 1e-5 < single[0] < 0.1 and double[0] < 1e-5 and ds.converged.all()
    assert single[0] > 10 * double[0]


def test_noise_in_what_is_read_moves_those_that_read(ds):
    whole = ds.sel(parameter="all", beta=1e-3, step=400)
    for name in ("centred", "steps"):
        clean, noisy = whole.relative_error.sel(estimator=name).values
        assert clean < 1e-4 and 0.01 < noisy < 0.5
        assert 0 < float(whole.relative_error_std.sel(estimator=name, noise=0.1)) < noisy
        assert float(whole.relative_error_std.sel(estimator=name, noise=0.0)) == 0
    assert (whole.relative_error.sel(estimator="adjoint").diff("noise") == 0).all()


def test_measures_of_known_vectors():
    tiny = 1e-9
    found = compared(np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, tiny]]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(found["angle"], [0, np.pi / 2, np.pi, tiny], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found["cosine"], [1, 0, -1, 1], atol=1e-15)
    np.testing.assert_allclose(found["relative_error"], [0, np.sqrt(5), 2, tiny])
    np.testing.assert_allclose(found["norm"], [1, 2, 1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimators": {}}, "give a dict"),
        ({"estimators": {"ep": Centred(0.1)}}, r"estimators\['ep'\]"),
        ({"betas": 0.1}, "give a list"),
        ({"betas": [0.1, -0.1]}, "betas holds -0.1"),
        ({"precisions": ["half"]}, "precision 'half'"),
        ({"noise_of": "voltage"}, "noise_of is 'voltage'"),
        ({"draws": 0}, "draws is 0"),
    ],
)
def test_arguments_without_meaning_are_refused(change, message):
    arguments = {"estimators": {"one": EquilibriumPropagation(OneSided(0.1))}} | change
    with pytest.raises(PhysnetError, match=message):
        compare_gradients(*GIVEN, cost=SquaredError(), **arguments)
