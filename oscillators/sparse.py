"""Sparse couplings: few partners to an oscillator, on any graph; rings and chains ready made."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import sparse

from oscillators import checks
from oscillators.coupling import Coupling, described, like, ratio, rotate
from physnet.errors import PhysnetError
from physnet.variable import Variable


class Sparse(Coupling):
    """Few couplings among many oscillators: entry k lets oscillator columns[k] act on rows[k]. O(entries).

    rows, columns: (entry,), whole numbers from 0. weights: (entry,), W/2pi in Hz. phases: (entry,), b, rad, or None.
    size: number of oscillators, kept as `number` (whole). delay: s. edge: (entry,), which of the weights each entry
    has. reciprocal: whether every weight stands for both directions. `Sparse.undirected` is for couplings that act both
    ways.
    Raises PhysnetError for numbers out of range, an oscillator coupled to itself, pairs given twice, wrong lengths.
    """

    rows: Int[Array, " entry"]
    columns: Int[Array, " entry"]
    edge: Int[Array, " entry"]  # the place of each entry's weight
    weights: Float[Array, " edge"]
    phases: Float[Array, " edge"] | None
    reciprocal: bool = eqx.field(static=True)
    number: int = eqx.field(static=True)
    delay: float = eqx.field(static=True)

    def __init__(self, rows, columns, weights, phases=None, *, size, delay=0.0, _both_ways=False):
        size = checks.whole(size, "Sparse: size")
        rows, columns = checks.indices(rows, "Sparse: rows", size), checks.indices(columns, "Sparse: columns", size)
        if rows.shape != columns.shape:
            raise PhysnetError(f"Sparse: {rows.size} rows and {columns.size} columns; every entry has one of each.")
        _check_pairs(rows, columns, size, _both_ways)
        self.weights = checks.floats(weights, "Sparse: weights", "Hz", shape=rows.shape)
        self.phases = like(phases, self.weights, "Sparse: phases")
        edge = np.arange(rows.size, dtype=np.int32)
        if _both_ways:
            rows, columns, edge = np.append(rows, columns), np.append(columns, rows), np.append(edge, edge)
        order = np.lexsort((columns, rows))
        self.rows, self.columns, self.edge = (jnp.asarray(part[order]) for part in (rows, columns, edge))
        self.reciprocal = _both_ways
        self.number = size
        self.delay = checks.seconds(delay, "Sparse: delay")

    @classmethod
    def undirected(cls, edges, weights, size, phases=None, delay=0.0) -> "Sparse":
        """Couplings that act alike in both directions, one weight (and one phase) to an edge.

        edges: (edge, 2), the numbers of the two oscillators, from 0. weights: (edge,) or one number for all, Hz.
        phases: likewise, rad.
        """
        try:
            pairs = np.asarray(edges).reshape(-1, 2) if np.size(edges) == 0 else np.asarray(edges)
        except ValueError:
            pairs = np.zeros(0)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise PhysnetError(f"Sparse: edges have shape {pairs.shape}; give pairs of oscillators, (edge, 2).")
        weights = _for_each(weights, "Sparse: weights", "Hz", len(pairs))
        phases = None if phases is None else _for_each(phases, "Sparse: phases", "rad", len(pairs))
        return cls(pairs[:, 0], pairs[:, 1], weights, phases, size=size, delay=delay, _both_ways=True)

    @property
    def size(self):
        return self.number

    @property
    def parameters(self):
        return described(self, lambda c: c.weights, lambda c: c.phases, ("edge",))

    def coordinates(self):
        arrow = "-" if self.reciprocal else "<-"
        return ((Variable("edge", ("edge",), "1", "coupled pair"), tuple(f"{i}{arrow}{j}" for i, j in self.ends())),)

    def ends(self) -> list[tuple[int, int]]:
        """(row, column) of each weight; for a reciprocal coupling the smaller number first."""
        _, first = np.unique(np.asarray(self.edge), return_index=True)
        return list(zip(np.asarray(self.rows)[first].tolist(), np.asarray(self.columns)[first].tolist()))

    def _gathered(self, values):
        return jax.ops.segment_sum(values, self.rows, num_segments=self.size, indices_are_sorted=True)

    def apply(self, real, imag):
        weights, c, d = self.weights[self.edge], real[self.columns], imag[self.columns]
        c, d = rotate(weights * c, weights * d, None if self.phases is None else self.phases[self.edge])
        return self._gathered(c), self._gathered(d)

    def total_strength(self):
        return self._gathered(jnp.abs(self.weights)[self.edge])

    def _matrices(self):
        weights = np.zeros((self.size, self.size), self.weights.dtype)
        phases = np.zeros_like(weights)
        weights[self.rows, self.columns] = np.asarray(self.weights)[self.edge]
        if self.phases is not None:
            phases[self.rows, self.columns] = np.asarray(self.phases)[self.edge]
        return weights, phases

    def _matrix(self) -> sparse.csr_array:
        weights = np.asarray(self.weights)[self.edge]
        phases = 0.0 if self.phases is None else np.asarray(self.phases)[self.edge]
        places = (np.asarray(self.rows), np.asarray(self.columns))
        return sparse.csr_array((weights * np.exp(1j * phases), places), shape=(self.size, self.size))

    def asymmetry(self):
        matrix = self._matrix()
        return ratio(_norm(matrix - matrix.T), _norm(matrix + matrix.T))

    def irreversibility(self):
        matrix = self._matrix()
        return ratio(_norm(matrix - matrix.conj().T), _norm(matrix + matrix.conj().T))

    def symmetrised(self):
        matrix = self._matrix()
        matrix = ((matrix + matrix.conj().T) / 2).tocoo()
        if self.phases is not None and not self.reciprocal:  # phases of opposite sign in the two directions
            value = np.abs(matrix.data).astype(self.weights.dtype), np.angle(matrix.data).astype(self.weights.dtype)
            return Sparse(*matrix.coords, *value, size=self.size, delay=self.delay)
        upper = matrix.coords[0] < matrix.coords[1]
        pairs = np.stack(matrix.coords, axis=1)[upper]
        return Sparse.undirected(pairs, matrix.data.real[upper].astype(self.weights.dtype), self.size, delay=self.delay)


def ring(size: int, strength, phase=None, delay: float = 0.0) -> Sparse:
    """Each of at least three oscillators coupled to the next, the last to the first.

    size: number of oscillators. strength: W/2pi in Hz, of every edge or (edge,), edge k joining k and k + 1. phase:
    rad, likewise. delay: s.
    """
    size = checks.whole(size, "ring: size", 3)
    first = np.arange(size)
    return Sparse.undirected(np.stack([first, (first + 1) % size], axis=1), strength, size, phase, delay)


def chain(size: int, strength, phase=None, delay: float = 0.0) -> Sparse:
    """Each of at least two oscillators coupled to the next, the ends open. Arguments as for `ring`."""
    size = checks.whole(size, "chain: size", 2)
    first = np.arange(size - 1)
    return Sparse.undirected(np.stack([first, first + 1], axis=1), strength, size, phase, delay)


def _for_each(value, what: str, units: str, edges: int) -> Array:
    """One value for each edge, from an array of them or from one number for all."""
    array = checks.floats(value, what, units)
    return array if array.ndim else jnp.full(edges, array)


def _norm(matrix) -> float:
    return float(np.linalg.norm(matrix.tocsr().data))


def _check_pairs(rows, columns, size, both_ways):
    own = np.flatnonzero(rows == columns)
    if own.size:
        raise PhysnetError(
            f"Sparse: entry {own[0]} couples oscillator {rows[own[0]]} to itself; leave it out, and put what it would "
            "do into the oscillator's own frequency and damping."
        )
    first, second = (np.minimum(rows, columns), np.maximum(rows, columns)) if both_ways else (rows, columns)
    places, count = np.unique(first.astype(np.int64) * size + second, return_counts=True)
    if (count > 1).any():
        i, j = divmod(int(places[np.argmax(count > 1)]), size)
        raise PhysnetError(f"Sparse: the pair ({i}, {j}) is given more than once; add its weights into one entry.")
