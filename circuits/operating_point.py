"""The operating point of a circuit with junctions: a careful start, then Newton's method."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.limiting import has_knee, limited
from physnet.relaxers.base import Relaxer
from physnet.relaxers.projected_newton import ProjectedNewton


class OperatingPoint(Relaxer):
    """Settles circuits with exponential elements from any start, at any source voltage.

    Newton's method at a junction far into conduction gains one thermal voltage (26 mV) a step, and beyond 18 V the
    exponential overflows. So a cold start first settles, roughly, the same circuit with every exponential continued
    linearly beyond the current that the sources could drive; `newton` then finishes in the true circuit. Nudged phases
    start from the free one and need no such care.

    newton: the relaxer that finishes and whose tolerance holds. max_steps: of the rough start, per sample.
    """

    newton: ProjectedNewton = ProjectedNewton()
    max_steps: int = eqx.field(static=True, default=60)

    def tolerance_for(self, dtype):
        return self.newton.tolerance_for(dtype)

    def refuses(self, system, cost):
        from circuits.circuit_system import CircuitSystem

        if not isinstance(system, CircuitSystem):
            return "it is not a circuit of elements between nodes; use ProjectedNewton()."
        if not any(has_knee(group.element) for group in system.conductors):
            return "none of its elements is exponential, so that the start needs no care; use ProjectedNewton()."
        return self.newton.refuses(system, cost)

    def solve(self, system, inputs, nudge, initial, reference, certify):
        if reference is not None:
            return self.newton.solve(system, inputs, nudge, initial, reference, certify)

        def start(inputs, state):
            return descend(limited(system, inputs), inputs, state, self.max_steps)

        initial, steps = jax.vmap(start)(inputs, initial)
        solution = self.newton.solve(system, inputs, nudge, initial, None, certify)
        return eqx.tree_at(lambda s: s.steps, solution, solution.steps + steps)


def descend(system, inputs: Array, state: Float[Array, " free"], max_steps: int) -> tuple[Array, Array]:
    """(state, steps): Newton steps down the co-content, each halved until it falls, to where little is left to gain.

    A step that does not descend halves the next one, in place of a search along the line: one loop, quick to compile.
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
    state, *_, steps = jax.lax.while_loop(going, advance, start)
    return state, steps
