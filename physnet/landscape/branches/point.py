"""One steady state on a curve, with its certificate and what it can be left by."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from physnet.landscape.branches.corrector import Curve, corrected, tolerance_for

_ITERATIONS = 10
_FLAT = 1e-9  # of the largest curvature: what is smaller counts as flat, neither rising nor falling


@dataclass(frozen=True)
class Point:
    """One point of a `Curve`: z and unit tangent (column,), scaled, and what was found there.

    eigenvalues: those of `Curve.stability`, ascending in their real parts, (coordinate - neutral,), in its unit; index:
    how many are negative, flat: how many zero. asymmetry: of the Jacobian of the residual.
    """

    z: np.ndarray
    tangent: np.ndarray
    iterations: int
    residual: float
    imbalance: float
    converged: bool
    outputs: np.ndarray
    energy: float
    eigenvalues: np.ndarray
    index: int
    flat: int
    asymmetry: float


def corrected_point(
    curve: Curve, guess: np.ndarray, normal: np.ndarray, tolerance: float | None, *, iterations: int = _ITERATIONS
) -> Point:
    """Where Newton's method ends, from a guess (column,), in the plane through it across `normal` (column,).

    tolerance: relative residual for `converged`. iterations: most steps; 0 measures the guess as it is.
    """
    dtype = curve.size.dtype
    limit = jnp.asarray(iterations, jnp.int32)
    there = corrected(curve, jnp.asarray(guess, dtype), jnp.asarray(normal, dtype), limit)
    z, tangent, matrix = (np.asarray(x, float) for x in (there.z, there.tangent, there.stability))
    relative = float(there.relative)
    settled = (bool(there.settled) or iterations == 0) and np.isfinite(matrix).all()
    eigenvalues = _eigenvalues(curve, matrix) if settled else np.full(len(matrix), np.nan)
    largest = np.abs(eigenvalues).max(initial=0)
    level = _FLAT * largest if len(matrix) > 1 else 0.0
    return Point(
        z=z,
        tangent=tangent,
        iterations=int(there.iterations),
        residual=relative,
        imbalance=float(there.imbalance),
        converged=bool(settled and relative <= tolerance_for(dtype, tolerance)),
        outputs=np.asarray(there.outputs),
        energy=float(there.energy),
        eigenvalues=eigenvalues,
        index=int(np.sum(eigenvalues.real < -level)),
        flat=int(np.sum(np.abs(eigenvalues.real) <= level)),
        asymmetry=float(there.asymmetry),
    )


def pinned_point(curve: Curve, guess: np.ndarray, tolerance: float | None, sense: float = 1.0) -> Point:
    """Where Newton's method ends with the parameter held at the guess's; the tangent points to `sense` times more."""
    normal = np.zeros(len(guess))
    normal[-1] = sense
    return corrected_point(curve, guess, normal, tolerance)


def _eigenvalues(curve: Curve, matrix: np.ndarray) -> np.ndarray:
    """Ascending in their real parts, without those of the neutral modes, which stand above all others."""
    chart = curve.family.base
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2) if chart.has_energy else np.linalg.eigvals(matrix)
    values = values[np.argsort(values.real, kind="stable")]
    return values[: len(values) - curve.neutral]
