"""Fixed steps: orders by regression, noise against closed forms, delays by the method of steps, and what is refused."""

from math import factorial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.integrate import solve_ivp

from oscillators.auto_oscillator import AutoOscillators
from oscillators.coupling import AllToAll
from physnet import PhysnetError, integrate
from physnet.engines import fixed_step
from physnet.engines.adaptive import Adaptive
from physnet.engines.fixed_step import FixedStep
from physnet.errors import ConvergenceError
from physnet.relaxers.newton import Newton
from physnet.signals import Held, PiecewiseLinear
from physnet.system import System
from physnet.variable import Variable

NODE = Variable("node_value", ("node",), "1", "a number")


class Small(System):
    """What the systems of this file share: one number, with inputs that push it."""

    variables = property(lambda self: (NODE,))
    parameters = property(lambda self: ())
    input_variable = property(lambda self: NODE)
    output_variable = property(lambda self: NODE)
    residual_units = property(lambda self: "s-1")
    energy_units = property(lambda self: "1")
    input_shape = property(lambda self: (1,))

    def initial_state(self, inputs, key=None):
        return jnp.ones(1)

    def residual(self, state, inputs):
        return -self.vector_field(state, inputs)

    def outputs(self, state, inputs):
        return state

    def default_relaxer(self):
        return Newton()


class Noisy(Small):
    """dx = -rate x - bend sin 3x + u, with noise: an Ornstein-Uhlenbeck process where bend is 0."""

    rate: Array
    bend: Array
    sigma: Array

    def vector_field(self, state, inputs):
        return -self.rate * state - self.bend * jnp.sin(3 * state) + inputs

    def diffusion(self, state, inputs):
        return jnp.broadcast_to(self.sigma, state.shape)

    @property
    def is_noisy(self):
        return True

    def fastest_rate(self, inputs):
        return self.rate + 3 * self.bend


class Echo(Small):
    """x' = -sum_k gain_k x(t - tau_k) + u."""

    lags: tuple = eqx.field(static=True)
    gain: Array

    @property
    def delays(self):
        return self.lags

    def vector_field(self, state, inputs):
        return self.delayed_vector_field(state, (state,) * len(self.lags), inputs)

    def delayed_vector_field(self, state, past, inputs):
        return inputs - sum(gain * before for gain, before in zip(self.gain, past))


def process(bend=0.0):
    return Noisy(jnp.array(2.0), jnp.array(bend), jnp.array(0.8))


def slope(steps, errors):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


PAIR = AutoOscillators.from_preset("map", AllToAll(0.4e6, 2), frequency=[300e6, 303e6])
UNEVEN = np.array([0.0, 0.13, 0.5, 0.6, 1.0]) * 1e-6


def reference(system, times):
    def velocity(_, flat):
        return np.concatenate(field(tuple(jnp.split(jnp.asarray(flat), 2)), system.currents))

    field = jax.jit(lambda state, currents: system.vector_field(state, currents))
    start = np.concatenate(system.rest_state(system.currents))
    return solve_ivp(velocity, times[[0, -1]], start, "DOP853", times, rtol=1e-12, atol=1e-13).y.T


def test_fixed_steps_have_order_eight_and_know_their_error():
    """Against scipy at its tightest, at recorded times of uneven distance."""
    times = np.array([0.0, 0.36, 1.08]) * 1e-6
    exact = reference(PAIR, times)
    steps, errors = [30e-9, 22.5e-9, 18e-9, 15e-9], []
    for step in steps:
        found = integrate(PAIR, PAIR.currents, times, engine=FixedStep(step=step))
        errors.append(np.abs(np.concatenate(found.state, axis=1) - exact).max())
        assert errors[-1] / 5 < found.error < 20 * errors[-1]
    assert abs(slope(steps, errors) - 8) < 0.8, errors
    exact = reference(PAIR, UNEVEN)
    usual = integrate(PAIR, PAIR.currents, UNEVEN)
    assert np.abs(np.concatenate(usual.state, axis=1) - exact).max() < 1e-8
    assert usual.steps % 2 == 0


