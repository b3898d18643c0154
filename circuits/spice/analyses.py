"""The analyses that a deck asks for, and its settings: .op, .dc, .tran, .options, .temp."""

import math
from dataclasses import dataclass

import numpy as np

from circuits.spice.tokens import Card

_MOST_POINTS = 1_000_000
ZERO_CELSIUS = 273.15  # K
_HOTTEST = 5000.0  # degree C


@dataclass(frozen=True)
class OpCard:
    """.op: the operating point."""


@dataclass(frozen=True)
class Sweep:
    """One swept source of a .dc card: its value from `start` to `stop` by `step`, V or A."""

    source: str
    start: float
    stop: float
    step: float

    def values(self) -> np.ndarray:
        """Every value of the sweep; the last one is the stop where a whole number of steps leads there."""
        return self.start + self.step * np.arange(self.count)

    @property
    def count(self) -> int:
        """How many values."""
        return 1 + math.floor((self.stop - self.start) / self.step + 1e-9)

    def fault(self) -> str | None:
        """What is wrong with it and how to mend it, or None."""
        span = self.stop - self.start
        if self.step == 0:
            return f"the step of {self.source} is 0. Give one that leads from {self.start:.6g} to {self.stop:.6g}."
        if span * self.step < 0:
            return (
                f"the step of {self.source}, {self.step:.6g}, leads away from {self.stop:.6g}. Give {-self.step:.6g}."
            )
        if not span / self.step < _MOST_POINTS:
            return f"{self.source} is swept in {span / self.step:.3g} steps; {_MOST_POINTS} is the most."
        return None


@dataclass(frozen=True)
class DcCard:
    """.dc: operating points over one swept source, or two; the first one is the inner loop, as in SPICE."""

    sweeps: tuple[Sweep, ...]


@dataclass(frozen=True)
class TranCard:
    """.tran: a run in time. step: of the output; stop; start: of what is kept; max_step: of the solver. All in s."""

    step: float
    stop: float
    start: float = 0.0
    max_step: float | None = None
    use_initial: bool = False


def dc_card(card: Card, evaluate) -> DcCard:
    """.dc SOURCE START STOP STEP [SOURCE2 START2 STOP2 STEP2]"""
    if len(card.words) not in (4, 8) or card.pairs:
        raise card.error(".dc takes SOURCE START STOP STEP, once or twice (.dc V1 0 5 0.1).")
    sweeps = []
    for k in range(0, len(card.words), 4):
        source = card.words[k].text
        if source[:1] not in ("v", "i"):
            raise card.error(f".dc {source}: only V and I sources are swept.")
        start, stop, step = (
            evaluate(value, f".dc {source}: {what}")
            for value, what in zip(card.words[k + 1 : k + 4], ("start", "stop", "step"))
        )
        sweeps.append(Sweep(source, start, stop, step))
        fault = sweeps[-1].fault()
        if fault:
            raise card.error(f".dc: {fault}")
    if math.prod(sweep.count for sweep in sweeps) > _MOST_POINTS:
        raise card.error(f".dc: more than {_MOST_POINTS} operating points. Take larger steps.")
    if len(sweeps) == 2 and sweeps[0].source == sweeps[1].source:
        raise card.error(f".dc: {sweeps[0].source} is swept twice. Name two sources.")
    return DcCard(tuple(sweeps))


def tran_card(card: Card, evaluate) -> TranCard:
    """.tran STEP STOP [START [MAXSTEP]] [UIC]"""
    words = list(card.words)
    use_initial = bool(words) and words[-1].text == "uic"
    if use_initial:
        words.pop()
    if not 2 <= len(words) <= 4 or card.pairs:
        raise card.error(".tran takes STEP STOP [START [MAXSTEP]] [UIC] (.tran 1u 1m).")
    names = (".tran step (s)", ".tran stop (s)", ".tran start (s)", ".tran largest step (s)")
    times = [evaluate(value, name) for value, name in zip(words, names)]
    if times[0] <= 0 or times[1] <= 0 or any(t < 0 for t in times):
        raise card.error(f".tran: step {times[0]:.6g} s, stop {times[1]:.6g} s; times are above 0.")
    return TranCard(*times, use_initial=use_initial)


def option_values(card: Card, evaluate) -> dict[str, float | str | bool]:
    """.options: numbers where they are numbers, else text; a flag is True."""
    options: dict[str, float | str | bool] = {value.text: True for value in card.words}
    for name, value in card.pairs.items():
        if name in ("temp", "tnom", "gmin"):
            options[name] = evaluate(value, f".options {name}")
        else:
            options[name] = value.text
    return options


def kelvin(card: Card, celsius: float) -> float:
    """A temperature of the deck, given in degree Celsius, in K."""
    if not -ZERO_CELSIUS < celsius < _HOTTEST:
        raise card.error(
            f"temperature {celsius:.6g} degree C; it must be above -273.15 and below {_HOTTEST:.0f} degree C."
        )
    return celsius + ZERO_CELSIUS
