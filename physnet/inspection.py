"""What is in a result file: a card for people, a dictionary for programs. Never starts the simulator."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from physnet import results


@dataclass(frozen=True)
class VariableCard:
    """One variable: what it is, and what its numbers look like.

    lowest, highest: over the finite values, None for text or when there are none.
    missing: how many values are not finite.
    outside: how many lie outside valid_min..valid_max, which many readers show as missing.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    units: str
    long_name: str
    lowest: float | None
    highest: float | None
    missing: int
    outside: int
    coordinate: bool


@dataclass(frozen=True)
class Convergence:
    """Fraction of steady states that converged (1 is all), and the largest residual in its unit.

    largest_residual is None when `residual` is absent or has no number, and not_finite counts residuals that are none.
    """

    fraction: float
    largest_residual: float | None
    units: str
    not_finite: int


@dataclass(frozen=True)
class Inspection:
    """One result file; `str()` is a readable card, `to_dict()` and `to_json()` are for programs."""

    path: str
    title: str
    dims: dict[str, int]
    variables: tuple[VariableCard, ...]
    convergence: Convergence | None
    attributes: dict
    violations: tuple[results.Violation, ...]

    def to_dict(self) -> dict:
        """Everything as plain Python values that JSON holds."""
        return asdict(self)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False)

    def __str__(self):
        lines = [f"{self.path}: {self.title or '(no title)'}"]
        if self.attributes.get("summary"):
            lines.append(f"  {self.attributes['summary']}")
        lines.append(f"dims: {', '.join(f'{dim} {size}' for dim, size in self.dims.items()) or 'none'}")
        for heading, wanted in (("coordinates", True), ("variables", False)):
            rows = [_row(card) for card in self.variables if card.coordinate is wanted]
            if rows:
                lines += [f"{heading}:", *_table(rows)]
        lines.append(f"convergence: {_sentence(self.convergence)}")
        lines.append("provenance:")
        wanted = ["date_created", "source", "references"]
        wanted += sorted(name for name in self.attributes if name.startswith("physnet_"))
        shown = [(name, str(self.attributes[name])) for name in wanted if str(self.attributes.get(name, ""))]
        lines += _table(shown)
        if self.violations:
            lines.append(f"schema: {len(self.violations)} departures from physnet-1")
            lines += [f"  ! {violation}" for violation in self.violations]
        else:
            lines.append("schema: follows physnet-1")
        return "\n".join(lines)


def inspect(path) -> Inspection:
    """Reads a result file and describes it; departures from the schema are listed, not raised.

    Raises PhysnetError when the file is missing, damaged, not from physnet or of a newer schema.
    """
    ds = results.open(path)
    return Inspection(
        path=str(path),
        title=str(ds.attrs.get("title", "")),
        dims={str(dim): int(size) for dim, size in ds.sizes.items()},
        variables=tuple(_card(ds, name) for name in ds.variables),
        convergence=_convergence(ds),
        attributes={str(name): _plain(value) for name, value in ds.attrs.items()},
        violations=tuple(results.validate(ds)),
    )


def _card(ds, name) -> VariableCard:
    variable = ds.variables[name]
    lowest = highest = None
    missing = outside = 0
    if variable.dtype.kind in "iuf":
        values = variable.values
        finite = values[np.isfinite(values)]
        missing = int(values.size - finite.size)
        if finite.size:
            lowest, highest = finite.min().item(), finite.max().item()
        low, high = variable.attrs.get("valid_min", -np.inf), variable.attrs.get("valid_max", np.inf)
        outside = int(np.sum((finite < low) | (finite > high)))
    return VariableCard(
        name=str(name),
        dims=tuple(map(str, variable.dims)),
        shape=tuple(map(int, variable.shape)),
        dtype="text" if results.is_text(variable) else str(variable.dtype),
        units=str(variable.attrs.get("units", "")),
        long_name=str(variable.attrs.get("long_name", "")),
        lowest=lowest,
        highest=highest,
        missing=missing,
        outside=outside,
        coordinate=name in ds.coords,
    )


def _convergence(ds) -> Convergence | None:
    if "converged" not in ds.variables or ds["converged"].dtype.kind not in "iuf":
        return None
    # Flags for single states, fractions where states were counted; an unknown one did not converge.
    flags = np.nan_to_num(np.asarray(ds["converged"].values, float), nan=0.0)
    residual = ds.get("residual")
    values = np.zeros(0) if residual is None or residual.dtype.kind not in "iuf" else np.asarray(residual.values, float)
    finite = values[np.isfinite(values)]
    return Convergence(
        fraction=float(flags.mean()) if flags.size else 0.0,
        largest_residual=float(finite.max()) if finite.size else None,
        units="" if residual is None else str(residual.attrs.get("units", "")),
        not_finite=int(values.size - finite.size),
    )


def _sentence(convergence: Convergence | None) -> str:
    if convergence is None:
        return "no steady states in this file"
    text = f"fraction converged {convergence.fraction:.6g}"
    if convergence.largest_residual is not None:
        text += f", largest residual {convergence.largest_residual:.3g} {_unit(convergence.units)}".rstrip()
    if convergence.not_finite:
        text += f", {convergence.not_finite} residuals are not finite"
    return text


def _row(card: VariableCard) -> tuple[str, ...]:
    shape = ", ".join(f"{dim} {size}" for dim, size in zip(card.dims, card.shape))
    span = "" if card.lowest is None else f"{card.lowest:.4g} .. {card.highest:.4g}"
    notes = [card.long_name] if card.long_name else []
    notes += [f"[{card.missing} not finite]"] if card.missing else []
    notes += [f"[{card.outside} outside the valid range]"] if card.outside else []
    return (card.name, f"({shape})", card.dtype, _unit(card.units), span, " ".join(notes))


def _unit(units: str) -> str:
    return "" if units == "1" else units


def _table(rows) -> list[str]:
    """Rows of text in aligned columns; the last column runs free."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    widths[-1:] = [0] if widths else []
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _plain(value):
    """An attribute as JSON holds it: non-finite numbers as text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
