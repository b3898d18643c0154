"""Files are whole or not there, one writer at a time; nothing is left lying about, after kill -9 either."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from physnet import PhysnetError
from physnet.files import atomic, leftovers, sole_writer

HOLDER = """
import sys, time
from physnet.files import atomic, sole_writer
with sole_writer(sys.argv[1]):
    with atomic(sys.argv[1]) as temporary:
        temporary.write_text("half")
        print("holding", flush=True)
        time.sleep(60)
"""


def mounted(folder, options):
    """Mounts an empty file system in memory, where the tests run as root, who writes to folders closed to others."""
    if os.name != "posix" or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "t", folder]).returncode:
        pytest.skip("only root may mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def small_disk(tmp_path):
    yield from mounted(tmp_path, "size=1m")


@pytest.fixture
def closed_folder(tmp_path):
    if os.geteuid() == 0:
        yield from mounted(tmp_path, "ro")
    else:
        tmp_path.chmod(0o500)
        yield tmp_path
        tmp_path.chmod(0o700)


def put(path, text):
    with atomic(path) as temporary:
        temporary.write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_target_appears_whole(tmp_path):
    path = tmp_path / "result.txt"
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert leftovers(path) == [temporary] == leftovers(tmp_path)
        assert not path.exists()
    assert path.read_text() == "new"
    put(path, "newer")
    assert path.read_text() == "newer"
    assert names(tmp_path) == ["result.txt"]


@pytest.mark.parametrize("stop", [RuntimeError("no"), KeyboardInterrupt(), PhysnetError("mend it")])
def test_a_block_that_stops_changes_nothing(tmp_path, stop):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(type(stop)) as raised, atomic(path) as temporary:
        temporary.write_text("ne")
        raise stop
    assert raised.value is stop
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.txt"]


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    put(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    with sole_writer(link), pytest.raises(PhysnetError, match="being written"), sole_writer(real):
        pass


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ("ä" * 120 + ".nc")
    with sole_writer(path):
        put(path, "new")
    assert names(tmp_path) == [path.name]


def test_only_its_own_leftovers_are_removed(tmp_path):
    mine = [tmp_path / ".a.nc.0123456789ab.tmp", tmp_path / ".a.nc.ba9876543210.tmp"]
    others = [tmp_path / name for name in (".b.nc.0123456789ab.tmp", ".a.nc.tmp", "a.nc.0123456789ab.tmp", "notes.tmp")]
    for path in (*mine, *others):
        path.write_text("half")
    with sole_writer(tmp_path / "a.nc"):
        assert names(tmp_path) == sorted([".a.nc.lock", *(path.name for path in others)])
    with sole_writer(tmp_path):  # the folder: whatever atomic left in it
        assert names(tmp_path) == sorted(path.name for path in others[1:])
    assert not (tmp_path.parent / f".{tmp_path.name}.lock").exists()


def test_a_second_writer_learns_who_holds_the_file(tmp_path):
    path = tmp_path / "run.nc"
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "holding\n"
        with pytest.raises(
            PhysnetError, match=rf"run\.nc is being written by process {holder.pid} on .* since 2\d{{3}}-"
        ):
            sole_writer(path).__enter__()
        with sole_writer(tmp_path / "other.nc"):  # another file of the folder is free
            pass
        assert len(leftovers(path)) == 1
        holder.send_signal(signal.SIGKILL)
    assert len(names(tmp_path)) == 2  # a killed process cannot clear up: lock and temporary lie there
    with sole_writer(path):
        put(path, "whole")
    assert names(tmp_path) == ["run.nc"]


def test_one_process_is_refused_twice_as_well(tmp_path):
    path = tmp_path / "run.nc"
    with sole_writer(path):
        with pytest.raises(PhysnetError, match=f"process {os.getpid()} "), sole_writer(path):
            pytest.fail("two writers")
        with pytest.raises(PhysnetError, match="being written"), sole_writer(path):
            pytest.fail("the refused one must not have let the lock go")
    with sole_writer(path):
        pass
    assert names(tmp_path) == []


def test_folders_that_are_missing_are_named(tmp_path):
    path = tmp_path / "missing" / "run.nc"
    for write in (lambda: put(path, "new"), lambda: sole_writer(path).__enter__()):
        with pytest.raises(PhysnetError, match=r"run.nc: the folder .*missing does not exist. Create it"):
            write()
    assert names(tmp_path) == []


def test_folders_that_cannot_be_written_to_are_named(closed_folder):
    path = closed_folder / "run.nc"
    for write in (lambda: put(path, "new"), lambda: sole_writer(path).__enter__()):
        with pytest.raises(
            PhysnetError, match=r"/run.nc could not be written \((Read-only|Permission).*Choose another"
        ):
            write()


def test_a_full_disk_is_said_and_given_back(small_disk):
    """HDF5 reports an "HDF error" and never closes the file: its blocks must be free again all the same."""
    path = small_disk / "run.nc"
    small = xr.Dataset({"voltage": ("node", np.random.default_rng(0).random(1000))})
    large = xr.Dataset({"voltage": ("node", np.random.default_rng(0).random(400_000))})

    def save(ds):
        with atomic(path) as temporary:
            ds.to_netcdf(temporary, engine="netcdf4")

    save(small)
    for _ in range(3):
        with pytest.raises(PhysnetError, match=r"run.nc could not be written \(No space left on device\).*Free some"):
            save(large)
        assert names(small_disk) == ["run.nc"]
        assert xr.load_dataset(path, engine="netcdf4").equals(small)
        save(small)
    with pytest.raises(PhysnetError, match="No space left on device"):
        put(path, "x" * 2**21)
    (small_disk / "filler").write_bytes(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize))
    with pytest.raises(PhysnetError, match="No space left on device"):
        save(small)
    with sole_writer(path), pytest.raises(PhysnetError, match="being written"), sole_writer(path):
        pass
