"""Hopfield's graded memory against its own equations: energy, recall of orthogonal patterns, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import hadamard
from scipy.optimize import brentq

from physnet import Centred, PhysnetError, SquaredError, ep_gradient, implicit_gradient, relax, results
from physnet.landscape.chart import Chart
from physnet.landscape.modes import spectra
from physnet.landscape.symmetry import Symmetry
from physnet.networks.memory import HopfieldMemory

GAIN = 3.0
PATTERNS = hadamard(8)[[1, 2, 5]]  # orthogonal: what they do to each other is known


def drawn(size=6, seed=0, **options):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(size, size)), 1)
    return HopfieldMemory(upper + upper.T, gain=2.0, bias=0.3 * rng.normal(size=size), **options), rng


def overlap(patterns, units, gain=GAIN):
    """m > 0 with m = tanh(gain m (1 - patterns/units))."""
    return brentq(lambda m: np.arctanh(m) - gain * m * (1 - patterns / units), 1e-6, 1 - 1e-15, xtol=1e-15)


def test_energy_is_the_integral_that_defines_it():
    memory, rng = drawn()
    potential, drive = rng.normal(size=6), rng.normal(size=6)
    activity = np.tanh(2 * potential)
    held = sum(quad(lambda x: np.arctanh(x) / 2, 0, s, epsabs=1e-13)[0] for s in activity)
    weights = np.asarray(memory.weights)
    expected = held - activity @ weights @ activity / 2 - (np.asarray(memory.bias) + drive) @ activity
    assert float(memory.energy(jnp.asarray(potential), jnp.asarray(drive))) == pytest.approx(expected, abs=1e-11)


def test_residual_is_the_slope_of_the_energy():
    memory, rng = drawn()
    for size in (0.1, 1.0, 8.0):  # saturated as well
        potential, drive = jnp.asarray(size * rng.normal(size=6)), jnp.asarray(rng.normal(size=6))
        slope = jax.grad(memory.energy)(potential, drive)
        np.testing.assert_allclose(memory.residual(potential, drive), slope, rtol=1e-7, atol=1e-15)
        h = 1e-6
        for i, e in enumerate(np.eye(6)):
            difference = memory.energy(potential + h * e, drive) - memory.energy(potential - h * e, drive)
            assert float(difference) / (2 * h) == pytest.approx(float(slope[i]), abs=1e-8)


def test_a_saturated_unit_keeps_its_digits():
    """c(u) = u tanh(gu) - log(cosh gu)/g tends to log(2)/g; what is left is -2u exp(-2gu), to first order."""
    alone = HopfieldMemory(np.zeros((1, 1)), gain=1.0)
    for u in (30.0, 400.0):
        energy = float(alone.energy(jnp.array([u]), jnp.zeros(1)))
        assert energy == pytest.approx(np.log(2), abs=1e-15) and np.isfinite(energy)
        assert float(alone.residual(jnp.array([u]), jnp.zeros(1))[0]) > 0  # far from rest, and it says so
    slope = float(alone.residual(jnp.array([-20.0]), jnp.zeros(1))[0])
    assert slope == pytest.approx(-20 / np.cosh(20.0) ** 2, rel=1e-12)


def test_energy_falls_along_the_way():
    memory, rng = drawn(rate=5.0)
    for _ in range(5):
        potential, drive = jnp.asarray(rng.normal(size=6)), jnp.asarray(rng.normal(size=6))
        velocity = memory.vector_field(potential, drive)
        change = jnp.vdot(jax.grad(memory.energy)(potential, drive), velocity)
        slopes = 2 * (1 - np.tanh(2 * potential) ** 2)
        assert float(change) == pytest.approx(-float(jnp.sum(slopes * velocity**2)) / 5, rel=1e-9) and change < 0
        force = jnp.asarray(rng.normal(size=6))
        forced = memory.forced_vector_field(potential, drive, force)
        np.testing.assert_allclose(
            forced, -5 * memory.forced_residual(potential, drive, force) / slopes, rtol=1e-9, atol=1e-12
        )


@pytest.fixture(scope="module")
def recalled():
    memory = HopfieldMemory.storing(PATTERNS, gain=GAIN)
    cues = PATTERNS.copy()
    cues[:, 0] *= -1  # one unit of eight wrong
    starts = jax.vmap(memory.potential_of)(jnp.asarray(cues, float))
    return memory, relax(memory, jnp.zeros((3, 8)), initial=starts)


def test_orthogonal_patterns_are_recalled_with_the_known_overlap(recalled):
    _, found = recalled
    assert np.all(found.converged)
    np.testing.assert_allclose(found.outputs, overlap(3, 8) * PATTERNS, atol=1e-9)


def test_few_random_patterns_are_equilibria_of_their_sign():
    """5 patterns in 100 units, far below the 13.8 of the zero-temperature capacity (Amit, Gutfreund & Sompolinsky 1985,
    doi:10.1103/PhysRevLett.55.1530 (m))."""
    patterns = np.where(np.random.default_rng(0).random((5, 100)) < 0.5, -1, 1)
    memory = HopfieldMemory.storing(patterns, gain=8.0)
    weights = patterns.T @ patterns / 100 - 0.05 * np.eye(100)
    for pattern in patterns:
        potential = weights @ pattern
        for _ in range(500):
            potential = weights @ np.tanh(8.0 * potential)
        assert np.abs(memory.vector_field(jnp.asarray(potential), jnp.zeros(100))).max() < 1e-12
        assert np.mean(np.sign(potential) == pattern) > 0.98


def test_one_pattern_has_the_known_overlap():
    pattern = np.where(np.random.default_rng(3).random(8) < 0.5, -1, 1)
    memory = HopfieldMemory.storing(pattern[None], gain=GAIN)
    found = relax(
        memory, jnp.zeros((3, 8)), initial=jax.vmap(memory.potential_of)(jnp.asarray(PATTERNS + pattern, float))
    )
    np.testing.assert_allclose(found.outputs, overlap(1, 8) * np.tile(pattern, (3, 1)), atol=1e-9)


def test_patterns_are_minima_with_the_known_curvature(recalled):
    """At s = m xi, H = s' (1 - s' W), s' = gain (1 - m^2); W has the eigenvalues 1 - 3/8 (patterns) and -3/8."""
    memory, found = recalled
    chart = Chart.of(memory)
    spectrum = spectra(chart, np.asarray(found.state), 8)
    slope = GAIN * (1 - overlap(3, 8) ** 2)
    expected = slope * (1 - slope * np.repeat([5 / 8, -3 / 8], [3, 5]))
    np.testing.assert_allclose(spectrum.curvature, np.tile(np.sort(expected), (3, 1)), rtol=1e-8)
    assert np.all(spectrum.index == 0)


