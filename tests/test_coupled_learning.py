"""Coupled learning and centred nudging on a small grid, by the published local rule, to targets on nodes and edges."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from circuits.draws import Uniform
from circuits.edges import EdgeCurrents, EdgePowers, edge_outputs
from circuits.editing import prune, with_values, without
from circuits.generators import grid
from physnet import Centred, Clamped, PhysnetError, SquaredError, ep_gradient, implicit_gradient, relax
from physnet.linearise import output_response
from physnet.parameters import clip_to_bounds

COST = SquaredError()
INPUTS, TARGETS = np.array([[1.0], [2.0]]), np.array([[0.35, 0.1], [0.7, 0.2]])  # V: linear in the input, as the grid


def network():
    """A 3 x 3 grid between a source and ground."""
    circuit = grid(3, 3, conductance=Uniform(5e-4, 2e-3), key=jax.random.key(4))
    return circuit.voltage_source("V1", "0,0", 0, voltage=1.0).resistor("load", "2,2", 0, resistance=500.0)


@pytest.fixture(scope="module")
def system():
    """Outputs: the potential of a node, and the voltage of an edge."""
    circuit = network()
    return circuit.build(inputs=["V1"], outputs=["1,1", *edge_outputs(circuit, ["h1,1"])])


def conductances(tree):
    return tree.network.conductors[0].element.conductance


def branch_voltages(system, states):
    found = [system.branch_voltages(s, jnp.asarray(x)) for s, x in zip(states, INPUTS)]
    return np.array(found)[:, : conductances(system).size]


def test_an_edge_is_an_output(system):
    at = dict(zip(system.labels.nodes, system.potentials(relax(system, [1.0]).state, jnp.ones(1))))
    assert system.labels.outputs == ("1,1", "1,1-1,2")
    np.testing.assert_allclose(relax(system, [1.0]).outputs, [at["1,1"], at["1,1"] - at["1,2"]], rtol=1e-12)


def test_clamped_phases_give_the_published_local_rule(system):
    """dg ~ -(V_C^2 - V_F^2) / 2 eta (Stern et al. 2021, doi:10.1103/PhysRevX.11.021045), averaged over samples."""
    eta = 0.1
    found = ep_gradient(system, INPUTS, TARGETS, cost=COST, nudging=Clamped(eta))
    clamped, free = (branch_voltages(system, states) for states in (found.nudged.state[0][0], found.free.state))
    rule = np.mean(clamped**2 - free**2, axis=0) / (2 * eta)
    np.testing.assert_allclose(conductances(found.gradient), rule, rtol=1e-8, atol=1e-12)
    held = found.free.outputs + eta * (TARGETS - found.free.outputs)
    np.testing.assert_allclose(found.nudged.outputs[0], held, rtol=1e-10)


def test_coupled_learning_descends_the_error_in_the_metric_of_the_outputs(system):
    """For small eta, the gradient of (o - y)^T R^-1 (o - y) / 2, R the output resistances held fixed."""
    found = ep_gradient(system, INPUTS, TARGETS, cost=COST, nudging=Clamped(1e-5))
    response = np.asarray(output_response(system, found.free.state[0], jnp.asarray(INPUTS[0])))

    def towards(direction):  # do_k/dg: the gradient for a target one below output k is that of o_k
        targets = np.asarray(found.free.outputs) - direction
        return np.asarray(conductances(implicit_gradient(system, INPUTS[:1], targets[:1], cost=COST).gradient))

    slopes = np.array([towards(direction) for direction in np.eye(2)])
    error = np.linalg.solve(response, np.asarray(found.free.outputs - TARGETS)[0])
    # The second sample is the first, doubled: its gradient is four times as large.
    np.testing.assert_allclose(conductances(found.gradient), 2.5 * error @ slopes, rtol=1e-3, atol=1e-9)


def test_centred_nudging_gives_the_gradient(system):
    found = ep_gradient(system, INPUTS, TARGETS, cost=COST, nudging=Centred(1e-3, relative=True))
    exact = implicit_gradient(system, INPUTS, TARGETS, cost=COST)
    np.testing.assert_allclose(
        conductances(found.gradient),
        conductances(exact.gradient),
        rtol=1e-4,
        atol=1e-6 * np.abs(conductances(exact.gradient)).max(),
    )


@pytest.fixture(scope="module", params=[Clamped(1e-5), Centred(1e-3, relative=True)], ids=["coupled", "centred"])
def trained(request, system):
    optimiser = optax.adam(1e-4)
    state, costs = optimiser.init(conductances(system)), []
    for _ in range(60):
        found = ep_gradient(system, INPUTS, TARGETS, cost=COST, nudging=request.param)
        costs.append(float(found.cost))
        change, state = optimiser.update(conductances(found.gradient), state)
        system = clip_to_bounds(eqx.tree_at(conductances, system, conductances(system) + change))
    return system, costs


def test_a_grid_learns_its_targets(trained):
    _, costs = trained
    assert costs[0] > 1e-2 and costs[-1] < 1e-3 * costs[0]


def test_a_trained_grid_does_without_its_weakest_edges(trained):
    system, _ = trained
    circuit = with_values(network(), system)
    weakest = sorted(circuit.bundles()[0].names, key=lambda name: float(circuit[name].element.conductance))[:2]
    cut = float(circuit[weakest[1]].element.conductance) * (1 + 1e-9)
    pruned = prune(circuit, below=cut)
    assert {branch.name for branch in circuit.branches()} - {branch.name for branch in pruned.branches()} == {*weakest}
    assert [b.name for b in without(circuit, weakest).branches()] == [b.name for b in pruned.branches()]


@pytest.mark.slow
def test_powers_of_edges_are_learned(system):
    readout = EdgePowers(system, ["h1,1", "v0,2"])
    found = ep_gradient(readout, [1.0], [1e-4, 2e-4], cost=COST, nudging=Centred(1e-3, relative=True))
    exact = implicit_gradient(readout, [1.0], [1e-4, 2e-4], cost=COST)
    ours, theirs = (np.asarray(conductances(result.gradient.system)) for result in (found, exact))
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("kind, unit", [(EdgeCurrents, "A"), (EdgePowers, "W")])
def test_currents_and_powers_of_edges_are_outputs(system, kind, unit):
    readout = kind(system, ["h1,1", "v0,2"])
    volt, state = jnp.ones(1), relax(system, [1.0]).state
    voltages = dict(zip(system.branch_names, system.branch_voltages(state, volt)))
    g = dict(zip(system.network.conductors[0].names, conductances(system)))
    expected = [g[n] * voltages[n] * (voltages[n] if unit == "W" else 1) for n in readout.names]
    np.testing.assert_allclose(readout.outputs(state, volt), expected, rtol=1e-12)
    assert readout.output_variable.units == unit
    with pytest.raises(PhysnetError, match="no two-terminal element 'h1,7' with a current law. Did you mean"):
        kind(system, "h1,7")
