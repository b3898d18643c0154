"""Phases as recorded in time: mean frequencies, order parameters, phase slips.

Amplitudes are c = sqrt(p) exp(-i phi), so that phi = -arg c grows at a positive frequency. Everything here reads the
states of a `Trajectory` of `AutoOscillators`, `Phasors`, `Kuramoto` or `PhaseNetwork`, alone or `Varied`, with or
without a sample axis. Frequencies are those of the laboratory: that of the system's rotating frame is added.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from oscillators import checks
from oscillators.auto_oscillator import AutoOscillators
from oscillators.phase_model import PhaseModel
from physnet.engines.base import fastest_rate
from physnet.errors import PhysnetError, require_instance
from physnet.signals import Held
from physnet.trajectory import Trajectory
from physnet.varied import Varied

WEIGHTINGS = {"flat": 0.75, "smooth": 2.0}  # and the resolution of each, over one per duration
_LARGEST_TURN = 0.75 * np.pi  # rad between records; beyond it a phase might have gone round the other way
_BLOCK = 1 << 17  # numbers worked on at once: they stay in the cache
_FEWEST_RECORDS, _RECORDED = 257, 1.5  # and rad of the fastest rate between records by default
_PROBED = 17  # records at which the phase velocity is compared with the recording interval
_ANGLES, _REAL = ("oscillator_phase",), ("amplitude_real", "phasor_real")


@dataclass(frozen=True)
class Window:
    """The part of a trajectory from `begin` to `end`, s, laid out (time, oscillator, sample) as views, not copies.

    times: (time,), s. angle, or real and imag: (time, oscillator, sample). first: index of its first record.
    """

    trajectory: Trajectory
    times: np.ndarray
    angle: np.ndarray | None
    real: np.ndarray | None
    imag: np.ndarray | None
    first: int

    @classmethod
    def of(cls, trajectory: Trajectory, begin=None, end=None, least: int = 2) -> "Window":
        """By default the second half of the run. Raises PhysnetError for what is no record of oscillators."""
        require_instance(trajectory, Trajectory, "trajectory")
        model = trajectory.system
        while isinstance(model, Varied):
            model = model.system
        names = [variable.name for variable in model.variables]
        angle = next((i for i, name in enumerate(names) if name in _ANGLES), None)
        real = next((i for i, name in enumerate(names) if name in _REAL), None)
        if not isinstance(model, AutoOscillators | PhaseModel) or angle is real is None:
            raise PhysnetError(
                f"trajectory: a run of {type(model).__name__} ({', '.join(names)}) does not tell frequencies; pass one "
                "of AutoOscillators, Phasors, Kuramoto or PhaseNetwork."
            )
        times = np.asarray(trajectory.times, float)
        begin = (times[0] + times[-1]) / 2 if begin is None else _time(begin, "begin")
        end = times[-1] if end is None else _time(end, "end")
        slack = 4 * float(np.finfo(trajectory.times.dtype).eps) * np.abs(times).max()  # times were rounded to it
        inside = np.flatnonzero((times >= begin - slack) & (times <= end + slack))
        if inside.size < least:
            raise PhysnetError(
                f"trajectory: {inside.size} recorded times lie from {begin:.6g} to {end:.6g} s (the record runs from "
                f"{times[0]:.6g} to {times[-1]:.6g} s); at least {least} are needed. Record more times there."
            )
        rows = slice(inside[0], inside[-1] + 1)
        leaves = jax.tree.leaves(trajectory.state)
        batched = np.ndim(trajectory.steps) > 0

        def view(index):
            leaf = np.asarray(leaves[index])
            return np.moveaxis(leaf, 0, -1)[rows] if batched else leaf[rows, :, None]

        parts = (view(angle), None, None) if real is None else (None, view(real), view(real + 1))
        return cls(trajectory, times[rows], *parts, int(rows.start))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(time, oscillator, sample)"""
        return (self.real if self.angle is None else self.angle).shape

    @property
    def duration(self) -> float:
        """s"""
        return float(self.times[-1] - self.times[0])

    def unbatched(self, array: np.ndarray) -> np.ndarray:
        """(..., sample) -> (sample, ...), without the sample axis where the trajectory had none."""
        array = np.moveaxis(array, -1, 0)
        return array if np.ndim(self.trajectory.steps) else array[0]

    def blocks(self, overlap: int = 0) -> Iterator[slice]:
        """Stretches of time that fit the cache; each repeats the last `overlap` records of the one before."""
        count, *rest = self.shape
        length = max(1 + overlap, _BLOCK // max(1, int(np.prod(rest))))
        for begin in range(0, count - overlap, length - overlap):
            yield slice(begin, min(begin + length, count))

    def phases(self, rows: slice) -> np.ndarray:
        """phi, rad, in the rotating frame, not unwrapped: (rows, oscillator, sample)."""
        if self.angle is not None:
            return self.angle[rows]
        return np.arctan2(-self.imag[rows], self.real[rows])

    def unit(self, rows: slice) -> np.ndarray:
        """exp(i phi), complex, (rows, oscillator, sample)."""
        if self.angle is not None:
            return np.exp(1j * self.angle[rows])
        value = self.real[rows] - 1j * self.imag[rows]
        with np.errstate(invalid="ignore"):  # an amplitude of exactly 0 has no phase: NaN
            return value / np.abs(value)

    @cached_property
    def frame(self) -> np.ndarray:
        """Frequency of the rotating frame, Hz: (time or 1, sample)."""
        inputs = np.asarray(self.trajectory.inputs)
        width = len(self.trajectory.system.input_shape)
        inputs = inputs if np.ndim(self.trajectory.steps) else inputs[None]
        rows = slice(self.first, self.first + len(self.times))
        inputs = inputs[:, rows] if inputs.ndim > 1 + width else inputs[:, None]  # in time, or held
        flat = inputs.reshape(-1, *inputs.shape[2:])
        return np.asarray(_frames(self.trajectory.system, flat), float).reshape(inputs.shape[:2]).T

    def turned(self, weights: np.ndarray) -> np.ndarray:
        """sum over intervals of weights (row, interval) times the turn in each, rad: (row, oscillator, sample).

        Raises PhysnetError where records are too far apart to tell how far a phase turned in between.
        """
        total = np.zeros((len(weights), *self.shape[1:]))
        worst = np.zeros(self.shape[1:])
        for rows in self.blocks(overlap=1):
            turns = np.diff(self.phases(rows), axis=0)
            if self.angle is None:
                turns -= 2 * np.pi * np.round(turns / (2 * np.pi))
                np.maximum(worst, np.abs(turns).max(axis=0), out=worst)
            total += np.tensordot(weights[:, rows.start : rows.stop - 1], turns, 1)
        if self.angle is None:
            self._check_spacing(worst)
        return total

    @cached_property
    def _speed(self) -> np.ndarray:
        """Typical size of dphi/dt, rad/s, in the frame, by the system's own vector field: (oscillator, sample)."""
        rows = self.first + np.unique(np.linspace(0, len(self.times) - 1, _PROBED).round().astype(int))
        trajectory = self.trajectory
        batched = np.ndim(trajectory.steps) > 0
        states = [np.asarray(leaf) if batched else np.asarray(leaf)[None] for leaf in jax.tree.leaves(trajectory.state)]
        samples = states[0].shape[0]
        states = [leaf[:, rows].reshape(-1, *leaf.shape[2:]) for leaf in states]
        inputs = np.asarray(trajectory.inputs) if batched else np.asarray(trajectory.inputs)[None]
        width = len(trajectory.system.input_shape)
        inputs = inputs[:, rows] if inputs.ndim > 1 + width else np.repeat(inputs[:, None], rows.size, 1)
        inputs = inputs.reshape(-1, *inputs.shape[2:])
        state = jax.tree.unflatten(jax.tree.structure(trajectory.state), states)
        speed = np.asarray(_speeds(trajectory.system, state, inputs)).reshape(samples, rows.size, -1)
        # Signed, since noise of the amplitude shakes it to both sides; the median, since an amplitude that passes
        # through 0 makes one record fast, not half of them.
        return np.abs(np.median(speed, axis=1)).T

    def _check_spacing(self, worst: np.ndarray) -> None:
        interval = np.diff(self.times).max()
        turn = np.fmax(worst, self._speed * interval)
        if not (turn > _LARGEST_TURN).any():
            return
        oscillator, sample = np.unravel_index(np.nanargmax(turn), turn.shape)
        largest = interval * _LARGEST_TURN / turn[oscillator, sample]
        where = f" of sample {sample}" if np.ndim(self.trajectory.steps) else ""
        raise PhysnetError(
            f"trajectory: records are up to {interval:.4g} s apart, in which oscillator {oscillator}{where} may turn "
            f"by {turn[oscillator, sample]:.3g} rad against the rotating frame, so that full turns cannot be counted. "
            f"Record at least every {largest:.3g} s, or let the frame turn with the oscillators (frame=...)."
        )

    def weights(self, weighting: str) -> np.ndarray:
        """(3, interval) for the whole window, its first and its second half; each turns a sum into a mean rate."""
        if weighting not in WEIGHTINGS:
            raise PhysnetError(f"weighting is {weighting!r}; pass one of {', '.join(WEIGHTINGS)}.")
        spans = np.diff(self.times)
        middle = (self.times[1:] + self.times[:-1]) / 2
        found = []
        for begin, end in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0)):
            place = ((middle - self.times[0]) / self.duration - begin) / (end - begin)
            inside = (place > 0) & (place < 1)
            weight = np.where(inside, 1.0, 0.0)
            if weighting == "smooth":  # flat to all orders at both ends: what beats averages out
                place = np.where(inside, place, 0.5)
                weight = weight * np.exp(-1 / (place * (1 - place)))
            total = weight @ spans
            found.append(weight / total if total > 0 else np.full(spans.shape, np.nan))
        return np.array(found)

    def frequencies(self, weighting: str) -> np.ndarray:
        """(3, oscillator, sample), Hz: mean frequencies over the window and over its halves."""
        weights = self.weights(weighting)
        found = self.turned(weights) / (2 * np.pi)
        frame = self.frame
        if len(frame) > 1:
            frame = weights @ (np.diff(self.times)[:, None] * (frame[1:] + frame[:-1]) / 2)
        return found + frame[:, None, :]


