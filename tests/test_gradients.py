"""EP and implicit gradients over the zoo, against closed forms, finite differences and each other."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_relax import RELAXERS
from zoo import ZOO, Chain, Springs, springs

from physnet import (
    Centred,
    ConvergenceError,
    CrossEntropy,
    EnergyRule,
    Newton,
    OneSided,
    PhysnetError,
    ProjectedNewton,
    SquaredError,
    check_gradient,
    ep_gradient,
    implicit_gradient,
    relax,
)
from physnet.checking import GradientReport
from physnet.gradients import EPGradient

COST = SquaredError()
SMALL = {"centred": Centred(1e-4, relative=True), "one_sided": OneSided(1e-4, relative=True)}
ENERGIES = [name for name in ZOO if name != "sheared"]
CHECKS = [(name, "ProjectedNewton", "centred") for name in ENERGIES if name != "quadratic_springs"]
CHECKS += [("chain", "Newton", "centred"), ("double_wells", "Flow", "centred")]
CHECKS += [("walled_springs", "ProjectedNewton", "one_sided"), ("chain", "Newton", "one_sided")]


def named(system, gradient: EPGradient) -> dict[str, np.ndarray]:
    return {p.variable.name: np.asarray(p.get(gradient.gradient)) for p in system.parameters if p.trainable}


@cache
def report(name: str, relaxer: str, nudging: str) -> GradientReport:
    animal = ZOO[name]
    return check_gradient(
        animal.system, animal.inputs, animal.targets, cost=COST, nudging=SMALL[nudging], relaxer=RELAXERS[relaxer]
    )


@cache
def ep(name: str, beta: float = 1e-2) -> EPGradient:
    animal = ZOO[name]
    return ep_gradient(animal.system, animal.inputs, animal.targets, cost=COST, nudging=Centred(beta, relative=True))


@pytest.mark.parametrize("name", ZOO)
def test_implicit_gradient_is_the_closed_form(name):
    animal = ZOO[name]
    found = implicit_gradient(animal.system, animal.inputs, animal.targets, cost=COST)
    for parameter, gradient in named(animal.system, found).items():
        np.testing.assert_allclose(gradient, animal.gradient[parameter], rtol=1e-9, atol=1e-11, err_msg=parameter)
    outputs = np.asarray(jax.vmap(animal.system.outputs)(jnp.asarray(animal.states), jnp.asarray(animal.inputs)))
    np.testing.assert_allclose(found.cost, np.mean(np.sum((outputs - animal.targets) ** 2, axis=1)) / 2, rtol=1e-10)
    assert found.nudged is None and found.converged.all()


def test_implicit_gradient_is_the_finite_difference():
    animal = ZOO["walled_springs"]
    found = implicit_gradient(animal.system, animal.inputs, animal.targets, cost=COST).gradient

    def cost(stiffness):
        system = replace(animal.system, stiffness=stiffness)
        outputs = np.asarray(relax(system, animal.inputs).outputs)
        return np.mean(np.sum((outputs - animal.targets) ** 2, axis=1)) / 2

    step = 1e-5
    for edge in range(animal.system.stiffness.size):
        up, down = (cost(animal.system.stiffness.at[edge].add(sign * step)) for sign in (1, -1))
        np.testing.assert_allclose((up - down) / (2 * step), found.stiffness[edge], atol=1e-8)


@pytest.mark.parametrize(("name", "relaxer", "nudging"), CHECKS)
def test_ep_meets_its_figures(name, relaxer, nudging):
    card = report(name, relaxer, nudging)
    order = SMALL[nudging].order
    assert card.order == order and card.converged.all(), str(card)
    if order == 2:
        assert (card.relative_error <= 1e-6).all(), str(card)
        assert (card.cosine > 1 - 1e-12).all(), str(card)
    assert np.isfinite(card.slope).all() and (card.points >= 4).all(), str(card)
    np.testing.assert_allclose(card.slope, order, atol=0.1, err_msg=str(card))
    assert card.asymmetry < 1e-12


def test_a_report_counts_what_switched_and_reads_as_a_card():
    card = report("walled_springs", "ProjectedNewton", "centred")
    assert card.switched[0] == 0 < card.switched[-1]
    text = str(card)
    for part in ("EP gradient of WalledSprings", "Centred(beta=0.0001", "stiffness", "slope (expected 2)", "switched"):
        assert part in text
    few = check_gradient(ZOO["chain"].system, ZOO["chain"].inputs, ZOO["chain"].targets, cost=COST, betas=[1e-3, 1e-2])
    assert np.isnan(few.slope).all() and "undetermined" in str(few)


def test_ep_is_what_check_gradient_says():
    exact, found = ZOO["springs"].gradient, named(ZOO["springs"].system, ep("springs", 1e-4))
    for parameter, gradient in found.items():
        np.testing.assert_allclose(gradient, exact[parameter], rtol=1e-6, atol=1e-9)


def test_midpoint_form_equals_the_plain_difference():
    plain, midpoint = (named(ZOO[name].system, ep(name)) for name in ("springs", "quadratic_springs"))
    for parameter, gradient in plain.items():
        np.testing.assert_allclose(midpoint[parameter], gradient, rtol=1e-9, atol=1e-12)
        assert not np.array_equal(midpoint[parameter], gradient)  # two formulas, not one


def test_another_beta_is_the_same_program(monkeypatch):
    ep("springs", 1e-2)

    def traced_again(*_):
        raise AssertionError("energy traced again")

    monkeypatch.setattr(Springs, "energy", traced_again)
    ep("springs", 3e-3)


def test_single_precision_stays_single():
    animal = springs(type(ZOO["quadratic_springs"].system), np.float32)
    nudging = Centred(1e-2, relative=True)
    found = ep_gradient(animal.system, animal.inputs, animal.targets, cost=COST, nudging=nudging)
    assert {leaf.dtype for leaf in jax.tree.leaves((found.gradient, found.cost, found.nudged.state))} == {
        np.dtype(np.float32)
    }
    for parameter, gradient in named(animal.system, found).items():
        double = named(animal.system, ep("quadratic_springs"))[parameter]
        assert np.linalg.norm(gradient - double) < 1e-4 * np.linalg.norm(double)


def test_unconverged_phases_raise_or_are_flagged():
    animal, short = ZOO["double_wells"], ProjectedNewton(max_steps=2)
    arguments = {"cost": COST, "nudging": Centred(1e-2, relative=True), "relaxer": short}
    with pytest.raises(ConvergenceError, match="ep_gradient, free phase: 2 of 2"):
        ep_gradient(animal.system, animal.inputs, animal.targets, **arguments)
    flagged = ep_gradient(animal.system, animal.inputs, animal.targets, throw=False, **arguments)
    assert not flagged.converged.any() and flagged.converged.shape == (2,)


def test_systems_without_an_energy_are_sent_elsewhere():
    animal = ZOO["sheared"]
    for method, where in ((ep_gradient, "ep_gradient"), (check_gradient, "check_gradient")):
        with pytest.raises(PhysnetError, match=rf"{where}: EnergyRule refuses: Sheared has no energy.*CorrectedRule"):
            method(animal.system, animal.inputs, animal.targets, cost=COST, nudging=Centred(0.1), rule=EnergyRule())


def test_a_cost_that_feels_a_neutral_mode_is_refused():
    system = Chain(ZOO["chain"].system.stiffness, ZOO["chain"].system.length, "position")
    with pytest.raises(PhysnetError, match="neutral mode of Chain"):
        implicit_gradient(system, np.zeros((2, 3)), np.ones((2, 4)), cost=COST)


@pytest.mark.parametrize(
    ("nudging", "message"),
    [
        (Centred(5.0), r"beta = -5 J m-2 is too negative: at -0\.824\d* J m-2"),
        (Centred(1.0, relative=True), r"beta = -0\.824\d* J m-2 is too negative"),
        (OneSided(2.0, relative=True, sign=-1), "too negative"),
    ],
)
def test_a_beta_that_unbinds_the_outputs_is_refused(nudging, message):
    animal = ZOO["springs"]
    with pytest.raises(PhysnetError, match=message):
        ep_gradient(animal.system, animal.inputs, animal.targets, cost=COST, nudging=nudging)


@pytest.mark.parametrize("nudging", [Centred, OneSided])
@pytest.mark.parametrize("beta", [0.0, -0.1, np.nan, np.inf])
def test_impossible_betas_are_refused_at_once(nudging, beta):
    with pytest.raises(PhysnetError, match=rf"{nudging.__name__}: beta is {beta}"):
        nudging(beta)


@pytest.mark.parametrize(
    ("targets", "cost", "message"),
    [
        (np.zeros((3, 4)), COST, r"targets have shape \(3, 4\); expected \(3, 2\)"),
        (np.zeros((2, 2)), COST, r"targets have shape \(2, 2\); expected \(3, 2\)"),
        (np.full((3, 2), np.nan), COST, "targets hold NaN"),
        (np.full((3, 2), 0.7), CrossEntropy(), r"probabilities that sum to 1; found a sum of 1\.4"),
        (np.array([[2.0, -1.0]] * 3), CrossEntropy(), "smallest value of -1"),
    ],
)
def test_bad_targets_are_named(targets, cost, message):
    with pytest.raises(PhysnetError, match=message):
        ep_gradient(ZOO["springs"].system, ZOO["springs"].inputs, targets, cost=cost, nudging=Centred(0.1))


def test_a_relaxer_that_refuses_is_named_before_anything_runs():
    animal = ZOO["walled_springs"]
    with pytest.raises(PhysnetError, match="Newton refuses WalledSprings"):
        ep_gradient(animal.system, animal.inputs, animal.targets, cost=COST, nudging=Centred(0.1), relaxer=Newton())
