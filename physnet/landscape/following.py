"""Eigenvector following: to a minimum, a saddle, or a stationary point of any index, by Newton steps on the modes."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from physnet import precision
from physnet.errors import PhysnetError
from physnet.landscape.smooth import LARGEST_DENSE, why_not_smooth
from physnet.linearise import jacobian
from physnet.problem import Problem, flatten
from physnet.relaxers.base import SampleRelaxer, Solution
from physnet.system import state_size

_POLISHES = 3
_FLAT = 1e-9  # of the largest curvature: along anything flatter no step is longer than across it


class _Iterate(eqx.Module):
    position: Float[Array, " coordinate"]
    energy: Float[Array, ""]
    relative: Float[Array, ""]
    radius: Float[Array, ""]
    steps: Int[Array, ""]
    polishes: Int[Array, ""]
    stalled: Bool[Array, ""]


class EigenvectorFollowing(SampleRelaxer):
    """Climbs along the lowest `index` modes of the Hessian and descends along all others: index 0 ends in a minimum,
    1 in a saddle between two minima.

    With modes v_k of the Hessian, ascending curvatures c_k and slopes g_k = v_k.dF/ds, a step is
    +g_k/|c_k| along the first `index` modes and -g_k/|c_k| along the others (Cerjan & Miller 1981,
    doi:10.1063/1.442352; Wales 1994, doi:10.1063/1.467559), no longer than a trusted radius, which grows where the
    quadratic model foretold the change of energy and shrinks where it did not. Near the end these are Newton steps, so
    the last digits cost two or three. Neutral modes are never followed. A start on a stationary point stays there,
    whatever its index: look at the index of what comes back (`find_equilibria` does).

    index: number of directions in which to climb. tolerance: relative residual; 1e-10 in double and 1e-4 in single
    precision. radius: longest step allowed, in the state's unit, as a vector's length. max_steps: for one sample.
    Takes systems with a smooth energy, of at most 2000 coordinates.
    """

    index: int = eqx.field(static=True, default=0)
    tolerance: float | None = eqx.field(static=True, default=None)
    radius: float = eqx.field(static=True, default=0.5)
    max_steps: int = eqx.field(static=True, default=300)

    def __check_init__(self):
        if not isinstance(self.index, int) or self.index < 0:
            raise PhysnetError(f"EigenvectorFollowing: index is {self.index!r}; give a whole number, 0 or more.")
        if not self.radius > 0:
            raise PhysnetError(f"EigenvectorFollowing: radius is {self.radius}; it must be above 0.")

    def tolerance_for(self, dtype):
        return precision.by_precision(self.tolerance, dtype, double=1e-10, single=1e-4)

    def refuses(self, system, cost):
        why, size = why_not_smooth(system, "Newton() finds states of any stability."), state_size(system)
        if why is not None:
            return why
        if size > LARGEST_DENSE:
            return (
                f"the state has {size} coordinates, and a dense Hessian is meant for at most {LARGEST_DENSE}. Use "
                "Dimer(), which needs Hessian-vector products only."
            )
        if self.index > size:
            return f"it has {size} coordinates, fewer than index {self.index} asks for."
        return None

    def solve_sample(self, problem, initial):
        start, unravel = ravel_pytree(initial)
        tolerance = self.tolerance_for(start.dtype)

        def going(now: _Iterate):
            unfinished = jnp.where(now.relative <= tolerance, now.polishes < _POLISHES, now.steps < self.max_steps)
            return unfinished & ~now.stalled

        energy, relative = _measured(problem, unravel, start)
        zero, radius = jnp.zeros((), jnp.int32), jnp.asarray(self.radius, start.dtype)
        first = _Iterate(start, energy, relative, radius, zero, zero, jnp.zeros((), bool))
        last = jax.lax.while_loop(going, lambda now: self._advance(problem, unravel, now, tolerance), first)
        return Solution(unravel(last.position), last.steps, residual=last.relative)

    def _advance(self, problem, unravel, now: _Iterate, tolerance) -> _Iterate:
        settled = now.relative <= tolerance
        step, foretold = _step(problem, unravel, now.position, now.radius, self.index, settled)
        length = jnp.linalg.norm(step)
        trial = now.position + step
        energy, relative = _measured(problem, unravel, trial)
        change = energy - now.energy
        # Where the change of energy is rounding, the certificate alone says whether a step was good.
        rounding = 1e3 * jnp.finfo(trial.dtype).eps * (jnp.abs(now.energy) + jnp.abs(energy))
        rounded = jnp.abs(foretold) <= rounding
        error = jnp.abs(change - foretold) / jnp.where(rounded, 1, jnp.abs(foretold))
        finite = jnp.isfinite(energy) & jnp.isfinite(relative)
        better = relative < now.relative
        good = finite & jnp.where(rounded, better | (length <= 1e-3 * self.radius), error < 0.75)
        if self.index == 0:
            good = good & (rounded | (change < 0))
        good = jnp.where(settled, finite & better, good)
        grown = jnp.where(error < 0.25, jnp.maximum(now.radius, 2 * length), now.radius)
        radius = jnp.where(good, jnp.minimum(grown, self.radius), jnp.minimum(now.radius, length) / 4)
        span = jnp.finfo(trial.dtype).eps * (1 + jnp.max(jnp.abs(now.position)))
        return _Iterate(
            jnp.where(good, trial, now.position),
            jnp.where(good, energy, now.energy),
            jnp.where(good, relative, now.relative),
            radius,
            now.steps + ~settled,
            now.polishes + settled,
            ~good & (settled | (radius <= span)),
        )


def _measured(problem: Problem, unravel, position) -> tuple[Float[Array, ""], Float[Array, ""]]:
    state = unravel(position)
    return problem.energy(state), problem.certificate(state)[0]


def _step(problem: Problem, unravel, position, radius, index: int, settled):
    """(step (coordinate,), the change of energy that the quadratic model foretells for it).

    settled: the state is at rest; then Newton's step, to that rest, whatever its index.
    """
    state = unravel(position)
    hessian = jacobian(problem, state)
    hessian = (hessian + hessian.T) / 2
    largest = jnp.max(jnp.sum(jnp.abs(hessian), axis=1))
    slope = flatten(problem.residual(state))
    for mode in problem.system.neutral_modes(state):
        u = flatten(mode) / jnp.linalg.norm(flatten(mode))
        along = hessian @ u
        hessian = hessian - jnp.outer(along, u) - jnp.outer(u, along) + jnp.outer(u, u) * (u @ along + largest)
        slope = slope - u * (u @ slope)
    curvature, modes = jnp.linalg.eigh(hessian)
    slopes = modes.T @ slope
    # The first `index` modes uphill, the others downhill, whatever way they curve.
    sign = jnp.where(jnp.arange(position.size) < index, 1, -1)
    sign = jnp.where(settled, jnp.where(curvature > 0, -1, 1), sign)
    size = jnp.maximum(jnp.abs(curvature), jnp.maximum(_FLAT * largest, jnp.finfo(position.dtype).tiny))
    along = sign * slopes / size
    along = along * jnp.minimum(1, radius / jnp.maximum(jnp.linalg.norm(along), jnp.finfo(position.dtype).tiny))
    return modes @ along, jnp.vdot(slopes, along) + 0.5 * jnp.vdot(curvature, along**2)
