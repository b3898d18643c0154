"""The figures and the summary of `studies.allostery`, from its dataset alone."""

import numpy as np

from studies._drawn_network import COLOURS, DASHES, LABELS, bare, draw_edges, draw_nodes
from studies._style import BLACK, BLUE, GREY, ORANGE, drawn, mean_and_spread


def described(ds):
    """Lines of text: response, steps to reach it, power, edges left, certificates."""
    wanted, tolerance = ds.attrs["wanted_response"], ds.attrs["tolerance"]
    before = ds.initial_response
    lines = [
        f"{'':<20}{'response':>18}{'worst error, %':>16}{'reached':>9}{'steps':>8}{'edges':>7}{'power':>11}",
        f"{'fresh grid':<20}{mean_and_spread(before, 3):>18}{100 * float((abs(before / wanted - 1)).max()):>16.1f}",
    ]
    for rule in map(str, ds.rule.values):
        row = ds.sel(rule=rule)
        last = row.response[..., -1]
        steps = _steps(row, wanted, tolerance)
        reached, median = np.isfinite(steps).sum(), np.median(steps)
        lines.append(
            f"{LABELS[rule]:<20}{mean_and_spread(last, 3):>18}{100 * float(abs(last / wanted - 1).max()):>16.2g}"
            f"{f'{reached}/{steps.size}':>9}{median:>8.0f}{float(row.edge_count[..., -1].mean()):>7.1f}"
            f"{1e6 * float(row.power[..., -1].mean()):>8.1f} uW"
        )
    settled, residual = 100 * float(ds.converged.min()), float(ds.residual.max())
    return [
        *lines,
        "",
        f"Wanted response {wanted:g}; mean and standard deviation over {ds.sizes['seed']} seed(s). Reached: to "
        f"{100 * tolerance:g} %, after the median of the steps.",
        f"Settled: {settled:.2f} % of the states or more; largest relative residual {residual:.1e}.",
    ]


def _steps(row, wanted, tolerance):
    """(seed,) the first step from which on the response stays within the tolerance; infinite where it never does."""
    good = (abs(row.response / wanted - 1) <= tolerance).transpose("seed", "epoch").values
    stays = np.cumprod(good[:, ::-1], axis=1)[:, ::-1].astype(bool)
    return np.where(stays.any(axis=1), row.epoch.values[stays.argmax(axis=1)], np.inf)


def all_figures(ds):
    """{"network", "learning", "way"}: matplotlib figures."""
    panels = ds.sizes["rule"] + 1
    height = 0.8 + 1.4 * ds.node_row.values.max() / max(4, ds.node_column.values.max()) * 1.3
    figures = {
        "network": ((1.6 * panels + 0.8, height), _network),
        "learning": ((4.4, 3.0), _learning),
        "way": ((4.4, 3.0), _way),
    }
    return drawn(figures, ds)


def _network(figure, ds):
    place = dict(zip(map(str, ds.node.values), zip(ds.node_column.values, -ds.node_row.values)))
    ends = [(place[a], place[b]) for a, b in zip(map(str, ds.first_node.values), map(str, ds.second_node.values))]
    shown = [("fresh", ds.initial_conductance[0], float(ds.initial_response[0]))]
    shown += [
        (LABELS[str(r)], ds.conductance.sel(rule=r)[0], float(ds.response.sel(rule=r)[0, -1])) for r in ds.rule.values
    ]
    panels = np.atleast_1d(figure.subplots(1, len(shown)))
    highest = 1e6 * max(float(values.max()) for _, values, _ in shown)
    for axes, (title, values, response) in zip(panels, shown):
        kept = values.values > 0
        lines = draw_edges(axes, np.array(ends)[kept], 1e6 * values.values[kept], highest=highest, widest=3.2)
        for role, colour in (("source", BLUE), ("target", ORANGE)):
            nodes = [place[str(n)] for n in ds.node.values[ds.node_role.values == role]]
            draw_nodes(axes, nodes, colour=BLACK, face=colour, size=34)
        axes.set(title=f"{title}\nresponse {response:.3f}")
        axes.margins(0.08)
        axes.autoscale_view()
        bare(axes)
    for role, colour in (("source", BLUE), ("target", ORANGE)):
        panels[0].plot([], [], "o", ms=6, mfc=colour, mec=BLACK, label=role)
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
    figure.colorbar(lines, ax=list(panels), label="conductance (µS)", shrink=0.9)


def _learning(figure, ds):
    axes, wanted = figure.subplots(), ds.attrs["wanted_response"]
    for rule in map(str, ds.rule.values):
        error = 100 * abs(ds.response.sel(rule=rule) / wanted - 1)
        middle = error.quantile([0.1, 0.5, 0.9], "seed").clip(1e-8)
        axes.plot(ds.epoch, middle[1], color=COLOURS[rule], ls=DASHES[rule], label=LABELS[rule])
        axes.fill_between(ds.epoch, middle[0], middle[2], color=COLOURS[rule], alpha=0.18, lw=0)
    axes.axhline(100 * ds.attrs["tolerance"], color=GREY, lw=0.8)
    axes.set(
        xlabel="steps of learning, or edges removed", ylabel="error of the response (%)", xscale="log", yscale="log"
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(frameon=False)


def _way(figure, ds):
    """Voltage between the two middle rows, column by column."""
    axes = figure.subplots()
    rows = np.unique(ds.node_row.values[ds.node_role.values == "source"])
    columns = np.unique(ds.node_column.values)
    source = float(abs(np.diff(ds.initial_potential[0].values[ds.node_role.values == "source"])[0]))

    def rungs(potential):
        upper, lower = (potential.values[..., ds.node_row.values == row] for row in rows)
        return (upper - lower) / source

    shown = [("fresh grid", GREY, "-", "o", ds.initial_potential)]
    markers = {"ep": "s", "coupled": "^", "removal": "D"}
    shown += [
        (LABELS[r], COLOURS[r], DASHES[r], markers[r], ds.potential.sel(rule=r)) for r in map(str, ds.rule.values)
    ]
    for label, colour, dash, marker, potential in shown:
        values = rungs(potential)
        axes.plot(columns, np.median(values, axis=0), color=colour, ls=dash, marker=marker, ms=4, label=label)
        low, high = np.quantile(values, [0.1, 0.9], axis=0)
        axes.fill_between(columns, low, high, color=colour, alpha=0.15, lw=0)
    axes.axhline(ds.attrs["wanted_response"], color=BLACK, lw=0.6, ls=":")
    axes.axhline(0, color=GREY, lw=0.6)
    axes.set(xlabel="column, from the source to the target", ylabel="voltage between the middle rows\n(source = 1)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
