"""How far the EP gradient of one random circuit is from the exact one, at one nudging strength: made to be swept.

Two sources, three hidden nodes with a Shockley diode each, two outputs, conductances drawn by the seed. At one beta the
one-sided and the centred gradient are compared with the implicit one. `physnet sweep nudging-error --over
beta=0.01:0.9:log20 --over seed=0:10` gives the bias of each stencil and how it spreads from circuit to circuit.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

VARIED = ("beta", "seed")  # fields that `run_many` takes as arrays
STENCILS = ("one-sided", "centred")


@dataclass(frozen=True)
class Config:
    """Options of `physnet run nudging-error`."""

    beta: float = 0.1
    """Nudging strength, in units of the nudging scale [1]; below 1, where outputs come loose."""
    seed: int = 0
    """Seed of conductances, inputs and targets [1]."""
    samples: int = 8
    """Inputs over which the gradient is averaged [1]."""

    def quick(self) -> "Config":
        """The same: one point takes seconds."""
        return self

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no physical sense."""
        if not 0 < self.beta < 1:
            raise PhysnetError(f"nudging-error: beta is {self.beta} of the nudging scale; give 0 < beta < 1.")
        if self.samples < 1 or self.seed < 0:
            raise PhysnetError(
                f"nudging-error: samples is {self.samples} and seed is {self.seed}; take 1 sample or more, seed >= 0."
            )


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """One circuit at one beta. See physnet.discovery."""
    from physnet import results

    config.check()
    ds = run_many(config, {"beta": np.array([config.beta]), "seed": np.array([config.seed])}, np.array([0]))
    ds = ds.isel(point=0, drop=True)
    if out is not None:
        results.save(ds, out, overwrite=True)
    return ds


def run_many(config: Config, varied: dict[str, np.ndarray], points: np.ndarray) -> "xr.Dataset":
    """The same of many betas and seeds at a time: varied {field: (point,)}, points their numbers. Dim `point` first.

    Raises PhysnetError where a beta or seed makes no sense.
    """
    from studies import _nudging_error_runs

    betas = np.broadcast_to(varied.get("beta", config.beta), points.shape)
    seeds = np.broadcast_to(varied.get("seed", config.seed), points.shape)
    for beta, seed in zip(betas, seeds):
        replace(config, beta=float(beta), seed=int(seed)).check()
    return _nudging_error_runs.run(config, betas, seeds, points)


def summary(ds: "xr.Dataset") -> str:
    """The error of each stencil."""
    lines = [ds.attrs["title"], ds.attrs["summary"]]
    lines += [f"{name:>10}: relative error {float(ds.error.sel(stencil=name)):.3g}" for name in STENCILS]
    lines.append(f"largest relative residual {float(ds.residual):.2g}, all settled: {bool(ds.converged)}")
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """The error of each parameter's gradient, by stencil. From the dataset alone."""
    from studies._style import drawn

    return drawn({"error": ((4.5, 3.0), _errors)}, ds)


def _errors(figure, ds):
    from studies._style import BLUE, ORANGE

    axes = figure.add_subplot()
    place = np.arange(ds.sizes["resistor"])
    for name, marker, colour in zip(STENCILS, "os", (BLUE, ORANGE)):
        axes.semilogy(place, np.abs(ds.parameter_error.sel(stencil=name)), marker, color=colour, label=name)
    axes.set_xticks(place, ds.resistor.values)
    axes.set_xlabel("resistor")
    axes.set_ylabel("error / largest derivative")
    axes.legend(title=f"beta {json.loads(ds.attrs['physnet_config'])['beta']:g} of the scale")
