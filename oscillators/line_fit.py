"""Linewidths: a Lorentzian fitted to an averaged spectrum, and the diffusion of a recorded phase."""

from dataclasses import dataclass

import numpy as np

from oscillators.spectrum import Spectrum, check_number, check_record
from physnet.errors import PhysnetError

_FLOOR = 1e-5  # of the highest reading: keeps the leakage of a pure tone, which is rounding, out of a fit
_ENOUGH = 8  # parts of a record from which their own scatter is the better measure of uncertainty


@dataclass(frozen=True)
class LorentzianFit:
    """Lorentzian lines with the effect of the resolution bandwidth removed, one for each of the signals (...,).

    centre: (...,) in Hz. linewidth: (...,), full width at half maximum in Hz. power: (...,), of the whole line, in
    signal^2. floor: (...,), white background density in signal^2/Hz, zero unless it was asked for. centre_uncertainty,
    linewidth_uncertainty: (...,), one standard deviation, in Hz. power_uncertainty: (...,), likewise, in signal^2.
    resolved: (...,), whether the fit converged on a line at least as wide as the resolution bandwidth. Where False, the
    linewidth says no more than "narrower than about the resolution bandwidth", and its uncertainty is not to be
    trusted.
    """

    centre: np.ndarray
    linewidth: np.ndarray
    power: np.ndarray
    floor: np.ndarray
    centre_uncertainty: np.ndarray
    linewidth_uncertainty: np.ndarray
    power_uncertainty: np.ndarray
    resolved: np.ndarray


def lorentzian_fit(spectrum: Spectrum, *, span=None, floor=False) -> LorentzianFit:
    """Centre, linewidth and power of the strongest line of each signal, by maximum likelihood.

    The readings of a noisy line scatter like chi-square around their expectation (Whittle's likelihood), so each bin
    counts by its relative error. The expectation is that of these very segments: the transform of the line's
    correlation P exp(-pi FWHM |t|) times that of the window. So neither the resolution bandwidth nor aliasing widens
    the result.

    The uncertainty is measured, from the scatter between successive parts of the record, so it holds for phase noise as
    for Gaussian noise. A record of fewer than eight segments falls back on the scatter of Gaussian noise, which for an
    oscillator of steady power overstates the linewidth's by 1.4 and understates the centre's as much. Drift and 1/f
    noise make lines Gaussian and wider, which no uncertainty here covers.

    spectrum: of `emission_spectrum`. span: half-width in Hz of the range fitted around the peak; by default five
    linewidths, at least five resolution bandwidths. floor: also fit a white background; pass a span that reaches it.
    Raises PhysnetError for a span of fewer than eight bins and for a spectrum of zeros.
    """
    step = spectrum.frequency[1] - spectrum.frequency[0]
    if span is not None and (check_number("span", span, positive=True) < 4 * step):
        raise PhysnetError(
            f"lorentzian_fit: span {span:g} Hz holds fewer than eight bins; pass {4 * step:.4g} Hz or more."
        )
    lead, groups = spectrum.power.shape[:-1], spectrum.groups
    pairs = zip(spectrum.power.reshape(-1, spectrum.frequency.size), groups.reshape(-1, *groups.shape[-2:]))
    fits = [_fit_line(spectrum, power, parts, span, floor) for power, parts in pairs]
    columns = np.array(fits, float).reshape(*lead, 8)
    return LorentzianFit(*np.moveaxis(columns[..., :7], -1, 0), columns[..., 7].astype(bool))


def _fit_line(spectrum, power, groups, span, with_floor):
    from scipy.optimize import least_squares

    frequency, rbw = spectrum.frequency, spectrum.resolution_bandwidth
    top = power.max()
    if not top > 0:
        raise PhysnetError("lorentzian_fit: a spectrum is zero everywhere. Leave out signals that are constantly zero.")
    step = frequency[1] - frequency[0]
    centre, width = frequency[power.argmax()], max(rbw, step * np.sum(power > top / 2))
    for _ in range(1 if span is not None else 3):
        reach = span if span is not None else 5 * max(width, rbw)
        inside = np.abs(frequency - centre) <= reach
        if spectrum.one_sided:
            inside[[0, -1]] = False  # the two bins that are their own mirror image are not doubled
        readings = power[inside] / top + _FLOOR
        model = _line_model(spectrum, inside, centre, with_floor)
        area = readings.sum() * step / rbw

        def residuals(x, readings=readings, model=model):
            return _deviance_root(readings / model(x)[0])

        def jacobian(x, readings=readings, model=model):
            value, slopes = model(x)
            ratio = readings / value
            root = _deviance_root(ratio)
            near = np.abs(root) < 1e-6
            return -(np.where(near, 1, (ratio - 1) / np.where(near, 1, root)) * slopes).T

        # Logarithm of power and width, centre in resolution bandwidths, logarithm of the floor.
        low, high = [-np.inf, np.log(1e-6), -reach / rbw], [np.inf, np.log(frequency.size * step / rbw), reach / rbw]
        start = [np.log(area), np.log(width / rbw), 0.0]
        if with_floor:
            start, low, high = [*start, np.log(readings.min())], [*low, np.log(_FLOOR) - 10], [*high, 0.0]
        solved = least_squares(residuals, np.clip(start, low, high), jacobian, (low, high), x_scale=1.0)
        previous, width = width, rbw * np.exp(solved.x[1])
        centre += rbw * solved.x[2]
        if np.abs(np.log(max(width, rbw) / max(previous, rbw))) < 0.2:
            break
    covariance = _covariance(spectrum, groups[:, inside] / top + _FLOOR, *model(solved.x))
    sigma = np.sqrt(np.maximum(np.diag(covariance), 0))
    area = np.exp(solved.x[0]) * top
    background = np.exp(solved.x[3]) * top / rbw if with_floor else 0.0
    errors = rbw * sigma[2], width * sigma[1], area * sigma[0]
    return centre, width, area, background, *errors, solved.success and width >= rbw


