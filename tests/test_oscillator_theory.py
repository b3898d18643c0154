"""The closed forms of oscillators against direct simulation, brute force and known numbers."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from oscillators import theory
from physnet.errors import PhysnetError

# Simulated in MHz and us. Chosen so that p0 = 1/4, G_p/2pi = 2.5 MHz, nu = 4.
DAMPING, ZETA, SHIFT, POWER, RELAXATION, NU = 7.5, 4 / 3, 40.0, 0.25, 2.5, 4.0
ARCTAN_NU = np.arctan(NU)


def growth(c, damping=DAMPING, zeta=ZETA, q=0.0):
    """The oscillator's own field in the frame of its free frequency; the shift is measured from the free power."""
    p, p0 = abs(c) ** 2, theory.stationary_power(zeta, q)
    return 2 * np.pi * c * (-1j * SHIFT * (p - p0) - damping * (1 + q * p) + zeta * damping * (1 - p))


def integrate(field, start, times):
    """solve_ivp on complex amplitudes (oscillator,) -> (oscillator, time)."""
    n = len(start)

    def real(_, y):
        d = field(y[:n] + 1j * y[n:])
        return np.concatenate([d.real, d.imag])

    y0 = np.concatenate([np.real(start), np.imag(start)])
    y = solve_ivp(real, (0, times[-1]), y0, "LSODA", times, rtol=1e-8, atol=1e-10).y
    return y[:n] + 1j * y[n:]


