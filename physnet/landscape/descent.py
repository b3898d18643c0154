"""Downhill as the physics goes: the path that a system itself takes from a start, to the minimum at its end."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Bool, Float, Int

from physnet import precision
from physnet.equilibrium import check_relaxer
from physnet.landscape.chart import Chart
from physnet.landscape.lanes import relaxed
from physnet.landscape.smooth import LARGEST_DENSE, why_not_smooth
from physnet.linearise import jacobian
from physnet.problem import Problem, flatten
from physnet.relaxers.base import Relaxer, SampleRelaxer, Solution
from physnet.relaxers.flow import Flow
from physnet.system import state_size

_CONTRACTION = 1 / 4  # of one Newton step to the next, all the way to the end, from where the flow is handed over
_FIRST_CHECK, _CHECK_GROWTH = 8, 1.25  # steps of the flow between checks: one dense Hessian each
_FLAT = 1e-9  # of the stiffness of each coordinate: less of it, of either sign, is no reason to go on
_NEWTON_STEPS = 30


class _Walk(eqx.Module):
    position: Float[Array, " coordinate"]
    velocity: Float[Array, " coordinate"]
    step: Float[Array, ""]
    steps: Int[Array, ""]
    check: Int[Array, ""]
    arrived: Bool[Array, ""]
    end: Float[Array, " coordinate"]


class _Newton(eqx.Module):
    position: Float[Array, " coordinate"]
    step: Float[Array, " coordinate"]
    relative: Float[Array, ""]
    steps: Int[Array, ""]
    contracting: Bool[Array, ""]
    improving: Bool[Array, ""]


class Descent(SampleRelaxer):
    """Follows ds/dt = -mobility dE/ds from a start to the minimum in whose basin that start lies.

    Explicit Runge-Kutta steps of third order whose error is held by one of second (Bogacki & Shampine 1989,
    doi:10.1016/0893-9659(89)90079-7 (m)). Now and then, the Hessian is looked at: where it is positive, and
    remains so along Newton steps each of which is at most a quarter of the one before (a test that no change of units
    alters; Deuflhard 2011, doi:10.1007/978-3-642-23899-4 (m)), the energy is convex as far as the minimum that these
    steps find, so that the flow ends there too. A start next to a saddle is therefore followed away from it, however
    near to rest it is; one exactly on a saddle stays there and does not converge.

    rtol, atol: error of a step, atol in the state's unit. tolerance: relative residual at the end; 1e-10 in double and
    1e-4 in single precision. max_steps: of the flow. Takes systems with a smooth energy, of at most 2000 coordinates;
    stiff ones need many steps.
    """

    rtol: float = eqx.field(static=True, default=1e-6)
    atol: float = eqx.field(static=True, default=1e-8)
    tolerance: float | None = eqx.field(static=True, default=None)
    max_steps: int = eqx.field(static=True, default=20_000)

    def tolerance_for(self, dtype):
        return precision.by_precision(self.tolerance, dtype, double=1e-10, single=1e-4)

    def refuses(self, system, cost):
        why, size = why_not_smooth(system, "Flow() follows any dynamics."), state_size(system)
        if why is not None:
            return why
        if size > LARGEST_DENSE:
            return f"the state has {size} coordinates, and a dense Hessian is meant for at most {LARGEST_DENSE}."
        return None

    def solve_sample(self, problem, initial):
        start, unravel = ravel_pytree(initial)
        velocity = flatten(problem.vector_field(initial))
        zero = jnp.zeros((), jnp.int32)
        first = _Walk(start, velocity, self._first_step(start, velocity), zero, zero, zero > 0, start)

        def unfinished(now: _Walk):
            return ~now.arrived & (now.steps < self.max_steps) & (_moving(now.velocity) | (now.check == 0))

        def stretch(now: _Walk):
            after = jax.lax.while_loop(
                lambda w: (w.steps < w.check) & _moving(w.velocity),
                lambda w: self._advance(problem, unravel, w),
                now,
            )
            pause = (_FIRST_CHECK + after.steps * (_CHECK_GROWTH - 1)).astype(jnp.int32)
            check = jnp.minimum(after.steps + pause, self.max_steps)
            there = _newton(problem, unravel, after.position, self.tolerance_for(start.dtype))
            arrived = there.contracting & (there.relative <= self.tolerance_for(start.dtype))
            end = jnp.where(arrived, there.position, after.position)
            return _Walk(after.position, after.velocity, after.step, after.steps, check, arrived, end)

        last = jax.lax.while_loop(unfinished, stretch, first)
        return Solution(unravel(last.end), last.steps, settled=last.arrived)

    def _first_step(self, position, velocity):
        """The time, s, in which the velocity changes no coordinate by more than a hundredth of its size."""
        size = self.atol / self.rtol + jnp.abs(position)
        return 0.01 / jnp.maximum(jnp.max(jnp.abs(velocity) / size), jnp.finfo(position.dtype).tiny)

    def _advance(self, problem, unravel, now: _Walk) -> _Walk:
        def velocity(position):
            return flatten(problem.vector_field(unravel(position)))

        h, k1 = now.step, now.velocity
        k2 = velocity(now.position + h / 2 * k1)
        k3 = velocity(now.position + 3 * h / 4 * k2)
        trial = now.position + h * (2 / 9 * k1 + 1 / 3 * k2 + 4 / 9 * k3)
        k4 = velocity(trial)
        error = h * (-5 / 72 * k1 + 1 / 12 * k2 + 1 / 9 * k3 - 1 / 8 * k4)
        floor = 10 * float(jnp.finfo(trial.dtype).eps)
        size = max(self.atol, floor) + max(self.rtol, floor) * jnp.maximum(jnp.abs(now.position), jnp.abs(trial))
        ratio = jnp.max(jnp.abs(error) / size)
        good = ratio <= 1  # false where the trial is not finite
        factor = jnp.where(jnp.isfinite(ratio), jnp.clip(0.9 * (ratio + 1e-12) ** (-1 / 3), 0.2, 5), 0.2)
        return _Walk(
            jnp.where(good, trial, now.position),
            jnp.where(good, k4, k1),
            h * factor,
            now.steps + 1,
            now.check,
            now.arrived,
            now.end,
        )


def _moving(velocity) -> Bool[Array, ""]:
    return jnp.all(jnp.isfinite(velocity)) & jnp.any(velocity != 0)


def _newton_step(problem: Problem, unravel, position):
    """The Newton step to a minimum, (coordinate,); NaN where the Hessian is not positive."""
    state = unravel(position)
    hessian = jacobian(problem, state)
    hessian = (hessian + hessian.T) / 2
    rows = jnp.sum(jnp.abs(hessian), axis=1)
    largest = jnp.max(rows)
    hessian = hessian + _FLAT * jnp.diag(rows)
    for mode in problem.system.neutral_modes(state):
        u = flatten(mode) / jnp.linalg.norm(flatten(mode))
        hessian = hessian + largest * jnp.outer(u, u)
    return -cho_solve((jnp.linalg.cholesky(hessian), True), flatten(problem.residual(state)))


def _newton(problem: Problem, unravel, start, tolerance) -> _Newton:
    """Newton steps from `start`, given up where one is not much shorter than the one before."""
    rounding = 10 * jnp.finfo(start.dtype).eps

    def going(now: _Newton):
        return now.contracting & ((now.relative > tolerance) | now.improving) & (now.steps < _NEWTON_STEPS)

    def advance(now: _Newton):
        trial = now.position + now.step
        relative = problem.certificate(unravel(trial))[0]
        better = (relative < now.relative) | (now.relative > tolerance)
        step = _newton_step(problem, unravel, trial)
        negligible = rounding * (1 + jnp.linalg.norm(trial))
        contracting = jnp.linalg.norm(step) <= jnp.maximum(_CONTRACTION * jnp.linalg.norm(now.step), negligible)
        return _Newton(
            jnp.where(better, trial, now.position),
            step,
            jnp.where(better, relative, now.relative),
            now.steps + 1,
            contracting,
            relative < now.relative / 2,
        )

    step, relative = _newton_step(problem, unravel, start), problem.certificate(unravel(start))[0]
    yes = jnp.ones((), bool)
    first = _Newton(start, step, relative, jnp.zeros((), jnp.int32), jnp.all(jnp.isfinite(step)), yes)
    return jax.lax.while_loop(going, advance, first)


def follower(chart: Chart) -> Relaxer:
    """What follows this landscape's own dynamics: `Descent`; `Flow` without an energy; for states too large for a
    dense Hessian the system's own relaxer."""
    if not chart.has_energy:
        return Flow()
    return Descent() if Descent().refuses(chart.system, None) is None else chart.system.default_relaxer()


