"""Generated circuits against nodal analysis by hand, closed forms and networkx."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from circuits import Circuit, IdealDiode, LayeredNetwork, ShockleyDiode
from circuits.crossbar import Load, TransimpedanceAmplifier, VirtualGround, crossbar
from circuits.draws import Uniform
from circuits.generators import from_networkx, grid, layered, layered_circuit, layered_inputs, random_geometric
from physnet import PhysnetError, relax

KEY = jax.random.key(5)


def nodal(circuit, voltages):
    """{node: potential} of a circuit of resistors, some nodes held at `voltages` (V), by a dense solve."""
    place = {node: i for i, node in enumerate(circuit.nodes)}
    matrix = np.zeros((len(place),) * 2)
    for branch in circuit.branches():
        if branch.element.kind in ("resistor", "fixed_resistor"):
            a, b, g = place[branch.first], place[branch.second], float(branch.element.conductance)
            matrix[[a, b, a, b], [a, b, b, a]] += np.array([1, 1, -1, -1]) * g
    held = {"0": 0.0} | voltages
    fixed = [place[node] for node in held]
    free = np.setdiff1d(np.arange(len(place)), fixed)
    potentials = np.zeros(len(place))
    potentials[fixed] = list(held.values())
    potentials[free] = np.linalg.solve(matrix[np.ix_(free, free)], -matrix[np.ix_(free, fixed)] @ potentials[fixed])
    return dict(zip(circuit.nodes, potentials))


def ends(circuit):
    return {branch.name: branch.nodes for branch in circuit.branches()}


def test_a_grid_joins_neighbours():
    found = ends(grid(3, 4))
    assert len(found) == 3 * 3 + 2 * 4
    assert found["h1,2"] == ("1,2", "1,3") and found["v1,2"] == ("1,2", "2,2")
    assert all(abs(int(a[0]) - int(b[0])) + abs(int(a[2]) - int(b[2])) == 1 for a, b in found.values())


def test_a_periodic_grid_closes_on_itself():
    found = ends(grid(3, 4, periodic=True))
    assert len(found) == 2 * 12
    assert found["h2,3"] == ("2,3", "2,0") and found["v2,1"] == ("2,1", "0,1")
    degree = np.unique([node for pair in found.values() for node in pair], return_counts=True)[1]
    assert (degree == 4).all()


def test_a_chain_is_a_grid_of_one_row():
    assert [*ends(grid(1, 4))] == ["h0,0", "h0,1", "h0,2"]
    assert len(ends(grid(1, 4, periodic=True))) == 4


def test_conductances_are_drawn_by_key():
    one, same, other = (
        grid(30, 30, conductance=Uniform(1e-4, 3e-4), key=jax.random.key(seed)).bundles()[0].element.conductance
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() and one.min() >= 1e-4 and one.max() <= 3e-4
    assert abs(one.mean() - 2e-4) < 4 * 2e-4 / np.sqrt(12 * one.size)
    given = grid(2, 2, conductance=np.arange(1.0, 5.0))
    assert [float(given[name].element.conductance) for name in ("h0,0", "h1,0", "v0,0", "v0,1")] == [1, 2, 3, 4]


def test_a_share_of_the_nodes_carries_diodes():
    circuit = grid(10, 10, diode_share=0.3, reversed_share=0.5, diode=IdealDiode(), key=KEY)
    diodes = [branch for branch in circuit.branches() if branch.element.kind == "ideal_diode"]
    assert len(diodes) == 30 and len({branch.name for branch in diodes}) == 30
    assert sum(branch.first == "0" for branch in diodes) == 15
    assert all("0" in branch.nodes and f"d{''.join({*branch.nodes} - {'0'})}" == branch.name for branch in diodes)


def test_a_grid_settles_as_by_nodal_analysis():
    circuit = grid(3, 4, conductance=Uniform(1e-4, 1e-3), key=KEY)
    circuit.voltage_source("V1", "0,0", 0, voltage=2.0).resistor("load", "2,3", 0, resistance=1e3)
    expected = nodal(circuit, {"0,0": 2.0})
    system = circuit.build()
    np.testing.assert_allclose(relax(system).outputs, [expected[node] for node in system.labels.free], rtol=1e-12)


def test_a_large_grid_is_made_at_once():
    circuit = grid(200, 300)
    assert len(circuit) == 200 * 299 + 199 * 300 and len(circuit.nodes) == 60001


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: grid(1, 1), "grid: 1 x 1 nodes; give whole numbers"),
        (lambda: grid(2, 5, periodic=True), "a ring needs 3 nodes"),
        (lambda: grid(2, 2, conductance=-1.0), "grid: conductance -1 S; conductances are finite and >= 0"),
        (lambda: grid(2, 2, conductance=np.ones(3)), r"shape \(3,\); give one, or 4"),
        (lambda: grid(2, 2, conductance=Uniform(0, 1)), "pass key="),
        (lambda: grid(2, 2, diode_share=1.5), "diode_share is 1.5; give a share"),
        (lambda: grid(2, 2, diode_share=0.5), "diode_share is 0.5: which ones is drawn; pass key="),
        (lambda: Uniform(2.0, 1.0), "Uniform: conductances from 2 S to 1 S"),
        (lambda: random_geometric(1, 0.1, key=KEY), "1 nodes; give a whole number"),
        (lambda: random_geometric(5, -1.0, key=KEY), "radius is -1.0"),
        (lambda: crossbar(np.ones(3), line_resistance=1.0), r"shape \(3,\); give a matrix"),
        (lambda: crossbar(-np.ones((2, 2))), "For signed weights use two columns"),
        (lambda: crossbar(np.ones((2, 2)), line_resistance=-1.0), "line_resistance is -1.0 ohm"),
        (lambda: crossbar(np.ones((2, 2)), readout=1.0), r"pass Load\(resistance=1e3\)"),
        (lambda: Load(0.0), "Load: resistance is 0.0 ohm; give a finite number > 0"),
    ],
)
def test_what_cannot_be_made_is_refused(make, message):
    with pytest.raises(PhysnetError, match=message):
        make()


def test_a_random_geometric_network_joins_what_is_near():
    circuit, positions = random_geometric(60, 0.3, key=KEY)
    points = np.array([positions[f"n{i}"] for i in range(60)])
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    near = {f"n{i}-n{j}" for i, j in np.argwhere(np.triu(distance < 0.3, 1))}
    assert near == set(ends(circuit)) and [*positions] == [*circuit.nodes[1:]]


def test_a_network_that_falls_apart_says_what_would_hold_it_together():
    with pytest.raises(PhysnetError, match="connects them all") as raised:
        random_geometric(40, 0.1, key=KEY)
    radius = float(str(raised.value).split("a radius of ")[1].split()[0])
    assert len(random_geometric(40, radius, key=KEY)[1]) == 40
    with pytest.raises(PhysnetError, match="into 2 parts"):
        random_geometric(40, radius * (1 - 1e-4), key=KEY)
    circuit, positions = random_geometric(40, 0.1, key=KEY, largest_component=True)
    assert 1 < len(positions) == len(circuit.nodes) - 1 < 40


G = np.array([[1e-3, 2e-3], [3e-3, 4e-4], [1e-4, 2e-4]])
X = np.array([0.3, -0.2, 0.5])


def test_an_ideal_crossbar_multiplies():
    circuit = crossbar(G, readout=TransimpedanceAmplifier(1e3))
    system = circuit.build(inputs=["row0", "row1", "row2"], outputs=["y0", "y1"])
    np.testing.assert_allclose(relax(system, X).outputs, -1e3 * G.T @ X, rtol=1e-12)


def test_a_virtual_ground_reads_the_current():
    system = crossbar(G, driver_resistance=1e-3).build(inputs=["row0", "row1", "row2"])
    state = relax(system, X).state
    currents = dict(zip(system.branch_names, system.branch_currents(state, jnp.asarray(X))))
    np.testing.assert_allclose([currents["sense0"], currents["sense1"]], G.T @ X, rtol=1e-5)


def test_a_load_divides():
    circuit = crossbar(G, readout=Load(200.0))
    found = nodal(circuit, {f"w{i}": x for i, x in enumerate(X)})
    np.testing.assert_allclose([found["column0"], found["column1"]], G.T @ X / (1 / 200 + G.sum(axis=0)), rtol=1e-12)


def test_wires_lower_what_a_crossbar_reads():
    circuit = crossbar(G, line_resistance=5.0, driver_resistance=7.0, readout=Load(200.0))
    assert len(circuit) == 3 + 3 + 3 * 6 + 2
    found = ends(circuit)
    assert found["lw1,0"] == ("w1", "w1,0") and found["lw1,1"] == ("w1,0", "w1,1")
    assert found["lb0,1"] == ("b0,1", "b1,1") and found["lb2,1"] == ("b2,1", "column1")
    assert found["g2,1"] == ("w2,1", "b2,1") and found["driver0"] == ("x0", "w0")
    ones = dict.fromkeys(("x0", "x1", "x2"), 1.0)
    ideal = G.sum(axis=0) / (1 / 200 + G.sum(axis=0))
    assert all(nodal(circuit, ones)[f"column{j}"] < ideal[j] for j in range(2))
    thin = nodal(crossbar(G, line_resistance=1e-3, readout=Load(200.0)), {f"w{i}": 1.0 for i in range(3)})
    np.testing.assert_allclose([thin["column0"], thin["column1"]], ideal, rtol=3e-5)
    assert crossbar(G, readout=VirtualGround())["sense1"].first == "column1"


@pytest.mark.parametrize("diode", [ShockleyDiode(), pytest.param(IdealDiode(), marks=pytest.mark.slow)])
def test_a_layered_circuit_settles_like_the_layered_network(diode):
    rng = np.random.default_rng(2)
    network = LayeredNetwork([rng.uniform(0.1, 1, (4, 3)), rng.uniform(0.1, 1, (3, 2))], diode=diode, input_gain=3.0)
    circuit = layered_circuit(network)
    system = circuit.build(inputs=layered_inputs(circuit), outputs=["h1_0", "h1_1", "h1_2", "y0", "y1"])
    x = rng.uniform(-1, 1, (2, 2))
    found = relax(system, 3 * np.concatenate([x, -x], axis=1)).outputs
    np.testing.assert_allclose(found, np.concatenate(relax(network, x).state, axis=1), rtol=1e-8, atol=1e-10)


def test_a_layered_circuit_is_named_by_its_layers():
    circuit = layered((2, 3, 4, 2), key=KEY, diode=ShockleyDiode())
    network = LayeredNetwork.random((2, 3, 4, 2), key=KEY)
    assert circuit["x1_minus-h1_2"].element.conductance == network.conductances[0][3, 2]
    assert circuit["h2_3-y1"].element.conductance == network.conductances[2][3, 1]
    assert layered_inputs(circuit) == ("Vx0_plus", "Vx1_plus", "Vx0_minus", "Vx1_minus")
    assert circuit["d_h1_1"].nodes == ("0", "h1_1") and circuit["d_h1_2"].nodes == ("h1_2", "0")


def test_a_networkx_graph_becomes_a_circuit():
    networkx = pytest.importorskip("networkx")
    graph = networkx.grid_2d_graph(3, 4)
    for a, b in graph.edges:
        graph[a][b]["weight"] = 1.0 + a[0]
    circuit = from_networkx(graph, conductance="weight")
    assert {frozenset(pair) for pair in ends(circuit).values()} == {frozenset(p) for p in ends(grid(3, 4)).values()}
    assert float(circuit["2,0-2,1"].element.conductance) == 3.0
    multi = networkx.MultiGraph([("a", "b", {"R": 2.0}), ("a", "b", {"R": 4.0}), ("b", 0, {"R": 1.0})])
    circuit = from_networkx(multi, resistance="R", ground=0)
    assert [float(circuit[name].element.conductance) for name in ("a-b", "a-b.2", "b-0")] == [0.5, 0.25, 1.0]
    assert isinstance(circuit, Circuit) and circuit["b-0"].second == "0"


@pytest.mark.parametrize(
    "edges, options, message",
    [
        ([("a", "b", {"g": 1.0})], {}, "neither given"),
        ([("a", "b", {"w": 1.0})], {"conductance": "g"}, "edge 'a'-'b' has no attribute 'g', its conductance in S"),
        ([("a", "b", {"g": -1.0})], {"conductance": "g"}, "g is -1 S"),
        ([("a", "b", {"g": 0})], {"resistance": "g"}, "g is 0 ohm; a resistance is finite and above 0"),
        ([("a", "b", {"g": "1k"})], {"conductance": "g"}, "g is '1k'; give a conductance in S"),
        ([("a", "a", {"g": 1.0})], {"conductance": "g"}, "is a self-loop"),
        ([(0, 1, {"g": 1.0})], {"conductance": "g"}, "Pass ground=0"),
        ([], {"conductance": "g"}, "has no edges"),
    ],
)
def test_a_graph_that_is_no_circuit_is_refused(edges, options, message):
    with pytest.raises(PhysnetError, match=message):
        from_networkx(SimpleNamespace(edges=edges), **options)