def test_both_signs_are_stored(recalled):
    Symmetry(sign=-1).check(Chart.of(recalled[0]))
    with pytest.raises(PhysnetError, match="does not have it"):
        Symmetry(sign=-1).check(Chart.of(recalled[0], 0.1 * jnp.ones(8)))


def test_below_the_critical_gain_nothing_is_recalled(recalled):
    """gain (1 - patterns/units) < 1: the silent state is the only one left."""
    weak = HopfieldMemory.storing(PATTERNS, gain=1.5)
    found = relax(weak, jnp.zeros((3, 8)), initial=jax.vmap(weak.potential_of)(jnp.asarray(PATTERNS, float)))
    assert np.all(found.converged) and np.abs(found.outputs).max() < 1e-4


def test_equilibrium_propagation_is_exact():
    memory, rng = drawn(size=8, seed=1)
    drive, targets = rng.normal(size=(3, 8)), 0.5 * rng.normal(size=(3, 8))
    exact = implicit_gradient(memory, drive, targets, cost=SquaredError())
    found = ep_gradient(memory, drive, targets, cost=SquaredError(), nudging=Centred(1e-5, relative=True))
    for name in ("coupling_weight", "bias"):
        a, b = (np.asarray(getattr(g.gradient, name)) for g in (found, exact))
        assert np.linalg.norm(a - b) < 1e-6 * np.linalg.norm(b)


def test_random_starts_fill_the_cube():
    memory, _ = drawn()
    keys = jax.random.split(jax.random.key(0), 500)
    states = jax.vmap(lambda key: memory.initial_state(jnp.zeros(6), key))(keys)
    activity = np.tanh(2 * np.asarray(states))
    assert abs(activity.mean()) < 0.05 and abs(activity.var() - 1 / 3) < 0.02 and np.isfinite(states).all()


def test_dataset_follows_the_schema(recalled, tmp_path):
    ds = recalled[1].to_dataset()
    assert results.validate(ds) == []
    assert ds.activity.dims == ("sample", "output") and ds.potential.dims == ("sample", "unit")
    results.save(ds, tmp_path / "memory.nc")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.ones((2, 3))}, "square matrix"),
        ({"weights": np.array([[0.0, 1.0], [2.0, 0.0]])}, "differ from their transpose by 1"),
        ({"weights": np.eye(2)}, "does not act on itself"),
        ({"weights": np.full((2, 2), np.nan)}, "NaN"),
        ({"weights": np.zeros((2, 2)), "gain": 0.0}, "gain is 0.0"),
        ({"weights": np.zeros((2, 2)), "rate": -1.0}, "rate is -1.0 s-1"),
        ({"weights": np.zeros((2, 2)), "bias": np.zeros(3)}, "bias has shape"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(PhysnetError, match=message):
        HopfieldMemory(**arguments)


def test_patterns_are_of_two_signs():
    with pytest.raises(PhysnetError, match="not all 1 and -1"):
        HopfieldMemory.storing([[0, 1, 1]])
