"""The disconnectivity graph drawn: how the minima of a landscape join as the energy rises."""

import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.drawing.marks import BLACK, BLUE, named
from physnet.landscape.passes.tree import Disconnectivity, disconnectivity

_MOST_LABELS = 24  # leaves beyond which their names would run into each other
_STUB = 0.06  # of the height of the tree: how far the branch of a root goes on upwards


def draw_disconnectivity(axes, ds, *, colour=None, label=None) -> None:
    """The tree of minima: each ends, at its energy, in a leaf; branches join at the lowest saddle between them.

    axes: of Matplotlib, to draw on. ds: of a `Landscape`. Its lowest minimum is on the left of every branch. Trees that
    no known saddle joins stand side by side. colour: (equilibrium,), which colour each leaf has. label: (equilibrium,),
    what to write under them in the place of the equilibrium's number. Raises PhysnetError for a dataset without
    connections or without minima.
    """
    tree = disconnectivity(ds)
    if not len(tree.energy):
        raise PhysnetError("draw_disconnectivity: the dataset has no minimum, so there is no tree.")
    place = _places(tree)
    top = np.concatenate([tree.energy, tree.height])
    above = np.full(len(top), np.nan)  # where the branch of each node ends
    for node, (left, right) in enumerate(zip(tree.left, tree.right, strict=True), len(tree.energy)):
        above[[left, right]] = top[node]
        axes.plot(place[[left, right]], [top[node]] * 2, color=BLACK, lw=1.0, solid_capstyle="projecting")
    height = np.ptp(top) or abs(top[0]) or 1.0
    above = np.where(np.isnan(above), top + _STUB * height, above)
    for node in range(len(top)):
        leaf = node < len(tree.energy)
        number = tree.equilibrium[node] if leaf else None
        shade = (BLUE if colour is None else colour[number]) if leaf else BLACK
        axes.plot([place[node]] * 2, [top[node], above[node]], color=shade, lw=1.6 if leaf else 1.0)
        if leaf and len(tree.energy) <= _MOST_LABELS:
            text = str(number) if label is None else str(label[number])
            below = {"xytext": (0, -3), "textcoords": "offset points", "ha": "center", "va": "top"}
            axes.annotate(text, (place[node], top[node]), fontsize="small", annotation_clip=False, **below)
    axes.set_xlim(-0.7, len(tree.energy) - 0.3)
    axes.set_ylim(top.min() - 0.12 * height, above.max() + 0.02 * height)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_xlabel(f"minima ({len(tree.energy)})")
    axes.set_ylabel(named(ds["energy"], "energy"))


def _places(tree: Disconnectivity) -> np.ndarray:
    """Where each node stands on the horizontal axis: leaves at 0, 1, ..., a branch midway between what it joins."""
    count = len(tree.energy)
    place = np.zeros(count + len(tree.height))
    leaves = [leaf for root in tree.roots for leaf in tree.minima(root)]
    place[leaves] = np.arange(count)
    for k, (left, right) in enumerate(zip(tree.left, tree.right, strict=True)):
        place[count + k] = (place[left] + place[right]) / 2
    return place
