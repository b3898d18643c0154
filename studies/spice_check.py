"""A trained network in ngspice, node by node: the potentials of physnet against those of a circuit simulator.

A resistive network with a Shockley diode at every hidden node learns the 8x8 digits by Equilibrium Propagation. It is
written out as a SPICE deck, with the free phase and the two nudged phases of a digit side by side, the nudge of each
output a conductance beta to a source at its target; ngspice solves the deck, and every node potential is compared. What
physnet finds by block descent (each node in closed form, layer by layer) and by Newton's method on the same network as
a circuit of named elements is compared with it and with each other. Needs ngspice.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Config:
    """Options of `physnet run spice-check`."""

    hidden: int = 16
    """Nodes in the hidden layer, each with a Shockley diode to ground [1]."""
    digits: int = 20
    """Test digits whose states are compared, each in its own deck [1]."""
    epochs: int = 20
    """Passes over the training images [1]."""
    learning_rate: float = 0.003
    """Step along the gradient [S2 V-2]."""
    beta: float = 0.3
    """Conductance between an output and its target in a nudged phase [units of the nudging scale]."""
    input_gain: float = 30.0
    """Source voltage of a white pixel [V]."""
    batch_size: int = 8
    """Samples per step [1]."""
    samples: int = 1437
    """Use at most so many training images [1]."""
    tolerance: float = 1e-8
    """Largest difference of a node potential that counts as agreement [V]."""
    deck: Path | None = None
    """Where to leave the deck of the first digit; nowhere if left out."""
    seed: int = 0
    """Seeds the conductances, the order of samples and the split of the digits [1]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        return replace(self, hidden=min(self.hidden, 8), digits=min(self.digits, 3), epochs=3)

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        units = {"learning_rate": " S2 V-2", "input_gain": " V", "tolerance": " V"}
        for name in ("hidden", "digits", "epochs", "batch_size", *units):
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(
                    f"spice-check: {name} is {value}{units.get(name, '')}; it must be finite and above 0."
                )
        if not 0 < self.beta < 1:
            raise PhysnetError(f"spice-check: beta is {self.beta} of the nudging scale; give 0 < beta < 1.")
        if self.samples < max(100, self.batch_size):
            raise PhysnetError(
                f"spice-check: samples is {self.samples}; take 100 or more, and no fewer than batch_size."
            )
        if self.digits > 360:
            raise PhysnetError(f"spice-check: digits is {self.digits}; there are 360 test digits.")
        if self.seed < 0:
            raise PhysnetError(f"spice-check: seed is {self.seed}; it must be 0 or more.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains, exports, solves twice and compares. Not resumed: it takes less than a minute. See physnet.discovery.

    Raises PhysnetError where ngspice is not installed, before anything is trained.
    """
    config.check()
    from circuits.spice import ngspice

    if not ngspice.available():
        raise PhysnetError("spice-check: ngspice is not installed. Install it: apt-get install ngspice")
    from studies import _spice_runs

    return _spice_runs.run(config, out, progress)


def summary(ds: "xr.Dataset") -> str:
    """The largest differences, by phase and by solver, and whether all lie within the tolerance."""
    from studies._spice_figures import described

    return "\n".join([ds.attrs["title"], ds.attrs["summary"], "", *described(ds)])


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """The distribution of the differences, and the shift under a nudge in both programs. From the dataset alone."""
    from studies import _spice_figures

    return _spice_figures.all_figures(ds)
