"""Layered Hopfield networks against scipy, their energies, implicit gradients and backpropagation through time."""

from dataclasses import replace
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import root

from physnet import (
    Centred,
    CorrectedRule,
    CrossEntropy,
    EnergyRule,
    FixedPoint,
    Holomorphic,
    PhysnetError,
    ProjectedNewton,
    SquaredError,
    VectorFieldRule,
    check_gradient,
    ep_gradient,
    implicit_gradient,
    relax,
)
from physnet.equilibrium import settle
from physnet.gradients import phase_gradient
from physnet.linearise import output_response
from physnet.networks import (
    AsymmetricHopfield,
    ContinuousHopfield,
    HardSigmoid,
    Identity,
    LayeredHopfield,
    Logistic,
    Tanh,
    kolen_pollack,
)
from physnet.nudging import Phases
from physnet.parameters import trainable_mask

COST, SMALL = SquaredError(), Centred(1e-4, relative=True)
RNG = np.random.default_rng(0)
INPUTS, TARGETS = RNG.random((3, 4)), np.eye(3)


def drawn(*sizes):
    """(weights, biases) of a network with these layers, its units between silence and saturation."""
    weights = [0.4 * RNG.normal(size=shape) for shape in zip(sizes, sizes[1:])]
    return weights, [0.1 * RNG.normal(size=n) for n in sizes[1:]]


DEEP, FLAT = drawn(4, 5, 4, 3), drawn(4, 5, 3)
READOUT = (RNG.normal(size=(3, 2)), RNG.normal(size=2))
ONE_HOT = np.eye(2)[[0, 1, 1]]

NETWORKS = {
    "logistic": lambda: LayeredHopfield(*DEEP),
    "clipped": lambda: LayeredHopfield(*FLAT, (HardSigmoid(), Logistic())),
    "outside": lambda: LayeredHopfield(*FLAT, nudged_inside=False),
    "readout": lambda: LayeredHopfield(*FLAT, Tanh(), readout=READOUT),
    "continuous": lambda: ContinuousHopfield(*FLAT),
}


def logistic(u):
    return 1 / (1 + np.exp(2 - 4 * u))


def asked(name):
    return {"cost": CrossEntropy(), "targets": ONE_HOT} if name == "readout" else {"cost": COST, "targets": TARGETS}


def named(system, found):
    return {p.variable.name: np.asarray(p.get(found.gradient)) for p in system.parameters if p.trainable}


def errors(system, found, expected):
    pairs = zip(named(system, found).values(), named(system, expected).values())
    return np.array([np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in pairs])


RELAXERS = {"continuous": ProjectedNewton()}  # its own, Flow, takes long to compile


@cache
def implicit(name):
    return implicit_gradient(NETWORKS[name](), INPUTS, relaxer=RELAXERS.get(name), **asked(name))


@cache
def backward_too(asymmetry):
    net = AsymmetricHopfield(FLAT[0], [FLAT[0][1].T], FLAT[1])
    if asymmetry:
        net = AsymmetricHopfield.random((4, 5, 3), key=jax.random.key(3), gain=2.0, asymmetry=asymmetry)
    return net, implicit_gradient(net, INPUTS, TARGETS, cost=COST)


@pytest.mark.parametrize("name", ["logistic", "clipped", "outside", "readout"])
def test_steady_states_solve_the_equations(name):
    weights, biases = DEEP if name == "logistic" else FLAT
    sigma = {"clipped": (lambda u: np.clip(u, 0, 1), logistic), "readout": (np.tanh, np.tanh)}
    sigma = sigma.get(name, (logistic,) * len(weights))
    found = implicit(name).free

    def equations(flat, x):
        layers = [x, *np.split(flat, np.cumsum([b.size for b in biases])[:-1])]
        drive = [s @ w + b for s, w, b in zip(layers, weights, biases)]
        for i, w in enumerate(weights[1:]):
            drive[i] = drive[i] + w @ layers[i + 2]
        return np.concatenate([s - f(u) for s, f, u in zip(layers[1:], sigma, drive)])

    states = np.concatenate(found.state, axis=1)
    for x, state in zip(INPUTS, states):
        np.testing.assert_allclose(state, root(equations, state + 1e-3, args=(x,), tol=1e-13).x, atol=1e-9)
    outputs = states[:, -3:] if name != "readout" else states[:, -3:] @ READOUT[0] + READOUT[1]
    np.testing.assert_allclose(found.outputs, outputs, atol=1e-12)
    if name == "clipped":
        assert 0 < np.mean((states[:, :5] == 0) | (states[:, :5] == 1)) < 1


