"""Sweeps: every point once, whoever runs it and however often it stops; what fails is told and the rest goes on."""

import functools
import os

import numpy as np
import pytest
import sweep_points

from physnet import results, sweeps
from physnet.errors import PhysnetError
from physnet.files import sole_writer
from physnet.sweeps import grid, is_sweep, parts, sobol, sweep, zipped

VOLTAGES = [0.5, 1.0, 2.0]
OVER = {"voltage": VOLTAGES, "seed": range(5)}


def same(a, b):
    """Whether two datasets hold the same, dates and versions aside."""
    return a.compute().drop_attrs(deep=False).identical(b.compute().drop_attrs(deep=False))


@pytest.fixture(scope="module")
def whole():
    return sweep(sweep_points.numbers, OVER, variables=sweep_points.VARIABLES)


def test_every_point_holds_what_the_function_gave(whole):
    assert dict(whole.sizes) == {"voltage": 3, "seed": 5, "power": 3}
    for voltage in VOLTAGES:
        for seed in (0, 1, 2, 4):
            here = whole.sel(voltage=voltage, seed=seed)
            assert float(here.square) == voltage**2 + seed and int(here.seed_read) == seed
            assert int(here.odd) == seed % 2 and int(here.point_status) == 0 and str(here.point_error.values) == ""
            assert here.powers.values.tolist() == [1.0, voltage, voltage**2]
    assert whole.square.attrs == {"units": "V2", "long_name": "square of the voltage"}
    assert whole.voltage.attrs == {"units": "V", "long_name": "voltage across the device"}
    assert results.validate(whole) == []


def test_a_failed_point_says_why_and_holds_no_numbers(whole):
    failed = whole.sel(seed=3)
    assert failed.point_status.values.tolist() == [1, 1, 1]
    assert failed.point_error.values.tolist() == [f"ValueError: no state at {v:g} V" for v in VOLTAGES]
    assert np.isnan(failed.square).all() and np.isnan(failed.powers).all() and (failed.seed_read == 0).all()


@pytest.mark.parametrize("chunk", [1, 4, None])
def test_results_do_not_depend_on_the_parts(whole, tmp_path, chunk):
    kept = sweep(sweep_points.numbers, OVER, variables=sweep_points.VARIABLES, out=tmp_path / "s", chunk=chunk)
    assert same(kept, whole) and is_sweep(tmp_path / "s")
    assert same(sweeps.open(tmp_path / "s"), whole)
    assert results.validate(kept) == []


def test_labels_that_change_from_point_to_point_are_kept(tmp_path):
    over = {"voltage": [1.0, 2.0], "seed": range(4)}
    memory, kept = sweep(sweep_points.labelled, over), sweep(sweep_points.labelled, over, out=tmp_path / "s", chunk=1)
    assert same(memory, kept)
    assert memory.digit_label.sel(seed=3).values.tolist() == [["d30", "d31", "d32"]] * 2
    assert memory.digit_label.sel(seed=2).values.tolist() == [[""] * 3] * 2
    assert memory.place.dims == ("digit",)  # the same everywhere


def test_what_changes_its_shape_is_refused_unless_the_rest_is_kept(tmp_path):
    over = {"voltage": [0.0, 1.0]}
    for chunk in (1, 2):
        with pytest.raises(PhysnetError, match="'grown'.*keep="):
            sweep(sweep_points.of_changing_shape, over, out=tmp_path / f"{chunk}", chunk=chunk)
    kept = sweep(sweep_points.of_changing_shape, over, keep=["kept"])
    assert kept.kept.values.tolist() == [0.0, 1.0] and "grown" not in kept
    with pytest.raises(PhysnetError, match="no variable 'lost' to keep"):
        sweep(sweep_points.of_changing_shape, over, keep=["lost"])


