"""The figures of `studies.conv_mnist` and `studies.nudging_bias`, drawn from their datasets alone."""

import numpy as np

from studies._style import BLACK, BLUE, GREY, ORANGE, drawn

_COLOURS = {"one-sided": ORANGE, "random sign": BLACK, "centred": BLUE}


def mnist_figures(ds):
    """{"error", "kernels", "settling"}; the last only of a run that has ended."""
    parts = {"error": ((4.6, 3.2), _error), "kernels": ((4.8, 3.0), _kernels)}
    if "settling" in ds:
        parts["settling"] = ((4.6, 3.2), _settling)
    return drawn(parts, ds)


def _error(figure, ds):
    axes = figure.subplots()
    axes.plot(ds.epoch, 100 * (1 - ds.train_accuracy), color=BLUE, marker="o", ms=4, label="training (running)")
    axes.plot(ds.epoch, 100 * (1 - ds.test_accuracy), color=ORANGE, marker="s", ms=4, label="test")
    axes.set(xlabel="epoch", ylabel="error (%)", yscale="log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else "")
    axes.legend(frameon=False)


def _kernels(figure, ds):
    kernels = ds.kernel_0.values[:, :, 0]
    count = kernels.shape[-1]
    columns = min(count, 8)
    limit = float(np.abs(kernels).max())
    grid = figure.subplots(-(-count // columns), columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, kernel in zip(grid.ravel(), np.moveaxis(kernels, -1, 0)):
        image = axes.imshow(kernel, cmap="RdBu_r", vmin=-limit, vmax=limit)
    bar = figure.colorbar(image, ax=grid, shrink=0.8)
    bar.set_label("weight of a pixel, first convolution (1)")


def _settling(figure, ds):
    axes = figure.subplots()
    low, middle, high = np.quantile(ds.settling.values, [0.05, 0.5, 0.95], axis=0)
    axes.fill_between(ds.step, low, high, color=BLUE, alpha=0.2, lw=0, label="5 to 95 % of test images")
    axes.plot(ds.step, middle, color=BLUE, label="median")
    steps = float(ds.steps[-1])
    axes.axvline(steps, color=GREY, ls="--", label="mean in training")
    axes.set(xlabel="steps of the free phase", ylabel="largest change of a unit in one step (1)", yscale="log")
    axes.legend(frameon=False, loc="upper right")


def bias_figures(ds):
    """{"error", "angle"}."""
    width = 0.6 + 2.6 * ds.sizes["beta"]
    layers = [name for name in ds.parameter.values if "bias" not in str(name)]
    return drawn(
        {
            "error": ((width, 3.0), _bias_error),
            "angle": ((1.2 + 1.8 * len(layers), 1.0 + 2.0 * ds.sizes["beta"]), _angle),
        },
        ds,
    )


def _band(axes, epochs, values, name):
    """The mean over seeds, and from the least to the largest of them. values: (seed, epoch)."""
    colour = _COLOURS[str(name)]
    axes.plot(epochs, values.mean(axis=0), color=colour, marker="o", ms=3, label=str(name))
    axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0)


def _bias_error(figure, ds):
    panels = figure.subplots(1, ds.sizes["beta"], sharey=True, squeeze=False)[0]
    for axes, beta in zip(panels, ds.beta.values):
        for name in ds.nudging.values:
            _band(axes, ds.epoch, 100 * (1 - ds.test_accuracy.sel(nudging=name, beta=beta).values), name)
        axes.set(xlabel="epoch", title=f"beta {beta:g}", yscale="log")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    panels[0].set_ylabel("test error (%)")
    panels[0].legend(frameon=False)


def _angle(figure, ds):
    layers = [name for name in ds.parameter.values if "bias" not in str(name)]
    grid = figure.subplots(ds.sizes["beta"], len(layers), sharex=True, sharey="row", squeeze=False)
    for row, beta in zip(grid, ds.beta.values):
        for axes, layer in zip(row, layers):
            for name in ds.nudging.values:
                angle = ds.gradient_angle.sel(nudging=name, beta=beta, parameter=layer)
                _band(axes, ds.epoch, angle.transpose("seed", "epoch").values, name)
            axes.set_title(f"{layer}, beta {beta:g}")
            axes.xaxis.get_major_locator().set_params(integer=True)
        row[0].set_ylabel("angle to the\nimplicit gradient (°)")
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    grid[0, 0].legend(frameon=False)
