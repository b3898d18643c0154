"""Small signals about an operating point: responses to alternating sources, and resistances between nodes.

Where a source moves by a small du exp(i 2 pi f t), the unknowns (potentials, branch currents) answer with dv, and

    (J + i 2 pi f C) dv = -(dF/du + i 2 pi f dq/du) du,

F being the net currents, J = dF/dv at the operating point, C the capacitances and q their charges. It is the `.ac` of
SPICE (Nagel 1975, UCB/ERL M520). J is that of the element laws themselves, transistors and amplifiers included.
Everything here runs on the host, in double precision: dense matrices for small circuits, SuperLU for large ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from circuits.bundle import Names
from circuits.group import gather
from circuits.linear_solvers import DENSE_LIMIT
from circuits.topology import nearest
from physnet.errors import PhysnetError
from physnet.problem import Problem
from physnet.variable import Variable

if TYPE_CHECKING:
    from physnet.equilibrium import Equilibrium

_COLUMNS = 128  # right sides that are solved for at once


@dataclass(frozen=True)
class SmallSignal:
    """Phasors per unit of one source, peak and phase against it. Leading sample axis where the equilibrium had one.

    frequencies: Hz, (frequency,). nodes: complex, (*sample, frequency, node), of the free nodes in the order of the
    state; outputs: (*sample, frequency, output). Their unit is 1 (V per V) for a voltage source, ohm (V per A) for a
    current source.
    """

    source: str
    unit: str
    frequencies: np.ndarray
    nodes: np.ndarray
    outputs: np.ndarray
    equilibrium: "Equilibrium" = field(repr=False)

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset over frequency: amplitude and phase (rad, from -pi to pi) of outputs and nodes."""
        from physnet import datasets

        eq, variables = self.equilibrium, []
        sample = ("sample",) if np.ndim(eq.residual) else ()
        for name, dim, phasors in (("output", "output", self.outputs), ("node", "node", self.nodes)):
            dims, what = (*sample, "frequency", dim), f"small signal of each {name}"
            amplitude = Variable(f"{name}_amplitude", dims, self.unit, f"{what} per unit of source {self.source}")
            phase = Variable(f"{name}_phase", dims, "rad", f"phase of the {what}, ahead of source {self.source}")
            variables += [(amplitude, np.abs(phasors)), (phase, np.angle(phasors))]
        variables += [
            (Variable("residual", sample, "1", "relative residual of the operating point"), eq.residual),
            (Variable("converged", sample, "1", "whether the operating point was reached"), eq.converged),
        ]
        variables += [(p.variable, np.asarray(p.get(eq.system))) for p in eq.system.parameters]
        frequency = (Variable("frequency", ("frequency",), "Hz", "frequency of the source"), self.frequencies)
        title = f"Small-signal response of a circuit to source {self.source}"
        return datasets.build(
            eq.system, variables, coords=[frequency], default_title=title, dtype=eq.outputs.dtype, **attributes
        )


def ac(equilibrium: "Equilibrium", frequencies, source: str) -> SmallSignal:
    """The response of a circuit about its operating point to one voltage or current source of amplitude 1 V or 1 A.

    frequencies: Hz, at least 0, one or many. source: a name, whether an input or not; a current source drives from its
    first node to its second. An ideal diode that conducts is a short circuit. Raises PhysnetError for states that did
    not converge, unknown sources, frequencies that make no sense, and a circuit that is singular at a frequency.
    """
    frequencies = np.atleast_1d(np.asarray(frequencies, float))
    wrong = ~(np.isfinite(frequencies) & (frequencies >= 0))
    if frequencies.ndim != 1 or not frequencies.size or wrong.any():
        found = f"frequency {frequencies[wrong][0]:.6g} Hz" if wrong.any() else f"shape {frequencies.shape}"
        raise PhysnetError(f"ac: {found}; frequencies are finite and >= 0 Hz, in one axis.")
    rows = operating_points(equilibrium, "ac")
    unit = _check_source(rows[0][0], source)
    nodes, outputs = [], []
    for circuit, state, inputs in rows:
        here = Linearised.at(circuit, state, inputs)
        drive = jax.tree.map(lambda x: np.asarray(x, float), _drive(circuit, state, inputs, source))
        solution = here.alternating(frequencies, drive)
        nodes.append(solution[:, : circuit.network.free])
        outputs.append(solution @ here.readout.T + drive["output"])
    stacked = (np.stack(nodes), np.stack(outputs))
    if not np.ndim(equilibrium.residual):
        stacked = tuple(array[0] for array in stacked)
    return SmallSignal(source, unit, frequencies, *stacked, equilibrium)


