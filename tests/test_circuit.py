"""Circuits by name against closed forms, conservation laws and solvers that share no code with them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import root
from scipy.special import wrightomega

from circuits import Circuit, IdealDiode, ShockleyDiode, branch_dataset
from physnet import (
    Centred,
    OneSided,
    PhysnetError,
    SquaredError,
    check_gradient,
    ep_gradient,
    implicit_gradient,
    integrate,
    relax,
    results,
)
from physnet.nudging_scale import nudging_scales

SATURATION, THERMAL = 1e-12, 0.03  # of the diodes in random circuits: A per siemens of their resistors, V
FREE, RESISTORS, DIODES = 6, 18, 5
RELATIVE_BETA = 1e-4
CONDUCTANCE_UNITS = [1e-6, 1e-3, 1.0]


class RandomCircuit:
    """A random net of resistors and diodes and, beside the package's system, the plain lists that describe it.

    The same names for every seed, so that all of them run one compiled program.
    """

    def __init__(self, seed, unit=1.0):
        rng = np.random.default_rng(seed)
        fixed, free = ["in", "ref", "0"], [f"n{k}" for k in range(FREE)]
        self.potential = {"in": rng.uniform(1, 3), "ref": rng.uniform(-2, -1), "0": 0.0}
        self.injected = unit * rng.uniform(0.1, 1)  # A, into n0
        self.resistors = [
            (node, rng.choice(fixed + free[:k]), g) for k, (node, g) in enumerate(zip(free, rng.random(FREE)))
        ]
        while len(self.resistors) < RESISTORS:
            self.resistors.append((*rng.choice(fixed + free, 2, replace=False), rng.random()))
        self.resistors = [(str(a), str(b), unit * (0.1 + g)) for a, b, g in self.resistors]
        self.diodes = [tuple(map(str, rng.choice(free, 2, replace=False))) for _ in range(DIODES)]
        self.unit, self.free = unit, free
        circuit = Circuit()
        circuit.voltage_source("V1", "in", 0, self.potential["in"]).voltage_source(
            "V2", "ref", 0, self.potential["ref"]
        )
        for k, (a, b, g) in enumerate(self.resistors):
            circuit.resistor(f"R{k}", a, b, conductance=g)
        for k, (a, b) in enumerate(self.diodes):
            circuit.diode(f"D{k}", a, b, ShockleyDiode(SATURATION * unit, THERMAL))
        circuit.current_source("I1", 0, "n0", self.injected)
        self.system = circuit.build(inputs=["V1", "I1"], outputs=["n1", ("n4", "n5")])

    def net_current(self, voltages):
        """Kirchhoff's current law in plain Python: current, A, that leaves each free node."""
        v = self.potential | dict(zip(self.free, voltages))
        net = dict.fromkeys(v, 0.0)
        for a, b, g in self.resistors:
            net[a] += g * (v[a] - v[b])
            net[b] -= g * (v[a] - v[b])
        for a, b in self.diodes:
            current = SATURATION * self.unit * np.expm1((v[a] - v[b]) / THERMAL)
            net[a] += current
            net[b] -= current
        net["n0"] -= self.injected
        return np.array([net[node] for node in self.free])


@pytest.fixture(scope="module", params=[(0, 1.0), (1, 1e-3), (2, 1e-6), (3, 1.0), (4, 1e-6)], ids=str)
def settled(request):
    random = RandomCircuit(*request.param)
    return random, relax(random.system)


def add_divider(circuit):
    circuit.voltage_source("V_divider", "in", 0, 10.0)
    circuit.resistor("divider_1", "in", "mid", resistance=2e3).resistor("divider_2", "mid", 0, resistance=3e3)


def add_bridge(circuit, name, r4):
    circuit.resistor(f"{name}_1", "supply", f"{name}_left", resistance=100.0)
    circuit.resistor(f"{name}_2", "supply", f"{name}_right", resistance=200.0)
    circuit.resistor(f"{name}_3", f"{name}_left", 0, resistance=300.0)
    circuit.resistor(f"{name}_4", f"{name}_right", 0, resistance=r4)
    circuit.resistor(f"{name}_5", f"{name}_left", f"{name}_right", resistance=50.0)


def add_ladder(circuit, steps):
    before = "ladder_0"
    circuit.voltage_source("V_ladder", before, 0, 1.0)
    for k in range(1, steps + 1):
        circuit.resistor(f"rail_{k}", before, f"ladder_{k}", resistance=1.0)
        circuit.resistor(f"rung_{k}", f"ladder_{k}", 0, resistance=1.0)
        before = f"ladder_{k}"


