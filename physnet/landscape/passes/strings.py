"""A string of states that slides down the energy between two fixed ends (E, Ren & Vanden-Eijnden 2007)."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from physnet.landscape.chart import Chart

_LONGEST = 0.5  # of the distance between images: how far one moves in a step
_BEND = 0.01  # of that distance: how far from straight the string begins, so that it leaves a ridge
_POWER_STEPS = 10


@dataclass(frozen=True)
class String:
    """images: (image, coordinate). energy: (image,). arc_length: (image,), measured along it, in the state's unit.
    perpendicular_force: (image,), largest component of the slope across. settled: whether it came to rest. moved: by
    how much of the distance between images one moved in the last step."""

    images: np.ndarray
    energy: np.ndarray
    arc_length: np.ndarray
    perpendicular_force: np.ndarray
    settled: bool
    moved: float


class _Sliding(eqx.Module):
    images: Float[Array, "image coordinate"]
    probes: Float[Array, "image coordinate"]
    moved: Float[Array, ""]
    steps: Int[Array, ""]


def relaxed_string(chart: Chart, first, last, images: int, tolerance: float, max_steps: int) -> String:
    """The string from `first` to `last`, (coordinate,) each, let go of as a straight line.

    It is at rest when no image moves in a step by more than `tolerance` of the distance between images.
    """
    share = np.linspace(0, 1, images)[:, None]
    golden = (np.sqrt(5) - 1) / 2 * np.arange(1, len(first) + 1) % 1 - 0.5  # no direction in particular
    bend = _BEND * np.linalg.norm(last - first) / (images - 1) * np.sin(np.pi * share) * golden
    straight = jnp.asarray(first + share * (last - first) + bend, chart.dtype)
    limits = jnp.asarray(tolerance, chart.dtype), jnp.asarray(max_steps, jnp.int32)
    found, moved, *along = _slide(chart, straight, *limits)
    return String(*(np.asarray(part) for part in (found, *along)), bool(moved <= tolerance), float(moved))


@eqx.filter_jit
def _slide(chart: Chart, straight, tolerance, max_steps):
    """One step: every image straight downhill, then all of them back to equal distances along a curve through them.

    The step is one over the largest curvature met on the string, which a power iteration of one Hessian-vector product
    per image and step keeps track of: the longest that damps every direction.
    """
    residual = jax.vmap(chart.residual)
    probes = jax.random.normal(jax.random.key(0), straight.shape, straight.dtype)

    def curved(images, probes):
        products = jax.vmap(chart.curvature_along)(images, probes)
        size = jnp.linalg.norm(products, axis=1, keepdims=True)
        return products / jnp.maximum(size, jnp.finfo(size.dtype).tiny), jnp.max(size)

    def advance(now: _Sliding) -> _Sliding:
        probes, largest = curved(now.images, now.probes)
        spacing = jnp.sum(jnp.linalg.norm(jnp.diff(now.images, axis=0), axis=1)) / (len(straight) - 1)
        step = -residual(now.images) / largest
        length = jnp.linalg.norm(step, axis=1, keepdims=True)
        step = step * jnp.minimum(1, _LONGEST * spacing / jnp.maximum(length, jnp.finfo(length.dtype).tiny))
        moving = (jnp.arange(len(straight)) % (len(straight) - 1) > 0)[:, None]
        images, _ = _evenly(now.images + jnp.where(moving, step, 0))
        moved = jnp.max(jnp.linalg.norm(images - now.images, axis=1)) / spacing
        return _Sliding(images, probes, moved, now.steps + 1)

    probes = jax.lax.fori_loop(0, _POWER_STEPS, lambda _, p: curved(straight, p)[0], _normalised(probes))
    first = _Sliding(straight, probes, jnp.asarray(jnp.inf, straight.dtype), jnp.zeros((), jnp.int32))
    # NaN ends the loop and is above every tolerance.
    last = jax.lax.while_loop(lambda now: (now.moved > tolerance) & (now.steps < max_steps), advance, first)
    _, slopes = _evenly(last.images)
    tangent, force = _normalised(slopes), residual(last.images)
    across = force - jnp.sum(force * tangent, axis=1, keepdims=True) * tangent
    lengths = jnp.linalg.norm(jnp.diff(last.images, axis=0), axis=1)
    arc = jnp.concatenate([jnp.zeros(1, straight.dtype), jnp.cumsum(lengths)])
    return last.images, last.moved, jax.vmap(chart.energy)(last.images), arc, jnp.max(jnp.abs(across), axis=1)


def _normalised(rows):
    return rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), jnp.finfo(rows.dtype).tiny)


def _evenly(images):
    """(the images moved along the curve through them to equal distances, its slope at the places they had).

    The curve is piecewise cubic over the chord length; its slope at each image is that of the parabola through it and
    its neighbours.
    """
    chord = jnp.linalg.norm(jnp.diff(images, axis=0), axis=1)
    chord = jnp.maximum(chord, 1e-12 * jnp.sum(chord))
    at = jnp.concatenate([jnp.zeros(1, images.dtype), jnp.cumsum(chord)])
    secant, width = jnp.diff(images, axis=0) / chord[:, None], chord[:, None]
    inner = (secant[:-1] * width[1:] + secant[1:] * width[:-1]) / (width[:-1] + width[1:])
    slopes = jnp.concatenate([2 * secant[:1] - inner[:1], inner, 2 * secant[-1:] - inner[-1:]])
    wanted = jnp.linspace(0, 1, len(images), dtype=images.dtype) * at[-1]
    k = jnp.clip(jnp.searchsorted(at, wanted, side="right") - 1, 0, len(images) - 2)
    t = ((wanted - at[k]) / chord[k])[:, None]
    a, b, m, n, h = images[k], images[k + 1], slopes[k], slopes[k + 1], chord[k][:, None]
    moved = (1 + 2 * t) * (1 - t) ** 2 * a + t * (1 - t) ** 2 * h * m + t**2 * (3 - 2 * t) * b + t**2 * (t - 1) * h * n
    return moved.at[0].set(images[0]).at[-1].set(images[-1]), slopes
