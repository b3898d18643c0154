"""Resistances between the nodes, and of the outputs, of a circuit at an operating point."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from circuits.linearised import Linearised, operating_points
from circuits.topology import nearest
from physnet.errors import PhysnetError

if TYPE_CHECKING:
    from physnet.equilibrium import Equilibrium

_COLUMNS = 128  # right sides that are solved for at once


def effective_resistance(
    equilibrium: "Equilibrium", a: str | int | Sequence[str | int], b: str | int | Sequence[str | int]
) -> np.ndarray:
    """The resistance, ohm, between nodes a and b at the operating point: voltage per small current in at a, out at b.

    equilibrium: what `relax` returned. a, b: names of nodes, or sequences of names for many pairs at once (one
    factorisation for all). Voltage sources and conducting ideal diodes are shorts, current sources are open. Shape
    (*sample, pair), or (*sample,) for one pair.
    For reciprocal circuits this is a metric, and conductances times it sum to the number of nodes less one over the
    edges of a resistor network (Foster 1949; Klein & Randic 1993, doi:10.1007/BF01164627).
    Raises PhysnetError for states that did not converge, unknown nodes and sequences of different length.
    """
    first, second = ([node] if isinstance(node, str | int | np.integer) else list(node) for node in (a, b))
    if len(first) != len(second):
        raise PhysnetError(
            f"effective_resistance: {len(first)} nodes a and {len(second)} nodes b; give one of each for every pair."
        )
    rows = operating_points(equilibrium, "effective_resistance")
    labels = rows[0][0].labels
    places = [np.array([_node(labels, node) for node in nodes], int) for nodes in (first, second)]
    found = []
    for circuit, state, inputs in rows:
        here = Linearised.at(circuit, state, inputs)
        columns = np.asarray(circuit.network.group_of_node)[np.stack(places)]
        resistance = np.empty(len(first))
        for start in range(0, len(first), _COLUMNS):
            pairs = columns[:, start : start + _COLUMNS]
            right = np.zeros((here.size + 1, pairs.shape[1]))
            k = np.arange(pairs.shape[1])
            np.add.at(right, (_inside(pairs[0], circuit.network), k), 1.0)
            np.add.at(right, (_inside(pairs[1], circuit.network), k), -1.0)
            answer = np.vstack([here.solve(right[:-1]), np.zeros(len(k))])
            resistance[start : start + len(k)] = (
                answer[_inside(pairs[0], circuit.network), k] - answer[_inside(pairs[1], circuit.network), k]
            )
        found.append(resistance)
    resistance = np.stack(found)
    if isinstance(a, str | int | np.integer) and isinstance(b, str | int | np.integer):
        resistance = resistance[..., 0]
    return resistance if np.ndim(equilibrium.residual) else resistance[0]


def output_resistance(equilibrium: "Equilibrium") -> np.ndarray:
    """How far each output moves per current into another, ohm, (*sample, output, output), at the operating point.

    Its inverse is the Thevenin conductance matrix of the outputs, whose smallest eigenvalue bounds a negative nudge.
    Column k is the response to 1 A into output k. equilibrium: what `relax` returned.
    Raises PhysnetError for states that did not converge.
    """
    rows = operating_points(equilibrium, "output_resistance")
    found = []
    for row in rows:
        here = Linearised.at(*row)
        found.append(here.readout @ here.solve(here.readout.T.toarray()))
    found = np.stack(found)
    return found if np.ndim(equilibrium.residual) else found[0]


def _inside(place, network):
    """The unknown of each potential; the row that is cut off for fixed ones."""
    return np.where(place == network.free, network.unknowns, place)


def _node(labels, node) -> int:
    if str(node) not in labels.nodes:
        raise PhysnetError(f"effective_resistance: unknown node {node}.{nearest(str(node), labels.nodes)}")
    return labels.nodes.index(str(node))
