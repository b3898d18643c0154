"""Figures of any sweep, from its dataset alone: each number against the fields that were swept."""

import json
import textwrap

import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.drawing.marks import PALETTE, named

MARKS = "os^Dv<>P"
_MOST = 24  # figures
_SERIES = len(PALETTE)
_RC = {
    "font.size": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}


def figures(ds) -> dict:
    """{variable: matplotlib figure} of a sweep's dataset (`physnet.sweeps.open`).

    Against one field a line, with median and the range of 80 % of the seeds where seeds were swept as well; against two
    a map; of draws a cloud for each field. A variable may have one more dim of up to 8 labels, drawn as lines of their
    own. Raises PhysnetError where the dataset is of no sweep, or holds nothing that can be drawn.
    """
    import matplotlib as mpl

    dims = _swept(ds)
    found = {}
    with mpl.rc_context(_RC):
        for name in map(str, ds.data_vars):
            if name != "point_status" and len(found) < _MOST and _can_be_drawn(ds[name], dims):
                found[name] = _figure(ds[name], [dim for dim in dims if dim in ds[name].dims])
    if not found:
        raise PhysnetError("this sweep holds no number that can be drawn against what was swept")
    return found


def _swept(ds) -> list[str]:
    try:
        return list(json.loads(ds.attrs["physnet_sweep"])["dims"])
    except (KeyError, ValueError, TypeError) as error:
        raise PhysnetError("this is no dataset of a sweep (attribute physnet_sweep)") from error


def _can_be_drawn(variable, dims) -> bool:
    extra = [dim for dim in variable.dims if dim not in dims]
    few = len(extra) == 0 or (len(extra) == 1 and variable.sizes[extra[0]] <= _SERIES)
    along = any(variable.sizes[dim] > 1 for dim in dims)
    if not (variable.dtype.kind in "iuf" and few and along):
        return False
    values = np.asarray(variable, float)
    finite = values[np.isfinite(values)]
    return finite.size > 0 and finite.min() < finite.max()  # what is the same everywhere is said in words


def _figure(variable, dims):
    """The figure of one variable over the swept dims that it has."""
    from matplotlib.figure import Figure

    variable = variable.load()
    repeats = [dim for dim in dims if _is_repeat(variable, dim)]
    axes = [dim for dim in dims if dim not in repeats and variable.sizes[dim] > 1]
    if not axes:
        axes, repeats = repeats[:1], repeats[1:]
    extra = [dim for dim in variable.dims if dim not in dims]
    if axes == ["draw"]:
        return _cloud(variable, extra)
    if len(axes) == 2 and not extra and all(variable[dim].dtype.kind in "iuf" for dim in axes):
        return _map(variable.median(repeats), axes)
    first, *others = sorted(axes, key=lambda dim: (variable[dim].dtype.kind not in "iuf", -variable.sizes[dim]))
    figure = Figure(figsize=(4.5, 3.2))
    plot = figure.add_subplot()
    series = _series(variable, [*extra, *others])
    for (label, one), colour, mark in zip(series, PALETTE, MARKS):
        _line(plot, one, first, repeats, colour, mark, label)
    _scale(plot, "x", variable[first].values)
    _scale(plot, "y", variable.values)
    plot.set_xlabel(_label(variable[first]))
    plot.set_ylabel(_label(variable))
    if len(series) > 1:
        plot.legend(title=", ".join(dim.replace("_", " ") for dim in [*extra, *others]))
    return figure


def _is_repeat(variable, dim) -> bool:
    """Whether a dim only repeats the same with other random numbers."""
    return dim == "seed" or dim.endswith("_seed")


def _series(variable, dims):
    """(label, part) of every combination of the other dims, at most as many as there are colours."""
    if not dims:
        return [("", variable)]
    stacked = variable.stack(series=dims)
    step = max(-(-stacked.sizes["series"] // _SERIES), 1)
    found = []
    for k in range(0, stacked.sizes["series"], step):
        part = stacked.isel(series=k)
        found.append((", ".join(_value(part[dim].values) for dim in dims), part))
    return found


def _line(plot, variable, dim, repeats, colour, mark, label) -> None:
    """Values against one dim; over repeats their median, and a band that holds 80 % of them."""
    places = np.arange(variable.sizes[dim]) if variable[dim].dtype.kind not in "iuf" else variable[dim].values
    middle = variable.median(repeats, skipna=True) if repeats else variable
    plot.plot(places, middle, mark + "-", color=colour, ms=3, lw=1.2, label=label)
    if repeats and max(variable.sizes[repeat] for repeat in repeats) > 1:
        low, high = variable.quantile([0.1, 0.9], repeats, skipna=True)
        plot.fill_between(places, low, high, color=colour, alpha=0.2, lw=0)
    if variable[dim].dtype.kind not in "iuf":
        plot.set_xticks(places, [_value(value) for value in variable[dim].values], rotation=30, ha="right")


def _map(variable, dims):
    """Colour over two dims."""
    from matplotlib.figure import Figure

    down, across = dims
    figure = Figure(figsize=(4.5, 3.5))
    plot = figure.add_subplot()
    mesh = plot.pcolormesh(
        variable[across],
        variable[down],
        variable.transpose(down, across),
        cmap="viridis",
        shading="nearest",
        rasterized=True,
    )
    figure.colorbar(mesh, label=_label(variable))
    _scale(plot, "x", variable[across].values)
    _scale(plot, "y", variable[down].values)
    plot.set_xlabel(_label(variable[across]))
    plot.set_ylabel(_label(variable[down]))
    return figure


def _cloud(variable, extra):
    """One panel for each field that was drawn."""
    from matplotlib.figure import Figure

    fields = [name for name, coord in variable.coords.items() if coord.dims == ("draw",) and name != "draw"]
    fields = [name for name in fields if variable[name].dtype.kind in "iuf"] or ["draw"]
    figure = Figure(figsize=(min(3.2 * len(fields), 9), 3.2))
    for k, name in enumerate(fields):
        plot = figure.add_subplot(1, len(fields), k + 1)
        for (label, part), colour, mark in zip(_series(variable, extra), PALETTE, MARKS):
            values = part.median([dim for dim in part.dims if dim != "draw"], skipna=True)
            plot.plot(variable[name], values, mark, color=colour, ms=3, label=label)
        _scale(plot, "x", variable[name].values)
        _scale(plot, "y", variable.values)
        plot.set_xlabel(_label(variable[name]))
        if k == 0:
            plot.set_ylabel(_label(variable))
    if extra:
        plot.legend(title=extra[0].replace("_", " "))
    return figure


def _scale(plot, which, values) -> None:
    """A logarithmic axis where positive values span more than a factor of thirty, and no zero is among them."""
    numbers = np.asarray(values, float) if np.asarray(values).dtype.kind in "iuf" else np.zeros(0)
    numbers = numbers[np.isfinite(numbers)]
    if numbers.size and numbers.min() > 0 and numbers.max() > 30 * numbers.min():
        getattr(plot, f"set_{which}scale")("log")


def _label(variable) -> str:
    """Meaning and unit, in lines that fit beside an axis."""
    return textwrap.fill(named(variable), 44)


def _value(value) -> str:
    value = np.asarray(value)
    return f"{float(value):.4g}" if value.dtype.kind == "f" else str(value)
