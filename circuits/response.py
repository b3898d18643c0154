"""The linear response of a circuit at an operating point: what its Jacobian says, without ever being dense."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.companion import Companion
from circuits.linear_solvers import Coefficients, DenseSolver, SparseSolver, readout, solver_for


def jacobian_coefficients(circuit, state, inputs: Float[Array, " input"], transposed: bool = False) -> Coefficients:
    """What the Jacobian of one sample, or its transpose, is made of; unknowns that diodes hold do not move."""
    here = Companion(circuit, inputs, None)
    network, unknowns = circuit.driven(inputs), circuit.unknowns(state)
    slopes = [group.slopes(values) for group, values in zip(network.conductors, network.values(unknowns))]
    packed = jnp.concatenate([g.ravel() for g in slopes] or [jnp.zeros(0, unknowns.dtype)])
    zeros = jnp.zeros_like(unknowns)
    outputs = jnp.zeros(network.plus.shape[0], unknowns.dtype)
    correction = packed if transposed and not network.pattern.symmetric else None  # J - J + J^T
    return Coefficients(packed, outputs, zeros, here.problem.free_coordinates(state), None, correction)


def linear_response(
    circuit,
    state,
    inputs: Float[Array, " input"],
    right: Float[Array, "right u"],
) -> Float[Array, "right u"]:
    """J^-1 right for several right sides at a state of one sample, on the unknowns free to move.

    right: currents, A, into the free potentials, then V. Factors are kept apart from those of relaxations.
    """
    network = circuit.network
    coefficients = jacobian_coefficients(circuit, state, inputs)
    solver = SparseSolver(purpose="response") if is_large(network) else DenseSolver()
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (right.shape[0], *leaf.shape)), coefficients)
    held = solver.nothing_held(network, right.shape[0], False)
    active, rtol = jnp.ones(right.shape[0], bool), jnp.full(right.shape[0], 1e-14)
    return solver.solve(network, many, jnp.where(coefficients.free, right, 0), held, active, rtol)[0]


def output_response(circuit, state, inputs: Float[Array, " input"]) -> Float[Array, "output output"]:
    """How far each output moves, V, per ampere drawn into another: output resistances, ohm."""
    rows = readout(circuit.network)
    return rows @ linear_response(circuit, state, inputs, rows).T


def adjoints(circuit, states, inputs: Float[Array, "sample input"], right: Float[Array, "sample u"], memory):
    """x with J^T x = right for a batch, by the factors that its relaxation left behind (`memory`) where near."""
    network = circuit.network
    coefficients = jax.vmap(lambda s, x: jacobian_coefficients(circuit, s, x, transposed=True))(states, inputs)
    solver, samples = solver_for(network), right.shape[0]
    held = solver.nothing_held(network, samples, coefficients.correction is not None)
    if memory is not None and eqx.is_array(memory) and held is not None and memory.shape == held.shape:
        held = memory
    right = jnp.where(coefficients.free, right, 0)
    active, rtol = jnp.ones(samples, bool), jnp.full(samples, 1e-13)
    return solver.solve(network, coefficients, right, held, active, rtol)[0]


def is_large(network) -> bool:
    """Whether the linear algebra of this network is done sparsely."""
    return not isinstance(solver_for(network), DenseSolver)
