"""Steady states of the zoo by every relaxer that does not refuse, against their exact values."""

from functools import cache

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import ZOO, Chain, Runaway, Sheared, Springs, springs

from physnet import (
    ConvergenceError,
    Equilibrium,
    Flow,
    Newton,
    Nudge,
    PhysnetError,
    ProjectedNewton,
    SquaredError,
    relax,
)
from physnet.system import System

RELAXERS = {"ProjectedNewton": ProjectedNewton(), "Newton": Newton(), "Flow": Flow(solver=diffrax.Tsit5())}
PAIRS = [(name, relaxer) for name, animal in ZOO.items() for relaxer in animal.relaxers]
RUNAWAY = Runaway(jnp.ones(2))


@cache
def settled(name: str, relaxer: str) -> Equilibrium:
    return relax(ZOO[name].system, ZOO[name].inputs, relaxer=RELAXERS[relaxer])


@pytest.mark.parametrize(("name", "relaxer"), PAIRS)
def test_state_is_exact(name, relaxer):
    animal, equilibrium = ZOO[name], settled(name, relaxer)
    np.testing.assert_allclose(animal.centre(np.asarray(equilibrium.state)), animal.centre(animal.states), atol=1e-8)
    assert equilibrium.converged.all() and (equilibrium.status == 0).all()
    assert (equilibrium.residual <= RELAXERS[relaxer].tolerance_for(np.float64)).all()
    assert equilibrium.state.shape == animal.states.shape and equilibrium.steps.shape == animal.states.shape[:1]


@pytest.mark.parametrize(("name", "relaxer"), [("walled_springs", "ProjectedNewton"), ("springs", "Newton")])
def test_results_do_not_depend_on_how_the_batch_is_cut(name, relaxer):
    animal, together = ZOO[name], settled(name, relaxer)
    for i, inputs in enumerate(animal.inputs):  # one sample, without a sample axis
        alone = relax(animal.system, inputs, relaxer=RELAXERS[relaxer])
        assert alone.state.shape == animal.states.shape[1:] and alone.converged.shape == ()
        np.testing.assert_allclose(alone.state, together.state[i], rtol=0, atol=1e-14)
        assert alone.steps == together.steps[i]


def test_each_sample_stops_by_itself():
    """One sample starts next to its well, one far away, one at NaN: a failure with its own status."""
    animal = ZOO["double_wells"]
    start = np.array([animal.states[0] * (1 + 1e-6), np.full(3, 0.05), [1.0, np.nan, 1.0]])
    inputs = animal.inputs[[0, 1, 1]]
    equilibrium = relax(animal.system, inputs, initial=jnp.asarray(start), throw=False)
    assert equilibrium.steps[0] <= 2 < 10 < equilibrium.steps[1]
    np.testing.assert_allclose(equilibrium.state[:2], animal.states, atol=1e-12)
    np.testing.assert_array_equal(equilibrium.status, [0, 0, 2])
    np.testing.assert_array_equal(equilibrium.converged, [True, True, False])


def test_energy_is_the_minimum():
    animal, equilibrium = ZOO["walled_springs"], settled("walled_springs", "ProjectedNewton")
    rng = np.random.default_rng(0)
    lowest, highest = animal.system.bounds(jnp.zeros(5))
    for state, inputs, energy in zip(equilibrium.state, animal.inputs, equilibrium.energy):
        for _ in range(20):
            other = jnp.clip(state + 0.1 * rng.normal(size=5), lowest, highest)
            assert animal.system.energy(other, inputs) >= energy


@pytest.mark.parametrize("relaxer", ZOO["chain"].relaxers)
def test_a_neutral_mode_stays_where_it_starts(relaxer):
    np.testing.assert_allclose(jnp.mean(settled("chain", relaxer).state, axis=1), 1.5, rtol=1e-9)


