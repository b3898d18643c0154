"""Large variables piece by piece: slabs that follow how the data are stored, so that memory stays bounded."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

SLAB = 16 * 2**20  # bytes: large enough for speed, small beside what importing xarray takes
_TEXT = 64  # bytes that a Python string takes, roughly; NumPy counts the pointer only


def slabs(variable, size: int | None = None) -> Iterator[tuple[slice, ...]]:
    """Indices that together cover an xarray Variable once, in order, each of at most `size` bytes (16 MiB) or a chunk.

    They are cut along the chunks in which the data lie, so that none is read and uncompressed many times.
    """
    if math.prod(variable.shape) == 0:
        return
    steps = _steps(variable, size or SLAB)
    starts = [range(0, length, step) for length, step in zip(variable.shape, steps)]
    for corner in itertools.product(*starts):
        yield tuple(slice(start, start + step) for start, step in zip(corner, steps))


def values(variable, index: tuple[slice, ...]) -> np.ndarray:
    """The slab of a Variable at an index, as a NumPy array; nothing else is read."""
    return np.asarray(variable[index].values)


def span(variable) -> tuple | None:
    """(smallest, largest) finite value of a Variable of numbers, in its own type; None when there is none."""
    found = []
    for index in slabs(variable):
        part = values(variable, index)
        finite = np.isfinite(part)
        part = part if finite.all() else part[finite]
        if part.size:
            found += [part.min(), part.max()]
    return (min(found), max(found)) if found else None


def nbytes(variable) -> int:
    """How many bytes a variable takes once it is read."""
    return math.prod(variable.shape) * itemsize(variable)


def itemsize(variable) -> int:
    """How many bytes one value takes once it is read."""
    return variable.dtype.itemsize if variable.dtype.kind in "iufb" else max(_TEXT, variable.dtype.itemsize)


def _steps(variable, size: int) -> list[int]:
    """The shape of one slab: a chunk, grown from the last axis on while it fits `size`."""
    steps = [min(chunk, length) for chunk, length in zip(_chunks(variable), variable.shape)]
    for axis in reversed(range(len(steps))):
        room = size // (math.prod(steps) * itemsize(variable))  # how many times the slab may still grow
        steps[axis] = min(variable.shape[axis], steps[axis] * max(1, room))
        if steps[axis] < variable.shape[axis]:
            break
    return steps


def _chunks(variable) -> tuple[int, ...]:
    if variable.chunks is not None:  # dask
        return tuple(max(sizes) for sizes in variable.chunks)
    stored = variable.encoding.get("chunksizes")
    # After a selection or a transposition the chunks are no longer those of this variable.
    fits = stored is not None and variable.encoding.get("original_shape") == variable.shape
    return tuple(stored) if fits else (1,) * variable.ndim