@pytest.mark.parametrize("name", ["logistic", pytest.param("readout", marks=pytest.mark.slow)])
def test_the_energy_is_stationary_where_the_map_rests(name):
    state = implicit(name).free.state
    slope = jax.jit(jax.vmap(jax.grad(NETWORKS[name]().energy)))
    assert max(np.abs(leaf).max() for leaf in slope(state, INPUTS)) < 1e-8
    assert max(np.abs(leaf).max() for leaf in slope(jax.tree.map(lambda s: 0.9 * s, state), INPUTS)) > 0.1


def test_a_continuous_network_rests_where_its_potentials_do():
    hidden, output = (np.asarray(leaf) for leaf in implicit("continuous").free.state)
    weights, biases = FLAT
    drive = INPUTS @ weights[0] + biases[0] + logistic(output) @ weights[1].T, logistic(hidden) @ weights[1] + biases[1]
    for potential, u in zip((hidden, output), drive):
        rate = logistic(potential)
        np.testing.assert_allclose(potential, 4 * rate * (1 - rate) * u, atol=1e-9)


def test_gradients_meet_their_figures_and_their_order():
    card = check_gradient(NETWORKS["logistic"](), INPUTS, TARGETS, cost=COST, nudging=SMALL)
    assert (card.relative_error <= 1e-6).all() and card.converged[:-1].all(), str(card)
    np.testing.assert_allclose(card.slope, 2, atol=0.1, err_msg=str(card))
    assert card.asymmetry < 1e-12 and card.exact_rules[0] == "EnergyRule"


@pytest.mark.parametrize("name", ["clipped", "outside", "readout", pytest.param("continuous", marks=pytest.mark.slow)])
def test_gradients_are_exact(name):
    net = NETWORKS[name]()
    # Outside: by CorrectedRule, without being told.
    found = ep_gradient(net, INPUTS, nudging=SMALL, relaxer=RELAXERS.get(name), **asked(name))
    assert errors(net, found, implicit(name)).max() <= 1e-6
    assert name != "readout" or {"readout_weight", "readout_bias"} <= set(named(net, found))


def test_holomorphic_gradients_are_exact_at_a_tenth_and_refused_where_units_clip():
    net = NETWORKS["logistic"]()
    nudging = Holomorphic(0.1, relative=True, points=8)
    found = ep_gradient(net, INPUTS, TARGETS, cost=COST, nudging=nudging)
    assert errors(net, found, implicit("logistic")).max() <= 1e-5
    with pytest.raises(
        PhysnetError, match="Holomorphic refuses LayeredHopfield: its state is confined to a box.*logis"
    ):
        ep_gradient(NETWORKS["clipped"](), INPUTS, TARGETS, cost=COST, nudging=nudging)


class Onwards(Centred):
    """Centred nudging whose phases start where earlier ones ended: each call goes on by the relaxer's steps."""

    states: tuple = ()

    def phases(self, system, inputs, targets, cost, rule, relaxer, *, beta, free, certify=True):
        def phase(beta, state):
            nudge = rule.nudge(system, inputs, targets, cost, beta, free.state)
            return settle(system, inputs, nudge, relaxer, initial=state, reference=free, certify=certify)

        betas = jnp.stack([beta, -beta])
        nudged = jax.vmap(phase)(betas, self.states)
        return Phases(nudged, nudged.displacement, betas, jnp.all(nudged.converged, axis=0))


@eqx.filter_jit
def backpropagated(theta, start, steps, inputs, targets):
    """Gradient of the cost after `steps` synchronous steps from `start`, written without physnet."""

    def cost(theta):
        w, b = theta[0], [bias[None] for bias in theta[1]]

        def step(carry, t):
            one, two, three = carry
            drive = (inputs @ w[0] + b[0] + two @ w[1].T, one @ w[1] + b[1] + three @ w[2].T, two @ w[2] + b[2])
            new = tuple(jax.nn.sigmoid(4 * u - 2) for u in drive)
            return tuple(jnp.where(t < steps, n, s) for n, s in zip(new, carry)), None

        end = jax.lax.scan(step, start, jnp.arange(10))[0]
        return jnp.mean(jnp.sum((end[2] - targets) ** 2, axis=1)) / 2

    return jax.grad(cost)(theta)


