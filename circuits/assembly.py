"""From named branches and their topology to the arrays of a `CircuitSystem`."""

import jax.numpy as jnp
import numpy as np

from circuits.circuit_system import CircuitSystem, Labels
from circuits.elements import VoltageSource
from circuits.group import group_branches
from circuits.topology import Branch, Topology


def assemble(
    branches: list[Branch], topology: Topology, inputs: tuple[str, ...], outputs: list[tuple], dtype
) -> CircuitSystem:
    """The system of a circuit whose topology has been analysed. outputs: pairs (node, node or None for ground)."""
    groups = group_branches(branches, topology, dtype)
    by_law = {
        law: tuple(group for group in groups if group.element.law == law)
        for law in ("current", "charge", "inequality", "voltage")
    }
    elements = {branch.name: branch.element for branch in branches}
    labels = Labels(
        topology.nodes,
        topology.free,
        inputs,
        tuple("V" if isinstance(elements[name], VoltageSource) else "A" for name in inputs),
        tuple(plus if minus is None else f"{plus}-{minus}" for plus, minus in outputs),
        *_capacitance_labels(by_law["charge"], topology.free),
        topology.redundant,
    )
    number = {node: i for i, node in enumerate(topology.nodes)}

    def indices(values):
        return jnp.asarray(np.array(values, np.int32))

    return CircuitSystem(
        *(by_law[law] for law in ("current", "charge", "inequality", "voltage")),
        group_of_node=indices(topology.group),
        offsets=jnp.asarray(topology.offsets, dtype),
        plus=indices([number[plus] for plus, _ in outputs]),
        minus=indices([0 if minus is None else number[minus] for _, minus in outputs]),
        labels=labels,
    )


def _capacitance_labels(capacitors, free) -> tuple[tuple[str, ...], bool]:
    """(free potentials from which no chain of capacitors leads to a fixed one, whether none joins two free ones)."""
    fixed = len(free)
    ends = [
        (int(a), int(b))
        for group in capacitors
        for a, b, c in zip(*map(np.asarray, (group.out_of, group.into, group.element.capacitance)))
        if c > 0
    ]
    reached, grew = {fixed}, True
    while grew:
        more = {x for pair in ends if reached & set(pair) for x in pair} - reached
        reached |= more
        grew = bool(more)
    missing = tuple(node for i, node in enumerate(free) if i not in reached)
    return missing, all(fixed in pair for pair in ends)
