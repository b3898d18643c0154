"""Mangled files: each is refused with a clear error, or what comes back is what was written; nothing ever crashes.

Run as a program it tries cases one by one and reports after each, so that a crash of HDF5 is seen and named:
python tests/test_damage.py FOLDER FIRST LAST
"""

import base64
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from physnet import provenance, results, sealing
from physnet.errors import PhysnetError
from physnet.inspection import inspect
from physnet.variable import Variable

LIMIT = 20  # s for one case: HDF5 can loop for ever on a damaged heap
# HDF5 files of h5py, one in the oldest format and one in the newest: a dataset, a group, complex numbers, no dims.
FOREIGN = (
    "eNrr9HBx4+WS4mIAAQ4OBhYGAQZk8B8KLgih8mHyCVCaEUp3QOkVTDBxRrCcBFRcEGo+urqQIFdXkOr/aABmjwELhOZgGAUjEXi4OgaA6AgoH5aeTj"
    "ChqquA0ulo6dKBTHsZGVghZjDC+BCbGRkhAjDrYTQzUB4kI6hgD02rDgwm3Awm/5kh8qxAUZA8ExMTIyQ9Q8xjZoQlbQE0F3QMqngI9vN3YQT6FubK"
    "ClbUcF4A5cMUwPKrAvNoGkZNV9jLRfTwI1QudgiOloujgFLwwR61mETnj4JRMApGwSgYBaNgOPerYO16BbRuSBVaf8qD4vYv/n4VI5p9zAwNYLYYE8"
    "SNRUTag60flslAXJsZm17c/TcBHP03BRL6VfBOIEOFwGjaJAcAAHOxULI=",
    "eNrr9HBx4+WS4mLm4GCAgf9QoAAVMoCKC0v+t/T3cAliYqhgEkJWCANcTAyMDAxsPAxAirFiM1QblJ++nxEqYMFANnjYW+0EdgLQQEYRBgYmRkZGJq"
    "gcjGYWYWAUVLBngLjegcGEm8HkPzMDAyvQdcxcHECXMzNCJRkEYAZvYBhyINvJ7Tjx0VHlBAsfD+o5obT6oDZ6dMBiGUYzmzEwhjFBgrqIgQFbzGQy"
    "cBCKMAH0COsbbNExqTRfgGEUjIJRMAqGGPhgD2U4oPMBdpFJYw==",
)


def everything():
    """A dataset with one of each: floats, integers, flags, text, single numbers, many attributes, some beyond ASCII."""
    rng = np.random.default_rng(0)
    pairs = [
        (Variable("voltage", ("sample", "node"), "V", "node voltage, µ"), rng.normal(size=(40, 12))),
        (Variable("phase", ("sample",), "rad", "phase", period=2 * np.pi), rng.normal(size=40).astype(np.float32)),
        (Variable("number", ("sample",), "1", "how many"), rng.integers(0, 9, 40)),
        (Variable("total", (), "J", "one number"), np.float64(3.25)),
        (Variable("residual", ("sample",), "A", "largest imbalance", (0.0, np.inf)), rng.random(40)),
        (Variable("converged", ("sample",), "1", "whether it did"), rng.random(40) > 0.5),
    ]
    coords = [
        (Variable("node", ("node",), long_name="node name"), [f"Knoten {i} Ω" for i in range(12)]),
        (Variable("time", ("sample",), "s", "time"), np.arange(40.0)),
    ]
    attrs = provenance.collect({"a": [1, 2, {"b": "ü"}]}, seed=3, started="2026-01-01T00:00:00Z") | {
        f"extra_{i}": i for i in range(8)
    }
    attrs |= {"gains": np.array([1.0, 2.0, 3.0]), "several": ["a", "ß"]}
    return results.to_dataset(pairs, coords=coords, title="Größe", summary="plain", attrs=attrs)


def content(ds) -> str:
    """All that a dataset holds, numbers to the last bit."""

    def plain(attributes):
        return sorted((str(k), np.asarray(v).dtype.str, np.asarray(v).tolist()) for k, v in attributes.items())

    def numbers(variable):
        return variable.values.tobytes() if variable.dtype.kind in "iuf" else variable.values.tolist()

    described = [
        (str(name), variable.dims, variable.dtype.kind, numbers(variable), plain(variable.attrs))
        for name, variable in sorted(ds.variables.items())
    ]
    return repr((described, sorted(ds.coords), plain(ds.attrs)))