def test_k_nudged_steps_are_k_steps_of_backpropagation_through_time():
    """Ernoult et al. 2019, arXiv:1905.13633: for every K, not only in the limit."""
    net, inputs, targets = NETWORKS["logistic"](), jnp.asarray(INPUTS), jnp.asarray(TARGETS)
    free = relax(net, INPUTS)
    free = replace(free, inputs=None, system=None)
    states, program = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), free.state), eqx.filter_jit(phase_gradient)
    step, seven = (FixedPoint(update="synchronous", tolerance=0.0, nudged_steps=k) for k in (1, 7))
    for steps in range(1, 11):
        found = program(net, inputs, targets, COST, Onwards(1e-4, False, states), step, free=free, certify=False)
        states, found = found.nudged.state, found.gradient
        weights, biases = backpropagated((net.weights, net.biases), free.state, jnp.asarray(steps), inputs, targets)
        for layer in range(3):
            for a, b in ((found.weights[layer], weights[layer]), (found.biases[layer], biases[layer])):
                assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b) + 1e-11, (steps, layer)
        assert (np.linalg.norm(found.weights[0]) > 1e-9) == (
            steps >= 3
        )  # what is asked of the outputs travels by a layer a step
        if steps == 7:
            at_once = program(net, inputs, targets, COST, Centred(1e-4), seven, free=free, certify=False).gradient
            np.testing.assert_allclose(at_once.weights[0], found.weights[0], rtol=1e-9, atol=1e-12)


def test_blocks_settle_in_half_the_steps_and_anderson_in_fewer():
    """A linear network of spectral radius r: r a step where all units move at once, r^2 where blocks do."""
    weights, biases = DEEP
    coupling = np.zeros((12, 12))
    coupling[:5, 5:9], coupling[5:9, 9:] = weights[1:]
    scale = 0.95 / np.abs(np.linalg.eigvalsh(coupling + coupling.T)).max()
    net = LayeredHopfield([scale * w for w in weights], biases, Identity())
    steps = {}
    for update, depth in (("synchronous", 0), ("blocks", 0), ("blocks", 5)):
        found = relax(net, INPUTS, relaxer=FixedPoint(update, depth, tolerance=1e-10), throw=False)
        assert found.residual.max() < 3e-10
        steps[update, depth] = found.steps.mean()
    np.testing.assert_allclose(steps["synchronous", 0] / steps["blocks", 0], 2, rtol=0.05)
    assert steps["synchronous", 0] == pytest.approx(np.log(1e-10) / np.log(0.95), rel=0.1)
    assert steps["blocks", 5] < 0.2 * steps["blocks", 0]


@pytest.mark.parametrize("asymmetry", [0.0, 0.1, 0.3])
def test_without_symmetric_weights_the_corrected_rule_is_exact_and_the_plain_one_is_not(asymmetry):
    net, exact = backward_too(asymmetry)
    cosine, error = {}, {}
    for rule in (CorrectedRule(), VectorFieldRule()):
        found = ep_gradient(net, INPUTS, TARGETS, cost=COST, nudging=SMALL, rule=rule)
        a, b = (np.concatenate([g.ravel() for g in named(net, f).values()]) for f in (found, exact))
        cosine[type(rule)] = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        error[type(rule)] = errors(net, found, exact).max()
    assert error[CorrectedRule] <= 1e-6
    degrees = np.degrees(np.arccos(min(1, cosine[VectorFieldRule])))
    assert degrees < 1e-3 if asymmetry == 0 else degrees > 10 * asymmetry


def test_kolen_pollack_updates_align_the_weights():
    net, exact = backward_too(0.3)
    optimiser = kolen_pollack(optax.sgd(0.5), decay=0.1)
    theta = eqx.filter(net, trainable_mask(net))
    updates, _ = optimiser.update(exact.gradient, optimiser.init(theta), theta)
    after = eqx.apply_updates(net, updates)
    for w, b, new_w, new_b in zip(net.weights[1:], net.backward, after.weights[1:], after.backward):
        np.testing.assert_allclose(new_w - new_b.T, (1 - 0.5 * 0.1) * (w - b.T), rtol=1e-9)
    np.testing.assert_allclose(after.weights[0], net.weights[0] - 0.5 * exact.gradient.weights[0])
    # What both receive is, in the symmetric network, the gradient of its one set of weights.
    net, exact = backward_too(0.0)
    tied = implicit("outside").gradient  # of the same weights; where a nudge acts does not matter to it
    np.testing.assert_allclose(exact.gradient.weights[1] + exact.gradient.backward[0].T, tied.weights[1], atol=1e-11)
    with pytest.raises(PhysnetError, match="decay is 0"):
        kolen_pollack(optax.sgd(0.5), decay=0)
    with pytest.raises(PhysnetError, match="it trains an AsymmetricHopfield"):
        optimiser.update(tied, None, None)


