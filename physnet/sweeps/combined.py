"""All parts of a sweep as one dataset with a dim for each swept field, read when it is used."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from physnet import results
from physnet.errors import PhysnetError
from physnet.sweeps import labels, parts
from physnet.sweeps.design import Design
from physnet.sweeps.rows import blank
from physnet.variable import Variable

_FEW = 4  # labels of a further dim that are told one by one
_ONE_AT_A_TIME = threading.Lock()  # dask reads in threads, and two that open HDF5 files at once crash


def open(folder):
    """The dataset of a sweep's folder: a dim for each swept field, read part by part when it is used (dask).

    Points that are not there (yet) have `point_status` 2 and NaN, 0 for integers; those that failed have 1 and their
    message in `point_error`. Raises PhysnetError where the folder holds no sweep, or no part that can be read.
    """
    manifest = parts.read_manifest(folder)
    held = parts.parts(folder)
    if not held:
        raise PhysnetError(f"{folder} holds no points yet. Go on with the sweep that began there")
    heads = []
    for part in held:
        with results.look(part.path) as ds:
            heads.append(ds.isel(point=slice(0, 1)).load())
    changing = labels.changing(heads)
    blocks = [(part.first, part.stop, _Reader(part.path, changing)) for part in held]
    return _assembled(heads, blocks, changing, manifest)


def combine(datasets: Sequence, manifest: dict):
    """The same of parts in memory."""
    datasets = sorted(datasets, key=lambda ds: int(ds.point[0]))
    changing = labels.changing(datasets)
    blocks = [(int(ds.point[0]), int(ds.point[-1]) + 1, _Held(ds, changing)) for ds in datasets]
    return _assembled(datasets, blocks, changing, manifest).compute()


class _Held:
    """A part in memory."""

    def __init__(self, ds, changing):
        self._ds = labels.spread(ds, changing)

    def __call__(self, name):
        return self._ds[name].values if name in self._ds.variables else None


class _Reader:
    """A part on disk, opened for one variable at a time: thousands of parts are not to be open at once."""

    def __init__(self, path: Path, changing):
        self._path, self._changing = path, changing

    def __call__(self, name):
        with _ONE_AT_A_TIME, results.look(self._path) as ds:
            ds = labels.spread(ds, self._changing)
            return ds[name].values if name in ds.variables else None


def _assembled(heads, blocks, changing, manifest):
    """The dataset of blocks (first, stop, reader) along the points, on the dims of the design."""
    import xarray as xr

    # The first part with variables says what there is: where all points failed there is nothing.
    template = labels.spread(next((ds for ds in heads if labels.signature(ds)), heads[0]), changing)
    design = Design.from_plain(manifest["design"])
    described = {name: Variable(**field | {"dims": ()}) for name, field in manifest["fields"].items()}
    own = {"point", *map(str, template.data_vars), *map(str, template.dims), *labels.fixed(template)} - {"point_status"}
    dims = tuple(labels.swept_name(dim, own) for dim in design.dims)
    data, coords = {}, labels.fixed(template)
    swept = {"point", *map(labels.swept_name, design.fields)}
    for name, variable in template.variables.items():
        if "point" not in variable.dims or name in swept:
            continue
        flat = _along_points(str(name), variable, blocks, design.size)
        placed = ((*dims, *variable.dims[1:]), flat.reshape(*design.shape, *flat.shape[1:]), variable.attrs)
        (data if name in template.data_vars else coords)[name] = placed
    for axis, dim in zip(design.axes, dims):
        for name, values in axis.fields.items():
            array = labels.labels(values)
            place = dim if name == axis.index else labels.swept_name(name, {*own, *dims})
            coords[place] = ((dim,), array, labels.field_attributes(described[name], array))
        if dim not in coords:
            coords[dim] = ((dim,), np.arange(axis.size), {"units": "1", "long_name": "number of the draw"})
    states = {(ds.attrs["physnet_versions"], ds.attrs["physnet_git"]) for ds in heads}
    mixed = (
        f"; parts were made by {len(states)} states of the software, of which this is one" if len(states) > 1 else ""
    )
    attributes = template.attrs | {"history": template.attrs["history"] + mixed}
    attributes |= {"physnet_sweep": json.dumps({"task": manifest["task"], "dims": dims})}
    return xr.Dataset(data, coords, attributes)


def _along_points(name, variable, blocks, size):
    """A variable's values (point, ...) as a dask array, with what is missing filled in."""
    import dask.array as da
    from dask import delayed

    shape, dtype = variable.shape[1:], np.dtype(object) if results.is_text(variable) else variable.dtype
    filling = labels.MISSING if name == "point_status" else blank(dtype)
    found, reached = [], 0
    read = delayed(_read, pure=False)
    for first, stop, block in [*blocks, (size, size, None)]:
        if first > reached:
            found.append(da.full((first - reached, *shape), filling, dtype=dtype, chunks=-1))
        if stop > first:
            rows = (stop - first, *shape)
            found.append(da.from_delayed(read(block, name, rows, dtype, filling), rows, dtype=dtype))
        reached = stop
    return da.concatenate(found)


def _read(block, name, shape, dtype, filling):
    values = block(name)
    return np.full(shape, filling, dtype) if values is None else np.asarray(values, dtype)


def summary(ds) -> str:
    """What a sweep's dataset holds, in a few lines: points, failures by message, and each number's range."""
    status = np.asarray(ds.point_status)
    lines = [ds.attrs["title"], ds.attrs["summary"]]
    counts = {"failed": int((status == labels.FAILED).sum()), "missing": int((status == labels.MISSING).sum())}
    lines += [f"{count} {what}" for what, count in counts.items() if count]
    messages, repeated = np.unique(np.asarray(ds.point_error)[status == labels.FAILED].astype(str), return_counts=True)
    for message, times in list(zip(messages, repeated))[:5]:
        lines.append(f"  {times} x {message.splitlines()[0]}")
    done = status == labels.DONE
    for name, variable in ds.data_vars.items():
        if name != "point_status" and set(ds.point_status.dims) <= set(variable.dims) and done.any():
            lines += _ranges(str(name), variable.transpose(*ds.point_status.dims, ...), done)
    return "\n".join(lines)


def _ranges(name, variable, done) -> list[str]:
    """Range and median over the points, of each label where the variable has one more dim of a few."""
    extra = variable.dims[done.ndim :]
    if len(extra) > 1 or (extra and (variable.sizes[extra[0]] > _FEW or extra[0] not in variable.coords)):
        return []
    unit = variable.attrs.get("units", "1")
    columns = {name: variable}
    if extra:
        parts_of = [variable.isel({extra[0]: k}) for k in range(variable.sizes[extra[0]])]
        columns = {f"{name}, {part[extra[0]].values}": part for part in parts_of}
    lines = []
    for label, column in columns.items():
        values = np.asarray(column)[done]
        values = values[np.isfinite(values)]
        if values.size:
            span = f"{values.min():.6g} .. {values.max():.6g}" + ("" if unit == "1" else f" {unit}")
            lines.append(f"{label}: {span}, median {np.median(values):.6g}")
    return lines
