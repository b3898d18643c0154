"""The `physnet-1` data schema: one builder, one writer, one reader, one validator (docs/schema.md).

Works on NumPy and xarray only, so that results are read where the simulator is not installed.
"""

import builtins
import difflib
import os
import re
import secrets
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physnet import provenance
from physnet.errors import PhysnetError, SchemaError

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
    """One departure from the schema: the variable (or "dataset"), the rule it breaks, and how to mend it."""

    variable: str
    rule: str
    fix: str

    def __str__(self):
        return f"{self.variable}: {self.rule}. Fix: {self.fix}"


def to_dataset(variables, *, coords=None, title, summary="", references="", attrs=None):
    """A labelled xarray Dataset that follows the schema, from `(Variable, array)` pairs.

    variables, coords: iterables of `(Variable, array)`; `dims` names every axis of the array, the sample axis
        included. A coordinate is one-dimensional, on the dim of its own name or on another; it may be text.
    title, summary, references: text for strangers; references are DOIs or titles.
    attrs: further global attributes, usually `provenance.collect(...)` and `physnet_study`.

    Booleans become int8 flags. Raises SchemaError naming the variable, the rule and the fix.
    """
    import xarray as xr

    pairs, axes = list(variables), [(variable, data) for variable, data in coords or ()]
    dims = {dim for variable, _ in (*pairs, *axes) for dim in variable.dims}
    for variable, _ in pairs:
        if variable.name in dims:
            raise SchemaError(f"{variable.name}: the name of a dim. Pass it in coords=, or rename it")
    for variable, _ in axes:
        if len(variable.dims) != 1:
            raise SchemaError(f"{variable.name}: a coordinate has one dim, this one has {variable.dims}")
    arrays, sizes = {}, {}
    for variable, data in (*pairs, *axes):
        if variable.name in arrays:
            raise SchemaError(f"{variable.name}: given twice. Give every variable its own name")
        arrays[variable.name] = array = _array(variable, data)
        for dim, size in zip(variable.dims, array[1].shape):
            known, owner = sizes.setdefault(dim, (size, variable.name))
            if known != size:
                raise SchemaError(f"{variable.name}: dim '{dim}' has size {size} here and {known} in {owner}")

    extra = provenance.collect() | dict(attrs or {})
    program, created = f"physnet {provenance.version()}", extra["date_created"]
    defaults = {"title": title, "summary": summary, "references": references}
    defaults |= {"source": f"{program}: numerical simulation", "history": f"{created} created by {program}"}
    names = [variable.name for variable, _ in axes]
    attributes = defaults | extra | {"Conventions": CONVENTIONS}
    ds = xr.Dataset(arrays, attrs=attributes).set_coords(names)
    check(ds)
    return ds


def _array(variable, data):
    """(dims, NumPy array, attributes) as xarray takes them."""
    try:
        array = np.asarray(data)
    except Exception as error:  # whatever a foreign array type raises when it cannot be converted
        raise SchemaError(f"{variable.name}: cannot become a NumPy array ({error})") from error
    dims = tuple(variable.dims)
    if len(dims) != array.ndim:
        raise SchemaError(
            f"{variable.name}: dims {dims} name {len(dims)} axes, but the array has shape {array.shape}. "
            "Name every axis, the sample axis included"
        )
    attributes = {"long_name": variable.long_name}
    if array.dtype == bool:
        array = array.astype(np.int8)
        attributes |= {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "false true"}
    for issue in _dtype_issues(array):  # before xarray, which refuses some of them in its own words
        raise SchemaError(str(Violation(variable.name, *issue)))
    if not is_text(array):
        attributes["units"] = variable.units
    if array.dtype.kind == "f" and variable.bounds is not None:
        for name, bound in zip(("valid_min", "valid_max"), variable.bounds):
            if np.isfinite(bound):  # in the variable's own type, as CF asks
                attributes[name] = array.dtype.type(bound)
    if array.dtype.kind == "f" and variable.period is not None:
        attributes["period"] = array.dtype.type(variable.period)
    return dims, array, attributes


def is_text(array) -> bool:
    """Whether an array or xarray variable holds text."""
    return array.dtype.kind in "UT" or (array.dtype == object and all(isinstance(x, str) for x in np.ravel(array)))


def validate(ds) -> list[Violation]:
    """Every departure of `ds` from the schema; an empty list means that it follows it."""
    found = [Violation("dataset", *issue) for issue in _attribute_issues(ds.attrs)]
    for name in REQUIRED_ATTRIBUTES:
        if name not in ds.attrs:
            found.append(Violation("dataset", f"no global attribute '{name}'", "build it with results.to_dataset"))
    if "title" in ds.attrs and not str(ds.attrs["title"]).strip():
        found.append(Violation("dataset", "the title is empty", "say in one line what was computed"))
    if "Conventions" in ds.attrs and _schema_version(ds.attrs["Conventions"]) != 1:
        rule = f"Conventions is {ds.attrs['Conventions']!r}, without physnet-1"
        found.append(Violation("dataset", rule, f"set it to '{CONVENTIONS}'"))
    config, sha = ds.attrs.get("physnet_config"), ds.attrs.get("physnet_config_sha256")
    if isinstance(config, str) and isinstance(sha, str) and provenance.config_sha256(config) != sha:
        found.append(Violation("dataset", "physnet_config_sha256 is not that of physnet_config", "collect both anew"))
    for dim in map(str, ds.dims):
        last = dim.split("_")[-1]
        if not _NAME.fullmatch(dim) or (last.endswith("s") and not last.endswith(_SINGULAR_IN_S)):
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
    """Raises SchemaError with every violation, one a line; silent when there is none."""
    found = validate(ds)
    if found:
        raise SchemaError("the dataset does not follow physnet-1:\n" + "\n".join(f"  {item}" for item in found))


