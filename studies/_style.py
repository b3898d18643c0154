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