def mangled(whole: bytes, case: int) -> bytes:
    """The bytes of a file, cut or changed in one place; the same for the same case."""
    rng = random.Random(case)
    data, start, length = bytearray(whole), rng.randrange(len(whole)), rng.randrange(1, 600)
    match case % 10:
        case 0:
            del data[start:]
        case 1:
            data[start : start + length] = bytes(len(data[start : start + length]))
        case 2:
            data[start : start + length // 8] = rng.randbytes(len(data[start : start + length // 8]))
        case 3:
            del data[start : start + length]
        case _:
            data[start] ^= 1 << rng.randrange(8)
    return bytes(data)


def look(path):
    """As a large file is opened, whose bytes are not all checked first."""
    with results.look(path, whole=False) as ds:
        return ds.load()


def card(path):
    """What inspect says, but for the name of the file and how it was checked."""
    found = inspect(path)
    return "flagged" if found.violations else {k: v for k, v in found.to_dict().items() if k not in ("path", "checked")}


def verdict(read, path, expected) -> str:
    try:
        found = read(path)
    except PhysnetError as error:
        return "refused" if path.name in str(error) else f"an error without the file's name: {error}"
    return "refused" if found == "flagged" else "unharmed" if found == expected else "CHANGED, and nobody noticed"


READERS = {"open": lambda path: content(results.open(path)), "look": lambda path: content(look(path)), "inspect": card}


def try_cases(folder: Path, first: int, last: int) -> None:
    """Prints [case, {reader: verdict}] after each case; a reader that fails otherwise ends the process."""
    whole = (folder / "whole.nc").read_bytes()
    expected = {name: read(folder / "whole.nc") for name, read in READERS.items()}
    path = folder / "mangled.nc"
    for case in range(first, last):
        path.write_bytes(mangled(whole, case))
        signal.alarm(LIMIT)
        print(json.dumps([case, {name: verdict(read, path, expected[name]) for name, read in READERS.items()}]))
        sys.stdout.flush()
        signal.alarm(0)


def tried(folder: Path, count: int) -> list:
    """[case, {reader: verdict}] of each of `count` cases; a crash or a hang is the verdict of the case it met."""
    results.save(everything(), folder / "whole.nc")
    found = []
    while len(found) < count:
        command = [sys.executable, __file__, str(folder), str(len(found)), str(count)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=600, env=os.environ | {"HDF5_USE_FILE_LOCKING": "FALSE"}
        )
        found += [json.loads(line) for line in done.stdout.splitlines()]
        if len(found) < count:
            found.append([len(found), {"all": f"ended with status {done.returncode}: {done.stderr[-500:]}"}])
    return found


@pytest.mark.parametrize("count", [200, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_mangled_file_is_refused_or_unharmed(tmp_path, count):
    found = tried(tmp_path, count)
    wrong = [(case, said) for case, said in found if not set(said.values()) <= {"refused", "unharmed"}]
    assert wrong == []
    refused = sum(said["open"] == "refused" for _, said in found)
    assert refused > 0.8 * count  # else the damage is none: some of it falls on bytes that are zero anyway


def test_all_is_refused_that_would_change_a_number_text_or_attribute(tmp_path):
    """One bit in each kind of content, found in the file by what it says."""
    ds = everything().drop_encoding()
    path = results.save(ds, tmp_path / "a.nc")
    whole = path.read_bytes()
    for what in (
        "Knoten 7 Ω".encode(),
        "Größe".encode(),
        b"plain",
        "node voltage, µ".encode(),
        np.float64(3.25).tobytes(),
    ):
        assert whole.count(what) >= 1
        data = bytearray(whole)
        data[whole.index(what)] ^= 1
        path.write_bytes(data)
        for read in (results.open, look):
            with pytest.raises(PhysnetError, match="truncated or damaged"):
                read(path)


def test_numbers_of_a_large_file_are_checked_as_they_are_read(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)  # does not compress
    ds = results.to_dataset([(Variable("x", ("sample",), "1", "noise"), noise)], title="t")
    path = results.save(ds, tmp_path / "a.nc")
    whole = bytearray(path.read_bytes())
    whole[whole.index(noise[60_000:60_032].tobytes())] ^= 1
    path.write_bytes(whole)
    with results.look(path, whole=False) as ds:
        assert ds.x.shape == (100_000,)
    with pytest.raises(PhysnetError, match=r"a\.nc is truncated or damaged"), results.look(path, whole=False) as ds:
        ds.x.sum()
    with pytest.raises(PhysnetError, match=r"a\.nc is truncated or damaged"), results.look(path):
        pytest.fail("small enough to be checked at once")


def test_a_seal_that_is_cut_or_changed_is_refused(tmp_path):
    path = results.save(everything(), tmp_path / "a.nc")
    whole, end = path.read_bytes(), sealing.find(path).size
    for place in (end, end + 30, whole.index(b"# physnet seal") + 40, len(whole) - 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        for read in (results.open, look):
            with contextlib.suppress(PhysnetError):  # a large file has no need of the sum over all of it
                assert content(read(path)) == content(everything())
        if place > end + 30:
            path.write_bytes(whole[: place - 1])
            with pytest.raises(PhysnetError, match="the seal at its end is not whole"):
                results.open(path)


@pytest.mark.parametrize("start", [b"", b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x05"])
@pytest.mark.parametrize("rest", [b"", bytes(4000), random.Random(0).randbytes(4000), b"a,b\n1,2\n" * 500])
def test_files_that_are_something_else(tmp_path, start, rest):
    path = tmp_path / "a.nc"
    path.write_bytes(start + rest)
    for read in (results.open, look, inspect):
        with pytest.raises(PhysnetError, match=r"a\.nc (is empty|is not a netCDF file|is truncated|is no physnet)"):
            read(path)


@pytest.mark.parametrize("packed", FOREIGN)
def test_hdf5_files_of_others(tmp_path, packed):
    path = tmp_path / "a.nc"
    path.write_bytes(zlib.decompress(base64.b64decode(packed)))
    for read in (results.open, look, inspect):
        with pytest.raises(PhysnetError, match=r"a\.nc is (no physnet result|truncated or damaged)"):
            read(path)


if __name__ == "__main__":
    try_cases(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
