"""Small signals against closed forms, graph theory, the full Jacobian and ngspice."""

import jax
import numpy as np
import pytest
from spice_decks import needs_ngspice, printed

from circuits import Circuit, IdealDiode, Resistor, ShockleyDiode, ac, effective_resistance, output_resistance
from circuits.elements import OpAmp, SquareLawTransistor, VoltageControlledCurrentSource
from physnet import Equilibrium, PhysnetError, relax, results
from physnet.linearise import output_response

RESISTANCE, CAPACITANCE = 1e3, 1e-9
CORNER = 1 / (2 * np.pi * RESISTANCE * CAPACITANCE)


def at_rest(system):
    """The equilibrium of a linear circuit without drive, 0 V everywhere, without a relaxer to compile."""
    zero = np.zeros(system.network.free)
    none, outputs = np.zeros(()), np.zeros(len(system.labels.outputs))
    good, steps = np.ones((), bool), np.zeros((), np.int32)
    return Equilibrium(
        zero, outputs, none, none, none, steps, good, steps, inputs=system.default_inputs(), system=system
    )


def ladder(stages):
    circuit = Circuit().voltage_source("V1", "n0", 0, 0.0)
    for k in range(stages):
        circuit.resistor(f"R{k}", f"n{k}", f"n{k + 1}", resistance=RESISTANCE)
        circuit.capacitor(f"C{k}", f"n{k + 1}", 0, CAPACITANCE)
    return circuit.build(outputs=[f"n{stages}"])


def test_rc_low_pass_is_3_db_down_and_45_degrees_late_at_its_corner():
    frequencies = CORNER * np.array([0, 0.1, 1, 10])
    found = ac(at_rest(ladder(1)), frequencies, "V1")
    np.testing.assert_allclose(found.outputs[:, 0], 1 / (1 + 1j * frequencies / CORNER), rtol=1e-14)
    assert 20 * np.log10(abs(found.outputs[2, 0])) == pytest.approx(-10 * np.log10(2), abs=1e-12)
    assert np.degrees(np.angle(found.outputs[2, 0])) == pytest.approx(-45, abs=1e-12)
    ds = found.to_dataset()
    results.check(ds)
    assert ds.output_amplitude.sel(frequency=CORNER).item() == pytest.approx(2**-0.5)
    assert ds.node_phase.dims == ("frequency", "node") and ds.frequency.units == "Hz"


def test_capacitors_between_free_nodes_and_to_the_driven_node():
    """A differentiator (high pass), and a capacitive divider that no resistor spoils."""
    circuit = Circuit().voltage_source("V1", "in", 0, 1.0).capacitor("C1", "in", "out", CAPACITANCE)
    circuit.resistor("R1", "out", 0, resistance=RESISTANCE)
    circuit.capacitor("C2", "in", "a", 2e-9).capacitor("C3", "a", "b", 3e-9).capacitor("C4", "b", 0, 6e-9)
    circuit.resistor("R2", "a", 0, resistance=1e12).resistor("R3", "b", 0, resistance=1e12)
    found = ac(at_rest(circuit.build()), [CORNER, 1e9], "V1")
    assert found.outputs[0, 0] == pytest.approx(1j / (1 + 1j), rel=1e-12)
    np.testing.assert_allclose(found.nodes[1, 1:], [2 / (2 + 2), 1 / 3 / 2], rtol=1e-9)


@pytest.mark.parametrize("stages", [6, 200])
def test_rc_ladder_by_two_port_matrices(stages):
    """Dense and sparse: the chain matrix of one stage to a power."""
    frequencies = CORNER * np.array([1e-4, 1e-2, 0.3])
    found = ac(at_rest(ladder(stages)), frequencies, "V1").outputs[:, 0]
    for frequency, gain in zip(frequencies, found):
        y = 2j * np.pi * frequency * CAPACITANCE
        chain = np.linalg.matrix_power(np.array([[1 + RESISTANCE * y, RESISTANCE], [y, 1]]), stages)
        assert gain == pytest.approx(1 / chain[0, 0], rel=1e-9)


def test_diode_shows_its_differential_resistance_sample_by_sample():
    saturation, thermal = 1e-14, 0.0517  # n = 2
    circuit = Circuit().current_source("I1", 0, "a", 1e-3).diode("D1", "a", 0, ShockleyDiode(saturation, thermal))
    currents = np.array([1e-6, 1e-3, 5e-3])
    equilibrium = relax(circuit.capacitor("C1", "a", 0, 1e-12).build(inputs=["I1"]), currents[:, None])
    expected = thermal / (currents + saturation)
    np.testing.assert_allclose(effective_resistance(equilibrium, "a", 0), expected, rtol=1e-9)
    np.testing.assert_allclose(output_resistance(equilibrium)[:, 0, 0], expected, rtol=1e-9)
    frequencies = np.array([0.0, 1e9])
    found = ac(equilibrium, frequencies, "I1")
    exact = 1 / (1 / expected[:, None] + 2j * np.pi * frequencies * 1e-12)
    np.testing.assert_allclose(found.outputs[..., 0], exact, rtol=1e-9)
    assert found.unit == "ohm"


