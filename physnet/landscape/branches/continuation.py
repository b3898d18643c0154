"""follow_equilibrium(): how one equilibrium moves as a number varies."""

import numpy as np
from jaxtyping import PyTree

from physnet.errors import ConvergenceError, PhysnetError, require_instance
from physnet.landscape.branches.branch import Branch
from physnet.landscape.branches.corrector import Curve, tolerance_for
from physnet.landscape.branches.families import Family
from physnet.landscape.branches.point import Point, pinned_point
from physnet.landscape.branches.walk import Stride, walked
from physnet.landscape.equilibria import Equilibria

_ODD = 1e-6  # asymmetry of a Hessian beyond which what varies has broken the energy


def follow_equilibrium(
    family: Family,
    state: PyTree,
    start: float,
    stop: float,
    *,
    step: float = 0.05,
    size: float | None = None,
    max_points: int = 2000,
    to_fold: bool = False,
    tolerance: float | None = None,
    modes: int = 6,
) -> Branch:
    """Follows one equilibrium as a parameter goes from `start` towards `stop`, around folds and through crossings.

    Pseudo-arclength continuation (Keller 1977, in Applications of Bifurcation Theory, (m)): a step along the tangent of
    the curve R(s, p) = 0, then Newton's method in the plane across it, so that the curve may turn back in p. Steps
    shorten where it bends. Neutral modes are held; stable and unstable states are followed alike, with an energy or
    without. On the way it finds folds, pitchforks, transcritical crossings and, without an energy, Hopf points, each to
    about 1e-10 of the range. Two changes of stability within one step that undo each other go unseen.

    family: what varies, of `vary_input`, `vary_parameter` or `vary_beta`. state: an equilibrium at `start`, shaped like
    the system's state; it is corrected first. start, stop: in the parameter's unit; the branch ends where it leaves the
    range between them. step: longest step, as a share of that range and of `size` together. size: of a change of the
    state that matters, in its unit; a radian of phases, else the largest magnitude at the start, by default.
    max_points: longest branch. to_fold: end at the first fold. tolerance: relative residual of every point; 1e-10 in
    double and 1e-4 in single precision. modes: how many of the lowest curvatures to keep.
    Raises PhysnetError for values that the parameter cannot have and systems with bounds, ConvergenceError where
    `state` leads to no equilibrium at `start`.
    """
    stride = Stride(largest=step, max_points=max_points, tolerance=tolerance, to_fold=to_fold)
    check_range(family, start, stop, "follow_equilibrium")
    vector = np.asarray(family.base.vector(state), float)
    curve = Curve.through(family, vector[None], start, stop, size)
    first = beginning(curve, family, vector, start, stride, "follow_equilibrium")
    return Branch.of(family, curve, walked(curve, first, first.tangent, stride), modes)


def check_range(family: Family, start: float, stop: float, where: str) -> None:
    """Raises PhysnetError unless the parameter can go from start to stop."""
    require_instance(family, Family, f"{where}: family")
    for value in (start, stop):
        family.check(float(value), where)
    if start == stop:
        raise PhysnetError(f"{where}: start and stop are both {start:.6g} {family.variable.units}; give a range.")


def vectors_of(family: Family, states, where: str) -> np.ndarray:
    """Starting states as vectors (state, coordinate). Raises PhysnetError where there is none."""
    if isinstance(states, Equilibria):
        vectors = np.asarray(states.vector, float)
    else:
        vectors = np.array([np.asarray(family.base.vector(state), float) for state in states])
    if not len(vectors):
        raise PhysnetError(f"{where}: no state to start from; give what find_equilibria or relax finds.")
    return vectors.reshape(-1, family.base.size)


def beginning(curve: Curve, family: Family, vector: np.ndarray, value: float, stride: Stride, where: str) -> Point:
    """The equilibrium next to a state's vector at this value. Raises ConvergenceError, PhysnetError."""
    point = pinned_point(curve, curve.z(vector, value), stride.tolerance)
    known, chart = family.variable, family.base
    if not point.converged:
        raise ConvergenceError(
            f"{where}: no equilibrium of {type(chart.system).__name__} next to the given state at {known.name} = "
            f"{value:.6g} {known.units}: relative residual {point.residual:.3g} > "
            f"{tolerance_for(chart.dtype, stride.tolerance):.3g}. Start from what relax() or find_equilibria() gives "
            "at this value; a state exactly at a fold, or with an undeclared flat direction, cannot be followed."
        )
    if chart.has_energy and point.asymmetry > _ODD:
        raise PhysnetError(
            f"{where}: with {known.name} changed alone, the forces of {type(chart.system).__name__} derive from no "
            f"energy: the Hessian is off symmetry by {point.asymmetry:.3g}. Vary what belongs together, by a mask: "
            "both entries W_ij and W_ji of a symmetric matrix."
        )
    return point
