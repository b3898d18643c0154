"""Continual EP against EP: parameters that move while the nudged phase goes on, and what the call refuses."""

import re
import warnings
from dataclasses import replace

import jax
import numpy as np
import pytest
import zoo
from scipy.special import softmax

from physnet import Centred, CrossEntropy, OneSided, PhysnetError, RandomSign, SquaredError, ep_gradient
from physnet.continual import continual_update
from physnet.networks import LayeredHopfield
from physnet.networks.activation import Tanh
from physnet.parameters import map_parameters

LADDER = np.geomspace(1e-4, 1e-2, 5)  # eta/beta


class Case:
    """A system with its samples and the options of the call, so that all tests share its compiled programs."""

    def __init__(self, system, inputs, targets, cost, nudging, steps, time_step=None):
        self.system, self.data = system, (inputs, targets)
        self.cost, self.nudging = cost, nudging
        self.options = {"steps": steps, "time_step": time_step}

    def update(self, ratio, system=None):
        """With learning_rate = beta * ratio, one for all or by name."""
        beta = self.nudging.beta
        rate = {k: beta * v for k, v in ratio.items()} if isinstance(ratio, dict) else beta * ratio
        system = self.system if system is None else system
        options = {"cost": self.cost, "nudging": self.nudging, "learning_rate": rate}
        return continual_update(system, *self.data, **options, **self.options)

    def gradient(self):
        return ep_gradient(self.system, *self.data, cost=self.cost, nudging=self.nudging).gradient


@pytest.fixture(scope="module")
def networks():
    """A smooth network in discrete time whose softmax is read outside of it, and springs in continuous time.

    The nudged phases are long enough to end at rest, to 1e-9 or better, so that only the moving parameters are left.
    """
    rng = np.random.default_rng(5)
    hopfield = LayeredHopfield.random((3, 4, 3), key=jax.random.key(1), gain=0.9, readout=2, activations=Tanh())
    springs = zoo.ZOO["springs"]
    return {
        "hopfield": Case(hopfield, rng.normal(size=(2, 3)), np.eye(2), CrossEntropy(), OneSided(0.02), 80),
        "springs": Case(
            springs.system, springs.inputs, springs.targets, SquaredError(), OneSided(0.01, sign=-1), 400, 0.2
        ),
    }


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def angle(a, b):
    return np.degrees(np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1)))


@pytest.mark.parametrize("name", ["hopfield", "springs"])
def test_its_difference_to_ep_is_proportional_to_eta_over_beta(networks, name):
    case = networks[name]
    gradient, errors = flat(case.gradient()), []
    for ratio in LADDER:
        update = case.update(ratio)
        step = flat(update.change) / (-ratio * case.nudging.beta)
        errors.append(np.linalg.norm(step - gradient) / np.linalg.norm(gradient))
        assert update.converged.all() and (update.residual < 20 * ratio).all()
    slope, _ = np.polyfit(np.log(LADDER), np.log(errors), 1)
    assert abs(slope - 1) < 0.1, (slope, errors)
    assert errors[0] < 0.01, errors


def test_every_parameter_moves_at_its_own_rate(networks):
    case, ratio = networks["hopfield"], 1e-4
    gradient = case.gradient()
    update = case.update({"weight_0": ratio, "bias_1": 3 * ratio})
    eta = ratio * case.nudging.beta
    np.testing.assert_allclose(update.change.weights[0], -eta * gradient.weights[0], rtol=0.01, atol=0.01 * eta)
    np.testing.assert_allclose(update.change.biases[1], -3 * eta * gradient.biases[1], rtol=0.01, atol=0.01 * eta)
    for still in (update.change.weights[1], update.change.biases[0], *update.change.readout):
        assert not np.any(still)
    for moved, before, change in zip(*(jax.tree.leaves(t) for t in (update.system, case.system, update.change))):
        np.testing.assert_allclose(moved, before + change, rtol=1e-12)


def test_a_readout_takes_one_step_of_its_cost_not_one_in_each_step(networks):
    """Its softmax acts on nothing, so its gradient is s (p - y), at the end of the nudged phase as in EP."""
    case, ratio = networks["hopfield"], 1e-5
    update = case.update(ratio)
    last, (weight, bias) = np.asarray(update.state[-1]), case.system.readout
    error = softmax(last @ np.asarray(weight) + np.asarray(bias), axis=1) - case.data[1]
    eta = ratio * case.nudging.beta
    np.testing.assert_allclose(update.change.readout[0], -eta * last.T @ error / 2, rtol=1e-3)
    np.testing.assert_allclose(update.change.readout[1], -eta * error.mean(0), rtol=1e-3)


