"""Every estimator of the gradient against the closed forms of the zoo, and against each other step by step."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import ZOO

from physnet import Centred, ConvergenceError, EnergyRule, PhysnetError, SquaredError
from physnet.estimators import (
    EquilibriumPropagation,
    FiniteDifferences,
    ForwardMode,
    ImplicitDifferentiation,
    RecurrentBackpropagation,
    TruncatedBPTT,
)
from physnet.networks import LayeredHopfield, Tanh

COST = SquaredError()
CENTRED = Centred(1e-4, relative=True)
ENOUGH = {
    "recurrent": RecurrentBackpropagation(2000),
    "unrolled": TruncatedBPTT(1000),
    "forward": ForwardMode(),
}
ANIMALS = [pytest.param(name, marks=pytest.mark.slow) if name == "quadratic_springs" else name for name in ZOO]
NET = LayeredHopfield.random((3, 4, 3, 2), key=jax.random.key(0), activations=Tanh())
RNG = np.random.default_rng(0)
DATA = (NET, RNG.uniform(-1, 1, (3, 3)), RNG.uniform(-0.5, 0.5, (3, 2)), COST)


def vector(result) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(result.gradient)])


def check(name, estimator, tolerance=1e-6):
    animal = ZOO[name]
    found = estimator(animal.system, animal.inputs, animal.targets, COST)
    assert found.converged.all() and found.converged.shape == animal.inputs.shape[:1]
    for parameter in animal.system.parameters:
        exact = animal.gradient[parameter.variable.name]
        off = np.linalg.norm(np.asarray(parameter.get(found.gradient)) - exact)
        assert off <= tolerance * np.linalg.norm(exact), (parameter.variable.name, off)
    assert found.to_dataset().cost == found.cost


@pytest.mark.parametrize("name", ANIMALS)
def test_they_agree_where_steps_are_enough(name):
    for estimator in ENOUGH.values():
        check(name, estimator)


@pytest.mark.parametrize("name", ["springs", *(pytest.param(n, marks=pytest.mark.slow) for n in ZOO if n != "springs")])
def test_finite_differences_agree(name):
    check(name, FiniteDifferences())


@pytest.mark.parametrize("name", ["walled_springs", "sheared"])
def test_nudged_steps_agree_where_they_are_enough(name):
    check(name, EquilibriumPropagation(CENTRED, steps=2000))


def test_a_step_given_is_the_step_taken():
    check("sheared", RecurrentBackpropagation(4000, step=0.05))
    with pytest.raises(PhysnetError, match="leave the steady state. Use a shorter step="):
        animal = ZOO["sheared"]
        RecurrentBackpropagation(4000, step=5.0)(animal.system, animal.inputs, animal.targets, COST)


@cache
def after(way: str, steps: int) -> np.ndarray:
    ways = {
        "ep": EquilibriumPropagation(CENTRED, steps=1),
        "forward": ForwardMode(steps=1),
        "unrolled": TruncatedBPTT(1),
        "recurrent": RecurrentBackpropagation(1),
    }
    return vector(ways[way].with_steps(steps)(*DATA))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 30])
def test_nudged_steps_are_truncated_backpropagation(steps):
    """Ernoult et al. 2019: K nudged synchronous steps show the gradient of K steps of backpropagation."""
    exact = after("unrolled", steps)
    for way, tolerance in (("ep", 1e-6), ("forward", 1e-9), ("recurrent", 1e-9)):
        assert np.linalg.norm(after(way, steps) - exact) < tolerance * np.linalg.norm(exact), way


def test_one_program_for_any_number_of_steps(monkeypatch):
    after("recurrent", 2)

    def traced_again(*_):
        raise AssertionError("primitive traced again")

    monkeypatch.setattr(LayeredHopfield, "primitive", traced_again)
    RecurrentBackpropagation(5)(*DATA)


def test_the_implicit_gradient_is_where_the_steps_lead():
    exact = vector(ImplicitDifferentiation()(*DATA))
    errors = [np.linalg.norm(after("unrolled", k) - exact) for k in (3, 7, 30)]
    assert errors[0] > errors[1] > errors[2] > 0


def test_refusals_say_what_to_use():
    animal = ZOO["sheared"]
    few, energy = FiniteDifferences(largest=3), EquilibriumPropagation(CENTRED, EnergyRule())
    assert "9 trainable entries" in few.refuses(animal.system, COST)
    for estimator, message in (
        (few, "at most 3 are moved"),
        (energy, "no energy"),
        (ForwardMode(rule=EnergyRule()), "no energy"),
    ):
        with pytest.raises(PhysnetError, match=message):
            estimator(animal.system, animal.inputs, animal.targets, COST)


def test_a_circuit_without_time_has_no_steps():
    from circuits import Circuit

    circuit = Circuit().voltage_source("V1", "in", 0, 1.0).resistor("R1", "in", "out", conductance=1.0)
    system = circuit.resistor("R2", "out", 0, conductance=2.0).build(outputs=["out"])
    for estimator in (TruncatedBPTT(3), RecurrentBackpropagation(3), ForwardMode(steps=3)):
        assert "no capacitors lead from out" in estimator.refuses(system, COST)
    assert ForwardMode().refuses(system, COST) is None


def test_what_does_not_settle_raises_or_is_flagged():
    from physnet import ProjectedNewton

    animal, short = ZOO["double_wells"], ProjectedNewton(max_steps=2)
    with pytest.raises(ConvergenceError, match="ForwardMode, free phase"):
        ForwardMode(relaxer=short)(animal.system, animal.inputs, animal.targets, COST)
    flagged = ForwardMode(relaxer=short)(animal.system, animal.inputs, animal.targets, COST, throw=False)
    assert not flagged.converged.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TruncatedBPTT(0), "steps is 0"),
        (lambda: ForwardMode(steps=2.5), "steps is 2.5"),
        (lambda: RecurrentBackpropagation(3, step=-1.0), "step is -1.0 s"),
        (lambda: FiniteDifferences(step=0.0), "step is 0.0"),
        (lambda: EquilibriumPropagation(CENTRED, steps=True), "steps is True"),
    ],
)
def test_settings_without_meaning_are_refused(make, message):
    with pytest.raises(PhysnetError, match=message):
        make()


def test_no_sample_has_parameters_of_its_own():
    """Nothing shaped (sample, before, after) is formed: the weights' gradient is summed over samples at once."""
    from physnet.estimators.adjoint import _recurrent

    system, inputs, targets, cost = DATA
    inputs, targets = jnp.asarray(inputs), jnp.asarray(targets)
    free = ImplicitDifferentiation()(*DATA).free

    def run(inputs, targets):
        return _recurrent(system, inputs, targets, cost, free, jnp.ones(3), jnp.asarray(3)).gradient

    text = str(jax.make_jaxpr(run)(inputs, targets))
    assert "f64[3,4]" in text and "f64[3,3,4]" not in text and "f64[3,4,3]" not in text
