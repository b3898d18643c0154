"""How the linear systems of Newton's method on a circuit are solved: densely, or sparsely with kept factorisations."""

import threading
from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Bool, Float

from circuits.factors import LDL, LU, Cholmod, Factor, Factors
from circuits.network import Network
from circuits.pattern import Pattern

DENSE_LIMIT = 150  # unknowns up to which a batch of dense factorisations is faster than sparse ones
_LARGEST_DENSE = 5000
_MOST_KEPT = 8
_KEPT: dict[tuple, Factors] = {}
_LOCK = threading.Lock()


class Coefficients(eqx.Module):
    """What a Jacobian is made of, (sample, ...).

    slopes: of every element, in the order of `Pattern`. outputs: S, a conductance at each output. shunt: S, from each
    unknown to ground. free: unknowns that can move; the others have a row of the identity. dense: S, (output, output),
    a conductance between outputs, None for none. correction: slopes at the free state of a circuit that is not
    reciprocal, about which it is made so (J - J0 + J0^T); None for none.
    """

    slopes: Float[Array, "*sample coefficient"]
    outputs: Float[Array, "*sample output"]
    shunt: Float[Array, "*sample u"]
    free: Bool[Array, "*sample u"]
    dense: Float[Array, "*sample output output"] | None = None
    correction: Float[Array, "*sample coefficient"] | None = None

    @property
    def packed(self) -> Float[Array, "*sample packed"]:
        """All but `dense` and `correction` side by side."""
        return jnp.concatenate([self.slopes, self.outputs, self.shunt, self.free.astype(self.shunt.dtype)], axis=-1)


class LinearSolver(eqx.Module):
    """Solves J x = right for a batch of samples.

    Methods take network: of the circuit whose Jacobian J is. samples: how many. corrected: whether the coefficients
    have a `correction`.
    """

    @abstractmethod
    def refuses(self, network: Network) -> str | None:
        """Why it cannot solve for this network, and what can; None if it does."""

    @abstractmethod
    def nothing_held(self, network: Network, samples: int, corrected: bool) -> Array | None:
        """What `held` is before the first solve, (sample, number), NaN, of mixed units; None for a solver without."""

    @abstractmethod
    def solve(
        self,
        network: Network,
        coefficients: Coefficients,
        right: Float[Array, "sample u"],
        held: Array | None,
        active: Bool[Array, " sample"],
        rtol: Float[Array, " sample"],
    ) -> tuple[Float[Array, "sample u"], Array | None]:
        """(x, what can be used again): x in the unit of the unknowns, V or A, and numbers (sample, number) to hold.

        coefficients: what J is made of. right: the right-hand sides, in the unit of the residual, A or V. held: of an
        earlier solve, (sample, number), in whatever units the solver keeps. active: samples that matter. rtol:
        relative, the |J x - right| over |right| that will do.
        """


class DenseSolver(LinearSolver):
    """LU of the whole matrix of every sample: circuits of up to a few hundred nodes, in batches."""

    def refuses(self, network):
        if network.unknowns > _LARGEST_DENSE:
            return (
                f"the circuit has {network.unknowns} unknowns, and a dense matrix is meant for at most "
                f"{_LARGEST_DENSE}; use SparseSolver()."
            )
        return None

    def nothing_held(self, network, samples, corrected):
        return None

    def solve(self, network, coefficients, right, held, active, rtol):
        def one(coefficients, right):
            matrix = dense_matrix(network, coefficients)
            return lu_solve(lu_factor(matrix), right)  # compiles in half the time of linalg.solve

        return jax.vmap(one)(coefficients, right), None


def dense_matrix(network: Network, coefficients: Coefficients) -> Float[Array, "u u"]:
    """The Jacobian of one sample."""
    n = network.unknowns

    def two_terminals(matrix, a, b, g):
        return matrix.at[a, a].add(g).at[b, b].add(g).at[a, b].add(-g).at[b, a].add(-g)

    def elements(slopes):
        matrix, start = jnp.zeros((n + 1, n + 1), slopes.dtype), 0
        for group in network.conductors:
            r, (c, m) = group.rows.shape[0], group.columns.shape
            if group.two_terminal:
                matrix = two_terminals(matrix, group.rows[0], group.rows[1], slopes[start : start + m])
                start += m
            else:
                block = slopes[start : start + r * c * m].reshape(r, c, m)
                rows, columns = (jnp.broadcast_to(x, (r, c, m)) for x in (group.rows[:, None], group.columns[None]))
                matrix = matrix.at[rows, columns].add(block)
                start += r * c * m
        return matrix

    matrix = elements(coefficients.slopes)
    if coefficients.correction is not None:
        at_rest = elements(coefficients.correction)
        matrix = matrix - at_rest + at_rest.T
    ends = [jnp.where(network.group_of_node[x] == network.free, n, network.group_of_node[x]) for x in _ends(network)]
    matrix = two_terminals(matrix, *ends, coefficients.outputs)
    if coefficients.dense is not None:
        readout = jnp.zeros((len(network.plus), n + 1), matrix.dtype)
        k = jnp.arange(len(network.plus))
        readout = readout.at[k, ends[0]].add(1).at[k, ends[1]].add(-1)
        matrix = matrix + readout.T @ coefficients.dense @ readout
    matrix = matrix[:n, :n] + jnp.diag(coefficients.shunt)
    free = coefficients.free
    return jnp.where(free[:, None] & free[None, :], matrix, 0) + jnp.diag(jnp.where(free, 0, 1).astype(matrix.dtype))


