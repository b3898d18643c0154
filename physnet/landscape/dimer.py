"""Saddles of large systems: the lowest mode followed uphill, all others downhill, by Hessian-vector products alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from physnet import precision
from physnet.errors import PhysnetError
from physnet.landscape.smooth import why_not_smooth
from physnet.problem import Problem, flatten
from physnet.relaxers.base import SampleRelaxer, Solution

_FIRST_TURNS = 30  # steps that turn the dimer before the first move
_POLISHES = 3


class _Pair(eqx.Module):
    """Where the dimer is, and how it lies."""

    position: Float[Array, " coordinate"]
    energy: Float[Array, ""]
    relative: Float[Array, ""]
    mode: Float[Array, " coordinate"]
    turned: Float[Array, " coordinate"]
    radius: Float[Array, ""]
    steps: Int[Array, ""]
    polishes: Int[Array, ""]
    stalled: Bool[Array, ""]


class Dimer(SampleRelaxer):
    """Climbs along the lowest mode of the Hessian and descends across it, to a saddle of index 1 between two minima.

    The lowest mode is tracked as by a dimer, two copies of the state a small way apart that turn until their energy is
    least (Henkelman & Jonsson 1999, doi:10.1063/1.480097 (m)), in the limit of no distance: each turn takes the lowest
    of all directions in the plane of the mode, the torque on it and its last turn, by one Hessian-vector product. A
    move goes up along the mode by slope over curvature, and down across it by conjugate gradients on the Hessian, cut
    off at a trusted radius and wherever the energy falls without end (Steihaug 1983, doi:10.1137/0720042 (m)). Near the
    end these are Newton steps. Neutral modes are left out. For states of any size: memory is that of a dozen of them.

    tolerance: relative residual; 1e-10 in double and 1e-4 in single precision. radius: longest move, in the state's
    unit, as a vector's length. turns: Hessian-vector products for turning before each move. products: at most, for each
    move. max_steps: moves of one sample. A start on a stationary point stays there: look at the index of what comes
    back.
    """

    tolerance: float | None = eqx.field(static=True, default=None)
    radius: float = eqx.field(static=True, default=0.5)
    turns: int = eqx.field(static=True, default=6)
    products: int = eqx.field(static=True, default=100)
    max_steps: int = eqx.field(static=True, default=500)

    def __check_init__(self):
        if not self.radius > 0:
            raise PhysnetError(f"Dimer: radius is {self.radius}; it must be above 0.")
        for name in ("turns", "products", "max_steps"):
            if getattr(self, name) < 1:
                raise PhysnetError(f"Dimer: {name} is {getattr(self, name)}; give 1 or more.")

    def tolerance_for(self, dtype):
        return precision.by_precision(self.tolerance, dtype, double=1e-10, single=1e-4)

    def refuses(self, system, cost):
        return why_not_smooth(system, "Newton() finds states of any stability.")

    def solve_sample(self, problem, initial):
        start, unravel = ravel_pytree(initial)
        tolerance = self.tolerance_for(start.dtype)

        def going(now: _Pair):
            unfinished = jnp.where(now.relative <= tolerance, now.polishes < _POLISHES, now.steps < self.max_steps)
            return unfinished & ~now.stalled

        anywhere = jnp.asarray(np.random.default_rng(0).normal(size=start.size), start.dtype)
        product, clear = _product(problem, unravel, start)
        mode, turned = _turned(product, clear, anywhere, jnp.zeros_like(start), _FIRST_TURNS)
        energy, relative = _measured(problem, unravel, start)
        zero, radius = jnp.zeros((), jnp.int32), jnp.asarray(self.radius, start.dtype)
        first = _Pair(start, energy, relative, mode, turned, radius, zero, zero, jnp.zeros((), bool))
        last = jax.lax.while_loop(going, lambda now: self._advance(problem, unravel, now, tolerance), first)
        return Solution(unravel(last.position), last.steps, residual=last.relative)

    def _advance(self, problem, unravel, now: _Pair, tolerance) -> _Pair:
        product, clear = _product(problem, unravel, now.position)
        mode, turned = _turned(product, clear, now.mode, now.turned, self.turns)
        slope = clear(flatten(problem.residual(unravel(now.position))))
        accuracy = jnp.minimum(0.1, now.relative)  # of the move: the nearer to rest, the more digits
        step, foretold = self._move(product, mode, slope, now.radius, accuracy)
        length = jnp.linalg.norm(step)
        trial = now.position + step
        energy, relative = _measured(problem, unravel, trial)
        # Where the change of energy is rounding, the certificate alone says whether a move was good.
        rounding = 1e3 * jnp.finfo(trial.dtype).eps * (jnp.abs(now.energy) + jnp.abs(energy))
        rounded = jnp.abs(foretold) <= rounding
        error = jnp.abs(energy - now.energy - foretold) / jnp.where(rounded, 1, jnp.abs(foretold))
        finite, better = jnp.isfinite(energy) & jnp.isfinite(relative), relative < now.relative
        settled = now.relative <= tolerance
        good = finite & jnp.where(rounded, better | (length <= 1e-3 * self.radius), error < 0.75)
        good = jnp.where(settled, finite & better, good)
        grown = jnp.where(error < 0.25, jnp.maximum(now.radius, 2 * length), now.radius)
        radius = jnp.where(good, jnp.minimum(grown, self.radius), jnp.minimum(now.radius, length) / 4)
        span = jnp.finfo(trial.dtype).eps * (1 + jnp.max(jnp.abs(now.position)))
        return _Pair(
            jnp.where(good, trial, now.position),
            jnp.where(good, energy, now.energy),
            jnp.where(good, relative, now.relative),
            mode,
            turned,
            radius,
            now.steps + ~settled,
            now.polishes + settled,
            ~good & (settled | (radius <= span)),
        )

    def _move(self, product, mode, slope, radius, accuracy):
        """(step, the change of energy that the quadratic model foretells for it)."""
        tiny = jnp.finfo(slope.dtype).tiny
        curvature = jnp.vdot(mode, product(mode))
        uphill = jnp.vdot(mode, slope) / jnp.maximum(jnp.abs(curvature), tiny)
        uphill = jnp.clip(uphill, -radius, radius)

        def across(direction):
            return direction - mode * jnp.vdot(mode, direction)

        # In the complement of the mode, from slopes that the move along it has changed.
        along = mode * uphill
        force = -across(slope + product(along))
        downhill = _descended(lambda d: across(product(d)), force, radius, self.products, accuracy)
        step = along + downhill
        step = step * jnp.minimum(1, radius / jnp.maximum(jnp.linalg.norm(step), tiny))
        return step, jnp.vdot(slope, step) + 0.5 * jnp.vdot(step, product(step))


def _measured(problem: Problem, unravel, position):
    state = unravel(position)
    return problem.energy(state), problem.certificate(state)[0]


def _product(problem: Problem, unravel, position):
    """(the Hessian as a map of directions, a map that takes neutral modes out of a direction)."""
    modes = [flatten(mode) for mode in problem.system.neutral_modes(unravel(position))]
    basis = jnp.linalg.qr(jnp.stack(modes, axis=1))[0] if modes else jnp.zeros((position.size, 0), position.dtype)

    def clear(direction):
        return direction - basis @ (basis.T @ direction)

    def residual(position):
        return flatten(problem.residual(unravel(position)))

    return lambda direction: clear(jax.jvp(residual, (position,), (clear(direction),))[1]), clear


def _turned(product, clear, mode, turned, turns: int):
    """(the mode, its last turn) after `turns` steps towards the lowest of all modes.

    Each takes the lowest direction in the span of the mode, its torque and its last turn (the conjugate-gradient method
    of Knyazev 2001, doi:10.1137/S1064827500366124 (m), without a preconditioner).
    """

    def unit(direction):
        return direction / jnp.maximum(jnp.linalg.norm(direction), jnp.finfo(direction.dtype).tiny)

    def turn(_, now):
        mode, bent, turned, turned_bent = now
        torque = clear(bent - mode * jnp.vdot(mode, bent))
        torque = unit(torque)
        torque = unit(torque - mode * jnp.vdot(mode, torque))
        # Orthonormal to both, with its product carried along.
        overlap = jnp.stack([jnp.vdot(mode, turned), jnp.vdot(torque, turned)])
        torque_bent = product(torque)
        turned, turned_bent = (
            t - overlap[0] * m - overlap[1] * r
            for t, m, r in ((turned, mode, torque), (turned_bent, bent, torque_bent))
        )
        size = jnp.linalg.norm(turned)
        usable = size > 1e-6
        turned, turned_bent = (jnp.where(usable, t / jnp.where(usable, size, 1), 0) for t in (turned, turned_bent))
        basis, bends = jnp.stack([mode, torque, turned]), jnp.stack([bent, torque_bent, turned_bent])
        small = basis @ bends.T
        # An empty direction is lifted above the others, so that it is never the lowest.
        empty = jnp.where(jnp.linalg.norm(basis, axis=1) > 0.5, 0, 1) * (1 + 3 * jnp.max(jnp.abs(small)))
        lowest = jnp.linalg.eigh((small + small.T) / 2 + jnp.diag(empty))[1][:, 0]
        lowest = lowest * jnp.where(lowest[0] < 0, -1, 1)
        step = lowest.at[0].set(0)
        size = jnp.linalg.norm(lowest @ basis)
        step_size = jnp.maximum(jnp.linalg.norm(step), jnp.finfo(size.dtype).tiny)
        return lowest @ basis / size, lowest @ bends / size, step @ basis / step_size, step @ bends / step_size

    mode = unit(clear(mode))
    first = (mode, product(mode), turned, product(turned))
    mode, _, turned, _ = jax.lax.fori_loop(0, turns, turn, first)
    return mode, turned


def _descended(product, force, radius, products: int, accuracy):
    """The step of conjugate gradients that lowers step.H.step / 2 - force.step, no longer than `radius`.

    It ends at the radius where the energy falls without end, or once no more than a share `accuracy` of the force is
    left.
    """
    enough = jnp.maximum(accuracy, 10 * jnp.finfo(force.dtype).eps) * jnp.linalg.norm(force)

    def to_the_radius(step, direction):
        a, b, c = jnp.vdot(direction, direction), jnp.vdot(step, direction), jnp.vdot(step, step) - radius**2
        share = (-b + jnp.sqrt(jnp.maximum(b * b - a * c, 0))) / jnp.maximum(a, jnp.finfo(a.dtype).tiny)
        return step + direction * share

    def going(now):
        _, left, _, count, ended = now
        return ~ended & (jnp.linalg.norm(left) > enough) & (count < products)

    def advance(now):
        step, left, direction, count, _ = now
        bent = product(direction)
        curvature, square = jnp.vdot(direction, bent), jnp.vdot(left, left)
        rising = curvature > 0
        trial = step + direction * (square / jnp.where(rising, curvature, 1))
        ended = ~rising | (jnp.linalg.norm(trial) >= radius)
        after = left - bent * (square / jnp.where(rising, curvature, 1))
        onwards = after + direction * (jnp.vdot(after, after) / jnp.where(square > 0, square, 1))
        return jnp.where(ended, to_the_radius(step, direction), trial), after, onwards, count + 1, ended

    first = (jnp.zeros_like(force), force, force, jnp.zeros((), jnp.int32), jnp.zeros((), bool))
    return jax.lax.while_loop(going, advance, first)[0]
