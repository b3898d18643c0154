"""The `physnet-1` data schema: one builder, one writer, one reader (docs/schema.md); physnet.schema says what it asks.

Works on NumPy and xarray only, so that results are read where the simulator is not installed.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np

from physnet import files, provenance, sealing, slabs
from physnet.errors import PhysnetError, SchemaError
from physnet.reading import RANGE, reading
from physnet.schema import (
    CONVENTIONS,
    REQUIRED_ATTRIBUTES,
    RESERVED,
    Violation,
    check,
    dtype_issues,
    is_text,
    validate,
)

__all__ = [
    "CONVENTIONS",
    "REQUIRED_ATTRIBUTES",
    "RESERVED",
    "Violation",
    "check",
    "check_writable",
    "is_text",
    "look",
    "open",
    "save",
    "to_dataset",
    "validate",
]


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
    for issue in dtype_issues(array):  # before xarray, which refuses some of them in its own words
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


def check_writable(path, overwrite: bool = False) -> None:
    """Raises PhysnetError, with the fix, when a result could not be written to `path`; call it before a long run.

    overwrite: whether a file that is there may be replaced.
    """
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
    """Writes `ds` to a netCDF-4 file, whole or not at all, and returns its `path`.

    Every variable with numbers states the smallest and largest of them (`actual_range`), and the last lines of the file
    seal it (physnet.sealing). Data that are computed lazily are computed twice, slab by slab.

    The file appears under its name only once it is complete and on disk: an interrupted or failed write leaves
    what was there before. Raises SchemaError for a dataset that breaks the schema, PhysnetError for a path that
    cannot be written or exists while `overwrite` is False.
    """
    check(ds)
    path = Path(path)
    check_writable(path, overwrite)
    stored = ds.drop_encoding()
    encoding = {}
    for name, variable in stored.variables.items():
        if variable.dtype.kind not in "iuf":
            continue
        encoding[name] = {"zlib": True, "complevel": 4, "fletcher32": True}  # damage shows when read, chunk by chunk
        if name in stored.coords:
            encoding[name]["_FillValue"] = None  # CF: coordinates have no missing values
        variable.attrs.pop(RANGE, None)
        span = slabs.span(variable)
        if span is not None:
            variable.attrs[RANGE] = np.array(span, variable.dtype)
    try:
        with files.atomic(path) as temporary:
            stored.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
            sealing.write(temporary, sealing.loose_sha256(stored))
    except PhysnetError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise PhysnetError(f"{path} could not be written ({error}). Nothing was changed there") from error
    return path


def open(path):
    """Reads a result into memory and closes the file; every byte is checked against the file's seal first.

    path: of the file. Raises PhysnetError naming the file when it is missing, not netCDF, damaged, not from physnet, or
    of a newer schema.
    """
    with reading(path, whole=True) as file:
        return file.dataset.load()


@contextlib.contextmanager
def look(path, *, whole: bool | None = None):
    """A result as a lazily opened dataset, for results that may not fit in memory: `with results.look(path) as ds`.

    Numbers are read when they are asked for, while the block lasts, and nothing is kept in between; text at once.

    path: of the file. whole: True checks every byte against the file's seal before anything is read, False only what
    HDF5 does not
        check as it reads (text, indices, single numbers); None decides by the size of the file (64 MiB).

    Raises PhysnetError as `open` does, and where damage shows only once numbers are read.
    """
    with reading(path, whole=whole) as file:
        yield file.dataset
