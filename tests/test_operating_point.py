"""Operating points that are hard to find, every strategy, and the certificate of Kirchhoff's current law."""

import jax
import numpy as np
import pytest

from circuits import (
    AntiparallelDiodes,
    Circuit,
    LayeredNetwork,
    OpAmp,
    OperatingPoint,
    SquareLawTransistor,
    ZenerDiode,
    kirchhoff_certificate,
)
from physnet import PhysnetError, relax

STRATEGIES = OperatingPoint.strategies[:-1]


def junctions():
    """Circuits of junctions on which plain Newton steps crawl or overflow, side by side."""
    c = Circuit().voltage_source("V", "p", "q", 1000.0).resistor("Rg", "r", 0, resistance=1.0)
    c.diode("D1", "p", "o").diode("D2", "q", "o").diode("D3", "r", "p").diode("D4", "r", "q")
    c.resistor("R", "o", "r", resistance=1e3)
    c.voltage_source("V100", "d0", 0, 100.0).resistor("R10", "d10", 0, resistance=10.0)
    for k in range(10):
        c.diode(f"D_{k}", f"d{k}", f"d{k + 1}")
    c.resistor("Rr", "r5", 0, resistance=10.0).diode("Dr0", "r1", "d0")
    for k in range(1, 5):
        c.diode(f"Dr{k}", f"r{k + 1}", f"r{k}")
    c.voltage_source("V30", "z0", 0, 30.0).resistor("Rz", "z0", "z", resistance=1e2)
    c.add("Z", 0, "z", ZenerDiode(5.1)).resistor("RL", "z", 0, resistance=1e3)
    return c


def amplifiers():
    """A logarithmic amplifier, a comparator with hysteresis, and a chain of CMOS inverters."""
    c = Circuit().voltage_source("V5", "in", 0, 5.0).resistor("R", "in", "m", resistance=1e4)
    c.add("A", "log", 0, "m", OpAmp(1e5)).diode("D", "m", "log")
    c.voltage_source("V1", "one", 0, 1.0).resistor("R1", "one", "p", resistance=1e4)
    c.resistor("R2", "out", "p", resistance=1e5).add("B", "o1", "p", 0, OpAmp(1e5))
    c.resistor("Ro", "o1", "out", resistance=100.0).add("Z", "out", 0, AntiparallelDiodes())
    c.voltage_source("VDD", "vdd", 0, 5.0).voltage_source("Vin", "a0", 0, 2.4)
    for k in range(4):
        c.add(f"N{k}", f"a{k + 1}", f"a{k}", 0, 0, SquareLawTransistor(1e-3, 0.7, 0.02))
        c.add(f"P{k}", f"a{k + 1}", f"a{k}", "vdd", "vdd", SquareLawTransistor(1e-3, -0.7, 0.02, polarity=-1))
    return c


@pytest.fixture(scope="module", params=[junctions, amplifiers], ids=lambda f: f.__name__)
def hard(request):
    return request.param().build()


@pytest.fixture(scope="module")
def last_strategies(hard):
    """Five seconds of compiling each: all of them on junctions, the last one on amplifiers."""
    return STRATEGIES[3:] if hard.network.branches else STRATEGIES[1:]


@pytest.fixture(scope="module")
def by_newton(hard):
    return relax(hard)


def test_newton_along_load_lines_settles_what_overflows(hard, by_newton):
    assert float(by_newton.residual) <= 1e-12 and int(by_newton.steps) < 60
    assert STRATEGIES[int(by_newton.strategy)] == "Newton"
    v = dict(zip(hard.labels.nodes, np.asarray(hard.potentials(by_newton.state, by_newton.inputs))))
    if "z" in v:
        diode = -1e-14 * np.expm1(-(v["p"] - v["o"]) / 0.02585)
        assert -diode < 0 < v["o"] - v["r"]  # rectified
        steps = -np.diff([v[f"d{k}"] for k in range(11)])
        np.testing.assert_allclose(steps, steps[0], rtol=1e-9)  # ten equal junctions carry one current
        assert 1e-14 * np.expm1(steps[0] / 0.02585) == pytest.approx(v["d10"] / 10, rel=1e-9)
        assert 5.0 < v["z"] < 5.5
    else:
        assert v["log"] == pytest.approx(-0.02585 * np.log1p(5e-4 / 1e-14), abs=1e-4)
        assert v["a4"] < 1e-3 and v["a3"] > 4.99


