"""Layered networks at the edges of what they allow: open nodes, islands, and arguments that are no numbers."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from circuits import BlockDescent, IdealDiode, LayeredNetwork, ShockleyDiode
from circuits.layered import thevenin_conductance
from circuits.nodes import ShockleyNode
from physnet import Centred, PhysnetError, SquaredError, ep_gradient, relax

RNG = np.random.default_rng(0)
SHAPES = ((4, 3), (3, 3), (3, 2))
CONDUCTANCES = [RNG.uniform(0.1, 1, shape) for shape in SHAPES]


def opened(*places):
    """The conductances with rows or columns of their matrices set to 0 S: (matrix, index) pairs."""
    copies = [g.copy() for g in CONDUCTANCES]
    for matrix, index in places:
        copies[matrix][index] = 0
    return copies


def test_whole_numbers_and_nested_lists_become_floats():
    network = LayeredNetwork([[[1], [0]], [[2, 1]]], input_gain=0.5, capacitance=3e-12)
    assert {g.dtype for g in network.conductances} == {np.dtype(float)}
    assert float(network.input_gain) == 0.5 and float(network.capacitance) == 3e-12
    single = LayeredNetwork([np.float32([[1], [0]]), np.float32([[2, 1]])], input_gain=0.5)
    assert single.conductances[0].dtype == single.input_gain.dtype == np.float32


def test_islands_are_refused_by_name():
    alone = opened((0, np.s_[:, 1]), (1, np.s_[1, :]))
    with pytest.raises(PhysnetError, match="node 1 of layer hidden_1 floats: no path of conductances"):
        LayeredNetwork(alone)
    # Node 2 of hidden_1 and node 0 of hidden_2 keep a branch to each other and none to the rest.
    pair = opened((0, np.s_[:, 2]), (1, np.s_[2, 1:]), (1, np.s_[:2, 0]), (2, np.s_[0, :]))
    with pytest.raises(PhysnetError, match=r"node 2 of layer hidden_1 floats \(and 1 more, node 0 of layer hidden_2"):
        LayeredNetwork(pair)
    # A path may lead up and down again: node 1 of hidden_1 hangs on hidden_2 alone.
    LayeredNetwork(opened((0, np.s_[:, 1])))


def test_a_shockley_node_without_a_branch_is_at_rest():
    node = ShockleyNode(jnp.asarray([1.0, -1.0, 1.0]), jnp.full(3, jnp.log(1e-12)), jnp.asarray(0.05))
    inflow, conductance = jnp.asarray([0.0, 0.0, 1.0]), jnp.asarray([0.0, 0.0, 2.0])
    voltage = node.settle(inflow, conductance)
    assert voltage[:2].tolist() == [0, 0] and 0 < voltage[2] < 1.5
    np.testing.assert_allclose(node.imbalance(inflow, conductance, voltage), 0, atol=1e-14)
    assert node.displaced(voltage, jnp.zeros(3)).settle(inflow, conductance)[:2].tolist() == [0, 0]


@pytest.mark.parametrize(
    "diode",
    [
        pytest.param(None, marks=pytest.mark.slow),
        pytest.param(IdealDiode(), marks=pytest.mark.slow),
        pytest.param(ShockleyDiode(1e-9, 0.05), marks=pytest.mark.slow),
    ],
    ids=["none", "ideal", "shockley"],
)
def test_a_node_that_training_opened_is_absent(diode):
    """Node 1 of hidden_1 loses every branch: the rest is the network built without it."""
    x, y = np.array([[0.3, 0.8], [0.9, 0.1]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    whole = LayeredNetwork(CONDUCTANCES, diode=diode)
    bare = opened((0, np.s_[:, 1]), (1, np.s_[1, :]))
    trained = eqx.tree_at(lambda n: n.conductances, whole, tuple(map(jnp.asarray, bare)))
    less = LayeredNetwork([np.delete(bare[0], 1, axis=1), np.delete(bare[1], 1, axis=0), bare[2]], diode=diode)
    np.testing.assert_allclose(thevenin_conductance(trained), thevenin_conductance(less), rtol=1e-12)
    settled = relax(trained, x)
    assert np.all(settled.state[0][:, 1] == 0) and settled.converged.all()
    np.testing.assert_allclose(settled.outputs, relax(less, x).outputs, rtol=1e-9)
    tight = BlockDescent(tolerance=1e-11, nudged_tolerance=1e-11)
    nudging = Centred(1e-2, relative=True)
    learned = ep_gradient(trained, x, y, cost=SquaredError(), nudging=nudging, relaxer=tight)
    expected = ep_gradient(less, x, y, cost=SquaredError(), nudging=nudging, relaxer=tight).gradient.conductances
    found = learned.gradient.conductances
    np.testing.assert_allclose(np.delete(found[0], 1, axis=1), expected[0], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-6, atol=1e-12)
    assert np.isfinite(found[0]).all() and np.isfinite(found[1]).all()


def test_an_output_that_training_opened_does_not_set_the_scale():
    trained = eqx.tree_at(
        lambda n: n.conductances[2], LayeredNetwork(CONDUCTANCES), jnp.asarray(CONDUCTANCES[2]).at[:, 1].set(0)
    )
    less = LayeredNetwork([*CONDUCTANCES[:2], CONDUCTANCES[2][:, :1]])
    np.testing.assert_allclose(thevenin_conductance(trained), thevenin_conductance(less), rtol=1e-12)
