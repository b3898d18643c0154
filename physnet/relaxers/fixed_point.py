"""Steady states of discrete-time systems, by iterating their map, a batch at a time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from physnet import precision
from physnet.errors import PhysnetError
from physnet.problem import Problem
from physnet.relaxers.base import Relaxer, Solution

_RIDGE = 1e-10  # of Anderson's least squares, relative to the residuals' size: below it they are dependent


class FixedPoint(Relaxer):
    """Iterates s <- sigma(u(s, x)) until |s - sigma(u)| is below the tolerance, each sample by itself.

    update: "synchronous" moves all units at once; "blocks" moves those that do not act on one another together (even
    layers, then odd ones: `System.blocks`), each on the newest values of the rest, which settles a layered network in
    half the steps at the same work. anderson: how many past steps the next one is extrapolated from (Anderson 1965,
    doi:10.1145/321296.321305); 0 for none, 5 near criticality, where plain iteration creeps. damping: 0 < damping
    <= 1, the share of each step that is taken: below 1 for networks that oscillate. tolerance: of the largest
    |s - sigma(u)|, relative to the system's scale; by default 1e-12 in double and 1e-5 in single precision; 0 takes
    every step, without looking. max_steps: of the free phase; nudged_steps: of nudged ones, the same by default. One
    step moves every unit once.
    """

    update: str = eqx.field(static=True, default="blocks")
    anderson: int = eqx.field(static=True, default=0)
    damping: float = eqx.field(static=True, default=1.0)
    tolerance: float | int | None = eqx.field(static=True, default=None)
    max_steps: int = eqx.field(static=True, default=2000)
    nudged_steps: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.update not in ("synchronous", "blocks"):
            raise PhysnetError(f'FixedPoint: update is {self.update!r}; choose "synchronous" or "blocks".')
        if not isinstance(self.anderson, int | np.integer) or self.anderson < 0:
            raise PhysnetError(f"FixedPoint: anderson is {self.anderson!r}; give a number of past steps, 0 for none.")
        if not 0 < self.damping <= 1:
            raise PhysnetError(f"FixedPoint: damping is {self.damping!r}; give 0 < damping <= 1, the share of a step.")
        for name in ("max_steps", "nudged_steps"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | np.integer) or value < 1):
                raise PhysnetError(f"FixedPoint: {name} is {value!r}; give a whole number of at least 1.")

    def tolerance_for(self, dtype):
        return precision.by_precision(self.tolerance, dtype, double=1e-12, single=1e-5)

    def for_complex_states(self):
        return self

    def refuses(self, system, cost):
        if system.iterates:
            return None
        return (
            "it settles in continuous time and has no map to iterate; use Flow(), or its own relaxer, "
            f"{type(system.default_relaxer()).__name__}()."
        )

    def solve(self, system, inputs, nudge, initial, reference, certify):
        blocks = _ordered(system) if self.update == "blocks" else (None,)
        exact = len(blocks) == 2 and self.damping == 1 and not self.anderson
        measured = blocks[:1] if exact else blocks  # the last block to move is at rest until the others move
        resolved, given = system.resolved, jax.vmap(system.resolve)(inputs)
        steps = self.max_steps if reference is None or self.nudged_steps is None else self.nudged_steps
        samples, dtype = jax.tree.leaves(initial)[0].shape[0], jax.tree.leaves(initial)[0].dtype
        tolerance = jnp.asarray(self.tolerance_for(dtype), dtype)

        def asked(state):
            """(what moves every unit to where its neighbours ask for it, the same relative to the system's scale)."""

            def one(state, given, nudge):
                problem = Problem(resolved, given, nudge)
                move = jax.tree.map(jnp.negative, problem.residual(state))
                return move, jax.tree.map(lambda m, s: jnp.abs(m) / s, move, problem.residual_scale(state))

            return jax.vmap(one)(state, given, nudge)

        def sweep(state):
            """(state after one step, relative residual (sample,) of the state before it)."""
            worst = jnp.zeros(samples, dtype)
            for block in blocks:
                leaves, structure = jax.tree.flatten(state)
                move, size = (jax.tree.leaves(tree) for tree in asked(state))
                for i in range(len(leaves)) if block is None else block:
                    leaves[i] = leaves[i] + self.damping * move[i]
                    if block in measured:
                        worst = jnp.maximum(worst, _largest(size[i], samples))
                state = jax.tree.unflatten(structure, leaves)
            return state, worst

        if self.tolerance == 0 and not self.anderson:
            state = jax.lax.fori_loop(0, steps, lambda _, state: sweep(state)[0], initial)
            left = jnp.stack([_largest(leaf, samples) for leaf in jax.tree.leaves(asked(state)[1])])
            taken = jnp.full(samples, steps, jnp.int32)
            return Solution(state, taken, residual=jnp.max(left, axis=0), settled=jnp.zeros(samples, bool))

        def going(carry):
            *_, worst, _, count = carry
            return (count < steps) & jnp.any(~(worst <= tolerance))

        def advance(carry):
            state, past, _, taken, count = carry
            moved, worst = sweep(state)
            if exact:  # the start may be at rest where it was measured and nowhere else
                worst = jnp.where(count == 0, jnp.inf, worst)
            if self.anderson:
                moved, past = _extrapolated(state, moved, past, count, self.anderson)
            done = worst <= tolerance
            state = jax.tree.map(lambda a, b: jnp.where(_like(done, a), a, b), state, moved)
            return state, past, worst, taken + ~done, count + 1

        past = _no_past(initial, self.anderson) if self.anderson else ()
        zero = jnp.zeros((), jnp.int32)
        start = (initial, past, jnp.full(samples, jnp.inf, dtype), jnp.zeros(samples, jnp.int32), zero)
        state, _, worst, taken, _ = jax.lax.while_loop(going, advance, start)
        return Solution(state, taken, residual=worst, settled=worst <= tolerance)


def _largest(size: Array, samples: int) -> Array:
    """The largest of each sample's numbers; in two passes, the first along an axis that vectorises."""
    rows = size.reshape(samples, -1)
    if rows.shape[1] % 16 == 0 and rows.shape[1] > 16:
        rows = jnp.max(rows.reshape(samples, 16, -1), axis=1)
    return jnp.max(rows, axis=1, initial=0)


def _ordered(system) -> tuple[tuple[int, ...], ...]:
    """The blocks, the one with the outputs (the last leaf) first: it is the small one, and nudges enter there."""
    last = max(max(block) for block in system.blocks)
    return tuple(sorted(system.blocks, key=lambda block: last not in block))


def _like(condition: Array, leaf: Array) -> Array:
    return condition.reshape(condition.shape + (1,) * (leaf.ndim - 1))


def _rows(tree: PyTree, samples: int) -> Array:
    return jnp.concatenate([leaf.reshape(samples, -1) for leaf in jax.tree.leaves(tree)], axis=1)


def _no_past(initial: PyTree, depth: int) -> tuple[Array, Array]:
    samples = jax.tree.leaves(initial)[0].shape[0]
    row = _rows(initial, samples)
    empty = jnp.zeros((depth, *row.shape), row.dtype)
    return empty, empty


def _extrapolated(state: PyTree, moved: PyTree, past, count, depth: int):
    """(the step after `state`, the past): moved, less what the last steps show to come back.

    With g = moved - state, weights w minimise |g - sum_k w_k (g - g_k)| over the last `depth` steps k, and the next
    state is moved - sum_k w_k (moved - moved_k). Sample by sample.
    """
    samples = jax.tree.leaves(state)[0].shape[0]
    leaves, structure = jax.tree.flatten(state)
    here, there = _rows(state, samples), _rows(moved, samples)
    step = there - here
    filled = jnp.arange(depth) < count
    steps = jnp.where(filled[:, None, None], step[None] - past[0], 0)
    places = jnp.where(filled[:, None, None], there[None] - past[1], 0)
    gram = jnp.einsum("ksn,lsn->skl", steps, steps)
    ridge = _RIDGE * jnp.trace(gram, axis1=1, axis2=2) + jnp.finfo(step.dtype).tiny
    gram = gram + ridge[:, None, None] * jnp.eye(depth, dtype=step.dtype)[None]
    weights = jnp.linalg.solve(gram, jnp.einsum("ksn,sn->sk", steps, step)[..., None])[..., 0]
    row = there - jnp.einsum("sk,ksn->sn", weights, places)
    slot = count % depth
    past = tuple(store.at[slot].set(new) for store, new in zip(past, (step, there)))
    ends = np.cumsum([leaf.size // samples for leaf in leaves])[:-1]
    pieces = [piece.reshape(leaf.shape) for piece, leaf in zip(jnp.split(row, ends, axis=1), leaves)]
    return jax.tree.unflatten(structure, pieces), past
