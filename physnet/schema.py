"""The `physnet-1` data schema: what a dataset must have, and every departure from it with its fix (docs/schema.md)."""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np

from physnet import provenance
from physnet.errors import SchemaError

CONVENTIONS = "CF-1.11 physnet-1"
REQUIRED_ATTRIBUTES = (
    *("title", "summary", "source", "history", "date_created", "references", "Conventions"),
    *(f"physnet_{name}" for name in ("config", "config_sha256", "versions", "git", "device", "precision", "seed")),
)
RESERVED = ("energy", "cost", "residual", "converged", "steps")  # a dataset with any of them holds steady states

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SINGULAR_IN_S = ("ss", "us", "is", "bias", "gas", "lens", "canvas", "series")
_UNIT = (
    r"(?:1|(?:degree|percent|[yzafpnumcdkMGTP]?(?:V|A|S|ohm|F|W|J|s|Hz|rad|K|C|N|m|g|T|H|Wb|Pa|eV|mol))"
    r"(?:(?:\^|\*\*)?-?[1-9])?)"
)
_UNITS = re.compile(rf"{_UNIT}(?:(?: ?[./*] ?| +){_UNIT})*")
# Lower-case singular to symbol, for the fix that an error suggests.
_SPELLINGS = {"volt": "V", "ampere": "A", "amp": "A", "siemen": "S", "ohm": "ohm", "farad": "F", "watt": "W"}
_SPELLINGS |= {"joule": "J", "second": "s", "sec": "s", "hertz": "Hz", "hz": "Hz", "radian": "rad", "dimensionles": "1"}


@dataclass(frozen=True)
class Violation:
    """One departure from the schema. variable: its name, or "dataset". rule: what it breaks. fix: how to mend it."""

    variable: str
    rule: str
    fix: str

    def __str__(self):
        return f"{self.variable}: {self.rule}. Fix: {self.fix}"


def is_text(array) -> bool:
    """Whether an array or xarray variable holds text."""
    return array.dtype.kind in "UT" or (array.dtype == object and all(isinstance(x, str) for x in np.ravel(array)))


def is_unit(text) -> bool:
    """Whether a unit is in the spelling of UDUNITS that the schema asks for."""
    return isinstance(text, str) and bool(_UNITS.fullmatch(text))


def is_dim_name(text: str) -> bool:
    """Whether a dim may bear this name: a singular lower-case noun."""
    last = text.split("_")[-1]
    return bool(_NAME.fullmatch(text)) and not (last.endswith("s") and not last.endswith(_SINGULAR_IN_S))


def validate(ds) -> list[Violation]:
    """Every departure of `ds` from the schema; an empty list means that it follows it."""
    found = [Violation("dataset", *issue) for issue in _attribute_issues(ds.attrs)]
    for name in REQUIRED_ATTRIBUTES:
        if name not in ds.attrs:
            found.append(Violation("dataset", f"no global attribute '{name}'", "build it with results.to_dataset"))
    if "title" in ds.attrs and not str(ds.attrs["title"]).strip():
        found.append(Violation("dataset", "the title is empty", "say in one line what was computed"))
    if "Conventions" in ds.attrs and schema_version(ds.attrs["Conventions"]) != 1:
        rule = f"Conventions is {ds.attrs['Conventions']!r}, without physnet-1"
        found.append(Violation("dataset", rule, f"set it to '{CONVENTIONS}'"))
    config, sha = ds.attrs.get("physnet_config"), ds.attrs.get("physnet_config_sha256")
    if isinstance(config, str) and isinstance(sha, str) and provenance.config_sha256(config) != sha:
        found.append(Violation("dataset", "physnet_config_sha256 is not that of physnet_config", "collect both anew"))
    for dim in map(str, ds.dims):
        if not is_dim_name(dim):
            found.append(Violation(dim, "dims are singular lower-case nouns", "rename it: node, edge, sample, epoch"))
    for name, variable in ds.variables.items():
        found += [Violation(str(name), *issue) for issue in _variable_issues(ds, str(name), variable)]
    steady = [name for name in RESERVED if name in ds.variables]
    for name in ("residual", "converged"):
        if steady and name not in ds.variables:
            rule, fix = f"steady states ('{steady[0]}') without '{name}'", "store that of the Equilibrium beside it"
            found.append(Violation("dataset", rule, fix))
    return found


def check(ds) -> None:
    """Raises SchemaError with every violation of `ds`, one a line; silent when there is none."""
    found = validate(ds)
    if found:
        raise SchemaError("the dataset does not follow physnet-1:\n" + "\n".join(f"  {item}" for item in found))


def dtype_issues(array):
    """(rule, fix) where an array is of a type that is not stored. array: of NumPy, or an xarray variable."""
    if array.dtype.kind == "c":
        yield "complex numbers are not stored", "store the real and imaginary parts, or amplitude and phase"
    elif array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        yield f"dtype {array.dtype} is not stored", "use float32 or float64"
    elif array.dtype.kind not in "iuf" and not is_text(array):
        yield f"dtype {array.dtype} is not stored", "use numbers (flags int8, times in seconds) or text coordinates"


def _variable_issues(ds, name, variable):
    """(rule, fix) for everything wrong with one variable or coordinate."""
    attributes = variable.attrs
    if not _NAME.fullmatch(name):
        yield f"the name {name!r} is not lower-case with underscores", "rename it, for example node_voltage"
    if name in ds.dims and variable.dims != (name,):
        yield "it carries the name of a dim whose coordinate it is not", "rename the variable"
    if is_text(variable) and name in ds.data_vars:
        yield "text as a data variable", "make it a coordinate: ds.set_coords"
    yield from dtype_issues(variable)
    if not is_text(variable):
        units = attributes.get("units", "")
        if not is_unit(units):
            yield f"units {units!r} are not in UDUNITS spelling" if units else "no units", _units_fix(units)
        if not str(attributes.get("long_name", "")).strip():
            yield "no long_name", "set attrs['long_name']: one phrase that a stranger understands"
    yield from _attribute_issues(attributes)


def _units_fix(units) -> str:
    text = unicodedata.normalize("NFKC", str(units)).translate({ord("μ"): "u", ord("Ω"): "ohm", ord("·"): " "})
    text = re.sub(r"[A-Za-z]+", lambda word: _SPELLINGS.get(word[0].lower().removesuffix("s"), word[0]), text)
    text = re.sub(r"\bper\b", "/", text.replace("%", "percent"))
    return f"write '{text}'" if is_unit(text) else "write V, A, S, ohm, s, MHz, 'J S-1', or 1 for a number"


def _attribute_issues(attributes):
    for name, value in attributes.items():
        try:
            array = np.asarray(value)
        except ValueError:  # a ragged list
            array = np.asarray(None)
        if array.dtype.kind not in "iufU" or array.ndim > 1:
            yield f"attribute '{name}' is a {type(value).__name__}", "use text or real numbers, or JSON for the rest"


def schema_version(conventions) -> int | None:
    """The number in "physnet-1" of the attribute Conventions, a text; None without one."""
    match = re.search(r"\bphysnet-(\d+)\b", str(conventions))
    return int(match[1]) if match else None
