"""Rows of results as a labelled dataset with the dim `point`."""

import json

import numpy as np

from physnet import provenance, results, schema
from physnet.sweeps.design import Design
from physnet.sweeps.rows import Rows, blank
from physnet.sweeps.task import Task
from physnet.variable import Variable

_STATUS = Variable("point_status", ("point",), "1", "whether the point was run, and failed")
_FLAGS = {"flag_values": np.array([0, 1, 2], np.int8), "flag_meanings": "done failed missing"}
DONE, FAILED, MISSING = 0, 1, 2


def swept_name(name: str, taken=None) -> str:
    """A swept field's name beside names that are taken; in parts (None) always another than any of the study's."""
    return name if taken is not None and name not in taken else f"swept_{name}"


def labels(values) -> np.ndarray:
    """Values of a field as a coordinate: whole numbers, numbers (None is NaN), or text."""
    kinds = {type(value) for value in values}
    if kinds <= {bool, int}:
        return np.array(values, np.int64)
    if kinds <= {bool, int, float, type(None)} and kinds != {type(None)}:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array([" ".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in values])


def field_attributes(described: Variable, values: np.ndarray) -> dict:
    """Unit and meaning of a swept field's coordinate."""
    attributes = {"long_name": described.long_name or described.name.replace("_", " ")}
    if values.dtype.kind in "iuf":
        attributes["units"] = described.units if schema.is_unit(described.units) else "1"
    return attributes


def part(task: Task, design: Design, rows: Rows):
    """The dataset of some points: their numbers, the swept fields, what each gave, and what went wrong."""
    import xarray as xr

    numbers = np.arange(rows.first, rows.first + rows.size)
    template = rows.template if rows.template is not None else xr.Dataset()
    data = {
        name: (("point", *template[name].dims), column, template[name].attrs) for name, column in rows.columns.items()
    }
    failed = np.array([FAILED if message else DONE for message in rows.errors], np.int8)
    data["point_status"] = (("point",), failed, {"units": "1", "long_name": _STATUS.long_name} | _FLAGS)
    # Variables, since a DataArray brings the other coordinates of its dims along.
    coords = {name: template.variables[name] for name in template.coords if name not in rows.labels}
    for name, column in rows.labels.items():
        own = template.coords[name]
        column[failed == FAILED] = blank(column.dtype)
        coords[label_name(str(name), own.dims)] = (("point", *own.dims), column, own.attrs)
    coords["point"] = (("point",), numbers, {"units": "1", "long_name": "number of the point in the sweep"})
    coords["point_error"] = (("point",), np.array(rows.errors), {"long_name": "what went wrong at the point"})
    for axis, places in zip(design.axes, np.unravel_index(numbers, design.shape)):
        for name, values in axis.fields.items():
            array = labels(values)[places]
            coords[swept_name(name)] = (("point",), array, field_attributes(task.field(name), array))
    return xr.Dataset(data, coords, attributes(task, design) | _origin(template))


def label_name(name: str, dims) -> str:
    """What a coordinate is called where its values differ from point to point: a dim's own name is not to be had."""
    return f"{name}_label" if name in dims else name


def fixed(ds) -> dict:
    """The coordinates that are the same at all points of a part."""
    return {str(name): ds.variables[name] for name in ds.coords if "point" not in ds.variables[name].dims}


def changing(datasets) -> list[str]:
    """The coordinates of some parts that are not the same at all their points."""
    known, found = {}, set()
    for ds in datasets:
        for name, coord in fixed(ds).items():
            if not np.array_equal(coord.values, known.setdefault(name, coord).values):
                found.add(name)
    for name, coord in known.items():
        label = label_name(name, coord.dims)
        if any(label in ds.coords and "point" in ds.coords[label].dims for ds in datasets):
            found.add(name)
    return sorted(found)


def spread(ds, names):
    """A part with these coordinates for each point."""
    for name in set(names) & set(fixed(ds)):
        coord = ds.coords[name]
        column = np.repeat(coord.values[None], ds.sizes["point"], axis=0)
        column = column.astype(object) if schema.is_text(coord) else column
        column[ds.point_status.values == FAILED] = blank(column.dtype)
        ds = ds.drop_vars(name).assign_coords(
            {label_name(name, coord.dims): (("point", *coord.dims), column, coord.attrs)}
        )
    return ds


def signature(ds) -> dict:
    """What all parts have alike, {variable: (dims, shape, kind)}; empty where all points of a part failed."""
    return {
        str(name): (variable.dims, variable.shape[1:], variable.dtype.kind)
        for name, variable in ds.data_vars.items()
        if name != "point_status"
    }


def attributes(task: Task, design: Design) -> dict:
    """Global attributes of a sweep's datasets."""
    swept = ", ".join(design.fields)
    fixed_fields = json.loads(provenance.config_json(task.settings()))
    provided = provenance.collect({name: value for name, value in fixed_fields.items() if name not in design.fields})
    frame = results.to_dataset(
        [], title=f"Sweep of {task.name} over {swept}", summary=f"{design.size} points: {sizes(design)}", attrs=provided
    ).attrs
    return frame | {"physnet_sweep": json.dumps({"task": task.name, "fields": list(design.fields)})}


def sizes(design: Design) -> str:
    """Such as "20 beta x 10 seed"."""
    return " x ".join(f"{axis.size} {axis.dim}" for axis in design.axes)


def _origin(template) -> dict:
    """What the points themselves say of where they were made and what they are from."""
    names = ("physnet_versions", "physnet_git", "physnet_device", "physnet_precision", "references")
    return {name: template.attrs[name] for name in names if name in template.attrs}
