"""What every relaxer is: something that takes a problem to its steady state, or says why it cannot."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int, PyTree

from physnet.cost import Cost
from physnet.nudge import Nudge
from physnet.problem import Problem
from physnet.system import System

if TYPE_CHECKING:
    from physnet.equilibrium import Equilibrium


class Solution(eqx.Module):
    """What a relaxer hands back; `settle` adds the certificate.

    state: the steady state. steps: iterations spent. displacement: state minus reference, where the relaxer solved for
    it directly and so knows it to full relative precision; None otherwise. residual: the relaxer's own measure of the
    relative residual. settled: whether it met its own tolerance; both are used where the exact certificate is not asked
    for, and None if it keeps none. memory: what the relaxer can use again in the nudged phases that start from this
    state. strategy: which of the relaxer's `strategies` found it; None for a relaxer that has one.
    """

    state: PyTree
    steps: Int[Array, " *sample"]
    displacement: PyTree | None = None
    residual: Float[Array, " *sample"] | None = None
    settled: Bool[Array, " *sample"] | None = None
    memory: PyTree | None = None
    strategy: Int[Array, " *sample"] | None = None


class Relaxer(eqx.Module):
    """Finds steady states for a batch of samples, each frozen at its own tolerance.

    Methods take these. system: the system to settle. cost: what nudges its outputs, None for a free phase. dtype: the
    floating type of its numbers.
    """

    # Whether a nudged phase is solved for its displacement from the free state, so that a nudge much stiffer than the
    # system holds its outputs to full relative precision.
    solves_displacement: ClassVar[bool] = False
    # Names of the ways in which it may find a state, for `Equilibrium.strategy`.
    strategies: ClassVar[tuple[str, ...]] = ()

    def for_complex_states(self) -> "Relaxer":
        """What settles the complex phases of a holomorphic nudging: plain Newton, started next to where it ends."""
        from physnet.relaxers.newton import Newton

        return Newton()

    @abstractmethod
    def tolerance_for(self, dtype) -> float:
        """The relative residual, dimensionless, below which a state of this precision counts as steady."""

    @abstractmethod
    def refuses(self, system: System, cost: Cost | None) -> str | None:
        """Why this relaxer cannot take this system (nudged by this cost), and what to use; None if it can."""

    @abstractmethod
    def solve(
        self,
        system: System,
        inputs: Array,
        nudge: Nudge | None,
        initial: PyTree,
        reference: "Equilibrium | None",
        certify: bool,
    ) -> Solution:
        """Relaxes a batch. Everything has a leading sample axis.

        inputs: (sample, input), in the unit of the system's inputs. nudge: of each sample, or None for a free phase.
        initial: where to start, shaped like the system's state. reference: the free phase, for a nudged one; None for a
        free one. certify: the exact relative residual will be held to the tolerance, not only the relaxer's own
        measure.
        """


class SampleRelaxer(Relaxer):
    """A relaxer written for one sample; samples (each stopping by itself) are added by vmap."""

    @abstractmethod
    def solve_sample(self, problem: Problem, initial: PyTree) -> Solution:
        """Relaxes one sample.

        problem: a system, its inputs and perhaps a nudge. initial: where to start, shaped like the system's state.
        """

    def solve(self, system, inputs, nudge, initial, reference, certify):
        def one(inputs, nudge, initial):
            return self.solve_sample(Problem(system, inputs, nudge), initial)

        return jax.vmap(one)(inputs, nudge, initial)