def _dtype_issues(array):
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
    yield from _dtype_issues(variable)
    if not is_text(variable):
        units = attributes.get("units", "")
        if not isinstance(units, str) or not _UNITS.fullmatch(units):
            yield f"units {units!r} are not in UDUNITS spelling" if units else "no units", _units_fix(units)
        if not str(attributes.get("long_name", "")).strip():
            yield "no long_name", "set attrs['long_name']: one phrase that a stranger understands"
    yield from _attribute_issues(attributes)


def _units_fix(units) -> str:
    text = unicodedata.normalize("NFKC", str(units)).translate({ord("μ"): "u", ord("Ω"): "ohm", ord("·"): " "})
    text = re.sub(r"[A-Za-z]+", lambda word: _SPELLINGS.get(word[0].lower().removesuffix("s"), word[0]), text)
    text = re.sub(r"\bper\b", "/", text.replace("%", "percent"))
    return f"write '{text}'" if _UNITS.fullmatch(text) else "write V, A, S, ohm, s, MHz, 'J S-1', or 1 for a number"


def _attribute_issues(attributes):
    for name, value in attributes.items():
        try:
            array = np.asarray(value)
        except ValueError:  # a ragged list
            array = np.asarray(None)
        if array.dtype.kind not in "iufU" or array.ndim > 1:
            yield f"attribute '{name}' is a {type(value).__name__}", "use text or real numbers, or JSON for the rest"


def _schema_version(conventions) -> int | None:
    match = re.search(r"\bphysnet-(\d+)\b", str(conventions))
    return int(match[1]) if match else None


def check_writable(path, overwrite: bool = False) -> None:
    """Raises PhysnetError, with the fix, when a result could not be written to `path`; call it before a long run."""
    path = Path(path)
    try:
        if path.is_dir():
            raise PhysnetError(f"{path} is a folder. Name a file in it, for example {path / 'result.nc'}")
        if path.exists() and not path.is_file():
            raise PhysnetError(f"{path} is not a regular file. Choose another path, for example result.nc")
        if path.exists() and not overwrite:
            raise PhysnetError(f"{path} exists. Choose another path, or overwrite it (overwrite=True, --force)")
        folder = Path(os.path.realpath(path)).parent  # of what a link points to: that is what save replaces
        if not folder.is_dir():
            raise PhysnetError(f"{path}: the folder {path.parent} does not exist. Create it, or choose another path")
        # Only trying tells: permission bits say nothing about root, full quotas or read-only mounts.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PhysnetError(f"{path} cannot be written: {error.strerror or error}. Choose another path") from error


def save(ds, path, *, overwrite: bool = False) -> Path:
    """Writes `ds` to a netCDF-4 file, whole or not at all, and returns the path.

    The file appears under its name only once it is complete and on disk: an interrupted or failed write leaves
    what was there before. Raises SchemaError for a dataset that breaks the schema, PhysnetError for a path that
    cannot be written or exists while `overwrite` is False.
    """
    check(ds)
    path = Path(path)
    check_writable(path, overwrite)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".physnet-{secrets.token_hex(6)}.tmp")
    numeric = [name for name, variable in ds.variables.items() if variable.dtype.kind in "iuf"]
    encoding = {name: {"zlib": True, "complevel": 4, "fletcher32": True} for name in numeric}  # damage shows when read
    for name in encoding.keys() & ds.coords.keys():
        encoding[name]["_FillValue"] = None  # CF: coordinates have no missing values
    try:
        ds.drop_encoding().to_netcdf(temporary, engine="netcdf4", encoding=encoding)
        with builtins.open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise PhysnetError(f"{path} could not be written ({error}). Nothing was changed there") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def open(path):
    """Reads a result into memory and closes the file.

    Raises PhysnetError naming the file when it is missing, not netCDF, damaged, not from physnet, or of a newer schema.
    """
    import xarray as xr

    path = Path(path)
    _check_readable(path)
    try:
        # Undecoded times: the schema's times are plain numbers with a unit.
        options = {"engine": "netcdf4", "decode_times": False, "decode_timedelta": False}
        with xr.open_dataset(path, **options) as file:
            ds = file.load()
    except Exception as error:  # a damaged file makes HDF5 fail in every way it has
        raise PhysnetError(f"{path} is truncated or damaged ({error}). Copy it again, or run it again") from error
    version = _schema_version(ds.attrs.get("Conventions", ""))
    if version is None:
        raise PhysnetError(f"{path} is no physnet result: its Conventions do not name physnet-1")
    if version != 1:
        raise PhysnetError(f"{path} follows physnet-{version}, and this version reads physnet-1. Upgrade physnet")
    return ds


def _check_readable(path: Path) -> None:
    """Raises PhysnetError unless `path` is a file that begins as netCDF does."""
    if path.is_dir():
        raise PhysnetError(f"{path} is a folder. Name a file in it")
    try:
        with builtins.open(path, "rb") as file:
            start = file.read(8)
    except FileNotFoundError as error:
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = ", ".join(str(path.with_name(n)) for n in difflib.get_close_matches(path.name, names, cutoff=0.5))
        raise PhysnetError(f"{path} does not exist." + (f" Did you mean {near}?" if near else "")) from error
    except OSError as error:
        raise PhysnetError(f"{path} cannot be read: {error.strerror or error}") from error
    if not start:
        raise PhysnetError(f"{path} is empty (0 bytes). Copy it again, or run it again")
    if start != b"\x89HDF\r\n\x1a\n" and start[:3] != b"CDF":
        raise PhysnetError(f"{path} is not a netCDF file (it begins with {start!r})")
