"""Block descent on convolutional resistive networks: whole layers settle exactly, odd and even in turn."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.convolutional import ConvolutionalNetwork, patches, windows
from circuits.elements.ideal_diode import IdealDiode
from circuits.nodes import FreeNode, IdealDiodeNode, Node, ShockleyNode
from physnet.precision import by_precision
from physnet.problem import Problem
from physnet.relaxers.base import SampleRelaxer, Solution

_SWEEPS = 4  # between two looks at the residual


class StageDescent(SampleRelaxer):
    """Sweeps over a `ConvolutionalNetwork`: hidden layers and outputs, then pooled nodes with their amplifiers.

    With its neighbours held a hidden node has a closed-form voltage (Lambert's W for a Shockley diode), and a pooled
    node and its amplifier are two linear equations, so that every half of a sweep takes the co-content to its exact
    minimum over those nodes (Scellier 2024, arXiv:2402.11674). It forms no matrix, so it takes networks of any size;
    it converges linearly, where `ProjectedNewton` is quadratic.

    tolerance: relative residual, sum of currents over sum of |currents|; 1e-10 in double and 1e-4 in single precision.
    max_sweeps: at most so many sweeps a phase.
    """

    tolerance: float | None = eqx.field(static=True, default=None)
    max_sweeps: int = eqx.field(static=True, default=4000)

    solves_displacement: ClassVar[bool] = False

    def tolerance_for(self, dtype):
        return by_precision(self.tolerance, dtype, double=1e-10, single=1e-4)

    def refuses(self, system, cost):
        if not isinstance(system, ConvolutionalNetwork):
            return "stage descent needs a ConvolutionalNetwork, whose layers settle exactly. Use ProjectedNewton()."
        if cost is not None and cost.curvature() is None:
            return (
                f"{type(cost).__name__} is not a quadratic cost, so a nudge by it is not a conductance. "
                "Use SquaredError(), or relaxer=ProjectedNewton()."
            )
        return None

    def solve_sample(self, problem: Problem, initial):
        network: ConvolutionalNetwork = problem.system
        tolerance = self.tolerance_for(network.weights.dtype)
        sources = network.sources(problem.inputs)
        drive = patches(sources, network.kernels[0].shape[0]) @ _matrix(network.kernels[0])

        def going(carry):
            _, relative, sweeps = carry
            return ~(relative <= tolerance) & (sweeps < self.max_sweeps) & ~jnp.isnan(relative)

        def body(carry):
            state, _, sweeps = carry
            state = jax.lax.fori_loop(0, _SWEEPS, lambda _, s: _sweep(network, problem.nudge, drive, s), state)
            return state, problem.certificate(state)[0], sweeps + _SWEEPS

        start = (initial, jnp.asarray(jnp.inf, drive.dtype), jnp.zeros((), jnp.int32))
        state, _, sweeps = jax.lax.while_loop(going, body, start)
        return Solution(state, sweeps)


def _sweep(network: ConvolutionalNetwork, nudge, drive: Array, state):
    """Hidden layers and outputs settle on the others, then pooled nodes and amplifiers on them."""
    state, depth, p = list(state), network.depth, network.pooling
    for i, kernel in enumerate(network.kernels):
        g = _matrix(kernel)
        inflow = drive if i == 0 else patches(state[3 * i - 1], kernel.shape[0]) @ g
        shape = inflow.shape
        inflow = inflow + network.pool_conductance * _unpooled(state[3 * i + 1], p)
        conductance = jnp.broadcast_to(jnp.sum(g, axis=0) + network.pool_conductance, shape)
        state[3 * i] = _hidden_node(network, shape, inflow.dtype).settle(inflow, conductance)
    inflow, conductance = state[-2].ravel() @ network.weights, jnp.sum(network.weights, axis=0)
    if nudge is not None:  # a conductance to the target
        pull = nudge.beta * nudge.cost.curvature()
        inflow, conductance = inflow + pull * nudge.target, conductance + pull
    state[-1] = inflow / conductance
    for i in range(depth):
        shape = state[3 * i + 2].shape
        if i + 1 < depth:
            onwards, load = _back(network.kernels[i + 1], state[3 * i + 3], shape)
        else:
            onwards, load = (x.reshape(shape) for x in (network.weights @ state[-1], jnp.sum(network.weights, axis=1)))
        inflow = network.pool_conductance * jnp.sum(windows(state[3 * i], p), axis=(1, 3))
        state[3 * i + 1], state[3 * i + 2] = _amplified(network, inflow, onwards, load)
    return tuple(state)


def _amplified(network, inflow, onwards, load):
    """(pooled, amplified) potentials, V. inflow, onwards: A, into either with it at 0 V. load: S, at the second."""
    g, gain = network.amplifier_conductance, network.amplifier_gain
    pool = network.pool_conductance * network.pooling**2
    pooled = ((g + load) * inflow + g * gain * onwards) / (pool * (g + load) + g * gain**2 * load)
    return pooled, (onwards + g * gain * pooled) / (g + load)


def _back(kernel, hidden, shape):
    """(current, A, from the hidden nodes of the next stage; conductance, S, to them) of each node before it."""
    _, transpose = jax.vjp(lambda u: patches(u, kernel.shape[0]), jnp.zeros(shape, hidden.dtype))
    g = _matrix(kernel)
    total = jnp.broadcast_to(jnp.sum(g, axis=1), (*hidden.shape[:2], g.shape[0]))
    return transpose(hidden @ g.T)[0], transpose(total)[0]


def _hidden_node(network: ConvolutionalNetwork, shape, dtype) -> Node:
    """The closed-form node problem of a hidden layer (see `circuits.nodes`)."""
    if network.diode is None:
        return FreeNode()
    down = jnp.broadcast_to(jnp.asarray(network.downwards(shape[-1])), shape)
    if isinstance(network.diode, IdealDiode):
        infinite, zero = jnp.full(shape, jnp.inf, dtype), jnp.zeros(shape, dtype)
        return IdealDiodeNode(jnp.where(down, -infinite, zero), jnp.where(down, zero, infinite))
    log_saturation = jnp.log(jnp.asarray(network.diode.saturation_current, dtype))
    thermal = jnp.asarray(network.diode.thermal_voltage, dtype)
    return ShockleyNode(jnp.where(down, 1, -1).astype(dtype), jnp.broadcast_to(log_saturation, shape), thermal)


def _matrix(kernel: Float[Array, "row column before after"]) -> Float[Array, "patch after"]:
    return kernel.reshape(-1, kernel.shape[3])


def _unpooled(pooled: Float[Array, "row column channel"], p: int) -> Float[Array, "row column channel"]:
    """Each pooled value at every node of its window."""
    return jnp.repeat(jnp.repeat(pooled, p, axis=0), p, axis=1)
