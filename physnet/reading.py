"""How a result file is opened: checked first, then lazily, with errors that say what is wrong with it."""

import contextlib
import difflib
from dataclasses import dataclass
from pathlib import Path

from physnet import sealing
from physnet.errors import PhysnetError
from physnet.schema import schema_version

WHOLE = 64 * 2**20  # bytes: a file up to this size is checked in full before anything is read from it
_CACHE = 4 * 2**20  # bytes: values are read in slabs of whole chunks, each once
RANGE = "actual_range"  # CF: the smallest and largest value of a variable


@dataclass(frozen=True)
class Reading:
    """A result file while it is open.

    dataset: lazily opened; ranges: (smallest, largest) finite value by variable, as the file states them.
    sealed: whether the file is as physnet wrote it, as far as it was checked; checked: whether that was all of it.
    """

    dataset: object
    ranges: dict
    sealed: bool
    checked: bool


@contextlib.contextmanager
def reading(path, *, whole: bool | None = None):
    """The Reading of a result file, open while the block lasts.

    whole: True checks every byte against the file's seal first, False only what HDF5 does not check as it reads
        (text, indices, single numbers); None decides by the size of the file (64 MiB).

    Raises PhysnetError naming the file when it is missing, not netCDF, damaged, not from physnet, or of a newer schema;
    damage that shows only once numbers are read becomes that error too.
    """
    path = Path(path)
    _check_readable(path)
    seal = sealing.find(path)
    checked = seal is not None and (path.stat().st_size <= WHOLE if whole is None else whole)
    if checked:
        seal.check_content()
    elif seal is not None:
        seal.check_nodes()
    with contextlib.ExitStack() as stack:
        try:
            ds = stack.enter_context(_undecoded(path))
            for variable in ds.variables.values():
                if variable.dtype == object:  # text is small, is asked for many times, and fails in ways of its own
                    variable.load()
            if seal is not None and not checked:
                seal.check_loose(ds)
            _check_version(path, ds)
        except PhysnetError:
            raise
        except Exception as error:  # a damaged file makes HDF5 fail in every way it has
            raise sealing.damaged(path, error) from error
        found = {name: variable.attrs.pop(RANGE, None) for name, variable in ds.variables.items()}
        ranges = {name: tuple(span.tolist()) for name, span in found.items() if getattr(span, "shape", None) == (2,)}
        try:
            yield Reading(ds, ranges, seal is not None, checked)
        except (RuntimeError, OSError) as error:
            if "NetCDF:" not in str(error):  # not of the file: the block's own
                raise
            raise sealing.damaged(path, error) from error


def _undecoded(path):
    """The file as an xarray Dataset that reads each value when it is asked for, with times as plain numbers."""
    import netCDF4
    import xarray as xr

    default = netCDF4.get_chunk_cache()
    netCDF4.set_chunk_cache(_CACHE)  # of each variable while the file is open: 64 MiB by default, and files have many
    try:
        return xr.open_dataset(path, engine="netcdf4", decode_times=False, decode_timedelta=False, cache=False)
    finally:
        netCDF4.set_chunk_cache(*default)


def _check_version(path, ds) -> None:
    version = schema_version(ds.attrs.get("Conventions", ""))
    if version is None:
        raise PhysnetError(f"{path} is no physnet result: its Conventions do not name physnet-1")
    if version != 1:
        raise PhysnetError(f"{path} follows physnet-{version}, and this version reads physnet-1. Upgrade physnet")


def _check_readable(path: Path) -> None:
    """Raises PhysnetError unless `path` is a file that begins as netCDF does."""
    if path.is_dir():
        raise PhysnetError(f"{path} is a folder. Name a file in it")
    if path.exists() and not path.is_file():  # reading a pipe waits for its writer
        raise PhysnetError(f"{path} is not a regular file. Name a result file (netCDF)")
    try:
        with path.open("rb") as file:
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
