"""Which entries of a circuit's Jacobian are not zero, and how the slopes of its elements add up to them."""

import hashlib
from functools import cached_property

import numpy as np
import scipy.sparse as sp


class Pattern:
    """The sparsity of d(balance)/d(unknowns), known before any value is. Equal for circuits of equal wiring.

    The matrix is a sum over coefficients: one for each two-terminal element (its differential conductance g, which
    stands in four places, +g twice on the diagonal and -g twice off it), (flow x value) for each other element, then
    one for each output (the conductance of a nudge, like that of an element between its nodes). Rows and columns at
    fixed potentials drop out. `scatter` maps coefficients to the stored values of a CSC matrix.

    size: of the matrix. coefficients: how many there are, outputs not counted. outputs: how many outputs.
    symmetric: whether the matrix is symmetric whatever the coefficients, elements being reciprocal.
    """

    def __init__(self, places: list[tuple[np.ndarray, np.ndarray, bool]], outputs: np.ndarray, size: int, symmetric):
        self._places = places
        self.size, self.symmetric = size, symmetric
        self.outputs = outputs.shape[1]
        self.output_ends = outputs
        self.coefficients = sum(c.shape[1] if two else r.shape[0] * c.size for r, c, two in places)
        digest = hashlib.sha1(repr((size, symmetric, [(r.shape, c.shape, two) for r, c, two in places])).encode())
        for rows, columns, _ in places:
            digest.update(np.ascontiguousarray(rows))
            digest.update(np.ascontiguousarray(columns))
        digest.update(np.ascontiguousarray(outputs))
        self._digest = digest.hexdigest()

    @classmethod
    def of(cls, conductors, plus: np.ndarray, minus: np.ndarray, free: int, branches: int) -> "Pattern":
        """The pattern of these groups. plus, minus: free potentials of each output, `free` for fixed ones."""
        size = free + branches
        places = [(np.asarray(g.rows), np.asarray(g.columns), g.two_terminal) for g in conductors]
        ends = np.where(np.stack([plus, minus]) == free, size, np.stack([plus, minus])).astype(np.int32)
        ends = np.where(ends[0] == ends[1], size, ends)
        return cls(places, ends, size, branches == 0 and all(g.element.reciprocal for g in conductors))

    def __hash__(self):
        return hash(self._digest)

    def __eq__(self, other):
        return self is other or (isinstance(other, Pattern) and self._digest == other._digest)

    @cached_property
    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(row, column, coefficient, sign) of every contribution that does not drop out, outputs last."""
        rows, columns, which, signs = [], [], [], []
        count = 0
        for r, c, two in [*self._places, (self.output_ends, self.output_ends, True)]:
            if two:
                m = r.shape[1]
                number = count + np.arange(m)
                for i, j, sign in ((0, 0, 1), (1, 1, 1), (0, 1, -1), (1, 0, -1)):
                    (
                        rows.append(r[i]),
                        columns.append(c[j]),
                        which.append(number),
                        signs.append(np.full(m, sign, np.int8)),
                    )
                count += m
            else:
                shape = (r.shape[0], *c.shape)
                rows.append(np.broadcast_to(r[:, None, :], shape).ravel())
                columns.append(np.broadcast_to(c[None], shape).ravel())
                which.append(count + np.arange(np.prod(shape)))
                signs.append(np.ones(np.prod(shape), np.int8))
                count += int(np.prod(shape))
        rows, columns, which, signs = map(np.concatenate, (rows, columns, which, signs))
        kept = (rows < self.size) & (columns < self.size)
        return rows[kept], columns[kept], which[kept], signs[kept]

    @cached_property
    def structure(self) -> tuple[np.ndarray, np.ndarray]:
        """(row indices, column pointers) of the CSC matrix: with its whole diagonal, and both of (i, j) and (j, i)."""
        return self._layout[:2]

    @cached_property
    def scatter(self) -> sp.csr_matrix:
        """(stored values, coefficients and outputs): stored values are scatter @ coefficients."""
        return self._layout[2]

    @cached_property
    def diagonal(self) -> np.ndarray:
        """Where the diagonal stands among the stored values."""
        rows, pointers = self.structure
        columns = np.repeat(np.arange(self.size), np.diff(pointers))
        return np.flatnonzero(rows == columns)

    @cached_property
    def transposed(self) -> np.ndarray:
        """For each stored value, where the one mirrored at the diagonal stands."""
        rows, pointers = self.structure
        order = sp.csc_matrix((np.arange(len(rows)), rows, pointers), (self.size, self.size))
        return order.T.tocsc().sorted_indices().data

    @cached_property
    def _layout(self):
        rows, columns, which, signs = self.entries
        n = self.size
        codes = columns.astype(np.int64) * n + rows
        mirrored = rows.astype(np.int64) * n + columns
        stored = np.unique(np.concatenate([codes, mirrored, np.arange(n, dtype=np.int64) * (n + 1)]))
        place = np.searchsorted(stored, codes)
        scatter = sp.csr_matrix((signs.astype(float), (place, which)), (len(stored), self.coefficients + self.outputs))
        pointers = np.searchsorted(stored, np.arange(n + 1, dtype=np.int64) * n).astype(np.int32)
        return (stored % n).astype(np.int32), pointers, scatter

    @cached_property
    def upper(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(places among the stored values, row indices, column pointers) of the upper triangle."""
        rows, pointers = self.structure
        columns = np.repeat(np.arange(self.size), np.diff(pointers))
        kept = np.flatnonzero(rows <= columns)
        return kept, rows[kept], np.searchsorted(columns[kept], np.arange(self.size + 1)).astype(np.int32)

    def matrix(self, coefficients: np.ndarray, outputs: np.ndarray | None = None) -> sp.csc_matrix:
        """The Jacobian as a scipy matrix. coefficients: as `Network` lists its slopes. outputs: S, of each output."""
        tail = np.zeros(self.outputs) if outputs is None else outputs
        return self.stored(self.scatter @ np.concatenate([coefficients, tail]))

    def stored(self, values: np.ndarray) -> sp.csc_matrix:
        """The matrix of these stored values."""
        rows, pointers = self.structure
        return sp.csc_matrix((values, rows, pointers), (self.size, self.size))
