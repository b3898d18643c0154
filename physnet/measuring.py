"""What the numbers of an open dataset look like: all while they are few, else what the file states, or a sample."""

from dataclasses import dataclass

import numpy as np

from physnet import slabs
from physnet.schema import is_text

BUDGET = 64 * 2**20  # bytes of decoded data that are read without being asked: well under a second
ALL, STATED, SAMPLE = "all", "stated", "sample"
_PIECES, _PIECE = 8, 2**20  # of a sample: slabs, and bytes in each


@dataclass(frozen=True)
class VariableCard:
    """One variable: what it is, and what its numbers look like.

    seen: where lowest and highest come from: "all" values, what the file has "stated" of itself, or a "sample" of them.
    lowest, highest: over the finite values, None for text or when there are none.
    missing: how many of the values seen are not finite; None where none was read.
    outside: how many of them lie outside valid_min..valid_max, which many readers show as missing; None likewise.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    units: str
    long_name: str
    seen: str
    lowest: float | None
    highest: float | None
    missing: int | None
    outside: int | None
    coordinate: bool


@dataclass(frozen=True)
class Convergence:
    """Fraction of steady states that converged (1 is all), and the largest residual in its unit.

    largest_residual is None when `residual` is absent or has no number, and not_finite counts residuals that are none.
    seen: whether these are of "all" states or of a "sample".
    """

    fraction: float
    largest_residual: float | None
    units: str
    not_finite: int
    seen: str


@dataclass(frozen=True)
class _Numbers:
    """The finite values among some: (lowest, highest) or None, how many there are, and how many are not."""

    span: tuple | None
    finite: int
    missing: int
    outside: int
    total: float


def measure(ds, ranges: dict, *, full: bool = False) -> tuple[tuple[VariableCard, ...], Convergence | None]:
    """A card of each variable of a dataset, and how its steady states converged; in slabs, so that memory is bounded.

    ranges: (smallest, largest) by variable as the file states them. full: read everything, whatever its size.
    """
    seen = _plan(ds, ranges, full)
    numbers = {name: _read(ds.variables[name], how) for name, how in seen.items() if how != STATED}
    cards = tuple(_card(ds, name, seen.get(name, ALL), numbers.get(name), ranges.get(name)) for name in ds.variables)
    return cards, _convergence(ds, seen, numbers)


def _plan(ds, ranges, full) -> dict:
    """For each variable of numbers, how to look at it: small ones first, and convergence before all others."""
    sizes = {name: slabs.nbytes(variable) for name, variable in ds.variables.items() if variable.dtype.kind in "iuf"}
    left, plan = BUDGET, {}
    for name in sorted(sizes, key=lambda name: (name not in ("converged", "residual"), sizes[name])):
        if full or sizes[name] <= left:
            left -= sizes[name]
            plan[name] = ALL
        else:
            plan[name] = STATED if name in ranges and name not in ("converged", "residual") else SAMPLE
    return plan


def _read(variable, how) -> _Numbers:
    low, high = variable.attrs.get("valid_min", -np.inf), variable.attrs.get("valid_max", np.inf)
    lowest, highest, count, missing, outside, total = [], [], 0, 0, 0, 0.0
    for index in slabs.slabs(variable) if how == ALL else _spread(variable):
        values = slabs.values(variable, index)
        good = np.isfinite(values)
        finite = values if good.all() else values[good]
        missing += values.size - finite.size
        if finite.size:
            lowest.append(finite.min().item())
            highest.append(finite.max().item())
            count += finite.size
            outside += int(np.count_nonzero((finite < low) | (finite > high)))
            total += float(finite.sum(dtype=np.float64))
    return _Numbers((min(lowest), max(highest)) if lowest else None, count, missing, outside, total)


def _spread(variable) -> list:
    """A few slabs of a large variable, from its beginning to its end."""
    every = list(slabs.slabs(variable, _PIECE))
    return [every[i] for i in np.unique(np.linspace(0, len(every) - 1, _PIECES).round().astype(int))]


def _card(ds, name, seen, numbers, stated) -> VariableCard:
    variable = ds.variables[name]
    span = stated if seen == STATED else numbers.span if numbers else None
    counts = (None, None) if seen == STATED else (numbers.missing, numbers.outside) if numbers else (0, 0)
    return VariableCard(
        name=str(name),
        dims=tuple(map(str, variable.dims)),
        shape=tuple(map(int, variable.shape)),
        dtype="text" if is_text(variable) else str(variable.dtype),
        units=str(variable.attrs.get("units", "")),
        long_name=str(variable.attrs.get("long_name", "")),
        seen=seen,
        lowest=span[0] if span else None,
        highest=span[1] if span else None,
        missing=counts[0],
        outside=counts[1],
        coordinate=name in ds.coords,
    )


def _convergence(ds, seen, numbers) -> Convergence | None:
    flags, residual = numbers.get("converged"), numbers.get("residual")
    if flags is None:
        return None
    # Flags for single states, fractions where states were counted; an unknown one did not converge.
    states = flags.finite + flags.missing
    return Convergence(
        fraction=flags.total / states if states else 0.0,
        largest_residual=residual.span[1] if residual and residual.span else None,
        units=str(ds.variables["residual"].attrs.get("units", "")) if "residual" in ds.variables else "",
        not_finite=residual.missing if residual else 0,
        seen=SAMPLE if SAMPLE in (seen["converged"], seen.get("residual")) else ALL,
    )