def test_parameters_end_inside_their_bounds(networks):
    """Targets further out ask for softer springs to the ground; one that is at 0 N/m already stays there."""
    case, ratio = networks["springs"], 1e-4
    inputs, targets = case.data[0], 3 * zoo.ZOO["springs"].states[:, 3:]
    soft = map_parameters(lambda p, old: old.at[3].set(0) if p.variable.name == "anchor" else old, case.system)
    options = {"cost": case.cost, "nudging": case.nudging}
    gradient = ep_gradient(soft, inputs, targets, **options).gradient.anchor
    assert gradient[3] > 0, "the case tests nothing"
    eta = ratio * case.nudging.beta
    update = continual_update(soft, inputs, targets, learning_rate=eta, **options, **case.options)
    assert update.system.anchor[3] == 0
    rest = np.array([0, 1, 2, 4])
    np.testing.assert_allclose((update.system.anchor - soft.anchor)[rest], -eta * gradient[rest], rtol=0.1)


def test_the_update_says_what_it_saw(networks):
    case = networks["springs"]
    animal = zoo.ZOO["springs"]
    update = case.update(1e-4)
    np.testing.assert_allclose(update.free.state, animal.states, atol=1e-9)
    np.testing.assert_allclose(update.cost, 0.5 * np.mean(np.sum((animal.states[:, 3:] - animal.targets) ** 2, 1)))
    assert jax.tree.leaves(update.state)[0].shape == animal.states.shape
    assert update.residual.shape == (3,)


def test_too_fast_a_rate_warns_with_the_angle_that_is_then_measured(networks):
    case = networks["hopfield"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        case.update(0.1 * (1 - 1e-9))
    with pytest.warns(UserWarning, match=r"eta/beta is 2, above 0.1.*degrees off") as caught:
        update = case.update(2.0)
    said = float(re.search(r"is ([\d.e+-]+) degrees", str(caught[0].message)).group(1))
    found = angle(-flat(update.change), flat(case.gradient()))
    assert said > 0.5, said
    assert said == pytest.approx(found, rel=0.1)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("hopfield", {"nudging": Centred(0.1)}, "nudging"),
        ("hopfield", {"nudging": RandomSign(0.1)}, "nudging"),
        ("hopfield", {"nudging": OneSided(0.1, relative=True)}, "give an absolute beta"),
        ("hopfield", {"learning_rate": {"weight_9": 0.1}}, r"names \['weight_9'\].*that learn are \['weight_0'"),
        ("hopfield", {"learning_rate": -0.1}, "learning rate of weight_0 is -0.1"),
        ("hopfield", {"learning_rate": {"bias_0": np.nan}}, "learning rate of bias_0 is nan"),
        ("hopfield", {"learning_rate": True}, "learning rate of weight_0 is True"),
        ("hopfield", {"steps": 0}, "steps is 0; give a whole number"),
        ("hopfield", {"steps": 2.0}, "steps is 2.0"),
        ("hopfield", {"steps": True}, "steps is True"),
        ("hopfield", {"time_step": 0.1}, "LayeredHopfield is iterated and takes no time_step"),
        ("springs", {"time_step": None}, "Springs settles in time; give time_step, s"),
    ],
)
def test_calls_without_meaning_are_refused(networks, name, change, message):
    case = networks[name]
    options = {"cost": case.cost, "nudging": case.nudging, "learning_rate": 1e-4, **case.options} | change
    with pytest.raises(PhysnetError, match=message):
        continual_update(case.system, *case.data, **options)


@pytest.mark.parametrize("which", ["no energy", "nudged outside"])
def test_systems_without_an_energy_are_refused(networks, which):
    sheared = zoo.ZOO["sheared"]
    case = networks["hopfield"]
    system, data, time_step = {
        "no energy": (sheared.system, (sheared.inputs, sheared.targets), 0.1),
        "nudged outside": (replace(case.system, nudged_inside=False), case.data, None),
    }[which]
    with pytest.raises(PhysnetError, match=r"continual_update: .* has no energy"):
        continual_update(
            system,
            *data,
            cost=SquaredError(),
            nudging=OneSided(0.1),
            learning_rate=1e-3,
            steps=5,
            time_step=time_step,
        )
