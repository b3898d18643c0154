"""The figures of `studies.hopfield_mnist`, drawn from its dataset alone."""

import numpy as np

from studies._style import BLUE, GREY, ORANGE, RC
from studies.hopfield_mnist import PUBLISHED_ERROR


def all_figures(ds):
    """{"error", "settled", "settling", "receptive_fields"}: matplotlib figures; settling of a run that has ended."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        drawn = {}
        for name, (size, draw) in _FIGURES.items():
            if name != "settling" or "settling_residual" in ds:
                drawn[name] = Figure(figsize=size)
                draw(drawn[name], ds)
    return drawn


def _error(figure, ds):
    axes = figure.subplots()
    axes.plot(ds.epoch, 100 * (1 - ds.train_accuracy), color=BLUE, marker="o", ms=3, label="training (running)")
    axes.plot(ds.epoch, 100 * (1 - ds.test_accuracy), color=ORANGE, marker="s", ms=3, label="test")
    if "MNIST" in ds.attrs["title"]:
        axes.axhline(100 * PUBLISHED_ERROR, color=GREY, ls="--", label="published, 30 epochs (recalled)")
    axes.set(xlabel="epoch", ylabel="error (%)", yscale="log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if str(f"{value:e}")[0] in "235" else "")
    axes.legend(frameon=False)


def _settled(figure, ds):
    residual, steps = figure.subplots(1, 2)
    residual.plot(ds.epoch, ds.residual, color=BLUE, marker="o", ms=3)
    residual.set(xlabel="epoch", ylabel="largest residual of a free phase", yscale="log")
    steps.plot(ds.epoch, ds.steps, color=BLUE, marker="o", ms=3, label="free")
    steps.plot(ds.epoch, ds.nudged_steps, color=ORANGE, marker="s", ms=3, label="nudged")
    steps.set(xlabel="epoch", ylabel="mean steps of a phase", ylim=(0, None))
    steps.legend(frameon=False)
    for axes in (residual, steps):
        axes.xaxis.get_major_locator().set_params(integer=True)


def _settling(figure, ds):
    residual, energy = figure.subplots(1, 2)
    lowest = float(ds.settling_energy.min())
    shown = min(ds.sizes["step"], 20)
    for update, colour, label in (("synchronous", GREY, "all units at once"), ("blocks", BLUE, "every second layer")):
        row = ds.sel(update=update).isel(step=slice(shown))
        positive = row.settling_residual.where(row.settling_residual > 0)
        residual.plot(row.step, positive, color=colour, marker="o", ms=3, label=label)
        energy.plot(row.step, row.settling_energy - lowest, color=colour, marker="o", ms=3, label=label)
    residual.set(xlabel="step", ylabel="largest |s − σ(u)|, median of samples", yscale="log")
    energy.set(xlabel="step", ylabel="energy above the lowest (1)")
    residual.legend(frameon=False)
    figure.suptitle("free phases of the trained network, from silence", fontsize=8)


def _receptive_fields(figure, ds):
    """weight_0 of the 24 hidden units that the outputs listen to most, as images, each over its own largest weight."""
    side = round(ds.weight_0.shape[0] ** 0.5)
    strongest = np.argsort(-np.linalg.norm(ds.weight_1.values, axis=1))[:24]
    fields = ds.weight_0.values.T[strongest].reshape(3, 8, side, side)
    fields = fields / np.abs(fields).max(axis=(2, 3), keepdims=True)
    mosaic = np.pad(fields, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    axes = figure.subplots()
    image = axes.imshow(mosaic.transpose(0, 2, 1, 3).reshape(3 * (side + 2), 8 * (side + 2)), cmap="RdBu_r")
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight / largest of the unit", ticks=(-1, 0, 1))
    axes.set_axis_off()


_FIGURES = {
    "error": ((4.6, 3.2), _error),
    "settled": ((6.4, 2.8), _settled),
    "settling": ((6.4, 2.8), _settling),
    "receptive_fields": ((6.4, 2.9), _receptive_fields),
}