def add_floating_source(circuit):
    circuit.voltage_source("E1", "a", "b", 3.0).current_source("I1", 0, "a", 2.0)
    circuit.resistor("floating_1", "a", 0, resistance=1.0).resistor("floating_2", "b", 0, resistance=2.0)


def add_dead_end(circuit):
    circuit.voltage_source("V_high", "high", 0, 1234.5678).resistor("dead_1", "high", "tap", resistance=3.0)
    circuit.resistor("dead_2", "tap", 0, resistance=7.0).resistor("dead_3", "tap", "end", resistance=1e-3)
    circuit.resistor("dead_4", "end", "tip", resistance=11.0).resistor("dead_5", "tip", 0, conductance=0.0)


@pytest.fixture(scope="module")
def gallery():
    """Separate little circuits settled as one: voltages by node, currents by element, and the equilibrium."""
    circuit = Circuit().voltage_source("V_bridge", "supply", 0, 5.0)
    add_divider(circuit)
    add_bridge(circuit, "balanced", 600.0)
    add_bridge(circuit, "unbalanced", 700.0)
    add_ladder(circuit, 12)
    add_floating_source(circuit)
    add_dead_end(circuit)
    system = circuit.build(inputs=["E1", "I1"])
    equilibrium = relax(system)
    potentials = system.potentials(equilibrium.state, equilibrium.inputs)
    currents = system.branch_currents(equilibrium.state, equilibrium.inputs)
    return (
        dict(zip(system.labels.nodes, potentials.tolist())),
        dict(zip(system.branch_names, currents.tolist())),
        equilibrium,
    )


def test_voltage_divider(gallery):
    voltage, current, _ = gallery
    assert voltage["mid"] == pytest.approx(6.0, rel=1e-14)
    assert [current[name] for name in ("divider_1", "divider_2", "V_divider")] == pytest.approx([2e-3, 2e-3, -2e-3])


@pytest.mark.parametrize(("name", "r4"), [("balanced", 600.0), ("unbalanced", 700.0)])
def test_wheatstone_bridge(gallery, name, r4):
    # Thevenin: the open bridge voltage behind its halves in parallel.
    open_voltage = 5.0 * (300 / 400 - r4 / (200 + r4))
    inner = 100 * 300 / 400 + 200 * r4 / (200 + r4)
    across = gallery[0][f"{name}_left"] - gallery[0][f"{name}_right"]
    assert across == pytest.approx(open_voltage * 50 / (50 + inner), rel=1e-11, abs=1e-14)
    assert (abs(across) < 1e-12) == (name == "balanced")


def test_ladder_is_made_of_fibonacci_numbers(gallery):
    voltage, current, _ = gallery
    fibonacci = [1, 1]
    while len(fibonacci) < 25:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    expected = [fibonacci[2 * (12 - k)] / fibonacci[24] for k in range(1, 13)]
    np.testing.assert_allclose([voltage[f"ladder_{k}"] for k in range(1, 13)], expected, rtol=1e-12)
    assert -1 / current["V_ladder"] == pytest.approx((1 + 5**0.5) / 2, rel=1e-9)  # input resistance, ohm


def test_floating_voltage_source_and_current_source(gallery):
    voltage, current, equilibrium = gallery
    # One group of two nodes: v_a + (v_a - 3)/2 = 2.
    assert [voltage["a"], voltage["b"]] == pytest.approx([7 / 3, 7 / 3 - 3], rel=1e-13)
    names = ("E1", "I1", "floating_1", "floating_2")
    assert [current[name] for name in names] == pytest.approx([-1 / 3, 2, 7 / 3, -1 / 3])
    assert "a" in equilibrium.system.labels.free and "b" not in equilibrium.system.labels.free


def test_nothing_but_rounding_flows_in_a_dead_end(gallery):
    """Its balance is judged by what arithmetic can resolve, so that it counts as settled."""
    assert [gallery[0][node] for node in ("tap", "end", "tip")] == pytest.approx([1234.5678 * 0.7] * 3, rel=1e-13)


def test_energy_is_the_total_co_content(gallery):
    *_, equilibrium = gallery
    system = equilibrium.system
    power = system.branch_voltages(equilibrium.state, equilibrium.inputs) * np.array(list(gallery[1].values()))
    power = dict(zip(system.branch_names, power.tolist()))
    # Resistors hold half of what they dissipate, current sources all of what they absorb, voltage sources nothing.
    expected = sum(p for name, p in power.items() if name[0] not in "VEI") / 2 + power["I1"]
    assert float(equilibrium.energy) == pytest.approx(expected, rel=1e-12)


