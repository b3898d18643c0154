"""Figures and summaries of `studies.energy_landscape`, from its dataset alone; here the ring and the circuit."""

import json

import numpy as np

from physnet.landscape import (
    disconnectivity,
    draw_basins,
    draw_bifurcation,
    draw_disconnectivity,
    draw_line,
    draw_spectrum,
)
from physnet.landscape.drawing.marks import named
from studies import _landscape_search_figures as searches
from studies._landscape_parts import part
from studies._style import BLACK, BLUE, GREY, ORANGE, drawn


def system_of(ds) -> str:
    """The system that a dataset of the study is of."""
    return json.loads(ds.attrs["physnet_config"])["system"]


def all_figures(ds):
    """{system: one page of panels}: a matplotlib figure."""
    pages = {"ring": _ring, "bistable": _bistable, "xor": searches.xor, "memory": searches.memory}
    pages |= {"ising": searches.ising}
    name = system_of(ds)
    return drawn({name: ((6.8, 5.6), pages[name])}, ds)


def described(ds):
    """Lines of text: what was found, then how certain it is."""
    said = {"ring": _ring_said, "bistable": _bistable_said, "xor": searches.xor_said, "memory": searches.memory_said}
    said |= {"ising": searches.ising_said}
    met, worst = int(ds.converged.sum()), float(ds.residual.max())
    total = (
        f"Certificates: {met} of {ds.sizes['equilibrium']} equilibria met their tolerance; largest relative residual"
    )
    return [*said[system_of(ds)](ds), "", f"{total} {worst:.1e}."]


# The ring


def _ring(figure, ds):
    (tree, states), (spectrum, basins) = figure.subplots(2, 2)
    labels = [f"q = {q}" for q in ds.winding_number.values]
    stable = np.flatnonzero(ds["index"].values == 0)
    draw_disconnectivity(tree, ds, label=labels)
    oscillator = np.arange(ds.sizes["oscillator"] + 1)
    for k, (colour, dash) in zip(stable, zip((BLUE, ORANGE, BLACK, GREY) * 9, ("-", "--", "-.", ":") * 9)):
        phase = np.unwrap(np.append(ds.oscillator_phase.values[k], ds.oscillator_phase.values[k, 0]))
        states.plot(oscillator, phase / (2 * np.pi), color=colour, ls=dash, marker=".", label=labels[k])
    states.set(xlabel="oscillator, once around", ylabel="phase (turns)", xticks=oscillator)
    states.legend(frameon=False)
    draw_spectrum(spectrum, ds)
    draw_basins(basins, ds, label=labels)


def _ring_said(ds):
    unit = ds.energy.attrs["units"]
    tree = disconnectivity(ds)
    lines = [f"{'':<16}{'energy, ' + unit:>18}{'closed form':>16}{'share of starts':>18}{'95 % interval':>20}"]
    for k in np.flatnonzero(ds["index"].values <= 1):
        kind = "state" if ds["index"][k] == 0 else "pass"
        row = f"{kind} q = {int(ds.winding_number[k]):<4}"
        row = f"{row:<16}{float(ds.energy[k]):>18.9g}{float(ds.exact_energy[k]):>16.9g}"
        if kind == "state":
            low, high = float(ds.share_low[k]), float(ds.share_high[k])
            row += f"{100 * float(ds.share[k]):>16.1f} %{f'{100 * low:.1f} to {100 * high:.1f} %':>20}"
        lines.append(row)
    heights = ", ".join(f"{height - tree.energy.min():.6g}" for height in tree.height) or "none known"
    lines.append(f"Passes lie {heights} {unit} above the lowest state; {100 * float(ds.unsettled_share):.2g} % of the")
    return [*lines[:-1], f"{lines[-1]} starts came to rest nowhere."]


# The bistable circuit


def _bistable(figure, ds):
    (diagram, line), (tree, basins) = figure.subplots(2, 2)
    draw_bifurcation(diagram, part(ds, "diagram"), "node_voltage", x="input_voltage")
    diagram.axvline(float(ds.input_voltage[0]), color=GREY, lw=0.8, zorder=0)
    diagram.set(xlabel="source voltage (V)", ylabel="voltage of the diode (V)")
    draw_line(line, part(ds, "line"))
    lowest, highest = float(ds.energy.min()), float(ds.energy.max())
    line.set_ylim(lowest - 0.3 * (highest - lowest), highest + 1.5 * (highest - lowest))
    line.set(xlabel="voltage of the diode (V)", ylabel=named(ds.energy, "co-content"))
    labels = [f"{v:.3f} V" for v in ds.node_voltage.values[:, 0]]
    draw_disconnectivity(tree, ds, label=labels)
    tree.set_ylabel(named(ds.energy, "co-content"))
    draw_basins(basins, ds, label=labels)


def _bistable_said(ds):
    lines = [f"At a source of {float(ds.input_voltage[0]):g} V:"]
    for k in range(ds.sizes["equilibrium"]):
        kind = "stable" if ds["index"][k] == 0 else "unstable"
        share = f", {100 * float(ds.share[k]):.1f} % of the starts" if kind == "stable" else ""
        lines.append(
            f"  {kind:<9}{float(ds.node_voltage[k, 0]):.6f} V, co-content {float(ds.energy[k]):.8g} "
            f"{ds.energy.attrs['units']}{share}"
        )
    diagram = part(ds, "diagram")
    for kind, value, voltage in zip(
        diagram.special_kind.values, diagram.special_input_voltage.values, diagram.special_node_voltage.values[:, 0]
    ):
        lines.append(f"  {kind} at a source of {value:.9g} V, {voltage:.6f} V across the diode")
    worst = float(diagram.residual.max())
    return [*lines, f"Diagram of {diagram.sizes['point']} points, largest relative residual {worst:.1e}."]
