"""Exponential elements made gentle, for cold starts only: the law continued linearly beyond a knee."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.elements import Element


class Limited(Element):
    """`inner` up to `limit` (V), and its tangent there beyond: still convex, and never infinite."""

    inner: Element
    limit: Float[Array, " element"]

    @property
    def kind(self):
        return self.inner.kind

    def current(self, voltage):
        inside, beyond = jnp.minimum(voltage, self.limit), jnp.maximum(voltage - self.limit, 0)
        return self.inner.current(inside) + self.inner.differential_conductance(self.limit) * beyond

    def differential_conductance(self, voltage):
        return self.inner.differential_conductance(jnp.minimum(voltage, self.limit))

    def cocontent(self, voltage):
        inside, beyond = jnp.minimum(voltage, self.limit), jnp.maximum(voltage - self.limit, 0)
        tangent = self.inner.current(self.limit) + 0.5 * self.inner.differential_conductance(self.limit) * beyond
        return self.inner.cocontent(inside) + tangent * beyond

    def parameters(self):
        return ()


def limited(system, span: Float[Array, ""]):
    """The circuit with its exponential elements limited to the current that its sources can drive; None without any.

    span: the largest difference, V, between fixed potentials. Every element but the exponential ones is thought to
    carry its current at that voltage; no more can reach a diode, so the limit leaves the steady state where it is.
    """
    gentle = [group for group in system.conductors if group.element.knee(jnp.ones_like(span)) is None]
    if len(gentle) == len(system.conductors):
        return None
    total = sum((jnp.sum(jnp.abs(group.element.current(span))) for group in gentle), jnp.zeros_like(span))

    def limit(group):
        knee = group.element.knee(total)
        return group if knee is None else replace(group, element=Limited(group.element, knee))

    return replace(system, conductors=tuple(map(limit, system.conductors)))


def descend(system, inputs, state: Float[Array, " free"], max_steps: int = 60) -> Float[Array, " free"]:
    """Newton steps down the co-content, each halved until it falls, to where little is left to gain.

    A step without a descent halves the next one instead of searching along the line: one short loop, quick to compile.
    """

    def going(carry):
        _, energy, gain, _, steps = carry
        return ~(gain <= 1e-6 * jnp.abs(energy)) & (steps < max_steps)

    def advance(carry):
        state, energy, _, length, steps = carry
        force = system.residual(state, inputs)
        hessian = jax.jacfwd(system.residual)(state, inputs)
        # Junctions that block may leave a node with no conductance at all.
        ballast = jnp.finfo(state.dtype).eps * jnp.max(jnp.abs(hessian))
        step = jnp.linalg.solve(hessian + ballast * jnp.eye(state.shape[0], dtype=state.dtype), -force)
        trial = state + length * step
        reached = system.energy(trial, inputs)
        falls = reached < energy
        state, energy = jnp.where(falls, trial, state), jnp.where(falls, reached, energy)
        length = jnp.where(falls, jnp.minimum(2 * length, 1), length / 2)
        return state, energy, jnp.abs(jnp.vdot(force, step)), length, steps + 1

    one = jnp.ones((), state.dtype)
    start = (state, system.energy(state, inputs), jnp.inf * one, one, jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(going, advance, start)[0]
