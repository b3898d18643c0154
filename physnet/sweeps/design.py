"""At which settings a sweep runs: grids, fields that move together, random and Sobol draws, and products of them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from physnet import schema
from physnet.errors import PhysnetError

DRAW = "draw"  # the dim of random and Sobol samples


@dataclass(frozen=True)
class Axis:
    """One dim of a sweep. dim: its name. fields: those that move along it together, {field: values}, of one length."""

    dim: str
    fields: Mapping[str, tuple]

    @property
    def size(self) -> int:
        """Number of settings along this dim."""
        return len(next(iter(self.fields.values())))

    @property
    def index(self) -> str | None:
        """The field that the dim is named for; None of draws."""
        return next((name for name in self.fields if _dim(name) == self.dim), None)


@dataclass(frozen=True)
class Design:
    """The points of a sweep. `a * b` combines two designs.

    axes: every combination of their settings is a point, the last axis fastest.
    """

    axes: tuple[Axis, ...]

    def __post_init__(self):
        names = [name for axis in self.axes for name in axis.fields]
        for name in names:
            if names.count(name) > 1:
                raise PhysnetError(f"sweep: '{name}' is swept twice. Give each field once")
        if self.dims.count(DRAW) > 1:
            raise PhysnetError("sweep: two sets of draws. Draw all fields in one call, so that they are drawn together")

    def __mul__(self, other: "Design") -> "Design":
        return Design((*self.axes, *other.axes))

    @property
    def dims(self) -> tuple[str, ...]:
        """Name of each axis."""
        return tuple(axis.dim for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of settings along each axis."""
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that is swept, in order."""
        return tuple(name for axis in self.axes for name in axis.fields)

    def values(self, numbers) -> dict[str, list]:
        """{field: its value at each of some points}. numbers: of the points, from 0."""
        places = np.unravel_index(np.asarray(numbers), self.shape)
        return {
            name: [values[i] for i in place]
            for axis, place in zip(self.axes, places)
            for name, values in axis.fields.items()
        }

    def to_plain(self) -> list:
        """As JSON holds it."""
        return [{"dim": axis.dim, "fields": {k: list(v) for k, v in axis.fields.items()}} for axis in self.axes]

    @staticmethod
    def from_plain(plain) -> "Design":
        """The design that `to_plain` wrote. plain: what it returned."""
        return Design(
            tuple(
                Axis(axis["dim"], {name: tuple(map(_frozen, values)) for name, values in axis["fields"].items()})
                for axis in plain
            )
        )


def grid(**fields) -> Design:
    """Every combination of the values of these fields; a field's dim is named for it.

    fields: field=values, each in the field's unit.
    """
    return Design(tuple(Axis(_dim(name), {name: _values(name, values)}) for name, values in fields.items()))


def zipped(**fields) -> Design:
    """Fields that move together, the first value of each, then the second; the dim is named for the first field.

    fields: field=values, each in the field's unit. Raises PhysnetError where they differ in length.
    """
    if not fields:
        raise PhysnetError("zipped: no fields given. Give some, such as zipped(hidden=[64, 128], beta=[0.1, 0.2])")
    moved = {name: _values(name, values) for name, values in fields.items()}
    sizes = {name: len(values) for name, values in moved.items()}
    if len(set(sizes.values())) > 1:
        raise PhysnetError(f"zipped: fields that move together have one length, these have {sizes}")
    return Design((Axis(_dim(next(iter(moved))), moved),))


def sobol(count: int, ranges: Mapping, *, seed: int = 0) -> Design:
    """`count` points that fill a box evenly (a scrambled Sobol sequence, doi:10.1016/0041-5553(67)90144-9), dim "draw".

    ranges: {field: (lowest, highest)}, or (lowest, highest, "log") for values even in their logarithm, in the field's
    unit. count: a power of two, which Sobol sequences come in. seed: of the scrambling.
    Raises PhysnetError for another count and for a range that is none.
    """
    if count < 1 or count & (count - 1):
        below = 1 << max(count.bit_length() - 1, 0)
        raise PhysnetError(
            f"sobol: count is {count}; Sobol points come in powers of two, such as {below} or {2 * below}"
        )
    from scipy.stats import qmc

    return _drawn(qmc.Sobol(len(ranges), seed=seed).random(count) if ranges else None, ranges, "sobol")


def random(count: int, ranges: Mapping, *, seed: int = 0) -> Design:
    """`count` independent uniform draws from a box, dim "draw". ranges, seed: as for `sobol`."""
    if count < 1:
        raise PhysnetError(f"random: count is {count}; draw 1 or more")
    return _drawn(np.random.default_rng(seed).random((count, len(ranges))), ranges, "random")


def _drawn(unit, ranges, where) -> Design:
    """Points of the unit cube (draw, field) in the box of the ranges."""
    if not ranges:
        raise PhysnetError(
            f"{where}: no fields given. Give a range for some, such as {where}(128, {{'beta': (0.01, 1)}})"
        )
    fields = {}
    for share, (name, bounds) in zip(unit.T, ranges.items()):
        low, high, *scale = bounds
        if scale not in ([], ["log"]) or not low < high or (scale and low <= 0) or not np.isfinite([low, high]).all():
            raise PhysnetError(
                f"{where}: {name} is drawn from {bounds}; give (lowest, highest), or (lowest, highest, 'log') above 0"
            )
        if scale:
            values = np.exp(np.log(low) + share * (np.log(high) - np.log(low)))
        elif isinstance(low, int) and isinstance(high, int):
            values = low + np.floor(share * (high - low)).astype(int)  # as range(low, high)
        else:
            values = low + share * (high - low)
        fields[name] = tuple(values.tolist())
    return Design((Axis(DRAW, fields),))


def as_design(over) -> Design:
    """A Design as it is; a mapping {field: values} as a grid. Raises PhysnetError for anything else, or no points."""
    design = over if isinstance(over, Design) else None
    if isinstance(over, Mapping):
        design = grid(**over)
    if design is None:
        raise PhysnetError(f"sweep: over is a {type(over).__name__}; give {{field: values}}, grid(...) or sobol(...)")
    if not design.axes:
        raise PhysnetError("sweep: no field to sweep. Give one or more, such as {'beta': [0.1, 0.2]}")
    return design


def _values(name, values) -> tuple:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise PhysnetError(f"sweep: the values of {name} are {values!r}; give a sequence of them")
    plain = tuple(_frozen(value) for value in (values.tolist() if isinstance(values, np.ndarray) else values))
    if not plain:
        raise PhysnetError(f"sweep: {name} has no values. Give one or more")
    return plain


def _frozen(value):
    """A value as Python holds it, lists as tuples."""
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _dim(field: str) -> str:
    """A field's name as a dim: singular."""
    return field if schema.is_dim_name(field) else field.rstrip("s") or field