def resolution(duration: float, weighting: str = "flat") -> float:
    """Hz: mean frequencies over `duration`, s, that are closer than this count as equal."""
    return WEIGHTINGS[weighting] / duration


def mean_frequencies(trajectory: Trajectory, *, begin=None, end=None, weighting: str = "flat") -> np.ndarray:
    """Mean frequency of each oscillator in the laboratory frame, Hz, (*sample, oscillator).

    begin, end: s; the second half of the run by default. weighting: "flat", turns over time, which tells apart what
    differs by 0.75/(end - begin); or "smooth", which counts the middle of the window most, so that the phase with which
    a beat happens to begin and end hardly matters: for beats that fit several times into the window it is far closer.
    NaN where a state is not finite.
    Raises PhysnetError where a phase turns too far between records to be followed (naming the longest interval that is
    safe), and for a trajectory without phases.
    """
    window = Window.of(trajectory, begin, end)
    return window.unbatched(window.frequencies(weighting)[0])


def unwrapped_phases(trajectory: Trajectory, *, begin=None, end=None) -> np.ndarray:
    """phi, rad, (*sample, time, oscillator), in the rotating frame, continuous in time. Errors: `mean_frequencies`."""
    window = Window.of(trajectory, begin, end)
    if window.angle is None:
        window._check_spacing(_largest_turn(window))
        found = np.unwrap(window.phases(slice(None)), axis=0)
    else:
        found = window.angle
    return window.unbatched(found)


