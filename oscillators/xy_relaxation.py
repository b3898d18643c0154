"""The way to a minimum of an XY energy: descent of all samples at once, then Newton's method from next to rest."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from physnet.precision import by_precision
from physnet.problem import Problem, flatten
from physnet.relaxers.base import Relaxer, Solution
from physnet.system import state_size

_SHORTEST, _LONGEST = 0.5, 50.0  # of a step, in units of residual over stiffness; below 0.5 the energy surely falls
_FARTHEST = 0.7  # rad that a phase moves in one step: a longer one may leave the valley
_REACH = 0.3  # rad, of a Newton step that is believed
_KICK, _GOLDEN = 0.01, (np.sqrt(5) - 1) / 2  # rad
_NEWTON_STEPS, _ROUNDS = 8, 6
LARGEST_POLISHED = 2000  # oscillators

Phases = Float[Array, "sample coordinate"]
Measure = Callable[[Phases], tuple[Phases, Float[Array, " sample"]]]  # phases -> residual, largest relative one


class PhaseDescent(Relaxer):
    """Every phase steps down the slope of the energy, over its stiffness, by the length that the last step taught.

    Barzilai and Borwein's two lengths in turn (1988, doi:10.1093/imanum/8.1.141), each sample by itself, in the metric
    of a bound on the stiffness of every phase. What the inputs make of the network is worked out once, before the
    steps. With `polish`, a sample that has come within `handover` of rest takes Newton steps with a Cholesky
    factorisation; only steps that bring it closer, by less than 0.3 rad a phase, are taken, and where the energy
    curves downwards (a saddle) the phases are set off by 0.01 rad and descend on. So what it hands back is a minimum.
    Without polish, the descent goes on to the tolerance: the faster way to a coarse one, and good for training.

    tolerance: relative residual, about the angle, rad, that a phase is off; 1e-10 in double and 1e-4 in single
    precision. handover: relative residual. max_steps: looks at the slope, of a sample in all.
    """

    tolerance: float | None = eqx.field(static=True, default=None)
    polish: bool = eqx.field(static=True, default=True)
    handover: float = eqx.field(static=True, default=1e-3)
    max_steps: int = eqx.field(static=True, default=3000)

    def tolerance_for(self, dtype):
        return by_precision(self.tolerance, dtype, double=1e-10, single=1e-4)

    def refuses(self, system, cost):
        if not hasattr(system.resolved, "stiffness"):
            return (
                "it steps in units of a bound on the stiffness of every phase, which an XYNetwork and a PhaseNetwork "
                "know. Use Locking() for other networks of phases, ProjectedNewton() for circuits."
            )
        size = state_size(system)
        if self.polish and size > LARGEST_POLISHED:
            return (
                f"{size} phases; its polish takes dense matrices of at most {LARGEST_POLISHED}. Use "
                "PhaseDescent(polish=False), or Locking.of_size(size)."
            )
        return None

    def solve(self, system, inputs, nudge, initial, reference, certify):
        resolved, drives = system.resolved, jax.vmap(system.resolve)(inputs)
        shape, tolerance = initial.shape, self.tolerance_for(initial.dtype)
        start = initial.reshape(shape[0], -1)

        def problem(drive, nudge):
            return Problem(resolved, drive, nudge)

        def residual(phases, drive, nudge):
            return flatten(problem(drive, nudge).residual(phases.reshape(shape[1:])))

        def measured(phases, drive, nudge):
            relative = problem(drive, nudge).certificate(phases.reshape(shape[1:]))[0]
            return residual(phases, drive, nudge), relative

        def measure(phases):
            return jax.vmap(measured)(phases, drives, nudge)

        def curvature(phases):
            return jax.vmap(jax.jacfwd(residual))(phases, drives, nudge)

        stiffness = jax.vmap(resolved.stiffness)(drives).reshape(start.shape)
        stiffness = jnp.where(stiffness > 0, stiffness, 1)  # what nothing acts on stays where it is
        if nudge is not None:
            stiffness = stiffness + jnp.abs(nudge.beta)[:, None] * nudge.cost.largest_curvature()
        none, copies = jnp.zeros(shape[0], jnp.int32), int(np.prod(shape[1:-1]))
        if not self.polish:
            goal = jnp.full(shape[0], tolerance, start.dtype)
            end = _descend(measure, start, stiffness, copies, goal, none, self.max_steps)
            return Solution(end.phases.reshape(shape), end.steps, None, end.relative, end.relative <= tolerance)
        end = self._to_a_minimum(measure, curvature, start, stiffness, copies, tolerance)
        settled = end.stable & (end.relative <= tolerance)
        return Solution(end.phases.reshape(shape), end.steps, None, end.relative, settled)

    def _to_a_minimum(self, measure, curvature, start, stiffness, copies, tolerance):
        """Rounds of descent and polish until every sample is settled in a minimum, or has spent its steps."""
        kick = jnp.asarray(_KICK * (np.arange(1, start.shape[1] + 1) * _GOLDEN % 1), start.dtype)[None]

        def body(before: _Round) -> _Round:
            done = before.stable & (before.relative <= tolerance)
            goal = jnp.where(done, jnp.inf, self.handover * 0.1**before.count)
            place = _descend(measure, before.phases, stiffness, copies, goal, before.steps, self.max_steps)
            polished = _polish(measure, curvature, place, stiffness, done, 0.01 * tolerance)
            stable = done | polished.stable
            phases = jnp.where(stable[:, None], polished.phases, polished.phases + kick)
            relative = jnp.where(done, before.relative, polished.relative)  # what is done is not looked at again
            return _Round(phases, relative, polished.steps, stable, before.count + 1)

        def unfinished(now: _Round):
            open_ones = ~(now.stable & (now.relative <= tolerance)) & (now.steps < self.max_steps)
            return jnp.any(open_ones) & (now.count < _ROUNDS)

        samples = start.shape[0]
        never = jnp.full(samples, jnp.inf, start.dtype)
        first = _Round(start, never, jnp.zeros(samples, jnp.int32), jnp.zeros(samples, bool), jnp.zeros((), jnp.int32))
        return jax.lax.while_loop(unfinished, body, first)


class _Round(NamedTuple):
    """Where the samples are, how far from rest, after how many steps, and whether the energy curves upwards there."""

    phases: Phases
    relative: Float[Array, " sample"]
    steps: Int[Array, " sample"]
    stable: Bool[Array, " sample"]
    count: Int[Array, ""]


class _Place(NamedTuple):
    """Where the descent has come to, and where it was one step before."""

    phases: Phases
    residual: Phases
    moved: Phases
    change: Phases
    relative: Float[Array, " sample"]
    steps: Int[Array, " sample"]


def _descend(measure: Measure, start, stiffness, copies: int, goal, steps, max_steps: int) -> _Place:
    """Barzilai-Borwein descent of every sample to its own goal (sample,) of the relative residual; then it stays."""

    def going(place: _Place):
        return ~(place.relative <= goal) & (place.steps < max_steps)

    def body(before: _Place) -> _Place:
        here = going(before)
        length = jnp.repeat(_length(before, stiffness, copies), stiffness.shape[1] // copies, axis=1)
        step = jnp.clip(-length * before.residual / stiffness, -_FARTHEST, _FARTHEST)
        step = jnp.where(here[:, None], step, 0)
        phases = before.phases + step
        residual, relative = measure(phases)
        after = _Place(phases, residual, step, residual - before.residual, relative, before.steps + 1)
        return jax.tree.map(lambda a, b: jnp.where(here[:, None] if a.ndim > 1 else here, a, b), after, before)

    # The first step has no length: it only looks. So there is one copy of `measure` to compile, not two.
    still, far = jnp.zeros_like(start), jnp.full_like(start[:, 0], jnp.inf)
    first = _Place(start, still, still, still, far, steps)
    return jax.lax.while_loop(lambda place: jnp.any(going(place)), body, first)


def _length(place: _Place, stiffness, copies: int) -> Float[Array, "sample copy"]:
    """The step length, over residual / stiffness: s.Ds / |s.y| and |s.y| / y.y/D in turn, s the last step and y what
    it changed of the residual; the shortest before there was one. Where the energy curves downwards (s.y < 0) a step of
    that length leads down all the more. Each copy of the network (`Multistart`) has its own: it is in its own valley.
    """
    s, y, stiffness = (part.reshape(len(part), copies, -1) for part in (place.moved, place.change, stiffness))
    along, change = jnp.abs(jnp.sum(s * y, axis=2)), jnp.sum(y * y / stiffness, axis=2)
    long = jnp.sum(s * s * stiffness, axis=2) / jnp.where(along > 0, along, 1)
    short = along / jnp.where(change > 0, change, 1)
    length = jnp.where((place.steps % 2 == 0)[:, None], long, short)
    return jnp.where((along > 0) & (change > 0), jnp.clip(length, _SHORTEST, _LONGEST), _SHORTEST)


class _Polish(NamedTuple):
    phases: Phases
    residual: Phases
    relative: Float[Array, " sample"]
    steps: Int[Array, " sample"]
    stable: Bool[Array, " sample"]
    active: Bool[Array, " sample"]
    count: Int[Array, ""]


def _polish(measure: Measure, curvature, place: _Place, stiffness, done, aim: float) -> _Polish:
    """Newton steps of every sample that is not done, as long as each brings it closer to rest and it is above `aim`.

    The curvature is factorised at least once, which says whether the sample is in a minimum: curving downwards by less
    than 1e-8 (1e-4) of the stiffness, in double (single) precision, counts as flat.
    """
    flat = jnp.finfo(stiffness.dtype).eps ** 0.5 * jnp.max(stiffness, axis=1)
    shift = flat[:, None, None] * jnp.eye(stiffness.shape[1], dtype=stiffness.dtype)[None]

    def body(before: _Polish) -> _Polish:
        matrix = curvature(before.phases)
        factor = jnp.linalg.cholesky((matrix + jnp.swapaxes(matrix, 1, 2)) / 2 + shift)
        step = jax.scipy.linalg.cho_solve((factor, True), -before.residual[:, :, None])[:, :, 0]
        stable = jnp.all(jnp.isfinite(factor), axis=(1, 2))
        step = jnp.where((before.active & stable)[:, None], step, 0)
        residual, relative = measure(before.phases + step)
        better = before.active & stable & (jnp.max(jnp.abs(step), axis=1) <= _REACH) & (relative < before.relative)
        return _Polish(
            jnp.where(better[:, None], before.phases + step, before.phases),
            jnp.where(better[:, None], residual, before.residual),
            jnp.where(better, relative, before.relative),
            before.steps + before.active,
            jnp.where(before.active, stable, before.stable),
            better & ~(relative <= aim),
            before.count + 1,
        )

    undecided = jnp.zeros_like(done)
    first = _Polish(
        place.phases, place.residual, place.relative, place.steps, undecided, ~done, jnp.zeros((), jnp.int32)
    )
    return jax.lax.while_loop(lambda now: jnp.any(now.active) & (now.count < _NEWTON_STEPS), body, first)