def test_dims_of_zipped_fields_and_draws():
    points = zipped(voltage=[1.0, 2.0], seed=[0, 1]) * sobol(4, {"gain": (0.0, 1.0)})
    ds = sweep(lambda voltage, seed, gain: {"product": voltage * gain + seed}, points)
    assert dict(ds.sizes) == {"voltage": 2, "draw": 4}
    assert ds.seed.dims == ("voltage",) and ds.gain.dims == ("draw",)
    assert np.allclose(ds["product"], ds.voltage * ds.gain + ds.seed, rtol=1e-14)


def test_a_field_named_as_a_dim_of_the_result():
    ds = sweep(lambda power: {"powers": np.full(3, power)}, {"power": [1, 2]}, variables=sweep_points.VARIABLES)
    assert dict(ds.sizes) == {"swept_power": 2, "power": 3} and ds.swept_power.values.tolist() == [1, 2]


def counting(calls, **point):
    calls.append(point)
    return sweep_points.numbers(**point)


def test_a_second_call_runs_nothing_and_a_torn_part_is_run_again(whole, tmp_path):
    calls, folder = [], tmp_path / "s"
    function = functools.partial(counting, calls)
    options = {"variables": sweep_points.VARIABLES, "out": folder}
    sweep(function, OVER, chunk=4, **options)
    assert len(calls) == 15
    sweep(function, OVER, **options)
    assert len(calls) == 15
    (part,) = parts.parts(folder)  # all in one, now that it is complete
    part.path.write_bytes(part.path.read_bytes()[:-100])
    assert same(sweep(function, OVER, **options), whole) and len(calls) == 30


def test_what_is_missing_is_run_and_nothing_else(whole, tmp_path):
    calls, folder = [], tmp_path / "s"
    options = {"variables": sweep_points.VARIABLES, "out": folder}
    function = functools.partial(counting, calls)
    sweep(function, OVER, **options)
    (part,) = parts.parts(folder)
    ds = results.open(part.path)
    for stretch in (slice(0, 3), slice(5, 6), slice(11, 15)):
        parts.write(folder, ds.isel(point=stretch))
    part.path.unlink()
    gaps = sweeps.open(folder)
    assert int((gaps.point_status == 2).sum()) == 7 and int(np.isnan(gaps.square).sum()) == 7 + 1
    assert same(sweep(function, OVER, **options), whole) and len(calls) == 15 + 7


def test_a_merge_that_was_killed_leaves_nothing_twice(whole, tmp_path):
    folder = tmp_path / "s"
    sweep(sweep_points.numbers, OVER, variables=sweep_points.VARIABLES, out=folder)
    (part,) = parts.parts(folder)
    parts.write(folder, results.open(part.path).isel(point=slice(3, 7)))
    assert [p.first for p in parts.parts(folder)] == [0] and same(sweeps.open(folder), whole)
    parts.tidy(folder)
    assert sorted(os.listdir(folder)) == [part.path.name, "sweep.json"]


def test_failed_points_are_run_again_when_asked(tmp_path):
    cured = []

    def point(seed):
        if seed in (1, 4) and not cured:
            raise ValueError("ill")
        return {"seed_read": seed}

    first = sweep(point, {"seed": range(6)}, out=tmp_path / "s")
    assert first.point_status.values.tolist() == [0, 1, 0, 0, 1, 0]
    cured.append(True)
    assert same(sweep(point, {"seed": range(6)}, out=tmp_path / "s"), first)
    again = sweep(point, {"seed": range(6)}, out=tmp_path / "s", retry_failed=True)
    assert again.seed_read.values.tolist() == list(range(6)) and not again.point_status.any()


def test_a_sweep_of_failures_only(tmp_path):
    ds = sweep(sweep_points.numbers, {"voltage": [1.0, 2.0], "seed": [3]}, out=tmp_path / "s", chunk=1)
    assert (ds.point_status == 1).all() and "square" not in ds


