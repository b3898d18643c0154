"""Where a curve of steady states turns back, crosses another, or gives birth to an oscillation, to rounding."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from physnet.landscape.branches.corrector import Curve, expanded
from physnet.landscape.branches.point import Point, corrected_point

FOLD, PITCHFORK, TRANSCRITICAL, HOPF, MULTIPLE = "fold", "pitchfork", "transcritical", "hopf", "multiple"
_NEWTONS = 20


@dataclass(frozen=True)
class SpecialPoint:
    """Where the number or the stability of steady states changes.

    kind: fold (two states meet and vanish), pitchfork, transcritical (two curves cross), hopf (an oscillation is born)
    or multiple (several directions soften at once, as equal parts make them; curves that leave are not looked for).
    value: of the parameter, in its unit. vector: (coordinate,), the state, in its unit. residual: relative, and
    converged: its certificate. index_before, index_after: on both sides, along the curve. frequency: of the
    oscillation, rad/s, NaN of other kinds. point: the state with all that is known of it; emerging: tangents
    (direction, column) of curves that leave, in scaled coordinates, dimensionless.
    """

    kind: str
    value: float
    vector: np.ndarray
    residual: float
    converged: bool
    index_before: int
    index_after: int
    frequency: float
    point: Point
    emerging: np.ndarray


def between(curve: Curve, here: Point, there: Point, tolerance, last_resort: bool) -> SpecialPoint | bool | None:
    """What lies between two neighbours on a curve: None for nothing, False where a shorter step has to tell.

    last_resort: no shorter step can be taken; what cannot be told apart is then called multiple.
    """
    upright = float(np.finfo(curve.size.dtype).eps) ** 0.6  # states of one value in a row: rounding is no turn
    turns = min(abs(here.tangent[-1]), abs(there.tangent[-1])) > upright
    turned, change = turns and here.tangent[-1] * there.tangent[-1] < 0, there.index - here.index
    if not turned and not change:
        return None
    found = None
    if turned and abs(change) == 1:
        found = _turning(curve, here, there, tolerance)
    elif (not turned and abs(change) == 1) or (turned and not change):
        found = _crossing(curve, here, there, tolerance)
    elif not turned and abs(change) == 2 and not curve.family.base.has_energy:
        found = _softening(curve, here, there, tolerance, HOPF)
    if found is None and last_resort:
        search = _turning if turned else _softening
        found = search(curve, here, there, tolerance, MULTIPLE)
    return found or False


def _turning(curve, here, there, tolerance, kind=FOLD) -> SpecialPoint | None:
    """Where the tangent has no component along the parameter."""
    point = _root(curve, here, there, tolerance, lambda point: point.tangent[-1])
    if point is None or abs(point.tangent[-1]) > 1e-4:
        return None
    return _special(kind, curve, point, here, there)


def _softening(curve, here, there, tolerance, kind) -> SpecialPoint | None:
    """Where the eigenvalue that changes sign has no real part. HOPF: only where it is one of a complex pair."""
    number = min(here.index, there.index)

    def pair(point):
        return np.abs(point.eigenvalues[number].imag) > 1e-9 * np.abs(point.eigenvalues).max()

    if kind == HOPF and not (pair(here) and pair(there)):
        return None
    point = _root(curve, here, there, tolerance, lambda point: point.eigenvalues[number].real)
    if point is None or (kind == HOPF and not pair(point)):
        return None
    frequency = abs(point.eigenvalues[number].imag) if kind == HOPF else np.nan
    return _special(kind, curve, point, here, there, frequency=frequency)


def _root(curve, here, there, tolerance, of) -> Point | None:
    """The point between two others where `of` a point vanishes, by bisection and interpolation along the arc."""
    reach = float((there.z - here.z) @ here.tangent)

    def at(length):
        return corrected_point(curve, here.z + length * here.tangent, here.tangent, tolerance)

    def value(length):
        found = float(of(at(length)))
        return found if np.isfinite(found) else 0.0  # a failed correction: refused below, by its certificate

    first, last = value(0.0), value(reach)
    if not first * last < 0:
        return None
    point = at(brentq(value, 0.0, reach, xtol=1e-15, rtol=1e-14))
    return point if point.converged else None


def _crossing(curve, here, there, tolerance) -> SpecialPoint | None:
    """Where two curves cross: R = 0 and w.dR/dz = 0 with w the left null vector (Moore 1980, Numer. Funct.
    Anal. Optim. 2, 441, (m)).

    The system [R + a w; w.dR/dz; w.w - 1] = 0 for (z, a, w) is regular there, so that Newton's method converges
    quadratically, and a vanishes; dR/ds alone is singular.
    """
    guess = _interpolated(here, there)
    n = len(guess) - 1
    rows = np.abs(_slope(curve, here.z)).max(axis=1)
    rows = np.where(rows > 0, rows, 1)
    left = np.linalg.svd(_slope(curve, guess) / rows[:, None])[0]
    z, a, w = guess, 0.0, left[:, -1]
    for _ in range(_NEWTONS):
        residual, slope, second = (
            np.asarray(x, float) for x in expanded(curve, _array(curve, z), _array(curve, w / rows))
        )
        residual, slope = residual / rows, slope / rows[:, None]
        wrong = np.concatenate([residual + a * w, slope.T @ w, [w @ w - 1]])
        matrix = np.zeros((2 * n + 2, 2 * n + 2))
        matrix[:n, : n + 1], matrix[:n, n + 1], matrix[:n, n + 2 :] = slope, w, a * np.eye(n)
        matrix[n:-1, : n + 1], matrix[n:-1, n + 2 :] = second, slope.T
        matrix[-1, n + 2 :] = 2 * w
        step = np.linalg.lstsq(matrix, -wrong, rcond=1e-14)[0] if np.isfinite(matrix).all() else np.full(2 * n + 2, 1e9)
        if not np.abs(step).max() < 1e3:
            return None
        z, a, w = z + step[: n + 1], a + step[n + 1], w + step[n + 2 :]
        if np.abs(step).max() < 1e-13:
            break
    length = np.linalg.norm(there.z - here.z)
    if not (np.abs(step).max() < 1e-7 and np.linalg.norm(z - guess) < 2 * length):
        return None
    directions = _directions(slope, second)
    if directions is None:
        return None
    point = corrected_point(curve, z, here.tangent, tolerance, iterations=0)
    if not point.converged:
        return None
    along = np.abs(directions @ (here.tangent + there.tangent))
    emerging = directions[np.argmin(along)][None]
    upright = np.abs(directions[:, -1]).min() < float(np.finfo(curve.size.dtype).eps) ** 0.3
    return _special(PITCHFORK if upright else TRANSCRITICAL, curve, point, here, there, emerging)


def _directions(slope, second) -> np.ndarray | None:
    """Unit tangents (2, column) of the two curves through a point where they cross; None where they do not.

    They are the t = N c in the kernel N of dR/dz for which t.d2(w.R)/dz2.t = 0: w.R has a saddle there.
    """
    kernel = np.linalg.svd(slope)[2][-2:]
    (low, high), axes = np.linalg.eigh(kernel @ second @ kernel.T)
    if not low * high < 0 or min(-low, high) < 1e-9 * max(-low, high):
        return None
    inner = np.stack([axes @ [np.sqrt(high), sign * np.sqrt(-low)] for sign in (1, -1)])
    return (inner / np.linalg.norm(inner, axis=1, keepdims=True)) @ kernel


def _interpolated(here: Point, there: Point) -> np.ndarray:
    """Where what changes sign between two points, an eigenvalue or the turning of the tangent, would vanish."""
    if here.index == there.index:
        first, last = here.tangent[-1], there.tangent[-1]
    else:
        number = min(here.index, there.index)
        first, last = here.eigenvalues[number].real, there.eigenvalues[number].real
    return here.z + first / (first - last) * (there.z - here.z)


def _slope(curve, z) -> np.ndarray:
    return np.asarray(expanded(curve, _array(curve, z), jnp.zeros_like(curve.size))[1], float)


def _array(curve, x):
    return jnp.asarray(x, curve.size.dtype)


def _special(kind, curve, point, here, there, emerging=None, *, frequency=np.nan) -> SpecialPoint:
    return SpecialPoint(
        kind=kind,
        value=float(curve.value(point.z)),
        vector=curve.vector(point.z),
        residual=point.residual,
        converged=point.converged,
        index_before=here.index,
        index_after=there.index,
        frequency=float(frequency),
        point=point,
        emerging=np.zeros((0, len(point.z))) if emerging is None else emerging,
    )
