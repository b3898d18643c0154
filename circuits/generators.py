"""Circuits made by rule: grids, random geometric networks, layers, and graphs from elsewhere."""

from collections.abc import Hashable

import jax
import numpy as np
from jaxtyping import PRNGKeyArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import Delaunay, QhullError, cKDTree

from circuits.circuit import Circuit
from circuits.draws import Conductances, chosen, conductances
from circuits.elements import Element, IdealDiode, Resistor, ShockleyDiode
from circuits.layered import LayeredNetwork
from physnet.errors import PhysnetError


def grid(
    rows: int,
    columns: int,
    *,
    conductance: Conductances = 1.0,
    periodic: bool = False,
    diode_share: float = 0.0,
    diode: Element | None = None,
    reversed_share: float = 0.0,
    trainable: bool = True,
    key: PRNGKeyArray | None = None,
) -> Circuit:
    """A square grid of resistors between neighbouring nodes "r,c" (row, column), to which sources are then added.

        circuit = grid(3, 4, conductance=Uniform(1e-4, 1e-3), key=jax.random.key(0))
        circuit.voltage_source("V1", "0,0", 0, voltage=1.0).resistor("load", "2,3", 0, resistance=1e3)

    Resistor "h3,17" leads from node "3,17" to "3,18", "v3,17" to "4,17"; all h first, row by row, then all v.

    rows, columns: how many nodes each way. conductance: S, one for all, one for each resistor in that order, or a
    function (key, m) -> S such as `Uniform(1e-6, 1e-4)`. periodic: whether the last column joins the first, and the
    last row the first. diode_share: share of the nodes, drawn, with a diode "d3,17" to ground, `ShockleyDiode()` unless
    `diode` says otherwise, which conducts from node to ground. reversed_share: share of these that conduct from ground
    to node. trainable: whether the resistors learn. key: a JAX random key, where anything is drawn.
    Raises PhysnetError for sizes without a resistor, or values that are no conductances.
    """
    sizes = (rows, columns)
    if not all(_whole(n) and n >= 1 for n in sizes) or max(sizes) < 2:
        raise PhysnetError(f"grid: {rows} x {columns} nodes; give whole numbers, at least 1 and 2.")
    if periodic and any(n == 2 for n in sizes):
        raise PhysnetError(
            f"grid: {rows} x {columns} nodes, periodic; a ring needs 3 nodes or more. Use a larger grid."
        )
    keys = [None] * 3 if key is None else [jax.random.fold_in(key, i) for i in range(3)]
    names = [f"{r},{c}" for r in range(rows) for c in range(columns)]
    node = np.array(names, object).reshape(rows, columns)
    wraps = [periodic and n > 2 for n in sizes]
    across = node if wraps[1] else node[:, :-1]
    down = node if wraps[0] else node[:-1]
    first = [*across.ravel(), *down.ravel()]
    second = [
        *np.roll(node, -1, axis=1)[:, : across.shape[1]].ravel(),
        *np.roll(node, -1, axis=0)[: down.shape[0]].ravel(),
    ]
    labels = [f"h{name}" for name in first[: across.size]] + [f"v{name}" for name in first[across.size :]]
    values = conductances("grid", conductance, len(labels), keys[0])
    circuit = Circuit().add_many(labels, first, second, Resistor(values, trainable))
    there = chosen("grid: diode_share", diode_share, node.size, keys[1])
    if len(there):
        turned = chosen("grid: reversed_share", reversed_share, len(there), keys[2])
        at = [names[i] for i in there]
        _add_diodes(circuit, [f"d{name}" for name in at], at, np.isin(np.arange(len(at)), turned), diode)
    return circuit


