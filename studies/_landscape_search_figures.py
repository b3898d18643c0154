"""Figures and summaries of the systems of `studies.energy_landscape` that were searched again and again."""

import numpy as np

from physnet.landscape.drawing.marks import named
from studies._landscape_parts import STORED
from studies._style import BLACK, BLUE, GREY, ORANGE

_CAPACITY = 0.138  # patterns per unit, of many binary units without noise (m)


def _of(ds, search: int):
    """The equilibria of one search."""
    return ds.isel(equilibrium=np.flatnonzero(ds.search_number.values == search))


def _area(share):
    """Areas of markers for shares of starts."""
    return 8 + 120 * np.asarray(share)


# XOR


def xor(figure, ds):
    """How it learned, and under each input where it can rest, what it answers and which starts lead there."""
    (cost, energy), (phase, answers) = figure.subplots(2, 2)
    cost.plot(ds.epoch, ds.train_cost, color=BLUE)
    cost.set(xlabel="epoch", ylabel="mean cost of a free phase", ylim=(0, None))
    searches = np.arange(ds.sizes["search"])
    right = ds.answers_right.values.astype(bool)
    x, turns = ds.search_number.values, ds.output_phase.values / np.pi
    for chosen, colour, word in ((right, BLUE, "right"), (~right, ORANGE, "wrong")):
        size = _area(ds.share.values[chosen])
        energy.scatter(x[chosen], ds.energy.values[chosen], s=size, color=colour, alpha=0.8, label=word)
        phase.scatter(x[chosen], turns[chosen], s=size, color=colour, alpha=0.8)
    phase.hlines(ds.target_phase / np.pi, searches - 0.35, searches + 0.35, color=BLACK, lw=0.8, label="target")
    given = _share_right(ds)
    answers.bar(searches, given, color=BLUE, width=0.7, label="right")
    answers.bar(searches, 1 - given - ds.unsettled_share, bottom=given, color=ORANGE, width=0.7, label="wrong")
    for k in searches:
        answers.text(k, 1.02, str(int((x == k).sum())), ha="center", fontsize="small")
    answers.text(-0.6, 1.1, "stable states:", fontsize="small")
    names = ["".join("-+"[int(p > 0)] for p in row) for row in ds.input_phase.values]
    for axes in (energy, phase, answers):
        axes.set_xticks(searches, names)
        axes.axvline(len(searches) / 2 - 0.5, color=GREY, lw=0.8)
        axes.set_xlabel("signs of the inputs; before | after learning")
    energy.set_ylabel(named(ds.energy, "energy"))
    energy.legend(frameon=False)
    phase.set(ylabel="output phase (half turns)", ylim=(-1.1, 1.1))
    phase.legend(frameon=False)
    answers.set(ylabel="share of starts", ylim=(0, 1.22))


def _share_right(ds):
    """(search,), the share of the starts that end in the right answer."""
    right = ds.share.values * ds.answers_right.values
    return np.bincount(ds.search_number.values, weights=right, minlength=ds.sizes["search"])


def xor_said(ds):
    """Lines of the summary, with numbers."""
    given, count = _share_right(ds), np.bincount(ds.search_number.values, minlength=ds.sizes["search"])
    lines = [f"{'inputs':<12}{'stable states':>28}{'starts that end right, %':>34}"]
    lines.append(f"{'':<12}{'before':>14}{'after':>14}{'before':>17}{'after':>17}")
    half = ds.sizes["search"] // 2
    for k in range(half):
        signs = " ".join("-+"[int(p > 0)] for p in ds.input_phase.values[k])
        shares = f"{100 * given[k]:>17.1f}{100 * given[k + half]:>17.1f}"
        lines.append(f"{signs:<12}{count[k]:>14}{count[k + half]:>14}{shares}")
    lines.append(f"Mean cost {float(ds.train_cost[0]):.3g} at first and {float(ds.train_cost[-1]):.3g} at last; ")
    settled = 100 * float(ds.train_settled.min())
    return [*lines[:-1], f"{lines[-1]}at least {settled:.3g} % of the phases of an epoch settled."]


# Memory


def memory(figure, ds):
    """Recall, overlaps with patterns, energies and shares of starts against the load."""
    (recall, overlap), (energy, shares) = figure.subplots(2, 2)
    load = ds.memory_load.values
    recall.plot(load, ds.recalled_share, color=BLUE, marker="o", label="cues recalled")
    recall.plot(load, ds.kept / ds.stored, color=ORANGE, marker="s", ls="--", label="patterns that are minima")
    recall.set(ylim=(-0.03, 1.05), ylabel="share")
    where = load[ds.search_number.values]
    stored = ds.overlap.values > STORED
    for chosen, colour, word in ((stored, BLUE, "stored"), (~stored, ORANGE, "spurious")):
        size = _area(ds.share.values[chosen])
        overlap.scatter(where[chosen], ds.overlap.values[chosen], s=size, color=colour, alpha=0.7, label=word)
        energy.scatter(where[chosen], ds.energy.values[chosen], s=size, color=colour, alpha=0.7, label=word)
    overlap.set(ylim=(0, 1.05), ylabel="largest overlap with a pattern")
    energy.set_ylabel(named(ds.energy, "energy"))
    held = _share_stored(ds)
    spurious = 1 - held - ds.unsettled_share.values
    bottom = np.zeros(len(load))
    bars = ((held, BLUE, "stored"), (spurious, ORANGE, "spurious"), (ds.unsettled_share.values, GREY, "nowhere"))
    for values, colour, word in bars:
        if values.max() > 1e-12:
            shares.bar(np.arange(len(load)), values, bottom=bottom, color=colour, width=0.7, label=word)
        bottom = bottom + values
    shares.set_xticks(np.arange(len(load)), [f"{x:.3f}" for x in load])
    shares.set(ylabel="share of random starts", ylim=(0, 1.25))
    for axes in (recall, overlap, energy):
        axes.axvline(_CAPACITY, color=GREY, lw=0.8, ls=":", label="capacity 0.138" if axes is recall else None)
    for axes in (recall, overlap, energy, shares):
        axes.set_xlabel("load (patterns per unit)")
        axes.legend(frameon=False, ncols=2 if axes is shares else 1)


