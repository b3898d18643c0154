"""Currents that other elements read: an ammeter in series with each sensed voltage source."""

import numpy as np

from circuits.bundle import Bundle, Names, stacked
from circuits.elements import VoltageSource
from circuits.elements.base import MultiTerminal


def ammeter_name(source: str) -> str:
    """What the ammeter in series with a voltage source is called."""
    return f"{source}:current"


def with_ammeters(nodes: list[str], bundles: list[Bundle], locate) -> tuple[list[str], list[Bundle]]:
    """Nodes and elements with every sensed voltage source behind a 0 V source whose current is an unknown.

    The source keeps its name and moves to a node of its own, "V1:plus"; the element's control becomes "V1:current".
    locate(title, name): (bundle, place) of the voltage source, or an error that starts with the title.
    """
    from circuits.elements import Ammeter

    sensed: dict[str, tuple[int, int]] = {}
    for bundle in bundles:
        for name, control in zip(bundle.names, bundle.control or ()):
            if control not in sensed:
                sensed[control] = locate(f"{bundle.element.kind.replace('_', ' ')} {name}", control)
    if not sensed:
        return nodes, bundles
    nodes, bundles = list(nodes), list(bundles)
    plus = []
    for name, (b, i) in sensed.items():
        source = bundles[b]
        assert isinstance(source.element, VoltageSource)
        terminals = source.nodes.copy()
        plus.append((terminals[0, i], len(nodes)))
        terminals[0, i] = len(nodes)
        nodes.append(f"{name}:plus")
        bundles[b] = Bundle(source.names, terminals, source.element)
    for b, bundle in enumerate(bundles):
        if isinstance(bundle.element, MultiTerminal) and bundle.element.senses:
            control = tuple(map(ammeter_name, bundle.control))
            bundles[b] = Bundle(bundle.names, bundle.nodes, bundle.element, control)
    ends = np.array(plus, np.int32).T
    bundles.append(Bundle(Names(map(ammeter_name, sensed)), ends, stacked(Ammeter(), len(sensed))))
    return nodes, bundles
