"""The way to a locked state: in time, as the oscillators go, and to rounding once they have come to rest."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from physnet.problem import flatten
from physnet.relaxers.base import SampleRelaxer, Solution
from physnet.relaxers.newton import Newton
from physnet.system import is_boxed

_LARGEST_DENSE = 2000  # oscillators: beyond it a Newton step takes longer than the flow
_OFFSET, _GOLDEN = 0.01, (np.sqrt(5) - 1) / 2  # rad
_FIRST_STEP, _LONGEST = 0.05, 1e6  # in units of the fastest turning, 1 rad


class Locking(SampleRelaxer):
    """Follows the oscillators in time until they keep step, then polishes; one that drifts is left where it is.

    Oscillators that repel each other, or that are torn between fields, have many saddles, which Newton's method takes
    for steady states, damped or not. Time does not, and it finds the locked state that the start leads to. Newton is
    used only from within `event_tolerance` of rest, and accepted only where it moves the state by less than `reach`, so
    that a network that drifts never gets a state that it would not hold. Time runs in units of the fastest rate in the
    system, by an explicit solver (Tsit5), since phases are not stiff.

    event_tolerance: relative residual at which the flow ends. rtol, atol: of the solver, relative and in the state's
    unit, well below it. max_steps: of the solver. polish: a relaxer, or None, for networks too large for a dense
    matrix; the tolerance is then that of the flow. reach: in the state's unit (rad).
    """

    polish: SampleRelaxer | None = Newton(degenerate=True)
    event_tolerance: float = eqx.field(static=True, default=1e-5)
    rtol: float = eqx.field(static=True, default=1e-7)
    atol: float = eqx.field(static=True, default=1e-9)
    max_steps: int = eqx.field(static=True, default=4000)
    reach: float = eqx.field(static=True, default=0.1)

    @classmethod
    def of_size(cls, size: int) -> "Locking":
        """With a polish for up to 2000 oscillators, with a tighter flow for more. size: number of oscillators."""
        return cls() if size <= _LARGEST_DENSE else cls(None, event_tolerance=1e-6, rtol=1e-9, atol=1e-11)

    def _event_tolerance(self, dtype) -> float:
        """No closer to rest than arithmetic lets an explicit solver come."""
        return max(self.event_tolerance, 300 * float(jnp.finfo(dtype).eps))

    def tolerance_for(self, dtype):
        return self._event_tolerance(dtype) if self.polish is None else self.polish.tolerance_for(dtype)

    def refuses(self, system, cost):
        if is_boxed(system):
            return "its state is confined to a box, where a wall acts at once and has no rate; use ProjectedNewton()."
        return None if self.polish is None else self.polish.refuses(system, cost)

    def _off_rest(self, problem, start, unravel):
        """The start, or, where it is at rest already, a place next to it: what is stable there comes back.

        Oscillators in phase that repel each other rest on a saddle, which the least noise would make them leave.
        """
        offsets = jnp.asarray(_OFFSET * (np.arange(1, start.size + 1) * _GOLDEN % 1), start.dtype)
        resting = problem.certificate(unravel(start))[0] <= self._event_tolerance(start.dtype)
        return jnp.where(resting, start + offsets, start)

    def solve_sample(self, problem, initial):
        start, unravel = ravel_pytree(initial)
        dtype = start.dtype
        if problem.nudge is None:
            start = self._off_rest(problem, start, unravel)
        fastest = jnp.max(flatten(problem.residual_scale(initial)))
        tolerance = self._event_tolerance(dtype)

        def velocity(t, position, args):
            problem, fastest = args
            return flatten(problem.vector_field(unravel(position))) / fastest

        def at_rest(t, position, args, **_):
            return args[0].certificate(unravel(position))[0] <= tolerance

        floor = 10 * float(jnp.finfo(dtype).eps)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity),
            diffrax.Tsit5(),
            t0=jnp.zeros((), dtype),
            t1=jnp.asarray(_LONGEST, dtype),
            dt0=jnp.asarray(_FIRST_STEP, dtype),
            y0=start,
            args=(problem, jnp.where(fastest > 0, fastest, 1)),
            stepsize_controller=diffrax.PIDController(rtol=max(self.rtol, floor), atol=max(self.atol, floor)),
            event=diffrax.Event(at_rest),
            max_steps=self.max_steps,
            adjoint=diffrax.ForwardMode(),
            throw=False,
        )
        followed = unravel(solution.ys[-1].astype(dtype))
        steps = jnp.asarray(solution.stats["num_steps"], jnp.int32)
        if self.polish is None:
            return Solution(followed, steps)
        polished = self.polish.solve_sample(problem, followed)
        moved = jnp.max(jnp.abs(flatten(polished.state) - flatten(followed)))
        accepted = (problem.certificate(followed)[0] <= tolerance) & (moved <= self.reach)
        state = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), polished.state, followed)
        return Solution(state, steps + jnp.where(accepted, polished.steps, 0))