@pytest.mark.parametrize("relaxer", RELAXERS)
def test_single_precision_stays_single(relaxer):
    animal = springs(dtype=np.float32)
    equilibrium = relax(animal.system, animal.inputs, relaxer=RELAXERS[relaxer])
    numbers = (equilibrium.state, equilibrium.outputs, equilibrium.energy, equilibrium.residual)
    assert {leaf.dtype for leaf in jax.tree.leaves(numbers)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(equilibrium.state, animal.states, atol=1e-5)


@pytest.mark.parametrize("relaxer", ["ProjectedNewton", "Newton"])
def test_no_steady_state_is_never_called_converged(relaxer):
    equilibrium = relax(RUNAWAY, np.zeros((1, 2)), relaxer=RELAXERS[relaxer], throw=False)
    assert not equilibrium.converged.any() and (equilibrium.status != 0).all()
    with pytest.raises(
        ConvergenceError, match=r"relax: 1 of 1 steady states of Runaway .*relative residual .* N, after"
    ):
        relax(RUNAWAY, np.zeros((1, 2)), relaxer=RELAXERS[relaxer])


def test_too_few_steps_are_reported():
    animal = ZOO["double_wells"]
    with pytest.raises(ConvergenceError, match=r"steps exhausted above the tolerance .* after 3 steps"):
        relax(animal.system, animal.inputs, relaxer=ProjectedNewton(max_steps=3))


def test_flow_without_polish_certifies_what_it_reached():
    animal = ZOO["springs"]
    equilibrium = relax(animal.system, animal.inputs, relaxer=Flow(polish=None))  # the implicit solver
    assert equilibrium.converged.all() and (equilibrium.residual > 1e-10).all()
    np.testing.assert_allclose(equilibrium.state, animal.states, atol=2e-3)


def test_a_nudge_pulls_the_outputs_to_the_target():
    animal = ZOO["springs"]
    for beta in (0.0, 1.0, 1e6):
        nudge = Nudge(SquaredError(), animal.targets, beta)
        nudged = relax(animal.system, animal.inputs, nudge=nudge)
        distance = np.abs(np.asarray(nudged.outputs) - animal.targets)
        free = np.abs(animal.states[:, -2:] - animal.targets)
        if beta == 0:
            np.testing.assert_allclose(distance, free, atol=1e-12)
        elif beta == 1e6:
            assert distance.max() < 1e-4
        else:
            assert (np.sum(distance**2, axis=1) < np.sum(free**2, axis=1)).all()


class Junctions(Springs):
    """Independent branches, a source through a conductance into a loaded Shockley junction; anchor is the load."""

    @property
    def input_shape(self):
        return ()

    def initial_state(self, inputs, key=None):
        return jnp.zeros_like(self.stiffness)

    def energy(self, state, inputs):
        junction = 1e-14 * (0.02585 * jnp.expm1(state / 0.02585) - state)
        return jnp.sum(0.5 * self.stiffness * (inputs - state) ** 2 + 0.5 * self.anchor * state**2 + junction)

    def residual_scale(self, state, inputs):
        drive = jnp.abs(self.stiffness * (inputs - state)) + 1e-5 * self.stiffness * (jnp.abs(inputs) + jnp.abs(state))
        return drive + self.anchor * jnp.abs(state) + 1e-14 * (jnp.exp(state / 0.02585) + 1)


def test_stiff_junctions_are_solved_from_zero():
    from scipy.optimize import brentq

    conductance, load = np.meshgrid([1.0, 1e-3, 1e-6], [1.0, 1e-6])
    conductance, load = conductance.ravel(), load.ravel()
    inputs = np.array([-50.0, 0.5, 50.0])
    equilibrium = relax(Junctions(jnp.asarray(conductance), jnp.asarray(load), ()), inputs)
    assert equilibrium.steps.max() < 50
    for volts, state in zip(inputs, np.asarray(equilibrium.state)):
        for g, to_ground, found in zip(conductance, load, state):

            def current(v, volts=volts, g=g, to_ground=to_ground):
                return g * (v - volts) + to_ground * v + 1e-14 * np.expm1(v / 0.02585)

            np.testing.assert_allclose(found, brentq(current, -60, 1.5, xtol=1e-15, rtol=1e-14), rtol=1e-12)


@pytest.mark.parametrize("relaxer", [Newton(), Flow(), Flow(polish=ProjectedNewton())])
def test_walls_are_refused_with_advice(relaxer):
    with pytest.raises(PhysnetError, match=r"refuses WalledSprings: .*ProjectedNewton"):
        relax(ZOO["walled_springs"].system, ZOO["walled_springs"].inputs, relaxer=relaxer)


class WalledSheared(Sheared):
    """Walls without an energy."""

    def bounds(self, inputs):
        return jnp.zeros(3), jnp.ones(3)


def test_projected_newton_refuses_what_it_cannot_do():
    with pytest.raises(PhysnetError, match="bounds but no energy"):
        relax(WalledSheared(jnp.eye(3)), np.ones(3))
    large = Chain(jnp.ones(6000), jnp.ones(6000))
    with pytest.raises(PhysnetError, match="6001 coordinates"):
        relax(large, np.zeros(6000))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, r"inputs are missing; pass an array of shape \(5,\) \(force on each drive, N\)"),
        (np.zeros(4), r"inputs have shape \(4,\); expected \(5,\) for one sample or \(sample, 5\)"),
        (np.zeros((2, 2, 5)), r"inputs have shape \(2, 2, 5\)"),
        (np.array([0, 1, 2, 3, np.nan]), "inputs hold NaN or infinite"),
    ],
)
def test_bad_inputs_are_named(inputs, message):
    with pytest.raises(PhysnetError, match=message):
        relax(ZOO["springs"].system, inputs)


def test_every_system_of_the_zoo_describes_itself():
    for animal in ZOO.values():
        assert isinstance(animal.system, System)
        assert {parameter.variable.name for parameter in animal.system.parameters} == set(animal.gradient)
