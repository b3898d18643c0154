"""Maps of synchronisation over any parameters: Arnold tongues, and sweeps up and down for hysteresis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from oscillators import checks
from oscillators.records import recording_times
from oscillators.synchronisation import Synchronisation, synchrony
from oscillators.window import oscillators_of, resolution_over
from physnet import datasets, precision
from physnet.engines.base import Engine, sample_keys
from physnet.errors import PhysnetError
from physnet.sharding import spread
from physnet.signals import Held
from physnet.system import System
from physnet.trajectory import integrate
from physnet.variable import Variable
from physnet.varied import Varied

SWEEPS = ("up", "down")
_TAKEN = (  # names in the dataset
    *("mean_frequency", "cluster", "cluster_count", "synchronised", "order_parameter", "residual", "converged"),
    *("step_error", "resolution", "duration", "window", "oscillator", "sweep", "input"),
)
_BYTES = 2**28  # of the records of one batch


@dataclass(frozen=True)
class _Point:
    """What is kept of every point; each array (point, ...)."""

    frequencies: np.ndarray
    clusters: np.ndarray
    order: np.ndarray
    change: np.ndarray
    settled: np.ndarray
    error: np.ndarray
    resolution: float
    last: object  # the final states

    @classmethod
    def of(cls, run, found: Synchronisation):
        error = np.full(run.steps.shape, np.nan) if run.error is None else np.asarray(run.error)
        last = jax.tree.map(lambda leaf: np.ascontiguousarray(np.asarray(leaf)[:, -1]), run.state)
        settled = found.settled & np.asarray(run.converged)
        whole = np.minimum(found.order_parameter, 1)  # rounding
        return cls(found.frequencies, found.clusters, whole, found.change, settled, error, found.resolution, last)


def synchronisation_map(
    system: System,
    place: Callable,
    grid: Mapping,
    *,
    duration: float,
    settling: float | None = None,
    records: int | None = None,
    sweep: str | None = None,
    along: str | None = None,
    initial=None,
    base=None,
    resolution: float | None = None,
    weighting: str = "flat",
    engine: Engine | None = None,
    key=None,
    throw: bool = True,
    **attributes,
):
    """Mean frequencies, clusters and order parameter at every point of a grid of parameters, as a labelled dataset.

    place(system, values) -> system: sets the swept parameters from one point's values, in the order of `grid`, as for
    `Varied`: a named function, traceable. grid: {name: (values, units)} or {name: (values, units, long_name)}; each
    name becomes a dim. duration: s, of each run; settling: s, the part of it before mean frequencies are taken, half by
    default. records: times recorded in the rest; by default as many as the fastest rate asks for, which is safe and
    often more than is needed. initial: the state that all start from; the system's own by default. base: inputs of the
    system. resolution, weighting: see `synchrony`. engine, key, throw: as for `integrate`; the noise of a point
    follows from the key and its place in the grid. attributes: title,
    summary, seed, config, physnet_study and other global attributes.

    All points run as one batch, or in as many as memory asks for, on all devices of JAX's default platform. With
    `sweep` "up", "down" or "both" the values of one name, `along`, are taken in turn instead, each point starting from
    the final state of its neighbour before it, as an experiment that ramps slowly does; the rest of the grid is the
    batch. "both" adds the dim `sweep`.

    Variables: mean_frequency (..., oscillator), Hz, laboratory frame; cluster (..., oscillator); cluster_count,
    synchronised and order_parameter (...); residual, Hz, the most that a mean frequency differs between the halves of
    the window; converged, whether that is within 3 resolutions and the run reached its end; step_error (NaN where it
    was not checked); resolution, Hz: frequencies closer than it count as equal.
    Raises PhysnetError for a grid, sweep or times that make no sense, and as `integrate` and `mean_frequencies` do.
    """
    where = "synchronisation_map"
    oscillators_of(system, f"{where}: system")
    taken = {name for variable, _ in system.coordinates() for name in (variable.name, *variable.dims)} | set(_TAKEN)
    axes = [_axis(name, given, taken) for name, given in _entries(grid)]
    names = [variable.name for variable, _ in axes]
    along, sweeps = _check_sweep(sweep, along, names)
    varied = Varied(system, place, len(axes), base=base, names=names)
    points = np.stack(np.meshgrid(*(values for _, values in axes), indexing="ij"), -1)
    signal = Held(jnp.asarray(points.reshape(-1, len(axes)), precision.dtype_of(varied.base)))
    times, first = recording_times(varied, signal.value, duration, settling, records, where)
    resolution = resolution_over(times[-1] - times[first], weighting, resolution, where)

    def run(points, initial, key):
        points = spread(jnp.asarray(points, signal.value.dtype))
        done = integrate(varied, points, times, initial=initial, engine=engine, key=key, throw=throw)
        return _Point.of(done, synchrony(done, begin=times[first], resolution=resolution, weighting=weighting))

    if sweep is None:
        found = _at_once(run, np.asarray(signal.value), _batch(varied, signal, len(times)), initial, key)
    else:
        at = names.index(along)
        keys = [_folded(key, number) for number in range(len(sweeps))]
        found = _joined([_swept(run, points, axes[at][1], at, way, initial, one) for way, one in zip(sweeps, keys)])
    return _dataset(varied, axes, found, sweeps, (times[first], times[-1]), attributes)


def _at_once(run, rows, size, initial, key):
    """Every point from its own start, `size` at a time. The noise of each follows from the key and its row."""
    keys = sample_keys(key, len(rows))
    parts = [slice(begin, begin + size) for begin in range(0, len(rows), size)]
    starts = [None if initial is None else _repeated(initial, len(rows[part])) for part in parts]
    noises = [None if key is None else keys[part] for part in parts]
    return _joined([run(rows[part], start, noise) for part, start, noise in zip(parts, starts, noises)])


def _swept(run, points, values, at, way, initial, key):
    """Axis `at` of the grid value by value, `way` "up" or "down", each from the final states of the one before."""
    order = np.argsort(values, kind="stable")[:: 1 if way == "up" else -1]
    slices = np.moveaxis(points, at, 0)
    shape = slices.shape[:-1]
    rows = slices.reshape(shape[0], -1, points.shape[-1])
    state = None if initial is None else _repeated(initial, rows.shape[1])
    done = {}
    for turn, k in enumerate(order):
        done[k] = run(rows[k], state, _folded(key, turn))
        state = done[k].last

    def in_order(array):  # (values along the axis, rest of the grid) to the grid's own order
        return np.moveaxis(array.reshape(*shape, *array.shape[1:]), 0, at).reshape(array.shape)

    return _map(in_order, _joined([done[k] for k in range(len(values))]))


def _entries(grid):
    if not isinstance(grid, Mapping) or not grid:
        raise PhysnetError("synchronisation_map: grid is empty; pass {name: (values, units)} of the swept parameters.")
    return grid.items()


def _axis(name, given, taken) -> tuple[Variable, np.ndarray]:
    where = f"synchronisation_map: grid[{name!r}]"
    if not isinstance(given, tuple) or len(given) not in (2, 3) or not all(isinstance(text, str) for text in given[1:]):
        raise PhysnetError(f"{where} is {type(given).__name__}; give (values, units) or (values, units, long_name).")
    values = np.asarray(checks.floats(given[0], where, given[1], dtype=float))
    if values.ndim != 1 or not values.size or len(np.unique(values)) < values.size:
        raise PhysnetError(f"{where} has values of shape {values.shape}; give distinct numbers in one dimension.")
    if name in taken:
        raise PhysnetError(f"{where}: the name is taken in the dataset; rename it, for example '{name}_value'.")
    return Variable(name, (name,), given[1], given[2] if len(given) == 3 else str(name).replace("_", " ")), values


def _check_sweep(sweep, along, names):
    if sweep is None:
        if along is not None:
            raise PhysnetError("synchronisation_map: along is for sweeps; add sweep='up', 'down' or 'both'.")
        return None, ()
    if sweep not in (*SWEEPS, "both"):
        raise PhysnetError(f"synchronisation_map: sweep is {sweep!r}; pass 'up', 'down', 'both' or None.")
    along = names[0] if along is None and len(names) == 1 else along
    if along not in names:
        raise PhysnetError(f"synchronisation_map: along is {along!r}; name the swept parameter: {', '.join(names)}.")
    return along, SWEEPS if sweep == "both" else (sweep,)


def _batch(varied, signal, times) -> int:
    """How many points are integrated at once: what `_BYTES` of records hold."""
    states = jax.eval_shape(jax.vmap(varied.initial_state), signal.value)
    each = times * sum(leaf.size * leaf.dtype.itemsize // leaf.shape[0] for leaf in jax.tree.leaves(states))
    count = -(-len(signal.value) // max(1, int(_BYTES // each)))
    return -(-len(signal.value) // count)


def _repeated(state, number):
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (number, *jnp.shape(leaf))), state)


def _folded(key, number):
    return None if key is None else jax.random.fold_in(key, number)


def _map(act, *points):
    """One `_Point` from several: `act` on the arrays of each name."""
    names = ("frequencies", "clusters", "order", "change", "settled", "error")
    return replace(points[0], **{name: act(*(getattr(point, name) for point in points)) for name in names}, last=None)


def _joined(points):
    return _map(lambda *arrays: np.concatenate(arrays), *points)


def _dataset(varied, axes, found, sweeps, span, attributes):
    (begin, end), both = span, len(sweeps) > 1
    shape = tuple(len(values) for _, values in axes)
    dims = (*(("sweep",) if both else ()), *(variable.name for variable, _ in axes))
    shape = (*((len(sweeps),) if both else ()), *shape)
    of_each = (*dims, "oscillator")

    def laid(array):
        return array.reshape(*shape, *array.shape[1:])

    known = found.clusters.max(axis=1) + 1
    error = "error of the state by step doubling; NaN where it was not checked"
    variables = [
        (Variable("mean_frequency", of_each, "Hz", "mean frequency, laboratory frame"), laid(found.frequencies)),
        (Variable("cluster", of_each, "1", "oscillators of one number keep one frequency"), laid(found.clusters)),
        (Variable("cluster_count", dims, "1", "number of different mean frequencies"), laid(known)),
        (
            Variable("synchronised", dims, "1", "whether all oscillators keep one frequency, within the resolution"),
            laid((found.clusters == 0).all(axis=1)),
        ),
        (Variable("order_parameter", dims, "1", "time average of |mean exp(i phase)|", (0.0, 1.0)), laid(found.order)),
        (
            Variable("residual", dims, "Hz", "largest change of a mean frequency between the halves of the window"),
            laid(found.change),
        ),
        (Variable("converged", dims, "1", "whether the residual is within 3 resolutions"), laid(found.settled)),
        (Variable("step_error", dims, "1", error), laid(found.error)),
        (Variable("resolution", (), "Hz", "mean frequencies closer than this count as equal"), found.resolution),
        (Variable("duration", (), "s", "time followed from each start"), end),
        (Variable("window", (), "s", "time at the end over which frequencies are averaged"), end - begin),
    ]
    coords = list(axes)
    if both:
        coords.append((Variable("sweep", ("sweep",), "1", "direction in which a value was swept"), np.array(sweeps)))
    title = f"Synchronisation of {type(varied.system).__name__} over {' and '.join(v.name for v, _ in axes)}"
    if len(sweeps) == 1:
        attributes.setdefault("summary", f"swept {sweeps[0]}, each point from the final state of its neighbour")
    return datasets.build(
        varied, variables, coords=coords, default_title=title, dtype=found.frequencies.dtype, **attributes
    )