def effective_resistance(
    equilibrium: "Equilibrium", a: str | int | Sequence[str | int], b: str | int | Sequence[str | int]
) -> np.ndarray:
    """Ohm between nodes a and b at the operating point: the voltage per small current driven in at a and out at b.

    a, b: names of nodes, or sequences of names for many pairs at once (one factorisation for all). Voltage sources and
    conducting ideal diodes are shorts, current sources are open. Shape (*sample, pair), or (*sample,) for one pair.
    For reciprocal circuits this is a metric, and conductances times it sum to the number of nodes less one over the
    edges of a resistor network (Foster 1949; Klein & Randic 1993, doi:10.1007/BF01164627).
    Raises PhysnetError for states that did not converge, unknown nodes and sequences of different length.
    """
    first, second = ([node] if isinstance(node, str | int | np.integer) else list(node) for node in (a, b))
    if len(first) != len(second):
        raise PhysnetError(
            f"effective_resistance: {len(first)} nodes a and {len(second)} nodes b; give one of each for every pair."
        )
    rows = operating_points(equilibrium, "effective_resistance")
    labels = rows[0][0].labels
    places = [np.array([_node(labels, node) for node in nodes], int) for nodes in (first, second)]
    found = []
    for circuit, state, inputs in rows:
        here = Linearised.at(circuit, state, inputs)
        columns = np.asarray(circuit.network.group_of_node)[np.stack(places)]
        resistance = np.empty(len(first))
        for start in range(0, len(first), _COLUMNS):
            pairs = columns[:, start : start + _COLUMNS]
            right = np.zeros((here.size + 1, pairs.shape[1]))
            k = np.arange(pairs.shape[1])
            np.add.at(right, (_inside(pairs[0], circuit.network), k), 1.0)
            np.add.at(right, (_inside(pairs[1], circuit.network), k), -1.0)
            answer = np.vstack([here.solve(right[:-1]), np.zeros(len(k))])
            resistance[start : start + len(k)] = (
                answer[_inside(pairs[0], circuit.network), k] - answer[_inside(pairs[1], circuit.network), k]
            )
        found.append(resistance)
    resistance = np.stack(found)
    if isinstance(a, str | int | np.integer) and isinstance(b, str | int | np.integer):
        resistance = resistance[..., 0]
    return resistance if np.ndim(equilibrium.residual) else resistance[0]


def output_resistance(equilibrium: "Equilibrium") -> np.ndarray:
    """How far each output moves per current into another, ohm, (*sample, output, output), at the operating point.

    Its inverse is the Thevenin conductance matrix of the outputs, whose smallest eigenvalue bounds a negative nudge.
    Column k is the response to 1 A into output k. Raises PhysnetError for states that did not converge.
    """
    rows = operating_points(equilibrium, "output_resistance")
    found = []
    for row in rows:
        here = Linearised.at(*row)
        found.append(here.readout @ here.solve(here.readout.T.toarray()))
    found = np.stack(found)
    return found if np.ndim(equilibrium.residual) else found[0]


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
        """(frequency, unknown): (J + i w C)^-1 of what one source does. drive: as `_drive` gives it."""
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


@eqx.filter_jit
def _drive(circuit, state, inputs, source: str):
    """What one unit of a source changes with the unknowns held: net currents, charges, diode limits, outputs."""
    network, unknowns = circuit.driven(inputs), circuit.unknowns(state)
    name = Names((source,))

    def equations(value):
        driven = network.driven(name, value)
        potentials = driven.potentials(unknowns)
        charges = [group.element.capacitance * group.voltage(potentials) for group in driven.capacitors]
        charges = [jnp.stack([charge, -charge]) for charge in charges]
        box = driven.bounds()
        limit = jnp.zeros_like(unknowns)
        if box is not None:
            limit = jnp.where(jnp.abs(unknowns - box[0]) <= jnp.abs(unknowns - box[1]), *box)
        return {
            "current": driven.balance(unknowns),
            "charge": gather(driven.capacitors, charges, driven.unknowns, unknowns.dtype),
            "limit": limit,
            "output": driven.output_voltages(unknowns),
        }

    value = network.default_inputs(name)
    return jax.jvp(equations, (value,), (jnp.ones_like(value),))[1]


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


def _inside(place, network):
    """The unknown of each potential; the row that is cut off for fixed ones."""
    return np.where(place == network.free, network.unknowns, place)


def _node(labels, node) -> int:
    if str(node) not in labels.nodes:
        raise PhysnetError(f"effective_resistance: unknown node {node}.{nearest(str(node), labels.nodes)}")
    return labels.nodes.index(str(node))


def _check_source(circuit, source) -> str:
    """The unit of a response to this source. Raises PhysnetError for anything else."""
    from circuits.elements import CurrentSource, VoltageSource

    names = {}
    for group in circuit.groups():
        if isinstance(group.element, VoltageSource | CurrentSource):
            names |= dict.fromkeys(group.names, "1" if isinstance(group.element, VoltageSource) else "ohm")
    if source not in names:
        known = ", ".join(list(names)[:12]) or "none"
        raise PhysnetError(f"ac: unknown source {source!r}.{nearest(str(source), list(names))} Sources: {known}.")
    return names[source]