def test_datasets_name_nodes_sources_and_their_units(gallery):
    ds = gallery[-1].to_dataset()
    results.check(ds)
    assert ds.input_unit.values.tolist() == ["V", "A"]
    assert float(ds.node_voltage.sel(node="mid")) == pytest.approx(6.0)
    assert float(ds.conductance.sel(resistor="divider_1")) == pytest.approx(5e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_diode_and_resistor_by_lambert_w(dtype):
    saturation, thermal, resistance = 1e-14, 0.02585, 1e3
    circuit = Circuit().voltage_source("V1", "in", 0, 1.0)
    circuit.diode("D1", "in", "out", ShockleyDiode(saturation, thermal)).resistor("R1", "out", 0, resistance=resistance)
    # Up to 200 V across a junction whose exponential overflows at 18 V, and at 2.3 V in single precision.
    supply = np.array([-20.0, -0.1, 0.0, 0.3, 0.6, 1.0, 5.0, 30.0, 200.0])
    equilibrium = relax(circuit.build(inputs=["V1"], dtype=dtype), supply[:, None])
    drive = np.log(resistance * saturation / thermal) + (supply + resistance * saturation) / thermal
    current = thermal / resistance * wrightomega(drive) - saturation
    assert equilibrium.outputs.dtype == dtype
    tight = dtype == np.float64
    voltage = np.asarray(equilibrium.outputs[:, 0], float)
    np.testing.assert_allclose(
        voltage, resistance * current, rtol=1e-10 if tight else 1e-5, atol=1e-14 if tight else 1e-6
    )
    assert int(equilibrium.steps.max()) < 40


@pytest.fixture(scope="module")
def clamps():
    """A half-wave rectifier (source, resistor, diode to ground), and a node clamped between two sources."""
    circuit = Circuit().voltage_source("V1", "in", 0, 1.0).voltage_source("V2", "high", 0, 2.0)
    circuit.voltage_source("V3", 0, "low", 1.0)
    circuit.resistor("R1", "in", "half", conductance=2.0).diode("D1", 0, "half", IdealDiode())
    circuit.resistor("R2", "in", "clamp", conductance=0.5).diode("D2", "clamp", "high", IdealDiode())
    circuit.diode("D3", "low", "clamp", IdealDiode()).capacitor("C1", "clamp", 0, 1e-9)
    return circuit.build(inputs=["V1", "V2"])


def test_ideal_diodes_rectify_and_clamp_and_their_currents_balance(clamps):
    supply = np.array([-4.0, -0.5, 0.0, 0.5, 4.0])
    equilibrium = relax(clamps, np.stack([supply, np.full(5, 2.0)], 1))
    np.testing.assert_allclose(equilibrium.outputs, np.stack([supply.clip(0), supply.clip(-1, 2)], 1), atol=1e-14)
    ds = branch_dataset(equilibrium)
    np.testing.assert_allclose(ds.branch_current.sel(branch="D1"), 2 * np.maximum(-supply, 0), atol=1e-14)
    np.testing.assert_allclose(ds.branch_current.sel(branch="D2"), 0.5 * np.maximum(supply - 2, 0), atol=1e-14)
    np.testing.assert_allclose(ds.branch_current.sel(branch="D3"), 0.5 * np.maximum(-1 - supply, 0), atol=1e-14)
    np.testing.assert_allclose(ds.branch_power.sum("branch"), 0, atol=1e-13)
    results.check(ds)
    results.check(equilibrium.to_dataset())


def test_inputs_under_which_ideal_diodes_short_a_source_never_converge(clamps):
    equilibrium = relax(clamps, np.array([[0.0, -2.0], [0, -1], [0, 1], [0, -1.1], [0, 0]]), throw=False)
    assert equilibrium.converged.tolist() == [False, True, True, False, True]
    assert equilibrium.status.tolist() == [2, 0, 0, 2, 0]


def test_kirchhoffs_current_law_and_an_independent_solver(settled):
    random, equilibrium = settled
    state = np.asarray(equilibrium.state)
    assert np.abs(random.net_current(state)).max() < 1e-12 * random.unit
    # The co-content is strictly convex, so any root found from elsewhere is the same one.
    scaled = root(lambda v: random.net_current(v) / random.unit, state + 0.02, tol=1e-13)
    np.testing.assert_allclose(scaled.x, state, atol=1e-9)


@eqx.filter_jit
def slopes(system, state, inputs):
    """Node currents summed, node currents as the derivative of the energy, and their size."""
    slope = jax.grad(system.energy)(state, inputs)
    return system.residual(state, inputs), slope, jnp.max(system.residual_scale(state, inputs))


def test_residual_is_the_gradient_of_the_energy(settled):
    random, equilibrium = settled
    state = equilibrium.state + np.random.default_rng(0).uniform(-0.2, 0.2, FREE)
    residual, slope, scale = slopes(random.system, state, equilibrium.inputs)
    np.testing.assert_allclose(residual, slope, atol=1e-14 * scale)
    np.testing.assert_allclose(residual, random.net_current(np.asarray(state)), rtol=1e-9, atol=1e-14 * scale)


def test_tellegen(settled):
    random, equilibrium = settled
    arguments = equilibrium.state, equilibrium.inputs
    power = np.asarray(random.system.branch_voltages(*arguments) * random.system.branch_currents(*arguments))
    assert abs(power.sum()) < 1e-13 * np.abs(power).sum()


@eqx.filter_jit
def energies_at(system, states, inputs):
    return jax.vmap(system.energy, (0, None))(states, inputs)


def test_co_content_is_smallest_at_the_steady_state(settled):
    random, equilibrium = settled
    steps = np.random.default_rng(1).normal(size=(100, FREE)) * np.logspace(-4, 0, 100)[:, None]
    energies = energies_at(random.system, np.asarray(equilibrium.state) + steps, equilibrium.inputs)
    assert np.all(energies > equilibrium.energy)


def test_linear_circuit_against_nodal_analysis_and_reciprocity():
    rng = np.random.default_rng(5)
    n = 8
    laplacian, circuit = np.zeros((n, n)), Circuit()
    for i in range(n):
        for j in range(i + 1):
            g = rng.random()
            circuit.resistor(f"R{i}_{j}", i + 1, 0 if i == j else j + 1, conductance=g)
            laplacian[i, i] += g
            if i != j:
                laplacian[j, j] += g
                laplacian[i, j] = laplacian[j, i] = -g
    for i in range(n):
        circuit.current_source(f"I{i}", 0, i + 1, 0.0)
    system = circuit.build(inputs=[f"I{i}" for i in range(n)])
    order = [int(node) - 1 for node in system.labels.free]
    # One ampere into each node in turn: the outputs are the matrix of transfer resistances.
    resistances = np.asarray(relax(system, np.eye(n)).outputs)[:, np.argsort(order)]
    np.testing.assert_allclose(resistances, resistances.T, rtol=1e-12)
    np.testing.assert_allclose(resistances, np.linalg.inv(laplacian), rtol=1e-11)


def test_capacitor_charges_through_a_resistor():
    resistance, capacitance, supply = 1e4, 2e-9, 3.0
    circuit = Circuit().voltage_source("V1", "in", 0, supply).resistor("R1", "in", "out", resistance=resistance)
    circuit.capacitor("C1", "out", 0, capacitance)
    times = np.linspace(0, 5 * resistance * capacitance, 21)
    trajectory = integrate(circuit.build(), times=times)
    expected = supply * (1 - np.exp(-times / (resistance * capacitance)))
    np.testing.assert_allclose(trajectory.outputs[:, 0], expected, atol=2e-6)
    results.check(trajectory.to_dataset())  # of a circuit without inputs


def test_mobility_inverts_the_capacitance_matrix():
    circuit = Circuit().resistor("R1", "a", 0, conductance=1.0).resistor("R2", "b", "a", conductance=1.0)
    circuit.capacitor("C1", "a", "b", 2.0).capacitor("C2", "b", 0, 3.0)
    force = jnp.array([1.0, -0.5])
    expected = np.linalg.solve([[2.0, -2.0], [-2.0, 5.0]], force)
    np.testing.assert_allclose(circuit.build().mobility(force), expected, rtol=1e-14)
    grounded = circuit.capacitor("C3", "a", 0, 1.0).build()
    np.testing.assert_allclose(grounded.mobility(force), np.linalg.solve([[3.0, -2.0], [-2.0, 5.0]], force), rtol=1e-14)


@pytest.fixture(scope="module", params=CONDUCTANCE_UNITS, ids=lambda unit: f"{unit:g} S")
def gradients(request):
    """EP and implicit gradients of one random circuit over three samples."""
    random = RandomCircuit(7, request.param)
    inputs = np.array([[2.0, 0.3], [-1.0, 0.5], [0.5, -0.2]]) * [1.0, request.param]
    targets = np.array([[0.1, 0.2], [0.0, -0.1], [0.4, 0.3]])
    ep = ep_gradient(random.system, inputs, targets, cost=SquaredError(), nudging=Centred(RELATIVE_BETA, relative=True))
    return random, ep, implicit_gradient(random.system, inputs, targets, cost=SquaredError())


def test_equilibrium_propagation_agrees_with_implicit_gradient(gradients):
    random, ep, implicit = gradients
    trained = [p for p in random.system.parameters if p.trainable]
    assert [p.variable.name for p in trained] == ["conductance"]
    for parameter in trained:
        a, b = np.asarray(parameter.get(ep.gradient)), np.asarray(parameter.get(implicit.gradient))
        assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b)
        assert np.linalg.norm(b) > 0


