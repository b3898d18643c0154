"""How figures look: readable at column width, colours that colour-blind readers can tell apart (Okabe and Ito)."""

BLUE, ORANGE, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "#888888"

RC = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.5,
    "figure.constrained_layout.use": True,
}


def drawn(figures, ds):
    """{name: figure} of {name: (size in inches, function of the figure and the dataset)}, in the house style."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    found = {}
    with mpl.rc_context(RC):
        for name, (size, draw) in figures.items():
            found[name] = Figure(figsize=size)
            draw(found[name], ds)
    return found


def mean_and_spread(values, digits: int = 1) -> str:
    """Mean and, of more than one value, standard deviation: "97.1 ± 0.2"."""
    spread = f" ± {float(values.std(ddof=1)):.{digits}f}" if values.size > 1 else ""
    return f"{float(values.mean()):.{digits}f}{spread}"
