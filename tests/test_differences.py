"""Comparing results: what counts as a difference, where it is, and what is only listed."""

import json

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from physnet import provenance, results, slabs
from physnet.cli import main
from physnet.differences import compare
from physnet.errors import PhysnetError
from physnet.variable import Variable

VOLTAGE = Variable("voltage", ("sample", "node"), "V", "node voltage")
PHASE = Variable("phase", ("sample",), "rad", "phase", period=2 * np.pi)
COUNT = Variable("number", ("sample",), "1", "how many")
TIME = Variable("epoch_wall_time", ("sample",), "s", "how long it took")
NODE = Variable("node", ("node",), long_name="node name")


def result(config=None, seed=0, **changes):
    """Two samples of a voltage on three nodes, and three more numbers of each."""
    arrays = {
        "voltage": np.arange(1.0, 7.0).reshape(2, 3),
        "phase": np.array([0.1, 3.0]),
        "number": np.array([2**60, 5]),
        "epoch_wall_time": np.array([1.0, 2.0]),
        "node": ["a", "b", "c"],
    } | changes
    pairs = [(v, arrays[v.name]) for v in (VOLTAGE, PHASE, COUNT, TIME)]
    attrs = provenance.collect(config or {"size": 3}, seed=seed, device="cpu", started="2026-01-01T00:00:00Z")
    return results.to_dataset(pairs, coords=[(NODE, arrays["node"])], title="A divider", attrs=attrs)


def changed(name, place, value):
    """The result with one number set."""
    ds = result()
    ds[name].values[place] = value
    return ds


def of(comparison, name):
    return next(variable for variable in comparison.variables if variable.name == name)


# Numbers.


def test_a_result_agrees_with_itself():
    found = compare(result(), result())
    assert found.agree and found.config == found.provenance == found.attributes == ()
    assert {v.name for v in found.variables} == {"voltage", "phase", "number", "epoch_wall_time", "node"}
    assert all(v.differing == 0 for v in found.variables)
    assert str(found).endswith("the numbers agree")


@pytest.mark.parametrize(
    ("name", "place", "value", "tolerances", "agrees"),
    [
        ("voltage", (0, 1), 2.0 + 1e-12, {}, True),
        ("voltage", (0, 1), 2.0 + 1e-9, {}, False),
        ("voltage", (0, 1), 2.0 + 1e-9, {"rtol": 1e-8}, True),
        ("voltage", (0, 1), 2.5, {"rtol": 0.0, "atol": 0.5}, True),
        ("voltage", (0, 1), 2.5, {"rtol": 0.0, "atol": 0.49}, False),
        ("voltage", (0, 1), np.nan, {"rtol": 1.0, "atol": 1e9}, False),
        ("voltage", (0, 1), np.inf, {"rtol": 1.0, "atol": 1e9}, False),
        ("phase", 0, 0.1 + 2 * np.pi, {"rtol": 1e-12}, True),
        ("phase", 1, 3.0 - 6 * np.pi, {"rtol": 1e-12}, True),
        ("phase", 0, 0.1 + np.pi, {}, False),
        ("number", 0, 2**60 + 1, {"rtol": 0.1, "atol": 10.0}, False),  # integers are exact, beyond floats too
        ("epoch_wall_time", 0, 99.0, {}, True),  # how long it took says nothing
    ],
)
def test_one_number_that_differs(name, place, value, tolerances, agrees):
    for a, b in ((changed(name, place, value), result()), (result(), changed(name, place, value))):
        assert compare(a, b, **tolerances).agree is agrees


def test_the_worst_place_is_named_by_its_labels():
    other = result()
    other.voltage[1, 2] += 0.5
    other.voltage[0, 1] += 0.25
    found = of(compare(result(), other), "voltage")
    assert (found.differing, found.compared, found.worst) == (2, 6, "sample 1, node c")
    assert (found.absolute, found.a, found.b) == (0.5, "6", "6.5")
    assert found.relative == pytest.approx(0.25 / 2.25)


def test_a_value_beyond_the_tolerance_is_worse_than_a_large_one_within():
    a, b = result(), result()
    a.voltage[1, 2], b.voltage[1, 2] = 1e9 + 1, 1e9
    b.voltage[0, 0] += 1e-3
    found = of(compare(a, b, rtol=1e-6), "voltage")
    assert (found.differing, found.worst, found.absolute) == (1, "sample 0, node a", 1.0)


def test_nan_agrees_with_nan_and_infinity_with_itself():
    odd = np.array([[np.nan, np.inf, -np.inf], [1, 2, 3]])
    assert compare(result(voltage=odd), result(voltage=odd)).agree
    found = compare(result(voltage=odd), result(voltage=-odd))
    assert of(found, "voltage").differing == 5 and of(found, "voltage").absolute == np.inf
    assert json.loads(found.to_json())["variables"][1]["absolute"] == "inf"


def test_text_differs_letter_by_letter():
    found = compare(result(), result(node=["a", "b", "ç"]))
    assert not found.agree
    assert (of(found, "node").differing, of(found, "node").worst, of(found, "node").b) == (1, "node c", "ç")


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (result().drop_vars("phase"), "only in A"),
        (result().assign(power=xr.DataArray(1.0, attrs={"units": "W", "long_name": "power"})), "only in B"),
        (result().isel(sample=[0]), "(sample 2, node 3) | (sample 1, node 3)"),
        (result().assign_coords(node=("node", [1, 2, 3])), "text | numbers"),
        (result().assign(voltage=result().voltage.assign_attrs(units="mV")), "unit V | mV"),
        (result().assign(phase=result().phase.assign_attrs(period=1.0)), "period 6.28"),
    ],
)
def test_structures_that_differ(other, says):
    found = compare(result(), other)
    assert not found.agree and says in str(found) and "DISAGREE" in str(found)


