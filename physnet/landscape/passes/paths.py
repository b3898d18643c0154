"""The way of least energy from one minimum to another, by the string method, and the exact saddles on it."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from scipy.signal import find_peaks

from physnet.errors import ConvergenceError, PhysnetError
from physnet.landscape.chart import Chart
from physnet.landscape.datasets import equilibria_variables, landscape_dataset, leaves_of
from physnet.landscape.descent import followed
from physnet.landscape.equilibria import Equilibria
from physnet.landscape.following import EigenvectorFollowing
from physnet.landscape.lanes import relaxed
from physnet.landscape.passes.connections import energies
from physnet.landscape.passes.strings import String, relaxed_string
from physnet.landscape.search import collect
from physnet.nudge import Nudge
from physnet.system import System
from physnet.variable import Variable

_BUMP = 1e-7  # of the range of energies on the path: a lower bump is rounding
_AWAY = 4  # spacings of images: a stationary point found farther from its image is another one


@dataclass(frozen=True)
class Path:
    """A minimum-energy path: nowhere does a force push it sideways, so that its highest points are saddles.

    vector: (image, coordinate), states at equal distances, from minimum to minimum, in their unit. energy: (image,), in
    the system's unit. arc_length: (image,), the distance gone, in the state's unit. perpendicular_force: (image,), the
    largest component of dE/ds across the path, in the residual's unit: what is left of it, most where the path bends,
    tells how fine the path is, not how exact the saddles are.
    equilibria: the minima and saddles on it, certified, ascending in energy; stop: (stop,), their numbers in the order
    in which the path passes them, stop_energy: (stop,), their energies there, in the system's unit (they differ from
    those of `equilibria` only where the energy is not the same a whole turn on). converged: whether the path came to
    rest and every highest point on it led to a saddle of index 1, every lowest one to a minimum.
    """

    vector: np.ndarray
    energy: np.ndarray
    arc_length: np.ndarray
    perpendicular_force: np.ndarray
    equilibria: Equilibria
    stop: np.ndarray
    stop_energy: np.ndarray
    converged: bool

    @property
    def saddles(self) -> Equilibria:
        """The saddles on the path, ascending in energy."""
        return self.equilibria.saddles

    @property
    def barrier(self) -> float:
        """The energy, in the system's unit, needed to go from start to end: of the highest saddle, less the start's."""
        return float(self.stop_energy.max() - self.stop_energy[0])

    @property
    def barrier_back(self) -> float:
        """The energy, in the system's unit, needed to go from end to start."""
        return float(self.stop_energy.max() - self.stop_energy[-1])

    def state(self, image: int) -> PyTree:
        """The state of one image, shaped like the system's. image: its number, from 0."""
        return self.equilibria.chart.state(jnp.asarray(self.vector[image]))

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset with the dims image, stop and equilibrium.

        attributes: as for `physnet.to_dataset`.
        """
        chart, one = self.equilibria.chart, ("image",)
        system = chart.system
        units = {variable.units for variable in system.variables}
        length = units.pop() if len(units) == 1 else "1"
        variables = [
            *equilibria_variables(self.equilibria),
            *leaves_of(chart, self.vector, one, prefix="path_"),
            (Variable("path_energy", one, system.energy_units, "energy along the path"), self.energy),
            (Variable("arc_length", one, length, "distance gone along the path"), self.arc_length),
            (
                Variable("perpendicular_force", one, system.residual_units, "largest slope of the energy across"),
                self.perpendicular_force,
            ),
            (Variable("stop_equilibrium", ("stop",), "1", "equilibria in the order in which they come"), self.stop),
            (Variable("stop_energy", ("stop",), system.energy_units, "energy of each on the path"), self.stop_energy),
            (Variable("path_converged", (), "1", "whether the path came to rest, over saddles"), self.converged),
        ]
        title = f"Minimum-energy path of {type(system).__name__}"
        return landscape_dataset(chart, variables, default_title=title, **attributes)


def minimum_energy_path(
    system: System,
    inputs=None,
    start: PyTree = None,
    end: PyTree = None,
    *,
    images: int = 41,
    nudge: Nudge | None = None,
    shortest: bool = True,
    tolerance: float = 1e-5,
    max_steps: int = 20_000,
    throw: bool = True,
) -> Path:
    """The path between two minima along which the energy rises least, with the exact saddles on it.

    A string of states from one minimum to the other slides down the energy while they are kept at equal distances: the
    simplified string method (E, Ren & Vanden-Eijnden 2007, doi:10.1063/1.2720838 (m)). Every highest point on it is
    then the start of `EigenvectorFollowing(index=1)`, every lowest one between them of a descent. Straight down is in
    the metric of the state's coordinates; another one bends the path, and moves no saddle. The string begins straight,
    and ends in the valley that this leads to: there can be lower ways, which `explore` looks for.

    system: with a smooth energy. inputs (input,): held, in their unit; the default ones by default. start, end: states
    in the basins of two minima, shaped like the system's. images: states on the path. nudge: for F = E + beta C.
    shortest: take the shortest of the ways that mean the same, a common phase and whole turns left out; False goes
    straight to the end as it is given: a phase slip ends a whole turn from where it began. tolerance: the path has come
    to rest when no image moves, in a step of its descent, by more than this share of the distance between images.
    max_steps: of the descent. throw: raise where the path does not converge. Raises PhysnetError for a system without a
    smooth energy, or two states of one basin; ConvergenceError where the ends do not settle or the path does not.
    """
    chart = Chart.of(system, inputs, nudge)
    chart.require_energy("minimum_energy_path", "Without one no path is lower than another.")
    if images < 5:
        raise PhysnetError(f"minimum_energy_path: images is {images}; give 5 or more.")
    first, last = _minima(chart, start, end, shortest)
    string = relaxed_string(chart, first, last, images, tolerance, max_steps)
    vectors, kind, exact = _stops(chart, string)
    certain = EigenvectorFollowing()
    equilibria = collect(chart, vectors, np.isfinite(vectors).all(axis=1), certain)
    found = equilibria.found
    right = exact & (found >= 0) & (equilibria.index[found] == kind) & equilibria.converged[found]
    path = Path(
        vector=string.images,
        energy=string.energy,
        arc_length=string.arc_length,
        perpendicular_force=string.perpendicular_force,
        equilibria=equilibria,
        stop=found,
        stop_energy=energies(chart, vectors),
        converged=bool(string.settled and right.all()),
    )
    if throw and not path.converged:
        _raise_unconverged(path, string, right, kind, max_steps)
    return path


def _minima(chart: Chart, start, end, shortest: bool):
    """The two minima, (coordinate,) each, the second written so that the straight way between them is the one meant."""
    if start is None or end is None:
        raise PhysnetError("minimum_energy_path: give start and end, two states in the basins of two minima.")
    given = np.stack([np.asarray(chart.vector(state)) for state in (start, end)])
    (first, last), settled = followed(chart, given)
    if not settled.all():
        which = " and ".join(np.array(["start", "end"])[~settled])
        raise ConvergenceError(
            f"minimum_energy_path: {which} did not settle in a minimum of {type(chart.system).__name__}; a state "
            "exactly on a saddle does not."
        )
    way = chart.difference(last, first) if shortest else last - first
    if np.abs(way).max() <= 1e-6 * (1 + np.abs(first).max()):
        raise PhysnetError(
            "minimum_energy_path: start and end lie in the basin of the same minimum. For a way round by a whole turn "
            "use shortest=False, with an end that is a whole turn on."
        )
    return first, first + way


def _stops(chart: Chart, string: String):
    """(vectors (stop, coordinate), the index each must have, whether each was found near its image)."""
    energy, images = string.energy, string.images
    high, _ = find_peaks(energy, prominence=_BUMP * np.ptp(energy))
    low = [a + int(np.argmin(energy[a:b])) for a, b in zip(high, high[1:], strict=False)]
    tops, settled, _ = relaxed(chart, images[high], EigenvectorFollowing(index=1))
    dips, rested = followed(chart, images[low])
    place = np.argsort([*high, *low])
    vectors = np.concatenate([tops, dips])[place]
    away = np.linalg.norm(vectors - images[[*high, *low]][place], axis=1)
    near = np.concatenate([settled, rested])[place] & (away <= _AWAY * string.arc_length[1])
    kind = np.array([1] * len(high) + [0] * len(low), int)[place]
    return np.concatenate([images[:1], vectors, images[-1:]]), np.r_[0, kind, 0], np.r_[True, near, True]


def _raise_unconverged(path: Path, string: String, right, kind, max_steps) -> None:
    where = "minimum_energy_path"
    if len(path.stop) == 2:
        raise ConvergenceError(f"{where}: the energy has no highest point between start and end. Use more images.")
    if not string.settled:
        raise ConvergenceError(
            f"{where}: the path still moves after {max_steps} steps, by {string.moved:.3g} of the distance between "
            "images in the last. Use more images, more max_steps, a larger tolerance, or throw=False to look at it."
        )
    wrong = int(np.argmin(right))
    what, wanted = ("highest", "saddle of index 1") if kind[wrong] else ("lowest", "minimum")
    raise ConvergenceError(
        f"{where}: stop {wrong} of the path, one of its {what} points, led to no {wanted} next to it. Use more images, "
        "or throw=False to look at it."
    )
