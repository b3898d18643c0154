"""Runs ngspice, as an oracle: a deck in, the potential of every node out, in double precision."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physnet.errors import PhysnetError

# Tight enough that its answers are good to a nanovolt.
ACCURATE = ".options reltol=1e-9 abstol=1e-15 vntol=1e-12 gmin=1e-18 itl1=1000 itl2=1000\n"


@dataclass(frozen=True)
class Plot:
    """What one analysis gave. kind: such as 'Operating Point'. values: by name, a row for each point.

    potentials: by node, V, without those within an element, which ngspice does not write. currents: by voltage source,
    A, from plus through the source to minus. axis: (point,), the swept value or the time, s; None for an operating
    point.
    """

    kind: str
    potentials: dict[str, np.ndarray]
    currents: dict[str, np.ndarray]
    axis: np.ndarray | None


def available() -> bool:
    """Whether ngspice is installed."""
    return shutil.which("ngspice") is not None


def run(deck: str | Path, *, timeout: float = 120.0) -> dict[str, float]:
    """The potential, V, of every node of a deck, by node, at its operating point (.op).

    deck: the text of one, or the path of a file. timeout: s.
    Raises PhysnetError where ngspice is absent, refuses the deck, or finds no operating point.
    """
    for plot in run_all(deck, timeout=timeout):
        if plot.kind == "Operating Point":
            return {node: float(v[0]) for node, v in plot.potentials.items()}
    raise PhysnetError("ngspice: the deck asks for no operating point. Add the line .op")


def run_all(deck: str | Path, *, timeout: float = 120.0) -> list[Plot]:
    """Every analysis of a deck (.op, .dc, .tran), in the order in which ngspice ran them. Arguments as for `run`."""
    program = shutil.which("ngspice")
    if program is None:
        raise PhysnetError("ngspice is not installed. Install it: apt-get install ngspice")
    folder = Path(".")
    if isinstance(deck, Path):
        from circuits.spice.lines import read_text

        folder, deck = deck.parent, read_text(deck)
    with tempfile.TemporaryDirectory(prefix="physnet-ngspice-") as work:
        source, raw = Path(work, "deck.cir"), Path(work, "out.raw")
        source.write_text(with_absolute_includes(deck, folder), encoding="utf-8")
        command = [program, "-b", "-n", "-r", str(raw), str(source)]  # -n: no start-up file of the user's
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL, cwd=work)
        except subprocess.TimeoutExpired:
            raise PhysnetError(f"ngspice: no answer after {timeout:.6g} s. Give it longer: timeout=") from None
        except OSError as error:
            raise PhysnetError(f"ngspice: {program} cannot be run: {error.strerror or error}.") from None
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if not raw.is_file() or raw.stat().st_size == 0:
            raise PhysnetError(f"ngspice gave no result: {_complaint(said)}")
        try:
            plots = read_raw(raw.read_bytes())
        except (KeyError, ValueError) as error:
            raise PhysnetError(f"ngspice wrote a file that ends early ({error}): {_complaint(said)}") from error
    if not plots or re.search(r"(?i)\b(?:dc solution failed|no convergence|run simulation\(s\) aborted)", said):
        raise PhysnetError(f"ngspice found no operating point: {_complaint(said)}")
    return plots


def read_raw(data: bytes) -> list[Plot]:
    """The plots of a binary raw file, in its order. data: the bytes of the file."""
    plots, at = [], 0
    while (start := data.find(b"Binary:\n", at)) >= 0:
        header = data[at:start].decode("utf-8", "replace")
        at = start + len(b"Binary:\n")
        fields = dict(re.findall(r"(?m)^([A-Z][^:\n]*): *(.*?)\s*$", header))
        variables, points = int(fields["No. Variables"]), int(fields["No. Points"])
        names = re.findall(r"(?m)^\s+\d+\s+(\S+)\s+\S+", header.partition("\nVariables:")[2])
        wide = 2 if "complex" in fields.get("Flags", "") else 1
        count = variables * points * wide
        values = np.frombuffer(data, np.float64, count, at).reshape(points, variables * wide)
        at += 8 * count
        if wide == 2 or len(names) != variables:
            continue
        plots.append(_plot(fields.get("Plotname", ""), names, values))
    return plots


def _plot(kind, names, values):
    potentials, currents, axis = {}, {}, None
    for i, name in enumerate(names):
        column = values[:, i].copy()
        what, _, inner = name.lower().partition("(")
        inner = inner.removesuffix(")")
        if i == 0 and (what == "time" or inner.endswith("-sweep") or what.endswith("-sweep")):
            axis = column
        elif what == "v":
            potentials[inner] = column
        elif what == "i":
            currents[_source_name(inner)] = column
    return Plot(kind, potentials, currents, axis)


def _source_name(name: str) -> str:
    """ngspice calls vin of x1 v.x1.vin; here it is x1.vin."""
    return name[2:] if name[1:2] == "." and name.count(".") > 1 else name


def with_absolute_includes(deck: str, folder: Path) -> str:
    """The deck with the paths of its .include lines made absolute, so that it can be run from elsewhere.

    deck: its text. folder: that the paths start from.
    """

    def absolute(match):
        path = Path(match[2].strip("\"' "))
        return f'{match[1]} "{(folder / path).resolve()}"'

    return re.sub(r"(?im)^(\.inc(?:lude)?)[ \t]+(.+?)\s*$", absolute, deck)


def _complaint(said: str) -> str:
    """The lines of ngspice's output that say what is wrong."""
    lines = [line.strip() for line in said.splitlines()]
    wanted = [line for line in lines if re.search(r"(?i)error|fail|singular|unknown|aborted|no such|not found", line)]
    rest = [line for line in lines if line and not line.startswith(("Note:", "Circuit:", "Doing analysis"))]
    return " / ".join((wanted or rest)[:4])[:600] or "it said nothing. Does the deck ask for an analysis, such as .op?"