def test_noise_has_strong_order_three_halves_and_weak_order_two():
    """Runs at a step and at twice the step along the same Brownian paths, on a drift that is not linear."""
    system, samples = process(0.5), 8192
    keys = jax.random.split(jax.random.key(1), samples)
    signal, start = Held(jnp.zeros((1, samples))), jnp.ones((1, samples))
    run = eqx.filter_jit(fixed_step.follow)
    strong, weak, counts = [], [], np.array([8, 12, 18, 28])
    for count in counts:
        ends = [
            np.asarray(run(system, signal, start, keys, jnp.array([0.0, 1.0]), jnp.array([n])))[-1, 0]
            for n in (count, -(count // 2))
        ]
        strong.append(np.sqrt(np.mean((ends[0] - ends[1]) ** 2)))
        weak.append(np.abs(np.mean(ends[0] ** 2 - ends[1] ** 2)))
    assert 1.35 < slope(1 / counts, strong) < 2.1, strong
    assert 1.6 < slope(1 / counts, weak) < 2.9, weak


@pytest.mark.parametrize(
    "engine", [FixedStep(checked=0), pytest.param(Adaptive(rtol=3e-2, atol=3e-3), marks=pytest.mark.slow)]
)
def test_noise_has_the_variance_and_covariance_of_its_process(engine):
    """Ornstein-Uhlenbeck: variance sigma^2 / (2 rate), covariance falling as exp(-rate lag)."""
    samples, times = (20_000 if isinstance(engine, FixedStep) else 600), [0.0, 2.5, 2.8]
    found = integrate(process(), np.zeros((samples, 1)), times, engine=engine, key=jax.random.key(2))
    state = np.asarray(found.state)[:, 1:, 0]
    variance = 0.8**2 / 4 * (1 - np.exp(-4 * np.array([2.5, 2.8])))
    tolerance = 4 * np.sqrt(2 / samples)
    np.testing.assert_allclose(np.var(state, axis=0), variance, rtol=tolerance)
    assert abs(np.mean(state[:, 0] * state[:, 1]) / (variance[0] * np.exp(-0.6)) - 1) < 2.5 * tolerance
    np.testing.assert_allclose(np.mean(state, axis=0), 0, atol=4 * np.sqrt(variance[0] / samples) + 0.007)


@pytest.mark.parametrize("noisy", [False, True])
def test_numbers_do_not_depend_on_how_samples_are_cut(noisy):
    system, key = (process(0.5), jax.random.key(3)) if noisy else (PAIR, None)
    inputs = np.linspace(0, 1, 7)[:, None] if noisy else 6e-3 * np.linspace(0.9, 1.1, 14).reshape(7, 2)
    times = [0.0, 0.5, 0.8] if noisy else UNEVEN
    whole = integrate(system, inputs, times, key=key)
    cut = integrate(system, inputs, times, key=key, engine=FixedStep(lanes=3, threads=2, checked=0))
    for a, b in zip(jax.tree.leaves(whole.state), jax.tree.leaves(cut.state)):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    assert np.isnan(cut.error).all() and np.isfinite(whole.error).all()


# Delays


def echo(times, delay):
    """x' = -x(t - delay), x = 1 before 0: sum_k (-1)^k (t - (k - 1) delay)^k / k!, each term from its own time on."""
    reach = [np.maximum(times - (k - 1) * delay, 0) for k in range(40)]
    return sum((-1) ** k * z**k / factorial(k) * (z > 0) for k, z in enumerate(reach))


def test_delays_have_order_four_at_any_recorded_times():
    system, times = Echo((1.0,), jnp.ones(1)), np.array([0.0, 0.37, 1.1, 2.9, 4.05, 7.77, 10.3])
    steps, errors = [0.25, 0.125, 0.0625], []
    for step in steps:
        found = integrate(system, np.zeros((2, 1)), times, engine=FixedStep(step=step))
        errors.append(np.abs(found.state[1, :, 0] - echo(times, 1.0)).max())
        assert errors[-1] / 5 < found.error[0] < 20 * errors[-1]
    assert 3.2 < slope(steps, errors) < 5, errors
    assert errors[-1] < 1e-7


def test_two_delays_match_a_fine_euler_run_extrapolated():
    """Steps of a method of order 1 on a grid that holds both delays, extrapolated twice."""
    delays, gains, end = (0.5, 0.8), (1.2, 0.7), 3.0

    def euler(step):
        lags, count = [round(delay / step) for delay in delays], round(end / step)
        values = np.ones(count + 1)
        for i in range(count):
            past = sum(gain * (values[i - lag] if i >= lag else 1.0) for gain, lag in zip(gains, lags))
            values[i + 1] = values[i] + step * (0.3 - past)
        return values[-1]

    first, second, third = euler(1e-3), euler(5e-4), euler(2.5e-4)
    exact = (8 * third - 6 * second + first) / 3
    system = Echo(delays, jnp.array(gains))
    found = integrate(system, [0.3], [0.0, 1.234, end], engine=FixedStep(step=0.03, checked=0))
    np.testing.assert_allclose(found.state[-1, 0], exact, atol=2e-7)


def delayed_pair(**coupling):
    return AutoOscillators.from_preset("map", AllToAll(0.2e6, 2, **coupling), frequency=[300e6, 300.1e6], frame=313.3e6)


def test_a_short_delay_acts_as_a_coupling_phase():
    """2 pi f tau at the common frequency: exact where the pair has locked. And the error of the run is known."""
    delay, times = 2.3e-9, np.array([0.0, 10e-6, 10.1e-6])
    found = integrate(delayed_pair(delay=delay), np.full((3, 2), 6e-3) * [[1], [1.0005], [0.999]], times)
    assert (found.error < 1e-5).all() and found.converged.all()
    state = jax.tree.map(lambda leaf: leaf[0], found.state)
    angle = np.unwrap(-np.angle(state[0] + 1j * state[1]), axis=0)
    frequency = 313.3e6 + (angle[2] - angle[1]) / (2 * np.pi * 0.1e-6)
    np.testing.assert_allclose(frequency[0], frequency[1], rtol=0, atol=10)
    pair = delayed_pair(phase=2 * np.pi * frequency[0] * delay)
    phased = integrate(pair, [6e-3, 6e-3], times, engine=FixedStep(checked=0)).state
    other = np.unwrap(-np.angle(phased[0] + 1j * phased[1]), axis=0)
    np.testing.assert_allclose((other[2] - other[1]) / (2e-7 * np.pi) + 313.3e6, frequency, rtol=0, atol=20)
    turned = np.mod(np.diff(angle[2]) - np.diff(other[2]) + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(turned, 0, atol=1e-5)


# What is refused


def test_a_step_too_large_names_the_largest_safe_one():
    with pytest.raises(PhysnetError, match=r"step of 1e-06 s is too large for AutoOscillators.*largest safe step is"):
        integrate(PAIR, PAIR.currents, UNEVEN, engine=FixedStep(step=1e-6))
    rate = float(PAIR.fastest_rate(PAIR.currents))
    with pytest.raises(PhysnetError, match=f"is {2 / rate:.3g} s, the usual one {0.28 / rate:.3g} s"):
        integrate(PAIR, PAIR.currents, UNEVEN, engine=FixedStep(step=1e-6))
    echo = Echo((1.0,), jnp.ones(1))
    with pytest.raises(PhysnetError, match=r"step of 0.6 s is too large for Echo, whose shortest delay is 1 s: .*half"):
        integrate(echo, [0.0], [0.0, 1.0], engine=FixedStep(step=0.6))
    with pytest.raises(PhysnetError, match=r"Echo does not say how fast it moves, so give the step"):
        integrate(echo, [0.0], [0.0, 1.0])
    with pytest.raises(PhysnetError, match=r"Adaptive refuses Echo: its coupling is delayed.*FixedStep"):
        integrate(echo, [0.0], [0.0, 1.0], engine=Adaptive())


def test_an_ensemble_too_large_for_memory_says_what_fits(monkeypatch):
    monkeypatch.setattr(fixed_step, "_free_memory", lambda: 100_000)
    with pytest.raises(PhysnetError, match=r"5000 samples of 5 recorded times need 0.0008 GB.*at most 500 samples"):
        integrate(PAIR, np.broadcast_to(PAIR.currents, (5000, 2)), UNEVEN)
    monkeypatch.setattr(fixed_step, "_free_memory", lambda: 100)
    with pytest.raises(PhysnetError, match="record fewer times"):
        integrate(PAIR, PAIR.currents, UNEVEN)
    monkeypatch.setattr(fixed_step, "_free_memory", lambda: 100_000)
    with pytest.raises(PhysnetError, match=r"need 0.0016 GB.*at most 250 samples"):
        integrate(PAIR, np.broadcast_to(PAIR.currents, (5000, 2)), UNEVEN, engine=FixedStep(checked=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lanes": -1}, "lanes is -1; give a whole number of at least 1"),
        ({"lanes": 2.5}, "lanes is 2.5"),
        ({"threads": 0}, "threads is 0"),
        ({"checked": -1}, "checked is -1; give a whole number of at least 0, or None for all samples"),
        ({"step": "1ns"}, "step is '1ns'; give one finite number above 0, in s"),
        ({"step": 0}, "step is 0.0"),
        ({"step": np.nan}, "step is nan"),
    ],
)
def test_options_without_sense_are_refused(options, message):
    with pytest.raises(PhysnetError, match=f"FixedStep: {message}"):
        FixedStep(**options)


def test_noise_and_keys_go_together():
    with pytest.raises(PhysnetError, match="Noisy has thermal noise; pass key="):
        integrate(process(), [0.0], [0.0, 1.0])
    with pytest.raises(PhysnetError, match="a key was given and Echo has no noise"):
        integrate(Echo((1.0,), jnp.ones(1)), [0.0], [0.0, 1.0], key=jax.random.key(0), engine=FixedStep(step=0.1))
    delayed = AutoOscillators.from_preset("map", AllToAll(1e5, 2, delay=1e-9), noise=10.0)
    with pytest.raises(PhysnetError, match=r"FixedStep refuses AutoOscillators: delayed coupling with noise"):
        integrate(delayed, delayed.currents, UNEVEN, key=jax.random.key(0))


def test_inputs_that_change_between_steps():
    """A ramp without noise: x' = -2 x + t, x(0) = 1, has the end 5/4 exp(-2) + 1/4 at t = 1."""
    quiet = eqx.tree_at(lambda s: s.sigma, process(), jnp.array(0.0))
    ramp = PiecewiseLinear(jnp.array([0.0, 1.0]), jnp.array([[0.0], [1.0]]))
    found = integrate(quiet, ramp, [0.0, 1.0], engine=FixedStep(step=0.02), key=jax.random.key(0))
    np.testing.assert_allclose(found.state[-1, 0], 1.25 * np.exp(-2) + 0.25, atol=1e-6)


class Unknowing(PiecewiseLinear):
    """Does not say where it bends."""

    def knots(self):
        return None

    def checked(self, system):
        found, batched = super().checked(system)
        return Unknowing(found.times, found.values), batched


class Calm(Noisy):
    """Without noise."""

    is_noisy = property(lambda self: False)

    def diffusion(self, state, inputs):
        return None


def test_inputs_that_jump_inside_an_interval_keep_the_order_and_the_error(monkeypatch):
    """x' = -2 x + u, u = 1 from t = 0.3173 on; with too many knots, or unknown ones, the error is an upper bound."""
    calm, at = Calm(jnp.array(2.0), jnp.array(0.0), jnp.array(0.0)), 0.3173
    exact = np.exp(-2) + (1 - np.exp(-2 * (1 - at))) / 2
    jump = jnp.array([at, at]), jnp.array([[0.0], [1.0]])
    for kind, most in ((PiecewiseLinear, 64), (PiecewiseLinear, 0), (Unknowing, 64)):
        monkeypatch.setattr(fixed_step, "_MOST_KNOTS", most)
        found = integrate(calm, kind(*jump), [0.0, 1.0], engine=FixedStep(step=0.06))
        true = abs(float(found.state[-1, 0]) - exact)
        known = kind is PiecewiseLinear and most > 0
        assert true < (1e-10 if known else 0.05) and true <= 3 * found.error, (kind, most, true, found.error)
    delayed, fine = (
        integrate(Echo((0.25,), jnp.ones(1)), PiecewiseLinear(*jump), [0.0, 1.0], engine=FixedStep(step=step))
        for step in (0.05, 0.005)
    )
    assert 1e-6 < abs(float(delayed.state[-1, 0] - fine.state[-1, 0])) < 3 * delayed.error < 0.1


class Mute(Calm):
    """Does not say how fast it moves."""

    def fastest_rate(self, inputs):
        return None


def test_a_run_that_its_own_error_disowns_is_refused():
    system, options = Mute(jnp.array(40.0), jnp.array(0.0), jnp.array(0.0)), {"engine": FixedStep(step=0.1)}
    with pytest.raises(ConvergenceError, match=r"FixedStep, 0.1 s, are too long for Mute: .*sample 0.*step=0.05"):
        integrate(system, [0.0], [0.0, 1.0], **options)
    found = integrate(system, [0.0], [0.0, 1.0], throw=False, **options)
    assert found.converged and found.error > 0.05 * np.abs(found.state).max()
