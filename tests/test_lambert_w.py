"""W(exp(z)) against scipy, its own equation, and the derivative it should have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw, wrightomega

from circuits import log_lambert

log_lambert_jit = jax.jit(log_lambert)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_agrees_with_lambertw_where_the_exponential_fits(dtype):
    z = np.linspace(-60, 80, 14001).astype(dtype)
    exact = lambertw(np.exp(z.astype(float))).real
    relative = np.abs(np.asarray(log_lambert_jit(z), float) / exact - 1)
    # exp(z) in scipy's argument and in ours each cost some rounding for large |z| in double precision.
    assert relative.max() < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_agrees_with_wright_omega_at_huge_arguments(dtype):
    z = np.logspace(1, np.log10(np.finfo(dtype).max) - 1, 400).astype(dtype)
    exact = wrightomega(z.astype(float))
    assert np.abs(np.asarray(log_lambert_jit(z), float) / exact - 1).max() < 4 * np.finfo(dtype).eps


def test_solves_its_own_equation():
    z = np.linspace(-700, 700, 5001)
    w = np.asarray(log_lambert_jit(z))
    assert np.all(np.abs(w + np.log(w) - z) <= 4 * np.finfo(float).eps * np.maximum(np.abs(z), 1))


def test_ends_of_the_range():
    assert log_lambert(jnp.array([-jnp.inf, -1e300, -1e4])).tolist() == [0, 0, 0]
    assert log_lambert(jnp.inf) == jnp.inf
    assert jnp.isnan(log_lambert(jnp.nan))
    assert log_lambert(1) == 1  # a whole number is a real one
    assert log_lambert(jnp.float32(3e38)) == jnp.float32(3e38)
    assert log_lambert(jnp.ones((2, 3), jnp.float32)).dtype == jnp.float32


def test_is_monotone_across_its_seams():
    eps = np.finfo(float).eps
    for seam in (np.log(eps), 1.0, 1 / eps):
        z = seam * (1 + np.linspace(-1, 1, 201) * 1e-12)
        z.sort()
        w = np.asarray(log_lambert_jit(z))
        assert np.all(np.diff(w) >= -2 * eps * w[1:])


def test_derivatives_of_first_and_second_order():
    z = jnp.array([-800.0, -50.0, -3.0, 0.0, 0.9, 1.1, 40.0, 1e8, 1e300])
    w = log_lambert_jit(z)
    first = jax.jit(jax.vmap(jax.grad(log_lambert)))(z)
    second = jax.jit(jax.vmap(jax.grad(jax.grad(log_lambert))))(z)
    np.testing.assert_allclose(first, w / (1 + w), rtol=1e-14)
    small = slice(0, 7)  # autodiff of w/(1 + w) subtracts two numbers near 1/w
    np.testing.assert_allclose(second[small], (w / (1 + w) ** 3)[small], rtol=1e-12)
    step = 1e-5
    slope = (log_lambert_jit(z + step) - log_lambert_jit(z - step))[2:7] / (2 * step)
    np.testing.assert_allclose(first[2:7], slope, rtol=1e-8)
