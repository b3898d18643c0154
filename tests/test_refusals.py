"""What no program should be traced for: text, ragged rows, classes in the place of objects, shapes that do not fit."""

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from zoo import ZOO

from circuits import Circuit, IdealDiode, LayeredNetwork, Resistor, ShockleyDiode, branch_dataset
from physnet import Centred, Nudge, PhysnetError, SquaredError, ep_gradient, integrate, relax, results
from physnet.nudging import OneSided
from physnet.relaxers.projected_newton import ProjectedNewton

SYSTEM, X, Y = ZOO["springs"].system, ZOO["springs"].inputs, ZOO["springs"].targets
COST = SquaredError()
BRANCHES = [np.ones((4, 3)), np.ones((3, 2))]


@pytest.fixture(autouse=True)
def as_users_call_it():
    """Without the checks of annotations that the tests add: these are about what physnet itself says."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def gradient(inputs=X, targets=Y, cost=COST, **options):
    return ep_gradient(SYSTEM, inputs, targets, cost=cost, nudging=Centred(0.1), **options)


def nudged(beta, cost=COST):
    return relax(SYSTEM, X, nudge=Nudge(cost, Y, beta))


def circuit():
    return Circuit().voltage_source("V1", "in", 0, 1.0).resistor("R1", "in", "mid", resistance=1e3)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: relax(SYSTEM, "abc"), r"Springs: inputs: real numbers are needed.*'abc'"),
        (lambda: relax(SYSTEM, [[1.0, 2.0], [1.0]]), "Springs: inputs: no array of numbers"),
        (lambda: relax(SYSTEM, X + 1j), "Springs: inputs: real numbers .* complex128"),
        (lambda: gradient(targets=[["a", "b"]] * 3), "targets: real numbers are needed"),
        (lambda: gradient(targets=[[1.0], [1.0, 2.0], [1.0]]), "targets: no array of numbers"),
        (lambda: gradient(cost=SquaredError), "cost is the class SquaredError; did you forget the parentheses"),
        (lambda: nudged(0.1, SquaredError), "cost is the class SquaredError; did you forget the parentheses"),
        (lambda: gradient(relaxer=ProjectedNewton), "relaxer is the class ProjectedNewton; did you forget"),
        (lambda: relax(SYSTEM, X, relaxer="newton"), "relaxer is 'newton'; pass an object of a subclass of Relaxer"),
        (lambda: nudged(jnp.asarray(jnp.nan)), "beta of the nudge is NaN or infinite"),
        (lambda: nudged(jnp.ones(2)), r"beta of the nudge has shape \(2,\); give one number, or one for each of the 3"),
        (
            lambda: relax(SYSTEM, X, initial=np.zeros((3, 4))),
            r"initial: position has shape \(3, 4\); expected \(3, 5\)",
        ),
        (lambda: relax(SYSTEM, X[0], initial=np.zeros((3, 5))), r"position has shape \(3, 5\); expected \(5,\)"),
        (lambda: relax(SYSTEM, X, initial=(np.zeros((3, 5)),)), r"initial is a tuple that is not built like the state"),
        (
            lambda: integrate(SYSTEM, X, [0.0, 1.0], initial=np.zeros(5)),
            r"position has shape \(5,\); expected \(3, 5\)",
        ),
        (lambda: Resistor("1k"), "Resistor: conductance '1k'; give a number in S"),
        (lambda: ShockleyDiode(None), "saturation_current None; give a number in A"),
        (lambda: Centred("1"), "Centred: beta is '1'; give one number"),
        (lambda: OneSided(0.1, sign=0), "OneSided: sign is 0"),
        (
            lambda: circuit().resistor("R2", "mid", 0, resistance="1k"),
            "resistor R2: resistance '1k'; give a number in ohm",
        ),
        (
            lambda: circuit().resistor("R2", "mid", 0, conductance="1m"),
            "resistor R2: conductance '1m'; give a number in S",
        ),
        (lambda: circuit().capacitor("C1", "mid", 0, "1n"), "capacitor C1: capacitance '1n'; give a number in F"),
        (lambda: circuit().diode("D1", "mid", 0, IdealDiode), "did you forget the parentheses"),
        (lambda: branch_dataset(relax(SYSTEM, X)), "branch_dataset: this is a state of Springs"),
    ],
)
def test_refused_before_anything_is_traced(act, message):
    with pytest.raises(PhysnetError, match=message):
        act()


def test_a_start_in_whole_numbers_is_a_start():
    np.testing.assert_allclose(relax(SYSTEM, X, initial=np.zeros((3, 5), int)).state, ZOO["springs"].states, atol=1e-9)


def test_a_node_name_is_one_output_and_datasets_say_what_made_them():
    system = circuit().resistor("R2", "mid", 0, resistance=3e3).build(outputs="mid")
    assert system.labels.outputs == ("mid",)
    ds = branch_dataset(relax(system), seed=3, config={"case": "divider"})
    assert results.validate(ds) == [] and ds.attrs["physnet_seed"] == 3
    assert "divider" in ds.attrs["physnet_config"] and ds.attrs["physnet_precision"] == "double"
    assert '"count": 2' in ds.attrs["physnet_system"]
    assert ds.branch.values.tolist() == ["R1", "R2", "V1"]


def test_a_layered_network_is_described_in_its_dataset():
    network = LayeredNetwork(BRANCHES, diode=ShockleyDiode(1e-9, 0.05))
    ds = relax(network, [0.1, 0.2]).to_dataset()
    for text in (ds.attrs["physnet_system"], ds.attrs["physnet_config"]):
        for part in (
            '"sizes": [2, 3, 2]',
            '"kind": "shockley_diode"',
            '"saturation_current": 1e-09',
            '"thermal_voltage": 0.05',
        ):
            assert part in text
    assert results.validate(ds) == []


@pytest.mark.parametrize(
    ("conductances", "options", "message"),
    [
        (None, {}, "a sequence of matrices"),
        ([[[1, 2], [1]]], {}, r"conductances\[0\]: no array of numbers"),
        ([[["a"], ["b"]]], {}, r"conductances\[0\]: real numbers are needed"),
        (BRANCHES, {"diode": "ideal"}, r"diode is 'ideal'; pass IdealDiode\(\)"),
        (BRANCHES, {"diode": IdealDiode}, "the class IdealDiode; did you forget the parentheses"),
        (BRANCHES, {"diode": ShockleyDiode(jnp.full(3, 1e-12))}, "the diode's values are arrays"),
        (BRANCHES, {"input_gain": np.inf}, "input_gain is inf V"),
        (BRANCHES, {"input_gain": "1k"}, r"input_gain: real numbers are needed.*'1k'"),
        (BRANCHES, {"capacitance": -1e-12}, "capacitance is -1e-12 F"),
        (BRANCHES, {"capacitance": [1e-12, 2e-12]}, r"capacitance has shape \(2,\); give one number, F"),
    ],
)
def test_arguments_of_a_layered_network(conductances, options, message):
    with pytest.raises(PhysnetError, match=message):
        LayeredNetwork(conductances, **options)
