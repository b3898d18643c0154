"""Values that oscillators are built from, checked before anything is traced."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from physnet import precision
from physnet.errors import PhysnetError


def is_traced(*values) -> bool:
    """Whether any value is abstract (inside jit, grad or vmap), so that its numbers cannot be looked at."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def floats(value, what: str, units: str, *, shape: tuple[int, ...] | None = None, dtype=None) -> Array:
    """The value as an array of finite floats: its own floating dtype is kept, anything else becomes the default.

    what: names it in errors ("Dense: weights"). shape: the only one accepted; None for any. dtype: to use instead.
    Raises PhysnetError for values that are not real, not finite, or of another shape.
    """
    array = precision.real_array(value, what)
    if dtype is None:
        dtype = jnp.result_type(array.dtype if jnp.issubdtype(array.dtype, jnp.floating) else float)
    if shape is not None and array.shape != shape:
        expected = f"{shape}" if shape else "one number"
        raise PhysnetError(f"{what} has shape {array.shape}; give {expected}, {units}.")
    if not is_traced(array):
        values = np.asarray(array)
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            place = f"[{', '.join(map(str, bad[0]))}]" if values.ndim else ""
            raise PhysnetError(f"{what}{place} is {values[tuple(bad[0])]} {units}; every value must be finite.")
    return jnp.asarray(array, dtype)


def indices(value, what: str, size: int) -> np.ndarray:
    """A vector of whole numbers, each an oscillator in 0 .. size - 1. Raises PhysnetError naming one that is not."""
    array = np.asarray(precision.real_array(value, what))
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise PhysnetError(f"{what}: give a sequence of whole numbers, not {array.dtype} of shape {array.shape}.")
    array = array.astype(np.int32)
    bad = np.flatnonzero((array < 0) | (array >= size))
    if bad.size:
        raise PhysnetError(f"{what}[{bad[0]}] is {array[bad[0]]}; oscillators are numbered from 0 to {size - 1}.")
    return array


def whole(value, what: str, least: int = 1) -> int:
    """One whole number of at least `least`. Raises PhysnetError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise PhysnetError(f"{what} is {value!r}; give a whole number of at least {least}.")
    return int(value)


def seconds(value, what: str) -> float:
    """A finite time, s, of at least 0, as a Python float. Raises PhysnetError."""
    array = precision.real_array(value, what)
    if is_traced(array) or array.ndim or not (np.isfinite(array) and array >= 0):
        raise PhysnetError(f"{what} is {value!r} s; give one finite number of at least 0 s, not a traced one.")
    return float(array)
