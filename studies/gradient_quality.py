"""How good the gradients of Equilibrium Propagation are: nudging, precision, truncation, and systems without an energy.

One page of measurements on small systems of every kind (a Shockley circuit, phases, locked auto-oscillators, a layered
Hopfield network), against implicit differentiation: bias and rounding against beta, nudged steps against truncated
backpropagation through time, updates at every step, and what a Jacobian that is not symmetric costs.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SYSTEMS = ("circuit", "hopfield", "phases", "auto_oscillators")
STENCILS = ("positive", "negative", "centred", "holomorphic-4", "holomorphic-8")
NETWORKS = ("linear", "tanh")


@dataclass(frozen=True)
class Config:
    """Options of `physnet run gradient-quality`."""

    systems: tuple[str, ...] = SYSTEMS
    """Systems on which the error is measured against beta: circuit, hopfield, phases, auto_oscillators."""
    single: tuple[str, ...] = ("circuit", "hopfield")
    """Those of them that are measured in single precision as well."""
    stencils: tuple[str, ...] = STENCILS
    """Nudgings: positive or negative (one-sided, towards or away from the target), centred, holomorphic-4 or -8."""
    smallest_beta: float = 1e-5
    """Smallest nudging strength [units of the nudging scale]."""
    largest_beta: float = 0.8
    """Largest nudging strength, below 1, where outputs come loose [units of the nudging scale]."""
    betas_per_decade: int = 6
    """Nudging strengths in each factor of ten [1]."""
    samples: int = 4
    """Samples of the circuit and of the networks [1]."""
    steps: int = 48
    """Largest number of nudged steps held against backpropagation through time [1]."""
    continual: bool = True
    """Measure updates at every nudged step (continual EP) too."""
    networks: tuple[str, ...] = NETWORKS
    """Units of the networks without an energy: linear, tanh."""
    mixings: int = 9
    """Such networks, from symmetric ones to those whose backward weights are independent by a third [1]."""
    seed: int = 0
    """Seed of weights, inputs and targets."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        small = replace(self, systems=("hopfield",), single=(), stencils=("positive", "centred", "holomorphic-8"))
        return replace(small, betas_per_decade=4, samples=2, steps=32, continual=False, networks=("tanh",), mixings=4)

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no physical sense."""
        known = {"systems": SYSTEMS, "single": SYSTEMS, "stencils": STENCILS, "networks": NETWORKS}
        for name, names in known.items():
            unknown = set(getattr(self, name)) - set(names)
            if unknown:
                raise PhysnetError(f"gradient-quality: {name} holds {sorted(unknown)}; choose from {list(names)}.")
            if not getattr(self, name) and name != "single":
                raise PhysnetError(f"gradient-quality: {name} is empty; choose from {list(names)}.")
        if not (0 < self.smallest_beta < self.largest_beta < 1):
            raise PhysnetError(
                f"gradient-quality: betas run from {self.smallest_beta} to {self.largest_beta}; they must rise and lie "
                "between 0 and 1, beyond which outputs come loose."
            )
        for name, least in (("betas_per_decade", 2), ("samples", 1), ("steps", 8), ("mixings", 2)):
            if getattr(self, name) < least:
                raise PhysnetError(f"gradient-quality: {name} is {getattr(self, name)}; take {least} or more.")

    @property
    def betas(self) -> np.ndarray:
        """The ladder of relative nudging strengths, (beta,)."""
        decades = np.log10(self.largest_beta / self.smallest_beta)
        return np.geomspace(self.smallest_beta, self.largest_beta, round(decades * self.betas_per_decade) + 1)


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """All measurements; `out` is whole after each. See physnet.discovery."""
    config.check()
    from studies import _gradient_runs

    return _gradient_runs.run(config, out, resume, progress)


def summary(ds: "xr.Dataset") -> str:
    """Slopes, floors, decay against the spectral radius, continual updates, and the angle of the plain rule."""
    from studies._gradient_figures import described

    return "\n".join([ds.attrs["title"], ds.attrs["summary"], "", *described(ds)])


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """One page of panels. From the dataset alone."""
    from studies import _gradient_figures

    return _gradient_figures.all_figures(ds)
