"""How a landscape curves at a state: its lowest modes, the number of directions in which it falls, the flat ones."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from physnet.errors import ConvergenceError, PhysnetError
from physnet.landscape.chart import Chart
from physnet.landscape.smooth import LARGEST_DENSE
from physnet.system import is_boxed

FLAT = 1e-7  # of the stiffness, here or close by: what is smaller counts as flat, neither rising nor falling
_SOFTEST = 1e-12  # of the stiffest coordinate: the least that one may be
_CLOSE_BY = 0.05  # of a period, or of the largest coordinate
_BLOCK = 64  # states whose dense spectra are worked out at once


@dataclass(frozen=True)
class Spectrum:
    """The lowest modes of one state or of several (leading axis).

    curvature: (..., mode), ascending, in the unit of the residual over that of the state (for an energy, eigenvalues of
    its Hessian; else minus the growth rates, s-1, of small displacements, their real parts). mode: (..., mode,
    coordinate), dimensionless, orthonormal where there is an energy; for a pair of complex ones its real part. index:
    (...,), the Morse index, the number of directions that fall (grow); -1 where only some of the modes were computed
    and all of them fall. flat: (...,), the number of flat directions besides the declared neutral modes, which are left
    out of everything here; nonzero means that the state is degenerate, or one of a whole family.
    """

    curvature: np.ndarray
    mode: np.ndarray
    index: np.ndarray
    flat: np.ndarray

    @property
    def stable(self) -> np.ndarray:
        """Whether nothing falls, (...,); a state with flat directions may yet be left by higher orders."""
        return self.index == 0


@eqx.filter_jit
def _dense(chart: Chart, vectors, beside):
    """(curvatures, modes, curvatures over the stiffness of the coordinates), ascending; without an energy (matrices,
    None, sizes of them).

    beside: states next to these, whose stiffness counts as well: what is flat by accident here is not flat there.
    """

    def matrix(vector):
        return chart.curvature(vector) if chart.has_energy else -jax.jacfwd(chart.velocity)(vector)

    def one(places):
        vector, near = places
        here = matrix(vector)
        rows = jnp.maximum(jnp.sum(jnp.abs(here), axis=1), jnp.sum(jnp.abs(matrix(near)), axis=1))
        largest = jnp.max(rows)
        for u in chart.neutral(vector):  # lifted above everything else, so that it never counts
            along, back = here @ u, here.T @ u
            here = here - jnp.outer(along, u) - jnp.outer(u, back) + jnp.outer(u, u) * (u @ along + 2 * largest + 1)
        if not chart.has_energy:
            return here, largest
        if is_boxed(chart.system):  # what a wall holds cannot move, and is lifted likewise
            free = chart.problem.free_coordinates(chart.state(vector))
            held = jnp.diag(jnp.where(free, 0, 2 * largest + 1))
            here = jnp.where(free[:, None] & free[None, :], here, 0) + held
        here, root = (here + here.T) / 2, jnp.sqrt(jnp.maximum(rows, _SOFTEST * largest))
        return here, jnp.linalg.eigvalsh(here / root[:, None] / root[None, :])

    matrices, sizes = jax.lax.map(one, (vectors, beside))
    return (*jax.lax.map(jnp.linalg.eigh, matrices), sizes) if chart.has_energy else (matrices, None, sizes)


def spectra(chart: Chart, vectors: np.ndarray, count: int = 6) -> Spectrum:
    """The `count` lowest modes at each of the vectors (state, coordinate), from dense Hessians.

    Raises PhysnetError above 2000 coordinates, for which `lowest_modes` takes one state at a time.
    """
    if chart.size > LARGEST_DENSE:
        raise PhysnetError(
            f"landscape: {chart.size} coordinates; dense Hessians are meant for at most {LARGEST_DENSE}. Use "
            "lowest_modes, one state at a time."
        )
    vectors = np.asarray(vectors)
    found = [_of_block(chart, *block, count) for block in _blocks(vectors)]
    if not found:
        kept = min(count, chart.size)
        return Spectrum(np.zeros((0, kept)), np.zeros((0, kept, chart.size)), np.zeros(0, int), np.zeros(0, int))
    return Spectrum(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _blocks(vectors):
    """The vectors in blocks of one size, the last filled up with copies, so that one program serves all."""
    size = min(_BLOCK, 1 << max(len(vectors) - 1, 0).bit_length())
    for start in range(0, len(vectors), size):
        block = np.asarray(vectors[start : start + size])
        yield np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)]), len(block)


def _beside(chart, vectors):
    """Each state a little displaced: what is flat by accident at one place is not at the next."""
    size = np.where(np.isfinite(chart.periods), chart.periods, np.abs(vectors).max(axis=1, keepdims=True))
    return vectors + _CLOSE_BY * size * np.random.default_rng(0).uniform(-1, 1, chart.size)


def _of_block(chart, vectors, used, count):
    found = _dense(chart, vectors, _beside(chart, vectors).astype(chart.dtype))
    matrices, modes, sizes = (None if part is None else np.asarray(part)[:used] for part in found)
    neutral = len(chart.neutral(jnp.asarray(vectors[0])))
    kept = min(count, chart.size - neutral)
    if chart.has_energy:
        curvature, modes, level = matrices, np.swapaxes(modes, 1, 2), FLAT
    else:
        pairs = [np.linalg.eig(matrix) if np.isfinite(matrix).all() else _unknown(chart.size) for matrix in matrices]
        order = [np.argsort(values.real, kind="stable") for values, _ in pairs]
        curvature = np.array([values.real[o] for (values, _), o in zip(pairs, order)])
        modes = np.array([vectors.real.T[o] for (_, vectors), o in zip(pairs, order)])
        level, sizes = FLAT * sizes[:, None], curvature[:, : chart.size - neutral]
    index, flat = np.sum(sizes < -level, axis=1), np.sum(np.abs(sizes) <= level, axis=1)
    return curvature[:, :kept], modes[:, :kept], index, flat


def _unknown(size):
    return np.full(size, np.nan + 0j), np.full((size, size), np.nan + 0j)


@eqx.filter_jit
def _product(chart: Chart, vector, neutral, direction):
    """The Hessian times a direction, neutral modes taken out before and after."""
    along = chart.curvature_along(vector, direction - neutral.T @ (neutral @ direction))
    return along - neutral.T @ (neutral @ along)


def lowest_modes(system, inputs=None, state=None, count: int = 10, *, nudge=None, tolerance: float = 1e-6) -> Spectrum:
    """The lowest modes of the energy at one state: in which directions it falls, is flat, or barely rises.

    Up to 600 coordinates from the dense Hessian; beyond by Lanczos iteration (ARPACK, doi:10.1137/1.9780898719628) on
    Hessian-vector products, in the memory of a few dozen states. Declared neutral modes are projected out.

    system, inputs (input,): as for `relax`, with an energy. state: as of an `Equilibrium`; the one that `relax` finds
    by default. count: number of modes. nudge: what pulls on the outputs, or None. tolerance: of each curvature,
    relative to the largest one. Raises PhysnetError for a system without an energy, ConvergenceError where Lanczos runs
    out of steps.
    """
    chart = Chart.of(system, inputs, nudge)
    chart.require_energy("lowest_modes", "Small systems: find_equilibria gives growth rates of any.")
    if state is None:
        from physnet.equilibrium import relax

        state = relax(system, chart.problem.inputs, nudge=nudge).state
    vector = chart.vector(state)
    neutral = chart.neutral(vector)
    if not 1 <= count <= chart.size - len(neutral):
        raise PhysnetError(f"lowest_modes: count is {count}; give 1 to {chart.size - len(neutral)}.")
    if chart.size <= 600:
        found = spectra(chart, np.asarray(vector)[None], count)
        return Spectrum(found.curvature[0], found.mode[0], found.index[0], found.flat[0])
    return _lanczos(chart, vector, neutral, count, tolerance)


def _lanczos(chart, vector, neutral, count, tolerance) -> Spectrum:
    def operator(product):
        return LinearOperator((chart.size, chart.size), matvec=product, dtype=chart.dtype)

    def plain(direction):
        return np.asarray(_product(chart, vector, neutral, direction.astype(chart.dtype).ravel()))

    start = np.random.default_rng(0).normal(size=chart.size)  # the same modes, whoever asks
    largest = float(np.abs(eigsh(operator(plain), 1, which="LM", v0=start, tol=1e-2, return_eigenvectors=False)[0]))
    basis = np.asarray(neutral)

    def lifted(direction):  # neutral modes above everything else
        return plain(direction) + 2 * largest * (basis.T @ (basis @ direction.ravel()))

    try:
        curvature, modes = eigsh(
            operator(lifted), count, which="SA", v0=start, tol=tolerance, ncv=max(4 * count, 60), maxiter=5000
        )
    except ArpackNoConvergence as error:
        raise ConvergenceError(
            f"lowest_modes: {len(error.eigenvalues)} of {count} modes of {type(chart.system).__name__} found to "
            f"{tolerance:.1g} of the largest curvature. Ask for fewer modes, or a larger tolerance."
        ) from error
    order = np.argsort(curvature)
    curvature, modes = curvature[order], modes.T[order]
    level = max(FLAT, 10 * tolerance) * largest
    falling = int(np.sum(curvature < -level))
    return Spectrum(
        curvature,
        modes,
        np.asarray(-1 if falling == count else falling),
        np.asarray(int(np.sum(np.abs(curvature) <= level))),
    )
