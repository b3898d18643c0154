"""basin_volumes(): how often a system, left to itself, ends in each of its stable states."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.equilibrium import check_relaxer
from physnet.errors import PhysnetError, require_instance
from physnet.landscape.chart import Chart
from physnet.landscape.datasets import equilibria_variables, landscape_dataset
from physnet.landscape.descent import followed, follower
from physnet.landscape.distinct import span
from physnet.landscape.equilibria import Equilibria, joined
from physnet.landscape.intervals import check_confidence, share_interval
from physnet.landscape.lanes import relaxed
from physnet.landscape.search import collect
from physnet.landscape.starts import drawn_starts
from physnet.landscape.symmetry import Symmetry, orbit
from physnet.nudge import Nudge
from physnet.relaxers.base import Relaxer
from physnet.relaxers.flow import Flow
from physnet.relaxers.newton import Newton
from physnet.system import System
from physnet.variable import Variable

_FLOW = Flow(polish=None, rtol=1e-8, atol=1e-10, event_tolerance=1e-6)
_REACH = 1e-2  # of the span of the starts: what a polish may move
_SAME = 1e-5  # of the span of starts and ends: what is nearer is one state, as for `find_equilibria`


@dataclass(frozen=True)
class Basins:
    """The share of the starting states that each stable equilibrium attracts.

    equilibria: the stable ones, whose `hits` and `found` (start,) are those of these starts; `found` is -1 for a start
    that ended in none. share, low, high: (equilibrium,), share of the starts, and its Clopper-Pearson interval.
    confidence: the probability that such an interval holds the share. unsettled: share of the starts that came to rest
    nowhere in the time allowed: cycles, drift, chaos; undecided: share of those that rest on an unstable equilibrium,
    on the edge between basins.
    """

    equilibria: Equilibria
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    unsettled: float
    undecided: float
    confidence: float

    def __str__(self):
        found = self.equilibria
        lines = [
            f"{len(found)} basins of {type(found.chart.system).__name__}, from {len(found.found)} starts, "
            f"{self.unsettled:.3g} of which came to rest nowhere"
        ]
        for i in range(min(len(found), 20)):
            interval = f"{self.share[i]:.4f} ({self.low[i]:.4f} to {self.high[i]:.4f})"
            lines.append(f"{i:>4} energy {found.energy[i]:>18.10g}  share {interval}")
        return "\n".join(lines + (["..."] if len(found) > 20 else []))

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset with the dims equilibrium, mode, start and those of the state.

        attributes: as for `physnet.to_dataset`.
        """
        found, one = self.equilibria, ("equilibrium",)
        nowhere = "share of the starts that came to rest nowhere"
        pairs = [
            *equilibria_variables(found),
            (Variable("share", one, "1", "share of the starts that ended here", (0, 1)), self.share),
            (Variable("share_low", one, "1", "lower end of the confidence interval of the share"), self.low),
            (Variable("share_high", one, "1", "upper end of the confidence interval of the share"), self.high),
            (Variable("unsettled_share", (), "1", nowhere, (0, 1)), self.unsettled),
            (Variable("undecided_share", (), "1", "share at rest on an unstable equilibrium", (0, 1)), self.undecided),
            (Variable("confidence", (), "1", "confidence of the intervals"), self.confidence),
            (Variable("found", ("start",), "1", "equilibrium that each start ended in, -1 for none"), found.found),
        ]
        title = f"Basins of {type(found.chart.system).__name__}"
        return landscape_dataset(found.chart, pairs, default_title=title, **attributes)


