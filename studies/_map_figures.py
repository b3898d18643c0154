"""The figures of `studies.synchronisation_map`, drawn from its dataset alone."""

import numpy as np

from studies._style import BLACK, BLUE, ORANGE, RC

PATTERNS = ("none", "1 and 2", "1 and 3", "2 and 3", "all three")
_COLOURS = ("#F2F2F2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7")  # Okabe and Ito
_OF_LABELS = {(0, 1, 2): 0, (0, 0, 1): 1, (0, 1, 0): 2, (0, 1, 1): 3, (0, 0, 0): 4}


def all_figures(ds):
    """{"map", "tongue", "hysteresis"}: matplotlib figures of what the dataset holds."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        drawn = {}
        for name, (needs, size, draw) in _FIGURES.items():
            if needs in ds:
                drawn[name] = Figure(figsize=size)
                draw(drawn[name], ds)
    return drawn


def patterns(ds):
    """(detuning_2, detuning_3): index into PATTERNS of who keeps step with whom; -1 where a state was not finite."""
    labels = ds.cluster.transpose(..., "oscillator").values
    found = np.full(labels.shape[:-1], -1)
    for key, number in _OF_LABELS.items():
        found[(labels == key).all(axis=-1)] = number
    return found


def bistable(ds):
    """(coupling, detuning): where the sweeps up and down do not agree on locking."""
    up, down = (ds.sweep_synchronised.sel(sweep=name).transpose("coupling", "detuning") for name in ("up", "down"))
    return (up != down).values


def _cells(values):
    """Edges of the cells whose centres are `values`."""
    middle = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])


def _map(figure, ds):
    from matplotlib.colors import BoundaryNorm, ListedColormap

    x, y = _cells(ds.detuning_2.values), _cells(ds.detuning_3.values)
    who, order = figure.subplots(1, 2)
    norm = BoundaryNorm(np.arange(-0.5, len(PATTERNS)), len(PATTERNS))
    shown = np.ma.masked_less(patterns(ds).T, 0)
    image = who.pcolormesh(x, y, shown, cmap=ListedColormap(_COLOURS), norm=norm, rasterized=True)
    bar = figure.colorbar(image, ax=who, ticks=range(len(PATTERNS)), label="oscillators in step", aspect=30)
    bar.ax.set_yticklabels(PATTERNS)
    bar.ax.tick_params(length=0)
    image = order.pcolormesh(x, y, ds.order_parameter.values.T, cmap="viridis", vmin=0, vmax=1, rasterized=True)
    figure.colorbar(image, ax=order, label="order parameter, time average", aspect=30)
    for axes in (who, order):
        axes.set(xlabel="detuning of oscillator 2 (MHz)", ylabel="detuning of oscillator 3 (MHz)", aspect="equal")


def _tongue(figure, ds):
    axes = figure.subplots()
    x, y = _cells(ds.detuning.values), _cells(ds.coupling.values)
    beat = np.abs(ds.tongue_beat.transpose("coupling", "detuning"))
    image = axes.pcolormesh(x, y, beat, cmap="cividis", rasterized=True)
    figure.colorbar(image, ax=axes, label="beat |$f_2 - f_1$| (MHz)", aspect=30)
    for side in (-1, 1):
        label = "first-order theory" if side > 0 else None
        axes.plot(side * ds.tongue_theory, ds.coupling, color=ORANGE, ls="--", label=label)
        label = "edge, from fresh starts" if side > 0 else None
        axes.plot(side * ds.tongue_half_range, ds.coupling, ".", color="white", mec=BLACK, mew=0.6, ms=6, label=label)
    axes.set(xlabel="difference of the free frequencies (MHz)", ylabel="coupling W/2π (MHz)")
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    figure.legend(loc="outside upper center", ncols=2, frameon=False, labelcolor=BLACK)


def _hysteresis(figure, ds):
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    axes = figure.subplots()
    up, down = (
        ds.sweep_synchronised.sel(sweep=name).transpose("coupling", "detuning").values for name in ("up", "down")
    )
    x, y = _cells(ds.detuning.values), _cells(ds.coupling.values)
    colours = ("#F2F2F2", "#999999", BLUE, ORANGE)
    labels = ("never in step", "in step in both sweeps", "in step when swept up only", "in step when swept down only")
    code = np.select([(up == 1) & (down == 1), up == 1, down == 1], [1, 2, 3], 0)
    axes.pcolormesh(x, y, code, cmap=ListedColormap(colours), vmin=-0.5, vmax=3.5, rasterized=True)
    for side in (-1, 1):
        axes.plot(side * ds.tongue_theory, ds.coupling, color=BLACK, ls="--", lw=1)
    handles = [
        Patch(facecolor=colour, edgecolor="#888888", lw=0.5, label=label) for colour, label in zip(colours, labels)
    ]
    handles.append(axes.plot([], [], color=BLACK, ls="--", lw=1, label="first-order theory")[0])
    axes.set(xlabel="difference of the free frequencies (MHz)", ylabel="coupling W/2π (MHz)")
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    figure.legend(handles=handles, loc="outside right upper", frameon=False)


_FIGURES = {
    "map": ("cluster", (7.4, 3.0), _map),
    "tongue": ("tongue_half_range", (4.8, 3.4), _tongue),
    "hysteresis": ("sweep_synchronised", (6.4, 3.2), _hysteresis),
}
