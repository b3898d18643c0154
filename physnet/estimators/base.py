"""What every estimator of a gradient is, and the explicit steps of a system's own relaxation that some follow."""

from abc import abstractmethod
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from physnet.cost import Cost
from physnet.equilibrium import Equilibrium, raise_unless_converged
from physnet.errors import PhysnetError
from physnet.gradients import EPGradient, complete, prepare
from physnet.problem import Problem, flatten
from physnet.relaxers.base import Relaxer
from physnet.system import System, is_boxed

_NEUTRAL = 1e-9  # growth rates below this share of the fastest are those of directions that nothing holds


class Estimator(eqx.Module):
    """A way to dC/dtheta at the free steady state.

    Two estimators are compared on the same free state: `estimate` takes it, `__call__` settles it first.

    Final classes carry relaxer: what settles the free phase; the system's own by default. Methods take these. system:
    the system in its free phase. inputs, targets: (sample, input) and (sample, output), in the unit of its inputs and
    outputs. cost: what gradients are of. free: the free equilibria, (sample, ...). key: a JAX random key, for
    estimators that draw.
    """

    relaxer: eqx.AbstractVar[Relaxer | None]

    @abstractmethod
    def refuses(self, system: System, cost: Cost) -> str | None:
        """Why this estimator does not work on this system, and what does; None if it does."""

    @abstractmethod
    def estimate(
        self,
        system: System,
        inputs: Float[Array, "sample ..."],
        targets: Float[Array, "sample output"],
        cost: Cost,
        free: Equilibrium,
        relaxer: Relaxer,
        key: PRNGKeyArray | None,
    ) -> EPGradient:
        """The gradient from free equilibria (sample, ...), settled by `relaxer`; arguments checked, nothing raised
        for states that did not settle."""

    def with_beta(self, beta: float) -> "Estimator":
        """The same at another nudging strength; itself where it does not nudge.

        beta: relative, in units of the nudging scale.
        """
        return self

    def with_steps(self, steps: int) -> "Estimator":
        """The same after another number of steps; itself where it has no such number, or settles to the end.

        steps: how many steps of the system's own relaxation, at least 1.
        """
        return self

    def noisy(
        self,
        system: System,
        inputs: Array,
        targets: Array,
        cost: Cost,
        free: Equilibrium,
        relaxer: Relaxer,
        noise: float,
        of: str,
        keys: PRNGKeyArray,
    ) -> System | None:
        """Gradients (draw, ...) while noise is added to what is read of each state; None where no state is read.

        noise: standard deviation of each coordinate, in units of the root mean square over coordinates of what `of`
        names. of: "displacement", of a nudged phase from the free one, or "state", the free state. keys: JAX random
        keys, (draw,).
        """
        return None

    def __call__(
        self,
        system: System,
        inputs,
        targets,
        cost: Cost,
        *,
        key: PRNGKeyArray | None = None,
        throw: bool = True,
    ) -> EPGradient:
        """The gradient of the mean cost, shaped like the system; arguments and result as for `ep_gradient`.

        throw: raise where a state does not settle; with False `converged` of the result says so. Raises PhysnetError
        where the estimator refuses, ConvergenceError where a state did not settle and `throw`.
        """
        where = type(self).__name__
        reason = self.refuses(system, cost)
        if reason is not None:
            raise PhysnetError(f"{where} refuses {type(system).__name__}: {reason}")
        inputs, targets, relaxer, free = prepare(system, inputs, targets, cost, self.relaxer, throw, where)
        result = self.estimate(system, inputs, targets, cost, free, relaxer, key)
        if throw and not bool(jnp.all(result.converged)):
            if result.nudged is not None:
                raise_unless_converged(result.nudged, system, relaxer, f"{where}, nudged phases")
            raise PhysnetError(
                f"{where}: the gradient is not finite in {int(jnp.sum(~result.converged))} of {len(inputs)} samples: "
                "its steps leave the steady state. Use a shorter step=, or ImplicitDifferentiation()."
            )
        return complete(result, system, inputs, cost)


