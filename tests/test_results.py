"""The schema: what the builder makes, the validator finds, and the writer and reader keep through every mishap."""

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from physnet import results
from physnet.errors import PhysnetError, SchemaError
from physnet.inspection import inspect
from physnet.variable import Variable

PAGE = Path(__file__).resolve().parent.parent / "docs" / "schema.md"
VOLTAGE = Variable("voltage", ("sample", "node"), "V", "node voltage")
RESIDUAL = Variable("residual", ("sample",), "1", "relative residual of the currents", (0.0, np.inf))
CONVERGED = Variable("converged", ("sample",), "1", "whether the residual is within the tolerance")
NODE = Variable("node", ("node",), long_name="node name")


def steady(**changes):
    """Two samples on three nodes, one of them unconverged."""
    arrays = {
        "voltage": np.arange(6.0).reshape(2, 3),
        "residual": np.array([1e-9, np.nan]),
        "converged": np.array([True, False]),
    } | changes
    pairs = [(v, arrays[v.name]) for v in (VOLTAGE, RESIDUAL, CONVERGED)]
    return results.to_dataset(pairs, coords=[(NODE, ["a", "b", "c"])], title="A divider", summary="Two samples.")


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


# Round trips.


@settings(max_examples=15, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int8, np.int64, np.uint16, bool]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_round_trip_keeps_values_types_and_labels(array):
    dims = ("sample", "node", "step")[: array.ndim]
    ds = results.to_dataset([(Variable("x", dims, "mV", "some number"), array)], title="t")
    with tempfile.TemporaryDirectory() as folder:
        again = results.open(results.save(ds, Path(folder) / "x.nc"))
    xr.testing.assert_identical(again.drop_attrs(), ds.drop_attrs())
    assert again.x.dtype == ds.x.dtype
    assert again.x.units == "mV" and again.attrs == ds.attrs
    assert rules(again) == []


def test_a_reopened_file_can_be_saved_again(good, tmp_path):
    path = results.save(good, tmp_path / "a.nc")
    again = results.open(path)
    assert again.node.values.tolist() == ["a", "b", "c"]
    results.save(again.isel(sample=[0]), path, overwrite=True)
    assert results.open(path).sizes["sample"] == 1


def test_a_coordinate_in_seconds_stays_numbers(tmp_path):
    time = Variable("time", ("time",), "s", "time")
    ds = results.to_dataset([(Variable("v", ("time",), "V", "voltage"), [1.0, 2])], coords=[(time, [0, 1])], title="t")
    again = results.open(results.save(ds, tmp_path / "a.nc"))
    assert again.time.dtype == np.int64 and again.time.units == "s"
    assert "_FillValue" not in again.time.encoding


def test_numbers_are_compressed_and_checksummed(good, tmp_path):
    encoding = results.open(results.save(good, tmp_path / "a.nc")).voltage.encoding
    assert encoding["zlib"] and encoding["complevel"] == 4 and encoding["fletcher32"]


def test_one_changed_byte_of_data_is_noticed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)  # does not compress
    ds = results.to_dataset([(Variable("x", ("sample",), "1", "noise"), noise)], title="t")
    path = results.save(ds, tmp_path / "a.nc")
    whole = bytearray(path.read_bytes())
    whole[whole.index(noise[1000:1032].tobytes())] ^= 1
    path.write_bytes(whole)
    with pytest.raises(PhysnetError, match="truncated or damaged"):
        results.open(path)


# Writing.


def test_an_existing_file_is_kept_unless_told(good, tmp_path):
    path = results.save(good, tmp_path / "a.nc")
    before = path.read_bytes()
    with pytest.raises(PhysnetError, match=r"exists\..*overwrite"):
        results.save(good, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device"), RuntimeError("HDF")])
def test_a_failed_save_leaves_the_old_file_whole(good, tmp_path, monkeypatch, failure):
    path = results.save(good, tmp_path / "a.nc")
    before = path.read_bytes()
    write = xr.Dataset.to_netcdf

    def broken(self, target, **options):
        write(self, target, **options)
        raise failure

    monkeypatch.setattr(xr.Dataset, "to_netcdf", broken)
    with pytest.raises(KeyboardInterrupt if failure is KeyboardInterrupt else PhysnetError):
        results.save(good, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"] and path.read_bytes() == before


def test_a_link_is_written_through(good, tmp_path):
    (tmp_path / "deep").mkdir()
    link = tmp_path / "latest.nc"
    link.symlink_to(tmp_path / "deep" / "a.nc")
    results.save(good, link)
    assert link.is_symlink() and (tmp_path / "deep" / "a.nc").is_file()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing/a.nc", "the folder .*missing does not exist"),
        (".", "is a folder"),
        ("file/a.nc", "Not a directory|does not exist"),
        ("x" * 300, "cannot be written"),
    ],
)
def test_paths_that_cannot_be_written(good, tmp_path, place, message):
    (tmp_path / "file").write_text("")
    for attempt in (lambda p: results.check_writable(p, True), lambda p: results.save(good, p, overwrite=True)):
        with pytest.raises(PhysnetError, match=message):
            attempt(tmp_path / place)


