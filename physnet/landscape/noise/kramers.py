"""Kramers' rate: how often noise carries a system over a pass, from the two ends of the climb alone."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.errors import PhysnetError, require_instance
from physnet.landscape.chart import Chart
from physnet.landscape.datasets import equilibria_variables, landscape_dataset, leaves_of
from physnet.landscape.equilibria import Equilibria
from physnet.landscape.modes import FLAT
from physnet.landscape.smooth import LARGEST_DENSE
from physnet.problem import flatten
from physnet.variable import Variable

LOWEST_BARRIER = 3.0  # of the noise energy: below it a minimum is left before it has been explored


@dataclass(frozen=True)
class KramersRate:
    """Rates, s-1, of leaving one minimum over its saddles, at one or several noise energies.

    noise: (noise,), D in the energy's unit. barrier: (saddle,), energy of each saddle less that of the minimum, in the
    energy's unit. prefactor: (saddle,), s-1, the rate as the barrier goes to 0. rates: (noise, saddle), s-1; rate:
    (noise,), s-1, their sum. within_range: (noise, saddle), whether barrier/D is at least 3; below, the rate is an
    order of magnitude at best. minimum, saddles: the equilibria themselves.
    """

    minimum: Equilibria
    saddles: Equilibria
    noise: np.ndarray
    barrier: np.ndarray
    prefactor: np.ndarray
    rates: np.ndarray
    within_range: np.ndarray

    @property
    def rate(self) -> np.ndarray:
        """(noise,), s-1, over all the saddles."""
        return self.rates.sum(axis=1)

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset with the dims noise_energy, equilibrium (the saddles), mode and those of the state.

        attributes: as for `physnet.to_dataset`.
        """
        chart, one, both = self.minimum.chart, ("equilibrium",), ("noise_energy", "equilibrium")
        units = chart.system.energy_units
        noise = Variable("noise_energy", ("noise_energy",), units, "noise energy D", (0, np.inf))
        below = "whether the barrier is at least 3 noise energies"
        pairs = [
            *equilibria_variables(self.saddles),
            *leaves_of(chart, self.minimum.vector[0], (), "minimum_"),
            (Variable("barrier", one, units, "energy of the saddle less that of the minimum"), self.barrier),
            (Variable("prefactor", one, "s-1", "escape rate without the barrier"), self.prefactor),
            (Variable("escape_rate", both, "s-1", "Eyring-Kramers rate over each saddle"), self.rates),
            (Variable("within_range", both, "1", below), self.within_range),
        ]
        title = f"Escape rates of {type(chart.system).__name__}"
        return landscape_dataset(chart, pairs, coords=[(noise, self.noise)], default_title=title, **attributes)


def kramers_rate(minimum: Equilibria, saddles: Equilibria, *, noise) -> KramersRate:
    """The rate at which weak noise takes the overdamped dynamics ds = -M dE/ds dt + sqrt(2 D M) dW out of a minimum:

    k = l/(2 pi) sqrt(det H_minimum / |det H_saddle|) exp(-(E_saddle - E_minimum)/D), summed over the saddles,

    H the Hessian and l the growth rate of the one unstable mode of -M H at the saddle (Langer 1969,
    doi:10.1016/0003-4916(69)90153-5 (m); Hanggi, Talkner & Borkovec 1990, doi:10.1103/RevModPhys.62.251). It is the
    limit of small D; `kramers_correction` is the next order in D. M is `System.mobility`, a matrix. The system's own
    thermal noise is not looked at. Neutral modes count in neither determinant: along a shift the minimum and the
    saddle are equally wide.

    minimum: one equilibrium of index 0, `found.minima[0]`. saddles: those of index 1 that lead out of it, each in every
    place where it does: equal saddles that declared symmetries merged are counted once. Where the energy is not
    periodic although the state is (detuned oscillators), the nearest image of a saddle is taken. noise: D, in the
    energy's unit, above 0; a number, or (noise,).
    Raises PhysnetError for equilibria of another index or with flat directions, for a saddle that is not above the
    minimum, and for dynamics that are not of this form.
    """
    chart = chart_of(minimum, saddles)
    noise = check_noise(noise, chart, "kramers_rate")
    mobility = constant_mobility(chart, "kramers_rate")
    bottom, top = curvatures(chart, minimum, 0), curvatures(chart, saddles, 1)
    images = minimum.vector[0] + chart.difference(saddles.vector, minimum.vector[0])
    energies = np.asarray(_energies(chart, jnp.asarray(np.concatenate([minimum.vector, images]))))
    barrier = energies[1:] - energies[0]
    for i in np.flatnonzero(barrier <= 0):
        raise PhysnetError(
            f"kramers_rate: saddle {i} lies {-barrier[i]:.3g} {chart.system.energy_units} below the minimum, so that "
            "it cannot lead out of it. Choose the saddles that the minimum is connected to."
        )
    growth = np.array([_growth(basis.T @ mobility @ basis, hessian) for basis, hessian in top])
    depth = [np.linalg.slogdet(hessian)[1] for _, hessian in bottom + top]
    prefactor = growth / (2 * np.pi) * np.exp((depth[0] - np.array(depth[1:])) / 2)
    scaled = barrier / noise[:, None]
    return KramersRate(
        minimum, saddles, noise, barrier, prefactor, prefactor * np.exp(-scaled), scaled >= LOWEST_BARRIER
    )


