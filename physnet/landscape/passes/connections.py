"""What separates minima: the saddles between them, what each connects, and how high the way over it is."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.errors import PhysnetError, require_instance
from physnet.landscape.chart import Chart
from physnet.landscape.datasets import equilibria_variables, landscape_dataset
from physnet.landscape.descent import followed
from physnet.landscape.equilibria import Equilibria
from physnet.landscape.following import EigenvectorFollowing
from physnet.landscape.lanes import LANES
from physnet.landscape.passes.tree import Disconnectivity, of_equilibria
from physnet.landscape.search import collect
from physnet.relaxers.base import Relaxer
from physnet.variable import Variable

_OFFSETS = (1e-2, 1e-3, 1e-4, 1e-5)  # of the span of states: how far off a saddle its two sides are looked for
_QUADRATIC = 0.2  # the energy must fall by what the curvature says, to this part


@dataclass(frozen=True)
class Landscape:
    """Minima, the saddles between them, and what each saddle connects.

    equilibria: everything found, ascending in energy (with a nudge F = E + beta C); `hits` count how often each was
    reached by whatever way, and `found` is empty. saddle: (connection,), the number of each saddle of index 1. end:
    (connection, 2), the minima that its two sides lead down to, as numbers of equilibria, first the side against its
    unstable mode and then that along it; -1 where that is not known. height: (connection, 2), the energy of the saddle
    above each of these ends, in the system's unit, NaN where it is not known; where a whole turn changes the energy, as
    detuned oscillators' does, this alone says what an escape costs. fresh: (round,), how many equilibria each round of
    the search found that were not known; empty where there was no search. A last 0 says that this search finds no more;
    that there are no others is never proven.
    """

    equilibria: Equilibria
    saddle: np.ndarray
    end: np.ndarray
    height: np.ndarray
    fresh: tuple[int, ...] = ()

    @property
    def rounds(self) -> int:
        """Number of rounds of the search."""
        return len(self.fresh)

    @property
    def minima(self) -> np.ndarray:
        """(minimum,), numbers of the equilibria of index 0, ascending in energy."""
        return np.flatnonzero(self.equilibria.index == 0)

    @property
    def tree(self) -> Disconnectivity:
        """How the minima join as the energy rises. Raises PhysnetError where a whole turn changes the energy."""
        return of_equilibria(self.equilibria.energy, self.equilibria.index, self.saddle, self.end, self.height)

    def barriers(self) -> np.ndarray:
        """(minimum, minimum), the energy needed to go from each minimum (first axis) to each other, over the lowest of
        all ways known, in the system's unit; infinite where none is, 0 on the diagonal. In the order of `minima`."""
        passes = self.tree.passes()
        return passes - self.equilibria.energy[self.minima][:, None]

    def barrier(self, start: int, end: int) -> float:
        """The energy needed to go from one minimum to another by the lowest of all known ways.

        start, end: numbers of equilibria of index 0. The highest saddle on that way less the energy of the start, in
        the system's unit; infinite where no way is known. Raises PhysnetError for a number that is no minimum.
        """
        place = {int(number): k for k, number in enumerate(self.minima)}
        for number in (start, end):
            if number not in place:
                raise PhysnetError(f"barrier: equilibrium {number} is no minimum; the minima are {sorted(place)}.")
        return float(self.barriers()[place[start], place[end]])

    def __str__(self):
        unit = self.equilibria.chart.system.energy_units
        name, table = type(self.equilibria.chart.system).__name__, str(self.equilibria).split("\n", 1)[1]
        lines = [f"{len(self.minima)} minima and {len(self.saddle)} saddles of {name}. {self.searched}".rstrip(), table]
        for saddle, (a, b) in list(zip(self.saddle, self.end, strict=True))[:20]:
            lines.append(f"{a:>4} - [{saddle}] - {b:<4} at {self.equilibria.energy[saddle]:.10g} {unit}")
        return "\n".join(lines + (["..."] if len(self.saddle) > 20 else []))

    @property
    def searched(self) -> str:
        """How far the search went, in words; "" where there was none."""
        if not self.fresh:
            return ""
        said = "nothing new" if not self.fresh[-1] else f"{self.fresh[-1]} equilibria that were not known"
        return f"{self.rounds} rounds of search, the last of which found {said}; that nothing is missing is not proven."

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset of equilibria and connections, which `disconnectivity` makes a tree of.

        attributes: as for `physnet.to_dataset`.
        """
        found, one = self.equilibria, ("connection",)
        units = found.chart.system.energy_units
        variables = [
            *equilibria_variables(found),
            (Variable("connection_saddle", one, "1", "equilibrium that is the saddle of each connection"), self.saddle),
            (
                Variable("connection_end", (*one, "end"), "1", "equilibria that its two sides lead to, -1 if unknown"),
                self.end,
            ),
            (Variable("barrier", (*one, "end"), units, "energy of the saddle above each end"), self.height),
        ]
        if self.searched:
            attributes = {"summary": self.searched} | attributes
        title = f"Minima of {type(found.chart.system).__name__} and the saddles between them"
        return landscape_dataset(found.chart, variables, default_title=title, **attributes)


def connect(
    minima: Equilibria, saddles: Equilibria, *, symmetries=(), same: float | None = None, relaxer: Relaxer | None = None
) -> Landscape:
    """Follows the system's own dynamics from both sides of each saddle of index 1 and says where they end.

    minima, saddles: of one system and inputs, as `find_equilibria` returns them, in any order and mixture. Each saddle
    is left along its unstable mode by a step so small that the energy falls as its curvature says, to a fifth; where no
    step does, the end is unknown (-1). Minima that were not known are added. symmetries, same: as for
    `find_equilibria`; what symmetries make equal is one equilibrium here too. relaxer: what follows the dynamics
    (`followed`). Raises PhysnetError for a system without a smooth energy, or two systems.
    """
    for found, name in ((minima, "minima"), (saddles, "saddles")):
        require_instance(found, Equilibria, f"connect: {name}")
    chart = minima.chart
    chart.require_energy("connect", "Without one no saddle is a pass.")
    if saddles.chart.size != chart.size or saddles.chart.structure != chart.structure:
        raise PhysnetError("connect: minima and saddles belong to different systems; find both in the same one.")
    vectors = np.concatenate([minima.vector, saddles.vector])
    hits = np.concatenate([minima.hits, saddles.hits])
    size, modes = max(minima.size, saddles.size), minima.curvature.shape[1]
    return connected(chart, vectors, hits, size, symmetries, same, modes, relaxer)


def connected(chart, vectors, hits, size, symmetries=(), same=None, modes=6, relaxer=None) -> Landscape:
    """The landscape of steady states (equilibrium, coordinate) that came `hits` (equilibrium,) times each.

    size: as of `Equilibria`.
    """
    telling = {"size": size, "symmetries": symmetries, "modes": modes, "same": same}
    everything = _counted(chart, vectors, hits, telling)
    passes = np.flatnonzero(everything.index == 1)
    ends, reached, height = _sides(chart, everything, passes, relaxer)
    flat = ends.reshape(-1, chart.size)[reached.ravel()]
    everything = _counted(
        chart,
        np.concatenate([everything.vector, flat]),
        np.concatenate([everything.hits, np.ones(len(flat), int)]),
        telling,
    )
    numbers = everything.found
    end = np.full(reached.shape, -1)
    end[reached] = numbers[len(numbers) - len(flat) :]
    end = np.where((end >= 0) & (everything.index[end] == 0), end, -1)
    height = np.where(end >= 0, height, np.nan)
    saddle = numbers[passes]
    order = np.argsort(saddle, kind="stable")
    return Landscape(replace(everything, found=np.zeros(0, int)), saddle[order], end[order], height[order])


def _counted(chart, vectors, hits, telling) -> Equilibria:
    """`collect`, with hits counted as often as each vector came."""
    good = np.isfinite(vectors).all(axis=1)
    found = collect(chart, vectors, good, EigenvectorFollowing(), **telling)  # certified to its tolerance
    known = found.found >= 0
    counted = np.bincount(found.found[known], weights=hits[known], minlength=len(found)).astype(int)
    return replace(found, hits=counted)


def _sides(chart, everything: Equilibria, passes, relaxer):
    """(ends (saddle, side, coordinate), reached (saddle, side), how far down) of the ways off each saddle."""
    if not len(passes):
        return np.zeros((0, 2, chart.size)), np.zeros((0, 2), bool), np.zeros((0, 2))
    vectors, modes = everything.vector[passes], everything.mode[passes, 0]
    offsets = np.array(_OFFSETS) * everything.size / np.abs(modes).max(axis=1, keepdims=True)
    sides = offsets[..., None] * np.array([-1, 1])  # (saddle, offset, side)
    trials = vectors[:, None, None] + sides[..., None] * modes[:, None, None]
    top = energies(chart, vectors)
    fall = energies(chart, trials.reshape(-1, chart.size)).reshape(sides.shape) - top[:, None, None]
    foretold = 0.5 * everything.curvature[passes, 0][:, None, None] * sides**2
    good = np.all(np.abs(fall - foretold) <= _QUADRATIC * np.abs(foretold), axis=2)  # both sides alike
    chosen = np.argmax(good, axis=1)
    starts = trials[np.arange(len(passes)), chosen]
    ends, converged = followed(chart, starts.reshape(-1, chart.size), chunk=LANES, relaxer=relaxer)
    reached = converged.reshape(-1, 2) & good.any(axis=1)[:, None]
    height = top[:, None] - energies(chart, ends).reshape(-1, 2)
    return ends.reshape(starts.shape), reached, height


@eqx.filter_jit
def _block_energies(chart: Chart, vectors):
    return jax.vmap(chart.energy)(vectors)


def energies(chart: Chart, vectors: np.ndarray) -> np.ndarray:
    """(vector,), F at each of the vectors (vector, coordinate); one program for any number of them."""
    found = [np.zeros(0, chart.dtype)]
    for first in range(0, len(vectors), LANES):
        block = vectors[first : first + LANES]
        filled = np.concatenate([block, np.repeat(block[-1:], LANES - len(block), axis=0)])
        found.append(np.asarray(_block_energies(chart, jnp.asarray(filled, chart.dtype)))[: len(block)])
    return np.concatenate(found)
