"""The figures and the summary of `studies.rules`, from its dataset alone."""

import numpy as np

from studies._style import BLACK, GREY, drawn, mean_and_spread

# Okabe and Ito, and a marker of its own for each rule.
LOOKS = {
    "positive": ("#0072B2", "o", "EP, positive β"),
    "negative": ("#D55E00", "s", "EP, negative β"),
    "random": ("#009E73", "^", "EP, random sign"),
    "centred": (BLACK, "D", "EP, centred"),
    "coupled": ("#CC79A7", "v", "coupled learning"),
    "contrastive": ("#E69F00", "P", "contrastive learning"),
}


def described(ds):
    """Lines of text: a table of the rules, what it was measured with, and the ladder's ends."""
    last = 100 * ds.test_accuracy[..., -1]
    reference = "centred" if "centred" in ds.rule else str(ds.rule.values[0])
    apart = last - last.sel(rule=reference)
    head = f"{'rule':<22}{'test accuracy':>17}{f'less {reference}':>19}{'rate':>9}{'cosine, start':>15}{'end':>8}"
    lines = [head, f"{'':<22}{'%':>17}{'%, paired':>19}{'S2 V-2':>9}{'':>15}{'':>8}"]
    for name in map(str, ds.rule.values):
        row = ds.sel(rule=name)
        start, end = (_mean(row[f"{when}_cosine"].sel(parameter="all")) for when in ("start", "end"))
        lines.append(
            f"{LOOKS[name][2]:<22}{mean_and_spread(last.sel(rule=name)):>17}{mean_and_spread(apart.sel(rule=name)):>19}"
            f"{float(row.learning_rate):>9g}{start:>15.3f}{end:>8.3f}"
        )
    lines += ["", f"Mean and standard deviation over {ds.sizes['seed']} seed(s); cosine of the update to the gradient."]
    edges = [str(r.rule.values) for r in ds.learning_rate if float(r) in (float(ds.rate.min()), float(ds.rate.max()))]
    if edges:
        lines.append(f"At an end of the ladder of learning rates, so perhaps not at their best: {', '.join(edges)}.")
    settled = float(min(ds.converged.min(), ds.test_converged.min()))
    residual = float(max(ds.residual.max(), ds.test_residual.max()))
    lines.append(f"Settled: {100 * settled:.2f} % of samples or more; largest relative residual {residual:.1e}.")
    return lines


def _mean(values):
    values = values.values[np.isfinite(values.values)]
    return values.mean() if values.size else np.nan


def all_figures(ds):
    """{"accuracy", "gradient", "learning", "rates"}: matplotlib figures."""
    return drawn(_FIGURES, ds)


def _ranked(axes, ds, series):
    """Rules from top to bottom; the seeds as small points, their mean as a large one. series: [(values, filled)]."""
    names = [str(name) for name in ds.rule.values]
    for place, name in enumerate(names):
        colour, marker, _ = LOOKS[name]
        for k, (values, filled) in enumerate(series):
            seeds, height = values.sel(rule=name).values, place + 0.26 * (k - (len(series) - 1) / 2)
            axes.plot(seeds, np.full(len(seeds), height), marker, ms=3, color=colour, alpha=0.5, mew=0)
            face = colour if filled else "white"
            axes.plot(_mean(values.sel(rule=name)), height, marker, ms=7.5, color=colour, mfc=face, zorder=3)
    axes.set_yticks(range(len(names)), [LOOKS[name][2] for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color="#e4e4e4", lw=0.6)
    axes.set_axisbelow(True)


def _accuracy(figure, ds):
    left, right = figure.subplots(1, 2, sharey=True)
    last = 100 * ds.test_accuracy[..., -1]
    _ranked(left, ds, [(last, True)])
    left.set(xlabel="test accuracy (%)")
    reference = "centred" if "centred" in ds.rule else str(ds.rule.values[0])
    _ranked(right, ds, [(last - last.sel(rule=reference), True)])
    right.axvline(0, color=GREY, lw=0.8)
    right.set(xlabel=f"difference to {LOOKS[reference][2]},\nsame seed (percentage points)")


def _gradient(figure, ds):
    axes = figure.subplots()
    before, after = (ds[name].sel(parameter="all") for name in ("start_cosine", "end_cosine"))
    _ranked(axes, ds, [(before, False), (after, True)])
    axes.axvline(1, color=GREY, lw=0.8)
    axes.set(xlabel="cosine of the update to the implicit gradient (1)")
    for face, label in (("white", "before training"), (BLACK, "after training")):
        axes.plot([], [], "o", ms=6, color=BLACK, mfc=face, label=label)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def _learning(figure, ds):
    panels = figure.subplots(1, 3)
    shown = (
        ("train_cost", "training cost, running mean (V$^2$)"),
        ("test_cost", "test cost (V$^2$)"),
        ("nudging_scale", "output Thevenin conductance (S)"),
    )
    for axes, (variable, label) in zip(panels, shown):
        for name in map(str, ds.rule.values):
            colour, marker, text = LOOKS[name]
            values = ds[variable].sel(rule=name)
            axes.plot(ds.epoch, values.mean("seed"), color=colour, marker=marker, ms=3.5, lw=1.2, label=text)
        axes.set(xlabel="epoch", ylabel=label, yscale="log")
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels[:2]:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else "")
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=3)


def _rates(figure, ds):
    axes = figure.subplots()
    for name in map(str, ds.rule.values):
        colour, marker, text = LOOKS[name]
        mean = 100 * ds.rate_validation_accuracy.sel(rule=name).mean("seed")
        axes.plot(ds.rate, mean, color=colour, marker=marker, ms=4.5, lw=1.2, label=text)
    axes.set(xlabel="learning rate (S$^2$ V$^{-2}$)", ylabel="validation accuracy (%)", xscale="log", ylim=(0, 100))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


_FIGURES = {
    "accuracy": ((6.6, 2.8), _accuracy),
    "gradient": ((4.6, 3.0), _gradient),
    "learning": ((7.4, 3.2), _learning),
    "rates": ((5.6, 3.0), _rates),
}