def edge(slips, low, high, steps):
    """Bisects between a detuning that is locked and one that slips."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if slips(middle) else (middle, high)
    return (low + high) / 2


def injected_phase(detuning, drive, times):
    """The phase (rad) of an oscillator against a signal `detuning` MHz above its free frequency."""
    c = integrate(lambda c: growth(c) + 2j * np.pi * detuning * c + 2 * np.pi * drive, [0.5 + 0j], times)
    return -np.unwrap(np.angle(c[0]))


def mutual_phase(difference, coupling, phase, times):
    frequencies = np.array([0.5, -0.5]) * difference
    push = coupling * np.exp(1j * phase)
    start = 0.5 * np.exp(-1j * np.array([np.pi / 2, 0]) * np.sign(difference))

    def field(c):
        return np.array([growth(x) for x in c]) + 2 * np.pi * (-1j * frequencies * c + push * c[::-1])

    c = integrate(field, start, times)
    return -np.unwrap(np.angle(c[0] / c[1]))


def test_the_free_limit_cycle():
    assert theory.stationary_power(ZETA) == pytest.approx(POWER)
    assert theory.relaxation_rate(7.5e6, ZETA) == pytest.approx(2.5e6)
    assert theory.nonlinear_coupling(40e6, POWER, 2.5e6) == pytest.approx(4)
    assert theory.generation_frequency(300e6, 40e6, POWER) == pytest.approx(310e6)
    assert np.all(theory.stationary_power(np.array([-1, 0.5, 1])) == 0)
    assert theory.supercriticality(4e-3, 2.5e9, 7.5e6) == pytest.approx(ZETA)
    assert theory.supercriticality(theory.threshold_current(2.5e9, 7.5e6), 2.5e9, 7.5e6) == pytest.approx(1)


@pytest.mark.parametrize(("zeta", "q"), [(4 / 3, 0.0), (1.5, 2.0), (3.0, -0.4)])
def test_power_settles_where_and_as_fast_as_theory_says(zeta, q):
    p0 = theory.stationary_power(zeta, q)
    tau = theory.power_relaxation_time(theory.relaxation_rate(DAMPING, zeta))
    times = np.linspace(0, 14 * tau, 400)
    p = abs(integrate(lambda c: growth(c, DAMPING, zeta, q), [np.sqrt(p0) * 1.05 + 0j], times)[0]) ** 2
    assert p[-1] == pytest.approx(p0, rel=1e-5)
    late = (times > 4 * tau) & (times < 9 * tau)
    assert -np.polyfit(times[late], np.log(p[late] - p0), 1)[0] * tau == pytest.approx(1, abs=2e-3)


def test_frequency_tuning_is_the_slope_of_the_frequency():
    sigma, damping, q, current, step = 2.5e9, 7.5e6, 1.5, np.array([3.2e-3, 5e-3]), 1e-8

    def frequency(i):
        return theory.generation_frequency(
            300e6, 40e6, theory.stationary_power(theory.supercriticality(i, sigma, damping), q)
        )

    slope = (frequency(current + step) - frequency(current - step)) / (2 * step)
    zeta = theory.supercriticality(current, sigma, damping)
    np.testing.assert_allclose(theory.frequency_tuning(zeta, 40e6, sigma, damping, q), slope, rtol=1e-6)


def test_injection_locking_band_is_the_simulated_one():
    drive = 12.5e-3 * np.sqrt(POWER) / np.sqrt(17)
    half = theory.injection_locking_half_range(drive, POWER, NU)
    assert half == pytest.approx(12.5e-3)
    times = np.linspace(0, 1000.0, 400)
    for sign in (1, -1):
        slips = lambda d, s=sign: np.ptp(injected_phase(s * d, drive, times)[200:]) > np.pi  # noqa: E731
        assert edge(slips, 0.92 * half, 1.08 * half, 3) == pytest.approx(half, rel=0.015)


@pytest.mark.parametrize("ratio", [1.3, -2.0])
def test_adler_beat_is_the_simulated_one(ratio):
    drive = 1.5e-3
    half = theory.injection_locking_half_range(drive, POWER, NU)
    beat = theory.adler_beat(ratio * half, half)
    # Over whole slips, so that the uneven rotation averages out. The phase runs at f_g - f_e, minus the detuning.
    times = np.linspace(0, 5 / abs(beat), 101)
    phase = injected_phase(ratio * half, drive, times)
    assert (phase[-1] - phase[20]) / (2 * np.pi) == pytest.approx(-4 * np.sign(beat), abs=0.03)


def test_locking_time_is_the_simulated_one():
    drive = 1.5e-3
    half = theory.injection_locking_half_range(drive, POWER, NU)
    tau = theory.locking_time(0.6 * half, half)
    times = np.linspace(0, 20 * tau, 401)
    phase = injected_phase(0.6 * half, drive, times)
    late = (times > 5 * tau) & (times < 9 * tau)
    rate = -np.polyfit(times[late], np.log(abs(phase[late] - phase[-1])), 1)[0]
    assert rate * tau == pytest.approx(1, abs=0.02)
    assert np.isinf(theory.locking_time(half, half)) and np.isinf(theory.locking_time(2 * half, half))


# Half-ranges for W/2pi = 10 kHz, in kHz.
@pytest.mark.parametrize(
    ("phase", "known"), [(0, 20.00), (ARCTAN_NU, 82.46), (np.pi / 2, 80.00), (-np.pi / 4, 42.43)], ids=str
)
def test_mutual_locking_band_is_the_simulated_one(phase, known):
    half = theory.mutual_locking_half_range(10e3, NU, phase)
    assert half / 1e3 == pytest.approx(known, abs=0.005)
    times = np.linspace(0, 8e6 / half, 200)
    slips = lambda d: np.ptp(mutual_phase(d * half / 1e6, 10e-3, phase, times)[100:]) > np.pi  # noqa: E731
    assert edge(slips, 0.9, 1.1, 3) == pytest.approx(1, abs=0.03)


def test_no_nonlinearity_no_enhancement_and_the_quarter_turn():
    assert theory.mutual_locking_half_range(10e3) == 20e3
    assert theory.mutual_locking_half_range(10e3, NU, ARCTAN_NU + np.pi / 2) == pytest.approx(0, abs=1e-9)
    assert theory.mutual_locking_half_range(-10e3, NU, 0.3) == theory.mutual_locking_half_range(10e3, NU, 0.3)


def test_linewidth_is_that_of_the_simulated_noise():
    diffusion = 1000.0  # 1/s
    width = theory.linewidth(diffusion / (2 * np.pi), POWER, NU)
    assert width == pytest.approx(10.82e3, rel=1e-3)
    assert theory.linewidth(100 / (2 * np.pi), POWER, NU) == pytest.approx(1.082e3, rel=1e-3)
    random, members, dt = np.random.default_rng(1), 1500, 4e-3  # us
    c = np.full(members, 0.5 + 0j)
    kick = np.sqrt(diffusion * 1e-6 * dt)  # per quadrature: <f f*> = 2 D delta(t)
    phase, marks = np.zeros(members), []
    for step in range(1500):
        new = c + dt * growth(c)
        new = c + dt / 2 * (growth(c) + growth(new)) + kick * (random.normal(size=(2, members)).T @ [1, 1j])
        phase -= np.angle(new / c)
        c = new
        if step in (299, 1499):  # the first mark is many relaxation times late
            marks.append(phase.var())
    slope = (marks[1] - marks[0]) / (1200 * dt * 1e-6)
    assert slope / (2 * np.pi) == pytest.approx(width, rel=0.12)  # three standard errors of a variance


def test_two_kuramoto_oscillators_beat_at_the_closed_form():
    coupling, difference = 3.0, 5.0
    beat = theory.two_oscillator_beat(difference, coupling)
    assert beat == pytest.approx(4)
    field = lambda t, d: [2 * np.pi * (difference - coupling * np.sin(d[0]))]  # noqa: E731
    turns = solve_ivp(field, (0, 10 / beat), [0.3], rtol=1e-10, atol=1e-10).y[0, -1] / (2 * np.pi)
    assert turns == pytest.approx(10 + 0.3 / (2 * np.pi), abs=1e-6)
    np.testing.assert_array_equal(theory.two_oscillator_beat([2.0, 3.0, -3.0], 3.0), 0)
    assert theory.two_oscillator_beat(-difference, -coupling) == pytest.approx(-4)


def lorentzian(f):
    return 0.7 / np.pi / (f**2 + 0.7**2)


@pytest.mark.parametrize("coupling", [1.5, 2.0, 9.0])
def test_kuramoto_order_parameter_solves_the_self_consistency(coupling):
    r = theory.kuramoto_order_parameter(coupling, 0.7)
    locked = quad(lambda x: np.cos(x) ** 2 * lorentzian(coupling * r * np.sin(x)), -np.pi / 2, np.pi / 2)[0]
    assert coupling * locked == pytest.approx(1, rel=1e-8)


def test_kuramoto_threshold():
    assert theory.kuramoto_lorentzian_critical_coupling(0.7) == pytest.approx(1.4)
    np.testing.assert_array_equal(theory.kuramoto_order_parameter([0, 1.0, 1.4], 0.7), 0)
    # At onset (r -> 0) the self-consistency integral is K g(0) pi/2 for any density.
    gaussian = 1 / (np.sqrt(2 * np.pi) * 3e6)
    assert theory.kuramoto_critical_coupling(gaussian) * gaussian * np.pi / 2 == pytest.approx(1)


def test_open_chain_locks_exactly_above_its_critical_coupling():
    random = np.random.default_rng(2)
    frequencies = random.normal(size=(3, 6))
    critical = theory.chain_critical_coupling(frequencies)
    assert critical.shape == (3,)
    assert theory.open_chain_locks(frequencies, critical * 1.01).all()
    assert not theory.open_chain_locks(frequencies, critical * 0.99).any()
    for f, k in zip(frequencies, critical):
        for factor, locked in ((1.05, True), (0.95, False)):

            def field(_, theta, f=f, k=factor * k):
                pull = k * np.sin(np.diff(theta))
                return 2 * np.pi * (f + np.append(pull, 0) - np.append(0, pull))

            theta = solve_ivp(field, (0, 60), np.zeros(6), t_eval=[40, 60], rtol=1e-6).y
            assert (np.abs(np.diff(np.diff(theta, axis=0), axis=1)).max() < 0.1) == locked


@pytest.mark.parametrize("n", [3, 5, 8, 12])
def test_ring_states_are_stable_where_the_jacobian_is_negative(n):
    for q in range(-n, n + 1):
        slope = np.cos(2 * np.pi * q / n)
        shift = np.roll(np.eye(n), 1, 0)
        top = np.sort(np.linalg.eigvalsh(slope * (shift + shift.T - 2 * np.eye(n))))[-2:]
        assert theory.ring_state_is_stable(q, n) == (top[1] < 1e-9 and top[0] < -1e-9), q
        theta = 2 * np.pi * q * np.arange(n) / n
        energy = -3.0 * np.cos(theta - np.roll(theta, 1)).sum()
        assert theory.ring_energy_per_bond(q, n, 3.0) == pytest.approx(energy / n)


@pytest.mark.parametrize("coupling", [2.0, -2.0])
def test_triangle_ground_state_by_brute_force(coupling):
    a, b = np.meshgrid(*[np.linspace(0, 2 * np.pi, 361)] * 2)
    energy = -coupling * (np.cos(a) + np.cos(b) + np.cos(a - b))
    assert theory.triangle_ground_energy(coupling) == pytest.approx(energy.min(), abs=1e-9)
    assert theory.triangle_ground_energy(-1.0) == -1.5


def test_everything_broadcasts():
    assert theory.mutual_locking_half_range(np.ones((4, 1)), np.ones(3), 0.1).shape == (4, 3)
    assert theory.ring_state_is_stable(np.arange(4), 12).tolist() == [True, True, True, False]
    assert theory.linewidth(1, [0.1, 0.2], 4).shape == (2,)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: theory.stationary_power(np.nan), "stationary_power: supercriticality holds nan"),
        (lambda: theory.stationary_power(2.0, -1.0), "nonlinear_damping -1; it must be > -1"),
        (lambda: theory.relaxation_rate(5e6, 0.9), "supercriticality 0.9; it must be >= 1"),
        (lambda: theory.threshold_current(0.0, 5e6), "efficiency 0 Hz/A; it must be > 0"),
        (lambda: theory.linewidth(1.0, [0.2, 0.0]), "linewidth: power 0; it must be > 0"),
        (lambda: theory.linewidth(-1.0, 0.2), "diffusion -1 Hz; it must be >= 0"),
        (lambda: theory.nonlinear_coupling(40e6, 0.2, "fast"), "pass a real number"),
        (lambda: theory.injection_locking_half_range(1j, 0.2), "pass a real number or an array of them in Hz"),
        (lambda: theory.chain_critical_coupling([1.0]), "at least two oscillators"),
        (lambda: theory.ring_state_is_stable(0.5, 8), "whole numbers"),
        (lambda: theory.ring_energy_per_bond(1, 2), "n >= 3"),
    ],
)
def test_values_outside_the_domain_are_refused(call, text):
    with pytest.raises(PhysnetError) as error:
        call()
    assert text in str(error.value)
