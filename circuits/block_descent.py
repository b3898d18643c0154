"""Block descent on layered networks: whole layers settle exactly, odd and even in turn.

With the other layers held, the nodes of one layer do not see each other, so each has a closed-form voltage and the
co-content falls to its exact minimum over that layer. Odd layers, then even layers, make one sweep (Scellier 2024,
arXiv:2402.11674). A nudged phase is solved for its displacement from the free phase: its own currents are then all
that single precision has to resolve.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from circuits.layered import LayeredNetwork
from circuits.nodes import FreeNode, Node
from physnet.precision import by_precision
from physnet.relaxers.base import Relaxer, Solution

Layers = tuple[Float[Array, "sample node"], ...]


class LayerProblem(NamedTuple):
    """Layers of nodes that exchange currents; free or displaced, nudged or not, it is the same problem.

    couplings: S, between layer i and i + 1. drive: constant inflow, A, of each layer, None where there is none.
    conductance: total, S, of each node. nodes: closed form of each node. size: A, what the imbalance of a layer is
    measured against.
    """

    couplings: tuple[Float[Array, "before after"], ...]
    drive: tuple[Array | None, ...]
    conductance: tuple[Array, ...]
    nodes: tuple[Node, ...]

    def inflow(self, layers: Layers, i: int) -> Float[Array, "sample node"]:
        """Current, A, into the nodes of layer i from everything they are tied to, with themselves at 0 V."""
        terms = []
        if i > 0:
            terms.append(layers[i - 1] @ self.couplings[i - 1])
        if i < len(self.couplings):
            terms.append(layers[i + 1] @ self.couplings[i].T)
        if self.drive[i] is not None:
            terms.append(self.drive[i])
        return sum(terms[1:], terms[0])


class BlockDescent(Relaxer):
    """Sweeps over odd and even layers until no node's currents are out of balance.

    tolerance: relative residual of the free phase (currents out of balance over currents at the node); by default 1e-10
    in double and 1e-4 in single precision. nudged_tolerance: the same for the currents of the displacement, over the
    largest of its layer; by default 1e-10 and 1e-3. max_sweeps: at most so many sweeps a phase.
    """

    tolerance: float | None = eqx.field(static=True, default=None)
    nudged_tolerance: float | None = eqx.field(static=True, default=None)
    max_sweeps: int = eqx.field(static=True, default=1000)

    def tolerance_for(self, dtype):
        return by_precision(self.tolerance, dtype, double=1e-10, single=1e-4)

    def refuses(self, system, cost):
        if not isinstance(system, LayeredNetwork):
            return "block descent needs a LayeredNetwork, whose layers settle exactly. Use ProjectedNewton()."
        if cost is not None and cost.curvature() is None:
            return (
                f"{type(cost).__name__} is not a quadratic cost, so a nudge by it is not a conductance. "
                "Use SquaredError(), or relaxer=ProjectedNewton()."
            )
        return None

    def solve(self, system, inputs, nudge, initial, reference):
        dtype = inputs.dtype
        if reference is None:
            problem = self._free_problem(system, inputs, nudge)
            size = _current_sizes(system, inputs, initial)
            layers, residual, sweeps = self._sweep(problem, initial, size, self.tolerance_for(dtype))
            return Solution(layers, sweeps, None, residual, residual <= self.tolerance_for(dtype))
        tolerance = by_precision(self.nudged_tolerance, dtype, double=1e-10, single=1e-3)
        problem = self._displaced_problem(system, inputs, nudge, reference)
        displacement, residual, sweeps = self._sweep(problem, _from_the_outputs(problem, reference), None, tolerance)
        state = jax.tree.map(jnp.add, reference, displacement)
        return Solution(state, sweeps, displacement, residual, residual <= tolerance)

    def _free_problem(self, system, inputs, nudge):
        drive = [None] * system.depth
        drive[0] = system.input_drive(inputs)
        conductance = list(system.node_conductance())
        if nudge is not None:
            pull = nudge.beta[:, None] * nudge.cost.curvature()
            conductance[-1] = conductance[-1][None, :] + pull
            target = pull * nudge.target
            drive[-1] = target if drive[-1] is None else drive[-1] + target
        return LayerProblem(system.conductances[1:], tuple(drive), tuple(conductance), system.nodes())

    def _displaced_problem(self, system, inputs, nudge, reference):
        """What is left of the network when the free phase's own balance is taken off: only the nudge drives it."""
        free = self._free_problem(system, inputs, None)
        nodes = []
        for i, node in enumerate(free.nodes):
            if isinstance(node, FreeNode):
                nodes.append(node)
            else:
                imbalance = free.inflow(reference, i) - free.conductance[i] * reference[i]
                nodes.append(node.displaced(reference[i], imbalance))
        pull = nudge.beta[:, None] * nudge.cost.curvature()
        drive = (*[None] * (system.depth - 1), pull * (nudge.target - reference[-1]))
        conductance = (*free.conductance[:-1], free.conductance[-1][None, :] + pull)
        return LayerProblem(free.couplings, drive, conductance, tuple(nodes))

    def _sweep(self, problem: LayerProblem, layers: Layers, size, tolerance: float):
        """Sweeps until every sample's residual is below the tolerance; a sample that is done no longer moves.

        The half sweep that ends with the output layer comes first; the other half then measures the residual of the
        state as it stands, all other layers being exactly at rest, before it moves.
        """
        last = len(layers) - 1
        first_half = [i for i in range(last + 1) if (last - i) % 2 == 0]
        second_half = [i for i in range(last + 1) if (last - i) % 2 == 1]
        samples = layers[0].shape[0]

        def residual_of(i, inflow, voltage):
            imbalance = jnp.abs(problem.nodes[i].imbalance(inflow, problem.conductance[i], voltage))
            if size is None:
                largest = jnp.max(problem.conductance[i] * jnp.abs(voltage), axis=1)
                return _ratio(jnp.max(imbalance, axis=1), largest)
            return jnp.max(_ratio(imbalance, size[i]), axis=1)

        def body(carry):
            layers, residual, sweeps, count = carry
            frozen = residual <= tolerance
            layers = list(layers)
            for i in first_half:
                settled = problem.nodes[i].settle(problem.inflow(layers, i), problem.conductance[i])
                layers[i] = jnp.where(frozen[:, None], layers[i], settled)
            now, moved = jnp.zeros_like(residual), {}
            for i in second_half:
                inflow = problem.inflow(layers, i)
                now = jnp.maximum(now, residual_of(i, inflow, layers[i]))
                moved[i] = problem.nodes[i].settle(inflow, problem.conductance[i])
            residual = jnp.where(frozen, residual, now)
            for i, settled in moved.items():
                layers[i] = jnp.where((residual <= tolerance)[:, None], layers[i], settled)
            return tuple(layers), residual, sweeps + ~frozen, count + 1

        def unfinished(carry):
            _, residual, _, count = carry
            return jnp.any(~(residual <= tolerance)) & (count < self.max_sweeps)

        infinite = jnp.full((samples,), jnp.inf, layers[0].dtype)
        carry = (tuple(layers), infinite, jnp.zeros((samples,), jnp.int32), jnp.zeros((), jnp.int32))
        layers, residual, sweeps, _ = jax.lax.while_loop(unfinished, body, carry)
        return layers, residual, sweeps


