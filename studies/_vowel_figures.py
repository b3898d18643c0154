"""The figures of `studies.vowels`, drawn from its dataset alone."""

import numpy as np

from studies._style import BLACK, GREY, drawn

# Okabe and Ito, then three that stay apart from them.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#7F5C3A", "#332288", "#999933")
MARKERS = "osD^vP*X<>"


def pattern_names(patterns) -> list[str]:
    """For people: "1A 3B" where oscillators 1 and 3 follow the tones A and B and the others none."""
    return [
        " ".join(f"{i + 1}{'AB'[int(state) - 1]}" for i, state in enumerate(row) if state) or "no locking"
        for row in np.asarray(patterns)
    ]


def all_figures(ds):
    """{"map", "confusion", "sweep"}: matplotlib figures."""
    return drawn(_FIGURES, ds)


def _colours(count):
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _map(figure, ds):
    """The plane of the two tones, coloured by pattern; samples in the colour of their vowel."""
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D

    axes = figure.subplots()
    vowels, colours = ds.vowel.values, _colours(ds.sizes["vowel"])
    powers = 3 ** np.arange(ds.sizes["oscillator"])
    codes, assigned = ds.map_pattern.values @ powers, ds.vowel_pattern.values @ powers
    picture = np.ones((*codes.shape, 3))
    others = [code for code in np.unique(codes) if code not in assigned]
    for rank, code in enumerate(others):
        picture[codes == code] = 0.97 - 0.16 * (rank % 3) / 2
    for code, colour in zip(assigned, colours):
        picture[codes == code] = 0.5 + 0.5 * np.array(to_rgb(colour))
    a, b = 1e-6 * ds.tone_a.values, 1e-6 * ds.tone_b.values
    axes.pcolormesh(a, b, picture.swapaxes(0, 1), shading="nearest", rasterized=True)
    tones = 1e-6 * ds.injected_frequency.values
    for k, (colour, marker) in enumerate(zip(colours, MARKERS)):
        mine = ds.vowel_index.values == k
        axes.scatter(*tones[mine].T, s=14, c=colour, marker=marker, edgecolors=BLACK, linewidths=0.4)
    for frequency in 1e-6 * ds.free_frequency.values:
        for line, limits in ((axes.axvline, (a[0], a[-1])), (axes.axhline, (b[0], b[-1]))):
            if limits[0] < frequency < limits[1]:
                line(frequency, color=BLACK, lw=0.6, ls=":")
    axes.set(xlabel="frequency of tone A (MHz)", ylabel="frequency of tone B (MHz)", xlim=a[[0, -1]], ylim=b[[0, -1]])
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, markeredgecolor=BLACK, markeredgewidth=0.4, ms=5,
               label=f"{vowel}: {name}")
        for vowel, name, colour, marker in zip(vowels, pattern_names(ds.vowel_pattern.values), colours, MARKERS)
    ]  # fmt: skip
    handles.append(Line2D([], [], color=BLACK, lw=0.8, ls=":", label="free frequencies"))
    handles.append(Line2D([], [], ls="", marker="s", color="#dddddd", ms=7, label="patterns of no vowel"))
    axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, title="vowel: its pattern"
    )


def _confusion(figure, ds):
    axes = figure.subplots()
    counts = ds.confusion.values
    share = counts / counts.sum(axis=1, keepdims=True)
    image = axes.imshow(100 * share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (i, j), count in np.ndenumerate(counts):
        if count:
            axes.text(j, i, str(count), ha="center", va="center", color="white" if share[i, j] > 0.55 else BLACK)
    axes.set(xlabel="vowel recognised", ylabel="vowel spoken")
    axes.set_xticks(range(ds.sizes["answer"]), ds.answer.values)
    axes.set_yticks(range(ds.sizes["vowel"]), ds.vowel.values)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label="share of the vowel's samples (%)")
    kind = "cross-validated" if "cross-validated" in ds.confusion.attrs["long_name"] else "training set"
    accuracy = 100 * np.trace(counts) / counts.sum()
    axes.set_title(f"{kind}: {accuracy:.1f} % of {counts.sum()} samples")


def _sweep(figure, ds):
    """Mean frequencies while tone A passes all oscillators: plateaus on the diagonal are locking."""
    axes = figure.subplots()
    swept = 1e-6 * ds.swept_tone.values
    axes.plot(swept, swept, color=GREY, lw=0.8, ls="--", label="tone A")
    half = 1e-6 * ds.locking_half_range.values
    for i, colour in enumerate(_colours(ds.sizes["oscillator"])):
        mean, free = 1e-6 * ds.swept_frequency.values[:, i], 1e-6 * float(ds.free_frequency[i])
        axes.plot(swept, mean, color=colour, label=f"oscillator {i + 1}")
        axes.plot(
            free + half[i] * np.array([-1, 1]), free + half[i] * np.array([-1, 1]), "|", color=colour, ms=11, mew=1.4
        )
    axes.plot([], [], "|", color=GREY, ms=9, mew=1.4, label="edges in theory")
    low, high = (1e-6 * ds.free_frequency.values).min() - 5, (1e-6 * ds.free_frequency.values).max() + 5
    axes.set(xlabel="frequency of tone A (MHz)", ylabel="mean frequency (MHz)", ylim=(low, high), xlim=swept[[0, -1]])
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))


_FIGURES = {
    "map": ((6.2, 4.0), _map),
    "confusion": ((4.6, 3.4), _confusion),
    "sweep": ((5.6, 3.6), _sweep),
}