def followed(chart: Chart, vectors, *, chunk: int = 1024, relaxer: Relaxer | None = None):
    """Where the system's own dynamics lead from each start: ends (start, coordinate), converged (start,).

    vectors: (start, coordinate), in the state's unit. relaxer: what follows them instead of `follower(chart)`. Without
    one, starts for which `Descent` ran out of steps, as in stiff circuits, go on with `Flow`, which is implicit, until
    they are near rest, and with `Descent` again, which knows a minimum from a saddle passed at a slow pace. chunk:
    starts held at a time; changes no result. Raises PhysnetError for a relaxer that refuses the system.
    """
    chosen = check_relaxer(chart.system, follower(chart) if relaxer is None else relaxer)
    ends, converged, _ = relaxed(chart, vectors, chosen, chunk)
    if relaxer is None and isinstance(chosen, Descent) and not converged.all():
        flow = Flow(polish=None)
        stiff = [k for k in np.flatnonzero(~converged) if _relative(chart, jnp.asarray(ends[k])) > flow.event_tolerance]
        if stiff:  # not what rests on a saddle, where Flow would see no reason to move
            near_rest, _, _ = relaxed(chart, ends[stiff], flow, chunk)
            ends[stiff], converged[stiff], _ = relaxed(chart, near_rest, chosen, chunk)
    return ends, converged


@eqx.filter_jit
def _relative(chart: Chart, vector):
    return chart.relative_residual(vector)
