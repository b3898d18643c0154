"""Escape under noise: Kramers' rate and simulated times against quadrature, the backward equation and closed forms."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from landscapes import CoupledWells, coupled_wells
from scipy.interpolate import RectBivariateSpline
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import spsolve
from scipy.stats import binomtest, kstest
from wells import double_well, double_well_roots, mean_passage_time

from oscillators import Dense, PhaseNetwork, ring
from physnet import Cost, Newton, PhysnetError, results
from physnet.landscape.chart import Chart
from physnet.landscape.intervals import exponentiality, rate_interval, share_interval
from physnet.landscape.noise.anharmonic import kramers_correction
from physnet.landscape.noise.escape import escape_times
from physnet.landscape.noise.kramers import constant_mobility, kramers_rate
from physnet.landscape.noise.separation import Separation
from physnet.landscape.search import find_equilibria
from physnet.landscape.symmetry import Symmetry
from physnet.networks.memory import HopfieldMemory
from physnet.nudge import Nudge

FORCE, EASE, NEAR = 0.2, 2.0, 0.2


@pytest.fixture(scope="module")
def well():
    """The tilted double well: left well, right well, hump."""
    found = find_equilibria(double_well(ease=EASE), [FORCE], starts=32, within=(-2, 2), relaxer=Newton())
    return found[np.array([1, 0, 2])]


@pytest.fixture(scope="module")
def wells():
    return find_equilibria(coupled_wells(), starts=64, within=(-1.4, 1.4), relaxer=Newton())


RING = 8


@pytest.fixture(scope="module")
def xy():
    """A ring of equal oscillators: (q = 1, all minima, the saddles between q = 1 and q = 0)."""
    net = PhaseNetwork(Dense(ring(RING, 1.0).matrices()[0]))
    twisted = np.outer([1, 0, -1], 2 * np.pi * np.arange(RING) / RING)
    slips = np.pi / 6 * np.ones((RING, RING)) + np.diag(np.full(RING, 4 * np.pi / 6))
    passes = np.cumsum(np.concatenate([np.zeros((RING, 1)), slips[:, :-1]], axis=1), axis=1)
    found = find_equilibria(net, starts=np.concatenate([twisted, passes]), relaxer=Newton(), modes=RING - 1)
    minima = found.minima
    q = np.round(np.sum(np.angle(np.exp(1j * np.diff(minima.vector, append=minima.vector[:, :1]))), axis=1) / 2 / np.pi)
    return minima[q == 1], minima, found.saddles


class Position(Cost):
    """The sum of the outputs, as a cost."""

    def __call__(self, outputs, target):
        return jnp.sum(outputs - target)

    def largest_curvature(self):
        return 0.0


def test_a_nudge_tilts_the_barrier(well):
    """A linear cost of the position acts as the force does: E - f x."""
    nudged = find_equilibria(
        double_well(ease=EASE),
        [0.0],
        starts=well.vector,
        relaxer=Newton(),
        nudge=Nudge(Position(), jnp.zeros(1), -FORCE),
    )[np.array([1, 0, 2])]
    found, plain = (kramers_rate(some[0], some.saddles, noise=0.1) for some in (nudged, well))
    assert found.rate[0] == pytest.approx(plain.rate[0], rel=1e-9)


def exact(noise, ease=EASE):
    left, _, right = double_well_roots(FORCE)
    return mean_passage_time(noise, left, left + (1 - NEAR) * (right - left), FORCE, ease=ease)


def test_kramers_rate_tends_to_the_exact_one(well):
    noise = np.array([0.02, 0.03, 0.045])
    found = kramers_rate(well[0], well.saddles, noise=noise)
    ratio = 1 / np.array([exact(D) for D in noise]) / found.rate
    assert np.polyfit(np.log(noise), np.log(1 - ratio), 1)[0] == pytest.approx(1, abs=0.1)
    second = ratio / (1 + kramers_correction(well[0], well.saddles) * noise)
    assert np.polyfit(np.log(noise), np.log(np.abs(1 - second)), 1)[0] == pytest.approx(2, abs=0.2)
    assert found.within_range.all() and found.rates.shape == (3, 1)
    assert not kramers_rate(well[0], well.saddles, noise=1.0).within_range.any()


@pytest.fixture(scope="module")
def trials(well):
    return escape_times(well[0], well, noise=0.25, trials=600, longest=1e4, near=NEAR)


def test_simulated_times_have_the_exact_mean(trials):
    mean = exact(0.25)
    assert trials.censored == 0 and set(trials.reached) == {0}
    assert abs(trials.time.mean() - mean) < 3 * mean / np.sqrt(600)
    assert trials.low < 1 / mean < trials.high
    assert trials.exponentiality > 0.01


def test_half_the_step_changes_no_more_than_chance(well, trials):
    finer = escape_times(
        well[0],
        well,
        noise=0.25,
        trials=600,
        longest=1e4,
        near=NEAR,
        time_step=trials.time_step / 2,
        key=jax.random.key(1),
    )
    assert abs(finer.time.mean() - exact(0.25)) < 3 * exact(0.25) / np.sqrt(600)


def test_a_trial_does_not_depend_on_the_others(well, trials):
    few = escape_times(well[0], well, noise=0.25, trials=100, longest=1e4, near=NEAR)
    np.testing.assert_array_equal(few.time, trials.time[:100])


def test_censored_trials_bias_no_rate(well, trials):
    cut = escape_times(well[0], well, noise=0.25, trials=600, longest=exact(0.25), near=NEAR)
    assert abs(cut.censored / 600 - np.exp(-1)) < 4 * np.sqrt(np.exp(-1) * (1 - np.exp(-1)) / 600)
    assert cut.low < 1 / exact(0.25) < cut.high
    assert cut.time.max() <= cut.longest


def backward_time(noise, start, targets, points, box=2.0, height=1.0, coupling=0.2):
    """Mean time from `start` until another well is entered, of two coupled double wells: L T = -1 by finite volumes."""
    grid = np.linspace(-box, box, points)
    x, y = (part.ravel() for part in np.meshgrid(grid, grid, indexing="ij"))
    energy = height * ((x * x - 1) ** 2 + (y * y - 1) ** 2) + coupling / 2 * (x - y) ** 2
    number = np.arange(points**2).reshape(points, points)
    entries = []
    for a, b in ((number[:-1].ravel(), number[1:].ravel()), (number[:, :-1].ravel(), number[:, 1:].ravel())):
        for i, j in ((a, b), (b, a)):
            rate = noise / (grid[1] - grid[0]) ** 2 * np.exp((energy[i] - energy[j]) / (2 * noise))
            entries += [(rate, i, j), (-rate, i, i)]
    value, row, column = (np.concatenate(part) for part in zip(*entries))
    generator = csr_matrix((value, (row, column)), shape=(points**2, points**2))
    place = np.stack([x, y], axis=1)
    own = np.sum((place - start) ** 2, axis=1)
    away = np.array([np.sum((place - target) ** 2, axis=1) for target in targets])
    between = np.sum((targets - start) ** 2, axis=1)[away.argmin(axis=0)]
    free = (1 + (own - away.min(axis=0)) / between) / 2 <= 1 - NEAR
    time = np.zeros(points**2)
    time[free] = spsolve(generator[free][:, free].tocsc(), -np.ones(free.sum()))
    return RectBivariateSpline(grid, grid, time.reshape(points, points))(*start)[0, 0]


def extrapolated(noise, start, targets):
    """To spacing 0, the error of the finite volumes being of second order."""
    coarse, fine = (backward_time(noise, start, targets, points) for points in (101, 141))
    return fine + (fine - coarse) / ((140 / 100) ** 2 - 1)


def wells_of(found):
    """(both in the left well, other minima, the two saddles out of it)."""
    start = int(np.argmin(found.minima.vector.sum(axis=1)))
    out = found.saddles.vector.min(axis=1) < -0.5
    return found.minima[start], np.delete(found.minima.vector, start, axis=0), found.saddles[out]


def test_two_coupled_wells_follow_the_backward_equation(wells):
    start, targets, out = wells_of(wells)
    noise = np.array([0.06, 0.085, 0.12])
    times = np.array([extrapolated(D, start.vector[0], targets) for D in noise])
    kramers, correction = kramers_rate(start, out, noise=noise), kramers_correction(start, out)
    assert np.abs(1 / times / kramers.rate - 1).max() < 0.06
    corrected = np.sum(kramers.rates * (1 + correction * noise[:, None]), axis=1)
    assert np.all(np.abs(1 / times / corrected - 1) < noise**2)


def test_two_coupled_wells_escape_as_the_backward_equation_says(wells):
    start, targets, out = wells_of(wells)
    noise = kramers_rate(start, out, noise=1.0).barrier[0] / 4
    mean = extrapolated(noise, start.vector[0], targets)
    found = escape_times(start, wells, noise=noise, trials=400, longest=50 * mean, near=NEAR)
    assert abs(found.time.mean() - mean) < 3 * mean / np.sqrt(400)
    single = found.others.vector.sum(axis=1) < 1  # one unit flips first, either with the same probability
    counts = np.bincount(found.reached, minlength=3)[single]
    assert counts.sum() > 390 and binomtest(int(counts[0]), int(counts.sum())).pvalue > 1e-3


class Geared(CoupledWells):
    """Coupled wells whose velocity is not along the force."""

    gear = np.array([[2.0, 0.7], [0.7, 0.5]])

    def mobility(self, force):
        return self.gear @ force


def test_mobility_enters_by_the_unstable_mode(wells):
    start, _, out = wells_of(wells)
    geared = Geared(jnp.asarray(1.0), jnp.asarray(0.2))
    there = find_equilibria(geared, starts=wells.vector, relaxer=Newton())
    found = kramers_rate(
        there[[int(there.nearest(start.vector[0])[0])]], there[[there.nearest(out.vector[0])[0]]], noise=0.1
    )

    def hessian(v):
        return np.diag(12 * v**2 - 4 + 0.2) - 0.2 * (1 - np.eye(2))

    bottom, top = hessian(start.vector[0]), hessian(out.vector[0])
    growth = -np.linalg.eigvals(Geared.gear @ top).min()
    expected = growth / 2 / np.pi * np.sqrt(np.linalg.det(bottom) / -np.linalg.det(top))
    assert found.prefactor[0] == pytest.approx(expected, rel=1e-9)


def test_ring_rates_have_a_closed_form(xy):
    """The Hessian is a ring of springs 2 pi cos(difference): its determinant across the common phase is known.

    Of springs c_1..c_n in a ring, the product of the nonzero eigenvalues is n sum_i prod_{j != i} c_j (matrix-tree).
    """
    start, _, saddles = xy
    assert len(start) == 1 and len(saddles) == RING
    found = kramers_rate(start, saddles, noise=1.0)
    barrier = 2 * np.pi * (RING * np.cos(2 * np.pi / RING) - 6 * np.cos(np.pi / 6))
    np.testing.assert_allclose(found.barrier, barrier, rtol=1e-9)

    def tree(springs):
        return len(springs) * sum(np.prod(np.delete(springs, i)) for i in range(len(springs)))

    flat, bent = np.full(RING, np.cos(2 * np.pi / RING)), np.cos(np.pi / 6) * np.append(np.ones(RING - 1), -1)
    ring_matrix = (
        2
        * np.pi
        * sum(c * np.outer(e, e) for c, e in zip(bent, np.eye(RING) - np.roll(np.eye(RING), 1, axis=1), strict=True))
    )
    growth = -np.linalg.eigvalsh(ring_matrix)[0]
    expected = growth / (2 * np.pi) * np.sqrt(tree(flat) / -tree(bent))
    np.testing.assert_allclose(found.prefactor, expected, rtol=1e-8)


def ring_escape(xy, barriers, trials):
    """(simulated rate over Kramers', its statistical error, what the first order in the noise expects)."""
    start, minima, saddles = xy
    noise = kramers_rate(start, saddles, noise=1.0).barrier[0] / barriers
    kramers = kramers_rate(start, saddles, noise=noise).rate[0]
    # A quarter of the stiffest time constant, 0.04 s: the steps change the rate by about 1 %.
    found = escape_times(start, minima, noise=noise, trials=trials, longest=20 / kramers, time_step=0.01, chunk=16)
    assert found.censored == 0
    expected = 1 + kramers_correction(start, saddles)[0] * noise
    return found.rate / kramers, found.rate / kramers / np.sqrt(trials), expected, found


def test_twisted_ring_unwinds_at_kramers_rate(xy):
    ratio, error, expected, found = ring_escape(xy, 5.0, 100)
    assert abs(ratio - expected) < 3 * error
    assert np.all(np.abs(found.others.energy[found.reached] + 2 * np.pi * RING) < 1e-6)  # all end in q = 0


@pytest.mark.slow
@pytest.mark.parametrize("barriers", [6.0, 7.0])
def test_twisted_ring_at_other_noise(xy, barriers):
    ratio, error, expected, _ = ring_escape(xy, barriers, 400)
    assert abs(ratio - expected) < 3 * error


def test_datasets_follow_the_schema(well, trials, tmp_path):
    escape = trials.to_dataset()
    assert results.validate(escape) == []
    assert float(escape.escape_rate) == trials.rate and escape.escape_time.dims == ("trial",)
    np.testing.assert_array_equal(escape.reached, trials.reached + 1)
    kramers = kramers_rate(well[0], well.saddles, noise=[0.1, 0.2]).to_dataset()
    assert results.validate(kramers) == [] and kramers.escape_rate.dims == ("noise_energy", "equilibrium")
    results.save(escape, tmp_path / "escape.nc")


def test_separation_is_the_shortest_way():
    net = PhaseNetwork(Dense(ring(5, 1.0).matrices()[0]))
    chart, rng = Chart.of(net), np.random.default_rng(0)
    states, vector = rng.uniform(-9, 9, (4, 5)), rng.uniform(-9, 9, 5)
    states[0] = vector + 1e-3 * rng.normal(size=5) + 2 * np.pi * np.array([1, 0, -2, 0, 3]) + 0.7
    found = np.asarray(Separation.of(chart, states).squared(jnp.asarray(vector)))
    assert found[0] == pytest.approx(np.sum(chart.difference(vector, states[0]) ** 2), rel=1e-5)
    shifts = np.linspace(0, 2 * np.pi, 20001)[:, None, None]
    chords = np.sum(np.abs(np.exp(1j * (vector - shifts)) - np.exp(1j * states)) ** 2, axis=-1)
    np.testing.assert_allclose(found[1:], chords.min(axis=0)[1:], rtol=1e-6)


def test_intervals_cover_as_often_as_they_say():
    low, high = share_interval([0, 3, 20], 20, 0.9)
    for i, k in enumerate((0, 3, 20)):
        known = binomtest(k, 20).proportion_ci(0.9)
        assert (low[i], high[i]) == pytest.approx((known.low, known.high), abs=1e-12)
    rng = np.random.default_rng(1)
    times = rng.exponential(2.0, (2000, 12))
    cut = np.minimum(times, 3.0)
    low, high = rate_interval((times < 3).sum(axis=1), cut.sum(axis=1), 0.9)
    assert 0.88 < np.mean((low < 0.5) & (high > 0.5)) < 0.97


def test_exponentiality_is_a_probability():
    rng = np.random.default_rng(2)

    def of(times, longest=1.5):
        return exponentiality(np.minimum(times, longest), times < longest, longest)

    p = [of(rng.exponential(1.0, 60)) for _ in range(100)]
    assert kstest(p, "uniform").pvalue > 0.01
    assert of(rng.gamma(3, 1 / 3, 200)) < 0.01
    assert np.isnan(of(np.full(20, 9.0)))


def test_what_cannot_be_done_is_said(well, wells, xy):
    cases = [
        (lambda: kramers_rate(well, well.saddles, noise=0.1), "one minimum"),
        (lambda: kramers_rate(well[2], well.saddles, noise=0.1), "index 1, not 0"),
        (lambda: kramers_rate(well[0], well[1], noise=0.1), "index 0, not 1"),
        (lambda: kramers_rate(well[0], well.saddles, noise=0.0), "above 0"),
        (lambda: kramers_rate("left", well.saddles, noise=0.1), "minimum"),
        (lambda: escape_times(well[2], well, noise=0.1, longest=1.0), "index 0"),
        (lambda: escape_times(well[0], well[0], noise=0.1, longest=1.0), "no other minimum"),
        (lambda: escape_times(well[0], well, noise=0.1, longest=1.0, near=0.7), "near is 0.7"),
        (lambda: escape_times(well[0], well, noise=0.1, longest=1.0, time_step=1.0), "time_step is 1 s"),
        (lambda: escape_times(well[0], well, noise=0.1, longest=-1.0), "longest is -1.0 s"),
        (lambda: escape_times(well[0], well, noise=0.1, longest=1.0, trials=0), "0 trials"),
    ]
    merged = find_equilibria(
        coupled_wells(), starts=wells.vector, relaxer=Newton(), symmetries=(Symmetry([1, 0]), Symmetry(sign=-1))
    )
    cases.append((lambda: escape_times(merged.minima[0], merged, noise=0.1, longest=1.0), "merged minima"))
    cases.append((lambda: constant_mobility(Chart.of(HopfieldMemory(np.zeros((2, 2)))), "here"), "one mobility"))
    level = replace(well, chart=Chart.of(double_well(height=0.0), [0.0]))
    cases.append((lambda: kramers_rate(level[0], level.saddles, noise=0.1), "has a flat direction"))
    for call, message in cases:
        with pytest.raises(PhysnetError, match=message):
            call()
