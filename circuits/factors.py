"""Sparse factorisations on the host, kept from one solve to the next."""

import threading
from abc import abstractmethod

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from circuits.pattern import Pattern
from physnet.errors import PhysnetError

_FEW_CHANGES = 1.0  # see `_kept`: beyond it, conjugate gradients cost more than a factorisation
_KEPT_BYTES = 5e8  # of factors, of all the samples of one circuit


class Factor:
    """One factorisation; `update` makes it that of another matrix of the same pattern."""

    def __init__(self, pattern: Pattern, values: np.ndarray):
        """values: stored values of the matrix, as in `Pattern.structure`."""
        self._pattern = pattern
        self._start(values)

    @abstractmethod
    def _start(self, values: np.ndarray) -> None:
        """The first factorisation, with the analysis of the pattern."""

    @abstractmethod
    def update(self, values: np.ndarray) -> None:
        """Factorises anew, the analysis of the pattern kept."""

    @abstractmethod
    def solve(self, right: np.ndarray) -> np.ndarray:
        """A^-1 right."""

    @abstractmethod
    def size(self) -> float:
        """Bytes, about."""


class LDL(Factor):
    """LDL^T of a symmetric matrix by QDLDL (Stellato et al. 2020, doi:10.1007/s12532-020-00179-2), AMD ordering."""

    def _start(self, values):
        import qdldl

        self._solver = qdldl.Solver(self._triangle(values), upper=True)
        self._bytes = None

    def update(self, values):
        self._solver.update(self._triangle(values), upper=True)

    def _triangle(self, values):
        kept, rows, pointers = self._pattern.upper
        return sp.csc_matrix((values[kept], rows, pointers), (self._pattern.size,) * 2)

    def solve(self, right):
        return self._solver.solve(right)

    def size(self):
        if self._bytes is None:
            self._bytes = 24.0 * self._solver.factors()[0].nnz
        return self._bytes


class Cholmod(Factor):
    """Cholesky factors by CHOLMOD (Chen et al. 2008, doi:10.1145/1391989.1391995), from the extra `cholmod`."""

    def _start(self, values):
        try:
            from sksparse.cholmod import analyze
        except ImportError:
            raise PhysnetError(
                "Cholmod: scikit-sparse is not installed. Install it and SuiteSparse (pip install 'physnet[cholmod]'; "
                "apt-get install libsuitesparse-dev), or use SparseSolver(), which needs neither."
            ) from None
        matrix = self._pattern.stored(values)
        self._factor = analyze(matrix, mode="simplicial", ordering_method="nesdis")
        self._factor.cholesky_inplace(matrix)

    def update(self, values):
        self._factor.cholesky_inplace(self._pattern.stored(values))

    def solve(self, right):
        return self._factor(right)

    def size(self):
        return 12.0 * self._factor.L().nnz


class LU(Factor):
    """LU with partial pivoting by SuperLU (Li 2005, doi:10.1145/1089014.1089017): circuits that are not reciprocal."""

    def _start(self, values):
        self.update(values)

    def update(self, values):
        matrix = self._pattern.stored(values)
        try:
            self._lu = splu(matrix)
        except RuntimeError:  # exactly singular: a node that nothing holds at this point of the iteration
            size = np.abs(matrix.diagonal()).max(initial=1.0)
            self._lu = splu(sp.csc_matrix(matrix + 1e-12 * size * sp.identity(matrix.shape[0])))

    def solve(self, right):
        return self._lu.solve(right)

    def size(self):
        return 12.0 * (self._lu.L.nnz + self._lu.U.nnz)


