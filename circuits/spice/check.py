"""The same deck, settled here and by ngspice, node by node."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from circuits.spice import ngspice
from physnet.errors import PhysnetError

ABSOLUTE, RELATIVE = 1e-6, 1e-6  # V; what two programs agree to


@dataclass(frozen=True)
class Agreement:
    """How well two programs agree.

    count: nodes (times points) that were compared. difference: the largest, V, at `node`. share: of the tolerance.
    """

    count: int
    difference: float
    node: str
    share: float


def compare(labels, potentials, theirs: dict[str, np.ndarray]) -> Agreement:
    """Potentials, V, (point, node) against those of ngspice, (point,) by node."""
    count, worst = 0, (0.0, "", 0.0)
    for node, own in zip(labels, np.asarray(potentials).T):
        if node == "0" or node not in theirs:
            continue
        other = np.asarray(theirs[node])
        if other.shape != own.shape:
            raise PhysnetError(f"ngspice gave {other.size} points for node {node}, and here there are {own.size}.")
        count += own.size
        difference = np.abs(own - other)
        share = difference / (ABSOLUTE + RELATIVE * np.abs(other))
        k = int(np.argmax(np.where(np.isfinite(share), share, np.inf)))
        if not share[k] <= worst[2] or not worst[1]:
            worst = (float(difference[k]), node, float(share[k]))
    return Agreement(count, *worst)


def ngspice_text(text: str, deck, sweep) -> str:
    """The deck as ngspice gets it: without its own analyses and options, with the one that was run here."""
    kept, control = [], False
    for line in _joined(text):
        first = line.split(maxsplit=1)[0].lower() if line.strip() else ""
        if control or first == ".control":
            control = first != ".endc"
            continue
        if first in (".op", ".dc", ".tran", ".ac", ".options", ".option", ".opt", ".temp", ".end"):
            if first == ".end":
                break
            continue
        kept.append(line)
    analysis = (
        ".op" if sweep is None else f".dc {_their_name(sweep.source)} {sweep.start!r} {sweep.stop!r} {sweep.step!r}"
    )
    kept.append(ngspice.ACCURATE.replace("gmin=1e-18", f"gmin={max(deck.gmin, 1e-18)!r}").strip())
    kept.append(f".options temp={deck.temperature - 273.15!r} tnom={deck.nominal - 273.15!r}")
    return "\n".join([*kept, analysis, ".end", ""])


def _joined(text):
    """Lines with their continuations, so that a dropped one takes these along."""
    lines: list[str] = []
    for k, line in enumerate(text.splitlines()):
        if line.startswith("+") and len(lines) > 1:
            lines[-1] += "\n" + line
        elif k == 0:
            lines.append("* " + line)
        else:
            lines.append(line)
    return lines


def _their_name(source: str) -> str:
    return f"{source.rpartition('.')[2][0]}.{source}" if "." in source else source


def against_ngspice(deck, path, system, equilibrium, sweep) -> str:
    """One sentence on how well ngspice agrees, node by node."""
    import jax

    from circuits.spice.lines import read_text

    path = Path(path)
    text = ngspice.with_absolute_includes(ngspice_text(read_text(path), deck, sweep), path.parent)
    plots = ngspice.run_all(text)
    if sweep is None:
        potentials = np.asarray(system.potentials(equilibrium.state, equilibrium.inputs))[None]
    else:
        potentials = np.asarray(jax.vmap(system.potentials)(equilibrium.state, equilibrium.inputs))
    found = compare(system.labels.nodes, potentials, plots[0].potentials)
    verdict = "agrees" if found.share <= 1 else "DISAGREES"
    return (
        f"ngspice {verdict}: {found.count} potentials compared, largest difference {found.difference:.2e} V at node "
        f"{found.node} ({found.share:.2g} of 1e-6 V + 1e-6 relative)."
    )