def test_single_precision_stays_single():
    net = LayeredHopfield.random((4, 5, 3), key=jax.random.key(1), dtype=np.float32)
    samples = jnp.asarray(INPUTS, jnp.float32), jnp.asarray(TARGETS, jnp.float32)
    found = eqx.filter_eval_shape(phase_gradient, net, *samples, COST, Centred(0.1), net.default_relaxer())
    leaves = jax.tree.leaves((found.gradient, found.cost, found.nudged.state, found.free.state, found.free.residual))
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}


def test_batches_may_be_cut_anywhere():
    free = implicit("logistic").free
    for i in range(3):
        alone = relax(NETWORKS["logistic"](), INPUTS[i : i + 1])
        assert int(alone.steps[0]) == int(free.steps[i])
        for a, b in zip(alone.state, free.state):
            np.testing.assert_allclose(a[0], b[i], atol=1e-14)


@pytest.mark.parametrize("name", ["logistic", pytest.param("readout", marks=pytest.mark.slow)])
def test_the_nudging_scale_is_that_of_the_whole_jacobian(name):
    net, free = NETWORKS[name](), implicit(name).free
    state, x = jax.tree.map(lambda leaf: leaf[0], free.state), jnp.asarray(INPUTS[0])
    scale, response = eqx.filter_jit(lambda *args: (net.nudging_scale(*args), output_response(net, *args)))(state, x)
    np.testing.assert_allclose(scale, 1 / np.linalg.eigvalsh(response).max(), rtol=1e-9)


def test_datasets_name_what_they_hold():
    ds = relax(NETWORKS["readout"](), INPUTS).to_dataset()
    assert ds.hidden_2_activity.dims == ("sample", "hidden_2") and ds.prediction.dims == ("sample", "output")
    ds = ep_gradient(NETWORKS["clipped"](), INPUTS, TARGETS, cost=COST, nudging=SMALL).to_dataset()
    assert ds.gradient_weight_1.dims == ("hidden_1", "output")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: LayeredHopfield([]), "no weights"),
        (lambda: LayeredHopfield([np.ones(3)]), r"weight_0 has shape \(3,\); give a matrix"),
        (lambda: LayeredHopfield([np.ones((2, 3)), np.ones((4, 1))]), r"weight_1 .* layer before has 3 units"),
        (lambda: LayeredHopfield(DEEP[0], DEEP[1][:2]), "2 biases for 3 layers"),
        (lambda: LayeredHopfield(DEEP[0], DEEP[1][::-1]), r"bias_0 has shape \(3,\); its layer has 5 units"),
        (lambda: LayeredHopfield([np.full((2, 2), np.nan)]), "NaN"),
        (lambda: LayeredHopfield(DEEP[0], readout=(np.ones((2, 2)), np.ones(2))), r"matrix \(3, output\)"),
        (lambda: LayeredHopfield(DEEP[0], activations=Tanh), "did you forget the parentheses"),
        (lambda: LayeredHopfield(DEEP[0], activations=(Tanh(), Tanh())), "2 activations for 3 layers"),
        (lambda: LayeredHopfield.random((4,), key=jax.random.key(0)), r"sizes \(4,\)"),
        (lambda: ContinuousHopfield(DEEP[0], activations=HardSigmoid()), "clipped activation .* LayeredHopfield"),
        (lambda: AsymmetricHopfield(DEEP[0], DEEP[0][1:]), r"expected \[\(4, 5\), \(3, 4\)\]"),
        (lambda: AsymmetricHopfield.random((4, 3), key=jax.random.key(0), asymmetry=2), "asymmetry is 2"),
        (lambda: relax(ContinuousHopfield(DEEP[0]), INPUTS, relaxer=FixedPoint()), "continuous time and has no map"),
        (
            lambda: ep_gradient(NETWORKS["outside"](), INPUTS, TARGETS, cost=COST, nudging=SMALL, rule=EnergyRule()),
            "EnergyRule refuses: LayeredHopfield has no energy.*CorrectedRule.*nudge acts outside",
        ),
        (
            lambda: ep_gradient(backward_too(0.1)[0], INPUTS, TARGETS, cost=COST, nudging=SMALL, rule=EnergyRule()),
            "AsymmetricHopfield has no energy.*backward weights",
        ),
    ],
)
def test_what_does_not_fit_is_named(act, message):
    with pytest.raises(PhysnetError, match=message):
        act()
