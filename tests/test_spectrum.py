"""Emission spectra against signals of known power, frequency and linewidth."""

import numpy as np
import pytest

from oscillators.line_fit import linewidth_from_phase, lorentzian_fit
from oscillators.spectrum import WINDOWS, emission_spectrum
from physnet.errors import PhysnetError

STEP = 1e-8  # s
TIMES = STEP * np.arange(20000)  # 200 us


def phasor(frequency, power=1.0):
    """c = sqrt(p) exp(-i phi) with dphi/dt = +2 pi f."""
    return np.sqrt(power) * np.exp(-2j * np.pi * frequency * TIMES)


def diffusing_phase(width, lines, seed, times=TIMES):
    """(line, time): Wiener phases with var = 2 pi FWHM t, whose lines are exactly Lorentzian."""
    kicks = np.random.default_rng(seed).normal(size=(lines, times.size))
    return np.cumsum(kicks, -1) * np.sqrt(2 * np.pi * width * (times[1] - times[0]))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("offset", [0.0, 0.25, 0.4])
def test_a_tone_of_known_power_peaks_at_that_power(window, offset):
    rbw = 100e3
    frequency = 12e6 + offset * rbw
    for signal, power in ((phasor(frequency, 3.0), 3.0), (phasor(frequency, 3.0).real, 1.5)):
        spectrum = emission_spectrum(TIMES, signal, resolution_bandwidth=rbw, window=window)
        assert spectrum.resolution_bandwidth == pytest.approx(rbw, rel=2e-3)
        assert spectrum.peak_power == pytest.approx(power, rel=0.07 if window == "boxcar" else 0.02)  # 0.1 dB
        step = spectrum.frequency[1] - spectrum.frequency[0]
        assert abs(spectrum.peak_frequency - frequency) < (0.3 if window == "flattop" else 0.1) * step


def test_the_sign_of_frequencies_and_the_rotating_frame():
    for frequency in (3e6, -3e6):
        assert emission_spectrum(TIMES, phasor(frequency)).peak_frequency == pytest.approx(frequency, abs=1e3)
    shifted = emission_spectrum(TIMES, phasor(-3e6), frame_frequency=340e6)
    assert shifted.peak_frequency == pytest.approx(337e6, abs=1e3)
    c = phasor(3e6)
    parts = emission_spectrum(TIMES, c.real, c.imag)
    np.testing.assert_array_equal(parts.power, emission_spectrum(TIMES, c).power)


@pytest.mark.parametrize("complex_signal", [True, False])
def test_white_noise_reads_density_times_bandwidth_with_the_stated_scatter(complex_signal):
    random = np.random.default_rng(3)
    noise = random.normal(size=(4, TIMES.size))
    if complex_signal:
        noise = (noise + 1j * random.normal(size=noise.shape)) / np.sqrt(2)
    density = STEP * (1 if complex_signal else 2)  # unit mean square over the band that is shown
    for rbw in (50e3, 400e3):
        spectrum = emission_spectrum(TIMES, noise, resolution_bandwidth=rbw)
        inner = spectrum.power[:, 10:-10]
        assert inner.mean() == pytest.approx(density * spectrum.resolution_bandwidth, rel=0.02)
        assert inner.std() / inner.mean() == pytest.approx(spectrum.averages**-0.5, rel=0.1)
        step = spectrum.frequency[1] - spectrum.frequency[0]
        assert (spectrum.density.sum(-1) * step).mean() == pytest.approx((abs(noise) ** 2).mean(), rel=0.01)


def test_two_tones_part_only_under_a_narrower_bandwidth():
    signal = phasor(5e6) + phasor(5.2e6) * np.exp(1j)

    def dip(rbw):
        spectrum = emission_spectrum(TIMES, signal, resolution_bandwidth=rbw)
        between = spectrum.power[np.argmin(abs(spectrum.frequency - 5.1e6))]
        return between / spectrum.peak_power

    assert dip(50e3) < 0.05
    assert dip(400e3) > 0.8


