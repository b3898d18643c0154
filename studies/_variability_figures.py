"""The figures and the summary of `studies.variability`, from its dataset alone."""

import numpy as np

from studies._style import BLUE, GREY, ORANGE, drawn, mean_and_spread

TITLES = {"spread": "device spread", "stuck": "stuck devices", "noise": "read noise"}
AXES = {
    "spread": "relative standard deviation (%)",
    "stuck": "share of stuck devices (%)",
    "noise": "relative standard deviation (%)",
}


def described(ds):
    """Lines of text: accuracy as written and after learning in situ, by kind and strength."""
    lines = [f"{'':<16}{'strength':>9}{'as written, %':>18}{'learned in situ, %':>21}"]
    for kind in map(str, ds.kind.values):
        for level in range(ds.sizes["level"]):
            row = ds.sel(kind=kind).isel(level=level)
            before, after = 100 * row.transferred_accuracy, 100 * row.test_accuracy[..., -1]
            name = "" if level else TITLES[kind]
            lines.append(
                f"{name:<16}{float(row.strength):>9g}{mean_and_spread(before):>18}{mean_and_spread(after):>21}"
            )
    settled = 100 * float(min(ds.converged.min(), ds.test_converged.min()))
    return [
        *lines,
        "",
        f"Perfect conductances: {100 * float(ds.perfect_accuracy):.1f} %. Mean and standard deviation over "
        f"{ds.sizes['device']} devices; {ds.sizes['epoch']} epochs in situ. Strength 0 is the control: as much more "
        "training of a perfect device.",
        f"Settled: {settled:.2f} % of samples or more; largest relative residual (estimated) "
        f"{float(ds.residual.max()):.1e}.",
    ]


def all_figures(ds):
    """{"accuracy", "recovery"}: matplotlib figures."""
    size = (2.2 * ds.sizes["kind"] + 0.9, 2.9)
    return drawn({"accuracy": (size, _accuracy), "recovery": (size, _recovery)}, ds)


def _accuracy(figure, ds):
    panels = np.atleast_1d(figure.subplots(1, ds.sizes["kind"], sharey=True))
    shown = (
        ("as written", ORANGE, "s", "--", ds.transferred_accuracy),
        ("learned in situ", BLUE, "o", "-", ds.test_accuracy[..., -1]),
    )
    for axes, kind in zip(panels, map(str, ds.kind.values)):
        for label, colour, marker, dash, values in shown:
            values = 100 * values.sel(kind=kind)
            mean, spread = values.mean("device"), values.std("device")
            axes.errorbar(
                100 * ds.strength.sel(kind=kind),
                mean,
                spread,
                color=colour,
                marker=marker,
                ms=4,
                ls=dash,
                capsize=2.5,
                label=label,
            )
        axes.axhline(100 * float(ds.perfect_accuracy), color=GREY, lw=0.8, ls=":", label="perfect conductances")
        axes.set(xlabel=AXES[kind], title=TITLES[kind])
    panels[0].set(ylabel="test accuracy (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=3 if len(panels) > 1 else 1)


def _recovery(figure, ds):
    """Accuracy epoch by epoch in situ, epoch 0 as written; darker lines for stronger imperfections."""
    from matplotlib import colormaps

    panels = np.atleast_1d(figure.subplots(1, ds.sizes["kind"], sharey=True))
    shades = colormaps["viridis_r"](np.linspace(0.15, 1, ds.sizes["level"]))
    markers = "osD^vPX"
    for axes, kind in zip(panels, map(str, ds.kind.values)):
        for k in range(ds.sizes["level"]):
            row = ds.sel(kind=kind).isel(level=k)
            before, after = row.transferred_accuracy.mean("device"), row.test_accuracy.mean("device")
            values = 100 * np.concatenate([[float(before)], after.values])
            look = {
                "color": shades[k],
                "marker": markers[k % len(markers)],
                "ms": 4,
                "label": f"{100 * float(row.strength):g} %",
            }
            axes.plot(np.arange(len(values)), values, **look)
        axes.set(xlabel="epochs in situ", title=TITLES[kind])
        axes.legend(frameon=False, fontsize=7, loc="lower right", labelspacing=0.2)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set(ylabel="test accuracy (%)")
