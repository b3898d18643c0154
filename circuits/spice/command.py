"""The operating point of a SPICE deck: physnet relax FILE.cir"""

import argparse
import sys
from pathlib import Path

import numpy as np

from circuits.spice.analyses import DcCard, Sweep, TranCard
from circuits.spice.deck import SpiceDeck, read_spice
from circuits.spice.numbers import number
from circuits.spice.report import branch_table, certificate, node_table, sweep_dataset
from physnet import results
from physnet.errors import PhysnetError

_HELP = """\
The operating point of a SPICE deck: every node, every element, and the certificate that Kirchhoff's law holds.

A .dc line of the deck is run where no --sweep is given; a .tran line is not (physnet.integrate does it, in Python).
"""


def command(arguments) -> int:
    """Runs `physnet relax` and returns its exit status: 0, or 1 where nothing was reached.

    arguments: of the command line, after `relax`.
    """
    parser = argparse.ArgumentParser(
        "physnet relax", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("file", metavar="FILE.cir", help="a SPICE deck")
    parser.add_argument("--sweep", metavar="V1=0:5:0.1", help="sweep a source: start, stop and step in V or A")
    parser.add_argument("--out", metavar="FILE.nc", help="save every element's voltage, current and power (netCDF)")
    parser.add_argument("--check", choices=["ngspice"], help="compare every node with ngspice")
    parser.add_argument("--gmin", metavar="S", help="conductance beside every junction (default: 1e-12 S, as SPICE)")
    parser.add_argument("--force", action="store_true", help="overwrite FILE.nc")
    options = parser.parse_args(arguments)
    gmin = None if options.gmin is None else _number(options.gmin, "--gmin (S)")
    asked = None if options.sweep is None else _sweep(options.sweep)
    if options.out is not None:
        results.check_writable(options.out, options.force)
    elif options.force:
        raise PhysnetError("--force overwrites the file of --out, and no --out is given")
    deck = read_spice(options.file, gmin=gmin)
    for note in deck.notes:
        print(f"physnet: note: {note}", file=sys.stderr)
    if any(isinstance(card, TranCard) for card in deck.analyses):
        print(
            f"physnet: note: {deck.name}: .tran is not run here; use physnet.integrate (Python) with read_spice.",
            file=sys.stderr,
        )
    sweep = _chosen(deck, asked)
    equilibrium, system = _settled(deck, sweep)
    title = deck.title or Path(options.file).name
    if sweep is None:
        print(node_table(system, equilibrium), end="\n\n")
        print(branch_table(system, equilibrium), end="\n\n")
    else:
        print(f"{len(equilibrium.steps)} operating points: {sweep.source} from {sweep.start:.6g} to {sweep.stop:.6g}\n")
    print(certificate(system, equilibrium))
    reached = bool(np.all(equilibrium.converged))
    if options.check:
        from circuits.spice.check import against_ngspice

        print(against_ngspice(deck, options.file, system, equilibrium, sweep))
    if options.out is not None:
        dataset = sweep_dataset(equilibrium, sweep, title=title)
        print(results.save(dataset, options.out, overwrite=options.force))
    if not reached:
        print(f"physnet: error: {deck.name}: no operating point was reached within the tolerance", file=sys.stderr)
    return 0 if reached else 1


def _chosen(deck: SpiceDeck, asked: Sweep | None) -> Sweep | None:
    """What is swept: what the command line asks for, else the deck's first .dc line."""
    if asked is not None:
        sources = [name for name in deck.locations if name[0] in "vi" and "#" not in name.rpartition(".")[2]]
        if asked.source not in sources:
            raise PhysnetError(
                f"--sweep: {deck.name} has no source {asked.source}. Sources: {', '.join(sources[:12]) or 'none'}"
            )
        return asked
    cards = [card for card in deck.analyses if isinstance(card, DcCard)]
    if not cards:
        return None
    if len(cards) > 1 or len(cards[0].sweeps) > 1:
        print("physnet: note: of the .dc lines, the first sweep of the first one is run", file=sys.stderr)
    return cards[0].sweeps[0]


def _settled(deck: SpiceDeck, sweep: Sweep | None):
    import jax.numpy as jnp

    from physnet import relax

    try:
        if sweep is None:
            system = deck.build()
            return relax(system, throw=False), system
        system = deck.build(inputs=(sweep.source,))
        return relax(system, jnp.asarray(sweep.values()[:, None]), throw=False), system
    except PhysnetError as error:
        raise error if str(error).startswith(deck.name) else deck.located(error) from None


def _sweep(text: str) -> Sweep:
    """V1=0:5:0.1 as a sweep."""
    name, _, values = text.partition("=")
    parts = values.split(":")
    if not name.strip() or len(parts) != 3:
        raise PhysnetError(f"--sweep {text}: write SOURCE=START:STOP:STEP, such as V1=0:5:0.1")
    sweep = Sweep(name.strip().lower(), *(_number(part, f"--sweep {text}") for part in parts))
    fault = sweep.fault()
    if fault:
        raise PhysnetError(f"--sweep {text}: {fault}")
    return sweep


def _number(text: str, what: str) -> float:
    value = number(text.strip())
    if value is None or not abs(value) < float("inf"):
        raise PhysnetError(f"{what}: {text!r} is no number; write one such as 0.1 or 1k")
    return value