def chart_of(minimum, saddles) -> Chart:
    """The landscape that both belong to. Raises PhysnetError unless it has an energy and there is one minimum."""
    for what, value in (("minimum", minimum), ("saddles", saddles)):
        require_instance(value, Equilibria, f"kramers_rate: {what}")
    if len(minimum) != 1 or not len(saddles):
        raise PhysnetError(
            f"kramers_rate: {len(minimum)} minima and {len(saddles)} saddles; give one minimum, found.minima[0], and "
            "at least one saddle."
        )
    chart = minimum.chart
    chart.require_energy("kramers_rate", "escape_times needs one too; integrate() follows noise without it.")
    if chart.size > LARGEST_DENSE:
        raise PhysnetError(f"kramers_rate: {chart.size} coordinates; dense Hessians are meant for {LARGEST_DENSE}.")
    return chart


def check_noise(noise, chart: Chart, where: str) -> np.ndarray:
    """Noise energies as an array (noise,). Raises PhysnetError unless all are finite and above 0."""
    values = np.atleast_1d(np.asarray(noise, float))
    if values.ndim != 1 or not values.size or not (np.isfinite(values).all() and (values > 0).all()):
        raise PhysnetError(f"{where}: noise is {noise!r} {chart.system.energy_units}; give energies above 0.")
    return values


def constant_mobility(chart: Chart, where: str) -> np.ndarray:
    """M (coordinate, coordinate) with ds/dt = -M dE/ds, symmetric and positive.

    Raises PhysnetError where the dynamics are not of that form: only then does noise sqrt(2 D M) lead to the
    Boltzmann distribution exp(-E/D).
    """
    name = type(chart.system).__name__
    places = np.random.default_rng(0).normal(size=(3, chart.size)).astype(chart.dtype)
    matrix, forces, velocities = (np.asarray(part) for part in _moved(chart, jnp.asarray(places)))
    precision = np.finfo(chart.dtype).eps ** 0.5
    if np.abs(velocities + forces @ matrix.T).max() > precision * np.abs(velocities).max():
        raise PhysnetError(
            f"{where}: {name} does not move at -mobility * dE/ds with one mobility for all states, so that noise of "
            "one strength has no Boltzmann distribution. Use integrate() with noise in place of it."
        )
    asymmetry = np.abs(matrix - matrix.T).max()
    if asymmetry > precision * np.abs(matrix).max() or np.linalg.eigvalsh(matrix)[0] <= 0:
        raise PhysnetError(f"{where}: the mobility of {name} is not a symmetric, positive matrix ({asymmetry:.3g}).")
    return (matrix + matrix.T) / 2


@eqx.filter_jit
def _moved(chart: Chart, places):
    """(mobility, residuals, velocities) at places (place, coordinate)."""
    units = jnp.eye(chart.size, dtype=places.dtype)
    columns = jax.vmap(lambda unit: flatten(chart.system.mobility(chart.state(unit))))(units)
    return columns.T, jax.lax.map(chart.residual, places), jax.lax.map(chart.velocity, places)


@eqx.filter_jit
def _energies(chart: Chart, vectors):
    return jax.lax.map(chart.energy, vectors)


@eqx.filter_jit
def hessians(chart: Chart, vectors):
    """(Hessians, orthonormal neutral modes) at vectors (state, coordinate)."""
    return jax.lax.map(lambda vector: (chart.curvature(vector), chart.neutral(vector)), vectors)


def curvatures(chart: Chart, found: Equilibria, index: int):
    """[(orthonormal basis across the neutral modes, Hessian in it)] of each. Raises PhysnetError for another index."""
    what = "the minimum" if index == 0 else "a saddle"
    kept = []
    for i, (hessian, modes) in enumerate(zip(*map(np.asarray, hessians(chart, jnp.asarray(found.vector))))):
        basis = np.linalg.qr(np.concatenate([modes, np.eye(chart.size)]).T)[0][:, len(modes) :]
        inner = basis.T @ hessian @ basis
        curvature, level = np.linalg.eigvalsh(inner), FLAT * np.abs(hessian).sum(axis=1).max()
        if np.any(np.abs(curvature) <= level):
            raise PhysnetError(
                f"kramers_rate: equilibrium {i} given as {what} has a flat direction (curvature "
                f"{curvature[np.argmin(np.abs(curvature))]:.3g}), along which the formula counts an infinite width. "
                "Declare it as a neutral mode, or change a parameter to where the state is not degenerate."
            )
        if np.sum(curvature < 0) != index:
            raise PhysnetError(
                f"kramers_rate: equilibrium {i} given as {what} has index {np.sum(curvature < 0)}, not {index}. "
                "Choose found.minima[...] and found.saddles[...]."
            )
        kept.append((basis, inner))
    return kept


def _growth(mobility: np.ndarray, hessian: np.ndarray) -> float:
    """The rate, s-1, at which the unstable mode of -M H grows."""
    root = np.linalg.cholesky(mobility)
    return float(-np.linalg.eigvalsh(root.T @ hessian @ root)[0])
