"""Which potentials of a circuit are free: voltage sources tie nodes into rigid groups, ground fixes one of them."""

import difflib
from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np

from circuits.elements import Element, IdealDiode, VoltageSource
from physnet.errors import PhysnetError

GROUND = "0"


@dataclass(frozen=True)
class Branch:
    """One element of a circuit: its name, its two nodes, and itself."""

    name: str
    first: str
    second: str
    element: Element

    @property
    def title(self) -> str:
        """The element as an error message calls it: resistor R3."""
        return f"{self.element.kind.replace('_', ' ')} {self.name}"


@dataclass(frozen=True)
class Topology:
    """Where every potential comes from: the potential of a node is that of its group plus offsets @ source voltages.

    nodes: every node, ground first. free: the node whose potential stands for each free group, in order. group: for
    each node, the index into `free`, or len(free) for a node at a fixed potential. offsets: (node, source), +1 or -1
    for the sources on the way from the group's reference to the node, else 0. redundant: sources that close a loop of
    others.
    """

    nodes: tuple[str, ...]
    free: tuple[str, ...]
    group: tuple[int, ...]
    offsets: np.ndarray
    redundant: tuple[str, ...]

    def potentials(self, state, sources) -> np.ndarray:
        """Potential of every node, V, from those of the free groups and the source voltages."""
        return np.append(state, 0.0)[list(self.group)] + self.offsets @ np.asarray(sources, dtype=float)


def analyse(branches: list[Branch], inputs: tuple[str, ...]) -> Topology:
    """Finds the free potentials of a circuit. Raises PhysnetError for loops of sources and nodes that float."""
    nodes = tuple(dict.fromkeys([GROUND, *(node for b in branches for node in (b.first, b.second))]))
    sources = [b for b in branches if isinstance(b.element, VoltageSource)]
    reference, paths, redundant = _rigid_groups(nodes, sources, inputs)
    free = tuple(node for node in nodes if reference[node] == node and node != GROUND)
    index = {node: i for i, node in enumerate(free)} | {GROUND: len(free)}
    offsets = np.zeros((len(nodes), len(sources)))
    for i, node in enumerate(nodes):
        for source, sign in paths[node].items():
            offsets[i, source] = sign
    topology = Topology(
        nodes,
        free,
        tuple(index[reference[node]] for node in nodes),
        offsets,
        tuple(redundant),
    )
    _check_nothing_floats(topology, branches)
    _check_ideal_diodes(topology, branches, sources)
    return topology


def _rigid_groups(nodes, sources, inputs):
    """(reference node of each node, {source: sign} from it to the node, redundant sources)."""
    neighbours = defaultdict(list)
    for k, source in enumerate(sources):
        neighbours[source.first].append((source.second, k, -1))
        neighbours[source.second].append((source.first, k, +1))
    reference, paths, tree = {}, {}, set()
    for start in nodes:  # ground comes first, so its group is the fixed one
        if start in reference:
            continue
        reference[start], paths[start] = start, {}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there, k, sign in neighbours[here]:
                if there not in reference:
                    reference[there] = start
                    paths[there] = paths[here] | {k: paths[here].get(k, 0) + sign}
                    queue.append(there)
                    tree.add(k)
    redundant = []
    for k, source in enumerate(sources):
        if k not in tree:
            _check_loop(source, k, sources, paths, inputs)
            redundant.append(source.name)
    return reference, paths, redundant


def _check_loop(source, k, sources, paths, inputs):
    """A source that closes a loop must agree with the others in it, whatever the inputs."""
    loop = defaultdict(int, {k: -1})
    for other, sign in paths[source.first].items():
        loop[other] += sign
    for other, sign in paths[source.second].items():
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


def _check_nothing_floats(topology, branches):
    """Every free group needs a conducting way to a fixed potential, or its own potential means nothing."""
    number = {node: i for i, node in enumerate(topology.nodes)}
    fixed = len(topology.free)
    neighbours = defaultdict(set)
    for branch in branches:
        if bool(np.all(branch.element.conducts)):
            a, b = (topology.group[number[node]] for node in (branch.first, branch.second))
            neighbours[a].add(b)
            neighbours[b].add(a)
    reached, queue = {fixed}, [fixed]
    while queue:
        for other in neighbours[queue.pop()] - reached:
            reached.add(other)
            queue.append(other)
    floating = [node for node, group in zip(topology.nodes, topology.group) if group not in reached]
    if floating:
        grounded = any(GROUND in (b.first, b.second) for b in branches)
        one = len(floating) == 1
        names = ("node " if one else "nodes ") + ", ".join(floating[:20]) + (", ..." if len(floating) > 20 else "")
        raise PhysnetError(
            f"{names} {'floats' if one else 'float'}: no way through resistors (above 0 S), Shockley diodes or voltage "
            f"sources leads from {'it' if one else 'them'} to a fixed potential (capacitors, current sources and ideal "
            "diodes do not settle a node). "
            + ("Connect it, or remove it." if grounded else f'No element is connected to ground, the node "{GROUND}".')
        )


def _check_ideal_diodes(topology, branches, sources):
    """Ideal diodes are bounds on one free potential each, which must leave room for it at the declared voltages."""
    number = {node: i for i, node in enumerate(topology.nodes)}
    fixed = len(topology.free)
    voltages = [float(source.element.voltage) for source in sources]
    potentials = topology.potentials(np.zeros(fixed), voltages)
    lowest, highest = {}, {}
    for diode in branches:
        if not isinstance(diode.element, IdealDiode):
            continue
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
