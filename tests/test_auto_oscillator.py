"""Auto-oscillators in time against closed forms: one alone, injected, noisy, ramped; ensembles, bad values."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscillators import theory
from oscillators.auto_oscillator import AutoOscillators
from oscillators.coupling import AllToAll, Dense
from oscillators.line_fit import linewidth_from_phase
from oscillators.sparse import ring
from physnet import PhysnetError, integrate, results
from physnet.engines.fixed_step import FixedStep
from physnet.signals import PiecewiseLinear
from physnet.varied import Varied

UNCHECKED = FixedStep(checked=0)


def oracle(*couplings, **changes):
    return AutoOscillators.from_preset("oracle", *couplings, **changes)


ONE = oracle(below_threshold=True)


def power(state):
    return np.asarray(state[0]) ** 2 + np.asarray(state[1]) ** 2


def phase(state):
    """Unwrapped along time, the axis before the last, rad, in the rotating frame."""
    return np.unwrap(-np.arctan2(np.asarray(state[1]), np.asarray(state[0])), axis=-2)


def test_one_oscillator_alone_meets_its_closed_forms():
    """Threshold 3 mA; p0, frequency and relaxation rate from theory; below threshold the amplitude dies."""
    currents = np.array([[2.9e-3], [3.3e-3], [4e-3], [6e-3]])
    times = np.concatenate([[0], np.linspace(3e-6, 3.2e-6, 11)])
    state = integrate(ONE, currents, times).state
    zeta = theory.supercriticality(currents[1:, 0], 2.5e9, 7.5e6)
    expected = theory.stationary_power(zeta)
    np.testing.assert_allclose(expected[1], 0.25, rtol=1e-12)
    found = power(state)[..., 0]
    assert found[0, -1] < 1e-6 and theory.threshold_current(2.5e9, 7.5e6) == pytest.approx(3e-3)
    np.testing.assert_allclose(found[1:, -1], expected, rtol=1e-4)
    np.testing.assert_allclose(found[2:, -1], expected[1:], rtol=1e-9)
    turned = np.diff(phase(state)[2:, 1:, 0], axis=-1).mean(axis=-1)
    frequency = ONE.frame + turned / (2 * np.pi * 0.02e-6)
    np.testing.assert_allclose(frequency, theory.generation_frequency(300e6, 40e6, expected[1:]), rtol=1e-12)
    for values, exact in (
        (ONE.supercriticality(currents[1:, 0]), zeta),
        (ONE.free_power(currents[1:, 0]), expected),
        (ONE.nu(currents[2, :]), [4.0]),
        (ONE.relaxation_rate(currents[2, :]), [2.5e6]),
    ):
        np.testing.assert_allclose(values, exact, rtol=1e-12)


def test_a_step_of_current_relaxes_at_twice_the_rate():
    """p - p0 falls as exp(-2 G_p t); 2 G_p = 4 pi 2.5 MHz."""
    step = PiecewiseLinear(np.array([0, 1e-6, 1e-6]), np.array([[4.01e-3], [4.01e-3], [4e-3]]))
    times = np.concatenate([[0, 1e-6], 1e-6 + np.linspace(50e-9, 150e-9, 6)])
    found = power(integrate(ONE, step, times, engine=UNCHECKED).state)[:, 0]
    np.testing.assert_allclose(found[1], ONE.free_power(jnp.array([4.01e-3]))[0], rtol=1e-6)  # at the step
    rate = -np.polyfit(times[2:], np.log(found[2:] - 0.25), 1)[0]
    np.testing.assert_allclose(rate, 4 * np.pi * theory.relaxation_rate(7.5e6, 4 / 3), rtol=0.01)


def test_the_frequency_follows_a_slow_ramp_of_the_current():
    """20 us over 0.4 mA: the lag is (df/dI)(dI/dt)/(2 G_p), 0.2 % of the way."""
    ramp = PiecewiseLinear(np.array([0.0, 20e-6]), np.array([[3.8e-3], [4.2e-3]]))
    middles = np.array([5e-6, 10e-6, 15e-6])
    times = np.sort(np.concatenate([[0.0], middles - 0.05e-6, middles + 0.05e-6]))
    turned = np.diff(phase(integrate(ONE, ramp, times, engine=UNCHECKED).state)[1:, 0])[::2]
    turned = np.mod(turned + np.pi, 2 * np.pi) - np.pi
    frequency = float(ONE.frame) + turned / (2 * np.pi * 0.1e-6)
    current = 3.8e-3 + 0.4e-3 * middles / 20e-6
    lag = 0.4e-3 / 20e-6 / (4 * np.pi * ONE.relaxation_rate(current))
    expected = np.asarray(ONE.free_frequency(current - np.asarray(lag)))
    np.testing.assert_allclose(frequency, expected, rtol=0, atol=2e3)
    assert np.ptp(expected) > 1e6


def test_currents_for_inverts_the_free_frequency():
    network = oracle(AllToAll(1e3, 3), nonlinear_damping=[0.0, 0.5, 2.0])
    currents = jnp.array([3.2e-3, 4.5e-3, 7e-3])
    np.testing.assert_allclose(network.currents_for(network.free_frequency(currents)), currents, rtol=1e-12)
    reach = network.currents_for(jnp.array([299e6, 341e6, 310e6]))
    assert np.isnan(reach[:2]).all() and np.isfinite(reach[2])


def test_the_rotating_frame_is_the_lab_frame_turned():
    couplings = (Dense(np.array([[0, 2e6], [1e6, 0]]), np.array([[0, 0.3], [0.7, 0]])), AllToAll(3e5, 2))
    given = {"frequency": [300e6, 301e6], "drive": 1e6, "drive_frequencies": 311e6}
    times = np.array([0.0, 0.11e-6, 0.2e-6])
    turning = oracle(*couplings, **given)
    rotating, lab = (
        integrate(network, network.currents, times).state for network in (turning, oracle(*couplings, **given, frame=0))
    )
    angle = np.exp(-2j * np.pi * float(turning.frame) * times)[:, None]
    for place in (0, 2):  # oscillators, tones
        expected = (np.asarray(rotating[place]) + 1j * np.asarray(rotating[place + 1])) * angle
        np.testing.assert_allclose(np.asarray(lab[place]) + 1j * np.asarray(lab[place + 1]), expected, atol=1e-6)
    np.testing.assert_allclose(np.hypot(rotating[2], rotating[3]), 1, atol=1e-9)


INJECTED = oracle(drive=12.5e3 * 0.5 / np.sqrt(17), drive_frequencies=310e6)


def tuned(system, values):
    """values: detuning of the tone, Hz."""
    tone = system.drive_frequency + values
    return eqx.tree_at(lambda s: (s.drive_frequency, s.frame), system, (tone, tone[0]))


def test_injection_locks_within_12_5_kilohertz_and_slips_beyond():
    """In time: 1 % inside nothing slips, 1 % outside the phase slips at sqrt(d^2 - L^2) = 1.77 kHz."""
    detuning = 12.5e3 * np.array([0.99, -0.99, 1.01, -1.01])
    times = np.concatenate([[0.0], np.linspace(0.5e-3, 2.2e-3, 120)])
    ensemble = Varied(INJECTED, tuned, 1)
    state = integrate(ensemble, detuning[:, None], times, engine=FixedStep(step=45e-9, checked=0)).state
    slipped = np.diff(phase(state[:2])[:, [1, -1], 0], axis=1)[:, 0] / (2 * np.pi)
    np.testing.assert_allclose(slipped[:2], 0, atol=0.2)
    assert slipped[2] < -1.5 and slipped[3] > 1.5
    np.testing.assert_allclose(np.abs(slipped[2:]) / 1.7e-3, theory.adler_beat(12.625e3, 12.5e3), rtol=0.25)


@pytest.mark.parametrize("factor", [1, 10])
def test_thermal_noise_makes_the_linewidth_of_theory(factor):
    """(1 + nu^2) D/p0: 1.082 and 10.82 kHz, from the diffusion of the phase over lags of 40 relaxation times."""
    diffusion = factor * 100 / (2 * np.pi)
    noisy = oracle(noise=diffusion)
    expected = theory.linewidth(diffusion, 0.25, 4.0)
    np.testing.assert_allclose(expected, factor * 1.082e3, rtol=1e-3)
    times = np.concatenate([[0.0], 1e-6 + 1.25e-6 * np.arange(49)])
    seeds = np.broadcast_to(noisy.currents, (96, 1))
    engine = FixedStep(step=10e-9, checked=0)
    state = integrate(noisy, seeds, times, engine=engine, key=jax.random.key(factor)).state
    width, error = linewidth_from_phase(times[1:], phase(state)[:, 1:, 0], lag=1.25e-6)
    found, error = width.mean(), np.sqrt(np.mean(error**2) / len(width))
    assert error < 0.03 * found
    assert abs(found - expected) < 3.5 * error, (found, error)
    # The power scatters by D p0/G_p: dp = ... + 2 sqrt(p) sqrt(D) dW against its relaxation at 2 G_p.
    np.testing.assert_allclose(np.var(power(state)[:, 1:]), diffusion * 0.25 / 2.5e6, rtol=0.06)


def detune(system, values):
    """values: added to the frequencies of oscillators 1 and 2, Hz."""
    return eqx.tree_at(lambda s: s.frequency, system, system.frequency.at[1:].add(values))


def test_an_ensemble_of_devices_is_as_many_networks():
    network = AutoOscillators.from_preset("map", AllToAll(0.4e6, 3))
    times, detunings = np.array([0.0, 0.2e-6]), np.array([[1e6, -2e6], [0.3e6, 5e6]])
    together = integrate(Varied(network, detune, 2, names=("second", "third")), detunings, times).state
    for k, values in enumerate(detunings):
        alone = AutoOscillators.from_preset("map", AllToAll(0.4e6, 3), frequency=300e6 + np.append(0, values))
        alone = eqx.tree_at(lambda s: s.frame, alone, network.frame)
        state = integrate(alone, alone.currents, times).state
        for a, b in zip(together, state):
            np.testing.assert_allclose(a[k], b, atol=1e-9)


def test_a_trajectory_makes_a_dataset(tmp_path):
    network = oracle(ring(3, 1e4, 0.2), drive=[[1e3, 0, 0], [0, 2e3, 0]], drive_frequencies=[310e6, 311e6], noise=0.0)
    found = integrate(network, network.currents, np.linspace(0, 1e-7, 5), engine=UNCHECKED)
    dataset = found.to_dataset()
    results.validate(dataset)
    results.save(dataset, tmp_path / "run.nc")
    read = results.open(tmp_path / "run.nc")
    np.testing.assert_array_equal(read.amplitude_real, found.state[0])
    np.testing.assert_allclose(read.power, power(found.state), rtol=1e-12)
    assert read.drive.dims == ("tone", "oscillator") and read.frame.attrs["units"] == "Hz"
    assert read.time.attrs["units"] == "s" and read.tone_real.dims == ("time", "tone")
    real, imag = network.emission(found.state)
    np.testing.assert_allclose(real + 1j * imag, (np.asarray(found.state[0]) + 1j * found.state[1]).sum(axis=1))


def test_several_couplings_of_one_kind_make_a_dataset(tmp_path):
    network = oracle(ring(3, 1e4, 0.2), ring(3, 2e4, delay=1e-9), Dense(np.zeros((3, 3))), Dense(np.zeros((3, 3))))
    dataset = integrate(network, network.currents, [0, 1e-8], engine=UNCHECKED).to_dataset()
    results.validate(dataset)
    results.save(dataset, tmp_path / "run.nc")
    assert dataset.coupling_weight_1.dims == ("edge_1",) and "edge_0" in dataset.coords
    assert dataset.coupling_weight_2.dims == ("oscillator", "partner_2")


def test_strong_coupling_shortens_the_steps():
    """In phase the power grows to (sigma I - G + S)/(G Q + sigma I); uncoupled, the rate is that of the free power."""
    strong = AutoOscillators.from_preset("map", AllToAll(5e6, 3))
    found = integrate(strong, strong.currents, np.array([0.0, 0.5, 1.0]) * 1e-6)
    pumping, damping = float(strong.efficiency[0] * strong.currents[0]), float(strong.damping[0])
    highest = (pumping - damping + 10e6) / pumping
    np.testing.assert_allclose(power(found.state)[-1], highest, rtol=1e-3)
    shift = float(strong.nonlinear_shift[0]) * (highest - float(strong.free_power(strong.currents)[0]))
    assert strong.fastest_rate(strong.currents) >= 2 * np.pi * shift
    assert found.error < 1e-6
    driven = oracle(drive=2e6, drive_frequencies=310e6)
    bound = driven._highest_power(driven.currents, jnp.zeros(1))[0]
    pumping, damping = float(driven.efficiency[0] * driven.currents[0]), float(driven.damping[0])
    np.testing.assert_allclose(pumping - damping - pumping * bound + 2e6 / np.sqrt(bound), 0, atol=1e-3 * pumping)
    np.testing.assert_allclose(ONE._highest_power(ONE.currents, jnp.zeros(1)), ONE.free_power(ONE.currents))


def test_starts():
    state = ONE.initial_state(jnp.array([2e-3]))
    assert np.hypot(*state)[0] == pytest.approx(0.01)  # what does not run by itself can still grow
    random = oracle(AllToAll(1e3, 50)).initial_state(jnp.full(50, 4e-3), jax.random.key(0))
    np.testing.assert_allclose(power(random), 0.25)
    assert np.std(np.angle(np.asarray(random[0]) + 1j * np.asarray(random[1]))) > 1


def three(**changes):
    return oracle(AllToAll(1e3, 3), **changes)


FALLING = PiecewiseLinear(np.array([0, 1e-9]), np.array([[4e-3], [1e-3]]))
BELOW = r"below threshold: oscillators 1, 2 \(oscillator 1 has 0.002 A, its threshold is 0.003 A\)"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: three(currents=[4e-3, 2e-3, 1e-3]), BELOW),
        (lambda: three(currents=[4e-3, -1e-3, 4e-3]), "currents of oscillator 1 is -0.001 A"),
        (lambda: three(currents=[4e-3, 4e-3, np.nan]), r"currents\[2\] is nan A"),
        (lambda: three(frequency=[3e8, np.inf, 3e8]), r"frequency\[1\] is inf Hz"),
        (lambda: three(frequency=[3e8, 3e8, -3e8]), "frequency of oscillator 2 is -3e"),
        (lambda: three(damping=[1e6, 0.0, 1e6]), "damping of oscillator 1 is 0 Hz; it must be above 0"),
        (lambda: three(noise=-1.0), "noise of oscillator 0 is -1 Hz; it must be 0 or more"),
        (lambda: three(currents=[4e-3] * 2), r"couplings are for \[3\] oscillators and values for \[2\]"),
        (lambda: three(drive=1e3), "give drive .* and drive_frequencies .* together"),
        (lambda: three(drive=np.ones((2, 3)), drive_frequencies=3e8), r"drive has shape \(2, 3\)"),
        (lambda: integrate(oracle(), [[4e-3], [-4e-3]], [0, 1e-9]), "current of oscillator 0 is -0.004 A"),
        (lambda: integrate(oracle(), FALLING, [0, 1e-9]), "below threshold: oscillator 0"),
        (lambda: AutoOscillators.from_preset("oracel"), "oracle"),
        (
            lambda: AutoOscillators.from_preset(3),
            r"from_preset: the preset is 3; pass a name, such as '.*Preset",
        ),
        (lambda: three(drive=1e3, drive_frequencies=[3e8, -3e8]), r"drive_frequencies\[1\] is -3e\+08 Hz"),
        (lambda: three(frame=-1.0), "frame is -1 Hz; it must be 0"),
        (
            lambda: three(nonlinear_shift=[4e7, -2e9, 4e7]),
            r"free frequency .* oscillator 1 is -2e\+08 Hz at 0.004 A",
        ),
    ],
)
def test_bad_values_name_the_oscillator(act, message):
    with pytest.raises(PhysnetError, match=message):
        act()
