"""What is in a result file or a sweep: a card for people, a dictionary for programs. Never starts the simulator."""

import contextlib
import json
from dataclasses import asdict, dataclass

import numpy as np

from physnet import results, tables
from physnet.figures import is_sweep
from physnet.measuring import ALL, SAMPLE, STATED, Convergence, VariableCard, measure
from physnet.reading import Reading, reading

_CHECKED = {
    "whole": "every byte is as it was written (SHA-256)",
    "labels": "labels, text and attributes are as they were written; --full checks every byte",
    "unsealed": "no seal: from an older physnet, or written by another program; only HDF5's own checksums",
    "parts": "each part of the sweep is checked as it is read",
}


@dataclass(frozen=True)
class Inspection:
    """One result; `str()` is a readable card, `to_dict()` and `to_json()` are for programs.

    path: of the result. title: of the dataset. dims: their sizes. variables: a card of each. convergence: what residual
    and converged say, None without them. attributes: the global ones. violations: departures from the schema.
    checked: how the file was checked against its seal: "whole", "labels", "unsealed", or "parts" of a sweep.
    """

    path: str
    title: str
    dims: dict[str, int]
    variables: tuple[VariableCard, ...]
    convergence: Convergence | None
    attributes: dict
    checked: str
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
                lines += [f"{heading}:", *tables.aligned(rows)]
        lines.append(f"convergence: {_sentence(self.convergence)}")
        lines.append("provenance:")
        wanted = ["date_created", "source", "references"]
        wanted += sorted(name for name in self.attributes if name.startswith("physnet_"))
        lines += tables.aligned((name, shown) for name in wanted if (shown := str(self.attributes.get(name, ""))))
        lines += [f"read: {self.extent()}", f"integrity: {_CHECKED[self.checked]}"]
        if self.violations:
            lines.append(f"schema: {len(self.violations)} departures from physnet-1")
            lines += [f"  ! {violation}" for violation in self.violations]
        else:
            lines.append("schema: follows physnet-1")
        return "\n".join(lines)

    def extent(self) -> str:
        """How much of the file the card rests on, in one sentence."""
        seen = {card.seen for card in self.variables}
        if seen <= {ALL}:
            return "every value"
        marks = ["~ as written in the file"] * (STATED in seen) + ["? of a sample"] * (SAMPLE in seen)
        return f"ranges marked {', '.join(marks)}; --full reads and checks all"


def inspect(path, *, full: bool = False) -> Inspection:
    """Describes a result file or the folder of a sweep; departures from the schema are listed, not raised.

    Reads every value while there are few (64 MiB decoded); beyond that it takes ranges from what the file states of
    itself, or from a sample where it states none. path: of the file or folder. full: read everything, slab by slab, and
    check every byte.

    Raises PhysnetError when the file is missing, damaged, not from physnet or of a newer schema.
    """
    with _opened(path, full) as (file, checked):
        ds = file.dataset
        # What another program wrote or changed states old ranges.
        cards, convergence = measure(ds, file.ranges if file.sealed else {}, full=full)
        return Inspection(
            path=str(path),
            title=str(ds.attrs.get("title", "")),
            dims={str(dim): int(size) for dim, size in ds.sizes.items()},
            variables=cards,
            convergence=convergence,
            attributes={str(name): _plain(value) for name, value in ds.attrs.items()},
            checked=checked,
            violations=tuple(results.validate(ds)),
        )


@contextlib.contextmanager
def _opened(path, full):
    """(Reading, how it was checked) of a file or of a sweep's folder."""
    if is_sweep(path):
        from physnet import sweeps

        with sweeps.open(path) as ds:
            for variable in ds.variables.values():
                if variable.dtype == object:  # text, which is looked at many times
                    variable.load()
            yield Reading(ds, {}, sealed=False, checked=False), "parts"
        return
    with reading(path, whole=full or None) as file:
        yield file, "whole" if file.checked else "labels" if file.sealed else "unsealed"


def _sentence(convergence: Convergence | None) -> str:
    if convergence is None:
        return "no steady states in this file"
    text = f"fraction converged {convergence.fraction:.6g}"
    if convergence.largest_residual is not None:
        text += f", largest residual {convergence.largest_residual:.3g} {_unit(convergence.units)}".rstrip()
    if convergence.not_finite:
        text += f", {convergence.not_finite} residuals are not finite"
    return text + (" (of a sample)" if convergence.seen == SAMPLE else "")


def _row(card: VariableCard) -> tuple[str, ...]:
    shape = ", ".join(f"{dim} {size}" for dim, size in zip(card.dims, card.shape))
    mark = {ALL: "", STATED: "~ ", SAMPLE: "? "}[card.seen]
    span = "" if card.lowest is None else f"{mark}{card.lowest:.4g} .. {card.highest:.4g}"
    notes = [card.long_name] if card.long_name else []
    notes += [f"[{card.missing} not finite]"] if card.missing else []
    notes += [f"[{card.outside} outside the valid range]"] if card.outside else []
    return (card.name, f"({shape})", card.dtype, _unit(card.units), span, " ".join(notes))


def _unit(units: str) -> str:
    return "" if units == "1" else units


def _plain(value):
    """An attribute as JSON holds it: non-finite numbers as text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
