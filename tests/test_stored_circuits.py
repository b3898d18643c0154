"""A circuit's dataset builds the circuit again: every exported element, its wiring, its controls, its order."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from circuits import Circuit, Element, Resistor, ShockleyDiode
from circuits import elements as exported
from circuits.bundle import Names
from circuits.stored import system_from_dataset
from physnet import Equilibrium, Parameter, PhysnetError, Variable, relax, results

KINDS = [getattr(exported, name) for name in exported.__all__]
KINDS = [kind for kind in KINDS if kind not in (exported.Component, exported.Element, exported.MultiTerminal)]


def unsettled(system):
    """What `relax` would return, without having relaxed: enough for a dataset of the system."""
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(system.initial_state, None))
    none = np.zeros((), system.network.dtype)
    outputs = np.zeros(len(system.labels.outputs), system.network.dtype)
    steps, converged = np.zeros((), np.int32), np.zeros((), bool)
    return Equilibrium(
        state, outputs, none, none, none, steps, converged, steps, inputs=system.default_inputs(), system=system
    )


def same(a, b):
    """Whether two systems are the same equations of the same unknowns, fixed nodes being numbered in any order."""

    def wired(system):
        nodes = np.array(system.labels.nodes)
        ends = [nodes[np.asarray(group.terminals)].tolist() for group in system.groups()]
        others = [
            (group.names, np.asarray(group.rows).tolist(), np.asarray(group.columns).tolist())
            for group in system.groups()
        ]
        read = [nodes[np.asarray(x)].tolist() for x in (system.network.plus, system.network.minus)]
        return ends, others, read, replace(system.labels, nodes=Names(sorted(nodes.tolist())))

    elements = [[group.element for group in system.groups()] for system in (a, b)]
    leaves = zip(*map(jax.tree.leaves, elements), strict=True)
    numbers = all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in leaves)
    return type(a) is type(b) and wired(a) == wired(b) and numbers and len({*map(jax.tree.structure, elements)}) == 1


def connected(kind):
    """A circuit around two elements of a kind, with sources, a floating source and a diode before and after them."""
    circuit = Circuit().resistor("R1", "z", "b", resistance=1e3).voltage_source("V1", "in", 0, 1.5)
    circuit.voltage_source("E1", "c", "a", 0.3).voltage_source("V2", "ref", 0, -1.0)
    for i, element in enumerate((kind.example(), kind.example())):
        two = isinstance(element, exported.Element)
        nodes = ["b", "0"] if two else ["a", "b", "d", "e"][: len(element.terminals)]
        nodes = [f"held{i}", "0"] if kind is exported.VoltageSource else nodes
        senses = not two and element.senses
        circuit.add(f"X{i}", *nodes, element, control="V1" if senses else None)
    for k, node in enumerate("abdez"):
        circuit.resistor(f"G{k}", node, "in" if k % 2 else 0, conductance=1e-3 * (1 + k), trainable=k < 3)
    circuit.capacitor("C1", "a", 0, 1e-9).diode("D1", "a", "b").current_source("I1", 0, "a", 1e-3)
    return circuit.build(inputs=["V2", "I1"], outputs=["a", ("b", "in"), "z"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_element_comes_back(kind):
    system = connected(kind)
    ds = unsettled(system).to_dataset()
    assert results.validate(ds) == []
    assert same(system, system_from_dataset(ds))


def test_a_file_holds_the_circuit_and_its_operating_point(tmp_path):
    circuit = Circuit().voltage_source("V1", "in", 0, 2.0).resistor("R1", "in", "mid", resistance=1e3)
    circuit.diode("D1", "mid", "out", ShockleyDiode(1e-12)).resistor("R2", "out", 0, resistance=2e3, trainable=False)
    equilibrium = relax(circuit.build(inputs=["V1"], outputs=["out", ("in", "mid")]), [1.7])
    path = results.save(equilibrium.to_dataset(), tmp_path / "circuit.nc")
    again = system_from_dataset(path)
    state, inputs = equilibrium.state, equilibrium.inputs
    assert same(again, equilibrium.system) and again.labels.free == equilibrium.system.labels.free
    np.testing.assert_allclose(again.outputs(state, inputs), equilibrium.outputs, rtol=0, atol=1e-12)
    assert np.abs(again.residual(state, inputs)).max() <= 1e-12 * np.abs(again.residual_scale(state, inputs)).max()
    ds = results.open(path)
    assert ds.resistor_first.values.tolist() == ["in"] and ds.shockley_diode_second.values.tolist() == ["out"]
    rebuilt = Circuit.from_dataset(str(path))
    assert rebuilt["D1"].nodes == ("mid", "out") and len(rebuilt) == 4 and set(rebuilt.nodes) == set(circuit.nodes)
    # A built circuit can go on growing.
    assert len(rebuilt.resistor("R3", "out", 0, resistance=1.0)) == 5


def test_sensed_sources_lose_the_ammeter_that_build_gave_them():
    circuit = Circuit().voltage_source("V1", "in", 0, 1.0).resistor("R1", "in", "a", resistance=1e3)
    circuit.resistor("R2", "a", 0, resistance=1e3).resistor("R3", "b", 0, resistance=1e3)
    circuit.add("F1", 0, "b", exported.CurrentControlledCurrentSource(2.0), control="V1")
    system = circuit.build()
    rebuilt = Circuit.from_dataset(unsettled(system).to_dataset())
    assert rebuilt["V1"].nodes == ("in", "0") and rebuilt["F1"].control == "V1" and len(rebuilt) == 5
    assert same(system, rebuilt.build())


def test_single_precision_stays_single():
    circuit = Circuit().current_source("I1", 0, "a", 1e-3).resistor("R1", "a", 0, resistance=3.0)
    system = circuit.build(dtype=np.float32)
    assert same(system, system_from_dataset(unsettled(system).to_dataset()))


class Cubic(Element):
    """i = k v^3 / s^2, s being a static scale."""

    coefficient: float
    scale: float = eqx.field(static=True, default=2.0)

    kind = "cubic"

    def current(self, voltage):
        return self.coefficient * voltage**3 / self.scale**2

    def differential_conductance(self, voltage):
        return 3 * self.coefficient * voltage**2 / self.scale**2

    def cocontent(self, voltage):
        return self.coefficient * voltage**4 / (4 * self.scale**2)

    def parameters(self):
        variable = Variable("coefficient", (), "A V-3", "coefficient of each cubic law", (0.0, np.inf))
        return (Parameter(variable, lambda element: element.coefficient),)


def own():
    circuit = Circuit().current_source("I1", 0, "a", 1e-3).resistor("R1", "a", 0, resistance=3.0)
    return circuit.add("Q1", "a", 0, Cubic(1.0, 3.0)).add("Q2", "a", 0, Cubic(2.0)).build()


def test_own_elements_are_passed_along_and_missed_by_name():
    system = own()
    ds = unsettled(system).to_dataset()
    assert same(system, system_from_dataset(ds, elements=(Cubic,)))
    with pytest.raises(PhysnetError, match=r"holds 1 elements of class Cubic \(axis cubic\).*pass elements=\(Cubic,\)"):
        Circuit.from_dataset(ds)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda ds: ds.drop_vars("conductance"), "no variable conductance"),
        (lambda ds: ds.drop_vars("resistor_first"), "no coordinate resistor_first"),
        (lambda ds: ds.assign(conductance=-ds.conductance), "Resistor .axis resistor.: conductance -0.333"),
        (lambda ds: ds.assign_attrs(physnet_system='{"kind": "Springs"}'), "is of a Springs"),
        (lambda ds: ds.assign_attrs(physnet_system=""), "does not say what system"),
        (lambda ds: ds.assign_coords(cubic=("cubic", ["R1"])), "two elements of the dataset have one name"),
    ],
)
def test_what_is_missing_or_wrong_is_named(spoil, message):
    with pytest.raises(PhysnetError, match=message):
        Circuit.from_dataset(spoil(unsettled(own()).to_dataset()), elements=(Cubic,))


def test_a_large_circuit_is_stored_as_arrays():
    n = 20_000
    circuit = Circuit().add_many("R", np.arange(1, n), np.arange(2, n + 1), Resistor(jnp.ones(n - 1)))
    circuit.resistor("ground", n, 0, resistance=1.0).current_source("I1", 0, 1, 1.0)
    ds = unsettled(circuit.build(outputs=["1"])).to_dataset()
    assert len(ds.attrs["physnet_system"]) < 1000
    rebuilt = Circuit.from_dataset(ds)
    assert len(rebuilt) == n + 1 and rebuilt["R7"].nodes == ("8", "9") and rebuilt.nodes == circuit.nodes