def advanced(problem: Problem, state: PyTree, step: Float[Array, ""]) -> PyTree:
    """The state after one synchronous step of the system's own relaxation, nudged or free.

    s <- map(s) for a system that iterates a map; else explicit Euler, s <- s + step ds/dt, kept inside its box.
    """
    if problem.system.iterates:
        return jax.tree.map(jnp.subtract, state, problem.residual(state))
    moved = jax.tree.map(lambda s, v: s + step * v, state, problem.vector_field(state))
    bounds = problem.system.bounds(problem.inputs)
    return moved if bounds is None else jax.tree.map(jnp.clip, moved, *bounds)


def why_no_steps(system: System) -> str | None:
    """Why a system has no relaxation of its own to step through (a circuit without capacitors), or None."""
    from physnet import precision

    if system.iterates:
        return None
    zeros = jax.ShapeDtypeStruct(system.input_shape, precision.dtype_of(eqx.filter(system, eqx.is_inexact_array)))
    try:
        jax.eval_shape(lambda x: system.vector_field(system.initial_state(x), x), zeros)
    except PhysnetError as problem:
        return str(problem)
    return None


def check_count(value, name: str, where: str, optional: bool = False) -> None:
    """Raises PhysnetError unless the value is a whole number of at least 1 (or None where that is allowed)."""
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise PhysnetError(f"{where}: {name} is {value!r}; give a whole number of at least 1.")


def check_step(value, where: str) -> None:
    """Raises PhysnetError unless the time step is positive and finite, or None."""
    if value is not None and not (np.isfinite(value) and value > 0):
        raise PhysnetError(f"{where}: step is {value!r} s; it must be positive and finite, or None.")


def time_steps(system: System, inputs: Array, free: Equilibrium, step: float | None) -> Float[Array, " sample"]:
    """Duration, s, of an explicit step for each sample; ones for a system that iterates a map.

    By default one over `fastest_rate`, where the system knows it, else the step at which no mode of the Jacobian of
    ds/dt overshoots: the least Re(-a) / |a|^2 over its eigenvalues a (one over the largest, if all are real).
    """
    samples = inputs.shape[0]
    if system.iterates or step is not None:
        return jnp.full(samples, 1.0 if system.iterates else step, inputs.dtype)
    fastest = jax.vmap(system.fastest_rate)(inputs)
    if fastest is not None:
        return (1 / fastest).astype(inputs.dtype)
    matrices = np.asarray(_velocity_jacobians(system, inputs, free.state), float)
    modes = np.linalg.eigvals(matrices)
    size = np.abs(modes)
    held = -modes.real > _NEUTRAL * size.max(axis=-1, keepdims=True)
    longest = np.where(held, -modes.real / np.where(held, size, 1) ** 2, np.inf).min(axis=-1)
    return jnp.asarray(np.where(np.isfinite(longest), longest, 1.0), inputs.dtype)


@eqx.filter_jit
def _velocity_jacobians(system, inputs, states):
    """(sample, n, n): d(ds/dt)/ds on the coordinates that are free to move."""

    def one(state, inputs):
        vector, unravel = jax.flatten_util.ravel_pytree(state)
        problem = Problem(system, inputs)
        free = problem.free_coordinates(state) if is_boxed(system) else jnp.ones_like(vector, bool)
        matrix = jax.jacfwd(lambda s: flatten(problem.vector_field(unravel(s))))(vector)
        return jnp.where(free[:, None] & free[None, :], matrix, 0)

    return jax.vmap(one)(states, inputs)


def finite(tree: PyTree, samples: int) -> Array:
    """(sample,) whether every number of a batched pytree is finite."""
    rows = [jnp.isfinite(leaf).reshape(samples, -1).all(axis=1) for leaf in jax.tree.leaves(tree)]
    return jnp.stack(rows).all(axis=0)


def without_nudging(gradient: System, cost: Array, free: Equilibrium, converged: Array) -> EPGradient:
    """The result of an estimator that nudges nothing."""
    return EPGradient(gradient, cost, replace(free, displacement=None), None, converged)
