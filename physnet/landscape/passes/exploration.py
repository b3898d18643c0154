"""explore(): the minima of a system, the saddles between them, and what each saddle connects."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.chart import Chart
from physnet.landscape.dimer import Dimer
from physnet.landscape.equilibria import Equilibria
from physnet.landscape.following import EigenvectorFollowing
from physnet.landscape.lanes import LANES, relaxed
from physnet.landscape.passes.connections import Landscape, connected, energies
from physnet.landscape.search import find_equilibria
from physnet.landscape.starts import drawn_starts
from physnet.landscape.symmetry import orbit
from physnet.nudge import Nudge
from physnet.relaxers.base import Relaxer
from physnet.system import System

_DISPLACEMENTS = (0.03, 0.1)  # of the span of states: how far from a minimum climbs begin
_NEIGHBOURS, _FRACTIONS = 8, np.linspace(0, 1, 33)[1:-1]  # minima that ways are tried to; places looked at on the way
_NEAR = 1e-5  # of the span: what is nearer is one state
_LARGEST_ORBIT = 200  # images of a minimum among which neighbours are looked for


def explore(
    system: System,
    inputs=None,
    *,
    starts: int | object = 200,
    within=None,
    nudge: Nudge | None = None,
    symmetries=(),
    rounds: int = 3,
    modes: int = 6,
    same: float | None = None,
    climber: Relaxer | None = None,
    relaxer: Relaxer | None = None,
    chunk: int = 1024,
    key=None,
) -> Landscape:
    """Looks for all minima of a system, the saddles of index 1 between them, and what each saddle connects.

    The first round lets the system settle from many starts (`find_equilibria`). Each round climbs to saddles from new
    starts, from every new minimum along its lowest modes and random directions, and from the highest place on the
    straight way between it and its neighbours; then it follows the system's own dynamics down both sides of each
    saddle, which may end in minima that were not known, for the next round. The search ends with a round that finds
    nothing new, or after `rounds`; which of the two, the result says. A saddle that no climb reached stays unknown:
    every barrier is an upper bound on the true one.

    system: with a smooth energy. inputs (input,): held, in their unit; the default ones by default. starts, within,
    key: where to start, as for `find_equilibria`. nudge: for the landscape of F = E + beta C. symmetries: what they
    make equal counts once. modes: how many of the lowest to keep, and to climb along. same: as for `find_equilibria`.
    climber: what climbs to saddles; `EigenvectorFollowing(index=1)` by default, `Dimer()` where the state is too large
    for it. relaxer: what follows the dynamics down, see `followed`. chunk: starts that settle at a time, as for
    `find_equilibria`. Raises PhysnetError for a system without a smooth energy; ConvergenceError where no start
    settles.
    """
    chart = Chart.of(system, inputs, nudge)
    chart.require_energy("explore", "find_equilibria with Newton() finds its steady states, stable or not.")
    if rounds < 1 or int(rounds) != rounds:
        raise PhysnetError(f"explore: rounds is {rounds}; give a whole number, 1 or more.")
    key = jax.random.key(0) if key is None else key
    climber = _climber(chart) if climber is None else climber
    settling = {"starts": starts, "within": within, "symmetries": symmetries, "modes": modes, "same": same}
    found = find_equilibria(system, inputs, nudge=nudge, chunk=chunk, key=key, **settling)
    landscape = Landscape(found, np.zeros(0, int), np.zeros((0, 2), int), np.zeros((0, 2)))
    searched, fresh = found.vector[:0], []
    while len(fresh) < rounds and (not fresh or fresh[-1]):
        now = jax.random.fold_in(key, len(fresh) + 1)
        known = landscape.equilibria
        near = _NEAR * known.size if same is None else same
        minima = known[landscape.minima]
        new = minima[[not _is_among(chart, vector, searched, near) for vector in minima.vector]]
        places = [
            _drawn(chart, starts, within, now),
            _around(chart, known, new, now),
            _between(chart, minima, new, symmetries, near),
        ]
        searched = minima.vector
        ends, good, _ = relaxed(chart, np.concatenate(places), climber, LANES)
        vectors, hits = np.concatenate([known.vector, ends[good]]), np.concatenate([known.hits, np.ones(good.sum())])
        landscape = connected(chart, vectors, hits, found.size, symmetries, same, modes, relaxer)
        fresh.append(len(landscape.equilibria) - (len(known) if fresh else 0))
    return replace(landscape, fresh=tuple(fresh))


def _climber(chart: Chart) -> Relaxer:
    following = EigenvectorFollowing(index=1)
    return following if following.refuses(chart.system, None) is None else Dimer()


def _is_among(chart, vector, vectors, near: float) -> bool:
    return len(vectors) > 0 and np.abs(chart.difference(vectors, vector)).max(axis=1).min() <= near


def _drawn(chart, starts, within, key) -> np.ndarray:
    draw, count = drawn_starts(chart, starts, within, key)
    return np.asarray(draw(jnp.arange(count)))


def _around(chart, known: Equilibria, minima: Equilibria, key) -> np.ndarray:
    """Places next to each minimum: along both ends of each of its modes, and in as many random directions."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    modes = minima.mode
    directions = np.concatenate([modes, -modes, rng.normal(size=(len(minima), 2 * modes.shape[1], chart.size))], axis=1)
    directions /= np.abs(directions).max(axis=2, keepdims=True)
    sizes = np.array(_DISPLACEMENTS)[:, None, None, None] * known.size
    return (minima.vector[:, None] + sizes * directions).reshape(-1, chart.size)


def _between(chart, minima: Equilibria, new: Equilibria, symmetries, near) -> np.ndarray:
    """The highest place on the straight way from each new minimum to each of the minima nearest to it."""
    images = [minima.vector]
    if symmetries:
        images = [orbit(vector, symmetries, chart, near)[:_LARGEST_ORBIT] for vector in minima.vector]
    images, ways = np.concatenate(images), []
    for vector in new.vector:
        ahead = chart.difference(images, vector)
        distance = np.abs(ahead).max(axis=1)
        closest = np.argsort(distance, kind="stable")[: _NEIGHBOURS + 1]
        ways += [vector + _FRACTIONS[:, None] * ahead[k] for k in closest if distance[k] > near]
    if not ways:
        return np.zeros((0, chart.size))
    ways = np.stack(ways)
    energy = energies(chart, ways.reshape(-1, chart.size)).reshape(ways.shape[:2])
    return ways[np.arange(len(ways)), np.argmax(energy, axis=1)]
