"""Energy landscapes of five systems: where each can rest, what lies between, and which starts lead where.

ring: phases on a ring, each pulled towards its two neighbours, rest in twisted states with q turns around the ring,
stable for |q| < n/4 (Wiley, Strogatz & Girvan 2006, doi:10.1063/1.2165594). Minima, saddles, the tree that joins them
and the share of starting states that each winding number attracts, against closed forms.
bistable: a tunnel diode fed through a resistor has one or three operating points. Its bifurcation diagram along the
source voltage, the folds, the energy between the two stable states.
xor: an XY network learns XOR by Equilibrium Propagation. Where it can rest under each of the four inputs, before and
after, and which share of the starts ends in the right answer.
memory: Hopfield's memory with graded units near its capacity of about 0.14 patterns per unit (Amit, Gutfreund &
Sompolinsky 1985, doi:10.1103/PhysRevLett.55.1530 (m)): stored and spurious states, recall from noisy cues.
ising: an oscillator Ising machine on a random graph (Wang & Roychowdhury 2017, arXiv:1709.08102): its minima as the
second-harmonic injection grows, against all binary states, for which cut and stability are worked out one by one.
"""

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SYSTEMS = ("ring", "bistable", "xor", "memory", "ising")


@dataclass(frozen=True)
class Config:
    """Options of `physnet run landscape`; those that name a system are for that system alone."""

    system: str = "ring"
    """Which system: ring, bistable, xor, memory or ising."""
    starts: int = 1000
    """Starting states of each search, drawn at random [1]."""
    seed: int = 0
    """Of starts, patterns, graph and first network [1]."""
    oscillators: int = 8
    """ring: oscillators on it, 5 to 30 [1]."""
    coupling: float = 1.0
    """ring, ising: coupling of neighbours K/2pi, attractive on the ring and repulsive on the graph [Hz]."""
    supply: float = 0.7
    """bistable: source voltage at which the landscape is looked at [V]."""
    highest_supply: float = 1.4
    """bistable: end of the bifurcation diagram, which begins at 0 V [V]."""
    resistance: float = 200.0
    """bistable: between source and diode [ohm]."""
    hidden: int = 8
    """xor: hidden oscillators [1]."""
    epochs: int = 300
    """xor: steps of learning, all four patterns in each [1]."""
    learning_rate: float = 0.05
    """xor: of Adam [Hz]."""
    units: int = 64
    """memory: units [1]."""
    patterns: tuple[int, ...] = (3, 6, 9, 12)
    """memory: numbers of random patterns stored, one memory for each [1]."""
    flipped: float = 0.15
    """memory: share of the units of a cue that are wrong, 0 to 0.5 [1]."""
    cues: int = 20
    """memory: cues made of each pattern [1]."""
    gain: float = 4.0
    """memory: slope of the activity at potential 0 [1]."""
    spins: int = 12
    """ising: oscillators, 3 to 16 [1]."""
    density: float = 0.5
    """ising: probability of an edge between two of them [1]."""
    searched: int = 60_000
    """ising: starting states of the quick search for minima, before the dynamics are followed from `starts` [1]."""
    injections: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5)
    """ising: strengths of the second-harmonic injection S/2pi, ascending [Hz]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        small = replace(self, starts=min(self.starts, 100), hidden=6, epochs=min(self.epochs, 60))
        small = replace(small, units=24, patterns=(2, 4), cues=5)
        return replace(small, spins=7, searched=min(self.searched, 1000), injections=(0.5, 1.0))

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        if self.system not in SYSTEMS:
            raise PhysnetError(f"energy-landscape: system is {self.system!r}; choose one of {', '.join(SYSTEMS)}.")
        whole = {"oscillators": (5, 30), "spins": (3, 16), "units": (4, 300), "hidden": (1, 100)}
        whole |= {name: (1, 10**6) for name in ("starts", "epochs", "cues", "searched")} | {"seed": (0, 2**31)}
        for name, (least, most) in whole.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise PhysnetError(f"energy-landscape: {name} is {value}; give {least} to {most}.")
        units = {"coupling": " Hz", "resistance": " ohm", "supply": " V", "highest_supply": " V"}
        units |= {"learning_rate": " Hz", "gain": "", "injections": " Hz"}
        for name, unit in units.items():
            values = np.atleast_1d(getattr(self, name))
            if not (values.size and np.isfinite(values).all() and (values > 0).all()):
                raise PhysnetError(f"energy-landscape: {name} is {getattr(self, name)}{unit}; it must be above 0.")
        if self.supply > self.highest_supply:
            raise PhysnetError(
                f"energy-landscape: supply is {self.supply:g} V, above highest_supply, {self.highest_supply:g} V."
            )
        if not (self.patterns and min(self.patterns) >= 1 and max(self.patterns) < self.units):
            raise PhysnetError(
                f"energy-landscape: patterns is {self.patterns} of {self.units} units; give one or more numbers, each "
                "at least 1 and fewer than the units."
            )
        for name, most in (("flipped", 0.5), ("density", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise PhysnetError(f"energy-landscape: {name} is {getattr(self, name)}; give 0 to {most:g}.")
        for name in ("patterns", "injections"):
            if list(getattr(self, name)) != sorted(set(getattr(self, name))):
                raise PhysnetError(f"energy-landscape: {name} is {getattr(self, name)}; give ascending numbers.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Looks at the landscape of one system; `out` is whole after each part. See physnet.discovery."""
    config.check()
    from studies._parts import in_parts

    parts = import_module(f"studies._landscape_{config.system}").PARTS
    return in_parts(config, parts, out=out, resume=resume, progress=progress, name=config.system)


def summary(ds: "xr.Dataset") -> str:
    """What was found of the system, with numbers and certificates."""
    from studies._landscape_figures import described

    return "\n".join([ds.attrs["title"], ds.attrs["summary"], "", *described(ds)])


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """The figures of the system that the dataset is of, each named for it. From the dataset alone."""
    from studies import _landscape_figures

    return _landscape_figures.all_figures(ds)
