"""Datasets of everything that can be computed follow the schema and carry the numbers."""

import diffrax
import numpy as np
import pytest
from test_gradients import COST, ep, report
from test_relax import RUNAWAY, settled
from zoo import ZOO

from physnet import Adaptive, PhysnetError, implicit_gradient, integrate, relax, results, to_dataset
from physnet.variable import quotient_units

SPRINGS = ZOO["springs"]


def test_an_equilibrium(tmp_path):
    ds = to_dataset(settled("springs", "ProjectedNewton"), title="Three samples", seed=7, config={"masses": 5})
    assert results.validate(ds) == []
    assert ds.position.dims == ("sample", "mass") and ds.position.units == "m"
    assert ds.reading.dims == ("sample", "output") and ds.force.dims == ("sample", "drive")
    assert ds.energy.units == "J" and ds.imbalance.units == "N" and ds.residual.units == "1"
    assert ds.converged.dims == ds.steps.dims == ("sample",) and ds.stiffness.dims == ("spring",)
    assert ds.attrs["title"] == "Three samples" and ds.attrs["physnet_seed"] == 7
    assert ds.attrs["physnet_precision"] == "double" and '"masses": 5' in ds.attrs["physnet_config"]
    np.testing.assert_allclose(ds.position, SPRINGS.states, atol=1e-10)
    assert results.open(results.save(ds, tmp_path / "states.nc")).identical(ds)


def test_one_sample_has_no_sample_dim():
    ds = relax(ZOO["walled_springs"].system, ZOO["walled_springs"].inputs[0]).to_dataset()
    assert "sample" not in ds.dims and ds.residual.dims == () and ds.position.dims == ("mass",)


def test_a_system_without_an_energy_writes_none():
    ds = settled("sheared", "ProjectedNewton").to_dataset()
    assert "energy" not in ds and ds.matrix.dims == ("mass", "source")


def test_unconverged_states_are_flagged():
    ds = relax(RUNAWAY, np.zeros((1, 2)), throw=False).to_dataset()
    assert ds.converged.item() == 0 and results.validate(ds) == []


def test_a_trajectory():
    times = np.array([0.0, 0.1, 0.5, 2.0, 60.0])
    ds = integrate(SPRINGS.system, SPRINGS.inputs, times, engine=Adaptive(diffrax.Tsit5())).to_dataset()
    assert ds.position.dims == ("sample", "time", "mass") and ds.force.dims == ("sample", "drive")
    assert ds.energy.dims == ("sample", "time") and ds.converged.dims == ("sample",)
    assert ds.time.units == "s" and np.array_equal(ds.time, times)


def test_a_gradient():
    ds = ep("springs").to_dataset()
    assert ds.gradient_stiffness.dims == ("spring",) and ds.gradient_stiffness.units == "m3 N-1"
    assert ds.cost.units == "m2" and list(ds.nudge.values) == ["free", "nudged_1", "nudged_2"]
    assert ds.residual.dims == ds.converged.dims == ("nudge", "sample") and ds.residual.shape == (3, 3)
    reference = implicit_gradient(SPRINGS.system, SPRINGS.inputs, SPRINGS.targets, cost=COST).to_dataset()
    assert list(reference.nudge.values) == ["free"]
    np.testing.assert_allclose(reference.gradient_stiffness, SPRINGS.gradient["stiffness"], rtol=1e-9)


def test_a_gradient_check():
    ds = to_dataset(report("walled_springs", "ProjectedNewton", "centred"))
    assert ds.error.dims == ("parameter", "beta") and list(ds.parameter.values) == ["stiffness", "anchor"]
    assert ds.nudging_scale.units == "J m-2" and ds.switched.dims == ds.residual.dims == ("beta",)


def test_other_objects_are_refused():
    with pytest.raises(PhysnetError, match="a dict has no dataset"):
        to_dataset({})


@pytest.mark.parametrize(
    ("numerator", "denominator", "quotient"),
    [("V2", "S", "V2 S-1"), ("1", "S", "S-1"), ("V2", "1", "V2"), ("A", "A", "1"), ("m2", "N m-1", "m3 N-1")],
)
def test_quotients_of_units(numerator, denominator, quotient):
    assert quotient_units(numerator, denominator) == quotient
