"""Who keeps step with whom: locking by mean frequencies and by the emission spectrum, clusters, order parameters."""

from dataclasses import dataclass

import numpy as np

from oscillators.spectrum import Spectrum, emission_spectrum
from oscillators.window import Window, check_resolution, resolution_over
from physnet.errors import PhysnetError
from physnet.trajectory import Trajectory


@dataclass(frozen=True)
class Synchronisation:
    """What a window of a run says about synchronisation. Leading sample axis where the run had one.

    frequencies: (*sample, oscillator), Hz, means over the window in the laboratory frame. clusters: (*sample,
    oscillator), whole numbers: oscillators whose frequencies form a chain of steps of at most `resolution` share one,
    numbered by their first member; -1 without a frequency. order_parameter: (*sample), mean over the window of |mean
    exp(i phi)|, dimensionless. cluster_order_parameter: (*sample, oscillator), dimensionless, the same over the members
    of each one's cluster. resolution: Hz; frequencies closer than it are equal as far as this window tells. change:
    (*sample), Hz, the most that a mean frequency differs between the halves of the window, where one slip more in one
    half is 2/duration.
    settled: (*sample), whether that is within 3 resolutions. begin, end: s.
    """

    frequencies: np.ndarray
    clusters: np.ndarray
    order_parameter: np.ndarray
    cluster_order_parameter: np.ndarray
    resolution: float
    change: np.ndarray
    settled: np.ndarray
    begin: float
    end: float

    @property
    def locked(self) -> np.ndarray:
        """(*sample, oscillator, oscillator): which pairs keep step, within the resolution."""
        return locked_pairs(self.frequencies, self.resolution)

    @property
    def cluster_count(self) -> np.ndarray:
        """(*sample): how many different frequencies there are."""
        return self.clusters.max(axis=-1) + 1

    @property
    def synchronised(self) -> np.ndarray:
        """(*sample): whether all oscillators keep step."""
        return (self.clusters == 0).all(axis=-1)

    def __str__(self):
        least = 2 / (self.end - self.begin)
        advice = f"follow it for longer (one slip more in one half is {least:.3g} Hz)"
        if self.clusters.ndim > 1:
            text = (
                f"{int(self.synchronised.sum())} of {self.synchronised.size} samples synchronised (mean frequencies "
                f"from {self.begin:.4g} to {self.end:.4g} s, alike within {self.resolution:.3g} Hz)"
            )
            count = int((~self.settled).sum())
            if count:
                worst = int(np.argmax(np.where(self.settled, -1.0, np.nan_to_num(self.change, nan=np.inf))))
                text += (
                    f"\nnot settled: {count} of {self.settled.size} samples, most of all sample {worst}, whose mean "
                    f"frequencies change by {self.change[worst]:.3g} Hz between the halves of the window; {advice}"
                )
            return text
        groups = [np.flatnonzero(self.clusters == k).tolist() for k in range(int(self.cluster_count))]
        rows = [f"{float(self.frequencies[group].mean()):.9g} Hz: oscillators {group}" for group in groups]
        rows.append(f"order parameter {float(self.order_parameter):.4f}, resolution {self.resolution:.3g} Hz")
        if not self.settled:
            rows.append(
                f"not settled: a mean frequency changes by {float(self.change):.3g} Hz between the halves of the "
                f"window; {advice}"
            )
        return "\n".join(rows)


def synchrony(
    trajectory: Trajectory, *, begin=None, end=None, resolution=None, weighting: str = "flat"
) -> Synchronisation:
    """Frequencies, clusters and order parameters over a window of a run of oscillators.

    trajectory: of `integrate`. weighting: "flat" or "smooth", as for `mean_frequencies`. begin, end: s; the second half
    of the run by default. resolution: Hz, how close the frequencies of locked oscillators are; by default as close as
    the window can tell, 0.75/(end - begin), so that one full turn gained or lost parts them (2/(end - begin) for
    weighting "smooth", see `mean_frequencies`).
    Raises PhysnetError for a finer one, and as `mean_frequencies` does.
    """
    window = Window.of(trajectory, begin, end, least=5)
    resolution = resolution_over(window.duration, weighting, resolution)
    frequencies = window.frequencies(weighting)
    change = np.abs(frequencies[2] - frequencies[1]).max(axis=0)
    found = window.unbatched(frequencies[0])
    labels = clusters(found, resolution)
    whole, own = _coherence(window, np.atleast_2d(labels).T)
    return Synchronisation(
        frequencies=found,
        clusters=labels,
        order_parameter=window.unbatched(whole),
        cluster_order_parameter=window.unbatched(own),
        resolution=resolution,
        change=window.unbatched(change),
        settled=window.unbatched(change <= 3 * resolution),
        begin=float(window.times[0]),
        end=float(window.times[-1]),
    )


def locked_pairs(frequencies, resolution: float) -> np.ndarray:
    """(..., oscillator, oscillator): which two oscillators keep step.

    frequencies: (..., oscillator), Hz. resolution: Hz, within which two are alike.
    """
    frequencies, resolution = np.asarray(frequencies, float), check_resolution(resolution, "locked_pairs")
    return np.abs(frequencies[..., :, None] - frequencies[..., None, :]) <= resolution


