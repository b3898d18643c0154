"""Relaxation in time: the system's own dynamics, followed until nothing moves."""

import diffrax
import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from physnet.relaxers.base import SampleRelaxer, Solution
from physnet.relaxers.newton import Newton
from physnet.system import is_boxed


def _at_rest(t, position, args, **_):
    problem, unravel, threshold = args
    return problem.certificate(unravel.value(position))[0] <= threshold


class _Static(eqx.Module):
    """Carries a function through a traced argument."""

    value: object = eqx.field(static=True)


class Flow(SampleRelaxer):
    """Integrates ds/dt from the start, as the hardware does, and finds the steady state whose basin that start is in.

    The nudge acts as one more force on the dynamics. Integration stops once the relative residual is below
    `event_tolerance`, which stays well above the error of the solver: a solver asked to creep to its own rounding
    never stops. `polish` then takes the state to `tolerance`.

    solver: a diffrax solver; Kvaerno5 by default, implicit, since circuits are stiff. rtol, atol: of the solver, atol
    in the state's unit, rtol relative. duration: longest time, s. max_steps: solver steps per sample. event_tolerance:
    relative residual at which integration stops. polish: a relaxer started from the end of the flow, or None; without
    it the tolerance is `event_tolerance`.
    """

    solver: diffrax.AbstractSolver | None = None
    polish: SampleRelaxer | None = Newton()
    rtol: float = eqx.field(static=True, default=1e-6)
    atol: float = eqx.field(static=True, default=1e-8)
    event_tolerance: float = eqx.field(static=True, default=1e-4)
    duration: float = eqx.field(static=True, default=1e6)
    max_steps: int = eqx.field(static=True, default=2000)

    def tolerance_for(self, dtype):
        return self.event_tolerance if self.polish is None else self.polish.tolerance_for(dtype)

    def refuses(self, system, cost):
        if is_boxed(system):
            return (
                "its state is confined to a box, where a wall acts at once and has no rate; use ProjectedNewton(), "
                "or a diode of finite conductance."
            )
        return None if self.polish is None else self.polish.refuses(system, cost)

    def solve_sample(self, problem, initial):
        start, unravel = ravel_pytree(initial)
        dtype = start.dtype

        def velocity(t, position, args):
            problem, unravel, _ = args
            return ravel_pytree(problem.vector_field(unravel.value(position)))[0]

        floor = 10 * float(jnp.finfo(dtype).eps)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity),
            diffrax.Kvaerno5() if self.solver is None else self.solver,
            t0=jnp.zeros((), dtype),
            t1=jnp.asarray(self.duration, dtype),
            dt0=None,
            y0=start,
            args=(problem, _Static(unravel), jnp.asarray(self.event_tolerance, dtype)),
            stepsize_controller=diffrax.PIDController(rtol=max(self.rtol, floor), atol=max(self.atol, floor)),
            event=diffrax.Event(_at_rest),
            max_steps=self.max_steps,
            adjoint=diffrax.ForwardMode(),
            throw=False,
        )
        position = solution.ys[-1].astype(dtype)
        steps = jnp.asarray(solution.stats["num_steps"], jnp.int32)
        if self.polish is None:
            return Solution(unravel(position), steps)
        polished = self.polish.solve_sample(problem, unravel(position))
        return Solution(polished.state, steps + polished.steps, residual=polished.residual)
