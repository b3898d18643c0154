"""From named elements and their topology to the arrays of a system that settles."""

import jax.numpy as jnp
import numpy as np

from circuits.active_system import ActiveCircuitSystem
from circuits.bundle import Bundle, Names
from circuits.circuit_system import CircuitSystem
from circuits.elements.base import MultiTerminal
from circuits.group import Group, make_group
from circuits.labels import Labels
from circuits.network import Network
from circuits.pattern import Pattern
from circuits.topology import Topology


def assemble(
    bundles: list[Bundle], topology: Topology, inputs: tuple[str, ...], outputs: list[tuple], dtype
) -> CircuitSystem | ActiveCircuitSystem:
    """The system of a circuit whose topology has been analysed. outputs: pairs (node, node or None for ground)."""
    free = len(topology.free)
    carriers = [name for bundle in bundles if _has_branch(bundle) for name in bundle.names]
    branch_of = {name: free + i for i, name in enumerate(carriers)}
    groups = [make_group(bundle, topology, branch_of, dtype) for bundle in bundles]
    by_law = {
        law: tuple(group for group in groups if _law(group) == law)
        for law in ("current", "charge", "inequality", "voltage")
    }
    sources = {name for group in by_law["voltage"] for name in group.names} if inputs else set()
    capacitances = [
        (np.asarray(g.out_of), np.asarray(g.into), np.asarray(g.element.capacitance)) for g in by_law["charge"]
    ]
    labels = Labels(
        topology.nodes,
        topology.free,
        Names(carriers),
        Names(inputs),
        tuple("V" if name in sources else "A" for name in inputs),
        Names(plus if minus is None else f"{plus}-{minus}" for plus, minus in outputs),
        *_capacitance_labels(capacitances, topology.free, free + len(carriers)),
        topology.redundant,
    )
    number = topology.nodes

    def indices(values):
        return jnp.asarray(np.array(values, np.int32))

    plus = np.array([number.index(plus) for plus, _ in outputs], np.int32)
    minus = np.array([0 if minus is None else number.index(minus) for _, minus in outputs], np.int32)
    network = Network(
        *(by_law[law] for law in ("current", "charge", "inequality", "voltage")),
        group_of_node=indices(topology.group),
        offset_node=indices(topology.offset_node),
        offset_source=indices(topology.offset_source),
        offset_sign=jnp.asarray(topology.offset_sign, dtype),
        plus=jnp.asarray(plus),
        minus=jnp.asarray(minus),
        free=free,
        branches=len(carriers),
        pattern=Pattern.of(by_law["current"], topology.group[plus], topology.group[minus], free, len(carriers)),
    )
    reciprocal = not carriers and all(bundle.element.reciprocal for bundle in bundles)
    return (CircuitSystem if reciprocal else ActiveCircuitSystem)(network, labels)


def _has_branch(bundle: Bundle) -> bool:
    return isinstance(bundle.element, MultiTerminal) and bundle.element.has_branch


def _law(group: Group) -> str:
    return group.element.law if group.two_terminal else "current"


def _capacitance_labels(capacitors, free: Names, nowhere: int) -> tuple[tuple[str, ...], bool]:
    """(free potentials from which no chain of capacitors leads to a fixed one, whether none joins two free ones)."""
    reached = np.zeros(nowhere + 1, bool)
    reached[nowhere] = True
    a, b, c = (np.concatenate([np.zeros(0), *column]) for column in zip(*capacitors)) if capacitors else ([], [], [])
    a, b = (np.asarray(x, int)[np.asarray(c) > 0] for x in (a, b))
    while True:
        more = reached[a] ^ reached[b] if len(a) else np.zeros(0, bool)
        if not more.any():
            break
        reached[a[more]] = reached[b[more]] = True
    missing = tuple(free[i] for i in np.flatnonzero(~reached[: len(free)]))
    return missing, bool(np.all((a == nowhere) | (b == nowhere)))
