"""The schema: what the builder makes, and every departure that the validator finds, with its fix."""

from pathlib import Path

import numpy as np
import pytest
from dividers import steady

from physnet import results
from physnet.errors import SchemaError
from physnet.variable import Variable

PAGE = Path(__file__).resolve().parent.parent / "docs" / "schema.md"


@pytest.fixture
def good():
    return steady()


def rules(ds):
    return [str(violation) for violation in results.validate(ds)]


# The builder.


def test_to_dataset_labels_everything(good):
    assert results.validate(good) == []
    assert good.voltage.attrs == {"long_name": "node voltage", "units": "V"}
    assert good.residual.attrs["valid_min"] == 0.0 and "valid_max" not in good.residual.attrs
    assert good.converged.dtype == np.int8
    assert good.converged.attrs["flag_meanings"] == "false true"
    assert good.converged.attrs["flag_values"].tolist() == [0, 1]
    assert "units" not in good.node.attrs
    assert good.sel(node="b").voltage.values.tolist() == [1.0, 4.0]
    assert good.Conventions == "CF-1.11 physnet-1"
    assert good.title == "A divider" and good.physnet_config == "{}"


def test_bounds_keep_the_type_of_the_variable():
    g = Variable("conductance", ("edge",), "S", "conductance", (0.1, 1.0))
    ds = results.to_dataset([(g, np.array([0.1, 1.0], np.float32))], title="t")
    assert ds.conductance.valid_min.dtype == np.float32 and ds.conductance.valid_min <= ds.conductance.min()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voltage": np.zeros((2, 3, 4))}, r"voltage: dims \('sample', 'node'\) name 2 axes.*\(2, 3, 4\)"),
        ({"voltage": np.zeros((2, 4))}, r"node: dim 'node' has size 3 here and 4 in voltage"),
        ({"voltage": np.zeros((2, 3), complex)}, "voltage: complex.*real and imaginary"),
        ({"voltage": np.zeros((2, 3), np.float16)}, "voltage: dtype float16.*float32"),
        ({"voltage": np.zeros((2, 3), "m8[s]")}, "voltage: dtype timedelta64"),
        ({"voltage": [[1, 2], [3]]}, "voltage: cannot become a NumPy array"),
        ({"voltage": [["a", "b", "c"]] * 2}, "voltage: text as a data variable"),
    ],
)
def test_to_dataset_refuses_what_cannot_be_stored(changes, message):
    with pytest.raises(SchemaError, match=message):
        steady(**changes)


@pytest.mark.parametrize(
    ("variables", "coords", "message"),
    [
        ([Variable("node", ("node",), "V", "x")], [], "node: the name of a dim"),
        ([Variable("v", ("node",), "V", "x")] * 2, [], "v: given twice"),
        ([], [Variable("grid", ("a", "b"), "V", "x")], "grid: a coordinate has one dim"),
        ([Variable("v", ("node",), "V", "")], [], "v: no long_name"),
        ([Variable("v", ("node",), "volts", "x")], [], "v: units 'volts'.*write 'V'"),
        ([Variable("energy", ("node",), "J", "x")], [], r"without 'residual'[\s\S]*without 'converged'"),
    ],
)
def test_to_dataset_refuses_wrong_labels(variables, coords, message):
    with pytest.raises(SchemaError, match=message):
        results.to_dataset([(v, np.zeros(3)) for v in variables], coords=[(v, np.zeros(3)) for v in coords], title="t")


def test_an_attribute_that_netcdf_cannot_hold_is_refused_by_the_builder():
    with pytest.raises(SchemaError, match="attribute 'verbose' is a bool"):
        results.to_dataset([], title="t", attrs={"verbose": True})


# The validator.


@pytest.mark.parametrize(
    "units",
    ["V", "V2", "V^2", "A s", "J S-1", "J/S", "A.s", "mV", "kohm", "MHz", "ns", "rad s-1", "1", "s-1", "uS", "degree"],
)
def test_units_that_udunits_reads(good, units):
    good.voltage.attrs["units"] = units
    assert rules(good) == []


@pytest.mark.parametrize(
    ("units", "fix"),
    [
        ("volts", "'V'"),
        ("Ω", "'ohm'"),
        ("µS", "'uS'"),
        ("Siemens", "'S'"),
        ("A²", "'A2'"),
        ("radians per second", "'rad / s'"),
        ("%", "'percent'"),
        ("dimensionless", "'1'"),
        ("furlong", "write V, A"),
        ("", "write V, A"),
        ("V ", "write"),
        (1, "'1'"),
    ],
)
def test_units_that_are_not_get_a_fix(good, units, fix):
    good.voltage.attrs["units"] = units
    (violation,) = results.validate(good)
    assert violation.variable == "voltage" and "units" in violation.rule and fix in violation.fix


def _with(change):
    ds = steady()
    change(ds)
    return ds


@pytest.mark.parametrize(
    ("ds", "message"),
    [
        (steady().rename(node="nodes"), "nodes: dims are singular"),
        (steady().rename(node="Node"), "Node: dims are singular"),
        (steady().drop_vars("residual"), "without 'residual'"),
        (steady().drop_vars("converged"), "without 'converged'"),
        (steady().assign(voltage=steady().voltage.astype(complex)), "voltage: complex"),
        (steady().assign_coords(sample=("sample", [1.0, 2.0])), "sample: no units"),
        (steady().rename(voltage="V"), "V: the name 'V' is not lower-case"),
        (_with(lambda ds: ds.attrs.pop("physnet_git")), "no global attribute 'physnet_git'"),
        (_with(lambda ds: ds.attrs.update(title=" ")), "the title is empty"),
        (_with(lambda ds: ds.attrs.update(Conventions="CF-1.11")), "without physnet-1"),
        (_with(lambda ds: ds.attrs.update(physnet_config='{"a": 1}')), "physnet_config_sha256 is not"),
        (_with(lambda ds: ds.attrs.update(notes=None)), "'notes' is a NoneType"),
        (_with(lambda ds: ds.attrs.update(notes={})), "'notes' is a dict"),
        (_with(lambda ds: ds.attrs.update(notes=1j)), "'notes' is a complex"),
        (_with(lambda ds: ds.voltage.attrs.update(fixed=True)), "voltage: attribute 'fixed' is a bool"),
    ],
)
def test_validate_names_variable_rule_and_fix(ds, message, tmp_path):
    assert any(message in rule and "Fix: " in rule for rule in rules(ds))
    with pytest.raises(SchemaError, match="does not follow physnet-1"):
        results.save(ds, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dim", ["node", "bias", "hidden_bias", "class", "basis", "status", "nudge_scale"])
def test_singular_nouns_that_are_dims(good, dim):
    assert rules(good.rename(node=dim)) == []


def test_the_schema_page_names_every_required_attribute():
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in (*results.REQUIRED_ATTRIBUTES, *results.RESERVED) if f"`{name}`" not in page] == []
