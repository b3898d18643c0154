"""nudged_landscape(): what becomes of free equilibria as a nudge grows, and how far each can be nudged at all."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physnet.cost import Cost
from physnet.errors import PhysnetError
from physnet.landscape.branches.branch import Branch
from physnet.landscape.branches.continuation import beginning, check_range, vectors_of
from physnet.landscape.branches.corrector import Curve
from physnet.landscape.branches.families import vary_beta
from physnet.landscape.branches.walk import END, Stride, Walk, walked
from physnet.system import System
from physnet.variable import Variable

_NOTHING = "none"


@dataclass(frozen=True)
class NudgedLandscape:
    """Each free equilibrium under a nudge from the lowest to the highest beta that it bears.

    branches: (equilibrium,), along beta, ascending, through the free state, to the first fold each way. cost: of each
    branch, (point,), in cost_units. cost_units: the unit of the cost. highest, lowest: (equilibrium,), the beta next to
    0 at which the equilibrium vanishes or its stability changes, in units of energy over cost; NaN where it does
    neither within the range. There, and nowhere beyond, ends what Equilibrium Propagation can read off it.
    highest_kind, lowest_kind: (equilibrium,), names of what happens: the kind of `SpecialPoint`, "none", or "lost" and
    "max_points" where the branch could not be followed.
    """

    branches: tuple[Branch, ...]
    cost: tuple[np.ndarray, ...]
    cost_units: str
    highest: np.ndarray
    lowest: np.ndarray
    highest_kind: np.ndarray
    lowest_kind: np.ndarray

    def __len__(self) -> int:
        return len(self.branches)

    def __str__(self):
        units = self.branches[0].family.variable.units
        lines = [f"{len(self)} equilibria under a nudge, beta in {units}"]
        for k in range(len(self)):
            lines.append(
                f"{k:>4} free index {self._free_index(k)}, from {self.lowest[k]:.8g} ({self.lowest_kind[k]}) to "
                f"{self.highest[k]:.8g} ({self.highest_kind[k]})"
            )
        return "\n".join(lines)

    def _free_index(self, number: int) -> int:
        branch = self.branches[number]
        return int(branch.index[np.argmin(np.abs(branch.value))])

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset: the branches on dims point and special, how far each goes on dim equilibrium.

        attributes: as for `physnet.to_dataset`.
        """
        from physnet.landscape.branches.datasets import branches_dataset

        family, one = self.branches[0].family, ("equilibrium",)
        units, costs = family.variable.units, np.concatenate(self.cost)
        variables = [
            (Variable("cost", ("point",), self.cost_units, "cost of the outputs against the target"), costs),
            (Variable("highest_beta", one, units, "beta above 0 where it ends; NaN for nowhere"), self.highest),
            (Variable("lowest_beta", one, units, "beta below 0 where it ends; NaN for nowhere"), self.lowest),
        ]
        coords = [
            (Variable("highest_kind", one, "1", "what happens at the highest beta"), self.highest_kind),
            (Variable("lowest_kind", one, "1", "what happens at the lowest beta"), self.lowest_kind),
        ]
        title = f"Equilibria of {type(family.base.system).__name__} under a nudge"
        return branches_dataset(self.branches, variables, coords=coords, **({"default_title": title} | attributes))


def nudged_landscape(
    system: System,
    inputs=None,
    *,
    cost: Cost,
    target,
    betas: tuple[float, float],
    equilibria,
    step: float = 0.05,
    size: float | None = None,
    max_points: int = 2000,
    tolerance: float | None = None,
    modes: int = 6,
) -> NudgedLandscape:
    """Follows free equilibria as F = E + beta C is nudged, to the beta at which each vanishes or loses its stability.

    Positive beta pulls the outputs towards the target, negative pushes them away, which a double well bears less: a
    memory that vanishes in a fold at beta* takes every nudged phase beyond it to another memory, and the gradient with
    it. An unstable free state is followed as well; "stability changes" then means that its index does.

    system: with an energy or without. inputs (input,): held, in their unit; the default ones by default. cost: of the
    outputs. target (output,): in the outputs' unit. betas: (lowest, highest), in units of energy over cost, lowest <= 0
    <= highest. equilibria: free ones, `Equilibria` or states shaped like the system's. Other arguments and errors as
    for `follow_equilibrium`. Raises PhysnetError for betas that leave out 0.
    """
    where = "nudged_landscape"
    family = vary_beta(system, inputs, cost=cost, target=target)
    start, stop = (float(beta) for beta in betas)
    check_range(family, start, stop, where)
    if not start <= 0 <= stop:
        raise PhysnetError(
            f"{where}: betas are {start:.6g} to {stop:.6g} {family.variable.units}; give (lowest, highest) with "
            "lowest <= 0 <= highest: free states are followed from beta = 0."
        )
    stride = Stride(largest=step, max_points=max_points, tolerance=tolerance, to_fold=True)
    vectors = vectors_of(family, equilibria, where)
    curve = Curve.through(family, vectors, start, stop, size)
    branches, ends = [], []
    for vector in vectors:
        first = beginning(curve, family, vector, 0.0, stride, where)
        up = walked(curve, first, first.tangent, stride)
        down = walked(curve, first, -first.tangent, stride)
        branches.append(Branch.of(family, curve, down.joined(up), modes))
        ends.append((*_reach(curve, up), *_reach(curve, down)))
    highest, highest_kind, lowest, lowest_kind = (np.array(column) for column in zip(*ends, strict=True))
    aim = family.base.problem.nudge.target
    return NudgedLandscape(
        branches=tuple(branches),
        cost=tuple(np.asarray(_costs(cost, jnp.asarray(branch.outputs), aim)) for branch in branches),
        cost_units=cost.units(system.output_variable.units),
        highest=highest,
        lowest=lowest,
        highest_kind=highest_kind,
        lowest_kind=lowest_kind,
    )


def _reach(curve: Curve, walk: Walk) -> tuple[float, str]:
    """(beta of the first thing that happens, NaN for nothing; what it is)."""
    if walk.specials:
        first = walk.specials[0][1]
        return first.value, first.kind
    if walk.ended == END:
        return np.nan, _NOTHING
    return float(curve.value(walk.points[-1].z)), walk.ended


def _costs(cost: Cost, outputs: Float[Array, "point output"], target: Float[Array, " output"]):
    return jax.vmap(lambda one: cost(one, target))(outputs)
