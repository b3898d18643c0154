"""The Jacobian of a steady state and linear solves with it, on the coordinates that are free to move."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Bool, Float, PyTree

from physnet.problem import Problem, flatten
from physnet.system import System


def jacobian(problem: Problem, state: PyTree) -> Float[Array, "coordinate coordinate"]:
    """d(residual)/d(state) as a dense matrix over the flattened state."""
    vector, unravel = ravel_pytree(state)
    return jax.jacfwd(lambda s: flatten(problem.residual(unravel(s))))(vector)


def free_jacobian(
    problem: Problem, state: PyTree, free: Bool[Array, " coordinate"] | None = None
) -> Float[Array, "coordinate coordinate"]:
    """The Jacobian made invertible: held coordinates replaced by the identity, neutral modes bordered by u u^T.

    free: which coordinates move; the problem's own free coordinates by default.
    """
    free = problem.free_coordinates(state) if free is None else free
    matrix = jnp.where(free[:, None] & free[None, :], jacobian(problem, state), 0) + jnp.diag(jnp.where(free, 0.0, 1.0))
    matrix = matrix.astype(flatten(state).dtype)
    size = jnp.max(jnp.abs(jnp.diagonal(matrix)))
    for mode in problem.system.neutral_modes(state):
        u = flatten(mode)
        matrix = matrix + size * jnp.outer(u, u) / jnp.vdot(u, u)
    return matrix


def solve_transposed(problem: Problem, state: PyTree, right: PyTree) -> PyTree:
    """x with J^T x = right on the free coordinates, zero on the held ones; a pytree shaped like the state."""
    vector, unravel = ravel_pytree(right)
    vector = jnp.where(problem.free_coordinates(state), vector, 0)
    return unravel(lu_solve(lu_factor(free_jacobian(problem, state)), vector, trans=1))


def output_response(system: System, state: PyTree, inputs: Array) -> Float[Array, "output output"]:
    """P J^-1 P^T: how far each output moves per unit force on another (for a circuit, its output resistances, ohm)."""
    problem = Problem(system, inputs)
    vector, unravel = ravel_pytree(state)
    readout = jax.jacrev(lambda s: system.outputs(unravel(s), inputs))(vector)
    readout = readout * problem.free_coordinates(state)[None, :]
    for mode in system.neutral_modes(state):  # a nudge that is fit for the system does not push along them
        u = flatten(mode)
        readout = readout - jnp.outer(readout @ u, u) / jnp.vdot(u, u)
    return readout @ lu_solve(lu_factor(free_jacobian(problem, state)), readout.T)


def asymmetry(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    """|J - J^T| / |J + J^T| in the Frobenius norm: 0 for a reciprocal system, which an energy implies."""
    return jnp.linalg.norm(matrix - matrix.T) / jnp.linalg.norm(matrix + matrix.T)
