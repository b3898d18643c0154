"""Large circuits: sparse factorisations against dense ones, gradients, and what is kept from solve to solve."""

import jax.numpy as jnp
import numpy as np
import pytest

from circuits import (
    Circuit,
    DenseSolver,
    IdealDiode,
    OpAmp,
    OperatingPoint,
    Resistor,
    ShockleyDiode,
    SparseSolver,
)
from circuits.elements import VoltageControlledCurrentSource
from circuits.factors import LDL
from circuits.linear_solvers import factors_of
from physnet import (
    Centred,
    CrossEntropy,
    Nudge,
    PhysnetError,
    SquaredError,
    ep_gradient,
    implicit_gradient,
    relax,
)
from physnet.relaxers.projected_newton import ProjectedNewton


def grid(n, seed=0, model=None):
    """An n x n grid of resistors between 0.5 and 1.5 mS, fed at one corner, with diodes at a tenth of its nodes."""
    rng = np.random.default_rng(seed)
    nodes = np.array([[f"{i},{j}" for j in range(n)] for i in range(n)], dtype=object)
    a, b = np.r_[nodes[:, :-1].ravel(), nodes[:-1].ravel()], np.r_[nodes[:, 1:].ravel(), nodes[1:].ravel()]
    c = Circuit().voltage_source("V", "in", 0, 5.0).resistor("Rin", "in", "0,0", resistance=1.0)
    c.add_many("R", a, b, Resistor(rng.uniform(0.5, 1.5, len(a)) * 1e-3))
    c.add_many("D", rng.choice(nodes.ravel(), n * n // 10, replace=False), 0, model or ShockleyDiode())
    return c.resistor("Rg", f"{n - 1},{n - 1}", 0, resistance=1e3)


def parameter(system, gradient):
    return np.concatenate([np.ravel(p.get(gradient)) for p in system.parameters if p.trainable])


@pytest.fixture(scope="module")
def small():
    return grid(8).build(inputs=["V"], outputs=["4,4", "7,7", ("0,3", "3,0")])


@pytest.fixture(scope="module")
def large():
    """9,942 edges."""
    return grid(71).build(inputs=["V"], outputs=["35,35", "60,20", ("3,0", "0,30")])


def test_sparse_and_dense_agree_on_a_batch(small):
    supply = np.array([[-3.0], [0.0], [0.4], [5.0], [40.0]])
    dense, sparse = (relax(small, supply, relaxer=OperatingPoint(s)) for s in (DenseSolver(), SparseSolver()))
    np.testing.assert_allclose(sparse.outputs, dense.outputs, rtol=1e-10, atol=1e-13)
    assert float(sparse.residual.max()) <= 1e-12 and np.array_equal(sparse.steps, dense.steps)


def test_ideal_diodes_on_the_sparse_path():
    system = grid(8, model=IdealDiode()).build(inputs=["V"])
    supply = np.array([[-3.0], [5.0]])
    dense = relax(system, supply, relaxer=ProjectedNewton())
    sparse = relax(system, supply, relaxer=OperatingPoint(SparseSolver()))
    np.testing.assert_allclose(sparse.state, dense.state, rtol=1e-9, atol=1e-13)
    lowest, highest = map(np.asarray, system.bounds(supply[0]))
    assert np.all(np.asarray(sparse.state) <= highest) and np.all(np.asarray(sparse.state) >= lowest)


@pytest.mark.parametrize("cost", [pytest.param(SquaredError(), marks=pytest.mark.slow), CrossEntropy(0.1)])
def test_a_nudge_on_the_sparse_path(small, cost):
    target = np.array([0.2, 0.5, 0.3])
    nudge = Nudge(cost, target, 1e-4)
    dense, sparse = (
        relax(small, [5.0], nudge=nudge, relaxer=OperatingPoint(s)) for s in (DenseSolver(), SparseSolver())
    )
    np.testing.assert_allclose(sparse.outputs, dense.outputs, rtol=1e-10)
    assert np.max(np.abs(sparse.outputs - relax(small, [5.0]).outputs)) > 1e-4


def test_gradients_of_ten_thousand_edges(large):
    """EP by kept factors against the implicit function theorem: 1e-6, and next to nothing factorised anew."""
    x, targets, cost = [[5.0]], np.array([[0.3, 0.6, 0.1]]), SquaredError()
    by_theorem = implicit_gradient(large, x, targets, cost=cost)
    factors = factors_of(large.network.pattern, LDL)
    before = factors.made
    free = relax(large, x)
    of_free = factors.made - before
    by_ep = ep_gradient(large, x, targets, cost=cost, nudging=Centred(1e-4, relative=True))
    assert factors.made == before + 2 * of_free  # the nudged phases took the free one's factors
    assert int(by_ep.nudged.steps.max()) < int(free.steps.max())
    a, b = parameter(large, by_ep.gradient), parameter(large, by_theorem.gradient)
    assert np.max(np.abs(a - b)) <= 1e-6 * np.max(np.abs(b))
    assert float(by_ep.nudged.residual.max()) <= 1e-12


def test_an_active_circuit_of_many_nodes():
    """Amplifiers along a ladder: not symmetric, solved by LU, its exact EP gradient and the adjoint's."""
    c = Circuit().voltage_source("V", "n0", 0, 1.0)
    for k in range(170):
        c.resistor(f"R{k}", f"n{k}", f"n{k + 1}", resistance=1e3).resistor(f"G{k}", f"n{k + 1}", 0, resistance=3e5)
        if k % 10 == 5:
            c.add(f"g{k}", f"n{k + 1}", 0, f"n{k}", 0, VoltageControlledCurrentSource(-5e-4))
        if k % 40 == 20:
            c.add(f"A{k}", f"b{k}", f"n{k}", f"b{k}", OpAmp(1e4)).resistor(
                f"B{k}", f"b{k}", f"n{k + 2}", resistance=2e3
            )
    system = c.build(inputs=["V"], outputs=["n20", "n45"])
    assert system.network.unknowns > 150 and not system.network.pattern.symmetric
    x, targets, cost = [[1.0]], np.array([[0.3, 0.2]]), SquaredError()
    a, b = (
        parameter(system, g.gradient)
        for g in (
            ep_gradient(system, x, targets, cost=cost, nudging=Centred(1e-4, relative=True)),
            implicit_gradient(system, x, targets, cost=cost),
        )
    )
    assert np.max(np.abs(a - b)) <= 1e-6 * np.max(np.abs(b))


def test_dense_solvers_refuse_what_is_too_large():
    n = 5001
    chain = Circuit().voltage_source("V", "n0", 0, 1.0)
    chain.add_many("R", [f"n{i}" for i in range(n)], [f"n{i + 1}" for i in range(n)], Resistor(1.0))
    system = chain.resistor("end", f"n{n}", 0, conductance=1.0).build(outputs=[f"n{n}"])
    with pytest.raises(PhysnetError, match="5001 unknowns, and a dense matrix is meant for at most 5000"):
        relax(system, relaxer=OperatingPoint(DenseSolver()))
    assert float(relax(system).outputs[0]) == pytest.approx(1 / (n + 1), rel=1e-9)


def test_many_at_once_are_what_they_are_one_by_one():
    conductances = np.array([1e-3, 2e-3, 3e-3])
    many = (
        Circuit().voltage_source("V", "a", 0, 1.0).add_many("R", ["a", "b", "c"], ["b", "c", 0], Resistor(conductances))
    )
    one = Circuit().voltage_source("V", "a", 0, 1.0)
    for k, (a, b) in enumerate([("a", "b"), ("b", "c"), ("c", 0)]):
        one.resistor(f"R{k}", a, b, conductance=conductances[k])
    assert [(b.name, b.nodes) for b in many.branches()] == [(b.name, b.nodes) for b in one.branches()]
    np.testing.assert_array_equal(relax(many.build()).outputs, relax(one.build()).outputs)
    assert many["R1"].nodes == ("b", "c") and float(many["R1"].element.conductance) == 2e-3
    assert "R2" in many and len(many) == 4 and many.nodes == ("0", "a", "b", "c")
    with pytest.raises(PhysnetError, match=r"no element 'R9'.* Did you mean R"):
        many["R9"]
    for wrong, message in [
        (lambda c: c.add_many("S", ["a"], ["b", "c"], Resistor(1.0)), "2 nodes for 1 elements"),
        (lambda c: c.add_many("S", ["a", "b"], ["b", "b"], Resistor(1.0)), "both ends of S1 are at one node"),
        (lambda c: c.add_many("S", ["a", "b"], 0, Resistor(conductances)), r"shape \(3,\) for 2 elements"),
        (lambda c: c.add_many("R", ["a"], ["b"], Resistor(1.0)), "the name R0 is taken"),
        (lambda c: c.add_many("S", "a", "b", Resistor(1.0)), "give the nodes of at least one terminal as a sequence"),
        (lambda c: c.add_many(["x", "x"], ["a", "b"], 0, Resistor(1.0)), "1 different names for 2 elements"),
        (lambda c: c.add_many("S", ["a"], ["b"], Resistor), "is not an Element"),
    ]:
        with pytest.raises(PhysnetError, match=message):
            wrong(many)


def test_a_complex_phase_of_a_sparse_circuit(small):
    from physnet import Holomorphic

    x, targets, cost = [[5.0]], np.array([[0.3, 0.6, 0.1]]), SquaredError()
    a = ep_gradient(
        small, x, targets, cost=cost, nudging=Holomorphic(0.1, relative=True), relaxer=OperatingPoint(SparseSolver())
    )
    b = implicit_gradient(small, jnp.asarray(x), targets, cost=cost)
    a, b = parameter(small, a.gradient), parameter(small, b.gradient)
    assert np.max(np.abs(a - b)) <= 1e-5 * np.max(np.abs(b))