@pytest.mark.parametrize(
    "nudging", [Centred(1e-4, relative=True), pytest.param(OneSided(1e-4, relative=True), marks=pytest.mark.slow)]
)
def test_error_falls_with_beta_as_the_stencil_promises(nudging):
    random = RandomCircuit(7, 1e-3)
    inputs, targets = np.array([[2.0, 0.3e-3], [-1.0, 0.5e-3]]), np.array([[0.1, 0.2], [0.0, -0.1]])
    ladder = np.geomspace(1e-3, 0.3, 8)
    report = check_gradient(random.system, inputs, targets, cost=SquaredError(), nudging=nudging, betas=ladder)
    assert report.converged.all()
    np.testing.assert_allclose(report.slope, nudging.order, atol=0.1)


def test_gradient_of_a_resistor_needs_its_own_voltages_only(gradients):
    random, ep, _ = gradients
    beta = RELATIVE_BETA * np.asarray(nudging_scales(random.system, SquaredError(), ep.free.state, ep.free.inputs))
    towards, away = np.asarray(ep.nudged.state)  # (sample, free) at +beta and -beta
    column = {node: k for k, node in enumerate(random.free)}
    supply = {"in": np.asarray(ep.free.inputs)[:, 0], "ref": random.potential["ref"], "0": 0.0}
    gradient = np.asarray(random.system.parameters[0].get(ep.gradient))
    for k, (a, b, _) in enumerate(random.resistors):
        drop_towards, drop_away = (
            np.subtract(*(states[:, column[node]] if node in column else supply[node] for node in (a, b)))
            for states in (towards, away)
        )
        own = np.mean((drop_towards - drop_away) * (drop_towards + drop_away) / (4 * beta))
        assert own == pytest.approx(gradient[k], rel=1e-6, abs=1e-7 * np.abs(gradient).max())


