"""Emission spectra as a spectrum analyser shows them."""

from dataclasses import dataclass

import numpy as np

from physnet.errors import PhysnetError

WINDOWS = ("hann", "hamming", "blackman", "blackmanharris", "nuttall", "flattop", "boxcar")
_FEWEST = 16  # samples in a segment; below it a window has no shape left
_GROUPS = 16  # parts of the record kept apart: their scatter is known to 1/sqrt(2 * 15), 18 %


@dataclass(frozen=True)
class Spectrum:
    """Averaged power spectrum of one or many signals; `power` reads as the trace of an analyser does.

    frequency: (bin,) in Hz, evenly spaced by a fraction of the resolution bandwidth. power: (..., bin) in signal^2, the
    mean power passed by a filter of the resolution bandwidth at each frequency; a steady tone of power P peaks at P.
    resolution_bandwidth: in Hz, as equivalent noise bandwidth (the -3 dB width of a Hann window is 0.96 of it).
    averages: number of independent spectra averaged; a reading of noise has the relative standard deviation
    1/sqrt(averages). groups: (..., group, bin) in signal^2, `power` of up to 16 successive parts of the record, as
    equal as they come. Their scatter is the measured uncertainty. group_averages: number of independent spectra in
    each, on average, dimensionless.
    window, segment: name and samples of the segments averaged. sampling_interval: in s. frame_frequency: in Hz, what
    was added to the frequencies in the record. one_sided: True for real signals.
    """

    frequency: np.ndarray
    power: np.ndarray
    resolution_bandwidth: float
    averages: float
    groups: np.ndarray
    group_averages: float
    window: str
    segment: int
    sampling_interval: float
    frame_frequency: float
    one_sided: bool

    @property
    def density(self) -> np.ndarray:
        """(..., bin) in signal^2/Hz: its integral over frequency is the mean square of the signal."""
        return self.power / self.resolution_bandwidth

    @property
    def peak_frequency(self) -> np.ndarray:
        """(...,) in Hz: where the highest reading lies, between bins by a parabola through its logarithm."""
        return self._peak()[0]

    @property
    def peak_power(self) -> np.ndarray:
        """(...,) in signal^2: the highest reading, between bins by a parabola through its logarithm."""
        return self._peak()[1]

    def _peak(self):
        top = np.clip(self.power.argmax(-1), 1, self.frequency.size - 2)[..., None]
        logs = np.log(np.maximum(np.take_along_axis(self.power, top + np.arange(-1, 2), -1), np.finfo(float).tiny))
        left, centre, right = np.moveaxis(logs, -1, 0)
        bend = left - 2 * centre + right
        offset = np.clip(np.where(bend < 0, (left - right) / np.where(bend < 0, 2 * bend, 1), 0), -1, 1)
        step = self.frequency[1] - self.frequency[0]
        height = np.exp(centre + offset * (right - left) / 2 + offset**2 * bend / 2)
        height = np.where(self.power.max(-1) > 0, height, 0)
        return self.frequency[top[..., 0]] + offset * step, height[()]


