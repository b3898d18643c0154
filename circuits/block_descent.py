"""Block descent on layered networks: whole layers settle exactly, odd and even in turn.

With the other layers held, the nodes of one layer do not see each other, so each has a closed-form voltage and the
co-content falls to its exact minimum over that layer. Odd layers, then even layers, make one sweep (Scellier 2024,
arXiv:2402.11674). A nudged phase is solved for its displacement from the free phase: its own currents are then all
that single precision has to resolve.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from circuits.layered import LayeredNetwork
from circuits.nodes import Node
from physnet.equilibrium import Equilibrium
from physnet.nudge import Nudge
from physnet.precision import by_precision
from physnet.relaxers.base import Relaxer, Solution

Layers = Sequence[Float[Array, "_ _"]]


class LayerProblem(NamedTuple):
    """Layers of nodes that exchange currents; free or displaced, nudged or not, it is the same problem.

    couplings: S, between layer i and i + 1. drive: constant inflow, A, of each layer, None where there is none.
    conductance: total, S, of each node; below: its part to the layer before. nodes: closed form of each node. gross:
    about what flows into each node from the layer before with itself at 0 V, sum g |v|, A; None for a displacement. All
    but the couplings have a sample axis, of length 1 where samples share the values.
    """

    couplings: tuple[Float[Array, "before after"], ...]
    drive: tuple[Array | None, ...]
    conductance: tuple[Array, ...]
    below: tuple[Array, ...]
    nodes: tuple[Node, ...]
    gross: Layers | None = None

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


class _Sweeps(NamedTuple):
    """What is carried from sweep to sweep. Over layers, `settled` and `step` over those of the second half;
    inflows only of a free phase, whose nudged phases need them."""

    layers: Layers
    inflows: dict[int, Array]
    settled: Layers
    step: Layers
    residual: Float[Array, " sample"]
    sweeps: Int[Array, " sample"]
    count: Int[Array, ""]


class BlockDescent(Relaxer):
    """Sweeps over even and odd layers until no layer would still move.

    Each layer settles exactly on its neighbours; where the next sweep starts is extrapolated from the last two
    (Anderson 1965, doi:10.1145/321296.321305, depth one, for every sample by itself), which removes the slowest mode.

    tolerance: of the relative residual, currents out of balance over currents at the node; by default 1e-10 in double
    and 1e-4 in single precision. `relax` holds every node to it exactly; `fit` goes by an estimate (see `_residual`).
    nudged_tolerance: of a nudged phase, relative, currents out of balance over those of the displacement, estimated; by
    default 1e-10 and 1e-2. max_sweeps: at most so many sweeps a phase.
    """

    solves_displacement = True

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

    def solve(self, system, inputs, nudge, initial, reference, certify):
        dtype = inputs.dtype
        if reference is None:
            tolerance = self.tolerance_for(dtype)
            problem = _free_problem(system, inputs, nudge)._replace(gross=_gross_currents(system, inputs, initial))
            end = self._sweep(problem, initial, tolerance, None)
            if certify:
                limit = _imbalance_limit(system, inputs, end.layers, tolerance)
                end = self._sweep(problem, end.layers, tolerance, limit, end.sweeps)
            return Solution(end.layers, end.sweeps, None, end.residual, end.residual <= tolerance, end.inflows)
        tolerance = by_precision(self.nudged_tolerance, dtype, double=1e-10, single=1e-2)
        problem = _displaced_problem(system, inputs, nudge, reference)
        limit = _imbalance_limit(system, inputs, reference.state, self.tolerance_for(dtype)) if certify else None
        end = self._sweep(problem, _from_the_outputs(problem), tolerance, limit)
        state = jax.tree.map(jnp.add, reference.state, end.layers)
        return Solution(state, end.sweeps, end.layers, end.residual, end.residual <= tolerance)

    def _sweep(
        self, problem: LayerProblem, layers: Layers, tolerance: float, limit: Layers | None, sweeps=0
    ) -> _Sweeps:
        """Sweeps until every sample's residual is below the tolerance; a sample that is done no longer moves.

        limit: an imbalance, A, that no node may exceed either. sweeps: how many went before.

        The half sweep that ends with the output layer comes first. The other half then measures the state as it
        stands, all other layers being exactly at rest, before it moves.
        """
        last = len(layers) - 1
        first_half = [i for i in range(last + 1) if (last - i) % 2 == 0]
        second_half = [i for i in range(last + 1) if (last - i) % 2 == 1]

        def body(before: _Sweeps) -> _Sweeps:
            frozen = (before.residual <= tolerance)[:, None]
            layers, inflows = list(before.layers), dict(before.inflows)
            for i in first_half:
                inflow = problem.inflow(layers, i)
                settled = problem.nodes[i].settle(inflow, problem.conductance[i])
                layers[i] = jnp.where(frozen, layers[i], settled)
                if i in inflows:
                    inflows[i] = jnp.where(frozen, inflows[i], inflow)
            now, moved = jnp.zeros_like(before.residual), []
            for i in second_half:
                inflow = problem.inflow(layers, i)
                imbalance = jnp.abs(problem.nodes[i].imbalance(inflow, problem.conductance[i], layers[i]))
                now = jnp.maximum(now, _residual(problem, i, imbalance, layers))
                if limit is not None:
                    now = jnp.maximum(now, tolerance * jnp.max(_ratio(imbalance, limit[i]), axis=1))
                moved.append(problem.nodes[i].settle(inflow, problem.conductance[i]))
                if i in inflows:
                    inflows[i] = jnp.where(frozen, inflows[i], inflow)
            residual = jnp.where(frozen[:, 0], before.residual, now)
            step = [new - layers[i] for i, new in zip(second_half, moved)]
            done = (residual <= tolerance)[:, None]
            weight = _extrapolation(problem, second_half, step, before, now)
            for i, new, old in zip(second_half, moved, before.settled):
                start = problem.nodes[i].project(new + weight * (new - old))
                layers[i] = jnp.where(done, layers[i], start)
            sweeps = before.sweeps + ~frozen[:, 0]
            return _Sweeps(tuple(layers), inflows, tuple(moved), tuple(step), residual, sweeps, before.count + 1)

        def unfinished(now: _Sweeps):
            return jnp.any(~(now.residual <= tolerance)) & (now.count < self.max_sweeps)

        samples, dtype = layers[0].shape[0], layers[0].dtype
        zeros = tuple(jnp.zeros_like(layers[i]) for i in second_half)
        start = _Sweeps(
            tuple(layers),
            {} if problem.gross is None else {i: jnp.zeros_like(layer) for i, layer in enumerate(layers)},
            zeros,
            zeros,
            jnp.full((samples,), jnp.inf, dtype),
            jnp.zeros((samples,), jnp.int32) + sweeps,
            jnp.max(jnp.asarray(sweeps, jnp.int32), initial=0),
        )
        return jax.lax.while_loop(unfinished, body, start)


def _free_problem(system: LayeredNetwork, inputs: Array, nudge: Nudge | None) -> LayerProblem:
    drive = [None] * system.depth
    drive[0] = system.input_drive(inputs)
    conductance = [g[None] for g in system.node_conductance()]
    if nudge is not None:
        pull = nudge.beta[:, None] * nudge.cost.curvature()
        conductance[-1] = conductance[-1] + pull
        target = pull * nudge.target
        drive[-1] = target if drive[-1] is None else drive[-1] + target
    nodes = jax.tree.map(lambda leaf: leaf[None] if leaf.ndim else leaf, system.nodes())
    below = tuple(jnp.sum(g, axis=0)[None] for g in system.conductances)
    return LayerProblem(system.conductances[1:], tuple(drive), tuple(conductance), below, nodes)


def _gross_currents(system: LayeredNetwork, inputs: Array, state: Layers) -> Layers:
    """sum g |v| over the layer before, A, for every node: from the mean source for the first layer, whose sources are
    many and strong, and branch by branch for the others, whose lively neighbours may be few."""
    sources = system.input_gain * jnp.mean(jnp.abs(inputs), axis=1, keepdims=True)
    first = sources * jnp.sum(system.conductances[0], axis=0)[None]
    return (first, *(jnp.abs(voltage) @ g for voltage, g in zip(state, system.conductances[1:])))


def _displaced_problem(system: LayeredNetwork, inputs: Array, nudge: Nudge, free: Equilibrium) -> LayerProblem:
    """What is left of the network when the free phase's own balance is taken off: only the nudge drives it."""
    problem = _free_problem(system, inputs, None)
    nodes = []
    for i, (node, voltage) in enumerate(zip(problem.nodes, free.state)):
        inflow = problem.inflow(free.state, i) if free.memory is None else free.memory[i]
        nodes.append(node.displaced(voltage, inflow - problem.conductance[i] * voltage))
    pull = nudge.beta[:, None] * nudge.cost.curvature()
    drive = (*[None] * (system.depth - 1), pull * (nudge.target - free.state[-1]))
    conductance = (*problem.conductance[:-1], problem.conductance[-1] + pull)
    return LayerProblem(problem.couplings, drive, conductance, problem.below, tuple(nodes))


