"""Cuts through an energy landscape, along a line or over a plane of states, with the equilibria projected onto them."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from physnet.errors import PhysnetError, require_instance
from physnet.landscape.chart import Chart
from physnet.landscape.datasets import landscape_dataset, leaves_of
from physnet.landscape.equilibria import Equilibria
from physnet.nudge import Nudge
from physnet.system import System
from physnet.variable import Variable

_BLOCK = 256  # states whose energies are worked out at once
_MARGIN = 0.3  # of the distance between the states given, added around them
_FIRST, _SECOND = "first_axis", "second_axis"


def slice_line(
    system: System,
    inputs=None,
    *,
    state: PyTree,
    to: PyTree | None = None,
    direction: PyTree | None = None,
    span: tuple[float, float] | None = None,
    points: int = 201,
    nudge: Nudge | None = None,
    equilibria: Equilibria | None = None,
    **attributes,
):
    """The energy along a straight line of states: state + position e, e a unit vector.

    system: with an energy. inputs (input,): held, in their unit; the default ones by default. state: at position 0,
    shaped like the system's. to: another, towards which the line goes the shortest way (phases within half a turn,
    common phases left out); or direction: that of the line, of any length, shaped like the state. span: (first, last)
    position, in the state's unit, a length over all its coordinates; from a little before `state` to a little beyond
    `to` by default. points: how many. nudge: for the energy F = E + beta C. equilibria: to project onto the line.
    attributes: title, summary, ...
    Returns a `physnet-1` dataset: slice_energy (position,), in the energy's unit; origin_* and first_direction_*, the
    line; for equilibria equilibrium_first, their positions, and equilibrium_distance from it.
    Raises PhysnetError for a system without an energy, or a line without a direction or span.
    """
    chart = _chart(system, inputs, nudge, "slice_line")
    origin = np.asarray(chart.vector(state), float)
    if (to is None) == (direction is None):
        raise PhysnetError("slice_line: give either another state, to=..., or a direction=..., shaped like the state.")
    end = np.asarray(chart.vector(direction if to is None else to), float)
    way = end if to is None else chart.difference(end, origin)
    axes = _orthonormal([way], float(np.abs([origin, end]).max()), "slice_line")
    if span is None:
        if to is None:
            raise PhysnetError("slice_line: a direction has no length; give span=(first, last), in the state's unit.")
        span = _around([0.0, float(np.linalg.norm(way))])
    position = np.linspace(*_checked_span(span, "slice_line"), _checked_points(points, "slice_line"))
    return _dataset(chart, origin, axes, {"position": position}, equilibria, "along a line", attributes)


def slice_plane(
    system: System,
    inputs=None,
    *,
    states: tuple[PyTree, PyTree, PyTree] | None = None,
    origin: PyTree | None = None,
    directions: tuple[PyTree, PyTree] | None = None,
    spans: tuple[tuple[float, float], tuple[float, float]] | None = None,
    points: tuple[int, int] = (101, 101),
    nudge: Nudge | None = None,
    equilibria: Equilibria | None = None,
    **attributes,
):
    """The energy over a plane of states: origin + a e1 + b e2 with orthonormal e1, e2.

    system: with an energy. inputs (input,): held, in their unit; the default ones by default. states: three through
    which the plane goes: the origin, one towards which e1 goes, and one in the direction of e2, the shortest ways.
    origin: a state, and directions: two, all shaped like the state, in the place of `states`. spans: ((first a, last
    a), (first b, last b)), in the state's unit, lengths over all its coordinates; the three states and a little around
    them by default. points: how many along each. nudge: for the energy F = E + beta C. equilibria: to project onto the
    plane. attributes: title, summary, ...
    Returns a `physnet-1` dataset: slice_energy (second_axis, first_axis), in the energy's unit; origin_*,
    first_direction_* and second_direction_*, the plane; for equilibria equilibrium_first and equilibrium_second, where
    they are on it, and equilibrium_distance from it.
    Raises PhysnetError for a system without an energy, or states on one line.
    """
    chart = _chart(system, inputs, nudge, "slice_plane")
    if (states is None) == (origin is None or directions is None):
        raise PhysnetError("slice_plane: give either three states=..., or an origin=... and two directions=...")
    given = (origin, *directions) if states is None else states
    centre, *others = (np.asarray(chart.vector(state), float) for state in given)
    ways = others if states is None else [chart.difference(other, centre) for other in others]
    if len(ways) != 2:
        raise PhysnetError(f"slice_plane: {len(ways)} directions; give three states, or two directions.")
    axes = _orthonormal(ways, float(np.abs([centre, *others]).max()), "slice_plane")
    if spans is None:
        if states is None:
            raise PhysnetError("slice_plane: directions have no length; give spans=((first, last), (first, last)).")
        corners = np.array([np.zeros(2), *(axes @ way for way in ways)])
        spans = tuple(_around(column) for column in corners.T)
    first, second = (
        np.linspace(*_checked_span(span, "slice_plane"), _checked_points(count, "slice_plane"))
        for span, count in zip(spans, points, strict=True)
    )
    return _dataset(chart, centre, axes, {_SECOND: second, _FIRST: first}, equilibria, "over a plane", attributes)


def _chart(system, inputs, nudge, where) -> Chart:
    chart = Chart.of(system, inputs, nudge)
    chart.require_energy(where, "integrate() shows how its states move.")
    return chart


def _orthonormal(ways, largest: float, where: str) -> np.ndarray:
    """(axis, coordinate) unit vectors, each across those before it. Raises PhysnetError where only rounding is left.

    largest: number that the ways were computed from.
    """
    axes = []
    for way in ways:
        across = way - sum(((way @ axis) * axis for axis in axes), np.zeros_like(way))
        length = np.linalg.norm(across)
        if not length > max(1e-9 * np.linalg.norm(way), 1e-14 * largest):
            what = "the direction is zero" if not axes else "the states lie on one line"
            raise PhysnetError(f"{where}: {what}. Give states that differ from one another, also up to symmetries.")
        axes.append(across / length)
    return np.stack(axes)


def _around(positions) -> tuple[float, float]:
    lowest, highest = float(np.min(positions)), float(np.max(positions))
    margin = _MARGIN * (highest - lowest)
    return lowest - margin, highest + margin


def _checked_span(span, where):
    first, last = span
    if not (np.isfinite([first, last]).all() and first < last):
        raise PhysnetError(f"{where}: a span from {first} to {last}; give (first, last), finite, with first < last.")
    return first, last


def _checked_points(count, where) -> int:
    if not isinstance(count, int | np.integer) or count < 2:
        raise PhysnetError(f"{where}: points is {count!r}; give a whole number, 2 or more.")
    return int(count)


@eqx.filter_jit
def _energies(chart: Chart, vectors: Float[Array, "block state coordinate"]) -> Float[Array, "block state"]:
    return jax.lax.map(jax.vmap(chart.energy), vectors)


def _slice_energy(chart: Chart, vectors: np.ndarray) -> np.ndarray:
    """(state,) energies of vectors (state, coordinate)."""
    blocks = -(-len(vectors) // _BLOCK)
    filled = np.concatenate([vectors, np.repeat(vectors[-1:], blocks * _BLOCK - len(vectors), axis=0)])
    energy = _energies(chart, jnp.asarray(filled.reshape(blocks, _BLOCK, -1), chart.dtype))
    return np.asarray(energy).ravel()[: len(vectors)]


def _dataset(chart, origin, axes, grid, equilibria, where, attributes):
    """grid: positions along each dim of the slice, the last along axes[0]."""
    dims, sizes = tuple(grid), tuple(len(positions) for positions in grid.values())
    places = np.stack([p.ravel() for p in np.meshgrid(*grid.values(), indexing="ij")][::-1], axis=1)  # (state, axis)
    energy = _slice_energy(chart, origin + places @ axes).reshape(sizes)
    units = {variable.units for variable in chart.system.variables}
    units = units.pop() if len(units) == 1 else "1"
    what = "energy" if chart.problem.nudge is None else "energy of the nudged system, E + beta C"
    variables = [
        (Variable("slice_energy", dims, chart.system.energy_units, f"{what}, {where} of states"), energy),
        *_named(chart, origin, "origin", "at position 0"),
        *_named(chart, axes[0], "first_direction", "unit vector along the first axis"),
    ]
    if len(axes) == 2:
        variables += _named(chart, axes[1], "second_direction", "unit vector along the second axis")
    if equilibria is not None:
        variables += _projected(chart, origin, axes, equilibria, units)
    names = {"position": "position along the line", _FIRST: "position along the first direction"}
    names[_SECOND] = "position along the second direction"
    coords = [(Variable(dim, (dim,), units, names[dim]), positions) for dim, positions in grid.items()]
    title = f"Energy of {type(chart.system).__name__} {where} of states"
    return landscape_dataset(chart, variables, coords=coords, default_title=title, **attributes)


def _named(chart, vector, prefix, what):
    pairs = leaves_of(chart, vector, (), prefix=f"{prefix}_")
    return [(replace(v, long_name=f"{v.long_name or v.name}: {what}", bounds=None), array) for v, array in pairs]


def _projected(chart, origin, axes, equilibria, units):
    """Positions of equilibria on the slice, their distances from it, energies and indices."""
    require_instance(equilibria, Equilibria, "slice: equilibria")
    away, one = chart.difference(np.asarray(equilibria.vector, float), origin), ("equilibrium",)
    places = away @ axes.T
    distance = np.linalg.norm(away - places @ axes, axis=1)
    names = (("equilibrium_first", "along the first axis"), ("equilibrium_second", "along the second axis"))
    pairs = [
        (Variable(name, one, units, f"position of each equilibrium {what}"), place)
        for (name, what), place in zip(names, places.T)
    ]
    energy = Variable("equilibrium_energy", one, chart.system.energy_units, "energy of each equilibrium")
    return [
        *pairs,
        (Variable("equilibrium_distance", one, units, "distance of each equilibrium from the slice"), distance),
        (energy, equilibria.energy),
        (Variable("equilibrium_index", one, "1", "Morse index of each equilibrium"), equilibria.index),
    ]
