"""The figures of `studies.digits`, drawn from its dataset alone."""

import numpy as np

from studies._style import BLACK, BLUE, GREY, ORANGE, RC


def all_figures(ds):
    """{"accuracy", "conductances", "voltages"}: matplotlib figures; the last only of a run that has ended."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        drawn = {}
        for name, (size, draw) in _FIGURES.items():
            if name != "voltages" or "sample_output_voltage" in ds:
                drawn[name] = Figure(figsize=size)
                draw(drawn[name], ds)
    return drawn


def _accuracy(figure, ds):
    axes = figure.subplots()
    axes.plot(ds.epoch, 100 * (1 - ds.train_accuracy), color=BLUE, marker="o", ms=3, label="training (running)")
    axes.plot(ds.epoch, 100 * (1 - ds.test_accuracy), color=ORANGE, marker="s", ms=3, label="test")
    if "baseline_accuracy" in ds:
        for name, accuracy, dash in zip(ds.baseline.values, ds.baseline_accuracy.values, ("--", ":")):
            axes.axhline(100 * (1 - accuracy), color=GREY, ls=dash, label=f"{name}, test")
    axes.set(xlabel="epoch", ylabel="error (%)", yscale="log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if str(f"{value:e}")[0] in "235" else "")
    axes.legend(frameon=False)


def _conductances(figure, ds):
    names = sorted(name for name in ds.data_vars if name.startswith("conductance_"))
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names):
        values = ds[name].values.ravel()
        open_share = 100 * np.mean(values == 0)
        axes.hist(1e3 * values[values > 0], bins=60, color=BLUE)
        axes.set(
            xlabel="conductance (mS)",
            ylabel="branches",
            yscale="log",
            title=ds[name].attrs["long_name"].replace("conductance between the ", "").replace(" nodes", ""),
        )
        axes.text(0.97, 0.93, f"open: {open_share:.0f} %", transform=axes.transAxes, ha="right")


def _voltages(figure, ds):
    outputs, hidden = figure.subplots(1, 2, width_ratios=(1.15, 1))
    betas = ds.nudge.values
    colours = dict(zip(betas, (BLACK, BLUE, ORANGE)))
    digits = np.arange(ds.sizes["output"])
    outputs.bar(digits, ds.sample_target, width=0.85, color="#e4e4e4", label="target")
    for offset, beta in zip((0, 0.22, -0.22), betas):
        label = "free" if beta == 0 else f"nudged, {beta:+g} S"
        outputs.plot(
            digits + offset, ds.sample_output_voltage.sel(nudge=beta), "o", ms=4, color=colours[beta], label=label
        )
    outputs.axhline(0, color=GREY, lw=0.6)
    outputs.set(xlabel="output node (digit)", ylabel="voltage (V)", xticks=digits)
    outputs.legend(frameon=False)

    names = sorted(name for name in ds.data_vars if name.startswith("sample_hidden_"))
    if not names:
        hidden.set_axis_off()
        return
    voltage = ds[names[0]]
    free = voltage.sel(nudge=0.0)
    for beta in betas[1:]:
        shift = 1e3 * (voltage.sel(nudge=beta) - free)
        hidden.plot(free, shift, ".", ms=4, color=colours[beta], label=f"{beta:+g} S")
    hidden.axhline(0, color=GREY, lw=0.6)
    hidden.set(xlabel="free voltage, first hidden layer (V)", ylabel="shift when nudged (mV)")
    hidden.legend(frameon=False)


_FIGURES = {
    "accuracy": ((4.6, 3.2), _accuracy),
    "conductances": ((6.4, 2.8), _conductances),
    "voltages": ((6.8, 3.0), _voltages),
}