def random_geometric(
    nodes: int,
    radius: float,
    *,
    key: PRNGKeyArray,
    conductance: Conductances = 1.0,
    largest_component: bool = False,
    trainable: bool = True,
) -> tuple[Circuit, dict[str, tuple[float, float]]]:
    """Nodes "n0", "n1", ... thrown on the unit square, a resistor between any two that are close.

    nodes: how many. radius: within which two are joined, in units of the side of the square. key: a JAX random key.
    Returns (circuit, positions): the position (x, y) of every node of the circuit, in units of the side of the square.
    Resistor "n3-n17" joins node "n3" to "n17". largest_component: keep the largest connected part of a network that
    falls apart, and drop the other nodes. conductance, trainable: as for `grid`.
    Raises PhysnetError for a network that falls apart, with the radius that would hold it together.
    """
    if not _whole(nodes) or nodes < 2:
        raise PhysnetError(f"random_geometric: {nodes!r} nodes; give a whole number, at least 2.")
    if not (isinstance(radius, int | float | np.number) and 0 < radius < np.inf):
        raise PhysnetError(f"random_geometric: radius is {radius!r}; give it in units of the side, such as 0.2.")
    keys = [jax.random.fold_in(key, i) for i in range(2)]
    points = np.asarray(jax.random.uniform(keys[0], (nodes, 2), float), float)
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    parts, part = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), (nodes, nodes)), directed=False)
    if parts > 1 and not largest_component:
        raise PhysnetError(
            f"random_geometric: with radius {radius:.6g} the {nodes} nodes fall into {parts} parts; a radius of "
            f"{_connecting_radius(points):.6g} connects them all. Or pass largest_component=True to keep the largest."
        )
    pairs = pairs[part[pairs[:, 0]] == np.argmax(np.bincount(part))]
    if not len(pairs):
        raise PhysnetError(f"random_geometric: no two nodes are closer than {radius:.6g}. Use a larger radius.")
    values = conductances("random_geometric", conductance, len(pairs), keys[1])
    first, second = ([f"n{i}" for i in column] for column in pairs.T)
    names = [f"{a}-{b}" for a, b in zip(first, second)]
    circuit = Circuit().add_many(names, first, second, Resistor(values, trainable))
    return circuit, {name: tuple(points[int(name[1:])].tolist()) for name in circuit.nodes[1:]}


def _connecting_radius(points: np.ndarray) -> float:
    """The longest edge of the minimum spanning tree, just above which the network is connected."""
    try:
        corners = Delaunay(points).simplices  # its edges contain the tree
        pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    except (QhullError, ValueError):  # fewer than three nodes, or all on a line
        pairs = np.array(np.triu_indices(len(points), 1)).T
    lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    tree = minimum_spanning_tree(coo_matrix((lengths, pairs.T), (len(points),) * 2))
    return float(tree.data.max()) * (1 + 1e-5)  # it is printed with six digits


def layered(
    sizes: tuple[int, ...],
    *,
    key: PRNGKeyArray,
    input_gain: float = 1.0,
    diode: IdealDiode | ShockleyDiode | None = None,
) -> Circuit:
    """`LayeredNetwork.random` as a circuit of named elements (see `layered_circuit`): the published initialisation.

    sizes, key, input_gain, diode: as for `LayeredNetwork.random`. In a small network all branches of a node may be
    open, so that it floats, which `Circuit.build` refuses: then use `layered_circuit(LayeredNetwork(conductances))`.
    """
    return layered_circuit(LayeredNetwork.random(sizes, key=key, input_gain=input_gain, diode=diode))


def layered_circuit(network: LayeredNetwork) -> Circuit:
    """`network` as a circuit of named elements, for export or to change: same nodes, same operating point.

    Input i drives nodes "x0_plus" and "x0_minus" by voltage sources "Vx0_plus", "Vx0_minus", which stand at 0 V until
    they are set: build(inputs=layered_inputs(circuit)) takes input_gain * [x, -x], V. Hidden nodes are "h1_0"
    (layer 1, node 0), outputs "y0"; resistor "x0_plus-h1_3" joins the nodes it is named for, 0 S where the branch is
    open; the diode of a hidden node is "d_h1_0". Capacitances are left out.
    """
    widths = [g.shape[0] for g in network.conductances[1:]]
    half = network.conductances[0].shape[0] // 2
    signs = ("plus", "minus")
    layers = [[f"x{i}_{sign}" for sign in signs for i in range(half)]]
    layers += [[f"h{k + 1}_{i}" for i in range(width)] for k, width in enumerate(widths)]
    layers.append([f"y{i}" for i in range(network.conductances[-1].shape[1])])
    circuit = Circuit()
    for name in layers[0]:
        circuit.voltage_source(f"V{name}", name, 0, voltage=0.0)
    for below, above, g in zip(layers, layers[1:], network.conductances):
        first = [a for a in below for _ in above]
        second = above * len(below)
        names = [f"{a}-{b}" for a, b in zip(first, second)]
        circuit.add_many(names, first, second, Resistor(np.asarray(g, float).ravel()))
    for nodes in layers[1:-1] if network.diode is not None else ():
        upper = np.arange(len(nodes)) < (len(nodes) + 1) // 2  # these keep a node from falling below 0 V
        _add_diodes(circuit, [f"d_{name}" for name in nodes], nodes, upper, network.diode)
    return circuit


