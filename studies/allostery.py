"""A network of resistors that answers at a distance: a voltage here makes the wanted voltage over there.

Allostery, as in a protein that changes at one site where something binds at another: a voltage across two neighbouring
nodes on the left edge of a square grid is to make a wanted share of itself appear across two nodes on the right edge,
where a fresh grid shows next to nothing. The conductances learn by Equilibrium Propagation (centred) or by coupled
learning, each edge from its own voltages. Or edges are removed one after another, each time the one whose loss brings
the response nearest to what is wanted, found by trying every one: so Rocks, Pashine, Bischofberger, Goodrich, Liu &
Nagel (PNAS 114, 2520, 2017) made elastic networks allosteric (m). A network of resistors is the scalar case; flow
networks were tuned alike by Rocks et al. (PNAS 116, 2506, 2019) (m).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

RULES = ("ep", "coupled", "removal")


@dataclass(frozen=True)
class Config:
    """Options of `physnet run allostery`."""

    rules: tuple[str, ...] = RULES
    """Ways to tune: ep (Equilibrium Propagation, centred), coupled (coupled learning), removal (of edges)."""
    rows: int = 6
    """Rows of nodes; source and target are the two nodes in the middle of the first and of the last column [1]."""
    columns: int = 8
    """Columns of nodes: the source and the target are this many less one apart [1]."""
    response: float = 0.5
    """Wanted voltage across the target, in units of the voltage across the source [1]."""
    tolerance: float = 0.01
    """Relative error of the response at which it counts as reached, and at which no more edges are removed [1]."""
    epochs: int = 300
    """Steps of learning, or most edges removed [1]."""
    learning_rate: float = 0.02
    """Size of a step of each conductance, about (Adam), in units of `highest` [1]."""
    beta: float = 0.1
    """Size of the nudge of ep [units of the nudging scale: at -1 the output comes loose]."""
    eta: float = 0.1
    """Share of the way to the target at which coupled learning holds the output [1]."""
    seeds: tuple[int, ...] = tuple(range(10))
    """Each draws its own first conductances, from half of `highest` to `highest` [1]."""
    voltage: float = 1.0
    """Voltage across the source [V]."""
    lowest: float = 1e-5
    """Smallest conductance that learning leaves to an edge [S]."""
    highest: float = 1e-3
    """Largest conductance of an edge [S]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        small = replace(self, rules=self.rules[:1], rows=4, columns=min(self.columns, 5), seeds=self.seeds[:2])
        return replace(small, epochs=min(self.epochs, 150))

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        unknown = set(self.rules) - set(RULES)
        if unknown or not self.rules or len(set(self.rules)) < len(self.rules):
            raise PhysnetError(f"allostery: rules is {self.rules}; name one or more, once each, of {', '.join(RULES)}.")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise PhysnetError(f"allostery: seeds is {self.seeds}; give one or more different ones, each 0 or more.")
        if self.rows < 3 or self.columns < 2:
            raise PhysnetError(
                f"allostery: {self.rows} rows and {self.columns} columns; give 3 rows and 2 columns or more."
            )
        if not 0 < self.response < 1:
            raise PhysnetError(
                f"allostery: response is {self.response}; a share between 0 and 1: no network of resistors shows more "
                "than its source."
            )
        units = {"epochs": "", "tolerance": "", "learning_rate": "", "voltage": " V", "lowest": " S"}
        for name, unit in units.items():
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(f"allostery: {name} is {value}{unit}; it must be finite and above 0.")
        if not self.lowest < 0.5 * self.highest < np.inf:
            raise PhysnetError(
                f"allostery: conductances from {self.lowest} S to {self.highest} S; give lowest < highest / 2."
            )
        if not 0 < self.beta < 1:
            raise PhysnetError(f"allostery: beta is {self.beta} of the nudging scale; give 0 < beta < 1.")
        if not 0 < self.eta <= 1:
            raise PhysnetError(f"allostery: eta is {self.eta}; give 0 < eta <= 1, the share of the way to the target.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Tunes in one way after another; `out` is whole after each. See physnet.discovery."""
    config.check()
    from studies import _allostery_runs

    return _allostery_runs.run(config, out, resume, progress)


def summary(ds: "xr.Dataset") -> str:
    """How near each way of tuning comes to the wanted response, after how many steps, and how well states settled."""
    from studies._allostery_figures import described

    return "\n".join([ds.attrs["title"], ds.attrs["summary"], "", *described(ds)])


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """The network as drawn and as tuned, errors by epoch, and the response along the way. From the dataset alone."""
    from studies import _allostery_figures

    return _allostery_figures.all_figures(ds)
