"""Which potentials of a circuit are free: voltage sources tie nodes into rigid groups, ground fixes one of them."""

import difflib
from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from circuits.bundle import Branch, Bundle, Names
from circuits.elements import IdealDiode, VoltageSource
from circuits.elements.base import MultiTerminal
from physnet.errors import PhysnetError

GROUND = "0"


@dataclass(frozen=True)
class Topology:
    """Where every potential comes from: that of its group, plus the voltages of the sources on the way.

    nodes: every node, ground first. free: the node whose potential stands for each free group, in order. group: for
    each node, the index into `free`, or len(free) for a node at a fixed potential. offset_node, offset_source,
    offset_sign: one entry for each source on the way from a group's reference to a node. redundant: sources that close
    a loop of others.
    """

    nodes: Names
    free: Names
    group: np.ndarray
    offset_node: np.ndarray
    offset_source: np.ndarray
    offset_sign: np.ndarray
    redundant: tuple[str, ...]

    def potentials(self, state, sources) -> np.ndarray:
        """Potential of every node, V, from those of the free groups and the source voltages."""
        potentials = np.append(state, 0.0)[self.group]
        np.add.at(potentials, self.offset_node, self.offset_sign * np.asarray(sources, float)[self.offset_source])
        return potentials


def analyse(nodes: list[str], bundles: list[Bundle], inputs: tuple[str, ...]) -> Topology:
    """Finds the free potentials of a circuit. Raises PhysnetError for loops of sources and nodes that float."""
    sources = branches_of(bundles, nodes, VoltageSource)
    number = {node: i for i, node in enumerate(nodes)} if sources else {}
    reference, entries, redundant = _rigid_groups(nodes, number, sources, inputs)
    own = np.arange(len(nodes))
    is_free = (reference == own) & (own != 0)
    index = np.full(len(nodes), int(is_free.sum()), np.int32)
    index[is_free] = np.arange(is_free.sum())
    columns = [np.array(column, np.int32) for column in zip(*entries)] or [np.zeros(0, np.int32)] * 3
    topology = Topology(
        Names(nodes), Names(nodes[i] for i in np.flatnonzero(is_free)), index[reference], *columns, tuple(redundant)
    )
    _check_nothing_floats(topology, bundles)
    _check_ideal_diodes(topology, number or {node: i for i, node in enumerate(nodes)}, bundles, sources)
    return topology


def branches_of(bundles: list[Bundle], nodes: list[str], kind: type) -> list[Branch]:
    """Every element of a kind by itself, in order."""
    return [b.branch(i, nodes) for b in bundles if isinstance(b.element, kind) for i in range(len(b.names))]


def _rigid_groups(nodes, number, sources, inputs):
    """(reference of each node, (node, source, sign) entries on the ways from it, redundant sources)."""
    neighbours = defaultdict(list)
    for k, source in enumerate(sources):
        first, second = number[source.first], number[source.second]
        neighbours[first].append((second, k, -1))
        neighbours[second].append((first, k, +1))
    reference = np.arange(len(nodes))
    paths, tree = {}, set()
    for start in sorted(neighbours):  # ground comes first, so its group is the fixed one
        if start in paths:
            continue
        paths[start] = {}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there, k, sign in neighbours[here]:
                if there not in paths:
                    reference[there] = start
                    paths[there] = paths[here] | {k: paths[here].get(k, 0) + sign}
                    queue.append(there)
                    tree.add(k)
    redundant = []
    for k, source in enumerate(sources):
        if k not in tree:
            _check_loop(source, k, sources, paths[number[source.first]], paths[number[source.second]], inputs)
            redundant.append(source.name)
    entries = [(node, k, sign) for node, path in paths.items() for k, sign in path.items() if sign]
    return reference, entries, redundant


