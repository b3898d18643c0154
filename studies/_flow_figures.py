"""The figures and the summary of `studies.flow_network`, from its dataset alone."""

import numpy as np

from studies._drawn_network import COLOURS, DASHES, GREEN, LABELS, bare, draw_edges, draw_nodes
from studies._style import BLACK, BLUE, GREY, ORANGE, drawn, mean_and_spread

_BASELINE_DASHES = ("--", ":", "-.")


def described(ds):
    """Lines of text: the rules beside ordinary software, power, certificates."""
    lines = [f"{'':<34}{'test accuracy, %':>20}{'lowest seed':>13}{'power':>12}"]
    for rule in map(str, ds.rule.values):
        last = 100 * ds.test_accuracy.sel(rule=rule)[..., -1]
        power = 1e6 * float(ds.power.sel(rule=rule)[..., -1].mean())
        lines.append(f"{LABELS[rule]:<34}{mean_and_spread(last):>20}{float(last.min()):>13.1f}{power:>9.1f} uW")
    for name in map(str, ds.baseline.values):
        accuracy = 100 * ds.software_accuracy.sel(baseline=name)
        lines.append(f"{name:<34}{mean_and_spread(accuracy):>20}{float(accuracy.min()):>13.1f}")
    settled = 100 * float(min(ds.converged.min(), ds.test_converged.min()))
    residual = float(max(ds.residual.max(), ds.test_residual.max()))
    best = ds.edge_power[..., :].mean("seed")
    return [
        *lines,
        "",
        f"Mean and standard deviation over {ds.sizes['seed']} seed(s), after {ds.sizes['epoch']} epochs.",
        f"Power of one edge, mean over seeds and test flowers: {1e6 * float(best.min()):.2g} to "
        f"{1e6 * float(best.max()):.2g} uW.",
        f"Settled: {settled:.2f} % of samples or more; largest relative residual {residual:.1e}.",
    ]


def all_figures(ds):
    """{"learning", "network", "outputs"}: matplotlib figures."""
    rules = ds.sizes["rule"]
    figures = {
        "learning": ((6.8, 2.9), _learning),
        "network": ((3.4 * rules + 0.6, 3.1), _network),
        "outputs": ((3.1 * rules, 2.9), _outputs),
    }
    return drawn(figures, ds)


def _learning(figure, ds):
    accuracy, cost = figure.subplots(1, 2)
    for rule in map(str, ds.rule.values):
        for axes, values in ((accuracy, 100 * ds.test_accuracy), (cost, ds.train_cost)):
            values = values.sel(rule=rule)
            mean = values.mean("seed")
            axes.plot(ds.epoch, mean, color=COLOURS[rule], label=LABELS[rule], ls=DASHES[rule])
            low, high = values.quantile(0.1, "seed"), values.quantile(0.9, "seed")
            axes.fill_between(ds.epoch, low, high, color=COLOURS[rule], alpha=0.18, lw=0)
    for name, dash in zip(map(str, ds.baseline.values), _BASELINE_DASHES):
        mean = 100 * float(ds.software_accuracy.sel(baseline=name).mean())
        accuracy.axhline(mean, color=GREY, ls=dash, lw=1.0, label=name)
    accuracy.set(xlabel="epoch", ylabel="test accuracy (%)", xscale="log")
    low = 100 * float(ds.test_accuracy.quantile(0.02))
    accuracy.set_ylim(max(0, min(low, 88) - 2), 100)
    cost.set(xlabel="epoch", ylabel="training cost (V$^2$)", xscale="log", yscale="log")
    cost.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    cost.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    for axes in (accuracy, cost):
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.legend(*accuracy.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=3)


def _positions(ds):
    place = {f"x{i}": (0.0, 3.0 - i) for i in range(4)}
    place |= {f"y{i}": (2.0, 2.7 - 1.2 * i) for i in range(3)}
    return place | {"h": (3.6, 1.5), "0": (4.6, 1.5)}


def _network(figure, ds):
    place, panels = _positions(ds), np.atleast_1d(figure.subplots(1, ds.sizes["rule"]))
    ends = [(place[a], place[b]) for a, b in zip(map(str, ds.first_node.values), map(str, ds.second_node.values))]
    highest = 1e6 * float(ds.conductance.max())
    short = {"sepal": "sep.", "petal": "pet.", "length": "len.", "inverted": "inv."}
    names = [" ".join(short.get(w, w) for w in str(f).replace(",", "").split()) for f in ds.feature.values]
    for axes, rule in zip(panels, map(str, ds.rule.values)):
        values = 1e6 * ds.conductance.sel(rule=rule).isel(seed=0).values
        lines = draw_edges(axes, ends, values, highest=highest)
        draw_nodes(axes, [place[f"x{i}"] for i in range(4)], [(name, -7, 0, "right") for name in names])
        draw_nodes(axes, [place[f"y{i}"] for i in range(3)], [(f"$y_{i}$", 0, 11, "center") for i in range(3)])
        draw_nodes(
            axes, [place["h"], place["0"]], [("inner", 4, 11, "center"), ("0 V", 0, 11, "center")], face="#cccccc"
        )
        power = 1e6 * float(ds.edge_power.sel(rule=rule).isel(seed=0).sum())
        axes.set(xlim=(-1.9, 4.9), ylim=(-0.5, 3.5), title=f"{LABELS[rule]}, {power:.0f} µW")
        bare(axes)
    figure.colorbar(lines, ax=list(panels), label="conductance (µS)", shrink=0.8)


def _outputs(figure, ds):
    panels = np.atleast_1d(figure.subplots(1, ds.sizes["rule"], sharex=True, sharey=True))
    looks = zip(map(str, ds.category.values), (BLUE, ORANGE, GREEN), ("o", "s", "^"))
    for k, (species, colour, marker) in enumerate(looks):
        for axes, rule in zip(panels, map(str, ds.rule.values)):
            voltage = ds.output_voltage.sel(rule=rule)[ds.sample_species.values == k]
            pair = voltage.sel(output="y0"), voltage.sel(output="y2")
            axes.plot(*pair, marker, ms=3.5, color=colour, mew=0, alpha=0.6, label=species)
            middle = ds.prototype.sel(rule=rule, category=species).isel(seed=0)
            axes.plot(middle[0], middle[2], marker, ms=9, mfc="none", mec=BLACK, mew=1.3)
    for axes, rule in zip(panels, map(str, ds.rule.values)):
        accuracy = 100 * float(ds.test_accuracy.sel(rule=rule).isel(seed=0)[-1])
        axes.set(xlabel="output $y_0$ (V)", title=f"{LABELS[rule]}, {accuracy:.1f} %")
    panels[0].set(ylabel="output $y_2$ (V)")
    handles, labels = panels[0].get_legend_handles_labels()
    handles += panels[0].plot([], [], "o", ms=9, mfc="none", mec=BLACK, mew=1.3)
    figure.legend(handles, [*labels, "prototype"], frameon=False, loc="outside lower center", ncols=2 * len(panels))
