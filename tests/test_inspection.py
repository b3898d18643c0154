"""Cards of results: what they say of small files, of large ones that are not read, and of what is wrong."""

import json
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from physnet import measuring, results, slabs, sweeps
from physnet.cli import main
from physnet.inspection import inspect
from physnet.variable import Variable

VOLTAGE = Variable("voltage", ("sample", "node"), "V", "node voltage")
RESIDUAL = Variable("residual", ("sample",), "A", "largest imbalance", (0.0, np.inf))
CONVERGED = Variable("converged", ("sample",), "1", "whether the residual is within the tolerance")
NODE = Variable("node", ("node",), long_name="node name")


def states(samples=4):
    """Samples on three nodes, every second one converged, the last residual not a number."""
    residual = np.linspace(1e-9, 1e-6, samples)
    residual[-1] = np.nan
    arrays = (np.arange(3.0 * samples).reshape(samples, 3), residual, np.arange(samples) % 2 == 0)
    pairs = list(zip((VOLTAGE, RESIDUAL, CONVERGED), arrays))
    return results.to_dataset(pairs, coords=[(NODE, ["a", "b", "ç"])], title="A divider", summary="Some samples.")


def card_of(inspection, name):
    return next(card for card in inspection.variables if card.name == name)


@pytest.fixture
def frugal(monkeypatch):
    """As if files of a few kilobytes were large."""
    monkeypatch.setattr(measuring, "BUDGET", 1000)
    monkeypatch.setattr(measuring, "_PIECE", 240)
    monkeypatch.setattr("physnet.reading.WHOLE", 0)


# Small files.


def test_the_card_of_a_small_file_reads_and_checks_everything(tmp_path):
    found = inspect(results.save(states(), tmp_path / "a.nc"))
    text = str(found)
    for part in ("A divider", "Some samples.", "follows physnet-1", "(sample 4, node 3)", "0 .. 11", "[1 not finite]"):
        assert part in text
    assert "fraction converged 0.5, largest residual 6.67e-07 A, 1 residuals are not finite" in text
    assert "read: every value" in text and "integrity: every byte is as it was written" in text
    assert found.checked == "whole" and found.convergence.fraction == 0.5
    assert card_of(found, "node").dtype == "text" and card_of(found, "node").coordinate


