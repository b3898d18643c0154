"""Drawn from datasets of landscapes: curvatures, basins, ways over a saddle, planes. On matplotlib axes; no JAX.

The tree of minima is in `drawing_tree`, the bifurcation diagram in `drawing_diagram`.
"""

import re

import numpy as np

from physnet.errors import PhysnetError

# Colours that colour-blind readers can tell apart (Okabe & Ito, https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "#888888"
PALETTE = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", BLACK)
# How an equilibrium of each Morse index is marked: (marker, fill, word); the last stands for all higher ones.
_MARKS = (("o", BLUE, "minimum"), ("X", ORANGE, "saddle"), ("s", "white", "index 2 or more"))


def named(variable, name: str | None = None) -> str:
    """A label for the axis of a variable of a dataset: "energy (rad² s⁻¹)"; its long_name unless `name` is given."""
    units = str(variable.attrs.get("units", "1"))
    text = name or str(variable.attrs.get("long_name") or variable.name)
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    units = re.sub(r"(?<=[A-Za-z])-?\d+", lambda power: power[0].translate(raised), units)
    return text if units == "1" else f"{text} ({units})"


def require(ds, what: str, needed, made_by: str) -> None:
    """Raises PhysnetError that says which variables are missing, and what makes them."""
    missing = [name for name in needed if name not in ds.variables]
    if missing:
        raise PhysnetError(f"{what}: the dataset has no {', '.join(missing)}; it needs that of {made_by}.")


def draw_marks(axes, x, y, index) -> None:
    """Points, each marked by its Morse index: minima as circles, saddles as crosses, the others as open squares."""
    x, y, index = (np.asarray(values) for values in (x, y, index))
    for k, (marker, fill, word) in enumerate(_MARKS):
        chosen = np.minimum(np.maximum(index, 0), len(_MARKS) - 1) == k
        if chosen.any():
            edge = "white" if fill != "white" else BLACK
            style = {"edgecolors": edge, "linewidths": 0.6, "label": word, "zorder": 3, "clip_on": False}
            axes.scatter(x[chosen], y[chosen], s=32, marker=marker, color=fill, **style)


def draw_spectrum(axes, ds, equilibrium: int | None = None) -> None:
    """The lowest curvatures of every equilibrium, or of one: what falls is below the line at 0.

    axes: of Matplotlib, to draw on. ds: of `find_equilibria` or `explore`. equilibrium: its number; all of them by
    default, side by side. Raises PhysnetError for a dataset without curvatures.
    """
    require(ds, "draw_spectrum", ["curvature"], "find_equilibria(...).to_dataset()")
    curvature = ds["curvature"]
    axes.axhline(0, color=GREY, lw=0.8)
    if equilibrium is None:
        x = np.broadcast_to(np.arange(curvature.shape[0])[:, None], curvature.shape)
        axes.set_xlabel("equilibrium")
    else:
        curvature = curvature[equilibrium : equilibrium + 1] if equilibrium >= 0 else curvature[equilibrium:][:1]
        x = np.arange(curvature.shape[1])[None]
        axes.set_xlabel("mode")
    values = curvature.values
    for chosen, marker, colour, word in ((values >= 0, "_", BLUE, "rises"), (values < 0, "v", ORANGE, "falls")):
        size = 40 if marker == "_" else 16
        if chosen.any():
            axes.scatter(x[chosen], values[chosen], s=size, marker=marker, color=colour, label=word, zorder=3)
    axes.set_ylabel(named(ds["curvature"], "curvature"))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)


def draw_basins(axes, ds, *, most: int = 8, label=None) -> None:
    """A pie of the share of starts that each equilibrium attracts; those that settle nowhere are hatched.

    axes: of Matplotlib, to draw on. ds: of `basin_volumes`. most: how many of the largest basins have a wedge of their
    own. label: (equilibrium,), what to write beside each in the place of its number. Raises PhysnetError for a dataset
    without shares.
    """
    require(ds, "draw_basins", ["share"], "basin_volumes(...).to_dataset()")
    share = ds["share"].values
    label = [str(k) for k in range(len(share))] if label is None else [str(text) for text in label]
    order = np.argsort(-share, kind="stable")
    order = order[share[order] > 0]
    wedges = [(share[k], label[k], PALETTE[j % len(PALETTE)]) for j, k in enumerate(order[:most])]
    rest = order[most:]
    if len(rest):
        wedges.append((share[rest].sum(), f"{len(rest)} others", "#DDDDDD"))
    nowhere = max(1 - share.sum(), 0.0)
    if nowhere > 1e-9:
        wedges.append((nowhere, "settled nowhere", "white"))
    texts = [f"{text}: {100 * size:.3g} %" for size, text, _ in wedges]
    patches = axes.pie(
        [size for size, *_ in wedges],
        labels=texts,
        colors=[colour for *_, colour in wedges],
        startangle=90,
        counterclock=False,
        normalize=True,
        wedgeprops={"linewidth": 0.8, "edgecolor": "white"},
        textprops={"fontsize": "small"},
    )[0]
    if nowhere > 1e-9:
        patches[-1].set(hatch="////", edgecolor=GREY)
    axes.set_title("share of starts")
