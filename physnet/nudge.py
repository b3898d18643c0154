"""One nudged phase: what pulls on the outputs, and how hard."""

import equinox as eqx
from jaxtyping import Array, Inexact, PyTree

from physnet.cost import Cost


class Nudge(eqx.Module):
    """One nudged phase of one sample: the force -beta dC/ds that pulls the outputs towards the target.

    cost: the cost. target: (output,), in the outputs' unit. beta: scalar, in units of energy over cost, positive
    towards the target; complex inside a holomorphic gradient only. anchor: for a system without an energy, the free
    state about which its response is made reciprocal (`CorrectedRule`); None for none. metric: `System.metric` at the
    free state.
    """

    cost: Cost
    target: Inexact[Array, " *sample output"]
    beta: Inexact[Array, " *sample"]
    anchor: PyTree | None = None
    metric: PyTree | None = None
