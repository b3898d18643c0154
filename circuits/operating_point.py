"""The operating point of any circuit: Newton's method along load lines, and what is done where that fails."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from circuits.companion import Companion
from circuits.linear_solvers import LinearSolver, solver_for
from physnet.augmented import Augmented
from physnet.errors import PhysnetError
from physnet.precision import by_precision
from physnet.relaxers.base import Relaxer, Solution

NEWTON, GMIN, SOURCES, TRANSIENT, FAILED = range(5)
_INNER = 30  # Newton steps for one point of a continuation
_ROUGH = 1e-3  # relative residual at which an intermediate point counts as reached


class _Progress(eqx.Module):
    """Where one sample stands.

    unknowns, operating: the iterate, and what each nonlinear element is linearised at. relative: its certificate.
    stage: which strategy. share: of every source's value; reached: the largest share that was solved. shunt: S, from
    each potential to `anchor`; factor: what the next shunt is, in units of the last. good: the last solved unknowns.
    inner: steps since then. steps: in total. polishes: after the tolerance was met. stiffest: where shunts begin, S.
    """

    unknowns: Float[Array, " u"]
    operating: list[Array]
    relative: Float[Array, ""]
    stage: Int[Array, ""]
    share: Float[Array, ""]
    reached: Float[Array, ""]
    increment: Float[Array, ""]
    shunt: Float[Array, ""]
    last_shunt: Float[Array, ""]
    factor: Float[Array, ""]
    anchor: Float[Array, " u"]
    good: Float[Array, " u"]
    inner: Int[Array, ""]
    steps: Int[Array, ""]
    polishes: Int[Array, ""]
    stiffest: Float[Array, ""]


class OperatingPoint(Relaxer):
    """Settles any circuit from any start, at any source voltage.

    Newton's method (SPICE's, Nagel 1975, UCB/ERL M520) linearises every junction at a voltage of its own. After each
    step that voltage moves to where the junction's curve meets the load line of the circuit around it, by Lambert's W
    in the place of an ad hoc limit on the step: one junction and its surroundings settle in a single step. Where 60
    steps do not do, it goes on by gmin stepping (a conductance from every node to ground, taken away by and by), then
    source stepping (from 0 V), then pseudo-transient continuation (Kelley & Keyes 1998,
    doi:10.1137/S0036142996304796). `Equilibrium.strategy` says which one found the state. Ideal diodes are an active
    set: nodes that a force holds against their bound drop out of the step.

    solver: of the linear systems, `DenseSolver()` or `SparseSolver()`; by default the one that suits the size.
    tolerance: relative residual, the largest, over nodes, of |sum of currents| / sum of |currents|; 1e-12 in double,
    1e-4 in single precision. max_steps: linear solves per sample, over all strategies. first: the strategy to begin
    with.
    """

    strategies: ClassVar[tuple[str, ...]] = ("Newton", "gmin stepping", "source stepping", "pseudo-transient", "none")

    solver: LinearSolver | None = None
    tolerance: float | None = eqx.field(static=True, default=None)
    max_steps: int = eqx.field(static=True, default=1500)
    first: str = eqx.field(static=True, default="Newton")

    def __check_init__(self):
        if self.first not in self.strategies[:-1]:
            raise PhysnetError(
                f"OperatingPoint: first is {self.first!r}; choose from {', '.join(self.strategies[:-1])}."
            )

    def tolerance_for(self, dtype):
        return by_precision(self.tolerance, dtype, double=1e-12, single=1e-4)

    def refuses(self, system, cost):
        from circuits.contract import CircuitContract

        inner = innermost(system)
        if not isinstance(inner, CircuitContract):
            return "it is not a circuit of elements between nodes; use ProjectedNewton()."
        return None if self.solver is None else self.solver.refuses(inner.network)

    def solve(self, system, inputs, nudge, initial, reference, certify):
        network = innermost(system).network
        solver = solver_for(network) if self.solver is None else self.solver
        samples = inputs.shape[0]
        if not network.unknowns:  # sources fix every node
            return Solution(initial, jnp.zeros(samples, jnp.int32), strategy=jnp.zeros(samples, jnp.int32))
        tolerance = self.tolerance_for(network.dtype)
        # A linear circuit, and a nudged phase, which starts next to where it ends, have nothing to gain from
        # continuation; programs without it compile in half the time.
        linear = all(group.element.quadratic for group in network.conductors)
        continued = reference is None and not linear
        most = self.max_steps if continued else min(self.max_steps, 10 * _INNER)

        def companion(inputs, nudge):
            return Companion(system, inputs, nudge)

        def begin(inputs, nudge, initial):
            # A nudged phase starts next to where it ends.
            first = self.strategies.index(self.first) if continued else NEWTON
            return _begin(companion(inputs, nudge), initial, first)

        def linearise(inputs, nudge, now):
            here = companion(inputs, nudge)
            return here.linearised(now.unknowns, now.operating, now.share, now.shunt, now.anchor)

        def advance(inputs, nudge, initial, now, step, active):
            new = _advance(companion(inputs, nudge), now, step, initial, tolerance, continued)
            return jax.tree.map(lambda a, b: jnp.where(active, a, b), new, now)

        def active(now):
            settled = (now.relative <= tolerance) & (now.share == 1) & (now.shunt == 0)
            going = jnp.where(settled, now.polishes < 1, now.steps < most)
            return going & (now.stage < FAILED)

        def body(carry):
            now, held = carry
            moving = active(now)
            coefficients, right = jax.vmap(linearise)(inputs, nudge, now)
            # A step gains no more digits than Newton's method does, which doubles them.
            rtol = jnp.clip(1e-2 * now.relative, 1e-9, 1e-3)
            step, held = solver.solve(network, coefficients, right, held, moving, rtol)
            return jax.vmap(advance)(inputs, nudge, initial, now, step, moving), held

        corrected = nudge is not None and nudge.anchor is not None
        held = solver.nothing_held(network, samples, corrected)
        if reference is not None and reference.memory is not None and not corrected:
            held = reference.memory
        now = jax.vmap(begin)(inputs, nudge, initial)
        now, held = jax.lax.while_loop(lambda carry: jnp.any(active(carry[0])), body, (now, held))
        state = jax.vmap(innermost(system).as_state)(now.unknowns)
        return Solution(state, now.steps, residual=now.relative, memory=held, strategy=now.stage)


def innermost(system):
    """The system inside all others."""
    while isinstance(system, Augmented):
        system = system.system
    return system


def _begin(here: Companion, initial, first: int) -> _Progress:
    unknowns = here.inside(here.circuit.unknowns(initial))
    one, count = jnp.ones((), unknowns.dtype), jnp.zeros((), jnp.int32)
    progress = _Progress(
        unknowns,
        here.operating(unknowns),
        here.certificate(unknowns),
        count + max(first - 1, 0),
        share=one,
        reached=0 * one,
        increment=0.1 * one,
        shunt=0 * one,
        last_shunt=0 * one,
        factor=0.1 * one,
        anchor=jnp.zeros_like(unknowns),
        good=unknowns,
        inner=count,
        steps=count,
        polishes=count,
        stiffest=here.stiffest(),
    )
    if first == NEWTON:
        return progress
    given_up = eqx.tree_at(lambda p: (p.factor, p.increment), progress, (one, 0 * one))
    return _choose(here, given_up, jnp.zeros((), bool), jnp.ones((), bool), initial)


def _advance(here: Companion, now: _Progress, step, initial, tolerance, continued: bool) -> _Progress:
    """The iterate after a step, and, where strategies are `continued`, the strategy after the iterate."""
    unknowns, operating = here.moved(now.unknowns, now.operating, step, now.share)
    true = here.certificate(unknowns)
    final = (now.share == 1) & (now.shunt == 0)
    settled_before = final & (now.relative <= tolerance)
    # A last step past the tolerance takes the state to rounding; it must not make it worse.
    keep = settled_before & ~(true <= now.relative)
    unknowns = jnp.where(keep, now.unknowns, unknowns)
    true = jnp.where(keep, now.relative, true)
    new = eqx.tree_at(
        lambda p: (p.unknowns, p.operating, p.relative, p.inner, p.steps, p.polishes),
        now,
        (unknowns, operating, true, now.inner + 1, now.steps + 1, now.polishes + settled_before),
    )
    if not continued:
        return new
    rough = here.continued_certificate(unknowns, now.share, now.shunt, now.anchor)
    solved = jnp.where(final, true <= tolerance, rough <= _ROUGH)
    finite = jnp.all(jnp.isfinite(unknowns))
    limit = jnp.where((now.stage == NEWTON), 2 * _INNER, _INNER)
    failed = ~solved & (~finite | (now.inner + 1 >= limit))
    return _choose(here, new, solved & ~final, failed, initial)


def _choose(here: Companion, now: _Progress, solved: Bool[Array, ""], failed: Bool[Array, ""], initial) -> _Progress:
    """What comes next: more Newton steps, the next point of a continuation, or the next strategy."""
    biggest = now.stiffest
    start = here.inside(here.circuit.unknowns(initial))
    zero, one = jnp.zeros_like(now.share), jnp.ones_like(now.share)

    gmin, sources, transient = (now.stage == s for s in (GMIN, SOURCES, TRANSIENT))
    shunting = gmin | transient
    # A solved point: remember it and go further. A failed one: go back and take a smaller step.
    good = jnp.where(solved, now.unknowns, now.good)
    factor = jnp.where(solved & (now.inner <= 8), jnp.maximum(now.factor**1.5, 1e-4), now.factor)
    factor = jnp.where(failed, jnp.sqrt(factor), factor)
    increment = jnp.where(solved, 2 * now.increment, jnp.where(failed, now.increment / 4, now.increment))
    last = jnp.where(solved & shunting, now.shunt, now.last_shunt)
    reached = jnp.where(solved & sources, now.share, now.reached)
    shunt = jnp.where(shunting & (solved | failed), last * factor, now.shunt)
    shunt = jnp.where(shunting & (shunt < jnp.finfo(shunt.dtype).eps ** 1.2 * biggest), zero, shunt)
    share = jnp.where(sources & (solved | failed), jnp.minimum(reached + increment, 1), now.share)

    # Giving a strategy up.
    stuck = (now.stage == NEWTON) | (shunting & (factor > 0.95)) | (sources & (increment < 1e-4))
    onwards = failed & stuck
    stage = jnp.where(onwards, now.stage + 1, now.stage)
    to_gmin, to_sources, to_transient = (onwards & (stage == s) for s in (GMIN, SOURCES, TRANSIENT))
    good = jnp.where(to_gmin | to_transient, start, jnp.where(to_sources, jnp.zeros_like(start), good))
    shunt = jnp.where(to_gmin, biggest, jnp.where(to_transient, biggest, jnp.where(to_sources, zero, shunt)))
    last = jnp.where(to_gmin | to_transient, 10 * biggest, last)
    factor = jnp.where(onwards, 0.1 * one, factor)
    factor = jnp.where(to_transient, 0.5 * one, factor)
    share = jnp.where(to_sources, zero, jnp.where(onwards, one, share))
    reached = jnp.where(onwards, zero, reached)
    increment = jnp.where(onwards, 0.1 * one, increment)
    anchor = jnp.where(transient & solved, good, jnp.where(to_transient, start, jnp.where(onwards, 0, now.anchor)))

    again = failed | onwards
    unknowns = jnp.where(again, good, now.unknowns)
    fresh = here.operating(unknowns, share)
    operating = [jnp.where(again, new, old) for new, old in zip(fresh, now.operating)]
    relative = jnp.where(again | solved, jnp.inf, now.relative)
    return _Progress(
        unknowns,
        operating,
        relative,
        stage,
        share,
        reached,
        increment,
        shunt,
        last,
        factor,
        anchor,
        good,
        jnp.where(solved | failed, 0, now.inner),
        now.steps,
        now.polishes,
        now.stiffest,
    )
