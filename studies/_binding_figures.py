"""The figures of `studies.binding`, drawn from its dataset alone."""

import numpy as np

from studies._style import BLACK, BLUE, GREY, ORANGE, RC

_GREEN, _PINK = "#009E73", "#CC79A7"
_COLOURS = (BLUE, ORANGE, _GREEN, _PINK)
_MARKERS = ("o", "s", "^", "D")
_SHORT = {"centroid": "centroid", "equilibrium propagation": "EP", "simulation": "simulation"}


def all_figures(ds):
    """{"ramps", "spectra", "maps", "accuracy"} and, of a full run, "robustness": matplotlib figures."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        drawn = {}
        for name, (size, draw) in _FIGURES.items():
            if name != "robustness" or "temperature_accuracy" in ds:
                drawn[name] = Figure(figsize=size)
                draw(drawn[name], ds)
    return drawn


def _names(ds):
    return [str(name) for name in ds["class"].values]


def _title(ds, k):
    sequence = int(ds.shown_sequence[k])
    name = _names(ds)[int(ds.label[sequence])]
    peak = float(ds.emission_peak.sel(training="equilibrium propagation")[1, sequence])
    says = "recognised" if peak >= float(ds.threshold) else "not recognised"
    return f"{name.capitalize()}, network for {_names(ds)[1].capitalize()}: {says}"


def _ramps(figure, ds):
    for k, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        for i in range(3):
            axes.plot(ds.time, ds.free_frequency[k, :, i], color=_COLOURS[i], ls=":", lw=1)
            axes.plot(ds.time, ds.oscillator_frequency[k, :, i], color=_COLOURS[i], label=f"oscillator {i + 1}")
        sequence = int(ds.shown_sequence[k])
        for name, when in (("t1", 0.0), ("t2", float(ds.t2[sequence])), ("t3", float(ds.t3[sequence]))):
            axes.axvline(when, color=GREY, lw=0.7)
            axes.text(when + 8, 354.3, f"$t_{name[1]}$", va="top", color=BLACK)
        axes.set(xlabel="time (a.u.)", title=_title(ds, k), xlim=(-20, 900), ylim=(316, 355))
        axes.axvspan(float(ds.shown_time[k]) - 20, float(ds.shown_time[k]) + 20, color="#e4e4e4", zorder=0)
        if k == 0:
            axes.set_ylabel("frequency (MHz)")
            axes.plot([], [], color=BLACK, ls=":", lw=1, label="each alone")
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)


def _spectra(figure, ds):
    for k, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        axes.plot(ds.frequency, ds.spectrum[k], color=(BLUE, ORANGE)[k])
        axes.axhline(1, color=GREY, lw=0.8, ls=":")
        axes.set(xlabel="frequency (MHz)", xlim=(315, 357), title=_title(ds, k))
        axes.text(315.5, 1.08, "one free oscillator", color=GREY, fontsize=8)
        if k == 0:
            axes.set_ylabel("emitted power (free peaks)")
    axes.set_ylim(bottom=0)


def _maps(figure, ds):
    trainings = [str(name) for name in ds.training.values]
    threshold = float(ds.threshold)
    grid = figure.subplots(len(trainings), 4, sharex=True, sharey=True)
    for row, training in zip(grid, trainings):
        for k, axes in enumerate(row):
            peak = ds.map_peak.sel(training=training)[k].values.T
            axes.contourf(ds.map_t2, ds.map_t3, peak, [threshold, 99], colors=["#cfe3f1"])
            if peak.min() < threshold < peak.max():
                axes.contour(ds.map_t2, ds.map_t3, peak, [threshold], colors=BLUE, linewidths=0.8)
            for j, name in enumerate(_names(ds)):
                own = ds.label == j
                fill = _COLOURS[j] if j == k else "none"
                axes.scatter(
                    ds.t2[own],
                    ds.t3[own],
                    s=9,
                    marker=_MARKERS[j],
                    facecolor=fill,
                    edgecolor=_COLOURS[j],
                    lw=0.7,
                    label=name.capitalize(),
                )
            accuracy = 100 * float(ds.accuracy.sel(training=training)[k])
            axes.text(0.97, 0.03, f"{accuracy:.1f} %", transform=axes.transAxes, ha="right", fontsize=8)
            if axes in grid[0]:
                axes.set_title(f"network for {_names(ds)[k].capitalize()}")
        row[0].set_ylabel(f"{_SHORT[training]}\n$t_3$ (a.u.)")
    for axes in grid[-1]:
        axes.set_xlabel("$t_2$ (a.u.)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)


def _accuracy(figure, ds):
    axes = figure.subplots()
    sets = [(f"ramps: {_SHORT[str(t)]}", ds.accuracy.sel(training=t)) for t in ds.training.values]
    sets += [(str(b), ds.baseline_accuracy.sel(baseline=b)) for b in ds.baseline.values]
    colours = (BLUE, ORANGE, _GREEN, GREY, "#c4c4c4")
    for i, (name, values) in enumerate(sets):
        bars = axes.bar(np.arange(4) + 0.17 * (i - 2), 100 * values, width=0.15, color=colours[i], label=name)
        axes.bar_label(bars, fmt="%.4g", fontsize=6.5, padding=1)
    axes.set(ylabel="one-vs-rest accuracy (%)", ylim=(40, 105), xticks=range(4))
    axes.set_xticklabels([name.capitalize() for name in _names(ds)])
    figure.legend(loc="outside lower center", ncols=3, frameon=False)


def _robustness(figure, ds):
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, name, label in ((left, "temperature", "temperature (K)"), (right, "dispersion", "dispersion R (a.u.)")):
        for i, training in enumerate(ds.training.values):
            each = 100 * ds[f"{name}_accuracy"].sel(training=training).mean("class")
            axes.errorbar(
                ds[name],
                each.mean("draw"),
                each.std("draw", ddof=1),
                color=_COLOURS[i],
                marker=_MARKERS[i],
                ms=4,
                capsize=2,
                label=_SHORT[str(training)],
            )
        axes.set_xlabel(label)
    left.set_ylabel("accuracy (%), mean of classes\n± standard deviation of draws")
    left.legend(frameon=False)


_FIGURES = {
    "ramps": ((6.8, 3.2), _ramps),
    "spectra": ((6.8, 2.6), _spectra),
    "maps": ((6.8, 5.8), _maps),
    "accuracy": ((6.4, 3.2), _accuracy),
    "robustness": ((6.4, 2.8), _robustness),
}
