"""What differs between two results: settings, provenance and numbers. Never starts the simulator."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from physnet import tables
from physnet.errors import PhysnetError
from physnet.number_differences import VariableDifference, compare_variable

PROVENANCE = (
    *("source", "history", "date_created"),
    *(f"physnet_{name}" for name in ("git", "device", "precision", "seed")),
)
_CONFIG, _VERSIONS = "physnet_config", "physnet_versions"
_ABSENT = "(absent)"


@dataclass(frozen=True)
class Difference:
    """One setting or attribute that differs. name: its own. a, b: its value in each dataset, as text."""

    name: str
    a: str
    b: str


@dataclass(frozen=True)
class Comparison:
    """Two datasets side by side; `str()` is a table, `to_dict()` and `to_json()` are for programs.

    names: what the two are called; rtol, atol: floats agree within atol + rtol * |b|, rtol relative, atol in the unit
    of each variable. config: settings that differ; provenance: versions, git, device, precision, seed, dates that
    differ; attributes:
        further global attributes that differ. None of these decides `agree`.
    only_a, only_b: variables and coordinates that one of them lacks.
    variables: those that both have, coordinates first.
    """

    names: tuple[str, str]
    rtol: float
    atol: float
    config: tuple[Difference, ...]
    provenance: tuple[Difference, ...]
    attributes: tuple[Difference, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    variables: tuple[VariableDifference, ...]

    @property
    def agree(self) -> bool:
        """Whether both hold the same variables with the same numbers, floats within the tolerance."""
        return not self.only_a and not self.only_b and all(variable.agrees for variable in self.variables)

    def to_dict(self) -> dict:
        """Everything as plain Python values that JSON holds; infinite differences as the text "inf"."""
        plain = {"agree": self.agree} | asdict(self)
        for variable in plain["variables"]:
            for name in ("absolute", "relative"):
                if variable[name] is not None and not np.isfinite(variable[name]):
                    variable[name] = str(variable[name])
        return plain

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False)

    def __str__(self):
        a, b = self.names
        lines = [f"A: {a}", f"B: {b}"]
        for heading, found in (
            ("configuration", self.config),
            ("provenance", self.provenance),
            ("other attributes", self.attributes),
        ):
            lines.append(f"{heading}: {'differs' if found else 'the same'}")
            lines += tables.aligned([(item.name, tables.short(item.a), "|", tables.short(item.b)) for item in found])
        lines.append(f"numbers (floats within {self.atol:g} + {self.rtol:g} |B|):")
        lines += tables.aligned([("", "largest difference", "relative", "differing", "where"), *self._rows()])
        lines.append(self.verdict())
        return "\n".join(lines)

    def verdict(self) -> str:
        """One sentence: whether the numbers agree, and if not, which do not."""
        wrong = [*self.only_a, *self.only_b, *(v.name for v in self.variables if not v.agrees)]
        return "the numbers agree" if self.agree else f"the numbers DISAGREE: {', '.join(wrong)}"

    def _rows(self):
        for variable in self.variables:
            yield _row(variable)
        for name in self.only_a:
            yield (f"! {name}", "only in A", "", "", "")
        for name in self.only_b:
            yield (f"! {name}", "only in B", "", "", "")


def compare(a, b, *, rtol: float = 1e-10, atol: float = 0.0, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """What differs between two open datasets, piece by piece where they are read from disk.

    a, b: xarray Datasets, in memory or lazily opened.
    rtol, atol: floats agree within atol + rtol * |b|, atol in the unit of each variable; NaN agrees with NaN, and a
        variable with the attribute `period` is compared modulo it. Integers, flags and text agree when they are equal.
    names: what to call the two, for example their paths.

    Raises PhysnetError for a tolerance that is negative or no number.
    """
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not (np.isfinite(value) and value >= 0):
            raise PhysnetError(f"{name} is {value:g}; a tolerance is a number >= 0. Try {name}=1e-6")
    shared = [str(name) for name in (*a.coords, *a.data_vars) if name in b.variables]
    known = {*PROVENANCE, _CONFIG, f"{_CONFIG}_sha256", _VERSIONS}
    others = sorted({str(name) for name in (*a.attrs, *b.attrs)} - known)
    return Comparison(
        names=tuple(map(str, names)),
        rtol=float(rtol),
        atol=float(atol),
        config=_settings(*(_json(ds.attrs.get(_CONFIG)) for ds in (a, b))),
        provenance=_settings(*(_provenance(ds) for ds in (a, b))),
        attributes=_settings(*({name: ds.attrs[name] for name in others if name in ds.attrs} for ds in (a, b))),
        only_a=tuple(str(name) for name in a.variables if name not in b.variables),
        only_b=tuple(str(name) for name in b.variables if name not in a.variables),
        variables=tuple(compare_variable(name, a, b, rtol, atol) for name in shared),
    )


# Settings and provenance.


def _provenance(ds) -> dict:
    found = {name.removeprefix("physnet_"): ds.attrs[name] for name in PROVENANCE if name in ds.attrs}
    versions = {f"version of {package}": version for package, version in _json(ds.attrs.get(_VERSIONS)).items()}
    return versions | found


def _json(text) -> dict:
    """What an attribute holds as JSON, flat: {"network.size": 3}; text that is no mapping stands under no name."""
    try:
        value = json.loads(str(text)) if text is not None else {}
    except ValueError:
        value = str(text)
    return dict(_flat(value, ""))


def _flat(value, path):
    if not isinstance(value, dict) or (path and not value):
        yield path or "(whole)", value
        return
    for name, item in value.items():
        yield from _flat(item, f"{path}.{name}" if path else str(name))


def _settings(a: dict, b: dict) -> tuple[Difference, ...]:
    names = [*a, *(name for name in b if name not in a)]
    shown = [Difference(name, *(_text(side[name]) if name in side else _ABSENT for side in (a, b))) for name in names]
    return tuple(item for item in shown if item.a != item.b)


def _text(value) -> str:
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _row(variable: VariableDifference) -> tuple[str, ...]:
    name = variable.name if variable.agrees else f"! {variable.name}"
    if variable.mismatch:
        return (name, variable.mismatch, "", "", "clock time, not counted" if variable.clock else "")
    where = f"{variable.worst or 'the only value'}: {variable.a} | {variable.b}" if variable.a != variable.b else ""
    if variable.clock:
        return (name, "clock time, not counted", "", "", where)
    size = "" if variable.absolute is None else f"{variable.absolute:.3g}"
    if variable.absolute == 0 or (variable.absolute is None and not variable.differing):
        size = "equal"
    elif size and variable.units not in ("", "1"):
        size += f" {variable.units}"
    relative = f"{variable.relative:.3g}" if variable.relative else ""
    return (name, size, relative, f"{variable.differing} of {variable.compared}", where)
