"""A branch: how one equilibrium moves as a number varies, and where it turns, splits or loses its stability."""

from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from physnet.errors import PhysnetError
from physnet.landscape.branches.corrector import Curve
from physnet.landscape.branches.families import Family
from physnet.landscape.branches.point import pinned_point
from physnet.landscape.branches.special import SpecialPoint
from physnet.landscape.branches.walk import CLOSED, Walk


@dataclass(frozen=True)
class Branch:
    """Equilibria along one curve, in its order.

    family: what varies. value: (point,), the parameter, in its unit. vector: (point, coordinate), the states, in their
    unit; phases go on beyond a period where the curve does. arc_length: (point,), of the curve in scaled coordinates,
    dimensionless. outputs: (point, output), in their unit. energy: (point,), of the system, in its unit, NaN without
    one. residual: (point,), relative, imbalance: (point,), the largest residual in its unit, converged: (point,),
    whether the tolerance was met: the certificate. index: (point,), the number of directions in which the state is
    unstable, flat: (point,), the number of those neither stable nor unstable. curvature: (point, mode), the lowest
    ones, in the residual's unit over the state's, or minus the growth rates, s-1, where there is no energy, ascending.
    special: the special points, in order; after: (special,), the number of the point before each. ended: why it goes no
    further: "end of the range", "closed", "fold" where that was asked for, "max_points", or "lost" where steps would
    have become too short; two of them where it was followed both ways. curve, walk: the scaled coordinates and the
    steps taken in them.
    """

    family: Family
    value: np.ndarray
    vector: np.ndarray
    arc_length: np.ndarray
    outputs: np.ndarray
    energy: np.ndarray
    residual: np.ndarray
    imbalance: np.ndarray
    converged: np.ndarray
    index: np.ndarray
    flat: np.ndarray
    curvature: np.ndarray
    special: tuple[SpecialPoint, ...]
    after: tuple[int, ...]
    ended: str
    walk: Walk = field(repr=False)
    curve: Curve = field(repr=False)

    @classmethod
    def of(cls, family: Family, curve: Curve, walk: Walk, modes: int) -> "Branch":
        """What a walk found, in the units of the system.

        family, curve, walk: what varies, its scaled coordinates, the steps taken. modes: how many curvatures to keep.
        """
        points = walk.points
        z = np.stack([point.z for point in points])
        steps = np.linalg.norm(np.diff(z, axis=0), axis=1)
        numbers = ("outputs", "energy", "residual", "imbalance", "converged", "index", "flat")
        return cls(
            family=family,
            value=curve.value(z),
            vector=curve.vector(z),
            arc_length=np.concatenate([[0.0], np.cumsum(steps)]),
            **{name: np.array([getattr(point, name) for point in points]) for name in numbers},
            curvature=np.stack([point.eigenvalues.real[:modes] for point in points]),
            special=tuple(special for _, special in walk.specials),
            after=tuple(number for number, _ in walk.specials),
            ended=walk.ended,
            walk=walk,
            curve=curve,
        )

    def __len__(self) -> int:
        return len(self.value)

    @property
    def stable(self) -> np.ndarray:
        """(point,), whether nothing grows and nothing is neither growing nor decaying."""
        return (self.index == 0) & (self.flat == 0)

    def state(self, number: int) -> PyTree:
        """The state at one point, as `relax(initial=...)` and `energy` take it. number: of the point, from 0."""
        return self.family.base.state(jnp.asarray(self.vector[number], self.family.base.dtype))

    def at(self, value: float) -> tuple[np.ndarray, np.ndarray]:
        """(states (state, coordinate), indices (state,)) of this branch where the parameter has this value.

        value: in the parameter's unit; states are in the unit of the state. Found by Newton's method from between the
        neighbouring points. Raises PhysnetError where it fails, at a fold.
        """
        above = self.value >= value
        crossing = np.flatnonzero(above[1:] != above[:-1])
        z = [point.z for point in self.walk.points]
        # A branch that begins or ends here without passing.
        found = [self.walk.points[end] for end, next_one in ((0, 1), (-1, -2)) if self._touches(value, end, next_one)]
        for k in crossing:
            guess = z[k] + (value - self.value[k]) / (self.value[k + 1] - self.value[k]) * (z[k + 1] - z[k])
            point = pinned_point(self.curve, guess, None)
            if not point.converged:
                known = self.family.variable
                raise PhysnetError(
                    f"Branch: at {known.name} = {value:.6g} {known.units} it has no state that Newton's method finds "
                    f"(residual {point.residual:.3g}); next to a fold there is none. Ask a little further away."
                )
            found.append(point)
        vectors = np.array([self.curve.vector(point.z) for point in found]).reshape(-1, self.vector.shape[1])
        return vectors, np.array([point.index for point in found], int)

    def _touches(self, value, end, neighbour) -> bool:
        return self.ended != CLOSED and self.value[end] == value and self.value[neighbour] >= value

    def __str__(self):
        known = self.family.variable
        lines = [
            f"{len(self)} equilibria of {type(self.family.base.system).__name__} along {known.name}, from "
            f"{self.value[0]:.6g} to {self.value[-1]:.6g} {known.units} ({self.ended})"
        ]
        for point in self.special:
            lines.append(
                f"  {point.kind} at {point.value:.10g} {known.units}, index {point.index_before} to {point.index_after}"
            )
        return "\n".join(lines)

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset with the dims point, mode, special and those of the state.

        attributes: as for `physnet.to_dataset`.
        """
        from physnet.landscape.branches.datasets import branches_dataset

        return branches_dataset([self], **attributes)
