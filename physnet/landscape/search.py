"""find_equilibria(): all the states in which a system can settle, from many starts."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.equilibrium import STATUS, check_relaxer
from physnet.errors import ConvergenceError, require_instance
from physnet.landscape.chart import Chart
from physnet.landscape.distinct import grouped, span
from physnet.landscape.equilibria import Equilibria
from physnet.landscape.lanes import LANES, relaxed_from, scouted
from physnet.landscape.modes import Spectrum, lowest_modes, spectra
from physnet.landscape.smooth import LARGEST_DENSE
from physnet.landscape.starts import check_memory, drawn_starts
from physnet.landscape.symmetry import Symmetry, orbit
from physnet.nudge import Nudge
from physnet.relaxers.base import Relaxer
from physnet.system import EnergySystem, System

_SAME = 1e-5  # of the span of states: what is nearer is one state


def find_equilibria(
    system: System,
    inputs=None,
    *,
    starts: int | object = 1000,
    within=None,
    relaxer: Relaxer | None = None,
    nudge: Nudge | None = None,
    symmetries: tuple[Symmetry, ...] = (),
    modes: int = 6,
    same: float | None = None,
    chunk: int = 1024,
    throw: bool = True,
    key=None,
) -> Equilibria:
    """Lets a system settle from many starts and says which different equilibria it can reach, and how stable each is.

    Which ones depends on the relaxer. By default it is the system's own, which ends in what is stable;
    `EigenvectorFollowing(index=1)` finds saddles, `Newton()` states of any stability, also where no energy exists. A
    relaxer that takes long steps may cross from one basin into another: `hits` say how a search went; for the shares
    that the physics gives use `basin_volumes`. Global phases and whole turns never make two states of one.

    system, inputs (input,): as for `relax`. relaxer: what takes each start to rest. starts: how many to draw with
    `system.initial_state(inputs, key)`, start i with the key folded with i, or the starts themselves, shaped like the
    state with a leading axis. within: (lowest, highest), numbers or arrays shaped like the state, between which starts
    are drawn uniformly instead. nudge: a cost, target and beta, for the landscape of F = E + beta C. symmetries: maps
    that leave the system as it is, under which equilibria count once. modes: how many of the lowest to keep. same:
    states that differ by less in every coordinate, in the state's unit, are one; 1e-5 of a period, or of how far states
    spread, by default. chunk: starts held at a time, which bounds the memory and changes nothing else. throw: raise
    where no start settles. key: of the starts; jax.random.key(0) by default. Raises PhysnetError for starts that are
    all the same, or too many for the memory; ConvergenceError where none settles.
    """
    chart = Chart.of(system, inputs, nudge)
    _require_symmetries(symmetries, chart)
    chunk = max(1, -(-int(chunk) // LANES)) * LANES
    scouts = system.scouts() if relaxer is None and nudge is None else None
    if scouts is not None:
        relaxer = scouts[1]
    relaxer = check_relaxer(system, relaxer, None if nudge is None else nudge.cost)
    starts, count = drawn_starts(chart, starts, within, jax.random.key(0) if key is None else key)
    check_memory(chart, count, chunk)

    if scouts is None:
        vectors, good, status = relaxed_from(chart, starts, count, chunk, relaxer)
    else:
        vectors, good, status = scouted(chart, starts, count, chunk, *scouts)
    if throw and not good.any():
        _raise_nothing_found(chart, relaxer, vectors, status)
    first = np.asarray(starts(jnp.arange(min(count, LANES))))  # a lone equilibrium says nothing of natural sizes
    size = span(chart, np.concatenate([first, vectors[good]]))
    return collect(chart, vectors, good, relaxer, size=size, symmetries=symmetries, modes=modes, same=same)


def collect(chart: Chart, vectors, good, relaxer, *, size=None, symmetries=(), modes=6, same=None) -> Equilibria:
    """Equilibria from the ends of relaxations, (start, coordinate), those that are `good`: told apart and measured.

    size: natural size of differences between states, in their unit (`span`). Other arguments as above.
    """
    numbers = np.flatnonzero(good)
    settled = chart.canonical(vectors[numbers])
    size = span(chart, settled) if size is None else size
    same = _SAME * size if same is None else same
    group = grouped(chart, settled, same)
    first = np.array([np.argmax(group == g) for g in range(group.max(initial=-1) + 1)], int)
    found = np.full(len(vectors), -1)
    found[numbers] = group
    everything = _measured(chart, settled[first], found, relaxer, modes, size)
    everything = _families_merged(everything[_order(chart, everything)])
    return _orbits_merged(everything, symmetries, same) if symmetries else everything


def _measured(chart, representatives, found, relaxer, modes, span) -> Equilibria:
    outputs, energy, residual, imbalance = _certificates(chart, representatives)
    spectrum = _spectrum(chart, representatives, modes)
    size = len(representatives)
    tolerance = relaxer.tolerance_for(chart.dtype)
    return Equilibria(
        chart=chart,
        vector=representatives,
        outputs=outputs,
        energy=energy,
        residual=residual,
        imbalance=imbalance,
        converged=residual <= tolerance,
        index=spectrum.index,
        flat=spectrum.flat,
        curvature=spectrum.curvature,
        mode=spectrum.mode,
        hits=np.bincount(found[found >= 0], minlength=size),
        multiplicity=np.ones(size, int),
        family=np.zeros(size, bool),
        found=found,
        size=span,
    )


def _order(chart, everything) -> np.ndarray:
    """By energy; where energies agree to rounding, by the state, so that the order is the same on every machine."""
    if not len(everything):
        return np.zeros(0, int)
    energy = everything.energy if chart.has_energy else np.zeros(len(everything))
    scale = float(np.abs(energy).max())
    rough = np.round(energy / scale, 9) if scale > 0 else energy
    keys = [np.round(column, 5) for column in everything.vector.T[::-1]]
    return np.lexsort([*keys, rough])


def _families_merged(everything: Equilibria) -> Equilibria:
    """States with undeclared flat directions that agree in energy and curvatures are places of one family."""
    if not len(everything) or not everything.flat.any() or not everything.chart.has_energy:
        return everything
    scale = np.abs(everything.curvature).max() + 1e-300
    spread = scale * everything.size**2  # what it takes to go from one end of the landscape to the other
    target = np.arange(len(everything))
    for i in range(len(everything)):
        if not everything.flat[i] or target[i] != i:
            continue
        alike = (everything.flat == everything.flat[i]) & (everything.index == everything.index[i])
        alike &= np.abs(everything.energy - everything.energy[i]) <= 1e-8 * spread
        alike &= np.abs(everything.curvature - everything.curvature[i]).max(axis=1) <= 1e-4 * scale
        target[alike & (target >= i)] = i
    family = np.isin(np.arange(len(everything)), target[target != np.arange(len(everything))])
    return _merged(everything, target, family=family)


def _orbits_merged(everything: Equilibria, symmetries, same) -> Equilibria:
    target, copies = np.arange(len(everything)), np.ones(len(everything), int)
    for i in range(len(everything)):
        if target[i] != i:
            continue
        images = orbit(everything.vector[i], symmetries, everything.chart, same)
        copies[i] = len(images)
        for j in range(i + 1, len(everything)):
            distance = np.abs(everything.chart.difference(images, everything.vector[j])).max(axis=1)
            if target[j] == j and distance.min() <= same:
                target[j] = i
    return _merged(everything, target, multiplicity=copies)


def _merged(everything: Equilibria, target: np.ndarray, **changed) -> Equilibria:
    """Those that are their own target, with the hits of all that have them for one."""
    if not len(everything):
        return everything
    hits = np.bincount(target, weights=everything.hits, minlength=len(everything)).astype(int)
    found = np.where(everything.found >= 0, target[everything.found], -1)
    return replace(everything, hits=hits, found=found, **changed)[target == np.arange(len(everything))]


@eqx.filter_jit
def _certify(chart: Chart, vectors):
    def one(vector):
        state = chart.state(vector)
        energy = chart.energy(vector) if isinstance(chart.system, EnergySystem) else jnp.nan
        return chart.outputs(vector), energy, *chart.problem.certificate(state)

    return jax.lax.map(one, vectors)


def _certificates(chart, vectors):
    """outputs, energy, relative residual, largest residual of each."""
    if not len(vectors):
        outputs = eqx.filter_eval_shape(chart.outputs, jnp.zeros(chart.size, chart.dtype))
        return np.zeros((0, *outputs.shape)), np.zeros(0), np.zeros(0), np.zeros(0)
    size = 1 << max(len(vectors) - 1, 0).bit_length()  # few programs for all numbers of states
    filled = np.concatenate([vectors, np.repeat(vectors[-1:], size - len(vectors), axis=0)])
    return tuple(np.asarray(part)[: len(vectors)] for part in _certify(chart, jnp.asarray(filled)))


def _spectrum(chart: Chart, vectors, count) -> Spectrum:
    if chart.size <= LARGEST_DENSE:
        return spectra(chart, vectors, count)
    found = [
        lowest_modes(chart.system, chart.problem.inputs, chart.state(jnp.asarray(v)), count, nudge=chart.problem.nudge)
        for v in vectors
    ]
    return Spectrum(*(np.stack([getattr(s, name) for s in found]) for name in ("curvature", "mode", "index", "flat")))


def _require_symmetries(symmetries, chart):
    for symmetry in symmetries:
        require_instance(symmetry, Symmetry, "find_equilibria: symmetries")
        symmetry.check(chart)


def _raise_nothing_found(chart, relaxer, vectors, status):
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.any():
        raise ConvergenceError(
            f"find_equilibria: none of {len(vectors)} starts of {type(chart.system).__name__} settled: every state "
            "became infinite. Start elsewhere (within=...), or use a damped relaxer."
        )
    numbers = np.flatnonzero(finite)[:1024]
    _, _, residual, imbalance = _certificates(chart, vectors[numbers])
    best = int(np.nanargmin(residual))
    said = chart.system.diagnosis(chart.state(jnp.asarray(vectors[numbers[best]])), chart.problem.inputs)
    said = said or "Try more steps or another relaxer; a system that never comes to rest is for integrate()."
    raise ConvergenceError(
        f"find_equilibria: none of {len(vectors)} starts of {type(chart.system).__name__} settled with "
        f"{type(relaxer).__name__} ({STATUS[int(status[numbers[best]])]}). Start {numbers[best]} came nearest: "
        f"relative residual {residual[best]:.3g} > {relaxer.tolerance_for(chart.dtype):.3g}, largest residual "
        f"{imbalance[best]:.3g} {chart.system.residual_units}. {said}"
    )