def order_parameter(trajectory: Trajectory, *, harmonic: int = 1, oscillators=None, begin=None, end=None) -> np.ndarray:
    """r(t) = |mean over oscillators of exp(i harmonic phi)| at each recorded time, (*sample, time).

    harmonic: m of the m-th order parameter (Daido 1992, doi:10.1143/ptp/88.6.1213): two opposite groups have 0 at 1
    and 1 at 2. oscillators: which to take; all by default. begin, end: s; the whole run by default.
    """
    if isinstance(harmonic, bool) or not isinstance(harmonic, int | np.integer) or harmonic < 1:
        raise PhysnetError(f"order_parameter: harmonic is {harmonic!r}; give a whole number of at least 1.")
    begin = np.asarray(trajectory.times)[0] if begin is None else begin
    window = Window.of(trajectory, begin, end, least=1)
    chosen = slice(None) if oscillators is None else np.asarray(oscillators, int)
    found = np.empty((window.shape[0], window.shape[2]))
    for rows in window.blocks():
        found[rows] = np.abs(np.mean(window.unit(rows)[:, chosen] ** harmonic, axis=1))
    return window.unbatched(found)


def phase_slips(trajectory: Trajectory, first: int = 0, second: int = 1, *, begin=None, end=None):
    """(forward, backward): how often phi_first - phi_second gained and lost a full turn, whole numbers (*sample,).

    A slip counts when the difference is a full turn away from where it was at the last one (or at `begin`), so a phase
    that trembles about a boundary does not slip. begin, end: s; the second half of the run by default. Errors:
    `mean_frequencies`.
    """
    window = Window.of(trajectory, begin, end)
    for name, index in (("first", first), ("second", second)):
        if not 0 <= index < window.shape[1]:
            raise PhysnetError(f"phase_slips: {name} is {index}; oscillators are numbered 0 to {window.shape[1] - 1}.")
    if window.angle is None:
        window._check_spacing(_largest_turn(window))
        parts = [np.unwrap(np.arctan2(-window.imag[:, i], window.real[:, i]), axis=0) for i in (first, second)]
    else:
        parts = [window.angle[:, i] for i in (first, second)]
    turns = (parts[0] - parts[1]) / (2 * np.pi)
    anchor = turns[0].copy()
    counts = np.zeros((2, *anchor.shape), int)
    for now in turns[1:]:
        slipped = np.trunc(now - anchor)
        if slipped.any():
            slipped = np.nan_to_num(slipped)
            anchor += slipped
            counts[0] += np.maximum(slipped, 0).astype(int)
            counts[1] += np.maximum(-slipped, 0).astype(int)
    return tuple(window.unbatched(count) for count in counts)


