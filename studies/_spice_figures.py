"""The figures and the summary of `studies.spice_check`, from its dataset alone."""

import numpy as np

from studies._style import BLACK, BLUE, GREY, ORANGE, RC

_LOOKS = {"block descent": (BLUE, "-"), "Newton": (ORANGE, "--")}
_PHASES = {"free": "free", "towards": "nudged to the target", "away": "nudged away"}


def _difference(ds):
    """|physnet - ngspice|, V."""
    return abs(ds.node_voltage - ds.spice_voltage)


def described(ds):
    """Lines of text: largest and median difference by phase and solver, and whether they are within the tolerance."""
    difference = _difference(ds)
    lines = [f"{'|physnet - ngspice|':<24}" + "".join(f"{s!s:>28}" for s in ds.solver.values)]
    lines.append(f"{'':<24}" + f"{'largest, V':>16}{'median, V':>12}" * ds.sizes["solver"])
    for k, phase in enumerate(map(str, ds.nudge_name.values)):
        row = difference.isel(nudge=k)
        cells = (row.sel(solver=s) for s in ds.solver.values)
        lines.append(
            f"{_PHASES[phase]:<24}" + "".join(f"{float(c.max()):>16.1e}{float(c.median()):>12.1e}" for c in cells)
        )
    largest, tolerance = float(difference.max()), ds.attrs["tolerance"]
    verdict = "within" if largest <= tolerance else "NOT WITHIN"
    size = float(abs(ds.spice_voltage).max())
    return [
        *lines,
        "",
        f"Largest {largest:.1e} V of potentials up to {size:.2g} V, {verdict} the tolerance, {tolerance:g} V.",
        f"{ds.attrs['ngspice_version']}; test accuracy of the network {100 * float(ds.test_accuracy):.1f} %. Settled: "
        f"{100 * float(ds.converged.mean()):.2f} % of states; largest residual {float(ds.residual.max()):.1e}.",
    ]


def all_figures(ds):
    """{"difference", "shift"}: matplotlib figures."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        drawn = {"difference": Figure(figsize=(4.4, 3.0)), "shift": Figure(figsize=(4.4, 3.4))}
        _distribution(drawn["difference"], ds)
        _shift(drawn["shift"], ds)
    return drawn


def _distribution(figure, ds):
    axes, difference = figure.subplots(), _difference(ds)
    smallest = 1e-16
    bins = np.geomspace(smallest, 3 * max(float(difference.max()), 1e-12), 50)
    for solver in map(str, ds.solver.values):
        colour, dash = _LOOKS[solver]
        values = np.clip(difference.sel(solver=solver).values.ravel(), smallest, None)
        label = f"{solver}, largest {values.max():.0e} V"
        axes.hist(values, bins=bins, histtype="step", color=colour, ls=dash, lw=1.5, label=label)
    axes.axvline(ds.attrs["tolerance"], color=GREY, lw=0.8)
    axes.annotate(
        "tolerance",
        (ds.attrs["tolerance"], 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(-3, 0),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="top",
        fontsize=8,
        color=GREY,
    )
    axes.set(
        xscale="log",
        xlabel="|physnet - ngspice| (V), smaller ones at $10^{-16}$ V",
        ylabel="nodes, digits and phases",
    )
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=1)


def _shift(figure, ds):
    """What EP reads: how far each node moves when it is nudged, in both programs."""
    axes = figure.subplots()
    spice, ours = ds.spice_voltage, ds.node_voltage.isel(solver=0)
    names = list(map(str, ds.nudge_name.values))
    for name, colour, marker in (("towards", BLUE, "o"), ("away", ORANGE, "s")):
        k = names.index(name)
        pair = [1e3 * (v.isel(nudge=k) - v.isel(nudge=0)).values.ravel() for v in (spice, ours)]
        axes.plot(*pair, marker, ms=3, mew=0, alpha=0.6, color=colour, label=_PHASES[name])
    reach = 1e3 * float(abs(spice - spice.isel(nudge=0)).max())
    axes.plot([-reach, reach], [-reach, reach], color=BLACK, lw=0.7, zorder=0)
    axes.set(xlabel="shift when nudged, ngspice (mV)", ylabel="shift when nudged, physnet (mV)")
    axes.legend(frameon=False)
