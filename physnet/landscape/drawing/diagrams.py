"""The bifurcation diagram drawn: where a system can rest as a number varies, what is stable, where that changes."""

import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.drawing.marks import BLACK, BLUE, ORANGE, PALETTE, named, require

_SPECIAL = {
    "fold": ("o", ORANGE),
    "pitchfork": ("D", PALETTE[2]),
    "transcritical": ("s", PALETTE[3]),
    "hopf": ("^", PALETTE[5]),
    "multiple": ("*", BLACK),
}


def draw_bifurcation(axes, ds, y=None, *, x: str | None = None) -> None:
    """Equilibria against the number that varies: full lines where stable, broken where not, special points marked.

    axes: of Matplotlib, to draw on. ds: of `follow_equilibrium` or `bifurcation_diagram`. y: the number of an output,
    the name of a variable on the points, or (name, number) for one of its elements; by default the output that changes
    most. x: name of the variable that varies; the dataset's attribute `varied` by default.
    Raises PhysnetError for another dataset, or names that it does not have.
    """
    require(ds, "draw_bifurcation", ["branch", "stable"], "bifurcation_diagram(...).to_dataset()")
    x = _varied(ds) if x is None else x
    height, text = _heights(ds, y)
    value, branch, stable = ds[x].values, ds["branch"].values, ds["stable"].values.astype(bool)
    said = set()
    for number in np.unique(branch):
        for run in _runs(np.flatnonzero(branch == number), stable):
            steady = stable[run[0]]
            word = "stable" if steady else "unstable"
            style = {"color": BLUE, "ls": "-", "lw": 1.8} if steady else {"color": BLACK, "ls": "--", "lw": 1.0}
            axes.plot(value[run], height[run], label=None if word in said else word, **style)
            said.add(word)
    if "special_kind" in ds.variables:
        _draw_special(axes, ds, x, height)
    axes.set_xlabel(named(ds[x]))
    axes.set_ylabel(text)
    axes.legend(frameon=False)


def _varied(ds) -> str:
    """The name of the variable that varies, which the dataset says."""
    name = str(ds.attrs.get("varied"))
    if name not in ds.variables:
        raise PhysnetError("draw_bifurcation: the dataset does not say which variable varies. Give x=...")
    return name


def _heights(ds, y):
    """((point,) values, the label of their axis)."""
    if y is None or isinstance(y, int | np.integer):
        outputs = [str(name) for name, v in ds.data_vars.items() if v.dims == ("point", "output")]
        if not outputs:
            raise PhysnetError("draw_bifurcation: the dataset has no outputs on its points. Give y=(name, number).")
        y = (outputs[0], int(np.argmax(np.ptp(ds[outputs[0]].values, axis=0))) if y is None else int(y))
    name, element = y if isinstance(y, tuple) else (y, None)
    if name not in ds.variables or ds[name].dims[:1] != ("point",) or ds[name].ndim > 2:
        known = [str(other) for other, v in ds.data_vars.items() if v.dims[:1] == ("point",)]
        raise PhysnetError(f"draw_bifurcation: no variable {name!r} on the points; there are {', '.join(known)}.")
    values = ds[name]
    if values.ndim == 1:
        return values.values, named(values)
    size = values.shape[1]
    if element is None and size == 1:
        element = 0
    if element is None or not -size <= element < size:
        raise PhysnetError(
            f"draw_bifurcation: {name} has {size} elements, and {element} was asked for. Give y=({name!r}, number)."
        )
    dim = str(values.dims[1])
    labels = ds[dim].values if dim in ds.coords else range(size)
    # Names of single elements say more than one for all, which is long where it must serve all.
    text = name.replace("_", " ") if dim in ds.coords else str(values.attrs.get("long_name") or name)
    return values.values[:, element], named(values, text if size == 1 else f"{text}, {labels[element]}")


def _runs(points, stable):
    """The points of one branch in stretches of one stability, each with the first point of the next."""
    changes = 1 + np.flatnonzero(np.diff(stable[points].astype(int)))
    edges = [0, *changes.tolist(), len(points)]
    return [points[a : b + 1] for a, b in zip(edges, edges[1:])]


def _draw_special(axes, ds, x: str, height) -> None:
    """Marks at the special points, as high as the point of the branch that is nearest to each, state and parameter."""
    shared = [str(name) for name, v in ds.data_vars.items() if v.dims[:1] == ("point",) and f"special_{name}" in ds]
    parts, ends = [], []
    for name in shared:
        points, there = (ds[key].values.reshape(ds[key].shape[0], -1) for key in (name, f"special_{name}"))
        size = np.ptp(points, axis=0).max() or 1.0
        parts.append(points / size)
        ends.append(there / size)
    points, there = np.concatenate(parts, axis=1), np.concatenate(ends, axis=1)
    nearest = np.array([np.argmin(np.sum((points - end) ** 2, axis=1)) for end in there])
    kinds = ds["special_kind"].values.astype(str)
    for kind, (marker, colour) in _SPECIAL.items():
        chosen = kinds == kind
        if chosen.any():
            place = ds[f"special_{x}"].values[chosen], height[nearest[chosen]]
            style = {"facecolors": "white", "edgecolors": colour, "linewidths": 1.4, "zorder": 4}
            axes.scatter(*place, s=36, marker=marker, label=kind, **style)