def _deviance_root(ratio):
    """Signed roots of the gamma deviance: their sum of squares is, but for a constant, -2 log likelihood."""
    return np.sign(ratio - 1) * np.sqrt(np.maximum(2 * (ratio - 1 - np.log(ratio)), 0))


def _line_model(spectrum, inside, centre, with_floor):
    """x -> expected readings, with `_FLOOR`, and the slopes of their logarithms, on the bins `inside`."""
    from scipy.fft import fft
    from scipy.signal import get_window

    n, rbw = spectrum.segment, spectrum.resolution_bandwidth
    weights = get_window(spectrum.window, n)
    overlap = np.fft.irfft(np.abs(np.fft.rfft(weights, 2 * n)) ** 2, 2 * n)[:n] / weights.sum() ** 2
    overlap[1:] *= 2  # negative lags are the conjugates of these
    lags = spectrum.sampling_interval * np.arange(n)
    offset = centre - spectrum.frame_frequency

    def model(x):
        size, width, place = np.exp(x[0]), rbw * np.exp(x[1]), offset + rbw * x[2]
        line = size * np.exp((2j * np.pi * place - np.pi * width) * lags)
        rows = np.stack([line, -np.pi * width * lags * line, 2j * np.pi * rbw * lags * line])
        if spectrum.one_sided:
            rows = 2 * rows.real  # the mirror line at -f; what one-sided spectra double
        rows = fft(rows * overlap, 2 * n).real
        rows = rows[:, : n + 1] if spectrum.one_sided else np.fft.fftshift(rows, -1)
        value, slopes = rows[0, inside], rows[:, inside]
        if with_floor:
            value, slopes = value + np.exp(x[3]), np.vstack([slopes, np.full(value.size, np.exp(x[3]))])
        value = np.maximum(value, 0) + _FLOOR
        return value, slopes / value

    return model


def _covariance(spectrum, groups, expected, slopes):
    """Of the estimates: information^-1 scatter information^-1, the scatter of the likelihood's slope being measured.

    The textbook scatter is that of Gaussian noise. An oscillator of steady power and diffusing phase is not Gaussian:
    its power hardly scatters, its centre sqrt(2) more. So the scatter is taken from successive parts of the record.
    """
    information = slopes @ slopes.T
    if len(groups) >= _ENOUGH:
        scores = slopes @ (groups / expected - 1).T
        scatter = np.cov(scores) * spectrum.group_averages / spectrum.averages
    else:
        shared = _shared(spectrum)
        scatter = information / spectrum.averages
        for lag in range(1, min(32, slopes.shape[1], shared.size)):
            cross = slopes[:, lag:] @ slopes[:, :-lag].T
            scatter = scatter + shared[lag] / spectrum.averages * (cross + cross.T)
    inverse = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
    return inverse @ scatter @ inverse


def _shared(spectrum):
    """Correlation of the readings of noise in bins (0, 1, 2, ...) apart."""
    from scipy.signal import get_window

    weights = get_window(spectrum.window, spectrum.segment)
    return np.abs(np.fft.rfft(weights**2, 2 * spectrum.segment)) ** 2 / np.sum(weights**2) ** 2


def linewidth_from_phase(times, phase, *, lag=None):
    """Linewidth of a noisy oscillation from the diffusion of its phase: var(phi(t + lag) - phi(t)) = 2 pi FWHM lag.

    times: (time,) in s, evenly spaced. phase: (..., time) in rad, unwrapped. lag: in s, many times 1/(2 G_p), below
    which the power still correlates the phase; by default 1/64 of the record. Successive lags are used, their mean
    drift (the frequency) removed.

    Returns (linewidth, uncertainty), each (...) in Hz; the uncertainty, one standard deviation, is that of a variance.
    Raises PhysnetError as `emission_spectrum` does, and for a lag that is not within the record at least four times.
    """
    step, phase = check_record(times, phase, None)
    if phase.dtype.kind == "c":
        raise PhysnetError("linewidth_from_phase: phase is complex; pass -np.unwrap(np.angle(c)) for an amplitude c.")
    stride = (
        max(phase.shape[-1] // 64, 1) if lag is None else round(check_number("lag", lag, "s", positive=True) / step)
    )
    if not 1 <= stride <= (phase.shape[-1] - 1) // 4:
        longest = (phase.shape[-1] - 1) // 4 * step
        raise PhysnetError(f"linewidth_from_phase: lag {lag:g} s; this record allows {step:g} to {longest:g} s.")
    moves = np.diff(phase[..., ::stride], axis=-1)
    width = moves.var(-1, ddof=1) / (2 * np.pi * stride * step)
    return width, width * np.sqrt(2 / (moves.shape[-1] - 1))