def emission_spectrum(
    times, signal, imaginary=None, *, resolution_bandwidth=None, window="hann", frame_frequency=0.0
) -> Spectrum:
    """What a spectrum analyser of a given resolution bandwidth shows of a recorded emission.

    The record is cut into half-overlapping windowed segments, as long as the resolution bandwidth asks for, and their
    power spectra are averaged (Welch 1967, doi:10.1109/TAU.1967.1161901). No mean or trend is removed.

    times: (time,) in s, evenly spaced to a thousandth of a step. signal: (..., time), any unit. A real signal (a
    voltage, Re c) gives a one-sided spectrum, in which A cos(2 pi f t) has the power A^2/2. A complex amplitude
    c = sqrt(p) exp(-i phi), as one complex array or as real part and `imaginary`, gives a two-sided spectrum, in which
    sqrt(p) exp(-2 pi i f t) has the power p at +f: the sign of the oscillators here.
    resolution_bandwidth: equivalent noise bandwidth in Hz; the result holds the exact value, off by at most one sample
    in the segment. By default segments are an eighth of the record. window: one of WINDOWS; "flattop" for powers of
    tones (not their frequencies), "blackmanharris" for weak lines beside strong ones. frame_frequency: in Hz, of the
    rotating frame in which c was computed; it is added to the frequencies.

    Raises PhysnetError for times that are not even, values that are not finite, unequal lengths, and a bandwidth that
    the record is too short for (naming the least possible) or the sampling too slow for.
    """
    from scipy.signal import get_window

    step, signal = check_record(times, signal, imaginary)
    if window not in WINDOWS:
        raise PhysnetError(f"emission_spectrum: window is {window!r}; pass one of {', '.join(WINDOWS)}.")
    frame_frequency = check_number("frame_frequency", frame_frequency)
    one_sided, samples = signal.dtype.kind != "c", signal.shape[-1]
    if one_sided and frame_frequency:
        raise PhysnetError(
            f"emission_spectrum: frame_frequency {frame_frequency:g} Hz with a real signal, in which frequencies above "
            "and below the frame's look alike. Pass the complex amplitude."
        )
    if resolution_bandwidth is None:
        segment = max(samples // 8, min(samples, _FEWEST))
    else:
        wanted = check_number("resolution_bandwidth", resolution_bandwidth, positive=True)
        many = get_window(window, 4096)
        bins = 4096 * np.sum(many**2) / np.sum(many) ** 2  # equivalent noise bandwidth over 1/duration
        least, most = bins / (samples * step), bins / (_FEWEST * step)
        if not least * (1 - 1 / samples) <= wanted <= most:
            raise PhysnetError(
                f"emission_spectrum: resolution bandwidth {wanted:g} Hz; this record of {samples * step:g} s, sampled "
                f"every {step:g} s, allows {least:.4g} to {most:.4g} Hz with window '{window}'. "
                + ("Record for longer." if wanted < least else "Sample faster.")
            )
        segment = min(samples, round(bins / (wanted * step)))
    weights = get_window(window, segment)
    hop = segment - segment // 2
    count = (samples - segment) // hop + 1
    edges = np.linspace(0, count, min(count, _GROUPS) + 1).astype(int)
    views = np.lib.stride_tricks.sliding_window_view(signal, segment, -1)[..., ::hop, :]
    # One part at a time: all segments at once would need four times the record.
    parts = [_mean_power(views[..., a:b, :] * weights, one_sided) for a, b in zip(edges, edges[1:])]
    groups = np.stack(parts, -2) / weights.sum() ** 2
    frequency = np.fft.rfftfreq(2 * segment, step) if one_sided else np.fft.fftfreq(2 * segment, step)
    if not one_sided:
        frequency, groups = np.fft.fftshift(frequency), np.fft.fftshift(groups, -1)
    return Spectrum(
        frequency=frequency + frame_frequency,
        power=np.einsum("...gk,g->...k", groups, np.diff(edges) / count),
        resolution_bandwidth=float(np.sum(weights**2) / np.sum(weights) ** 2 / step),
        averages=_averages(weights, count),
        groups=groups,
        group_averages=_averages(weights, count / len(parts)),
        window=window,
        segment=segment,
        sampling_interval=step,
        frame_frequency=frame_frequency,
        one_sided=one_sided,
    )


def _mean_power(segments, one_sided):
    """(..., segment, sample) -> (..., bin): mean |transform|^2, one-sided readings doubled."""
    from scipy.fft import fft, rfft

    # Padded to twice the length: no tone then falls far between bins, and the model of a line is a plain transform.
    length = 2 * segments.shape[-1]
    if one_sided:
        power = (np.abs(rfft(segments, length)) ** 2).mean(-2)
        power[..., 1:-1] *= 2  # zero and half the sampling rate are their own mirror images
        return power
    # c = sqrt(p) exp(-i phi) turns clockwise at a positive frequency; transforms count the other way.
    return (np.abs(fft(segments.conj(), length)) ** 2).mean(-2)


def _averages(weights, count):
    """How many independent spectra `count` half-overlapping segments are worth, for white noise."""
    n = weights.size
    hop = n - n // 2
    shared = (np.sum(weights[hop:] * weights[: n - hop]) / np.sum(weights**2)) ** 2
    return float(count / (1 + 2 * (1 - 1 / count) * shared))


def check_record(times, signal, imaginary):
    """(sampling interval, signal) as checked arrays; real and imaginary part joined."""
    times, signal = np.asarray(times), np.asarray(signal)
    if imaginary is not None:
        imaginary = np.asarray(imaginary)
        if signal.shape != imaginary.shape or signal.dtype.kind == "c" or imaginary.dtype.kind == "c":
            raise PhysnetError(
                f"spectrum: real part {signal.dtype}{signal.shape} and imaginary part {imaginary.dtype}"
                f"{imaginary.shape}; pass two real arrays of one shape."
            )
        signal = signal + 1j * imaginary
    if times.ndim != 1 or times.dtype.kind not in "iuf" or signal.dtype.kind not in "iufc":
        raise PhysnetError(
            f"spectrum: times {times.dtype}{times.shape}, signal {signal.dtype}; pass numbers, times (time,)."
        )
    if signal.shape[-1:] != times.shape or times.size < _FEWEST:
        raise PhysnetError(
            f"spectrum: {times.size} times and a signal of shape {signal.shape}; the last axis of the signal is time, "
            f"with at least {_FEWEST} samples."
        )
    for name, array in (("times", times), ("signal", signal)):
        wrong = np.argwhere(~np.isfinite(array))
        if wrong.size:
            place = wrong[0].tolist()
            raise PhysnetError(f"spectrum: {name} at {place} is {array[tuple(place)]}. Leave out what diverged.")
    step = float(times[-1] - times[0]) / (times.size - 1)
    off = np.abs(times - np.linspace(times[0], times[-1], times.size)).max()
    if not step > 0 or off > 1e-3 * step:
        raise PhysnetError(
            f"spectrum: times are off an even grid by up to {off:g} s (mean step {step:g} s). "
            "Sample at even, increasing times, or interpolate."
        )
    return step, signal.astype(complex if signal.dtype.kind == "c" else float)


def check_number(name, value, unit="Hz", *, positive=False):
    """The value as a float; PhysnetError unless it is one finite (positive) real number."""
    if not np.isscalar(value) or isinstance(value, str) or np.iscomplexobj(value) or not np.isfinite(value):
        raise PhysnetError(f"spectrum: {name} is {value!r}; pass a finite number in {unit}.")
    if positive and not value > 0:
        raise PhysnetError(f"spectrum: {name} {value:g} {unit}; it must be > 0.")
    return float(value)