def _from_the_outputs(problem: LayerProblem) -> Layers:
    """A first guess of the displacement: the outputs answer to the nudge, each layer below to the one above it."""
    layers = [problem.nodes[-1].settle(problem.drive[-1], problem.conductance[-1])]
    for i in reversed(range(len(problem.couplings))):
        inflow = layers[0] @ problem.couplings[i].T
        layers.insert(0, problem.nodes[i].settle(inflow, problem.conductance[i]))
    return tuple(layers)


def _residual(problem: LayerProblem, i: int, imbalance: Array, layers: Layers) -> Float[Array, " sample"]:
    """Largest imbalance of a layer over the currents its nodes see, estimated.

    A free phase is driven from below: sum g |v_i - v_j| is at least sum g |v_i| - |v_j| sum g, but is taken as no less
    than a tenth of the first term. A displacement is measured against its own layer's mean. The exact sum of |currents|
    at every node would cost as much as many sweeps.
    """
    if problem.gross is None:
        size = problem.conductance[i] * jnp.mean(jnp.abs(layers[i]), axis=1, keepdims=True)
    else:
        gross = problem.gross[i]
        size = jnp.maximum(gross - problem.below[i] * jnp.abs(layers[i]), 0.1 * gross)
    return jnp.max(_ratio(imbalance, size), axis=1)


