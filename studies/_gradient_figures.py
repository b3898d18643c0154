"""The figures of `studies.gradient_quality`, and what its summary says, from its dataset alone."""

import numpy as np

from studies._style import BLACK, BLUE, GREY, ORANGE, RC

_STENCILS = {
    "positive": ("one-sided, towards the target", "#E69F00", "^"),
    "negative": ("one-sided, away from it", ORANGE, "v"),
    "centred": ("centred", BLUE, "o"),
    "holomorphic-4": ("holomorphic, 4 points", "#009E73", "s"),
    "holomorphic-8": ("holomorphic, 8 points", "#CC79A7", "D"),
}  # label, colour of Okabe and Ito, marker
_TITLES = {
    "circuit": "Shockley circuit",
    "hopfield": "layered Hopfield net",
    "phases": "phase network",
    "auto_oscillators": "locked auto-oscillators, ν = 4",
}


def all_figures(ds):
    """{"page": one figure of all panels that the dataset holds}."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        panels = list(_panels(ds))
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(3.2 * columns, 2.7 * rows + 0.6))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for letter, draw, place in zip("abcdefghijkl", panels, axes):
            place.set_title(f"{letter}  {draw(place)}", loc="left")
        for place in axes[len(panels) :]:
            place.set_visible(False)
        if "error" in ds:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)), frameon=False)
    return {"page": figure}


def _panels(ds):
    if "error" in ds:
        for precision in ds.precision.values:
            for system in ds.system.values:
                curves = ds.error.sel(system=system, precision=precision)
                if np.isfinite(curves).any():
                    yield lambda axes, s=system, p=precision: _against_beta(axes, ds, s, p)
    if "step_error" in ds:
        yield lambda axes: _against_steps(axes, ds)
    if "continual_difference" in ds:
        yield lambda axes: _continual(axes, ds)
    if "rule_error" in ds:
        yield lambda axes: _against_asymmetry(axes, ds)


def _against_beta(axes, ds, system, precision):
    chosen = ds.sel(system=system, precision=precision)
    for stencil in ds.stencil.values:
        label, colour, marker = _STENCILS[str(stencil)]
        one = chosen.sel(stencil=stencil)
        good = one.converged.values == 1
        error = np.where(good, one.error.values, np.nan)
        axes.plot(ds.beta, error, marker, color=colour, ms=3, ls="-", lw=1, label=label)
    single = ", single precision" if precision == "single" else ""
    axes.set(xscale="log", yscale="log", xlabel="β / nudging scale", ylabel="relative error")
    return _TITLES[str(system)] + single


def _against_steps(axes, ds):
    styles = (("o", BLUE, 4), ("-", BLACK, 0), (":", ORANGE, 0))
    for way, (style, colour, size) in zip(ds.way.values, styles):
        label = "EP, nudged steps" if way == "nudged steps" else str(way)
        axes.plot(ds.step, ds.step_error.sel(way=way), style, color=colour, ms=size, mfc="none", label=label)
    axes.plot(ds.step, ds.step_difference, ".", color=GREY, ms=3, label="EP against BPTT")
    last = float(ds.step_error.sel(way="truncated BPTT")[-1])
    powers = float(ds.spectral_radius) ** (ds.step - int(ds.step[-1]))
    axes.plot(ds.step, 3 * last * powers, "--", color="#009E73", label="∝ (spectral radius)$^K$")
    axes.set(yscale="log", xlabel="nudged steps K", ylabel="relative error")
    axes.legend(frameon=False, fontsize=6.5)
    return "truncation, Hopfield net"


def _continual(axes, ds):
    axes.plot(ds.rate_ratio, ds.continual_difference, "o-", color=BLUE, ms=4, label="measured")
    axes.plot(
        ds.rate_ratio,
        float(ds.continual_difference[0] / ds.rate_ratio[0]) * ds.rate_ratio,
        "--",
        color=GREY,
        label="slope 1",
    )
    axes.set(xscale="log", yscale="log", xlabel="learning rate η / β", ylabel="relative difference to EP")
    axes.legend(frameon=False)
    return "continual EP, Hopfield net"


def _against_asymmetry(axes, ds):
    for network, line in zip(ds.network.values, ("-", "--")):
        for rule, colour, marker in zip(ds.rule.values, (ORANGE, BLUE), ("o", "s")):
            odd = ds.jacobian_asymmetry.sel(network=network)
            angle = ds.rule_angle.sel(network=network, rule=rule)
            label = f"{rule}, {network}"
            axes.plot(odd, angle, marker, ls=line, color=colour, ms=4, mfc="none", label=label)
    axes.set(yscale="log", xlabel="|J − J$^T$| / |J + J$^T$|", ylabel="angle to exact (degree)")
    axes.legend(frameon=False, fontsize=6.5)
    return "networks without an energy"


def described(ds):
    """Lines of the summary."""
    lines = []
    if "error" in ds:
        best = ds.error.where(ds.converged == 1)
        lines.append(f"{'system':18}{'stencil':26}{'slope (order)':>16}{'least error, double':>28}{'single':>22}")
        for system in ds.system.values:
            for stencil, order in zip(ds.stencil.values, ds.order.values):
                here = best.sel(system=system, stencil=stencil)
                fitted = float(ds.slope.sel(system=system, stencil=stencil))
                text = f"{fitted:.3f} ({order})" if np.isfinite(fitted) else f"undetermined ({order})"
                cells = [_least(here.sel(precision=p), ds.beta) for p in ("double", "single")]
                lines.append(f"{system:18}{stencil:26}{text:>16}{cells[0]:>28}{cells[1]:>22}")
    if "step_error" in ds:
        lines += [
            "",
            f"nudged steps against truncated BPTT: at most {float(ds.step_difference.max()):.1e} apart; error falls by "
            f"{float(ds.decay):.4f} a step, spectral radius {float(ds.spectral_radius):.4f}",
        ]
    if "continual_difference" in ds:
        lines.append(f"continual EP: difference to EP grows as (eta/beta)^{float(ds.continual_slope):.3f}")
    if "rule_error" in ds:
        worst = ds.rule_angle.max(("network", "mixing"))
        odd = float(ds.jacobian_asymmetry.max())
        lines.append(
            f"asymmetry up to {odd:.2f}: vector-field rule up to {float(worst.sel(rule='vector field')):.2g} degrees "
            f"off, corrected rule {float(worst.sel(rule='corrected')):.1e} degrees"
        )
    return lines


def _least(errors, betas):
    """ "error at beta" of the smallest error, or a dash."""
    values = errors.values
    if not np.isfinite(values).any():
        return "-"
    k = int(np.nanargmin(values))
    return f"{values[k]:.1e} at {float(betas[k]):.1e}"