def test_the_order_of_axes_says_nothing():
    assert compare(result(), result().transpose("node", "sample")).agree
    assert not compare(result(), changed("voltage", (1, 2), 0.0).transpose("node", "sample")).agree


def test_precisions_are_compared_as_numbers():
    single = result().assign(voltage=result().voltage.astype(np.float32))
    assert compare(result(), single).agree
    assert compare(result(), result().assign(number=result().number.astype(float))).agree


_FLOATS = hnp.arrays(float, (4, 3), elements=st.floats(-1e3, 1e3) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0]))


@settings(max_examples=60, deadline=None)
@given(_FLOATS, _FLOATS, st.sampled_from([0.0, 1e-3, 0.5]), st.sampled_from([0.0, 1e-3, 10.0]))
def test_values_count_as_numpy_counts_them(x, y, rtol, atol):
    y = np.where(np.arange(12).reshape(4, 3) % 2, x * (1 + 1e-3), y)
    a, b = (xr.Dataset({"x": (("row", "column"), v)}) for v in (x, y))
    found = of(compare(a, b, rtol=rtol, atol=atol), "x")
    assert found.differing == np.count_nonzero(~np.isclose(x, y, rtol=rtol, atol=atol, equal_nan=True))


@pytest.mark.parametrize("size", [8, 40, 200, None])
def test_slabs_find_what_the_whole_does(tmp_path, monkeypatch, size):
    """A file, and dask arrays in uneven chunks, in slabs down to single numbers."""
    monkeypatch.setattr(slabs, "SLAB", size or slabs.SLAB)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 5, 3))
    y = x * (1 + 1e-6 * (rng.random(x.shape) > 0.7))
    y[4, 3, 2] += 1.0
    cube = Variable("cube", ("sample", "node", "step"), "V", "numbers")
    a, b = (results.to_dataset([(cube, v)], title="t") for v in (x, y))
    path = results.save(b, tmp_path / "b.nc")
    chunked = a.assign(cube=xr.Variable(cube.dims, da.from_array(x, chunks=((3, 4), (2, 2, 1), 3)), a.cube.attrs))
    with results.look(path) as lazy:
        for first in (a, chunked):
            found = of(compare(first, lazy), "cube")
            assert found.differing == np.count_nonzero(x != y)
            assert (found.worst, found.absolute) == ("sample 4, node 3, step 2", np.abs(x - y).max())


# What is only listed.


def test_settings_and_provenance_are_listed_and_do_not_count():
    a = result({"size": 3, "network": {"hidden": [4, 5], "bias": True}, "old": 1})
    b = result({"size": 4, "network": {"hidden": [4, 6], "bias": True}, "new": "µ"}, seed=7)
    b.attrs["physnet_versions"] = json.dumps(json.loads(a.physnet_versions) | {"jax": "0.0.1", "extra": "1"})
    b.attrs |= {"physnet_git": "abc", "date_created": "2027-01-01T00:00:00Z", "title": "Another"}
    found = compare(a, b)
    assert found.agree
    assert {d.name: (d.a, d.b) for d in found.config} == {
        "size": ("3", "4"),
        "network.hidden": ("[4, 5]", "[4, 6]"),
        "old": ("1", "(absent)"),
        "new": ("(absent)", "µ"),
    }
    listed = {d.name: d.b for d in found.provenance}
    assert listed.pop("version of jax") == "0.0.1" and listed.pop("version of extra") == "1"
    assert listed.keys() == {"seed", "git", "date_created"}
    assert [d.name for d in found.attributes] == ["title"]


def test_a_configuration_that_is_no_json_is_compared_as_text():
    a, b = result(), result()
    a.attrs["physnet_config"] = "{broken"
    assert next(d.a for d in compare(a, b).config) == "{broken"


@pytest.mark.parametrize("tolerance", [{"rtol": -1.0}, {"atol": np.nan}, {"rtol": np.inf}])
def test_tolerances_that_are_none(tolerance):
    with pytest.raises(PhysnetError, match="a tolerance is a number >= 0"):
        compare(result(), result(), **tolerance)


# The command.


def test_the_command_says_by_its_status_whether_numbers_agree(tmp_path, capsys):
    a = str(results.save(result(), tmp_path / "a.nc"))
    b = str(results.save(changed("voltage", (0, 1), 2.0 + 1e-6), tmp_path / "b.nc"))
    assert main(["compare", a, a]) == 0
    assert main(["compare", a, b]) == 1
    assert "sample 0, node b: 2 | 2.000001" in capsys.readouterr().out
    assert main(["compare", a, b, "--rtol", "1e-5", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["agree"] is True and plain["names"] == [a, b] and plain["rtol"] == 1e-5
    assert main(["compare", a, b, "--atol", "1e-5"]) == 0


def test_the_command_refuses_what_it_cannot_compare(tmp_path, capsys):
    a = results.save(result(), tmp_path / "a.nc")
    assert main(["compare", str(a)]) == 2
    assert main(["compare", str(a), str(a), "--rtol", "-1"]) == 2
    assert "'-1' is no number >= 0" in capsys.readouterr().err
    assert main(["compare", str(a), str(tmp_path / "b.nc")]) == 1
    assert "b.nc does not exist. Did you mean" in capsys.readouterr().err
    data = bytearray(a.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.nc").write_bytes(data)
    assert main(["compare", str(a), str(tmp_path / "damaged.nc")]) == 1
    assert "damaged.nc is truncated or damaged" in capsys.readouterr().err
