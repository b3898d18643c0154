"""Drawings of landscapes: what is on the axes is what the dataset says. Datasets are made by hand, answers known."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from physnet import PhysnetError
from physnet.landscape.drawing.diagrams import draw_bifurcation
from physnet.landscape.drawing.marks import BLACK, BLUE, draw_basins, draw_spectrum, named
from physnet.landscape.drawing.pages import figures
from physnet.landscape.drawing.slices import draw_line, draw_path, draw_plane
from physnet.landscape.drawing.tree import draw_disconnectivity


def variable(dims, values, units="J", long_name="something"):
    return (dims, np.asarray(values), {"units": units, "long_name": long_name})


def landscape():
    """Minima at 0, 1, 2 and 3 J; 0 and 2 join at 4 J, these and 1 at 6 J, 3 stands alone."""
    return xr.Dataset(
        {
            "energy": variable("equilibrium", [0.0, 1.0, 2.0, 3.0, 4.0, 6.0]),
            "index": variable("equilibrium", [0, 0, 0, 0, 1, 1], "1"),
            "curvature": variable(("equilibrium", "mode"), [[1, 2]] * 4 + [[-1, 3]] * 2, "J m-2"),
            "connection_saddle": variable("connection", [4, 5], "1"),
            "connection_end": variable(("connection", "end"), [[0, 2], [2, 1]], "1"),
            "barrier": variable(("connection", "end"), [[4.0, 2.0], [4.0, 5.0]]),
        }
    )


@pytest.fixture
def axes():
    return Figure().subplots()


def strokes(axes):
    """{(rounded points of a line)}: every line on the axes as a set of two or more points."""
    return {tuple(map(tuple, np.round(line.get_xydata(), 9))) for line in axes.lines}


def marked(axes):
    """Every point of every scatter, (point, 2), in the order of x."""
    points = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets())])
    return points[np.argsort(points[:, 0])]


def test_a_tree_has_its_leaves_at_minima_and_its_joints_at_saddles(axes):
    draw_disconnectivity(axes, landscape())
    found = strokes(axes)
    # From left to right: 0 and 2, which join first, 1, and 3, which nothing joins.
    for x, low, high in ((0, 0, 4), (1, 2, 4), (0.5, 4, 6), (2, 1, 6)):
        assert ((x, low), (x, high)) in found
    for left, right, height in ((0, 1, 4), (0.5, 2, 6)):
        assert ((left, height), (right, height)) in found
    assert [text.get_text() for text in axes.texts] == ["0", "1", "2", "3"]
    (alone,) = (line for line in found if line[0] == (3.0, 3.0))
    assert alone[1][0] == 3.0
    assert axes.get_ylabel() == "energy (J)" and "4" in axes.get_xlabel()


def test_leaves_take_colours_and_names(axes):
    draw_disconnectivity(axes, landscape(), colour=["red", "green", "blue", "black", "", ""], label=list("abcdef"))
    assert {text.get_text() for text in axes.texts} == set("abcd")
    drawn = {to_rgba(line.get_color()) for line in axes.lines}
    assert {to_rgba(colour) for colour in ("red", "green", "blue", "black")} <= drawn


def test_curvatures_are_drawn_by_sign(axes):
    draw_spectrum(axes, landscape())
    points = {tuple(p) for p in marked(axes)}
    assert points == {(k, c) for k in range(4) for c in (1, 2)} | {(k, c) for k in (4, 5) for c in (-1, 3)}
    one = Figure().subplots()
    draw_spectrum(one, landscape(), 4)
    np.testing.assert_array_equal(marked(one), [[0, -1], [1, 3]])
    assert one.get_xlabel() == "mode" and one.get_ylabel() == "curvature (J m⁻²)"


def test_wedges_are_as_wide_as_shares(axes):
    ds = xr.Dataset({"share": variable("equilibrium", [0.1, 0.5, 0.0, 0.2], "1")})
    draw_basins(axes, ds, most=2)
    widths = [wedge.theta1 - wedge.theta2 for wedge in axes.patches]
    np.testing.assert_allclose(np.abs(widths), [180, 72, 36, 72], atol=1e-3)
    texts = [text.get_text() for text in axes.texts if text.get_text()]
    assert texts == ["1: 50 %", "3: 20 %", "1 others: 10 %", "settled nowhere: 20 %"]
    assert axes.patches[-1].get_hatch()


def diagram():
    """A fold at (1, 0): y^2 = 1 - p, the upper half stable."""
    y = np.linspace(1, -1, 9)
    return xr.Dataset(
        {
            "height": variable("point", y, "m", "height"),
            "pair": variable(("point", "part"), np.stack([y, 2 * y], axis=1), "m", "two heights"),
            "force": variable("point", 1 - y**2, "N", "force"),
            "branch": variable("point", np.zeros(9, int), "1"),
            "stable": variable("point", (y >= 0).astype(int), "1"),
            "special_height": variable("special", [0.0], "m"),
            "special_force": variable("special", [1.0], "N"),
        },
        coords={"special_kind": ("special", ["fold"])},
        attrs={"varied": "force"},
    )


def test_branches_are_full_where_stable_and_broken_where_not(axes):
    ds = diagram()
    draw_bifurcation(axes, ds, "height", x="force")
    stable, unstable = axes.lines
    assert stable.get_linestyle() == "-" and unstable.get_linestyle() == "--"
    assert to_rgba(stable.get_color()) == to_rgba(BLUE) and to_rgba(unstable.get_color()) == to_rgba(BLACK)
    np.testing.assert_array_equal(stable.get_ydata(), [1, 0.75, 0.5, 0.25, 0, -0.25])  # no gap to the next
    np.testing.assert_array_equal(unstable.get_ydata(), [-0.25, -0.5, -0.75, -1])
    np.testing.assert_array_equal(marked(axes), [[1, 0]])
    assert axes.get_xlabel() == "force (N)" and axes.get_ylabel() == "height (m)"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["stable", "unstable", "fold"]
    other = Figure().subplots()
    draw_bifurcation(other, ds, ("pair", 1))  # the dataset says what varies
    assert other.lines[0].get_ydata()[0] == 2 and other.get_ylabel() == "two heights, 1 (m)"


def test_slices_show_the_equilibria_that_are_on_them(axes):
    x = np.linspace(-2, 2, 41)
    ends = {
        "equilibrium_first": variable("equilibrium", [-1.0, 0.0, 1.0], "m"),
        "equilibrium_distance": variable("equilibrium", [0.0, 1e-3, 0.5], "m"),
        "equilibrium_energy": variable("equilibrium", [0.0, 1.0, 0.0]),
        "equilibrium_index": variable("equilibrium", [0, 1, 0], "1"),
    }
    line = xr.Dataset({"slice_energy": variable("position", (x**2 - 1) ** 2)} | ends)
    line = line.assign_coords(position=variable("position", x, "m", "position"))
    draw_line(axes, line)
    np.testing.assert_array_equal(marked(axes), [[-1, 0], [0, 1]])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), (x**2 - 1) ** 2)

    ends["equilibrium_second"] = variable("equilibrium", [0.0, 0.1, 0.0], "m")
    plane = xr.Dataset({"slice_energy": variable(("second_axis", "first_axis"), (x**2 - 1) ** 2 + x[:, None] ** 2)})
    plane = plane.assign(ends).assign_coords(
        first_axis=variable("first_axis", x, "m", "first"), second_axis=variable("second_axis", x, "m", "second")
    )
    plane = plane.assign(
        origin_place=variable("axis", [1.0, 0.0], "m"),
        first_direction_place=variable("axis", [0.0, 1.0], "1"),
        second_direction_place=variable("axis", [-1.0, 0.0], "1"),
    )
    path = xr.Dataset({"path_place": variable(("image", "axis"), [[1.0, 0.0], [0.5, 2.0]], "m")})
    below = Figure().subplots()
    draw_plane(below, plane, path, highest=3.0)
    np.testing.assert_allclose(below.lines[0].get_xydata(), [[0, 0], [2, 0.5]])
    assert below.get_xlabel() == "first (m)" and below.get_ylabel() == "second (m)"
    with pytest.raises(PhysnetError, match="highest is -1; the lowest energy on the plane is 0"):
        draw_plane(Figure().subplots(), plane, highest=-1.0)
    with pytest.raises(PhysnetError, match="the path has no path_place"):
        draw_plane(Figure().subplots(), plane, xr.Dataset())


def test_a_path_passes_its_stops(axes):
    x = np.linspace(0, 2 * np.pi, 41)
    ds = xr.Dataset(
        {
            "path_energy": variable("image", 1 - np.cos(2 * x)),
            "arc_length": variable("image", x, "rad"),
            "stop_equilibrium": variable("stop", [0, 3, 1, 4, 2], "1"),
            "stop_energy": variable("stop", [0.0, 2.0, 0.0, 2.0, 0.0]),
            "index": variable("equilibrium", [0, 0, 0, 1, 1], "1"),
        }
    )
    draw_path(axes, ds)
    np.testing.assert_allclose(marked(axes), np.stack([np.arange(5) * np.pi / 2, [0, 2, 0, 2, 0]], axis=1))
    assert axes.get_xlabel() == "distance along the path (rad)"


def test_units_are_written_with_raised_powers():
    assert named(xr.DataArray(0.0, attrs={"units": "rad2 s-1", "long_name": "energy"})) == "energy (rad² s⁻¹)"
    assert named(xr.DataArray(0.0, attrs={"units": "1", "long_name": "share"})) == "share"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (draw_basins, "draw_basins: the dataset has no share; it needs that of basin_volumes"),
        (draw_spectrum, "draw_spectrum: the dataset has no curvature"),
        (draw_path, "draw_path: the dataset has no path_energy, arc_length"),
        (draw_line, "draw_line: the dataset has no slice_energy, position"),
        (draw_bifurcation, "draw_bifurcation: the dataset has no branch, stable"),
        (draw_disconnectivity, "disconnectivity: the dataset has no energy, index, connection_saddle"),
        (lambda axes, _: draw_bifurcation(axes, diagram(), 0, x="force"), "no outputs on its points"),
        (lambda axes, _: draw_bifurcation(axes, diagram(), "width", x="force"), "no variable 'width' on the points"),
        (lambda axes, _: draw_bifurcation(axes, diagram(), "pair", x="force"), "pair has 2 elements, and None"),
        (lambda axes, _: draw_bifurcation(axes, diagram().drop_attrs(), "height"), "which variable varies. Give x="),
    ],
)
def test_other_datasets_are_refused(axes, draw, message):
    with pytest.raises(PhysnetError, match=message):
        draw(axes, xr.Dataset())


def test_whatever_a_dataset_holds_is_drawn():
    ds = diagram().assign(
        reading=variable(("point", "output"), np.stack([np.zeros(9), np.linspace(0, 1, 9)], axis=1), "V")
    )
    drawn = figures(ds.merge(xr.Dataset({"path_energy": variable("image", [0.0, 1.0, 0.0], "J")})))
    assert list(drawn) == ["bifurcation"]
    (panel,) = drawn["bifurcation"].axes
    assert panel.lines[0].get_ydata()[4] == 0.5  # of the outputs the one that changes
    with pytest.raises(PhysnetError, match="nothing of a landscape that could be drawn"):
        figures(xr.Dataset())


def test_drawing_never_loads_the_simulator():
    program = (
        "import sys\n"
        "from physnet.landscape.drawing import diagrams, marks, pages, slices, tree\n"
        "print(sorted({'jax', 'equinox'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