def test_every_strategy_arrives(hard, by_newton, last_strategies):
    for first in last_strategies:
        arrives(hard, by_newton, first)


@pytest.mark.slow
@pytest.mark.parametrize("first", STRATEGIES[1:3])
def test_the_other_strategies_arrive_too(hard, by_newton, first):
    arrives(hard, by_newton, first)


def arrives(hard, by_newton, first):
    other = relax(hard, relaxer=OperatingPoint(first=first))
    assert float(other.residual) <= 1e-12
    assert int(other.strategy) >= STRATEGIES.index(first)  # by itself, or by one it gave way to
    reached = np.abs(np.asarray(other.outputs) - np.asarray(by_newton.outputs))
    # Nodes between blocking junctions are held by currents that double precision cannot tell apart.
    determined = [not name.startswith("r") or name == "r" for name in hard.labels.outputs]
    assert np.max(reached[np.array(determined)]) < 1e-8


def test_a_strategy_that_is_none_and_a_system_that_is_no_circuit_are_refused():
    with pytest.raises(PhysnetError, match=r"first is 'magic'; choose from Newton, gmin stepping"):
        OperatingPoint(first="magic")
    with pytest.raises(PhysnetError, match="it is not a circuit of elements"):
        relax(LayeredNetwork([np.eye(2)]), [1.0], relaxer=OperatingPoint())


def test_a_contradiction_ends_with_an_error_not_a_hang():
    c = Circuit().voltage_source("V", "in", 0, 1.0).resistor("R", "in", "out", resistance=1e3)
    c.add("A", "out", "in", 0, OpAmp(2.0)).add("B", "out", "in", 0, OpAmp(3.0))  # two masters of one node
    equilibrium = relax(c.build(), throw=False, relaxer=OperatingPoint(max_steps=200))
    assert not bool(equilibrium.converged) and int(equilibrium.steps) <= 200


def test_the_certificate_names_the_worst_node(by_newton):
    certificate = kirchhoff_certificate(by_newton)
    system = by_newton.system
    net = np.abs(np.asarray(system.driven(by_newton.inputs).balance(system.unknowns(by_newton.state))))
    net = net[: len(system.labels.free)]
    assert certificate.imbalance == net.max() and certificate.node == system.labels.free[int(net.argmax())]
    assert certificate.relative <= 1e-12 and certificate.node in str(certificate)
    with pytest.raises(PhysnetError, match="pass what relax"):
        kirchhoff_certificate(relax(LayeredNetwork([np.eye(2)]), [1.0]))


def test_currents_at_every_node_by_hand():
    """Over nodes, |sum of currents| / sum of |currents| from the currents of the branches alone."""
    rng = np.random.default_rng(5)
    c = Circuit().voltage_source("V", "n0", 0, 3.0)
    for k in range(30):
        a, b = rng.choice(12, 2, replace=False)
        c.resistor(f"R{k}", f"n{a}", f"n{b}", conductance=10 ** rng.uniform(-6, -2))
    for k in range(12):
        c.resistor(f"G{k}", f"n{k}", 0, conductance=1e-6).diode(f"D{k}", f"n{k}", f"n{(k + 5) % 12}")
    system = c.build()
    equilibrium = relax(system)
    currents = dict(zip(system.branch_names, np.asarray(system.branch_currents(equilibrium.state, equilibrium.inputs))))
    net, gross = dict.fromkeys(c.nodes, 0.0), dict.fromkeys(c.nodes, 0.0)
    for branch in c.branches():
        for node, sign in zip(branch.nodes, (1, -1)):
            net[node] += sign * currents[branch.name]
            gross[node] += abs(currents[branch.name])
    assert max(abs(net[node]) / gross[node] for node in c.nodes) <= 1e-12


def test_a_circuit_whose_nodes_are_all_at_sources():
    system = Circuit().voltage_source("V", "a", 0, 2.0).resistor("R", "a", 0, resistance=4.0).build()
    equilibrium = relax(system)
    assert equilibrium.outputs.tolist() == [2.0] and bool(equilibrium.converged)
    assert system.branch_currents(equilibrium.state, equilibrium.inputs).tolist() == [0.5, -0.5]


def test_single_precision_settles_too():
    system = junctions().build(dtype=np.float32)
    equilibrium = relax(system)
    assert equilibrium.outputs.dtype == np.float32 and float(equilibrium.residual) <= 1e-4
    assert jax.tree.leaves(equilibrium.state)[0].dtype == np.float32
