"""The figures of `studies.oscillator_digits`, drawn from its dataset alone."""

import numpy as np

from studies._style import BLUE, GREY, ORANGE, RC


def all_figures(ds):
    """{"accuracy", "confusion", "phases"}: matplotlib figures; the last two only of a run that has ended."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        drawn = {}
        for name, (size, draw) in _FIGURES.items():
            if name == "accuracy" or "confusion" in ds:
                drawn[name] = Figure(figsize=size)
                draw(drawn[name], ds)
    return drawn


def _accuracy(figure, ds):
    axes = figure.subplots()
    axes.plot(ds.epoch, 100 * ds.train_accuracy, color=BLUE, marker="o", ms=3, label="training (running)")
    axes.plot(ds.epoch, 100 * ds.test_accuracy, color=ORANGE, marker="s", ms=3, label="test")
    lowest = float(ds.test_accuracy[-1])
    if "baseline_accuracy" in ds:
        for name, accuracy, dash in zip(ds.baseline.values, ds.baseline_accuracy.values, ("--", ":")):
            axes.axhline(100 * accuracy, color=GREY, ls=dash, label=f"{name}, test")
            lowest = min(lowest, float(accuracy))
    axes.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(max(0, 100 * lowest - 12), 100.5))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="lower right")


def _confusion(figure, ds):
    axes = figure.subplots()
    counts = ds.confusion.values
    shares = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for i, j in np.argwhere(counts):
        axes.text(j, i, counts[i, j], ha="center", va="center", fontsize=7, color="w" if shares[i, j] > 50 else "k")
    axes.set(xlabel="answer (digit)", ylabel="shown (digit)", xticks=range(10), yticks=range(10))
    axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes, label="share of the images shown (%)", shrink=0.85)


def _phases(figure, ds):
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    outputs = ds.state_phase.values[:, -10:]
    outputs = (outputs + np.pi) % (2 * np.pi) - np.pi
    own = np.arange(10) == ds.state_label.values[:, None]
    bins = np.linspace(-np.pi, np.pi, 61)
    for chosen, colour, label in ((~own, BLUE, "the other nine"), (own, ORANGE, "of the digit shown")):
        left.hist(outputs[chosen], bins, density=True, color=colour, alpha=0.75, label=label)
    ticks = {-np.pi: "−π", -np.pi / 2: "−π/2", 0: "0", np.pi / 2: "π/2", np.pi: "π"}
    left.set_xticks(list(ticks), ticks.values())
    left.set(xlabel="phase of an output oscillator (rad)", ylabel="probability density (rad$^{-1}$)")
    left.legend(frameon=False, title="output", loc="upper left")

    trained = 100 * float(ds.test_accuracy[-1])
    right.axhline(trained, color=ORANGE, label="start of the training")
    if "restart_accuracy" in ds:
        numbers = np.arange(1, ds.sizes["restart"] + 1)
        right.plot(numbers, 100 * ds.restart_accuracy, "o", ms=4, color=BLUE, label="random start")
        right.axhline(100 * float(ds.averaged_accuracy), color=BLUE, ls="--", label="readings averaged")
        right.xaxis.get_major_locator().set_params(integer=True)
    lowest, highest = right.get_ylim()
    right.set(xlabel="random start", ylabel="test accuracy (%)", ylim=(lowest - 1.5, highest + 1))
    right.legend(frameon=False, loc="lower left")


_FIGURES = {
    "accuracy": ((4.6, 3.2), _accuracy),
    "confusion": ((4.2, 3.4), _confusion),
    "phases": ((7.0, 3.0), _phases),
}