def _from_the_outputs(problem: LayerProblem, reference: Layers) -> Layers:
    """A first guess of the displacement: the outputs answer to the nudge, each layer below to the one above it."""
    layers = [problem.nodes[-1].settle(problem.drive[-1], problem.conductance[-1])]
    for i in reversed(range(len(reference) - 1)):
        inflow = layers[0] @ problem.couplings[i].T
        layers.insert(0, problem.nodes[i].settle(inflow, problem.conductance[i]))
    return tuple(layers)


def _current_sizes(system: LayeredNetwork, inputs: Array, state: PyTree) -> Layers:
    """A lower bound of sum |branch currents|, A, at every node near this state: sum g |v_i| - |v_j| sum g from below.

    One product with the conductances where the exact sum needs every branch of every sample.
    """
    positive, negative = jnp.split(system.conductances[0], 2)
    gross = [system.input_gain * (jnp.abs(inputs) @ (positive + negative))]
    gross += [jnp.abs(v) @ g for v, g in zip(state, system.conductances[1:])]
    below = [jnp.sum(g, axis=0) for g in system.conductances]
    return tuple(jnp.abs(total - g * jnp.abs(v)) for total, g, v in zip(gross, below, state))


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, 0 where both are 0; NaN stays NaN."""
    return jnp.where(part == 0, 0, part / jnp.where(whole > 0, whole, jnp.finfo(whole.dtype).tiny))