class Factors:
    """Solves A x = b for the matrices of one pattern, one factorisation kept for each sample.

    A matrix that is near one whose factors are kept is solved by conjugate gradients (for a matrix that is not
    symmetric, by refinement) preconditioned with those: a few triangular solves in the place of a factorisation.
    """

    def __init__(self, pattern: Pattern, kind: type[Factor]):
        self._pattern, self._kind = pattern, kind
        self._slots: dict[int, tuple[np.ndarray, Factor, np.ndarray]] = {}  # coefficients, factors, diagonal
        self._most = None
        self.made = 0  # factorisations so far
        self._lock = threading.Lock()
        rows, pointers = pattern.structure
        self._rows, self._columns = rows, np.repeat(np.arange(pattern.size, dtype=np.int32), np.diff(pointers))

    def values(self, packed: np.ndarray, correction: np.ndarray | None = None) -> np.ndarray:
        """The stored values of the matrix of a packed row of coefficients (`Coefficients.packed`)."""
        p = self._pattern
        n = p.coefficients + p.outputs
        coefficients, shunt, free = packed[:n], packed[n : n + p.size], packed[n + p.size :] > 0
        values = p.scatter @ coefficients
        if correction is not None:  # J becomes J - J0 + J0^T
            values = values + _mirrored(p, correction)
        values[p.diagonal] += shunt
        if not free.all():
            values *= free[self._rows] & free[self._columns]
            values[p.diagonal] += ~free
        return values

    def solve(self, slot, packed, correction, dense, held, right, rtol, most) -> tuple[np.ndarray, np.ndarray]:
        """(x, packed coefficients of the factorisation that was used).

        dense: (output, output), S, a further conductance between outputs, in no factorisation. held: coefficients of a
        factorisation to try first, NaN for none. rtol: of the residual. most: iterations before a new factorisation.
        """
        with self._lock:
            key = packed if correction is None else np.concatenate([packed, correction])
            values = self.values(packed, correction)
            matrix = self._pattern.stored(values)
            operator = matrix if dense is None else _Bordered(matrix, self._readout(packed), dense)
            slot = slot % self._capacity()
            for factor in self._kept(slot, held, values):
                x = self._iterate(operator, factor, right, rtol, most)
                if x is not None:
                    return x, held
            factor = self._factorise(slot, key, values)
            if dense is None:
                return factor.solve(right), key
            x = self._iterate(operator, factor, right, rtol, 10 * (dense.shape[0] + 2))
            return (factor.solve(right) if x is None else x), key

    def _capacity(self):
        if self._most is None and self._slots:
            factor = next(iter(self._slots.values()))[1]
            self._most = int(np.clip(_KEPT_BYTES / max(factor.size(), 1.0), 1, 256))
        return self._most or 1

    def _kept(self, slot, held, values):
        found = self._slots.get(slot)
        if found is not None and len(held) == len(found[0]) and np.array_equal(found[0], held):
            # The trace of the change in units of the matrix: about how many directions of it have changed.
            diagonal = values[self._pattern.diagonal]
            size = np.maximum(np.abs(diagonal), np.finfo(float).tiny)
            if np.sum(np.abs(diagonal - found[2]) / size) <= _FEW_CHANGES:
                yield found[1]

    def _factorise(self, slot, key, values) -> Factor:
        for kept, factor, _ in self._slots.values():  # a linear circuit has one matrix for every sample
            if len(kept) == len(key) and np.array_equal(kept, key):
                return factor
        self.made += 1
        if slot in self._slots:
            factor = self._slots[slot][1]
            factor.update(values)
        else:
            factor = self._kind(self._pattern, values)
        self._slots[slot] = (key, factor, values[self._pattern.diagonal])
        return factor

    def _readout(self, packed) -> sp.csr_matrix:
        p = self._pattern
        ends = p.output_ends
        k = np.arange(p.outputs)
        rows, columns, signs = np.r_[k, k], ends.ravel(), np.r_[np.ones(p.outputs), -np.ones(p.outputs)]
        kept = columns < p.size
        readout = sp.csr_matrix((signs[kept], (rows[kept], columns[kept])), (p.outputs, p.size))
        free = packed[p.coefficients + p.outputs + p.size :] > 0
        return readout @ sp.diags(free.astype(float))

    def _iterate(self, operator, factor, right, rtol, most):
        """x with |A x - right| <= rtol |right|, or None if that takes more than `most` steps."""
        target = rtol * np.linalg.norm(right)
        return (_conjugate_gradients if self._pattern.symmetric else _refine)(operator, factor, right, target, most)


def _conjugate_gradients(operator, factor, right, target, most):
    """Hestenes & Stiefel 1952, doi:10.6028/jres.049.044, preconditioned; None where the factors are too far away."""
    x = factor.solve(right)
    residual = right - operator @ x
    first, direction, energy = np.linalg.norm(residual), 0.0, 1.0
    for step in range(most):
        size = np.linalg.norm(residual)
        if size <= target:
            return x
        if step == 3 and size > 10 * first * (target / first) ** (3 / most):
            return None  # at this rate the rest would cost more than a factorisation
        z = factor.solve(residual)
        last, energy = energy, residual @ z
        direction = z + (energy / last if step else 0.0) * direction
        along = operator @ direction
        curvature = direction @ along
        if not (curvature > 0 and energy > 0):
            return None
        x = x + (energy / curvature) * direction
        residual = residual - (energy / curvature) * along
    return x if np.linalg.norm(residual) <= target else None


def _refine(operator, factor, right, target, most):
    """x + A0^-1 (right - A x), while that halves the residual."""
    x = factor.solve(right)
    residual = right - operator @ x
    size, last = np.linalg.norm(residual), np.inf
    for _ in range(most):
        if size <= target or not size <= 0.5 * last:
            break
        x = x + factor.solve(residual)
        residual = right - operator @ x
        last, size = size, np.linalg.norm(residual)
    return x if size <= target else None


class _Bordered:
    """A + P^T H P, never formed."""

    def __init__(self, matrix, readout, dense):
        self._matrix, self._readout, self._dense = matrix, readout, dense

    def __matmul__(self, x):
        return self._matrix @ x + self._readout.T @ (self._dense @ (self._readout @ x))


def _mirrored(pattern: Pattern, slopes: np.ndarray) -> np.ndarray:
    values = pattern.scatter[:, : pattern.coefficients] @ slopes
    return values[pattern.transposed] - values