def _imbalance_limit(system: LayeredNetwork, inputs: Array, state: Layers, tolerance: float) -> Layers:
    """Half the tolerance of the exact sum of |currents| at every node, A: the other half is for what follows."""
    return jax.tree.map(lambda size: 0.5 * tolerance * size, jax.vmap(system.residual_scale)(state, inputs))


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, 0 where both are 0; NaN stays NaN."""
    return jnp.where(part == 0, 0, part / jnp.where(whole > 0, whole, jnp.finfo(whole.dtype).tiny))


def _extrapolation(problem, second_half, step, before: _Sweeps, residual: Array) -> Float[Array, "sample 1"]:
    """How far beyond its settled voltages the next sweep starts, in units of their change since the last sweep.

    The combination of the last two steps that is smallest in the norm of the energy, sum g step^2. None (0) in the
    first sweep, and none after a sweep that made the residual larger.
    """
    change = [new - old for new, old in zip(step, before.step)]
    weights = [problem.conductance[i] for i in second_half]
    along = sum(jnp.sum(g * new * c, axis=1) for g, new, c in zip(weights, step, change))
    size = sum(jnp.sum(g * c * c, axis=1) for g, c in zip(weights, change))
    usable = (size > 0) & jnp.isfinite(before.residual) & (residual < before.residual)
    return jnp.where(usable, jnp.clip(-along / jnp.where(usable, size, 1), 0, 10), 0)[:, None]