def test_a_device_is_not_replaced():
    with pytest.raises(PhysnetError, match="not a regular file"):
        results.check_writable("/dev/null", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PhysnetError, match="cannot be written: Permission denied"):
        results.check_writable(tmp_path / "a.nc", False)


def test_a_folder_that_takes_no_files():
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc here")
    with pytest.raises(PhysnetError, match="cannot be written"):
        results.check_writable("/proc/self/a.nc", False)


# Reading.


def test_a_missing_file_suggests_its_neighbour(good, tmp_path):
    results.save(good, tmp_path / "digits.nc")
    with pytest.raises(PhysnetError, match=r"digit\.nc does not exist\. Did you mean .*digits\.nc"):
        results.open(tmp_path / "digit.nc")
    with pytest.raises(PhysnetError, match=r"does not exist\.$"):
        results.open(tmp_path / "nowhere" / "digits.nc")
    with pytest.raises(PhysnetError, match="is a folder"):
        results.open(tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 0.5, 0.9, -1])
def test_a_truncated_file(good, tmp_path, kept):
    path = results.save(good, tmp_path / "a.nc")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(PhysnetError, match=r"a\.nc is (truncated|empty|not a netCDF file)"):
        results.open(path)


@settings(max_examples=25, deadline=None, derandomize=True)  # the same damage every time: HDF5 is C
@given(st.integers(8, 20_000), st.binary(min_size=1, max_size=64))
def test_damaged_bytes_give_a_dataset_or_a_clear_error(start, noise):
    with tempfile.TemporaryDirectory() as folder:
        path = results.save(steady(), Path(folder) / "a.nc")
        whole = bytearray(path.read_bytes())
        start %= len(whole)
        whole[start : start + len(noise)] = noise
        path.write_bytes(whole)
        try:
            str(inspect(path))
        except PhysnetError as error:
            assert "a.nc" in str(error)


def test_other_files(good, tmp_path):
    path = tmp_path / "a.nc"
    path.write_bytes(b"voltage,current\n1,2\n")
    with pytest.raises(PhysnetError, match="is not a netCDF file"):
        results.open(path)
    xr.Dataset({"x": 1.0}).to_netcdf(path)
    with pytest.raises(PhysnetError, match="is no physnet result"):
        results.open(path)
    good.attrs["Conventions"] = "CF-1.14 physnet-2"
    good.to_netcdf(path)
    with pytest.raises(PhysnetError, match=r"follows physnet-2, .* reads physnet-1\. Upgrade physnet"):
        results.open(path)


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
def test_the_examples_of_the_schema_page_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {})


def test_the_schema_page_names_every_required_attribute():
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in (*results.REQUIRED_ATTRIBUTES, *results.RESERVED) if f"`{name}`" not in page] == []


# Inspection.


def test_the_card_shows_convergence_and_missing_values(good, tmp_path):
    card = inspect(results.save(good, tmp_path / "a.nc"))
    text = str(card)
    assert "A divider" in text and "follows physnet-1" in text
    assert "fraction converged 0.5" in text and "1 residuals are not finite" in text
    assert "[1 not finite]" in text and "(sample 2, node 3)" in text and "0 .. 5" in text
    assert card.convergence.largest_residual == 1e-9
    assert '"fraction": 0.5' in card.to_json()


def test_the_card_of_a_file_with_violations(good, tmp_path):
    del good.voltage.attrs["units"]
    good.voltage.attrs |= {"valid_max": 4.0, "gain": np.inf}
    good.to_netcdf(tmp_path / "a.nc")
    card = inspect(tmp_path / "a.nc")
    assert [violation.variable for violation in card.violations] == ["voltage"]
    assert "! voltage: no units. Fix: write" in str(card)
    assert "[1 outside the valid range]" in str(card)
    assert card.to_dict()["violations"][0]["rule"] == "no units"
