"""bifurcation_diagram(): all equilibria that hang together as a number varies, whatever their stability."""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.branches.branch import Branch
from physnet.landscape.branches.continuation import beginning, check_range, vectors_of
from physnet.landscape.branches.corrector import Curve
from physnet.landscape.branches.families import Family
from physnet.landscape.branches.point import Point, corrected_point
from physnet.landscape.branches.special import SpecialPoint
from physnet.landscape.branches.walk import CLOSED, Stride, Walk, walked

_SAME = 1e-6  # of the scaled state: what is nearer lies on the same curve


@dataclass(frozen=True)
class Diagram:
    """Branches that start from given equilibria, and those that leave them at pitchforks and transcritical crossings.

    Each curve is there once, and each special point on one of the branches that meet there.

    family: what varies. branches: the curves. complete: whether every branch that was found was followed
    (`max_branches`).
    """

    family: Family
    branches: tuple[Branch, ...]
    complete: bool

    def __len__(self) -> int:
        return len(self.branches)

    @property
    def special(self) -> tuple[SpecialPoint, ...]:
        """Every special point once, ascending in the parameter."""
        return tuple(sorted((p for branch in self.branches for p in branch.special), key=lambda p: p.value))

    def at(self, value: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(states (state, coordinate), indices (state,), branches (state,)) where the parameter has this value.

        value: in the parameter's unit; states are in the unit of the state. Raises PhysnetError at a fold, where
        Newton's method finds nothing.
        """
        found = [branch.at(value) for branch in self.branches]
        number = np.repeat(np.arange(len(found)), [len(index) for _, index in found])
        return np.concatenate([v for v, _ in found]), np.concatenate([i for _, i in found]), number

    def __str__(self):
        return "\n".join(f"branch {number}: {branch}" for number, branch in enumerate(self.branches))

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset with the dims point, mode, special and those of the state.

        attributes: as for `physnet.to_dataset`.
        """
        from physnet.landscape.branches.datasets import branches_dataset

        return branches_dataset(self.branches, **attributes)


def bifurcation_diagram(
    family: Family,
    states,
    start: float,
    stop: float,
    *,
    at: float | None = None,
    step: float = 0.05,
    size: float | None = None,
    max_points: int = 2000,
    max_branches: int = 100,
    tolerance: float | None = None,
    modes: int = 6,
) -> Diagram:
    """Follows equilibria both ways through a range of a parameter, and every branch that leaves them at a crossing.

    At a pitchfork or a transcritical point two curves cross; the second leaves along the other null direction of the
    Jacobian there, which is found from second derivatives (`SpecialPoint.emerging`). Branches that hang together with
    none of the given states are not found: give states from a search, at several values if need be. Points where
    several directions soften at once (kind "multiple") are marked, and not branched from. Where equilibria form a line
    at one value of the parameter, the branch runs along it.

    family: what varies, of `vary_input`, `vary_parameter` or `vary_beta`. states: `Equilibria`, or states shaped like
    the system's, that rest where the parameter has the value `at`. at: in the parameter's unit, `start` by default.
    start, stop: the range, in the parameter's unit. size: as for `follow_equilibrium`, from the largest of the states
    by default. max_branches: where to stop; see `Diagram.complete`. Other arguments and errors as for
    `follow_equilibrium`.
    """
    where, value = "bifurcation_diagram", start if at is None else at
    stride = Stride(largest=step, max_points=max_points, tolerance=tolerance)
    check_range(family, start, stop, where)
    if not min(start, stop) <= value <= max(start, stop):
        raise PhysnetError(
            f"{where}: at is {value:.6g} {family.variable.units}, outside the range from {start:.6g} to {stop:.6g}."
        )
    vectors = vectors_of(family, states, where)
    curve = Curve.through(family, vectors, start, stop, size)
    branches: list[Branch] = []
    waiting: deque[SpecialPoint] = deque()

    def add(walk):
        if len(walk.points) == 1:  # what leaves cannot be followed: several curves leave at once
            return
        branch = _without_known(curve, Branch.of(family, curve, walk, modes), branches)
        branches.append(branch)
        waiting.extend(branch.special)

    complete = True
    for vector in vectors:
        first = beginning(curve, family, vector, value, stride, where)
        if _covered(curve, branches, first, stride):
            continue
        if len(branches) == max_branches:
            complete = False
            break
        add(_both_ways(curve, first, first.tangent, stride, from_crossing=False))
    while waiting and len(branches) < max_branches:
        special = waiting.popleft()
        for direction in special.emerging:
            if not _known(curve, branches, special.point, direction, stride):
                add(_both_ways(curve, special.point, direction, stride, from_crossing=True))
    return Diagram(family, tuple(branches), complete and not waiting)


def _both_ways(curve: Curve, first: Point, heading: np.ndarray, stride: Stride, *, from_crossing: bool) -> Walk:
    onwards = walked(curve, first, heading, stride, from_crossing=from_crossing)
    if onwards.ended == CLOSED:
        return onwards
    return walked(curve, first, -heading, stride, from_crossing=from_crossing).joined(onwards)


def _known(curve: Curve, branches, crossing: Point, direction: np.ndarray, stride: Stride) -> bool:
    """Whether the branch that leaves a crossing was followed already, or lies outside the range."""
    for way in (direction, -direction):
        length = 0.2 * stride.largest
        point = corrected_point(curve, crossing.z + length * way, way, stride.tolerance)
        inside = point.converged and 0 <= point.z[-1] <= 1
        if inside and not _covered(curve, branches, point, stride):
            return False
    return True


def _covered(curve: Curve, branches, point: Point, stride: Stride) -> bool:
    """Whether a point lies on one of the branches: from its nearest neighbours there the corrector leads to it."""
    for branch in branches:
        there = branch.walk.points
        way = curve.difference(point.z, np.stack([p.z for p in there]))
        distance = np.linalg.norm(way, axis=1)
        for k in np.argsort(distance)[:3]:
            if distance[k] > 2 * stride.largest or there[k].flat:
                continue
            along = float(way[k] @ there[k].tangent)
            guess = there[k].z + along * there[k].tangent
            reached = corrected_point(curve, guess, there[k].tangent, stride.tolerance)
            if reached.converged and np.linalg.norm(curve.difference(point.z, reached.z)) < _SAME:
                return True
    return False


def _without_known(curve: Curve, branch: Branch, branches) -> Branch:
    """The branch without special points that others found already."""
    known = np.array([p.point.z for other in branches for p in other.special])
    if not len(known):
        return branch
    fresh = [
        (number, special)
        for number, special in zip(branch.after, branch.special, strict=True)
        if np.linalg.norm(curve.difference(special.point.z, known), axis=1).min() > _SAME
    ]
    return replace(branch, special=tuple(s for _, s in fresh), after=tuple(n for n, _ in fresh))
