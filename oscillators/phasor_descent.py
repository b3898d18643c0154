"""Thousands of networks of phases rolling downhill at once, without a cosine: where each start roughly leads."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from physnet.relaxers.base import Relaxer, Solution

_SHORTEST, _LONGEST = 0.5, 50.0  # of a step, in units of residual over stiffness, as in `PhaseDescent`
_FARTHEST = 0.7  # rad

Phases = Float[Array, "sample oscillator"]


class PhasorDescent(Relaxer):
    """Steps down the slope of a phase energy as `PhaseDescent` does, but on cosines and sines, which each step turns.

    A phase moves by delta = 2 arctan(h) with h half the step, so that (cos, sin) turn by the rational map
    (1 - h^2, 2 h)/(1 + h^2): no trigonometry but at both ends. Steps are Barzilai and Borwein's lengths in turn (1988,
    doi:10.1093/imanum/8.1.141), for each sample its own. Made to scout: six times as fast as `PhaseDescent` to a
    coarse tolerance, and with no step to rounding. Whole turns are not counted: phases come back in [-pi, pi].

    tolerance: largest residual over the stiffness of its oscillator (about the angle, rad, that a phase is off where
    all partners pull one way). max_steps: for one sample.
    """

    tolerance: float = eqx.field(static=True, default=3e-5)
    max_steps: int = eqx.field(static=True, default=2000)

    def tolerance_for(self, dtype):
        return self.tolerance

    def refuses(self, system, cost):
        if not hasattr(system.resolved, "phasor_residual"):
            return "it turns cosines and sines of phases, which an XYNetwork and a PhaseNetwork know. Use another."
        return None if cost is None else "it knows nothing of nudges; use PhaseDescent(polish=False)."

    def solve(self, system, inputs, nudge, initial, reference, certify):
        resolved, drives = system.resolved, jax.vmap(system.resolve)(inputs)
        stiffness = jax.vmap(resolved.stiffness)(drives)
        stiffness = jnp.where(stiffness > 0, stiffness, 1)

        def measured(cosine, sine):
            slope = jax.vmap(resolved.phasor_residual)(cosine, sine, drives) / stiffness
            return slope, jnp.max(jnp.abs(slope), axis=1)

        def going(now: _Place) -> Bool[Array, " sample"]:
            return ~(now.largest <= self.tolerance) & (now.steps < self.max_steps)

        def body(before: _Place) -> _Place:
            here = going(before)
            step = -jnp.where(here, _length(before, stiffness), 0)[:, None] * before.slope
            step = jnp.clip(step, -_FARTHEST, _FARTHEST)
            half = step / 2
            scale = 1 / (1 + half * half)
            turn, aside = (1 - half * half) * scale, 2 * half * scale
            cosine, sine = before.cosine * turn - before.sine * aside, before.sine * turn + before.cosine * aside
            slope, largest = measured(cosine, sine)
            after = _Place(cosine, sine, slope, step, slope - before.slope, largest, before.steps + 1)
            return jax.tree.map(lambda a, b: jnp.where(here[:, None] if a.ndim > 1 else here, a, b), after, before)

        cosine, sine = jnp.cos(initial), jnp.sin(initial)
        still, none = jnp.zeros_like(initial), jnp.zeros(len(initial), jnp.int32)
        far = jnp.full_like(initial[:, 0], jnp.inf)
        # The first step has no slope yet, so it only looks: one copy of `measured` to compile.
        first = _Place(cosine, sine, still, still, still, far, none)
        end = jax.lax.while_loop(lambda now: jnp.any(going(now)), body, first)
        size = jnp.hypot(end.cosine, end.sine)
        phases = jnp.arctan2(end.sine / size, end.cosine / size)
        return Solution(phases, end.steps, None, end.largest, end.largest <= self.tolerance)


class _Place(NamedTuple):
    """Where the descent has come to; slopes are residuals over stiffness, changes those of the last step."""

    cosine: Phases
    sine: Phases
    slope: Phases
    moved: Phases
    change: Phases
    largest: Float[Array, " sample"]
    steps: Int[Array, " sample"]


def _length(place: _Place, stiffness: Phases) -> Float[Array, " sample"]:
    """Of the next step, over the slope: s.Ds / |s.Dy| and |s.Dy| / y.Dy in turn, D the stiffness, y what s changed."""
    along = jnp.abs(jnp.sum(place.moved * place.change * stiffness, axis=1))
    change = jnp.sum(place.change**2 * stiffness, axis=1)
    long = jnp.sum(place.moved**2 * stiffness, axis=1) / jnp.where(along > 0, along, 1)
    short = along / jnp.where(change > 0, change, 1)
    length = jnp.where(place.steps % 2 == 0, long, short)
    return jnp.where((along > 0) & (change > 0), jnp.clip(length, _SHORTEST, _LONGEST), _SHORTEST)
