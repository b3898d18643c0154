"""The Jacobian of a steady state and linear solves with it, on the coordinates that are free to move."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Bool, Float, PyTree

from physnet.problem import Problem, flatten
from physnet.system import System


def jacobian(problem: Problem, state: PyTree) -> Float[Array, "coordinate coordinate"]:
    """d(residual)/d(state) as a dense matrix over the flattened state, in the residual's unit over the state's.

    problem: a system, its inputs and perhaps a nudge. state: shaped like the system's.
    """
    vector, unravel = ravel_pytree(state)
    return jax.jacfwd(lambda s: flatten(problem.residual(unravel(s))))(vector)


def free_jacobian(
    problem: Problem, state: PyTree, free: Bool[Array, " coordinate"] | None = None
) -> Float[Array, "coordinate coordinate"]:
    """The Jacobian made invertible: held coordinates replaced by the identity, neutral modes bordered by u u^T.

    In the unit of `jacobian`. problem, state: as for `jacobian`. free: which coordinates move; the problem's own free
    coordinates by default.
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
    """x with J^T x = right on the free coordinates, zero on the held ones; a pytree shaped like the state.

    problem, state: as for `jacobian`. right: the right-hand side, shaped like the state.
    """
    vector, unravel = ravel_pytree(right)
    vector = jnp.where(problem.free_coordinates(state), vector, 0)
    return unravel(lu_solve(lu_factor(free_jacobian(problem, state)), vector, trans=1))


def output_response(system: System, state: PyTree, inputs: Array) -> Float[Array, "output output"]:
    """How far each output moves per unit of a nudge's force on another (for a circuit, its output resistances, ohm).

    P J^-1 B P^T with P the derivative of the outputs and B what a force, in the system's metric, does to the residual.

    system, state: at a free steady state, shaped like the system's. inputs: of one sample, shape `input_shape` in their
    unit.
    """
    problem = Problem(system, inputs)
    vector, unravel = ravel_pytree(state)
    free = problem.free_coordinates(state)
    readout = jax.jacrev(lambda s: system.outputs(unravel(s), inputs))(vector) * free[None, :]
    for mode in system.neutral_modes(state):  # a nudge that is fit for the system does not push along them
        u = flatten(mode)
        readout = readout - jnp.outer(readout @ u, u) / jnp.vdot(u, u)
    metric = system.metric(state, inputs)
    forces = readout if metric is None else readout / flatten(metric)[None, :]

    def pushed(force):
        return -flatten(system.forced_residual(state, inputs, unravel(force)))

    right = jax.vmap(lambda force: jax.jvp(pushed, (jnp.zeros_like(vector),), (force,))[1])(forces)
    return readout @ lu_solve(lu_factor(free_jacobian(problem, state)), right.T)


def force_jacobian(system: System, state: PyTree, inputs: Array) -> Float[Array, "coordinate coordinate"]:
    """d(force)/d(state) in coordinates that suit the system, sqrt(G) s: symmetric for a reciprocal one.

    Coordinates that a bound holds are left out (zero). In the unit of the force over the state's. system, state,
    inputs: as for `output_response`.
    """
    vector, unravel = ravel_pytree(state)
    free = Problem(system, inputs).free_coordinates(state)
    matrix = jax.jacfwd(lambda s: flatten(system.force(unravel(s), inputs)))(vector)
    matrix = jnp.where(free[:, None] & free[None, :], matrix, 0)
    metric = system.metric(state, inputs)
    if metric is None:
        return matrix
    root = jnp.sqrt(flatten(metric))
    return root[:, None] * matrix / root[None, :]


def asymmetry(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    """|J - J^T| / |J + J^T| in the Frobenius norm, dimensionless: 0 for a reciprocal system, which an energy implies.

    matrix: J, in any unit.
    """
    return jnp.linalg.norm(matrix - matrix.T) / jnp.linalg.norm(matrix + matrix.T)
