"""Which points a sweep has: products, draws, and what the command line's texts mean."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from physnet.errors import PhysnetError, UsageError
from physnet.sweeps import Design, grid, random, sobol, zipped
from physnet.sweeps.design import as_design
from physnet.sweeps.texts import design


@dataclass(frozen=True)
class Config:
    """What is swept."""

    beta: float = 0.1
    """Nudging strength [S]."""
    seed: int = 0
    """Seed [1]."""
    hidden: tuple[int, ...] = (8,)
    """Hidden units [1]."""
    mode: str = "a"
    """Mode."""
    limit: float | None = None
    """Limit [V]."""


def test_a_grid_has_every_combination_the_last_field_fastest():
    points = grid(beta=[0.1, 0.2, 0.3], seed=range(2))
    assert (points.dims, points.shape, points.size) == (("beta", "seed"), (3, 2), 6)
    assert points.values(range(6)) == {"beta": [0.1, 0.1, 0.2, 0.2, 0.3, 0.3], "seed": [0, 1, 0, 1, 0, 1]}
    assert points.values([4]) == {"beta": [0.3], "seed": [0]}


def test_products_and_fields_that_move_together():
    points = zipped(hidden=[(8,), (16, 4)], beta=[1.0, 2.0]) * grid(seed=[5, 6])
    assert (points.dims, points.shape) == (("hidden", "seed"), (2, 2))
    assert points.values([3]) == {"hidden": [(16, 4)], "beta": [2.0], "seed": [6]}


def test_a_plural_field_has_a_singular_dim():
    assert grid(epochs=[1, 2]).dims == ("epoch",)
    assert grid(bias=[1, 2]).dims == ("bias",)


def test_designs_survive_json():
    points = zipped(hidden=[(8,), (16, 4)], beta=[1.0, 2.0]) * sobol(4, {"limit": (0.0, 1.0)}, seed=3)
    again = Design.from_plain(json.loads(json.dumps(points.to_plain())))
    assert again == points


def test_sobol_points_fill_the_box_evenly():
    points = sobol(64, {"beta": (1e-3, 1.0, "log"), "limit": (2.0, 4.0)}, seed=1)
    values = points.values(range(64))
    assert points.dims == ("draw",)
    # One point in each of 64 equal intervals of either field: what makes the sequence one of Sobol's.
    assert sorted(np.floor(64 * (np.array(values["limit"]) - 2) / 2).astype(int)) == list(range(64))
    assert sorted(np.floor(64 * (np.log10(values["beta"]) + 3) / 3).astype(int)) == list(range(64))


def test_random_points_are_those_of_their_seed():
    first, again, other = (random(50, {"beta": (0.0, 2.0), "seed": (3, 6)}, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert set(first.values(range(50))["seed"]) == {3, 4, 5}  # whole numbers where both ends are


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grid(beta=[1]) * grid(beta=[2]), "'beta' is swept twice"),
        (lambda: sobol(4, {"beta": (0, 1)}) * random(4, {"limit": (0.0, 1.0)}), "two sets of draws"),
        (lambda: zipped(beta=[1, 2], seed=[1]), "one length"),
        (lambda: zipped(), "no fields given"),
        (lambda: sobol(100, {"beta": (0, 1)}), "powers of two, such as 64 or 128"),
        (lambda: sobol(4, {"beta": (0.0, 1.0, "log")}), "beta is drawn from"),
        (lambda: sobol(4, {"beta": (1.0, 0.0)}), "beta is drawn from"),
        (lambda: sobol(4, {}), "no fields given"),
        (lambda: random(0, {"beta": (0.0, 1.0)}), "count is 0"),
        (lambda: grid(beta=[]), "beta has no values"),
        (lambda: grid(beta="abc"), "give a sequence"),
        (lambda: grid(beta=0.5), "give a sequence"),
        (lambda: as_design({}), "no field to sweep"),
        (lambda: as_design([1, 2]), "over is a list"),
    ],
)
def test_designs_that_make_no_sense(make, message):
    with pytest.raises(PhysnetError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("beta=0.01:1:log3", [0.01, 0.1, 1.0]),
        ("beta=0:1:lin3", [0.0, 0.5, 1.0]),
        ("beta=0:0.3:0.1", [0.0, 0.1, 0.2, 0.3]),
        ("beta=1,2e-3", [1.0, 2e-3]),
        ("seed=0:4", [0, 1, 2, 3]),
        ("seed=0:10:4", [0, 4, 8]),
        ("seed=8:0:-4", [8, 4]),
        ("seed=1:100:log3", [1, 10, 100]),
        ("seed=7", [7]),
        ("hidden=8,16 4", [(8,), (16, 4)]),
        ("mode=a,b:c", ["a", "b:c"]),
        ("limit=None,2", [None, 2.0]),
    ],
)
def test_values_from_the_command_line(text, values):
    points = design(Config, [text])
    (found,) = points.values(range(points.size)).values()
    assert found == pytest.approx(values) if isinstance(values[0], float) else found == values


def test_axes_from_the_command_line_keep_their_order():
    points = design(Config, ["beta=0:1:sobol4", "seed=0:3", "limit=1:10:logsobol4"], ["hidden=8,9", "mode=x,y"], 5)
    assert (points.dims, points.shape) == (("draw", "seed", "hidden"), (4, 3, 2))
    assert points.axes[0] == sobol(4, {"beta": (0.0, 1.0), "limit": (1.0, 10.0, "log")}, seed=5).axes[0]
    assert set(design(Config, ["seed=2:5:random60"]).values(range(60))["seed"]) == {2, 3, 4}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["beta"], "not of the form"),
        (["beta="], "not of the form"),
        (["betta=1"], "no option 'betta'. Did you mean 'beta'"),
        (["beta=0:1"], "how many values"),
        (["beta=1:0:0.1"], "no values"),
        (["seed=5:5"], "no values"),
        (["seed=0:3:0"], "no values"),
        (["seed=0.5"], "no int"),
        (["seed=0:2:lin9"], "only 3 different whole numbers"),
        (["beta=0:1:log5"], "above 0"),
        (["beta=x:y:log5"], "no float"),
        (["beta=0:1:sobol4", "limit=0:1:random4"], "drawn together"),
        (["beta=0:1:sobol3"], "powers of two"),
    ],
)
def test_texts_that_cannot_be_read(texts, message):
    with pytest.raises(PhysnetError, match=message):
        design(Config, texts)


def test_fields_that_move_together_are_not_drawn():
    with pytest.raises(UsageError, match="take values or ranges, no draws"):
        design(Config, [], ["beta=0:1:sobol4"])
