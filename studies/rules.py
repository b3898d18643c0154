"""Learning rules compared on one resistive network: equilibrium propagation, coupled learning, contrastive learning.

Six rules that subtract two steady states train the same deep resistive network (layers of conductances, an ideal diode
at every hidden node) on the 8x8 digits, from the same conductances, with the same samples in the same order and the
same learning rates to choose from. They differ in what is done to the outputs: a nudge towards the target (positive),
away from it (negative), either at random, or both (centred); held a little nearer to the target (coupled learning), or
at it (contrastive learning). Scellier, Ernoult, Kendall & Kumar (NeurIPS 2023, arXiv:2312.15103) compared them on deep
convolutional Hopfield networks: alike on MNIST, but on harder images centred best and negative better than positive.
The nudge is large here, so that its bias is what is compared.

That order is not found here; contrastive learning is last in both. One-sided EP is the gradient of
L_beta = (F_beta - F_0) / beta, where the outputs respond linearly e^T (1 + beta R)^-1 e / 2 with e = o - y and R their
Thevenin resistance. A positive nudge is thus paid for raising R, a negative one for lowering it, which stiffens the
outputs. `nudging_scale`, about 1/R, moves that way; that it is why the first learns faster than centred nudging here
and the second more slowly, each at its best rate, is an inference. With beta 0.05 they come much closer.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

NAMES = ("positive", "negative", "random", "centred", "coupled", "contrastive")


@dataclass(frozen=True)
class Config:
    """Options of `physnet run rules`."""

    rules: tuple[str, ...] = NAMES
    """Learning rules: positive, negative, random (sign), centred, coupled, contrastive."""
    hidden: tuple[int, ...] = (50, 50)
    """Nodes in each hidden layer [1]."""
    epochs: int = 12
    """Passes over the training images [1]."""
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    """Each draws its own conductances, order of samples and split of the images [1]."""
    beta: float = 0.5
    """Size of the nudge [units of the nudging scale: at -1 the outputs come loose]."""
    eta: float = 0.1
    """Share of the way to the target at which coupled learning holds the outputs [1]."""
    learning_rates: tuple[float, ...] = (0.001, 0.0025, 0.006, 0.015, 0.04)
    """Tried by every rule; its best on the validation images counts. What clamped outputs give, in V2 where a gradient
    has V2 S-1, is divided by the nudging scale of the first network [S2 V-2]."""
    layer_rates: tuple[float, ...] = (1.0,)
    """Factor on the learning rate of each layer of conductances, one or one for each [1]."""
    decay: float = 0.95
    """Factor on the learning rate after each epoch [1]."""
    batch_size: int = 8
    """Samples per step [1]."""
    input_gain: float = 120.0
    """Source voltage of a white pixel [V]."""
    tolerance: float = 1e-4
    """Relative residual below which a free phase counts as settled; a nudged one at ten times as much [1]."""
    probe: int = 32
    """Training images on which updates are compared with the implicit gradient, in whole batches [1]."""
    samples: int = 1150
    """Use at most so many training images [1]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 15 s: two rules that share a program, one hidden layer, one seed."""
        small = replace(self, rules=("positive", "negative"), hidden=(20,), seeds=self.seeds[:1], epochs=3)
        return replace(small, learning_rates=(0.006, 0.015), layer_rates=(1.0,), input_gain=30.0, probe=self.batch_size)

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        unknown = set(self.rules) - set(NAMES)
        if unknown or not self.rules or len(set(self.rules)) < len(self.rules):
            raise PhysnetError(f"rules: rules is {self.rules}; name one or more, once each, of {', '.join(NAMES)}.")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise PhysnetError(f"rules: seeds is {self.seeds}; give one or more, different ones, each 0 or more.")
        if any(width < 1 for width in self.hidden):
            raise PhysnetError(f"rules: hidden is {self.hidden}; every layer needs at least 1 node.")
        units = {"input_gain": " V", "learning_rates": " S2 V-2"}
        for name in ("epochs", "decay", "batch_size", "input_gain", "tolerance", "learning_rates", "layer_rates"):
            values = np.atleast_1d(getattr(self, name))
            if values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
                given = f"{getattr(self, name)}{units.get(name, '')}"
                raise PhysnetError(f"rules: {name} is {given}; it must be finite and above 0.")
        if not 0 < self.beta < 1:
            raise PhysnetError(
                f"rules: beta is {self.beta} of the nudging scale; give 0 < beta < 1: beyond, the energy of the "
                "negative nudge has no minimum."
            )
        if not 0 < self.eta <= 1:
            raise PhysnetError(f"rules: eta is {self.eta}; give 0 < eta <= 1, the share of the way to the target.")
        if len(self.layer_rates) not in (1, len(self.hidden) + 1):
            raise PhysnetError(
                f"rules: {len(self.layer_rates)} layer_rates for {len(self.hidden) + 1} layers of conductances. Give "
                "one, or one for each layer."
            )
        if self.samples < max(100, self.probe, self.batch_size):
            raise PhysnetError(f"rules: samples is {self.samples}; take 100 or more, and no fewer than probe.")
        if self.probe < self.batch_size or self.probe % self.batch_size:
            raise PhysnetError(f"rules: probe is {self.probe}; give a multiple of batch_size, {self.batch_size}.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains with one rule after another; `out` is whole after each. See physnet.discovery."""
    config.check()
    from studies import _rules_runs

    return _rules_runs.run(config, out, resume, progress)


def summary(ds: "xr.Dataset") -> str:
    """Accuracy of each rule, its difference to centred nudging seed by seed, and its cosine to the gradient."""
    from studies._rules_figures import described

    return "\n".join([ds.attrs["title"], ds.attrs["summary"], "", *described(ds)])


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Accuracies and cosines, cost by epoch, accuracy against learning rate. From the dataset alone."""
    from studies import _rules_figures

    return _rules_figures.all_figures(ds)
