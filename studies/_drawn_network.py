"""Networks of resistors drawn with their conductances, and how learning rules look in all figures."""

import numpy as np

from studies._style import BLACK, BLUE, ORANGE

GREEN = "#009E73"
LABELS = {"ep": "EP, centred", "coupled": "coupled learning", "removal": "edge removal"}
COLOURS = {"ep": BLUE, "coupled": ORANGE, "removal": GREEN}
DASHES = {"ep": "-", "coupled": "--", "removal": ":"}


def draw_edges(axes, ends, values, *, highest, widest=5.0, colormap="viridis_r"):
    """Each edge as a line whose width and colour say its value; returns what a colour bar needs.

    ends: (edge, 2, 2): the position of both ends. highest: the value of the widest line.
    """
    from matplotlib.collections import LineCollection

    values = np.asarray(values, float)
    order = np.argsort(values)
    lines = LineCollection(
        np.asarray(ends, float)[order],
        array=values[order],
        cmap=colormap,
        norm=_from_zero(highest),
        linewidths=0.4 + widest * np.clip(values[order] / highest, 0, 1),
        capstyle="round",
        zorder=1,
    )
    axes.add_collection(lines)
    return lines


def _from_zero(highest):
    from matplotlib.colors import Normalize

    return Normalize(0, highest)


def draw_nodes(axes, positions, labels=None, *, colour=BLACK, size=26, face="white"):
    """Nodes as circles; labels: text beside each, and where it goes, (text, dx, dy, alignment)."""
    positions = np.asarray(positions, float).reshape(-1, 2)
    axes.scatter(*positions.T, s=size, color=face, edgecolors=colour, linewidths=1.2, zorder=3)
    for (x, y), (text, dx, dy, align) in zip(positions, labels or ()):
        axes.annotate(
            text, (x, y), xytext=(dx, dy), textcoords="offset points", ha=align, va="center", fontsize=8, zorder=4
        )


def bare(axes):
    """No frame, no ticks, equal scales."""
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
