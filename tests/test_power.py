"""Power and energy: Tellegen's theorem, closed forms of single elements, and circuits changed by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from circuits import Circuit, Resistor
from circuits.devices import ensemble
from circuits.draws import Uniform
from circuits.editing import prune, with_values, without
from circuits.elements import BidirectionalAmplifier, IdealDiode, ShockleyDiode
from circuits.generators import grid
from circuits.nonidealities import DeviceSpread
from circuits.power import powers, supplied_energy, supplied_power
from physnet import PhysnetError, relax
from physnet.networks import LayeredHopfield


def everything():
    """Two sources, resistors, both diodes and an amplifier."""
    circuit = Circuit().voltage_source("V1", "in", 0, voltage=2.0).current_source("I1", 0, "b", current=3e-4)
    circuit.resistor("R1", "in", "a", resistance=1e3).resistor("R2", "a", "b", resistance=2e3)
    circuit.diode("D1", "a", 0).diode("D2", 0, "c", IdealDiode()).add(
        "A1", "b", "c", BidirectionalAmplifier(1e-3, -2.0)
    )
    return circuit.resistor("R3", "b", 0, resistance=5e3).resistor("R4", "c", 0, resistance=1e3)


@pytest.fixture(scope="module")
def equilibrium():
    return relax(everything().build(inputs=["V1", "I1"]), jnp.array([[2.0, 3e-4], [-1.0, 1e-3]]))


def test_the_powers_of_all_elements_sum_to_zero(equilibrium):
    found = np.asarray(powers(equilibrium))
    assert found.shape == (2, 9)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-12 * np.abs(found).sum())


def test_each_element_absorbs_what_its_law_says(equilibrium):
    system = equilibrium.system
    names = list(system.branch_names)
    for sample in range(2):
        found = dict(zip(names, powers(equilibrium)[sample]))
        at = dict(zip(system.labels.nodes, system.potentials(equilibrium.state[sample], equilibrium.inputs[sample])))
        volt, ampere = equilibrium.inputs[sample]
        expected = {
            "R1": (volt - at["a"]) ** 2 / 1e3,
            "R2": (at["a"] - at["b"]) ** 2 / 2e3,
            "R4": at["c"] ** 2 / 1e3,
            "I1": -at["b"] * ampere,
            "V1": -volt * (volt - at["a"]) / 1e3,
            "D1": at["a"] * ShockleyDiode().current(at["a"]),
            "A1": 1e-3 * (-2 * at["b"] - at["c"]) ** 2,  # g (A v_i - v_o) (A v_i - v_o)
            "D2": 0.0,
        }
        for name, power in expected.items():
            np.testing.assert_allclose(found[name], power, rtol=1e-9, atol=1e-15, err_msg=name)


def test_sources_supply_what_the_others_absorb(equilibrium):
    names = np.array(equilibrium.system.branch_names)
    others = np.asarray(powers(equilibrium))[:, ~np.isin(names, ["V1", "I1"])].sum(axis=1)
    np.testing.assert_allclose(supplied_power(equilibrium), others, rtol=1e-9)
    np.testing.assert_allclose(supplied_energy(equilibrium, 2e-3), 2e-3 * others, rtol=1e-9)
    with pytest.raises(PhysnetError, match=r"duration is -1\.0 s"):
        supplied_energy(equilibrium, -1.0)


def test_power_is_a_matter_of_circuits():
    network = LayeredHopfield.random((2, 2), key=jax.random.key(0))
    with pytest.raises(PhysnetError, match="a state of LayeredHopfield; pass what relax"):
        powers(relax(network, np.zeros(2)))


def test_devices_of_an_ensemble_have_powers_of_their_own():
    circuit = Circuit().voltage_source("V1", "in", 0, voltage=3.0)
    circuit.resistor("R1", "in", "mid", resistance=1e3).resistor("R2", "mid", 0, resistance=2e3)
    devices = ensemble(circuit.build(), DeviceSpread(0.2), 3, key=jax.random.key(0))
    found = relax(devices)
    for k in range(3):
        a, b = devices.at(k).network.conductors[0].element.conductance
        np.testing.assert_allclose(supplied_power(found)[k], 9.0 / (1 / a + 1 / b), rtol=1e-12)


def test_elements_are_removed_by_name():
    circuit = everything()
    left = without(circuit, ["A1", "D2", "R4"])
    assert [branch.name for branch in left.branches()] == ["V1", "I1", "R1", "R2", "D1", "R3"]
    assert left.nodes == ("0", "in", "b", "a") and circuit.nodes == ("0", "in", "b", "a", "c")
    assert left["R2"].nodes == ("a", "b") and float(left["R2"].element.conductance) == 5e-4
    assert len(without(circuit, "R4")) == 8 and "R4" not in without(circuit, "R4")
    with pytest.raises(PhysnetError, match="no element 'R44'. Did you mean R4?"):
        without(circuit, ["R44"])


def test_weak_resistors_are_pruned():
    circuit = grid(4, 4, conductance=Uniform(0.0, 1e-3), key=jax.random.key(1))
    circuit.voltage_source("V1", "0,0", 0, voltage=1.0).resistor("weak", "3,3", 0, conductance=1e-9, trainable=False)
    left = prune(circuit, below=3e-4)
    strong = [b.name for b in circuit.branches() if b.name[0] in "hv" and b.element.conductance >= 3e-4]
    assert [b.name for b in left.branches()] == [*strong, "V1", "weak"] and len(strong) < 24
    with pytest.raises(PhysnetError, match="below is -1 S"):
        prune(circuit, below=-1)


def test_learned_values_go_back_into_the_circuit():
    circuit = everything()
    system = circuit.build()
    parameter = next(p for p in system.parameters if p.variable.name == "conductance")
    changed = with_values(circuit, eqx.tree_at(parameter.get, system, 2 * parameter.get(system)))
    for name, resistance in {"R1": 1e3, "R2": 2e3, "R3": 5e3}.items():
        assert float(changed[name].element.conductance) == pytest.approx(2 / resistance)
    assert isinstance(changed["R1"].element, Resistor) and float(changed["V1"].element.voltage) == 2.0
    with pytest.raises(PhysnetError, match="has no current source I1"):
        with_values(circuit, without(circuit, "I1").build())
