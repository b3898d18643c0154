"""Which minima become one as the energy rises: the disconnectivity graph of a landscape. NumPy and xarray only."""

from dataclasses import dataclass

import numpy as np

from physnet.errors import PhysnetError


@dataclass(frozen=True)
class Disconnectivity:
    """The tree of minima: its leaves are minima, and two branches join at the lowest saddle between them.

    A system with energy to spare up to E can go between all minima that have joined below E, and no others (Becker &
    Karplus 1997, doi:10.1063/1.473299 (m)). A node is a number: 0 to minima - 1 are minima, minima + k is what
    merge k made.

    energy: (minimum,), in the system's unit, ascending as in the dataset. equilibrium: (minimum,), the number of each
    in the dataset. height: (merge,), energy of the saddle, in the system's unit, ascending. saddle: (merge,), the
    number of that equilibrium in the dataset (-1 where it was not said). left, right: (merge,), the numbers of the
    nodes that it joins; the branch with the lower minimum is on the left.
    """

    energy: np.ndarray
    equilibrium: np.ndarray
    height: np.ndarray
    saddle: np.ndarray
    left: np.ndarray
    right: np.ndarray

    @property
    def roots(self) -> list[int]:
        """The nodes that nothing joins, one for each set of connected minima, that of the lowest minimum first."""
        joined = {*self.left.tolist(), *self.right.tolist()}
        nodes = range(len(self.energy) + len(self.height))
        return sorted((n for n in nodes if n not in joined), key=lambda n: self.energy[self.minima(n)].min())

    def minima(self, node: int) -> list[int]:
        """The minima below `node` (its number), from left to right: an order in which no two branches cross."""
        found, waiting = [], [int(node)]
        while waiting:
            node = waiting.pop()
            if node < len(self.energy):
                found.append(node)
            else:
                merge = node - len(self.energy)
                waiting += [int(self.right[merge]), int(self.left[merge])]
        return found

    def passes(self) -> np.ndarray:
        """(minimum, minimum), the energy that a way from one to the other must rise to: the highest saddle on the best
        way, in the system's unit. Infinite where no way is known; a minimum's own energy on the diagonal."""
        count = len(self.energy)
        lowest = np.full((count, count), np.inf)
        lowest[np.diag_indices(count)] = self.energy
        for height, left, right in zip(self.height, self.left, self.right, strict=True):
            a, b = self.minima(left), self.minima(right)
            lowest[np.ix_(a, b)] = height
            lowest[np.ix_(b, a)] = height
        return lowest


def merges(energy, saddle_energy, end, *, equilibrium=None, saddle=None) -> Disconnectivity:
    """Joins minima in ascending order of the saddles between them, each pair of sets once (Kruskal's algorithm).

    energy: (minimum,). saddle_energy: (connection,). end: (connection, 2), the minima that the two sides of each saddle
    lead to, numbers into `energy`; a connection with an end of -1, or with twice the same, joins nothing.
    equilibrium: (minimum,) and saddle: (connection,), what these are called elsewhere; 0, 1, ... and -1 by default.
    Raises PhysnetError for an end that is no minimum.
    """
    energy, saddle_energy = np.asarray(energy, float), np.asarray(saddle_energy, float)
    end = np.asarray(end, int).reshape(-1, 2)
    count = len(energy)
    if end.size and not (end.min() >= -1 and end.max() < count):
        raise PhysnetError(f"merges: ends run from {end.min()} to {end.max()}; there are minima 0 to {count - 1}.")
    saddle = np.full(len(end), -1) if saddle is None else np.asarray(saddle)
    top = list(range(count))  # the node that each minimum belongs to
    scale = np.abs(energy).max(initial=0) or 1.0
    rank = np.empty(count, int)  # by energy; where energies agree to rounding, as they were given
    rank[np.lexsort([np.arange(count), np.round(energy / scale, 9)])] = np.arange(count)
    lowest = dict(enumerate(rank.tolist()))
    joined = []
    for k in np.argsort(saddle_energy, kind="stable"):
        a, b = (top[i] if i >= 0 else -1 for i in end[k])
        if -1 in (a, b) or a == b:
            continue
        left, right = sorted((a, b), key=lowest.get)
        node = count + len(joined)
        lowest[node] = lowest[left]
        top = [node if t in (a, b) else t for t in top]
        joined.append((saddle_energy[k], saddle[k], left, right))
    height, through, left, right = (np.array(column) for column in zip(*joined)) if joined else (np.zeros(0),) * 4
    numbers = np.arange(count) if equilibrium is None else np.asarray(equilibrium)
    return Disconnectivity(energy, numbers, height, through.astype(int), left.astype(int), right.astype(int))


def disconnectivity(ds) -> Disconnectivity:
    """The tree of the dataset of a `Landscape`.

    ds: that dataset, opened or built. Raises PhysnetError for one without connections.
    """
    names = ("energy", "index", "connection_saddle", "connection_end", "barrier")
    missing = [name for name in names if name not in ds]
    if missing:
        raise PhysnetError(
            f"disconnectivity: the dataset has no {', '.join(missing)}; it needs the one of a landscape, "
            "explore(...).to_dataset()."
        )
    return of_equilibria(*(ds[name].values for name in names))


def of_equilibria(energy, index, saddle, end, height) -> Disconnectivity:
    """The tree of equilibria (equilibrium,), of which those with index 0 are its leaves.

    saddle: (connection,) and end: (connection, 2) count equilibria; an end that is no minimum joins nothing. height:
    (connection, 2), energy of the saddle above each end. Raises PhysnetError where it is not the difference of their
    energies, which a whole turn of some phase must then have changed: there is no tree then.
    """
    energy, saddle, end = np.asarray(energy), np.asarray(saddle, int), np.asarray(end, int)
    error = np.abs(energy[saddle][:, None] - energy[end] - height)[end >= 0]
    if error.max(initial=0) > 1e-6 * np.abs(energy).max(initial=0):
        raise PhysnetError(
            f"disconnectivity: the energies of a saddle and of its end differ by {error.max():.3g} from what the way "
            "between them rises: the energy changes in a whole turn (detuned oscillators), so that minima have no "
            "energies to compare. Read the height of each connection instead."
        )
    numbers = np.flatnonzero(np.asarray(index) == 0)
    place = np.full(len(energy) + 1, -1)  # the last stands for an end of -1
    place[numbers] = np.arange(len(numbers))
    return merges(energy[numbers], energy[saddle], place[end], equilibrium=numbers, saddle=saddle)
