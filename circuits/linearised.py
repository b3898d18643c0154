"""A circuit made linear at an operating point, on the host, in double precision.

J is that of the element laws themselves, transistors and amplifiers included. Dense matrices for small circuits,
SuperLU for large ones.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from circuits.linear_solvers import DENSE_LIMIT
from physnet.errors import PhysnetError
from physnet.problem import Problem

if TYPE_CHECKING:
    from physnet.equilibrium import Equilibrium


@dataclass(frozen=True)
class Linearised:
    """One sample of a circuit, made linear at a state: J dv + C dv/dt = current, on the unknowns.

    jacobian: d(balance)/d(unknowns), S. capacitance: F. readout: (output, unknown), +1 and -1. held: unknowns that an
    ideal diode holds at its limit; state: the unknowns, V and A. free: how many of them are potentials.
    """

    jacobian: sp.csc_matrix
    capacitance: sp.csc_matrix
    readout: sp.csr_matrix
    held: np.ndarray
    free: int

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.jacobian.shape[0]

    @classmethod
    def at(cls, circuit, state, inputs) -> "Linearised":
        """A circuit at a state of one sample."""
        slopes, held, capacitances = jax.tree.map(np.asarray, _slopes(circuit, state, inputs))
        network = circuit.network
        jacobian = network.pattern.matrix(np.asarray(slopes, float))
        # Nodes that blocking junctions leave without any conductance would make the matrix singular.
        ballast = np.where(np.arange(network.unknowns) < network.free, 1e-19 * np.abs(jacobian.diagonal()).max(), 0)
        jacobian = jacobian + sp.diags(ballast, format="csc")
        n, entries = network.unknowns, [[], [], []]
        for group, c in zip(network.capacitors, capacitances):
            a, b = np.asarray(group.out_of), np.asarray(group.into)
            for i, j, value in ((a, a, c), (b, b, c), (a, b, -c), (b, a, -c)):
                kept = (i < n) & (j < n)
                for column, new in zip(entries, (value[kept], i[kept], j[kept])):
                    column.append(np.asarray(new, float))
        value, i, j = (np.concatenate([np.zeros(0), *column]) for column in entries)
        capacitance = sp.csc_matrix((value, (i.astype(int), j.astype(int))), (n, n))
        return cls(jacobian, capacitance, _readout(network), np.asarray(held), network.free)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """J^-1 right on the unknowns that can move. right: (unknown, column), A."""
        right = np.where(self.held[:, None], 0, right)
        return self._solve(self.jacobian, right, "")

    def alternating(self, frequencies: np.ndarray, drive: dict[str, np.ndarray]) -> np.ndarray:
        """(frequency, unknown): (J + i w C)^-1 of what one source does.

        drive: per unit of the source, with the unknowns held: "current", A, out of the nodes, "charge", C, on them, and
        "limit", V, the move of the bound that holds a node.
        """
        found = np.empty((len(frequencies), self.size), complex)
        for k, frequency in enumerate(frequencies):
            turn = 2j * np.pi * frequency
            right = np.where(self.held, drive["limit"], -(drive["current"] + turn * drive["charge"]))
            matrix = self.jacobian + turn * self.capacitance
            found[k] = self._solve(matrix, right[:, None], f" at {frequency:.6g} Hz")[:, 0]
        return found

    def transposed(self) -> "Linearised":
        """The adjoint circuit: what each output hears of a current anywhere."""
        return replace(self, jacobian=self.jacobian.T.tocsc())

    def _solve(self, matrix, right, where):
        if self.held.any():
            moving = sp.diags((~self.held).astype(float))
            matrix = (moving @ matrix + sp.diags(self.held.astype(float))).tocsc()
        try:
            if self.size <= DENSE_LIMIT:
                return np.linalg.solve(matrix.toarray(), right)
            return splu(matrix.tocsc()).solve(right)
        except (np.linalg.LinAlgError, RuntimeError) as error:
            raise PhysnetError(
                f"small signal: the circuit is singular{where} ({error}): some node or source current is left "
                "undetermined. Give it a resistor, or a higher frequency where only a capacitor holds it."
            ) from None


def operating_points(equilibrium: "Equilibrium", where: str) -> list[tuple]:
    """(circuit, state, inputs) of each sample. Raises PhysnetError unless they are settled states of a circuit."""
    system = equilibrium.system
    batched = bool(np.ndim(equilibrium.residual))
    if not np.all(equilibrium.converged):
        worst = int(np.argmin(np.atleast_1d(equilibrium.converged)))
        residual = float(np.atleast_1d(equilibrium.residual)[worst])
        raise PhysnetError(
            f"{where}: the operating point of sample {worst} was not reached (relative residual {residual:.3g}); relax "
            "it first."
        )
    found = []
    for i in range(len(equilibrium.residual) if batched else 1):
        state, inputs = equilibrium.state, equilibrium.inputs
        if batched:
            state, inputs = jax.tree.map(lambda leaf: leaf[i], (state, inputs))  # noqa: B023
        circuit = system
        while circuit is not None and not hasattr(circuit, "network"):
            inner, inputs = circuit.under(inputs)
            circuit = None if inner is circuit else inner
        if circuit is None:
            raise PhysnetError(
                f"{where}: this is a state of {'no system' if system is None else type(system).__name__}; pass what "
                "relax() returned for a circuit made by Circuit.build()."
            )
        found.append((circuit, state, inputs))
    return found


@eqx.filter_jit
def _slopes(circuit, state, inputs):
    """(slopes of every conducting element, unknowns held by ideal diodes, capacitances by group)."""
    network = circuit.driven(inputs)
    values = network.values(circuit.unknowns(state))
    slopes = [group.slopes(v).ravel() for group, v in zip(network.conductors, values)]
    free = Problem(circuit, inputs).free_coordinates(state)
    capacitances = [group.element.capacitance for group in network.capacitors]
    return jnp.concatenate(slopes or [jnp.zeros(0, network.dtype)]), ~free, capacitances


def _readout(network) -> sp.csr_matrix:
    """(output, unknown): +1 and -1 at the potentials of each output."""
    count = len(network.plus)
    group = np.asarray(network.group_of_node)
    rows, columns, signs = [], [], []
    for nodes, sign in ((network.plus, 1.0), (network.minus, -1.0)):
        place = group[np.asarray(nodes)]
        kept = place < network.free
        rows.append(np.flatnonzero(kept)), columns.append(place[kept]), signs.append(np.full(kept.sum(), sign))
    return sp.csr_matrix(
        (np.concatenate(signs), (np.concatenate(rows), np.concatenate(columns))), (count, network.unknowns)
    )
