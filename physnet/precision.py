"""Double precision is the default of physnet; single precision is asked for by float32 parameters.

Importing any part of physnet that computes switches JAX to 64-bit numbers, so that an equilibrium found with
ordinary Python numbers carries 15 digits. A program stays in float32 where the system's arrays are float32.
A user who sets the environment variable JAX_ENABLE_X64 keeps that choice.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from physnet.errors import PhysnetError

if "JAX_ENABLE_X64" not in os.environ:
    jax.config.update("jax_enable_x64", True)


def dtype_of(tree) -> np.dtype:
    """The floating dtype of `tree`, a pytree of arrays: that of its widest inexact leaf, float64 where it has none."""
    leaves = [jnp.asarray(leaf).dtype for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    inexact = [dtype for dtype in leaves if jnp.issubdtype(dtype, jnp.inexact)]
    return np.dtype(jnp.result_type(*inexact)) if inexact else np.dtype(jnp.result_type(float))


def is_complex(tree) -> bool:
    """Whether the pytree `tree` holds complex numbers, as states do inside a holomorphic gradient and nowhere else."""
    return any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(tree))


def cast_like(tree, like):
    """The pytree `tree` in the dtypes of `like`, of the same structure: a real state where a complex one is wanted."""
    return jax.tree.map(lambda leaf, other: leaf.astype(other.dtype), tree, like)


def by_precision(value: float | None, dtype, *, double: float, single: float) -> float:
    """The value where it is given, else the default that belongs to the precision; in the unit of both.

    value: what was asked for, or None, in its own unit. dtype: a floating type. double, single: the defaults of 64-bit
    and of 32-bit numbers, in the unit of `value`.
    """
    if value is not None:
        return value
    return double if jnp.finfo(dtype).eps < 1e-10 else single


def real_array(value, what: str) -> np.ndarray | Array:
    """The value as an array of real numbers, of its own shape, unit and dtype.

    value: a number, array or nested sequence of numbers. what: its name in the PhysnetError for anything else.
    """
    try:
        array = value if isinstance(value, jax.Array) else np.asarray(value)
    except (TypeError, ValueError):
        raise PhysnetError(f"{what}: no array of numbers can be made of it. Give rows of equal length.") from None
    real = array.dtype == bool or jnp.issubdtype(array.dtype, jnp.integer) or jnp.issubdtype(array.dtype, jnp.floating)
    if not real:
        example = f" ({value!r})" if isinstance(value, str) else ""
        raise PhysnetError(f"{what}: real numbers are needed, not values of type {array.dtype}{example}.")
    return array


def asarray(value, dtype) -> Array:
    """An array of exactly this dtype, of the shape and unit of the value, strongly typed: equal calls share a program.

    A JAX array that is one already is handed through: large data sets are not copied. value: an array, or what makes
    one. dtype: that of the result.
    """
    if isinstance(value, jax.Array) and value.dtype == dtype and not value.weak_type:
        return value
    return jnp.asarray(np.asarray(value), dtype=dtype)