def test_fixed_resistors_keep_their_conductance_and_parameters_their_labels():
    circuit = Circuit().voltage_source("V1", "in", 0, 1.0).resistor("R1", "in", "a", resistance=1.0)
    circuit.resistor("R2", "a", 0, resistance=4.0, trainable=False).diode("D1", "a", 0)
    system = circuit.build()
    named = {p.variable.name: (p.variable.dims, p.trainable, p.get(system).tolist()) for p in system.parameters}
    assert named == {
        "conductance": (("resistor",), True, [1.0]),
        "fixed_conductance": (("fixed_resistor",), False, [0.25]),
        "saturation_current": (("shockley_diode",), False, [1e-14]),
        "thermal_voltage": (("shockley_diode",), False, [0.02585]),
        "source_voltage": (("voltage_source",), False, [1.0]),
    }
    labels = {variable.name: names for variable, names in system.coordinates()}
    assert labels["resistor"] == ("R1",) and labels["fixed_resistor"] == ("R2",) and labels["node"] == ("a",)
    assert system.midpoint_exact


def test_values_and_gradients_of_an_element_by_name():
    circuit = Circuit().voltage_source("V", "in", 0, 1.0).resistor("R1", "in", "a", conductance=2e-3)
    system = circuit.resistor("R2", "a", 0, conductance=1e-3).diode("D", "a", 0).build(inputs=["V"], outputs=["a"])
    assert system.values_of("R1") == {"conductance": 2e-3} and system.values_of("D")["saturation_current"] == 1e-14
    found = implicit_gradient(system, [[1.0]], [[0.3]], cost=SquaredError())
    gradients = found.gradient.network.conductors[0].element.conductance
    assert system.values_of("R1", found.gradient)["conductance"] == gradients[0]
    assert system.values_of("D", found.gradient) == {}
    with pytest.raises(PhysnetError, match="no element 'R3'. Did you mean R"):
        system.values_of("R3")
