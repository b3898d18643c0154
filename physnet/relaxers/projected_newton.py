"""Damped Newton steps on the coordinates that are free to move, kept inside the system's box by projection."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Bool, Float, Int

from physnet import precision
from physnet.linearise import free_jacobian
from physnet.problem import Problem, flatten
from physnet.relaxers.base import SampleRelaxer, Solution
from physnet.system import EnergySystem, is_boxed, state_size

_SUFFICIENT = 1e-4  # Armijo: the share of the decrease promised by the slope that a step must deliver
_HALVINGS = 60
_FIRST_SHIFT, _LAST_SHIFT = 1e-6, 1e3
_POLISHES = 2
_DENSE_LIMIT = 5000


class _Iterate(eqx.Module):
    position: Float[Array, " coordinate"]
    relative: Float[Array, ""]  # residual
    shift: Float[Array, ""]  # of the Hessian, in units of its row sums
    stalled: Bool[Array, ""]
    steps: Int[Array, ""]
    polishes: Int[Array, ""]


class ProjectedNewton(SampleRelaxer):
    """Newton's method for stiff energies, with or without a box: Shockley junctions, ideal diodes, double wells.

    Each step solves H p = -dF/ds on the free coordinates, where H is the Hessian of F = E + beta C; coordinates that a
    force pushes onto their bound go there instead. The step is projected on the box and halved until the energy falls
    (an overflowing energy counts as too high: a junction tried at 50 V is a step too long, not an error). Where H is
    not positive definite a multiple of its row sums is added. At the end full Newton steps take the state to rounding.
    Systems without an energy, and without a box, descend on the norm of their relative residual instead.

    tolerance: relative residual; 1e-10 in double and 1e-4 in single precision. max_steps: Newton steps per sample.
    Bertsekas 1982, doi:10.1137/0320018.
    """

    tolerance: float | None = eqx.field(static=True, default=None)
    max_steps: int = eqx.field(static=True, default=400)

    def tolerance_for(self, dtype):
        return precision.by_precision(self.tolerance, dtype, double=1e-10, single=1e-4)

    def refuses(self, system, cost):
        if system.iterates:
            return "it settles by iterating a map, whose residual is not the slope of its energy; use FixedPoint()."
        size = state_size(system)
        if size > _DENSE_LIMIT:
            return (
                f"the state has {size} coordinates and the dense Hessian is meant for at most {_DENSE_LIMIT}; use the "
                f"system's own relaxer, {type(system.default_relaxer()).__name__}()."
            )
        if is_boxed(system) and not isinstance(system, EnergySystem):
            return "it has bounds but no energy, and steps inside a box are judged by the energy; give it an energy."
        return None

    def solve_sample(self, problem, initial):
        position, unravel = ravel_pytree(initial)
        dtype = position.dtype
        bounds = problem.system.bounds(problem.inputs)
        if bounds is None:
            box = (jnp.full_like(position, -jnp.inf), jnp.full_like(position, jnp.inf))
        else:
            box = (flatten(bounds[0]).astype(dtype), flatten(bounds[1]).astype(dtype))
        position = jnp.clip(position, *box)
        tolerance = self.tolerance_for(dtype)

        def going(iterate):
            settled = iterate.relative <= tolerance
            return ~iterate.stalled & jnp.where(settled, iterate.polishes < _POLISHES, iterate.steps < self.max_steps)

        def advance(iterate):
            settled = iterate.relative <= tolerance
            position, relative, accepted = _damped_step(problem, unravel, box, iterate, settled)
            relaxed = jnp.where(iterate.shift > _FIRST_SHIFT, iterate.shift / 10, 0)
            shift = jnp.where(accepted, relaxed, jnp.maximum(iterate.shift * 1000, _FIRST_SHIFT)).astype(dtype)
            return _Iterate(
                jnp.where(accepted, position, iterate.position),
                jnp.where(accepted, relative, iterate.relative),
                shift,
                ~accepted & (settled | (shift > _LAST_SHIFT)),
                iterate.steps + ~settled,
                iterate.polishes + settled,
            )

        count = jnp.zeros((), jnp.int32)
        relative = problem.certificate(unravel(position))[0]
        start = _Iterate(position, relative, jnp.zeros((), dtype), jnp.zeros((), bool), count, count)
        final = jax.lax.while_loop(going, advance, start)
        return Solution(unravel(final.position), final.steps, residual=final.relative)


def _newton_step(problem: Problem, unravel, box, position, shift) -> tuple[Array, Array]:
    """(step, residual): Newton's on the free coordinates, scaled steepest descent on those that are pushed to a bound.

    Pushed: the diagonally scaled force reaches the bound in one step (the set of primal-dual active set methods,
    doi:10.1137/S1052623401383558), which contains every coordinate that is held there already.
    """
    state = unravel(position)
    residual = flatten(problem.residual(state))
    everything = jnp.ones_like(position, dtype=bool)
    hessian = free_jacobian(problem, state, everything)
    rows = jnp.sum(jnp.abs(hessian), axis=1)
    rows = jnp.maximum(rows, jnp.finfo(position.dtype).eps * jnp.max(rows))
    diagonal = jnp.diagonal(hessian)
    descent = -residual / jnp.where(diagonal > 0, diagonal, rows)
    free = ~(((position + descent <= box[0]) & (residual > 0)) | ((position + descent >= box[1]) & (residual < 0)))
    matrix = jnp.where(free[:, None] & free[None, :], hessian, 0) + jnp.diag(jnp.where(free, shift * rows, 1.0))
    newton = lu_solve(lu_factor(matrix), jnp.where(free, -residual, 0))  # compiles in half the time of linalg.solve
    return jnp.where(free, newton, descent), residual


def _damped_step(problem: Problem, unravel, box, iterate: _Iterate, settled) -> tuple[Array, Array, Array]:
    """(position, relative residual, accepted): the longest of the halved, projected steps that descends.

    settled: the state has met its tolerance; then a full step that does not raise its residual, or none.
    """
    position = iterate.position
    step, residual = _newton_step(problem, unravel, box, position, jnp.where(settled, 0, iterate.shift))
    state = unravel(position)
    scale = flatten(problem.residual_scale(state))

    if isinstance(problem.system, EnergySystem):
        energy = problem.energy(state)
        # Below this an energy difference is rounding; the slope along the step then tells a descent from an ascent,
        # and, where the slope is rounding too, the certificate does.
        rounding = 8 * jnp.finfo(position.dtype).eps * (jnp.abs(energy) + jnp.sum(jnp.abs(position) * scale))

        def descends(trial, length, relative):
            move = trial - position
            slope = jnp.vdot(residual, move)
            reached = problem.energy(unravel(trial))
            final_slope = jnp.vdot(flatten(problem.residual(unravel(trial))), move)
            falls = reached <= energy + _SUFFICIENT * slope
            settles = (final_slope <= 0.5 * jnp.abs(slope)) | (relative <= 0.5 * iterate.relative)
            settles = settles & (reached <= energy + rounding)
            return jnp.isfinite(reached) & jnp.isfinite(slope) & (slope < 0) & (falls | settles)

    else:
        weight = jnp.where(scale > 0, scale, 1)

        def descends(trial, length, relative):
            reached = jnp.linalg.norm(flatten(problem.residual(unravel(trial))) / weight)
            return reached <= jnp.linalg.norm(residual / weight) * (1 - _SUFFICIENT * length)

    def going(search):
        *_, accepted, halvings = search
        return ~accepted & (halvings < jnp.where(settled, 1, _HALVINGS))

    def halve(search):
        *_, halvings = search
        length = jnp.exp2(-halvings.astype(position.dtype))
        trial = jnp.clip(position + length * step, *box)
        relative = problem.certificate(unravel(trial))[0]
        accepted = jnp.where(settled, relative <= iterate.relative, descends(trial, length, relative))
        return trial, relative, accepted, halvings + 1

    start = (position, iterate.relative, jnp.zeros((), bool), jnp.zeros((), jnp.int32))
    trial, relative, accepted, _ = jax.lax.while_loop(going, halve, start)
    return trial, relative, accepted