def basin_volumes(
    system: System,
    inputs=None,
    *,
    equilibria: Equilibria | None = None,
    starts: int | object = 2000,
    within=None,
    relaxer: Relaxer | None = None,
    nudge: Nudge | None = None,
    symmetries: tuple[Symmetry, ...] = (),
    modes: int = 6,
    same: float | None = None,
    confidence: float = 0.95,
    chunk: int = 1024,
    key=None,
) -> Basins:
    """Lets a system go from many starts and counts where its own dynamics, ds/dt = vector_field(s), take it.

    The volume of a basin is the probability that a start drawn by the given law lies in it. Every start is followed in
    time, since relaxers that take long steps jump from basin to basin: with an energy by `descent.followed`, without
    one by an implicit solver for up to 2000 steps.

    system, inputs (input,), starts, within, nudge, symmetries, modes, same, key: as for `find_equilibria`; the law is
    that of `system.initial_state`, or uniform in the box `within`. equilibria: those known already; the stable ones
    among them come first, in their order, whether or not a start ended there, then what else was met. relaxer: what
    follows the starts instead; it must not leave a basin. confidence: the probability that an interval holds the share.
    chunk: starts followed at a time; changes no result. Raises PhysnetError for arguments that do not fit; nothing
    where no start settles, since that is an answer.
    """
    chart = Chart.of(system, inputs, nudge)
    check_confidence(confidence, "basin_volumes")
    for symmetry in symmetries:
        require_instance(symmetry, Symmetry, "basin_volumes: symmetries")
        symmetry.check(chart)
    if equilibria is not None and (equilibria.chart.size != chart.size or equilibria.chart.shapes != chart.shapes):
        raise PhysnetError(
            f"basin_volumes: the equilibria given have {equilibria.chart.size} coordinates and the state of "
            f"{type(system).__name__} {chart.size}. Give those of this system."
        )
    measuring = check_relaxer(system, follower(chart) if relaxer is None else relaxer)
    draw, count = drawn_starts(chart, starts, within, jax.random.key(0) if key is None else key)
    vectors = np.asarray(draw(jnp.arange(count)))
    if relaxer is None and not chart.has_energy:
        ends, resting = _rested(chart, vectors, chunk)
    else:
        ends, resting = followed(chart, vectors, chunk=chunk, relaxer=relaxer)
    if not resting.all():  # what follows the dynamics away from saddles does not count those that rest on one
        resting = resting | (np.asarray(_residuals(chart, ends)) <= measuring.tolerance_for(chart.dtype))
    size = span(chart, np.concatenate([vectors, ends[resting]]))
    same = _SAME * size if same is None else same
    ended = collect(chart, ends, resting, measuring, size=size, symmetries=symmetries, modes=modes, same=same)

    unsettled = float(np.mean(ended.found < 0))
    stable = ended[ended.index == 0]
    undecided = float(np.mean(stable.found < 0)) - unsettled
    if equilibria is not None:
        stable = _known_first(equilibria[equilibria.index == 0], stable, symmetries, same)
    low, high = share_interval(stable.hits, count, confidence)
    return Basins(stable, stable.hits / count, low, high, unsettled, max(undecided, 0.0), confidence)


def _rested(chart: Chart, vectors: np.ndarray, chunk: int):
    """(ends, whether they rest) of dynamics without an energy.

    Followed until the state rests, and only then polished: Newton's method would take one that circles or drifts to
    an equilibrium that it never reaches, and so a state that moves far under it was not at rest.
    """
    ends, resting, _ = relaxed(chart, vectors, _FLOW, chunk)
    arrived = np.flatnonzero(resting)
    polished, good, _ = relaxed(chart, ends[arrived], Newton(degenerate=True), chunk)
    moved = np.abs(chart.difference(polished, ends[arrived])).max(axis=1, initial=0)
    ends[arrived], resting[arrived] = polished, good & (moved <= _REACH * span(chart, vectors))
    return ends, resting


@eqx.filter_jit
def _residuals(chart: Chart, vectors):
    return jax.lax.map(chart.relative_residual, vectors)


def _known_first(known: Equilibria, met: Equilibria, symmetries, same: float) -> Equilibria:
    """The known equilibria, then those met that are none of them; hits and `found` of those met."""
    place, fresh = np.zeros(len(met), int), []
    for i in range(len(met)):
        images = orbit(met.vector[i], symmetries, met.chart, same) if symmetries else met.vector[i : i + 1]
        distances = [np.abs(met.chart.difference(images, vector)).max(axis=1).min() for vector in known.vector]
        if distances and min(distances) <= same:
            place[i] = int(np.argmin(distances))
        else:
            place[i] = len(known) + len(fresh)
            fresh.append(i)
    everything = joined([known, met[fresh]]) if fresh else known
    hits = np.bincount(place, weights=met.hits, minlength=len(everything)).astype(int)
    found = np.where(met.found >= 0, place[met.found] if len(place) else -1, -1)
    return replace(everything, hits=hits, found=found, chart=met.chart)