def _share_stored(ds):
    """(search,), the share of the random starts that end in a stored pattern."""
    stored = ds.share.values * (ds.overlap.values > STORED)
    return np.bincount(ds.search_number.values, weights=stored, minlength=ds.sizes["search"])


def memory_said(ds):
    """Lines of the summary, with numbers."""
    heads = f"{'patterns':>9}{'load':>8}{'minima':>8}{'kept':>7}{'spurious':>10}"
    lines = [f"{heads}{'starts in stored, %':>21}{'recalled, %':>13}"]
    held = _share_stored(ds)
    for k in range(ds.sizes["search"]):
        here = _of(ds, k)
        lines.append(
            f"{int(ds.stored[k]):>9}{float(ds.memory_load[k]):>8.3f}{here.sizes['equilibrium']:>8}{int(ds.kept[k]):>7}"
            f"{int((here.overlap <= STORED).sum()):>10}{100 * held[k]:>21.1f}{100 * float(ds.recalled_share[k]):>13.1f}"
        )
    unsettled = float(np.maximum(ds.unsettled_share, 1 - ds.cue_settled_share).max())
    return [*lines, f"At most {100 * unsettled:.2g} % of starts or cues came to rest nowhere."]


# The Ising machine


def ising(figure, ds):
    """Which binary states are stable when, minima found against enumerated ones, energies, shares of starts."""
    (states, counts), (energy, shares) = figure.subplots(2, 2)
    injection, best = ds.injection.values, float(ds.binary_cut.max())
    states.scatter(ds.binary_cut, ds.binary_threshold, s=6, color=GREY, alpha=0.5, lw=0, rasterized=True)
    top = ds.binary_cut.values == best
    states.scatter(ds.binary_cut[top], ds.binary_threshold[top], s=24, marker="D", color=ORANGE, label="largest cut")
    for value in injection:
        states.axhline(value, color=BLUE, lw=0.6, ls=":", label="injections" if value == injection[0] else None)
    states.set(xlabel="edges cut by a binary state", ylabel="injection that makes it stable (Hz)")
    states.legend(frameon=False)
    x = np.arange(len(injection))
    found = [_of(ds, k) for k in x]
    counts.plot(x, [f.sizes["equilibrium"] for f in found], color=BLACK, marker="o", label="minima found")
    counts.plot(x, [int(f.binary.sum()) for f in found], color=ORANGE, marker="D", ls="--", label="binary minima found")
    counts.plot(x, ds.stable_binary, color=BLUE, marker="s", ls=":", mfc="none", label="binary minima, enumerated")
    counts.set(ylabel="number, up to a turn by $\\pi$", yscale="symlog", ylim=(0, None))
    at_best = ds.cut.values == best
    for chosen, colour, word in ((at_best, ORANGE, "largest cut"), (~at_best, GREY, "smaller cuts")):
        where, size = ds.search_number.values[chosen], _area(ds.share.values[chosen])
        energy.scatter(where, ds.energy.values[chosen], s=size, color=colour, alpha=0.6, label=word)
    energy.set_ylabel(named(ds.energy, "energy"))
    reached = _share_best(ds)
    shares.bar(x, reached, color=ORANGE, width=0.7, label="largest cut")
    shares.bar(x, 1 - reached - ds.unsettled_share, bottom=reached, color=GREY, width=0.7, label="smaller cuts")
    shares.set(ylabel="share of starts", ylim=(0, 1.25))
    for axes in (counts, energy, shares):
        axes.set_xticks(x, [f"{value:g}" for value in injection])
        axes.set_xlabel(named(ds.injection, "second-harmonic injection"))
        axes.legend(frameon=False, ncols=2 if axes is shares else 1)


def _share_best(ds):
    """(search,), the share of the starts that end in a state of the largest cut there is."""
    best = ds.share.values * (ds.cut.values == float(ds.binary_cut.max()))
    return np.bincount(ds.search_number.values, weights=best, minlength=ds.sizes["search"])


def ising_said(ds):
    """Lines of the summary, with numbers."""
    best, reached = float(ds.binary_cut.max()), _share_best(ds)
    top = ds.binary_cut.values == best
    heads = f"{'injection, Hz':>14}{'minima':>9}{'binary':>9}{'enumerated':>12}{'lowest cuts':>13}"
    lines = [
        f"Largest cut {best:.0f}, that of {int(top.sum())} of {top.size} binary states up to a turn by pi; the first "
        f"of these is stable from {float(ds.binary_threshold.values[top].min()):.6g} Hz on, the first of any from "
        f"{float(ds.binary_threshold.min()):.6g} Hz.",
        f"{heads}{'starts at largest, %':>22}",
    ]
    for k in range(ds.sizes["search"]):
        here = _of(ds, k)
        lowest = float(here.cut.values[np.argmin(here.energy.values)])
        lines.append(
            f"{float(ds.injection[k]):>14g}{here.sizes['equilibrium']:>9}{int(here.binary.sum()):>9}"
            f"{int(ds.stable_binary[k]):>12}{lowest:>13.0f}{100 * reached[k]:>22.1f}"
        )
    return lines
