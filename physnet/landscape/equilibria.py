"""What a search found: distinct equilibria, their energies, certificates, indices, modes, how often each came."""

from dataclasses import dataclass, field, replace

import jax
import numpy as np
from jaxtyping import PyTree

from physnet.errors import PhysnetError
from physnet.landscape.chart import Chart


@dataclass(frozen=True)
class Equilibria:
    """Distinct equilibria of one system under one set of inputs, ascending in energy (as found, where there is none).

    vector: (equilibrium, coordinate), the states in their unit, symmetries undone (`Chart.canonical`). outputs:
    (equilibrium, output), in their unit. energy: (equilibrium,), in the system's unit, that of F = E + beta C under a
    nudge; NaN without one. The certificate: residual: (equilibrium,), relative, imbalance: (equilibrium,), the largest
    residual in its unit, converged: (equilibrium,), whether the relaxer's tolerance was met. index, flat:
    (equilibrium,), Morse index and number of undeclared flat directions; curvature (equilibrium, mode), mode
    (equilibrium, mode, coordinate): as of `Spectrum`. hits: (equilibrium,), how many starts ended in each.
    multiplicity: (equilibrium,), how many states the declared symmetries make of it. family: (equilibrium,), whether
    flat directions connect it to others of the same energy, which were counted as one.
    found: (start,), the equilibrium that each start ended in, -1 where it did not settle. size: the natural size of
    differences between states, in their unit, which distances are measured against. chart: the landscape itself.
    """

    chart: Chart
    vector: np.ndarray
    outputs: np.ndarray
    energy: np.ndarray
    residual: np.ndarray
    imbalance: np.ndarray
    converged: np.ndarray
    index: np.ndarray
    flat: np.ndarray
    curvature: np.ndarray
    mode: np.ndarray
    hits: np.ndarray
    multiplicity: np.ndarray
    family: np.ndarray
    found: np.ndarray = field(repr=False)
    size: float

    def __len__(self) -> int:
        return len(self.energy)

    def __getitem__(self, chosen) -> "Equilibria":
        """Those of the numbers, slice or mask; `found` counts anew, -1 for starts that ended in others."""
        numbers = np.atleast_1d(np.arange(len(self))[chosen])
        place = np.full(len(self) + 1, -1)
        place[numbers] = np.arange(len(numbers))
        kept = {name: getattr(self, name)[numbers] for name in _PER_EQUILIBRIUM}
        return replace(self, **kept, found=place[self.found])

    def state(self, number: int) -> PyTree:
        """The state of one equilibrium, as `relax(initial=...)` and `energy` take it. number: its own, from 0."""
        return self.chart.state(jax.numpy.asarray(self.vector[number]))

    @property
    def minima(self) -> "Equilibria":
        """Those with index 0."""
        return self[self.index == 0]

    @property
    def saddles(self) -> "Equilibria":
        """Those with index 1: the passes between minima."""
        return self[self.index == 1]

    @property
    def unsettled(self) -> int:
        """Number of starts that ended nowhere."""
        return int(np.sum(self.found < 0))

    def nearest(self, vector: np.ndarray) -> tuple[int, float]:
        """(number, distance) of the equilibrium nearest to a state.

        vector: the state, (coordinate,), in its unit. The distance is the largest difference of a coordinate, in the
        state's unit. Raises PhysnetError where there is none at all.
        """
        if not len(self):
            raise PhysnetError("Equilibria: there is none to be near to.")
        distance = np.abs(self.chart.difference(self.vector, vector)).max(axis=1)
        return int(np.argmin(distance)), float(distance.min())

    def __str__(self):
        energy = f"energy, {self.chart.system.energy_units}"
        lines = [
            f"{len(self)} equilibria of {type(self.chart.system).__name__}, from {len(self.found)} starts, "
            f"{self.unsettled} of which did not settle",
            f"{'':>4} {energy:>18} {'index':>6} {'flat':>5} {'lowest curvature':>17} {'copies':>7} {'hits':>8} "
            f"{'residual':>9}",
        ]
        for i in range(min(len(self), 20)):
            lines.append(
                f"{i:>4} {self.energy[i]:>18.10g} {self.index[i]:>6} {self.flat[i]:>5} {self.curvature[i, 0]:>17.6g} "
                f"{self.multiplicity[i]:>7} {self.hits[i]:>8} {self.residual[i]:>9.1e}"
            )
        return "\n".join(lines + (["..."] if len(self) > 20 else []))

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset with the dims equilibrium, mode, start and those of the state.

        attributes: as for `physnet.to_dataset`.
        """
        from physnet.landscape.datasets import equilibria_dataset

        return equilibria_dataset(self, **attributes)


_PER_EQUILIBRIUM = (
    *("vector", "outputs", "energy", "residual", "imbalance", "converged", "index", "flat", "curvature", "mode"),
    *("hits", "multiplicity", "family"),
)


def joined(parts: list[Equilibria]) -> Equilibria:
    """One list of several; `found` of the first alone. For searches that add to what they have."""
    kept = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _PER_EQUILIBRIUM}
    return replace(parts[0], size=max(part.size for part in parts), **kept)