def test_ideal_diodes_that_conduct_are_shorts():
    circuit = Circuit().voltage_source("V1", "in", 0, -1.0).voltage_source("V2", "low", 0, -0.5)
    circuit.resistor("R1", "in", "a", resistance=1e3).diode("D1", "low", "a", IdealDiode())
    circuit.resistor("R2", "a", "b", resistance=1e3).resistor("R3", "b", 0, resistance=1e3)
    equilibrium = relax(circuit.build(inputs=["V1"], outputs=["a", "b"]), [[-2.0], [1.0]])
    np.testing.assert_allclose(ac(equilibrium, 0.0, "V2").outputs[:, 0], [[1, 0.5], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(ac(equilibrium, 0.0, "V1").outputs[:, 0], [[0, 0], [2 / 3, 1 / 3]], atol=1e-12)
    np.testing.assert_allclose(effective_resistance(equilibrium, "b", 0), [500, 2e3 * 1e3 / 3e3], rtol=1e-12)


def amplifier():
    """A common-source stage with its load, a follower made of an amplifier, and a controlled source."""
    circuit = Circuit().voltage_source("V1", "gate", 0, 1.2).voltage_source("V2", "supply", 0, 5.0)
    circuit.resistor("R1", "supply", "drain", resistance=5e3).capacitor("C1", "drain", 0, 1e-11)
    circuit.add("M1", "drain", "gate", 0, 0, SquareLawTransistor(1e-3, 0.7, 0.02))
    circuit.add("A1", "buffer", "drain", "buffer", OpAmp(1e4, 10.0)).resistor("R2", "buffer", "out", resistance=1e3)
    circuit.resistor("R3", "out", 0, resistance=2e3).capacitor("C2", "out", "drain", 1e-12)
    circuit.add("G1", "tail", 0, "out", 0, VoltageControlledCurrentSource(1e-3))
    return circuit.resistor("R4", "tail", 0, resistance=1e3).build(outputs=["out", "tail"])


@pytest.mark.slow
def test_active_circuits_by_their_whole_jacobian():
    equilibrium = relax(amplifier())
    system, frequency = equilibrium.system, 3e7
    found = ac(equilibrium, frequency, "V1")
    flat = np.concatenate([np.ravel(x) for x in equilibrium.state])

    def balance(unknowns):
        return system.network.balance(unknowns)

    jacobian = np.asarray(jax.jacfwd(balance)(flat))
    free = system.labels.free
    capacitance = np.zeros_like(jacobian)
    drain, out = free.index("drain"), free.index("out")
    capacitance[drain, drain] = 1.1e-11
    capacitance[out, out] = 1e-12
    capacitance[drain, out] = capacitance[out, drain] = -1e-12
    step = 1e-6
    moved = [system.network.driven(("V1",), np.array([1.2 + s])).balance(flat) for s in (step, -step)]
    right = -(np.asarray(moved[0]) - np.asarray(moved[1])) / (2 * step)
    exact = np.linalg.solve(jacobian + 2j * np.pi * frequency * capacitance, right)
    np.testing.assert_allclose(found.nodes[0], exact[: len(free)], rtol=1e-7)
    np.testing.assert_allclose(
        output_resistance(equilibrium), output_response(system, equilibrium.state, equilibrium.inputs), rtol=1e-9
    )


# Resistances between nodes


@pytest.fixture(scope="module")
def triangle():
    """Conductances 1, 2, 3 S between p, q, r; r grounded through 1 S."""
    circuit = Circuit().resistor("PQ", "p", "q", conductance=1.0).resistor("QR", "q", "r", conductance=2.0)
    return circuit.resistor("RP", "r", "p", conductance=3.0).resistor("RG", "r", 0, conductance=1.0)


def test_series_parallel_and_the_star_of_a_triangle(triangle):
    found = effective_resistance(at_rest(triangle.build()), ["p", "q", "r", "p", "p"], ["q", "r", "p", "0", "p"])
    resistances = {"PQ": 1.0, "QR": 0.5, "RP": 1 / 3}
    total = sum(resistances.values())  # the legs of the equivalent star, to p, q, r: products over the sum
    legs = [resistances["PQ"] * resistances["RP"] / total, resistances["PQ"] * resistances["QR"] / total]
    legs.append(resistances["QR"] * resistances["RP"] / total)
    np.testing.assert_allclose(
        found,
        [legs[0] + legs[1], legs[1] + legs[2], legs[2] + legs[0], legs[2] + legs[0] + 1, 0],
        rtol=1e-13,
        atol=1e-15,
    )


def test_foster_rayleigh_and_a_metric():
    """Over the edges of any resistor network sum g R = nodes - 1; resistance never rises where a conductance does."""
    rng = np.random.default_rng(3)
    nodes = 9
    pairs = [(k, int(rng.integers(k))) for k in range(1, nodes)] + [
        tuple(rng.choice(nodes, 2, False)) for _ in range(12)
    ]
    conductances = rng.uniform(0.1, 2, len(pairs))

    def resistances(conductances, a, b):
        circuit = Circuit()
        for k, ((i, j), g) in enumerate(zip(pairs, conductances)):
            circuit.resistor(f"R{k}", int(i), int(j), conductance=g)
        return effective_resistance(at_rest(circuit.build()), a, b)

    a, b = ([int(pair[k]) for pair in pairs] for k in (0, 1))
    across = resistances(conductances, a, b)
    assert conductances @ across == pytest.approx(nodes - 1, rel=1e-12)
    assert (across <= 1 / conductances + 1e-12).all()
    more = conductances.copy()
    more[5] *= 2
    every = np.array([(i, j) for i in range(nodes) for j in range(nodes)])
    before, after = (resistances(g, *every.T.tolist()).reshape(nodes, nodes) for g in (conductances, more))
    assert (after <= before + 1e-12).all() and (after < before - 1e-6).any()
    np.testing.assert_allclose(before, before.T, rtol=1e-11, atol=1e-14)
    assert (before[:, None, :] <= before[:, :, None] + before[None] + 1e-12).all()


def test_the_middle_of_a_large_grid_approaches_the_infinite_one():
    """1/2 ohm between neighbours and 2/pi across a diagonal (Cserti 2000, doi:10.1119/1.1285881)."""
    n, excess = 71, {}
    for size in (n // 2, n):
        number = np.arange(size * size).reshape(size, size) + 1
        first = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
        second = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
        circuit = Circuit().add_many("R", first, second, Resistor(np.ones(len(first))))
        equilibrium = at_rest(circuit.resistor("G", 1, 0, resistance=1.0).build(outputs=["1"]))
        k = size // 2
        there = [int(number[k, k + 1]), int(number[k + 1, k + 1])]
        found = effective_resistance(equilibrium, [int(number[k, k])] * 2, there)
        excess[size] = found - [1 / 2, 2 / np.pi]
    assert (np.abs(excess[n]) < 5e-4).all() and (np.abs(excess[n]) < np.abs(excess[n // 2]) / 3).all()


# What is refused, and an independent simulator


def test_mistakes_are_named():
    equilibrium = at_rest(ladder(1))
    with pytest.raises(PhysnetError, match=r"ac: unknown source 'V2'. Did you mean V1\? Sources: V1"):
        ac(equilibrium, 1.0, "V2")
    with pytest.raises(PhysnetError, match="ac: frequency -1 Hz; frequencies are finite and >= 0"):
        ac(equilibrium, [1.0, -1.0], "V1")
    with pytest.raises(PhysnetError, match=r"unknown node n7. Did you mean"):
        effective_resistance(equilibrium, "n7", 0)
    with pytest.raises(PhysnetError, match="2 nodes a and 1 nodes b"):
        effective_resistance(equilibrium, ["n0", "n1"], [0])
    wrong = Equilibrium(**(vars(equilibrium) | {"converged": np.zeros((), bool)}))
    with pytest.raises(PhysnetError, match="sample 0 was not reached"):
        ac(wrong, 1.0, "V1")
    with pytest.raises(PhysnetError, match="this is a state of no system"):
        output_resistance(Equilibrium(**(vars(equilibrium) | {"system": None})))


NETLIST = """RC and a diode
V1 in 0 DC 0.8 AC 1
R1 in a 1k
C1 a 0 1n
D1 a b dio
R2 b 0 2k
C2 b in 0.3n
.model dio D(IS=1e-14 N=1 TT=0 CJO=0)
.options temp=26.85 tnom=26.85 reltol=1e-9 abstol=1e-18 vntol=1e-12 gmin=1e-20
.ac dec 1 1e3 1e8
.control
set numdgt=14
run
print vr(a) vi(a) vr(b) vi(b)
.endc
.end
"""


@needs_ngspice
def test_agrees_with_ngspice(tmp_path):
    rows = [row for row in printed(NETLIST, tmp_path) if len(row) == 4]
    table = np.hstack(np.array(rows, float).reshape(2, 6, 4))
    circuit = Circuit().voltage_source("V1", "in", 0, 0.8).resistor("R1", "in", "a", resistance=1e3)
    circuit.capacitor("C1", "a", 0, 1e-9).diode("D1", "a", "b", ShockleyDiode.at_temperature(1e-14))
    circuit.resistor("R2", "b", 0, resistance=2e3).capacitor("C2", "b", "in", 0.3e-9)
    found = ac(relax(circuit.build()), table[:, 1], "V1").nodes
    np.testing.assert_allclose(found, table[:, [2, 6]] + 1j * table[:, [3, 7]], rtol=1e-5)
