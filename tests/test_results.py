"""The writer and the reader: what they keep through every mishap, and what they say of files that are no results."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from dividers import steady
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from physnet import results, sealing
from physnet.errors import PhysnetError
from physnet.variable import Variable


@pytest.fixture
def good():
    return steady()


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
    assert results.validate(again) == []


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


def test_numbers_state_their_range_in_the_file_and_not_in_memory(good, tmp_path):
    good.voltage[0, 1] = np.inf
    path = results.save(good, tmp_path / "a.nc")
    assert "actual_range" not in good.voltage.attrs
    with netCDF4.Dataset(path) as file:
        assert file["voltage"].actual_range.tolist() == [0.0, 5.0]  # of the finite ones
        assert file["residual"].actual_range.tolist() == [1e-9, 1e-9]
        assert file["converged"].actual_range.dtype == np.int8
    again = results.open(path)
    assert all("actual_range" not in variable.attrs for variable in again.variables.values())
    results.save(again.assign(voltage=again.voltage.fillna(0.0) * 0), path, overwrite=True)
    with results.look(path) as ds:
        assert "actual_range" not in ds.voltage.attrs
    with netCDF4.Dataset(path) as file:  # 0 times infinity is no number
        assert file["voltage"].actual_range.tolist() == [0.0, 0.0]


def test_a_lazily_computed_dataset_is_saved_with_its_ranges(good, tmp_path):
    path = results.save(good.chunk(sample=1), tmp_path / "a.nc")
    xr.testing.assert_identical(results.open(path), good)
    with netCDF4.Dataset(path) as file:
        assert file["voltage"].actual_range.tolist() == [0.0, 5.0]


# The seal.


def test_the_seal_is_checked_without_physnet(good, tmp_path):
    path = results.save(good, tmp_path / "a.nc")
    content, size = re.search(rb"SHA-256 (\w{64}) of the first (\d+) bytes", path.read_bytes()).groups()
    assert hashlib.sha256(path.read_bytes()[: int(size)]).hexdigest() == content.decode()


def test_a_file_that_another_program_changed_is_unsealed_and_opens(good, tmp_path):
    path = results.save(good, tmp_path / "a.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["voltage"][0, 0] = 40.0
        file.comment = "edited"
    again = results.open(path)
    assert again.voltage[0, 0] == 40.0 and again.comment == "edited"
    assert sealing.find(path) is None
    with xr.open_dataset(path, decode_times=False) as file:
        file.isel(sample=[1]).to_netcdf(tmp_path / "b.nc")  # with the range that it had
    assert results.open(tmp_path / "b.nc").sizes["sample"] == 1


def test_a_file_of_an_older_physnet_opens(good, tmp_path):
    good.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(results.open(tmp_path / "a.nc"), good)


# Looking.


@pytest.mark.parametrize("whole", [None, True, False])
def test_look_reads_what_is_asked_for_while_it_lasts(good, tmp_path, whole):
    path = results.save(good, tmp_path / "a.nc")
    with results.look(path, whole=whole) as ds:
        assert not ds.voltage.variable._in_memory
        assert ds.voltage.sel(node="b").values.tolist() == [1.0, 4.0]
        assert not ds.voltage.variable._in_memory
        xr.testing.assert_identical(ds.load(), good)
    path.unlink()  # closed
    assert ds.voltage[1, 2] == 5.0


def test_errors_of_the_block_are_its_own(good, tmp_path):
    path = results.save(good, tmp_path / "a.nc")
    for mine in (RuntimeError("mine"), OSError("mine"), KeyError("mine")):
        with pytest.raises(type(mine), match="mine"), results.look(path):
            raise mine


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
    os.mkfifo(tmp_path / "pipe.nc")
    with pytest.raises(PhysnetError, match="is not a regular file"):
        results.open(tmp_path / "pipe.nc")


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 0.5, 0.9, -1])
def test_a_truncated_file(good, tmp_path, kept):
    path = results.save(good, tmp_path / "a.nc")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(PhysnetError, match=r"a\.nc is (truncated|empty|not a netCDF file)"):
        results.open(path)


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