def _ends(network: Network):
    """Output nodes, moved to one where both belong to the same free potential, so that nothing is added."""
    same = network.group_of_node[network.plus] == network.group_of_node[network.minus]
    return network.plus * ~same, network.minus * ~same


class SparseSolver(LinearSolver):
    """Sparse factorisations, the analysis of the pattern and the last factors kept: circuits of any size.

    Reciprocal circuits by LDL^T (QDLDL), others by LU (SuperLU). A step whose matrix is near the last one factorised
    takes a few iterations preconditioned with that instead. It runs on the host, in double precision.

    iterations: with kept factors, before a new factorisation is made. purpose: solvers of another purpose keep factors
    of their own.
    """

    iterations: int = eqx.field(static=True, default=8)
    purpose: str = eqx.field(static=True, default="")
    symmetric: ClassVar[type[Factor]] = LDL

    def refuses(self, network):
        return None

    def nothing_held(self, network, samples, corrected):
        p = network.pattern
        size = p.coefficients * (1 + corrected) + p.outputs + 2 * p.size
        return jnp.full((samples, size), jnp.nan, network.dtype)

    def solve(self, network, coefficients, right, held, active, rtol):
        pattern = network.pattern
        kind = self.symmetric if pattern.symmetric else LU
        arguments = {
            "packed": coefficients.packed,
            "right": right,
            "active": active,
            "rtol": rtol,
            "dense": coefficients.dense,
            "correction": coefficients.correction,
            "held": held,
        }
        shapes = (
            jax.ShapeDtypeStruct(right.shape, right.dtype),
            jax.ShapeDtypeStruct(held.shape, held.dtype),
        )

        def on_host(arguments):
            return _solve_batch(factors_of(pattern, kind, self.purpose), arguments, self.iterations)

        return jax.pure_callback(on_host, shapes, arguments, vmap_method="broadcast_all")


class CholmodSolver(SparseSolver):
    """As `SparseSolver`, with reciprocal circuits factorised by CHOLMOD (the extra `cholmod`)."""

    symmetric: ClassVar[type[Factor]] = Cholmod

    def refuses(self, network):
        try:
            import sksparse.cholmod  # noqa: F401
        except ImportError:
            return "scikit-sparse is not installed (pip install 'physnet[cholmod]'); use SparseSolver()."
        return None


def solver_for(network: Network) -> LinearSolver:
    """The linear solver that suits the size of a circuit."""
    return DenseSolver() if network.unknowns <= DENSE_LIMIT else SparseSolver()


def readout(network: Network) -> Float[Array, "output u"]:
    """What each output is made of: one row of +1 and -1 for each."""
    n = network.unknowns
    ends = [jnp.where(network.group_of_node[x] == network.free, n, network.group_of_node[x]) for x in _ends(network)]
    k = jnp.arange(len(network.plus))
    rows = jnp.zeros((len(network.plus), n + 1), network.dtype)
    return rows.at[k, ends[0]].add(1).at[k, ends[1]].add(-1)[:, :n]


def factors_of(pattern: Pattern, kind: type[Factor], purpose: str = "") -> Factors:
    """The factorisations kept for a pattern, those for other purposes apart; of the last few that were used."""
    key = (pattern, kind, purpose)
    with _LOCK:
        found = _KEPT.pop(key, None) or Factors(pattern, kind)
        _KEPT[key] = found  # the last used is the last to go
        while len(_KEPT) > _MOST_KEPT:
            del _KEPT[next(iter(_KEPT))]
    return found


def _solve_batch(factors: Factors, arguments, most):
    """The callback: leading axes (phase, sample) or (sample,), each sample with a factorisation of its own."""
    arrays = {k: None if x is None else np.asarray(x) for k, x in arguments.items()}
    right, held = arrays["right"], np.array(arrays["held"], float)
    solution = np.zeros(right.shape)
    for index in np.ndindex(*right.shape[:-1]):
        if not arrays["active"][index]:
            continue

        def row(name):
            return None if arrays[name] is None else np.asarray(arrays[name][index], float)  # noqa: B023

        if not (np.isfinite(row("right")).all() and np.isfinite(row("packed")).all()):
            solution[index] = np.nan
            continue
        solution[index], held[index] = factors.solve(
            index[-1],
            row("packed"),
            row("correction"),
            row("dense"),
            held[index],
            row("right"),
            arrays["rtol"][index],
            most,
        )
    return solution.astype(right.dtype), held.astype(arrays["held"].dtype)