def _check_loop(source, k, sources, to_first, to_second, inputs):
    """A source that closes a loop must agree with the others in it, whatever the inputs."""
    loop = defaultdict(int, {k: -1})
    for other, sign in to_first.items():
        loop[other] += sign
    for other, sign in to_second.items():
        loop[other] -= sign
    members = [other for other in loop if loop[other]]
    values = {other: float(sources[other].element.voltage) for other in members}
    text = " and ".join(f"{sources[other].name} ({values[other]:.6g} V)" for other in sorted(members))
    where = "in parallel" if len(members) == 2 else "in a loop"
    driven = [sources[other].name for other in members if sources[other].name in inputs]
    if driven:
        raise PhysnetError(
            f"voltage sources {text} are {where}, and {driven[0]} is an input, so they disagree as soon as it changes. "
            "Remove one of them, or put a resistor in series."
        )
    mismatch = sum(loop[other] * values[other] for other in members)
    if abs(mismatch) > 1e-12 * sum(map(abs, values.values())):
        raise PhysnetError(
            f"voltage sources {text} are {where} and disagree by {abs(mismatch):.6g} V. Remove one of them, or put a "
            "resistor in series."
        )


def _check_nothing_floats(topology: Topology, bundles: list[Bundle]):
    """Every free group needs a conducting way to a fixed potential, or its own potential means nothing."""
    fixed = len(topology.free)
    starts, ends = [], []
    for bundle in bundles:
        groups = topology.group[bundle.nodes]
        if isinstance(bundle.element, MultiTerminal):
            pairs = [(groups[a], groups[b]) for a, b in bundle.element.couples]
            pairs += [(groups[a], np.full_like(groups[a], fixed)) for a in bundle.element.holds]
        else:
            ties = np.broadcast_to(np.asarray(bundle.element.conducts), groups[0].shape)
            pairs = [(groups[0][ties], groups[1][ties])]
        for a, b in pairs:
            starts.append(a)
            ends.append(b)
    a, b = (np.concatenate([np.zeros(0, np.int32), *ends_]) for ends_ in (starts, ends))
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), (fixed + 1, fixed + 1))
    _, island = connected_components(graph, directed=False)
    adrift = island[topology.group] != island[fixed]
    if adrift.any():
        floating = [topology.nodes[i] for i in np.flatnonzero(adrift)]
        grounded = any((bundle.nodes == 0).any() for bundle in bundles)
        one = len(floating) == 1
        names = ("node " if one else "nodes ") + ", ".join(floating[:20]) + (", ..." if len(floating) > 20 else "")
        raise PhysnetError(
            f"{names} {'floats' if one else 'float'}: no way through resistors (above 0 S), Shockley diodes or voltage "
            f"sources leads from {'it' if one else 'them'} to a fixed potential (capacitors, current sources, ideal "
            "diodes and the control terminals of other elements do not settle a node). "
            + ("Connect it, or remove it." if grounded else f'No element is connected to ground, the node "{GROUND}".')
        )


def _check_ideal_diodes(topology, number, bundles, sources):
    """Ideal diodes are bounds on one free potential each, which must leave room for it at the declared voltages."""
    diodes = branches_of(bundles, topology.nodes, IdealDiode)
    if not diodes:
        return
    fixed = len(topology.free)
    potentials = topology.potentials(np.zeros(fixed), [float(source.element.voltage) for source in sources])
    lowest, highest = {}, {}
    for diode in diodes:
        anode, cathode = number[diode.first], number[diode.second]
        groups = topology.group[anode], topology.group[cathode]
        forward = potentials[anode] - potentials[cathode]
        if groups[0] == groups[1]:
            if forward > 0:
                raise PhysnetError(
                    f"{diode.title}: voltage sources hold its anode {diode.first} {forward:.6g} V above its cathode "
                    f"{diode.second}, which shorts them. Put a resistor in series, or turn the diode round."
                )
        elif fixed not in groups:
            raise PhysnetError(
                f"{diode.title} joins two free nodes, {diode.first} and {diode.second}; one terminal must be at a "
                "fixed potential (ground, or a voltage source to ground). Use model=ShockleyDiode() here."
            )
        elif groups[1] == fixed:
            highest.setdefault(groups[0], []).append((-forward, diode))
        else:
            lowest.setdefault(groups[1], []).append((forward, diode))
    for group in lowest.keys() & highest.keys():
        (low, below), (high, above) = max(lowest[group], key=_value), min(highest[group], key=_value)
        if low > high:
            raise PhysnetError(
                f"node {topology.free[group]}: {below.title} holds it above {low:.6g} V and {above.title} below "
                f"{high:.6g} V, which shorts their sources. Put a resistor in series, or turn a diode round."
            )


def _value(pair):
    return pair[0]


def nearest(name: str, known) -> str:
    """' Did you mean X?' for the closest known name, or nothing."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""
