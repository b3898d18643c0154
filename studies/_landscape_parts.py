"""What the systems of `studies.energy_landscape` share: lists of equilibria of several searches, parts of one file."""

import numpy as np

from physnet.variable import Variable

STORED = 0.9  # overlap from which on a minimum of a memory counts as a pattern
STUDY = {"physnet_study": "energy-landscape"}
_NOWHERE = "share of the starts that ended in no stable state"


def beside(ds, pairs):
    """The dataset with further (Variable, array) pairs."""
    added = {v.name: (v.dims, np.asarray(a), {"units": v.units, "long_name": v.long_name}) for v, a in pairs}
    return ds.assign(added)


def prefixed(ds, prefix: str, *dims: str):
    """What stands on one of these dims, every variable but the coordinates of dims called `prefix_name`."""
    kept = ds[[name for name in ds.data_vars if set(ds[name].dims) & set(dims)]]
    kept = kept.drop_vars([name for name in kept.coords if not set(kept[name].dims) & set(dims)])
    return kept.rename({name: f"{prefix}_{name}" for name in kept.variables if name not in kept.dims})


def part(ds, prefix: str):
    """What `prefixed` made of a dataset, under its own names again."""
    start = f"{prefix}_"
    names = [str(name) for name in ds.variables if str(name).startswith(start)]
    return ds[names].rename({name: name.removeprefix(start) for name in names})


def shares(equilibria, basins):
    """(Variable, array) pairs on the equilibria of a landscape: the share of the starts that each attracts.

    Unstable equilibria attract none. What ended in stable states that the landscape lacks is `unlisted_share`.
    """
    stable, one = np.flatnonzero(equilibria.index == 0), ("equilibrium",)
    pairs = []
    for name, values, what in (
        ("share", basins.share, "share of the starts that ended here"),
        ("share_low", basins.low, "lower end of the confidence interval of the share"),
        ("share_high", basins.high, "upper end of the confidence interval of the share"),
    ):
        found = np.zeros(len(equilibria))
        found[stable] = values[: len(stable)]
        pairs.append((Variable(name, one, "1", what, (0, 1)), found))
    unlisted = float(basins.share[len(stable) :].sum())
    what = "share of the starts that ended in stable states besides these"
    pairs.append((Variable("unlisted_share", (), "1", what, (0, 1)), unlisted))
    return [*pairs, (Variable("unsettled_share", (), "1", _NOWHERE), _nowhere(basins))]


def listed(found, further=()):
    """(Variable, array) pairs of the stable states of several searches (`Basins`), one below another.

    `search_number` says which search each equilibrium is of. further: (Variable, [array of each search]) pairs to add,
    on the same dim.
    """
    from physnet.landscape.datasets import curvature_units

    one, each = ("equilibrium",), ("search",)
    chart = found[0].equilibria.chart

    def all_of(get):
        return np.concatenate([np.asarray(get(basins)) for basins in found])

    (state,) = chart.system.variables
    energy = Variable("energy", one, chart.system.energy_units, "energy of the equilibrium")
    residual = "largest residual relative to the terms that cancel in it"
    return [
        (Variable("search_number", one, "1", "search that found it"), np.repeat(np.arange(len(found)), _sizes(found))),
        (
            Variable(state.name, (*one, *state.dims), state.units, state.long_name),
            all_of(lambda b: b.equilibria.vector),
        ),
        (energy, all_of(lambda b: b.equilibria.energy)),
        (Variable("residual", one, "1", residual), all_of(lambda b: b.equilibria.residual)),
        (Variable("converged", one, "1", "whether it met its tolerance"), all_of(lambda b: b.equilibria.converged)),
        (
            Variable("lowest_curvature", one, curvature_units(chart), "curvature along the softest mode"),
            all_of(lambda b: b.equilibria.curvature[:, 0]),
        ),
        (Variable("share", one, "1", "share of the starts of its search"), all_of(lambda b: b.share)),
        (Variable("share_low", one, "1", "lower end of its confidence interval"), all_of(lambda b: b.low)),
        (Variable("share_high", one, "1", "upper end of its confidence interval"), all_of(lambda b: b.high)),
        (Variable("unsettled_share", each, "1", _NOWHERE), [_nowhere(b) for b in found]),
        *((variable, np.concatenate(arrays)) for variable, arrays in further),
    ]


def _nowhere(basins) -> float:
    return float(np.mean(basins.equilibria.found < 0))


def _sizes(found):
    return [len(basins.equilibria) for basins in found]


def titled(config, title: str, summary: str, references: str = "") -> dict:
    """The attributes of every dataset of the study."""
    return STUDY | {"title": title, "summary": summary, "references": references, "config": config, "seed": config.seed}