def test_what_is_for_programs_is_json(tmp_path, capsys):
    path = results.save(states(), tmp_path / "a.nc")
    assert main(["inspect", "--json", str(path)]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain == inspect(path).to_dict() | {"variables": plain["variables"], "violations": []}
    assert plain["variables"][0]["shape"] == [4, 3] and plain["variables"][0]["highest"] == 11.0
    assert plain["convergence"]["not_finite"] == 1 and plain["checked"] == "whole"


def test_violations_come_with_their_fix(tmp_path):
    ds = states()
    del ds.voltage.attrs["units"]
    ds.voltage.attrs |= {"valid_max": 4.0, "gain": np.inf}
    ds.to_netcdf(tmp_path / "a.nc")
    found = inspect(tmp_path / "a.nc")
    assert [violation.variable for violation in found.violations] == ["voltage"]
    assert "! voltage: no units. Fix: write" in str(found)
    assert "[7 outside the valid range]" in str(found)
    assert "integrity: no seal" in str(found)
    assert found.to_dict()["violations"][0]["rule"] == "no units"


def test_a_file_without_numbers(tmp_path):
    ds = results.to_dataset([], coords=[(NODE, ["a"])], title="names").assign_coords(empty=("node", [np.nan]))
    ds["empty"].attrs |= {"units": "V", "long_name": "nothing"}
    found = inspect(results.save(ds, tmp_path / "a.nc"))
    assert (card_of(found, "empty").lowest, card_of(found, "empty").missing) == (None, 1)
    assert found.convergence is None and "no steady states" in str(found)


# Large files.


def test_a_large_file_is_not_read(tmp_path, frugal):
    path = results.save(states(500), tmp_path / "a.nc")
    found = inspect(path)
    card = card_of(found, "voltage")
    assert (card.seen, card.lowest, card.highest, card.missing, card.outside) == ("stated", 0.0, 1499.0, None, None)
    assert found.checked == "labels"
    text = str(found)
    assert "~ 0 .. 1499" in text and "~ as written in the file" in text and "--full reads and checks all" in text
    # Convergence is worth a look: small flags are read, residuals are sampled from end to end.
    assert found.convergence.seen == "sample" and "(of a sample)" in text
    assert found.convergence.fraction == 0.5 and found.convergence.not_finite == 1
    full = inspect(path, full=True)
    assert card_of(full, "voltage").missing == 0 and full.checked == "whole" and full.convergence.seen == "all"


def test_ranges_that_another_program_left_are_not_believed(tmp_path, frugal):
    path = results.save(states(500), tmp_path / "a.nc")
    with xr.open_dataset(path, decode_times=False) as ds:
        ds.assign(voltage=ds.voltage * 0 + 7).assign(
            voltage=lambda d: d.voltage.assign_attrs(ds.voltage.attrs)
        ).to_netcdf(tmp_path / "b.nc")
    found = inspect(tmp_path / "b.nc")
    card = card_of(found, "voltage")
    assert (card.seen, card.lowest, card.highest) == ("sample", 7.0, 7.0)
    assert "? 7 .. 7" in str(found) and "? of a sample" in str(found) and found.checked == "unsealed"


def test_full_finds_damage_that_a_look_does_not_see(tmp_path, frugal, capsys):
    ds = states(40_000)
    ds.voltage[:] = np.random.default_rng(0).normal(size=ds.voltage.shape)
    path = results.save(ds, tmp_path / "a.nc")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert main(["inspect", str(path)]) == 0
    assert "--full checks every byte" in capsys.readouterr().out
    assert main(["inspect", "--full", str(path)]) == 1
    assert "a.nc is truncated or damaged" in capsys.readouterr().err


def test_a_lazily_computed_dataset_is_measured_in_slabs(frugal):
    ds = states(500)
    cards, convergence = measuring.measure(ds.chunk(sample=7), {}, full=True)
    here, known = measuring.measure(ds, {}, full=True)
    assert cards == here and convergence == known


def test_memory_stays_bounded(tmp_path):
    """A file of 80 MB decoded: NumPy reports what it takes, and a slab is 16 MiB."""
    x = Variable("x", ("sample", "node"), "V", "numbers")
    path = results.save(results.to_dataset([(x, np.zeros((1000, 10_000)))], title="zeros"), tmp_path / "a.nc")
    tracemalloc.start()
    try:
        found = inspect(path, full=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert card_of(found, "x").highest == 0.0 and peak < 3 * slabs.SLAB


def test_one_file_that_cannot_be_read_does_not_hide_the_others(tmp_path, capsys):
    path = results.save(states(), tmp_path / "a.nc")
    assert main(["inspect", str(tmp_path / "b.nc"), str(path)]) == 1
    captured = capsys.readouterr()
    assert "A divider" in captured.out and "b.nc does not exist. Did you mean" in captured.err


def test_a_folder_of_a_sweep_has_a_card(tmp_path, capsys):
    sweeps.sweep(_product, {"gain": [1.0, 2.0, 3.0], "offset": [1, 2]}, out=tmp_path / "sweep", chunk=4)
    found = inspect(tmp_path / "sweep")
    assert found.dims == {"gain": 3, "offset": 2} and found.checked == "parts" and found.violations == ()
    assert (card_of(found, "product").lowest, card_of(found, "product").highest) == (1.0, 6.0)
    assert main(["compare", str(tmp_path / "sweep"), str(tmp_path / "sweep")]) == 0
    assert main(["inspect", str(tmp_path)]) == 1
    assert "is a folder" in capsys.readouterr().err


def _product(gain, offset):
    return {"product": gain * offset}


# Slabs.


@given(
    st.lists(st.integers(0, 9), max_size=4),
    st.lists(st.integers(1, 5), min_size=4, max_size=4),
    st.integers(8, 400),
)
def test_slabs_cover_a_variable_once_and_in_bounds(shape, chunks, size):
    dims = [f"axis_{i}" for i in range(len(shape))]
    variable = xr.Variable(dims, np.zeros(shape))
    variable.encoding = {"chunksizes": tuple(chunks[: len(shape)]), "original_shape": tuple(shape)}
    seen = np.zeros(shape)
    chunk = int(np.prod([min(c, n) for c, n in zip(chunks, shape)]))
    for index in slabs.slabs(variable, size):
        seen[index] += 1
        assert variable[index].nbytes <= max(size, 8 * chunk)
        assert all(part.start % c == 0 for part, c in zip(index, chunks))
    assert np.all(seen == 1)
