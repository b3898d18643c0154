"""Along a curve of steady states, step by step (pseudo-arclength continuation)."""

from dataclasses import dataclass, replace

import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.branches.corrector import Curve
from physnet.landscape.branches.point import Point, corrected_point, pinned_point
from physnet.landscape.branches.special import FOLD, SpecialPoint, between

_TURN = 0.15  # rad, the angle between neighbouring tangents that steps aim for
_SHARPEST = 0.45  # rad, more of which makes a step too long
_EASY = 4  # Newton iterations up to which the next step may be longer

END, CLOSED, FULL, LOST, STOPPED = "end of the range", "closed", "max_points", "lost", "fold"


@dataclass(frozen=True)
class Stride:
    """How to walk. largest, smallest: steps, as shares of the parameter's range and of the state's size together.

    max_points: on one curve, each way. tolerance: relative residual of every point. to_fold: whether a fold ends it.
    """

    largest: float = 0.05
    smallest: float = 1e-7
    max_points: int = 2000
    tolerance: float | None = None
    to_fold: bool = False

    def __post_init__(self):
        if not 0 < self.smallest < self.largest:
            raise PhysnetError(
                f"continuation: step is {self.largest}; it must be above {self.smallest:.3g}, as a share of the range."
            )
        if self.max_points < 2:
            raise PhysnetError(f"continuation: max_points is {self.max_points}; give 2 or more.")


@dataclass(frozen=True)
class Walk:
    """points in the order walked; specials: (number of the point before it, special point). ended: why no further."""

    points: list[Point]
    specials: list[tuple[int, SpecialPoint]]
    ended: str

    def joined(self, onwards: "Walk") -> "Walk":
        """This walk backwards, then `onwards`, which began at the same point the other way."""
        turned = [replace(point, tangent=-point.tangent) for point in self.points[:0:-1]]
        last = len(self.points) - 2
        back = [(last - k, _turned(special)) for k, special in reversed(self.specials)]
        ahead = [(len(turned) + k, special) for k, special in onwards.specials]
        ended = onwards.ended if onwards.ended == CLOSED else f"{self.ended}, {onwards.ended}"
        return Walk(turned + onwards.points, back + ahead, ended)


def _turned(special: SpecialPoint) -> SpecialPoint:
    return replace(special, index_before=special.index_after, index_after=special.index_before)


def walked(curve: Curve, first: Point, heading: np.ndarray, stride: Stride, *, from_crossing: bool = False) -> Walk:
    """From a point along the unit vector `heading` (column,) until the curve ends, closes, or is long enough.

    At every end of the parameter's range (z[-1] 0 or 1) one last point lies exactly on it. Steps follow the curvature
    and the effort of the corrector; they shorten until each holds one special point at most. from_crossing: the first
    point is a special one, for which nothing is looked next to it.
    """
    points, specials = [replace(first, tangent=heading)], []
    length, travelled = stride.largest / 5, 0.0
    if _leaves(points[0]):
        return Walk(points, specials, END)
    while len(points) < stride.max_points:
        here, special = points[-1], None
        there, end = _next(curve, here, length, stride)
        closed = there is not None and travelled > 4 * length and _passes(curve, here, there, points[0])
        if closed:
            there = replace(points[0], z=here.z + curve.difference(points[0].z, here.z))
        at_crossing = (len(points) == 1 and (from_crossing or here.flat)) or (closed and from_crossing)
        last_resort = length <= stride.smallest
        if there is not None and not at_crossing:
            special = between(curve, here, there, stride.tolerance, last_resort)
        if there is None or special is False:
            if last_resort:
                return Walk(points, specials, LOST)
            length = max(length / 2, stride.smallest)
            continue
        if there.flat > here.flat and not (end or closed) and length > 1e-3 * stride.largest:
            length *= 0.77  # next to a special point: it is told better by points on both sides
            continue
        if special is not None:
            specials.append((len(points) - 1, special))
            if stride.to_fold and special.kind == FOLD:
                return Walk(points, specials, STOPPED)
        points.append(there)
        if end or closed:
            return Walk(points, specials, CLOSED if closed else END)
        travelled += float(np.linalg.norm(there.z - here.z))
        length = _longer(length, here, there, stride)
    return Walk(points, specials, FULL)


def _next(curve: Curve, here: Point, length: float, stride: Stride) -> tuple[Point | None, bool]:
    """(the next point, None where the step is too long; whether it lies on an end of the range)."""
    there = corrected_point(curve, here.z + length * here.tangent, here.tangent, stride.tolerance)
    end = there.converged and not 0 < there.z[-1] < 1
    if end:
        bound = float(there.z[-1] >= 1)
        share = (bound - here.z[-1]) / (there.z[-1] - here.z[-1])
        guess = here.z + share * (there.z - here.z)
        guess[-1] = bound
        there = pinned_point(curve, guess, stride.tolerance, sense=1.0 if there.z[-1] > here.z[-1] else -1.0)
    good = there.converged and here.tangent @ there.tangent > np.cos(_SHARPEST)
    # A point far from its prediction may lie on another curve.
    far = np.linalg.norm(there.z - here.z - length * here.tangent) > 0.5 * length and not end
    return (there if good and not far else None), end


def _leaves(point: Point) -> bool:
    """Whether a point on an end of the range heads out of it."""
    return (point.z[-1] <= 0 and point.tangent[-1] < 0) or (point.z[-1] >= 1 and point.tangent[-1] > 0)


def _passes(curve: Curve, here: Point, there: Point, first: Point) -> bool:
    """Whether the first point of the curve lies between two neighbours on it, headed the same way."""
    step = there.z - here.z
    length = np.linalg.norm(step)
    if abs(first.z[-1] - here.z[-1]) > 1.5 * length or first.tangent @ there.tangent < np.cos(2 * _SHARPEST):
        return False
    way = curve.difference(first.z, here.z)
    along = float(way @ step) / length
    aside = np.linalg.norm(way - along / length * step)
    return 0 < along <= length and bool(aside < 0.1 * length)


def _longer(length: float, here: Point, there: Point, stride: Stride) -> float:
    angle = float(np.arccos(np.clip(here.tangent @ there.tangent, -1, 1)))
    factor = np.clip(_TURN / max(angle, 1e-3), 0.5, 2.0)
    if there.iterations > _EASY:
        factor = min(factor, 0.7)
    return float(np.clip(length * factor, stride.smallest, stride.largest))
