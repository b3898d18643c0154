"""Plain Newton root finding (optimistix) for systems without a box."""

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jax.flatten_util import ravel_pytree

from physnet import precision
from physnet.linearise import jacobian
from physnet.problem import flatten
from physnet.relaxers.base import SampleRelaxer, Solution
from physnet.system import is_boxed


class Newton(SampleRelaxer):
    """Finds dF/ds = 0 (or residual = 0, where there is no energy) by Newton's method; quadratic near the steady state.

    Undamped by default: it needs a start in the basin of the steady state, takes saddles as readily as minima, and
    overflows on stiff junctions, for which `ProjectedNewton` is made. Neutral modes u are held where they start by
    a force k u u^T (s - s_start), which leaves the zeros of the residual in place.

    solver: an optimistix root finder with its own tolerances: `optimistix.Newton` by default, or a damped one such as
    `optimistix.LevenbergMarquardt`. tolerance: relative residual; 1e-10 in double and 1e-4 in single precision.
    max_steps: Newton steps per sample. degenerate: solve each step by singular values, for steady states that are not
    isolated (a valley of them); the shortest step is taken.
    """

    tolerance: float | None = eqx.field(static=True, default=None)
    max_steps: int = eqx.field(static=True, default=100)
    degenerate: bool = eqx.field(static=True, default=False)
    solver: optx.AbstractRootFinder | optx.AbstractLeastSquaresSolver | None = None

    def tolerance_for(self, dtype):
        return precision.by_precision(self.tolerance, dtype, double=1e-10, single=1e-4)

    def refuses(self, system, cost):
        if is_boxed(system):
            return (
                "its state is confined to a box, and a plain Newton step does not stop at a wall; "
                "use ProjectedNewton()."
            )
        return None

    def solve_sample(self, problem, initial):
        start, unravel = ravel_pytree(initial)
        solver = self.solver
        if solver is None:
            # The error after a quadratic step is the square of the step: rounding, for a last step this short.
            last_step = precision.by_precision(None, start.dtype, double=1e-9, single=1e-4)
            linear = lx.SVD() if self.degenerate else lx.AutoLinearSolver(well_posed=None)
            solver = optx.Newton(rtol=last_step, atol=last_step, linear_solver=linear)
        # A fixed scale makes the residual dimensionless, so that one tolerance serves microsiemens and siemens.
        scale = flatten(problem.residual_scale(initial))
        scale = jnp.where(scale > 0, scale, 1)
        modes = [flatten(mode) for mode in problem.system.neutral_modes(initial)]
        stiffness = jnp.max(jnp.abs(jnp.diagonal(jacobian(problem, initial)))) if modes else None

        def residual(position, args):
            problem, start, scale, modes, stiffness = args
            value = flatten(problem.residual(unravel(position)))
            for mode in modes:
                value = value + mode * (stiffness * jnp.vdot(mode, position - start) / jnp.vdot(mode, mode))
            return value / scale

        args = (problem, start, scale, modes, stiffness)
        solution = optx.root_find(residual, solver, start, args=args, max_steps=self.max_steps, throw=False)
        return Solution(unravel(solution.value), jnp.asarray(solution.stats["num_steps"], jnp.int32))
