"""How much device variability a trained network survives, and what retraining through the same devices gives back.

A resistive network with ideal diodes learns the 8x8 digits by Equilibrium Propagation with perfect conductances. These
are then written into many devices that are not perfect: each conductance is multiplied by a factor of its own (spread),
some do not respond at all (stuck), or every read is noisy (noise). Each device is tested as it is, and again after some
epochs of learning in situ: the free and the nudged states settle with what the devices conduct, and what they say is
applied to what is written, without knowledge of the device. Devices are one more axis of the batch.

Learning on the hardware that it will run on takes its defects into account, as Kendall et al. 2020 (arXiv:2006.01981)
argue for EP (m); Dillavou et al. 2022 (doi:10.1103/PhysRevApplied.18.014040) found networks that learn by themselves
robust to damage.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

KINDS = ("spread", "stuck", "noise")


@dataclass(frozen=True)
class Config:
    """Options of `physnet run variability`."""

    kinds: tuple[str, ...] = KINDS
    """What is wrong with the devices: spread (log-normal factors), stuck (half of them at 0 S, half at the largest
    conductance of the trained network), noise (of every read)."""
    strengths: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4, 0.8)
    """Standard deviation of the spread and of the noise, in units of the conductance; 0 is the control [1]."""
    shares: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1)
    """Shares of stuck devices, as many as there are strengths [1]."""
    devices: int = 16
    """Devices of every kind and strength [1]."""
    hidden: int = 32
    """Nodes in the hidden layer [1]."""
    epochs: int = 25
    """Passes over the training images with perfect conductances [1]."""
    retraining: int = 5
    """Passes over the training images in situ [1]."""
    learning_rate: float = 0.008
    """Step along the gradient of the first epoch [S2 V-2]."""
    retraining_rate: float = 0.004
    """The same of the first epoch in situ [S2 V-2]."""
    decay: float = 0.93
    """Factor on the learning rates after each epoch [1]."""
    batch_size: int = 8
    """Samples per step [1]."""
    beta: float = 0.3
    """Size of the nudge [units of the nudging scale: at -1 the outputs come loose]."""
    input_gain: float = 30.0
    """Source voltage of a white pixel [V]."""
    tolerance: float = 1e-4
    """Relative residual below which a free phase counts as settled; a nudged one at ten times as much [1]."""
    samples: int = 1437
    """Use at most so many training images [1]."""
    seed: int = 0
    """Seeds the conductances, the order of samples, the split of the digits and the devices [1]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        small = replace(self, kinds=self.kinds[:1], strengths=(0.0, 0.4), shares=(0.0, 0.05), devices=2, samples=1000)
        return replace(small, epochs=min(self.epochs, 8), retraining=min(self.retraining, 2))

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        unknown = set(self.kinds) - set(KINDS)
        if unknown or not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise PhysnetError(
                f"variability: kinds is {self.kinds}; name one or more, once each, of {', '.join(KINDS)}."
            )
        for name, unit in (("strengths", np.inf), ("shares", 1)):
            values = np.array(getattr(self, name))
            if values.size < 1 or not ((values >= 0) & (values <= unit) & (values < np.inf)).all():
                limit = "0 or more" if unit > 1 else "0 to 1"
                raise PhysnetError(f"variability: {name} is {getattr(self, name)}; give numbers, {limit}.")
            if (np.diff(values) <= 0).any() or values.size != len(self.strengths):
                raise PhysnetError(
                    f"variability: {name} is {getattr(self, name)}; give rising ones, as many shares as strengths."
                )
        units = {"learning_rate": " S2 V-2", "retraining_rate": " S2 V-2", "input_gain": " V"}
        for name in ("devices", "hidden", "epochs", "retraining", "batch_size", "decay", "tolerance", *units):
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(
                    f"variability: {name} is {value}{units.get(name, '')}; it must be finite and above 0."
                )
        if not 0 < self.beta < 1:
            raise PhysnetError(f"variability: beta is {self.beta} of the nudging scale; give 0 < beta < 1.")
        if self.samples < max(100, self.batch_size):
            raise PhysnetError(
                f"variability: samples is {self.samples}; take 100 or more, and no fewer than batch_size."
            )
        if self.seed < 0:
            raise PhysnetError(f"variability: seed is {self.seed}; it must be 0 or more.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains once, then tests and retrains one kind of device after another; `out` is whole after each."""
    config.check()
    from studies import _variability_runs

    return _variability_runs.run(config, out, resume, progress)


def summary(ds: "xr.Dataset") -> str:
    """Accuracy before and after learning in situ, by kind and strength, and how well states settled."""
    from studies._variability_figures import described

    return "\n".join([ds.attrs["title"], ds.attrs["summary"], "", *described(ds)])


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Accuracy against strength, and epoch by epoch in situ. From the dataset alone."""
    from studies import _variability_figures

    return _variability_figures.all_figures(ds)
