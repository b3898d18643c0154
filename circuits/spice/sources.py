"""What an independent source does in time: the waveforms of SPICE, and the value that an operating point takes."""

import math
from dataclasses import dataclass

import numpy as np

from circuits.spice.tokens import Card, Value


@dataclass(frozen=True)
class Pulse:
    """Steps from `first` to `second` and back. Values in V or A; delay, rise, fall, width and period in s."""

    first: float
    second: float
    delay: float = 0.0
    rise: float = 0.0
    fall: float = 0.0
    width: float = math.inf
    period: float = math.inf

    def at(self, time) -> np.ndarray:
        """Value at `time`, s."""
        t = np.asarray(time, float) - self.delay
        if math.isfinite(self.period) and self.period > 0:
            t = np.where(t > 0, np.mod(t, self.period), t)
        back = self.rise + self.width
        up = np.clip(t / self.rise, 0, 1) if self.rise > 0 else (t > 0).astype(float)
        if math.isfinite(back):
            up = up - (np.clip((t - back) / self.fall, 0, 1) if self.fall > 0 else (t > back))
        return self.first + (self.second - self.first) * up


@dataclass(frozen=True)
class Sine:
    """offset + amplitude exp(-damping (t - delay)) sin(2 pi frequency (t - delay) + phase), from `delay` on.

    offset, amplitude: V or A. frequency: Hz; None for one period of the whole run. delay: s. damping: 1/s. phase:
    degree.
    """

    offset: float
    amplitude: float
    frequency: float | None = None
    delay: float = 0.0
    damping: float = 0.0
    phase: float = 0.0

    def at(self, time) -> np.ndarray:
        """Value at `time`, s."""
        t = np.maximum(np.asarray(time, float) - self.delay, 0)
        angle = 2 * math.pi * (self.frequency or 0.0) * t + math.radians(self.phase)
        return self.offset + self.amplitude * np.exp(-self.damping * t) * np.sin(angle)


@dataclass(frozen=True)
class PiecewiseLinear:
    """Straight lines through (time, value); constant before the first and after the last. s, and V or A."""

    times: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, time) -> np.ndarray:
        """Value at `time`, s."""
        return np.interp(np.asarray(time, float), self.times, self.values)


@dataclass(frozen=True)
class Exponential:
    """From `first` towards `second` after rise_delay, back after fall_delay. Values in V or A, the rest in s."""

    first: float
    second: float
    rise_delay: float = 0.0
    rise_time: float = 0.0
    fall_delay: float = math.inf
    fall_time: float = 0.0

    def at(self, time) -> np.ndarray:
        """Value at `time`, s."""
        t = np.asarray(time, float)
        up = _approach(t - self.rise_delay, self.rise_time)
        down = _approach(t - self.fall_delay, self.fall_time) if math.isfinite(self.fall_delay) else 0.0
        return self.first + (self.second - self.first) * (up - down)


def _approach(t, time_constant):
    t = np.maximum(t, 0)
    return -np.expm1(-t / time_constant) if time_constant > 0 else (t > 0).astype(float)


Waveform = Pulse | Sine | PiecewiseLinear | Exponential

# Keyword: class, fewest and most values.
_WAVEFORMS = {
    "pulse": (Pulse, 2, 7),
    "sin": (Sine, 2, 6),
    "exp": (Exponential, 2, 6),
    "pwl": (PiecewiseLinear, 2, None),
}
_KEYWORDS = {"dc", "ac", *_WAVEFORMS}
_OTHERS = {"sffm", "am", "trnoise", "trrandom", "external", "pat", "noise", "distof1", "distof2", "portnum"}


@dataclass(frozen=True)
class SourceValue:
    """Of an independent source. dc: its value at an operating point, V or A. waveform: in time, None if constant."""

    dc: float
    waveform: Waveform | None = None


def source_value(card: Card, words: tuple[Value, ...], evaluate) -> SourceValue:
    """Reads what follows the nodes of a V or I card. evaluate(value, what): the number that a word stands for."""
    unit = "V" if card.name[:1] == "v" else "A"
    dc = waveform = None
    unknown = [name for name in card.pairs if name not in ("dc", "ac", "acmag", "acphase")]
    if unknown:
        raise card.error(f"{card.name}: unknown parameter {unknown[0]}; a source takes DC, AC and {_names()}.")
    if "dc" in card.pairs:
        dc = evaluate(card.pairs["dc"], f"{card.name}: DC value ({unit})")
    at = 0
    while at < len(words):
        word = words[at]
        key = None if word.expression else word.text
        end = at + 1
        while end < len(words) and (words[end].expression or words[end].text not in _KEYWORDS):
            end += 1
        if key == "ac":  # nothing of it reaches a direct-current state
            numbers = [evaluate(value, f"{card.name}: AC value") for value in words[at + 1 : end]]
            if len(numbers) > 2:
                raise card.error(f"{card.name}: AC takes a magnitude and a phase; {len(numbers)} values follow it.")
        elif key in _WAVEFORMS:
            if waveform is not None:
                raise card.error(f"{card.name}: two waveforms; a source has one.")
            waveform = _waveform(card, key, [evaluate(v, f"{card.name}: {key} value") for v in words[at + 1 : end]])
        elif key in _OTHERS:
            raise card.error(f"{card.name}: {key.upper()} is not supported; a source takes DC, AC and {_names()}.")
        else:
            if key == "dc":
                at += 1
                if at == end:
                    raise card.error(f"{card.name}: DC has no value. Write DC 5.")
            if dc is not None:
                raise card.error(f"{card.name}: two direct-current values; a source has one.")
            dc = evaluate(words[at], f"{card.name}: DC value ({unit})")
            end = at + 1
        at = end
    if dc is None:
        with np.errstate(all="ignore"):
            dc = 0.0 if waveform is None else float(waveform.at(0.0))
        if not math.isfinite(dc):
            raise card.error(f"{card.name}: its waveform is {dc} {unit} at time 0.")
    return SourceValue(dc, waveform)


def _waveform(card, key, values):
    kind, least, most = _WAVEFORMS[key]
    if len(values) < least or (most is not None and len(values) > most):
        how_many = f"at least {least}" if most is None else f"{least} to {most}"
        raise card.error(f"{card.name}: {key.upper()} takes {how_many} values; {len(values)} are given.")
    if kind is not PiecewiseLinear:
        return kind(*values)
    if len(values) % 2:
        raise card.error(f"{card.name}: PWL takes pairs of time and value; {len(values)} numbers are given.")
    times, levels = tuple(values[::2]), tuple(values[1::2])
    if any(later <= earlier for earlier, later in zip(times, times[1:])):
        raise card.error(f"{card.name}: PWL times must rise from one pair to the next.")
    return PiecewiseLinear(times, levels)


def _names() -> str:
    return ", ".join(name.upper() for name in _WAVEFORMS)
