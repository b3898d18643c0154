"""What differs between the numbers of two variables, read slab by slab."""

from dataclasses import dataclass

import numpy as np

from physnet import slabs
from physnet.schema import is_text

CLOCKS = ("wall_time", "cpu_time")  # how long something took says nothing of the numbers


@dataclass(frozen=True)
class VariableDifference:
    """One variable or coordinate that both datasets have.

    mismatch: why the two cannot be compared number by number (shape, unit, text against numbers); empty when they can.
    compared, differing: how many values were compared, and how many of them differ by more than the tolerance.
    absolute, relative: the largest difference in `units`, and over |b|; inf where one side is no finite number and the
        other is another; None for text and where nothing was compared.
    worst: where the largest difference is, a label for each dim; empty when all values are the same.
    a, b: the two values there, as text.
    clock: whether it is a time that a clock showed; such a variable never counts.
    """

    name: str
    units: str
    mismatch: str = ""
    compared: int = 0
    differing: int = 0
    absolute: float | None = None
    relative: float | None = None
    worst: str = ""
    a: str = ""
    b: str = ""
    clock: bool = False

    @property
    def agrees(self) -> bool:
        """Whether every value is within the tolerance; a clock's time always is."""
        return self.clock or not (self.mismatch or self.differing)


def compare_variable(name: str, a, b, rtol: float, atol: float) -> VariableDifference:
    """The variable `name` of the open datasets `a` and `b`, which both have it (see physnet.differences.compare)."""
    left, right = a.variables[name], b.variables[name]
    units = str(left.attrs.get("units", ""))
    clock = name in CLOCKS or name.endswith(tuple(f"_{clock}" for clock in CLOCKS))
    if set(left.dims) == set(right.dims):  # labelled axes: their order says nothing
        right = right.transpose(*left.dims)
    mismatch = _mismatch(left, right)
    if mismatch:
        return VariableDifference(name, units, mismatch, clock=clock)
    tally = _Tally()
    period = float(left.attrs.get("period", 0.0))
    for index in slabs.slabs(left):
        tally.add(index, slabs.values(left, index), slabs.values(right, index), rtol, atol, period)
    numeric = bool(left.dtype.kind in "iuf" and left.size)
    return VariableDifference(
        name,
        units,
        compared=int(left.size),
        differing=tally.differing,
        absolute=tally.absolute if numeric else None,
        relative=tally.relative if numeric else None,
        worst=_place(a, left.dims, tally.place),
        a=tally.a,
        b=tally.b,
        clock=clock,
    )


class _Tally:
    """What the slabs of one variable had in common so far: how many values differ, by how much, and where most."""

    def __init__(self):
        self.differing, self.absolute, self.relative = 0, 0.0, 0.0
        self.place, self.a, self.b = None, "", ""
        self._worst = (False, 0.0)

    def add(self, index, x, y, rtol, atol, period) -> None:
        """Counts one slab: its index in the variable, and its values on both sides."""
        unequal = x != y
        if x.dtype.kind == "f" and y.dtype.kind == "f":
            unequal &= ~(np.isnan(x) & np.isnan(y))
        if not unequal.any():
            return
        at, x, y = np.flatnonzero(unequal), x[unequal], y[unequal]
        distance, relative, over = _distances(x, y, rtol, atol, period)
        self.differing += int(np.count_nonzero(over))
        self.absolute = max(self.absolute, float(distance.max()))
        self.relative = max(self.relative, float(relative.max()))
        # Values beyond the tolerance come first: a large one within it may differ by more.
        i = int(np.argmax(np.where(over, distance, -1.0) if over.any() else distance))
        if (found := (bool(over[i]), float(distance[i]))) > self._worst:
            corner = np.unravel_index(at[i], unequal.shape)
            self._worst, self.a, self.b = found, _shown(x[i]), _shown(y[i])
            self.place = tuple(int(k) + part.start for k, part in zip(corner, index))


def _mismatch(left, right) -> str:
    """Why two variables cannot be compared value by value, or nothing."""
    sizes = [", ".join(f"{dim} {size}" for dim, size in v.sizes.items()) for v in (left, right)]
    if sizes[0] != sizes[1]:
        return f"({sizes[0]}) | ({sizes[1]})"
    kinds = ["text" if is_text(v) else "numbers" if v.dtype.kind in "iuf" else str(v.dtype) for v in (left, right)]
    if kinds[0] != kinds[1]:
        return f"{kinds[0]} | {kinds[1]}"
    # A unit is part of a number: 1 V is not 1 mV.
    for what, key in (("unit", "units"), ("period", "period")):
        stated = [str(v.attrs.get(key, "")) or "none" for v in (left, right)]
        if stated[0] != stated[1]:
            return f"{what} {stated[0]} | {stated[1]}"
    return ""


def _distances(x, y, rtol, atol, period):
    """(|x - y|, that over |y|, which are beyond the tolerance) of values that are not equal; text is 1 apart."""
    kinds = x.dtype.kind + y.dtype.kind
    if not set(kinds) <= set("iuf"):
        distance = np.ones(x.shape)
        return distance, distance, np.ones(x.shape, bool)
    exact = "f" not in kinds
    x, y = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(all="ignore"):
        distance = np.abs(x - y)
        if period > 0 and np.isfinite(period):
            distance = np.abs(distance - period * np.round(distance / period))
        distance = np.nan_to_num(distance, nan=np.inf, posinf=np.inf)
        if exact:
            distance = np.maximum(distance, 1.0)  # floats merge large neighbours
        relative = np.where(distance == 0, 0.0, np.nan_to_num(distance / np.abs(y), nan=np.inf, posinf=np.inf))
        allowed = np.where(np.isfinite(y), atol + rtol * np.abs(y), atol)
    return distance, relative, np.ones(x.shape, bool) if exact else distance > allowed


def _place(ds, dims, place) -> str:
    """A place in the words of the dataset's labels: "sample 3, node out"."""
    words = []
    for dim, i in zip(dims, place or ()):
        label = ds.variables[dim][i].values.item() if dim in ds.coords else i
        words.append(f"{dim} {_shown(label)}")
    return ", ".join(words)


def _shown(value) -> str:
    return f"{value:.9g}" if isinstance(value, float | np.floating) else str(value)