def recording_times(system, inputs, duration, settling, records, where: str) -> tuple[np.ndarray, int]:
    """(times, s, from 0 to `duration`; the index from which on they are evenly close, `settling`).

    settling: half of the duration by default. records: how many from there on; by default as many as the fastest rate
    of the system under `inputs` (sample, input) asks for. Raises PhysnetError.
    """
    duration = checks.seconds(duration, f"{where}: duration")
    settling = duration / 2 if settling is None else checks.seconds(settling, f"{where}: settling")
    if not settling < duration:
        raise PhysnetError(f"{where}: settling takes {settling:.6g} of {duration:.6g} s; leave some time to look.")
    if records is None:
        rate = fastest_rate(system, Held(jnp.asarray(inputs))) or 0.0
        records = max(_FEWEST_RECORDS, int(np.ceil((duration - settling) * rate / _RECORDED)) + 1)
    records = checks.whole(records, f"{where}: records", 5)
    times = np.linspace(settling, duration, records)
    return (times, 0) if settling == 0 else (np.concatenate([[0.0], times]), 1)


def _largest_turn(window: Window) -> np.ndarray:
    worst = np.zeros(window.shape[1:])
    for rows in window.blocks(overlap=1):
        turns = np.diff(window.phases(rows), axis=0)
        turns -= 2 * np.pi * np.round(turns / (2 * np.pi))
        np.maximum(worst, np.abs(turns).max(axis=0), out=worst)
    return worst


def _time(value, name: str) -> float:
    if not np.isscalar(value) or isinstance(value, str) or not np.isfinite(value):
        raise PhysnetError(f"{name} is {value!r}; give a time in s.")
    return float(value)


def model_of(system, inputs):
    """(oscillators, their inputs) inside any number of `Varied`; traceable."""
    while isinstance(system, Varied):
        system, inputs = system.at(inputs), system.base
    return system, inputs


@eqx.filter_jit
def _frames(system, inputs):
    def one(inputs):
        model, inner = model_of(system, inputs)
        return model.frame if isinstance(model, AutoOscillators) else model.frame_frequency(inner)

    return jax.vmap(one)(inputs)


@eqx.filter_jit
def _speeds(system, states, inputs):
    names = [variable.name for variable in system.variables]
    at = next(i for i, name in enumerate(names) if name in _REAL)

    def one(state, inputs):
        (x, y), (u, v) = (jax.tree.leaves(part)[at : at + 2] for part in (state, system.vector_field(state, inputs)))
        return (y * u - x * v) / (x * x + y * y)

    return jax.vmap(one)(states, inputs)
