"""A stretch of a run of oscillators, and how fast each phase turned in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import equinox as eqx
import jax
import numpy as np

from oscillators.auto_oscillator import AutoOscillators
from oscillators.phase_model import PhaseModel
from physnet.errors import PhysnetError, require_instance
from physnet.system import System
from physnet.trajectory import Trajectory
from physnet.varied import Varied

WEIGHTINGS = {"flat": 0.75, "smooth": 2.0}  # and the resolution of each, over one per duration
_LARGEST_TURN = 0.75 * np.pi  # rad between records; beyond it a phase might have gone round the other way
_BLOCK = 1 << 17  # numbers worked on at once: they stay in the cache
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
        names = [variable.name for variable in oscillators_of(trajectory.system, "trajectory: a run of").variables]
        angle = next((i for i, name in enumerate(names) if name in _ANGLES), None)
        real = next((i for i, name in enumerate(names) if name in _REAL), None)
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

    def check_spacing(self) -> None:
        """Raises PhysnetError where records are too far apart to tell how far a phase turned in between."""
        self.turned(np.empty((0, len(self.times) - 1)))

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
        check_weighting(weighting)
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


def oscillators_of(system, what: str) -> AutoOscillators | PhaseModel:
    """The oscillators inside any number of `Varied`. Raises PhysnetError for a system without phases."""
    require_instance(system, System, what)
    while isinstance(system, Varied):
        system = system.system
    names = [variable.name for variable in system.variables]
    if not isinstance(system, AutoOscillators | PhaseModel) or not {*_ANGLES, *_REAL} & set(names):
        raise PhysnetError(
            f"{what} {type(system).__name__} ({', '.join(names)}) does not tell frequencies; pass one of "
            "AutoOscillators, Phasors, Kuramoto or PhaseNetwork."
        )
    return system


def check_weighting(weighting, where: str = "mean_frequencies") -> None:
    """Raises PhysnetError."""
    if not isinstance(weighting, str) or weighting not in WEIGHTINGS:
        raise PhysnetError(f"{where}: weighting is {weighting!r}; pass one of {', '.join(WEIGHTINGS)}.")


def resolution_over(duration: float, weighting: str = "flat", asked=None, where: str = "synchrony") -> float:
    """Hz: mean frequencies over `duration`, s, that are closer count as equal; `asked` where the duration allows it.

    Raises PhysnetError for one that is finer than the duration can tell, or no number.
    """
    check_weighting(weighting, where)
    finest = WEIGHTINGS[weighting] / duration
    if asked is None:
        return finest
    asked = check_resolution(asked, where)
    if asked < finest * (1 - 1e-9):
        longer = f"Average over {WEIGHTINGS[weighting] / asked:.3g} s, or leave it out" if asked else "Leave it out"
        raise PhysnetError(
            f"{where}: resolution is {asked:.4g} Hz; a window of {duration:.4g} s tells frequencies apart to "
            f"{finest:.4g} Hz. {longer}."
        )
    return asked


def check_resolution(value, where: str) -> float:
    """Raises PhysnetError unless it is one number of at least 0, Hz."""
    number = isinstance(value, int | float | np.number | np.ndarray | jax.Array) and not isinstance(value, bool)
    if not number or np.ndim(value) or not 0 <= value < np.inf:
        raise PhysnetError(f"{where}: resolution is {value!r} Hz; give one finite number of at least 0 Hz.")
    return float(value)


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