def test_another_sweep_in_the_folder_is_told_apart(tmp_path):
    folder = tmp_path / "s"
    sweep(sweep_points.numbers, {"voltage": [1.0], "seed": [0]}, out=folder, variables=sweep_points.VARIABLES)
    with pytest.raises(PhysnetError, match=r"another sweep \(of numbers; different: design\)"):
        sweep(sweep_points.numbers, {"voltage": [2.0], "seed": [0]}, out=folder, variables=sweep_points.VARIABLES)
    again = sweep(
        sweep_points.numbers,
        {"voltage": [2.0], "seed": [0]},
        out=folder,
        resume=False,
        variables=sweep_points.VARIABLES,
    )
    assert again.square.values.tolist() == [[4.0]]


def test_a_second_writer_is_refused(tmp_path):
    with sole_writer(tmp_path / "s"), pytest.raises(PhysnetError, match="is being written by"):
        sweep(sweep_points.slow, {"number": [1]}, out=tmp_path / "s")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda to: sweep(sweep_points.numbers, {"voltage": [1.0]}), "cannot be called with voltage"),
        (lambda to: sweep("no-such-study", {"seed": [1]}), "unknown study"),
        (lambda to: sweep("digits", {"sed": [1]}), "no option 'sed'. Did you mean 'seed'"),
        (lambda to: sweep("digits", {"seed": [1.5]}), "seed = 1.5 is no int"),
        (lambda to: sweep("digits", {"seed": [1]}, config={"epochs": 1}), "pass a Config of the study"),
        (lambda to: sweep("digits", {"seed": [1]}, variables=sweep_points.VARIABLES), "a study describes its own"),
        (lambda to: sweep(sweep_points.slow, {"number": [1]}, config=1), "config belongs to a study"),
        (lambda to: sweep(3, {"seed": [1]}), "no study and cannot be called"),
        (lambda to: sweep(sweep_points.slow, {"number": [1]}, chunk=0), "chunk is 0"),
        (lambda to: sweep(sweep_points.slow, {"number": [1]}, workers=0), "workers is 0"),
        (lambda to: sweep(lambda number: {}, {"number": [1]}, workers=2), "cannot be sent to other processes"),
        (lambda to: sweep(sweep_points.slow, {"number": [1]}, out=to / "file"), "is a file"),
        (lambda to: sweep(sweep_points.slow, {"number": [1]}, out=to), "holds other files"),
        (lambda to: sweeps.open(to), "no folder of a sweep"),
        (lambda to: sweep(lambda a: 5, {"a": [1]}), "a point gave a int"),
        (lambda to: sweep(lambda a: {"row": [1, 2]}, {"a": [1]}), "has shape .*Name its dims"),
    ],
)
def test_what_does_not_fit_is_told_before_any_work(call, message, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PhysnetError, match=message):
        call(tmp_path)
    assert os.listdir(tmp_path) == ["file"]


def test_a_point_that_kills_its_process_is_recorded(tmp_path):
    """Point 2 dies once, as of an accident, and point 5 always; the others are run."""
    over = grid(number=range(8), folder=[str(tmp_path)])
    ds = sweep(sweep_points.deadly, over, out=tmp_path / "s", workers=2, chunk=1).isel(folder=0)
    assert ds.point_status.values.tolist() == [0] * 5 + [1] + [0] * 2
    assert "killed or crashed" in str(ds.point_error[5].values)
    good = ds.point_status.values == 0
    assert np.array_equal(ds.root.values[good], np.sqrt(np.arange(8))[good])


class Drawing:
    """Takes points together, unless one of them is ill; what it draws belongs to the point's number."""

    lanes = 4

    def __call__(self, seed):
        return {"drawn": 0.0}

    def many(self, values, numbers):
        if 5 in values["seed"]:
            raise ValueError("ill")
        return {"drawn": np.array([np.random.default_rng(number).normal() for number in numbers])}


def test_points_beside_an_ill_one_draw_what_they_would_have_drawn():
    ds = sweep(Drawing(), {"seed": range(8)}, chunk=8)
    assert ds.point_status.values.tolist() == [0] * 5 + [1] + [0] * 2
    expected = [np.random.default_rng(number).normal() for number in range(8)]
    good = ds.point_status.values == 0
    assert ds.drawn.values[good].tolist() == np.array(expected)[good].tolist()
