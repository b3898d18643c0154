"""Whatever of a landscape a dataset holds, drawn: what `physnet figures FILE` does with datasets of no study."""

from collections.abc import Callable

from physnet.errors import PhysnetError
from physnet.landscape.drawing.diagrams import draw_bifurcation
from physnet.landscape.drawing.marks import draw_basins, draw_spectrum
from physnet.landscape.drawing.slices import draw_line, draw_path, draw_plane
from physnet.landscape.drawing.tree import draw_disconnectivity

# (name, variables that it takes, how it is drawn)
_PANELS: tuple[tuple[str, tuple[str, ...], Callable], ...] = (
    ("tree", ("connection_saddle", "connection_end", "barrier"), draw_disconnectivity),
    ("basins", ("share", "share_low"), draw_basins),
    ("path", ("path_energy", "arc_length"), draw_path),
    ("bifurcation", ("branch", "stable"), draw_bifurcation),
    ("plane", ("slice_energy", "first_axis", "second_axis"), draw_plane),
    ("line", ("slice_energy", "position"), draw_line),
    ("spectrum", ("curvature", "flat"), draw_spectrum),
)


def figures(ds):
    """{name: matplotlib figure} of everything in the dataset of a landscape that can be drawn, one figure each.

    ds: of equilibria, a `Landscape`, a path, basins, branches or a slice. Raises PhysnetError where it holds none.
    """
    from matplotlib.figure import Figure

    drawn = {}
    for name, needed, draw in _PANELS:
        if all(variable in ds.variables for variable in needed):
            drawn[name] = Figure(figsize=(4.5, 3.4), layout="constrained")
            draw(drawn[name].subplots(), ds)
    if not drawn:
        raise PhysnetError("the dataset holds nothing of a landscape that could be drawn. Try physnet inspect.")
    return drawn
