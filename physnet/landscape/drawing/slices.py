"""Cuts through a landscape and paths over it, drawn: energy along a line, over a plane, along a path."""

import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.drawing.marks import BLUE, ORANGE, draw_marks, named, require

_NEAR = 0.02  # of the extent of the slice: an equilibrium farther off than that is not on it


def draw_line(axes, ds, *, near: float | None = None) -> None:
    """The energy along a straight line of states, with the equilibria that lie on it marked by their index.

    axes: of Matplotlib, to draw on. ds: of `slice_line`. near: the distance, in the state's unit, up to which an
    equilibrium counts as on the line; 2 % of its length by default. Raises PhysnetError for another dataset.
    """
    require(ds, "draw_line", ["slice_energy", "position"], "slice_line(...)")
    axes.plot(ds["position"], ds["slice_energy"], color=BLUE)
    on = _on_slice(ds, np.ptp(ds["position"].values), near)
    if on.any():
        here = [ds[name].values[on] for name in ("equilibrium_first", "equilibrium_energy", "equilibrium_index")]
        draw_marks(axes, *here)
        axes.legend(frameon=False)
    axes.set_xlabel(named(ds["position"]))
    axes.set_ylabel(named(ds["slice_energy"], "energy"))


def draw_plane(axes, ds, path=None, *, highest: float | None = None, near: float | None = None) -> None:
    """The energy over a plane of states as contours, with the equilibria on it, and a path projected onto it.

    axes: of Matplotlib, to draw on. ds: of `slice_plane`. path: the dataset of a `Path` of the same system, or None.
    highest: the energy, in its unit, up to which there are contours; by default half as far again above the equilibria
    on the plane as these lie apart, else the highest of all. near: as for `draw_line`. Raises PhysnetError for another
    dataset.
    """
    require(ds, "draw_plane", ["slice_energy", "first_axis", "second_axis"], "slice_plane(...)")
    energy = ds["slice_energy"]
    first, second = ds["first_axis"], ds["second_axis"]
    on = _on_slice(ds, min(np.ptp(first.values), np.ptp(second.values)), near)
    lowest = float(energy.min())
    if highest is None:
        top = float(ds["equilibrium_energy"].values[on].max()) if on.any() else lowest
        highest = min(top + 0.5 * (top - lowest), float(energy.max())) if top > lowest else float(energy.max())
    if not highest > lowest:
        raise PhysnetError(f"draw_plane: highest is {highest:.6g}; the lowest energy on the plane is {lowest:.6g}.")
    from matplotlib.ticker import MaxNLocator

    levels = np.linspace(lowest, highest, 22)
    filled = axes.contourf(first, second, energy, levels, cmap="cividis", extend="max")
    axes.contour(first, second, energy, levels, colors="white", linewidths=0.3, alpha=0.6)
    axes.figure.colorbar(filled, ax=axes, label=named(energy, "energy"), ticks=MaxNLocator(6))
    if path is not None:
        axes.plot(*_projected(ds, path), color=ORANGE, lw=1.8, zorder=2)
    if on.any():
        names = ("equilibrium_first", "equilibrium_second", "equilibrium_index")
        draw_marks(axes, *(ds[name].values[on] for name in names))
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "handletextpad": 0.2}
        axes.legend(frameon=False, ncols=3, columnspacing=1, **above)
    axes.set_xlabel(named(first))
    axes.set_ylabel(named(second))


def draw_path(axes, ds) -> None:
    """The energy along a path over its length, the minima and saddles that it passes marked.

    axes: of Matplotlib, to draw on. ds: of `minimum_energy_path`. Raises PhysnetError for another dataset.
    """
    require(ds, "draw_path", ["path_energy", "arc_length"], "minimum_energy_path(...).to_dataset()")
    length, energy = ds["arc_length"].values, ds["path_energy"].values
    axes.plot(length, energy, color=BLUE, marker=".", ms=3, lw=1.2)
    if "stop_equilibrium" in ds.variables:
        index = ds["index"].values[ds["stop_equilibrium"].values]
        stop = ds["stop_energy"].values
        draw_marks(axes, length[_places(energy, stop)], stop, index)
        axes.legend(frameon=False)
    axes.set_xlabel(named(ds["arc_length"], "distance along the path"))
    axes.set_ylabel(named(ds["path_energy"], "energy"))


def _on_slice(ds, extent: float, near: float | None) -> np.ndarray:
    """(equilibrium,), whether each lies on the slice and within what is drawn of it."""
    if "equilibrium_distance" not in ds.variables:
        return np.zeros(0, bool)
    on = ds["equilibrium_distance"].values <= (_NEAR * extent if near is None else near)
    for name, axis in (("equilibrium_first", "first_axis"), ("equilibrium_second", "second_axis")):
        axis = "position" if axis not in ds.variables else axis
        if name in ds.variables:
            place, shown = ds[name].values, ds[axis].values
            on &= (place >= shown.min()) & (place <= shown.max())
    return on


def _projected(ds, path):
    """(first, second) coordinates on the plane of every image of a path."""
    leaves = [str(name).removeprefix("origin_") for name in ds.data_vars if str(name).startswith("origin_")]
    missing = [f"path_{leaf}" for leaf in leaves if f"path_{leaf}" not in path.variables]
    if missing:
        raise PhysnetError(f"draw_plane: the path has no {', '.join(missing)}; give that of the same system.")
    places = []
    for axis in ("first", "second"):
        parts = []
        for leaf in leaves:
            away = path[f"path_{leaf}"].values - ds[f"origin_{leaf}"].values
            parts.append((away * ds[f"{axis}_direction_{leaf}"].values).reshape(len(away), -1).sum(axis=1))
        places.append(np.sum(parts, axis=0))
    return places


def _places(energy, stop) -> np.ndarray:
    """(stop,), the image at which each stop is drawn: the ends, and between them, in order, where the path turns."""
    turns = 1 + np.flatnonzero(np.diff(np.sign(np.diff(energy))))
    at = [0]
    for value in stop[1:-1]:
        left = turns[turns > at[-1]]
        at.append(int(left[np.argmin(np.abs(energy[left] - value))]) if len(left) else at[-1])
    return np.array([*at, len(energy) - 1])