def clusters(frequencies, resolution: float) -> np.ndarray:
    """(..., oscillator) labels: oscillators that keep one frequency share one, numbered by their first member.

    frequencies: (..., oscillator), Hz. Sorted, they part wherever a gap exceeds `resolution`, Hz. NaN gets -1.
    Raises PhysnetError for a resolution that is no number of at least 0.
    """
    frequencies, resolution = np.asarray(frequencies, float), check_resolution(resolution, "clusters")
    flat = frequencies.reshape(-1, frequencies.shape[-1])
    order = np.argsort(flat, axis=1, kind="stable")  # NaN last
    with np.errstate(invalid="ignore"):
        apart = np.diff(np.take_along_axis(flat, order, 1), axis=1) > resolution
    group = np.empty(flat.shape, int)
    np.put_along_axis(group, order, np.pad(np.cumsum(apart, axis=1), ((0, 0), (1, 0))), 1)
    rows = np.broadcast_to(np.arange(len(flat))[:, None], flat.shape)
    known = np.isfinite(flat)
    first = np.full(flat.shape, flat.shape[1])
    np.minimum.at(first, (rows[known], group[known]), np.broadcast_to(np.arange(flat.shape[1]), flat.shape)[known])
    rank = np.argsort(np.argsort(first, axis=1, kind="stable"), axis=1)
    return np.where(known, np.take_along_axis(rank, group, 1), -1).reshape(frequencies.shape)


def emission(trajectory: Trajectory, *, begin=None, end=None, **options) -> Spectrum:
    """The emission spectrum of the sum of all amplitudes of a run, laboratory frame.

    trajectory: of `integrate`. begin, end: s; the second half of the run by default. options: resolution_bandwidth and
    window, as for `emission_spectrum`. Raises PhysnetError as that does, for times that are not even among others.
    """
    window = Window.of(trajectory, begin, end)
    if window.angle is None:
        signal = (window.real + 1j * window.imag).sum(axis=1)
    else:
        signal = np.exp(-1j * window.angle).sum(axis=1)
    frame = window.frame
    reference = float(frame.flat[0])
    if (frame != reference).any():  # frames differ between samples or in time: turn all into one
        spans = np.diff(window.times, prepend=window.times[0])[:, None]
        offset = np.broadcast_to(frame - reference, (len(window.times), frame.shape[1]))
        steps = spans * (offset + np.roll(offset, 1, axis=0)) / 2
        signal = signal * np.exp(-2j * np.pi * np.cumsum(steps, axis=0))
    return emission_spectrum(window.times, window.unbatched(signal), frame_frequency=reference, **options)


def spectral_peaks(spectrum: Spectrum, *, fraction: float = 0.1) -> np.ndarray | list:
    """Frequencies, Hz, of the peaks of a spectrum, (peak,), lowest first.

    spectrum: of `emission_spectrum` or `emission`. fraction: the share of the largest peak that one must reach. Two
    maxima are two peaks where the reading between them falls to half of the lower. Oscillators that keep step show one;
    beats between them show more. For spectra (..., bin) a nested list. Frequencies closer than about 1.5 times the
    resolution bandwidth make one peak: read with mean frequencies, which resolve finer.
    """
    from scipy.signal import find_peaks

    if not 0 < fraction <= 1:
        raise PhysnetError(f"spectral_peaks: fraction is {fraction!r}; give a number above 0 and at most 1.")

    def peaks(power):
        if power.ndim > 1:
            return [peaks(one) for one in power]
        if not power.max() > 0:
            return np.empty(0)
        logs = np.log(np.maximum(power, power.max() * 1e-12))
        padded = np.pad(logs, 1, constant_values=logs.min())  # a peak may stand at the edge
        places, _ = find_peaks(padded, height=logs.max() + np.log(fraction) - 1e-12, prominence=np.log(2))
        return spectrum.frequency[places - 1]

    return peaks(spectrum.power)


def _coherence(window: Window, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over the window of |mean exp(i phi)|: of all (sample,), and of each one's cluster (oscillator, sample).

    labels: (oscillator, sample).
    """
    count, size, samples = window.shape
    groups = max(1, int(labels.max()) + 1)
    place = (np.maximum(labels, 0) * samples + np.arange(samples)).ravel()
    members = np.maximum(np.bincount(place, minlength=groups * samples), 1)
    whole, parts = np.zeros(samples), np.zeros(groups * samples)
    for rows in window.blocks():
        unit = window.unit(rows)
        whole += np.abs(unit.mean(axis=1)).sum(axis=0)
        if groups == 1:
            continue
        for one in unit:
            value = one.ravel()
            real, imag = (np.bincount(place, part, groups * samples) for part in (value.real, value.imag))
            parts += np.hypot(real, imag) / members
    whole /= count
    own = np.broadcast_to(whole, (size, samples)) if groups == 1 else (parts / count)[place].reshape(size, samples)
    return whole, np.where(labels >= 0, own, np.nan)