def test_leading_axes_and_groups():
    random = np.random.default_rng(4)
    signals = random.normal(size=(2, 3, TIMES.size))
    whole = emission_spectrum(TIMES, signals, resolution_bandwidth=60e3)
    assert whole.power.shape == (2, 3, whole.frequency.size) and whole.peak_frequency.shape == (2, 3)
    one = emission_spectrum(TIMES, signals[1, 2], resolution_bandwidth=60e3)
    np.testing.assert_allclose(whole.power[1, 2], one.power, rtol=1e-12)
    assert whole.groups.shape == (2, 3, 15, whole.frequency.size)
    assert one.peak_power == whole.peak_power[1, 2] and np.ndim(one.peak_power) == 0


def test_agrees_with_welch_of_scipy():
    from scipy.signal import welch

    signal = np.random.default_rng(5).normal(size=TIMES.size)
    ours = emission_spectrum(TIMES, signal, resolution_bandwidth=70e3, window="blackman")
    n = ours.segment
    options = dict(window="blackman", nperseg=n, noverlap=n // 2, nfft=2 * n, detrend=False)
    frequency, density = welch(signal, 1 / STEP, **options)
    np.testing.assert_allclose(ours.frequency, frequency)
    np.testing.assert_allclose(ours.density, density, rtol=1e-9)


@pytest.mark.parametrize(
    ("rbw", "real"), [(40e3, False), (100e3, False), (60e3, True)], ids=["narrow", "half the line", "real"]
)
def test_the_linewidth_of_a_diffusing_phase_within_its_uncertainty(rbw, real):
    width, frequency, lines = 200e3, 9.3e6, 60
    signal = 1.7 * phasor(frequency) * np.exp(-1j * diffusing_phase(width, lines, 6))
    signal, power = (signal.real, 1.7**2 / 2) if real else (signal, 1.7**2)
    fit = lorentzian_fit(emission_spectrum(TIMES, signal, resolution_bandwidth=rbw))
    assert fit.resolved.all() and fit.linewidth.shape == (lines,)
    for value, sigma, truth in (
        (fit.centre, fit.centre_uncertainty, frequency),
        (fit.linewidth, fit.linewidth_uncertainty, width),
        (fit.power, fit.power_uncertainty, power),
    ):
        score = (value - truth) / sigma
        assert 0.45 < np.mean(abs(score) < 1) < 0.92  # 68 % of 24, loosely
        assert abs(score).max() < 6
    # Unbiased: the resolution bandwidth does not add to the width.
    assert fit.linewidth.mean() == pytest.approx(width, rel=0.06)
    assert np.sqrt(np.mean(fit.linewidth_uncertainty**2)) == pytest.approx(fit.linewidth.std(), rel=0.3)


def test_a_white_background_is_told_from_the_line():
    width, random = 100e3, np.random.default_rng(7)
    line = phasor(0.0) * np.exp(-1j * diffusing_phase(width, 8, 8))
    noise = 0.5 * (random.normal(size=line.shape) + 1j * random.normal(size=line.shape))
    spectrum = emission_spectrum(TIMES, line + noise, resolution_bandwidth=40e3)
    fit = lorentzian_fit(spectrum, floor=True, span=10e6)
    assert fit.floor.mean() == pytest.approx(0.5 * STEP, rel=0.1)
    assert fit.linewidth.mean() == pytest.approx(width, rel=0.1)
    assert lorentzian_fit(spectrum, span=10e6).linewidth.mean() > 1.2 * width  # what leaving it out costs


def test_a_line_narrower_than_the_bandwidth_is_not_resolved():
    tone = lorentzian_fit(emission_spectrum(TIMES, phasor(4.0e6), resolution_bandwidth=50e3))
    assert not tone.resolved and tone.linewidth < 5e3
    assert tone.centre == pytest.approx(4e6, abs=1e3) and tone.power == pytest.approx(1, rel=1e-2)
    narrow = phasor(4.0e6) * np.exp(-1j * diffusing_phase(20e3, 4, 9))
    spectrum = emission_spectrum(TIMES, narrow, resolution_bandwidth=100e3)
    assert not lorentzian_fit(spectrum).resolved.any()
    assert lorentzian_fit(emission_spectrum(TIMES, phasor(4e6) * np.exp(-1j * diffusing_phase(400e3, 1, 9)))).resolved


def test_few_segments_fall_back_on_gaussian_scatter():
    signal = phasor(1e6) * np.exp(-1j * diffusing_phase(300e3, 12, 10))
    short = emission_spectrum(TIMES[:6000], signal[:, :6000], resolution_bandwidth=75e3)
    assert short.groups.shape[-2] < 8
    fit = lorentzian_fit(short)
    assert np.median(fit.linewidth_uncertainty) == pytest.approx(1.4 * fit.linewidth.std(), rel=0.6)


def test_linewidth_from_phase():
    width = 50e3
    phase = diffusing_phase(width, 40, 11) + 2 * np.pi * 7e6 * TIMES
    for lag in (None, 2e-7):
        value, sigma = linewidth_from_phase(TIMES, phase, lag=lag)
        assert 0.5 < np.mean(abs(value - width) < sigma) < 0.85
        assert value.mean() == pytest.approx(width, rel=0.08)
    assert sigma.mean() < 0.05 * width


UNEVEN = TIMES.copy()
UNEVEN[500] += 0.3 * STEP
BROKEN = phasor(1e6)
BROKEN[7] = np.inf
TONE = phasor(1e6)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: emission_spectrum(UNEVEN, TONE), "off an even grid by up to 3e-09 s"),
        (lambda: emission_spectrum(TIMES[::-1], TONE), "even, increasing times"),
        (lambda: emission_spectrum(TIMES * 0, TONE), "even, increasing times"),
        (lambda: emission_spectrum(TIMES, BROKEN), "signal at [7] is (inf+0j)"),
        (lambda: emission_spectrum(TIMES, TONE[:-1]), "the last axis of the signal is time"),
        (lambda: emission_spectrum(TIMES[:5], TONE[:5]), "at least 16 samples"),
        (lambda: emission_spectrum(TIMES, TONE, resolution_bandwidth=5e3), "allows 7500 to 9.375e+06 Hz"),
        (lambda: emission_spectrum(TIMES, TONE, resolution_bandwidth=5e3), "Record for longer"),
        (lambda: emission_spectrum(TIMES, TONE, resolution_bandwidth=50e6), "Sample faster"),
        (lambda: emission_spectrum(TIMES, TONE, resolution_bandwidth=-1.0), "it must be > 0"),
        (lambda: emission_spectrum(TIMES, TONE, resolution_bandwidth="1 kHz"), "pass a finite number in Hz"),
        (lambda: emission_spectrum(TIMES, TONE, window="kaiser"), "pass one of hann"),
        (lambda: emission_spectrum(TIMES, TONE.real, frame_frequency=1e6), "Pass the complex amplitude"),
        (lambda: emission_spectrum(TIMES, TONE, TONE), "two real arrays of one shape"),
        (lambda: emission_spectrum(TIMES, ["a"] * TIMES.size), "pass numbers"),
        (lambda: lorentzian_fit(emission_spectrum(TIMES, TONE), span=10.0), "fewer than eight bins"),
        (lambda: lorentzian_fit(emission_spectrum(TIMES, 0 * TONE)), "zero everywhere"),
        (lambda: linewidth_from_phase(TIMES, TIMES, lag=1.0), "lag 1 s; this record allows"),
        (lambda: linewidth_from_phase(TIMES, TONE), "phase is complex"),
    ],
)
def test_what_cannot_be_shown_is_refused(call, text):
    with pytest.raises(PhysnetError) as error:
        call()
    assert text in str(error.value)


def test_a_signal_of_zeros_reads_zero():
    spectrum = emission_spectrum(TIMES, np.zeros(TIMES.size))
    assert spectrum.peak_power == 0 and np.isfinite(spectrum.peak_frequency)


def test_the_least_bandwidth_named_is_accepted():
    spectrum = emission_spectrum(TIMES, TONE, resolution_bandwidth=7500)
    assert spectrum.averages == 1 and spectrum.segment == TIMES.size