def layered_inputs(circuit: Circuit) -> tuple[str, ...]:
    """The sources that are the inputs of a circuit: first all +, then all -, as its nodes are.

    circuit: by `layered_circuit`.
    """
    names = [branch.name for branch in circuit.branches() if branch.element.kind == "voltage_source"]
    return tuple(
        name for sign in ("_plus", "_minus") for name in names if name.startswith("Vx") and name.endswith(sign)
    )


def from_networkx(
    graph,
    *,
    conductance: str | None = None,
    resistance: str | None = None,
    ground: Hashable = None,
    trainable: bool = True,
) -> Circuit:
    """A resistor for every edge of a graph: a networkx graph, or any object with `nodes` and `edges` like one.

    conductance, resistance: the name of the edge attribute that holds it, S or ohm; one of the two. Give `edges` as
    (node, node, {attribute: value}) where it is no method. A node (3, 17) becomes "3,17", any other its text; `ground`
    is the node that becomes ground. trainable: whether the resistors learn. Resistor "a-b" leads from a to b; parallel
    ones are "a-b.2", "a-b.3".
    Raises PhysnetError, naming the edge, for a missing attribute, a value that is no conductance, or a self-loop.
    """
    if (conductance is None) == (resistance is None):
        given = "neither" if conductance is None else "both"
        raise PhysnetError(
            f"from_networkx: {given} given; pass conductance='weight' (S) or resistance='...' (ohm), the name of the "
            "edge attribute."
        )
    attribute = resistance if conductance is None else conductance
    edges = graph.edges(data=True) if callable(graph.edges) else graph.edges
    names, ends, values = {}, [], []
    for a, b, data in edges:
        first, second = _text(a, ground), _text(b, ground)
        if first == second:
            raise PhysnetError(f"from_networkx: edge {a!r}-{b!r} is a self-loop, which carries no current. Remove it.")
        name = f"{first}-{second}"
        count = names[name] = names.get(name, 0) + 1
        ends.append((name if count == 1 else f"{name}.{count}", first, second))
        values.append(_edge_conductance(f"from_networkx: edge {a!r}-{b!r}", data, attribute, conductance is None))
    if not ends:
        raise PhysnetError("from_networkx: the graph has no edges, so there is nothing that conducts. Add some.")
    labels, first, second = (list(column) for column in zip(*ends))
    return Circuit().add_many(labels, first, second, Resistor(np.array(values), trainable))


def _text(node, ground) -> str:
    if ground is not None and node == ground:
        return "0"
    text = ",".join(map(str, node)) if isinstance(node, tuple) else str(node)
    if text == "0":
        raise PhysnetError(
            'from_networkx: node 0 would be ground, which circuits call "0". Pass ground=0 if that is meant, or rename '
            "the nodes, such as networkx.relabel_nodes(graph, str('n{}').format)."
        )
    return text


def _edge_conductance(where, data, attribute, is_resistance) -> float:
    unit, kind = ("ohm", "resistance") if is_resistance else ("S", "conductance")
    if attribute not in data:
        has = ", ".join(map(str, data)) or "none"
        raise PhysnetError(f"{where} has no attribute {attribute!r}, its {kind} in {unit} (it has: {has}).")
    value = data[attribute]
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise PhysnetError(f"{where}: {attribute} is {value!r}; give a {kind} in {unit}, a number.")
    if not np.isfinite(value) or value < 0 or (is_resistance and value == 0):
        limit = "above 0" if is_resistance else "at least 0"
        raise PhysnetError(f"{where}: {attribute} is {value:.6g} {unit}; a {kind} is finite and {limit}.")
    return 1 / value if is_resistance else float(value)


def _add_diodes(circuit: Circuit, names, nodes, from_ground, model: Element | None):
    """A diode between each node and ground, conducting from ground where `from_ground` says so, else to it."""
    model = ShockleyDiode() if model is None else model
    for turned in (True, False):
        these = [i for i in range(len(nodes)) if bool(from_ground[i]) == turned]
        if these:
            ends = [nodes[i] for i in these]
            circuit.add_many([names[i] for i in these], *((0, ends) if turned else (ends, 0)), model)


def _whole(number) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)
