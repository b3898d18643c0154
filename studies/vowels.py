"""Four oscillators under two injected tones recognise spoken vowels by which of them lock to which tone.

The task of Romera et al., Nature 563, 230 (2018): the two lowest formants of a vowel become the frequencies of two
tones, and the pattern of locking says which vowel it was. Learned are the four currents and the map from formants to
tones: first in theory, where locking has a gradient, then from the errors of the simulated network.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

REFERENCES = (
    "Romera et al., Nature 563, 230 (2018), doi:10.1038/s41586-018-0632-y; Hillenbrand et al., J. Acoust. Soc. Am. 97, "
    "3099 (1995), doi:10.1121/1.411872"
)
PUBLISHED = 0.89  # (m): recalled, not checked against the paper
_GROUPS = ("training", "cross-validated", "with thermal noise")


@dataclass(frozen=True)
class Config:
    """Options of `physnet run vowels`."""

    data: Path | None = None
    """The vowel file of Hillenbrand et al. (1995), or a folder with it or with vowels/hillenbrand1995.csv; else
    the folder PHYSNET_DATA."""
    vowels: tuple[str, ...] = ("ae", "ah", "aw", "er", "ih", "iy", "uw")
    """Vowels to tell apart, as the file abbreviates them. The seven of the paper are recalled (m), not checked."""
    folds: int = 5
    """Folds of the cross-validation, each of whole talkers [1]; 0 for none."""
    seed: int = 0
    """Seeds the search and the split of the talkers [1]."""
    drive: float = 0.4e6
    """Amplitude F/2pi of each tone on each oscillator [Hz]."""
    coupling: float = 0.03e6
    """Strength W/2pi of the coupling between any two oscillators [Hz]."""
    settling: float = 1.5e-6
    """Time before frequencies are measured [s]."""
    window: float = 2e-6
    """Time over which they are measured [s]."""
    candidates: int = 16384
    """Random networks that are tried in theory [1]."""
    starts: int = 384
    """The best of them, from which the gradient descends in theory [1]."""
    simulated: int = 5
    """The best of those, which are simulated [1]."""
    epochs: int = 5
    """Passes in which the errors of the simulation correct the best network [1]."""
    grid: int = 56
    """Points along each tone of the map of locking patterns [1]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        return replace(self, folds=0, candidates=4096, starts=64, simulated=2, epochs=2, grid=24)

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no physical sense."""
        for name, least in {"seed": 0, "epochs": 0, "candidates": 1, "starts": 1, "simulated": 1, "grid": 2}.items():
            if getattr(self, name) < least:
                raise PhysnetError(f"vowels: {name} is {getattr(self, name)}; it must be {least} or more.")
        for name, unit in {"drive": "Hz", "settling": "s", "window": "s"}.items():
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(f"vowels: {name} is {value} {unit}; it must be finite and above 0.")
        if not (self.coupling >= 0 and np.isfinite(self.coupling)):
            raise PhysnetError(f"vowels: coupling is {self.coupling} Hz; it must be finite and 0 or more.")
        if self.folds < 0 or self.folds == 1:
            raise PhysnetError(f"vowels: folds is {self.folds}; take 2 or more, or 0 for no cross-validation.")
        if len(self.vowels) < 2 or len(set(self.vowels)) < len(self.vowels):
            raise PhysnetError(f"vowels: vowels are {', '.join(self.vowels)}; name two or more, each once.")
        if len(self.vowels) > 16:
            raise PhysnetError("vowels: the four units of the baseline have patterns for at most 16 vowels.")
        if not 1e5 <= self.drive <= 1.5e6:
            raise PhysnetError(
                f"vowels: drive is {self.drive:g} Hz; take 1e5 to 1.5e6 Hz: locking half-ranges of some 0.6 to 9 MHz, "
                "so that four of them fit in the band of 30 MHz and theory still describes them."
            )
        if self.window * self.drive < 0.2:
            raise PhysnetError(
                f"vowels: a window of {self.window:g} s cannot tell a locked oscillator from one that slips at a drive "
                f"of {self.drive:g} Hz; take {0.2 / self.drive:.2g} s or more."
            )


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains on all samples, then once for every fold left out, and compares. See physnet.discovery.

    There are no checkpoints (a run takes a minute), so `resume` starts anew. Raises PhysnetError for data that are
    missing or malformed, saying what to fetch and where it goes.
    """
    config.check()
    from studies import _vowel_data

    data = _vowel_data.load(config.data, config.vowels)
    fold = _vowel_data.folds(data, config.folds, config.seed) if config.folds else np.full(len(data.labels), -1)
    from tqdm import tqdm

    from studies import _vowel_datasets
    from studies._vowel_network import Device
    from studies._vowel_training import Effort, baselines, train_network

    device = Device(config.drive, config.coupling, config.settling, config.window)
    effort = Effort(config.candidates, config.starts, config.simulated, config.epochs)
    everything = np.ones(len(data.labels), bool)
    predicted = np.full(len(data.labels), -2)
    networks, others = [], []
    for k in tqdm([None, *range(config.folds)], desc="training, folds", disable=not progress, leave=False):
        train = everything if k is None else fold != k
        task = {"classes": len(data.names), "seed": config.seed}
        networks.append(train_network(device, data.formants, data.labels, train, effort=effort, **task))
        others.append(baselines(data.formants, data.labels, train, **task))
        if k is not None:
            predicted[~train] = networks[-1].predicted[~train]
    ds = _vowel_datasets.dataset(config, device, data, fold, networks, others, predicted)
    if out is not None:
        from physnet import results

        results.save(ds, out, overwrite=True)
    return ds


def summary(ds: "xr.Dataset") -> str:
    """Accuracies beside the baselines, the pattern of each vowel, and how good the simulation was."""
    from studies._vowel_figures import pattern_names

    width = max(len(name) for name in ds.model.values) + 2
    lines = [ds.attrs["title"], ds.attrs["summary"], "", f"{'':{width}}parameters   training   cross-validated"]
    for name in ds.model.values:
        train, test = (100 * float(ds.accuracy.sel(model=name, evaluation=which)) for which in _GROUPS[:2])
        tested = "       -" if np.isnan(test) else f"{test:8.1f} %"
        lines.append(f"{name:{width}}{int(ds.parameters.sel(model=name)):10d}{train:9.1f} %{tested:>18}")
    noisy = 100 * float(ds.accuracy[0].sel(evaluation=_GROUPS[2]))
    lines += [
        f"in the experiment (m): {100 * PUBLISHED:.0f} %; training set with the preset's thermal noise: {noisy:.1f} %",
        "",
        "vowel, its pattern (oscillator and tone): "
        + "; ".join(f"{v} {p}" for v, p in zip(ds.vowel.values, pattern_names(ds.vowel_pattern.values))),
        f"free frequencies {', '.join(f'{f / 1e6:.2f}' for f in ds.free_frequency.values)} MHz at currents "
        f"{', '.join(f'{1e3 * i:.3f}' for i in ds.current.values)} mA; half-ranges of locking in theory "
        f"{', '.join(f'{h / 1e6:.2f}' for h in ds.locking_half_range.values)} MHz",
        f"integration error of the amplitudes {float(ds.integration_error):.1e} or less; "
        f"{100 * float(ds.converged.mean()):.0f} % of runs settled",
    ]
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Map of locking patterns with the samples on it, confusion matrix, one sweep of a tone. From the dataset alone."""
    from studies import _vowel_figures

    return _vowel_figures.all_figures(ds)
