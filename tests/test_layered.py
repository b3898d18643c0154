"""Layered networks against independent solvers: dense nodal analysis, scipy, Newton, and plain circuits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import lsq_linear, root

from circuits import BlockDescent, Circuit, IdealDiode, LayeredNetwork, ShockleyDiode
from circuits.layered import thevenin_conductance
from physnet import (
    Centred,
    CrossEntropy,
    Nudge,
    OneSided,
    PhysnetError,
    SquaredError,
    check_gradient,
    ep_gradient,
    implicit_gradient,
    relax,
)
from physnet.gradients import phase_gradient
from physnet.problem import Problem
from physnet.relaxers.projected_newton import ProjectedNewton

SIZES = (6, 8, 5, 4)
KEY = jax.random.key(3)


def network(diode=None, sizes=SIZES, gain=20.0, scale=1.0, dtype=None):
    """Every branch conducts: with open ones a small random network has nodes that no current reaches."""
    rng = np.random.default_rng(3)
    widths = (2 * sizes[0], *sizes[1:])
    conductances = [scale * rng.uniform(0.1, 1, shape) for shape in zip(widths, widths[1:])]
    return LayeredNetwork([jnp.asarray(g, dtype or float) for g in conductances], input_gain=gain, diode=diode)


def samples(count, width=SIZES[0], outputs=SIZES[-1]):
    rng = np.random.default_rng(1)
    return rng.random((count, width)), np.eye(outputs)[rng.integers(0, outputs, count)]


def nodal_matrix(net):
    """Conductance matrix of the settling nodes and that towards the sources, by stamping every branch."""
    widths = [g.shape[0] for g in net.conductances] + [net.conductances[-1].shape[1]]
    start = np.cumsum([0, *widths])
    full = np.zeros((start[-1], start[-1]))
    for i, g in enumerate(net.conductances):
        for row, column in np.ndindex(*g.shape):
            a, b, value = start[i] + row, start[i + 1] + column, float(g[row, column])
            full[[a, b, a, b], [a, b, b, a]] += np.array([1, 1, -1, -1]) * value
    return full[start[1] :, start[1] :], full[start[1] :, : start[1]]


def source_voltages(net, x):
    return float(net.input_gain) * np.concatenate([x, -x])


def flat(state):
    return np.concatenate([np.ravel(layer) for layer in state])


def test_without_diodes_it_is_linear_nodal_analysis():
    net, (x, _) = network(), samples(1)
    matrix, towards = nodal_matrix(net)
    expected = np.linalg.solve(matrix, -towards @ source_voltages(net, x[0]))
    np.testing.assert_allclose(flat(relax(net, x[0]).state), expected, rtol=1e-9, atol=1e-9)


def test_ideal_diodes_are_a_bounded_least_squares_problem():
    net, (x, _) = network(IdealDiode()), samples(3)
    settled = relax(net, x)
    matrix, towards = nodal_matrix(net)
    root_of = np.linalg.cholesky(matrix).T
    for k in range(3):
        drive = -towards @ source_voltages(net, x[k])
        bounds = [flat(side) for side in net.bounds(jnp.asarray(x[k]))]
        expected = lsq_linear(root_of, np.linalg.solve(root_of.T, drive), bounds, tol=1e-14, method="bvls").x
        voltages = flat([layer[k] for layer in settled.state])
        np.testing.assert_allclose(voltages, expected, atol=1e-8)
        assert (voltages == 0).any(), "no diode conducts: the sample tests nothing"


def test_shockley_diodes_obey_kirchhoff():
    diode = ShockleyDiode(1e-9, 0.05)
    net, (x, _) = network(diode, gain=5.0), samples(1)
    matrix, towards = nodal_matrix(net)
    drive = -towards @ source_voltages(net, x[0])
    orientation = np.concatenate([*(np.where(np.arange(n) < (n + 1) // 2, -1, 1) for n in SIZES[1:-1]), np.zeros(4)])

    def kirchhoff(v):
        return matrix @ v - drive + orientation * 1e-9 * np.expm1(orientation * v / 0.05)

    def slope(v):
        return matrix + np.diag(np.abs(orientation) * 1e-9 / 0.05 * np.exp(orientation * v / 0.05))

    settled = relax(net, x[0])
    expected = root(kirchhoff, np.zeros(len(matrix)), jac=slope, tol=1e-12)
    assert expected.success
    np.testing.assert_allclose(flat(settled.state), expected.x, atol=1e-9)


@pytest.mark.parametrize(
    "diode",
    [pytest.param(IdealDiode(), marks=pytest.mark.slow), ShockleyDiode(1e-9, 0.05)],
    ids=["ideal", "shockley"],
)
def test_block_descent_agrees_with_newton(diode):
    net, (x, y) = network(diode), samples(2)
    nudge = Nudge(SquaredError(), y, jnp.asarray(0.3))
    for force in (None, nudge):
        ours, newton = relax(net, x, nudge=force), relax(net, x, nudge=force, relaxer=ProjectedNewton())
        np.testing.assert_allclose(ours.outputs, newton.outputs, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(ours.energy, newton.energy, rtol=1e-10)


def test_the_same_network_built_branch_by_branch():
    net, (x, _) = network(IdealDiode()), samples(1)
    circuit = Circuit()
    layers = [
        [f"s{i}" for i in range(2 * SIZES[0])],
        *([f"n{layer}_{i}" for i in range(width)] for layer, width in enumerate(SIZES[1:])),
    ]
    for name, voltage in zip(layers[0], source_voltages(net, x[0])):
        circuit.voltage_source(f"V_{name}", name, "0", float(voltage))
    for below, above, g in zip(layers, layers[1:], net.conductances):
        for i, j in np.ndindex(*g.shape):
            circuit.resistor(f"R_{below[i]}_{above[j]}", below[i], above[j], conductance=float(g[i, j]))
    for layer in layers[1:-1]:
        for i, name in enumerate(layer):
            ends = ("0", name) if i < (len(layer) + 1) // 2 else (name, "0")
            circuit.diode(f"D_{name}", *ends, model=IdealDiode())
    system = circuit.build(outputs=layers[-1])
    np.testing.assert_allclose(relax(system).outputs, relax(net, x[0]).outputs, rtol=1e-9)


def test_residual_is_kirchhoff_over_the_currents_at_the_node():
    net, (x, _) = network(IdealDiode()), samples(1)
    state = net.initial_state(jnp.asarray(x[0]))
    matrix, towards = nodal_matrix(net)
    full = np.concatenate([source_voltages(net, x[0]), flat(state)])
    branch = -np.hstack([towards, matrix])
    sources = 2 * SIZES[0]
    currents = np.where(branch > 0, branch, 0) * (full[None, :] - full[sources:, None])
    np.testing.assert_allclose(flat(net.residual(state, jnp.asarray(x[0]))), -currents.sum(1), atol=1e-12)
    np.testing.assert_allclose(flat(net.residual_scale(state, jnp.asarray(x[0]))), np.abs(currents).sum(1), rtol=1e-12)


def test_a_nudged_displacement_is_the_difference_of_two_states():
    net, (x, y) = network(IdealDiode()), samples(3)
    found = ep_gradient(net, x, y, cost=SquaredError(), nudging=Centred(0.2), throw=True)
    for k, beta in enumerate((0.2, -0.2)):
        apart = relax(net, x, nudge=Nudge(SquaredError(), y, jnp.asarray(beta)), relaxer=BlockDescent(tolerance=1e-13))
        free = relax(net, x, relaxer=BlockDescent(tolerance=1e-13))
        for displaced, a, b in zip(found.nudged.displacement, apart.state, free.state):
            np.testing.assert_allclose(displaced[k], a - b, atol=1e-9)


@pytest.mark.slow
def test_results_do_not_depend_on_how_a_batch_is_cut():
    net, (x, y) = network(IdealDiode()), samples(4)
    whole, parts = relax(net, x), [relax(net, x[:2]), relax(net, x[2:])]
    np.testing.assert_allclose(whole.outputs, np.concatenate([p.outputs for p in parts]), rtol=1e-12)
    np.testing.assert_array_equal(whole.steps, np.concatenate([p.steps for p in parts]))
    gradients = [
        ep_gradient(net, x[cut], y[cut], cost=SquaredError(), nudging=Centred(0.1)).gradient.conductances[0]
        for cut in (slice(0, 4), slice(0, 2), slice(2, 4))
    ]
    np.testing.assert_allclose(gradients[0], (gradients[1] + gradients[2]) / 2, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0], ids=["microsiemens", "millisiemens", "siemens"])
@pytest.mark.parametrize("diode", [IdealDiode(), ShockleyDiode(1e-12, 0.05)], ids=["ideal", "shockley"])
def test_ep_gradient_is_the_implicit_gradient(scale, diode):
    net, (x, y) = network(diode, scale=scale, gain=4.0), samples(4)
    relaxer = BlockDescent(tolerance=1e-12, nudged_tolerance=1e-11)
    nudging = Centred(1e-4, relative=True)
    learned = ep_gradient(net, x, y, cost=SquaredError(), nudging=nudging, relaxer=relaxer)
    exact = implicit_gradient(net, x, y, cost=SquaredError(), relaxer=relaxer)
    for a, b in zip(learned.gradient.conductances, exact.gradient.conductances):
        assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b)


@pytest.mark.parametrize(
    ("nudging", "ladder"),
    [
        (Centred(1e-4, relative=True), np.geomspace(1e-3, 0.5, 8)),
        (OneSided(1e-4, relative=True), np.geomspace(1e-4, 0.1, 10)),
    ],
    ids=["centred", "one_sided"],
)
def test_error_falls_with_beta_as_the_stencil_promises(nudging, ladder):
    net, (x, y) = network(IdealDiode(), gain=4.0), samples(3)
    report = check_gradient(net, x, y, cost=SquaredError(), nudging=nudging, betas=ladder)
    assert report.converged.all()
    np.testing.assert_allclose(report.slope, nudging.order, atol=0.1)


PUBLISHED = {
    "XS": ((784, 100, 10), 100.0, 1.0),
    "1H": ((784, 1024, 10), 480.0, 1.0),
    "2H": ((784, 1024, 1024, 10), 2000.0, 1.0),
    "3H": ((784, 1024, 1024, 1024, 10), 4000.0, 2.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["XS", "1H", "2H", "3H"])
def test_single_precision_gradients_at_the_published_initialisation(name):
    sizes, gain, beta = PUBLISHED[name]
    single = LayeredNetwork.random(sizes, key=KEY, input_gain=gain, diode=IdealDiode(), dtype=jnp.float32)
    double = jax.tree.map(lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, single)
    rng = np.random.default_rng(0)
    x = np.where(rng.random((4, 784)) < 0.19, rng.random((4, 784)), 0)
    y = np.eye(10)[rng.integers(0, 10, 4)]
    found = [ep_gradient(net, x, y, cost=SquaredError(), nudging=Centred(beta)) for net in (single, double)]
    assert found[0].gradient.conductances[0].dtype == jnp.float32
    assert float(found[0].free.residual.max()) <= 1e-4
    assert float(found[0].nudged.residual.max()) <= 1e-4
    for a, b in zip(*(part.gradient.conductances for part in found)):
        a, b = np.asarray(a, float), np.asarray(b)
        assert np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)) >= 0.999


def test_no_array_over_sample_before_and_after_is_formed():
    net, (x, y) = network(IdealDiode(), dtype=jnp.float32), samples(7)
    arrays, rest = eqx.partition(net, eqx.is_array)

    def gradient(arrays, x, y):
        net = eqx.combine(arrays, rest)
        found = phase_gradient(net, x, y, SquaredError(), Centred(0.1), BlockDescent(), certify=True)
        return eqx.filter(found.gradient, eqx.is_array), found.free.residual

    jaxpr = jax.make_jaxpr(gradient)(arrays, jnp.float32(x), jnp.float32(y))
    widths = {12, *SIZES[1:]}

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            for variable in equation.outvars:
                shape = variable.aval.shape
                assert not (7 in shape and sum(size in widths for size in shape) >= 2), f"{equation.primitive}: {shape}"
            for parameter in jax.tree.leaves(equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns")):
                inner = getattr(parameter, "jaxpr", parameter)
                if hasattr(inner, "eqns"):
                    walk(inner)

    walk(jaxpr.jaxpr)


def test_thevenin_conductance_is_the_schur_complement():
    net = network()
    matrix, _ = nodal_matrix(net)
    hidden, outputs = slice(0, -4), slice(-4, None)
    schur = matrix[outputs, outputs] - matrix[outputs, hidden] @ np.linalg.solve(
        matrix[hidden, hidden], matrix[hidden, outputs]
    )
    np.testing.assert_allclose(thevenin_conductance(net), np.linalg.eigvalsh(schur)[0], rtol=1e-10)


def test_a_beta_beyond_the_thevenin_conductance_is_refused():
    net, (x, y) = network(IdealDiode()), samples(2)
    limit = float(thevenin_conductance(net))
    with pytest.raises(PhysnetError, match=r"beta = -.* S is too negative: at -.* S"):
        ep_gradient(net, x, y, cost=SquaredError(), nudging=Centred(1.01 * limit))
    with pytest.raises(PhysnetError, match="too negative"):
        relax(net, x, nudge=Nudge(SquaredError(), y, jnp.asarray(-1.01 * limit)))
    ep_gradient(net, x, y, cost=SquaredError(), nudging=Centred(0.9 * limit))


def test_a_state_that_is_not_finite_never_counts_as_converged():
    net, (x, _) = network(IdealDiode()), samples(2)
    broken = eqx.tree_at(lambda tree: tree.input_gain, net, jnp.asarray(jnp.nan))
    settled = relax(broken, x, relaxer=BlockDescent(max_sweeps=20), throw=False)
    assert not settled.converged.any()
    assert (settled.status == 2).all()
    with pytest.raises(PhysnetError, match="not finite"):
        relax(broken, x, relaxer=BlockDescent(max_sweeps=20))
    hasty = relax(net, x, relaxer=BlockDescent(max_sweeps=2), throw=False)
    assert not hasty.converged.any()
    assert (hasty.status == 1).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: (g[0].at[2, 1].set(-0.2), *g[1:]), r"conductance \[2, 1\] is -0.2 S.*Did you pass ohms"),
        (lambda g: (g[0], g[1].at[0, 0].set(jnp.nan), g[2]), r"conductances\[1\]: conductance \[0, 0\] is nan S"),
        (lambda g: (g[0][1:], *g[1:]), "has 11 rows; every input drives two nodes"),
        (lambda g: (g[0], g[2]), r"conductances\[1\] has 5 rows; the layer before it has 8 nodes"),
        (lambda g: (g[0], g[1], g[2].at[:, 3].set(0)), "node 3 of layer output floats"),
        (lambda g: (), "no conductances"),
    ],
)
def test_impossible_networks_are_refused(make, message):
    with pytest.raises(PhysnetError, match=message):
        LayeredNetwork(make(network().conductances))


def test_what_block_descent_cannot_take():
    net, (x, y) = network(IdealDiode()), samples(2)
    with pytest.raises(PhysnetError, match=r"not a quadratic cost.*Use SquaredError"):
        ep_gradient(net, x, y, cost=CrossEntropy(), nudging=Centred(0.1))
    system = Circuit().resistor("R1", "a", "0", resistance=1.0).current_source("I1", "0", "a", 1.0).build()
    with pytest.raises(PhysnetError, match=r"needs a LayeredNetwork.*ProjectedNewton"):
        relax(system, relaxer=BlockDescent())


def test_held_nodes_and_only_they_are_held_coordinates():
    net, (x, _) = network(IdealDiode()), samples(1)
    settled = relax(net, x[0])
    free = Problem(net, jnp.asarray(x[0])).free_coordinates(settled.state)
    held = flat(settled.state) == 0
    assert held.any()
    np.testing.assert_array_equal(np.asarray(free), ~held)
