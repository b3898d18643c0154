"""Crossbars: a device at every crossing of word lines and bit lines, which multiplies a vector by a matrix."""

from abc import abstractmethod

import equinox as eqx
import numpy as np

from circuits.circuit import Circuit
from circuits.elements import IdealOpAmp, Resistor, VoltageSource
from circuits.elements.base import at_least_zero, first_not
from physnet.errors import PhysnetError


class Readout(eqx.Module):
    """What the foot of every bit line is connected to."""

    @abstractmethod
    def attach(self, circuit: Circuit, nodes: list[str]) -> None:
        """Adds the readout of each bit line to a circuit.

        circuit: to add to. nodes: the foot of each bit line.
        """


class Load(Readout):
    """A resistor "load{j}" of `resistance` (ohm) from each bit line to ground; the output is the voltage of its node.

    y_j = sum_i g_ij x_i / (1/R + sum_i g_ij): it divides by the load, but needs no active part.
    """

    resistance: float

    def __check_init__(self):
        _check("Load", "resistance", self.resistance, above=True)

    def attach(self, circuit, nodes):
        names = [f"load{j}" for j in range(len(nodes))]
        circuit.add_many(names, nodes, 0, Resistor(1 / self.resistance, trainable=False))


class VirtualGround(Readout):
    """Each bit line held at 0 V by a voltage source "sense{j}", whose current is the output: I_j = sum_i g_ij x_i.

    Read it off with `system.branch_currents`: positive into the source.
    """

    def attach(self, circuit, nodes):
        circuit.add_many([f"sense{j}" for j in range(len(nodes))], nodes, 0, VoltageSource(0.0))


class TransimpedanceAmplifier(Readout):
    """An ideal op-amp "amplifier{j}" that holds each bit line at 0 V by `feedback_resistance` (ohm) from node "y{j}".

    The voltage of "y{j}" is -R sum_i g_ij x_i, V. The circuit then has an active part, and no energy.
    """

    feedback_resistance: float

    def __check_init__(self):
        _check("TransimpedanceAmplifier", "feedback_resistance", self.feedback_resistance, above=True)

    def attach(self, circuit, nodes):
        count = range(len(nodes))
        outputs = [f"y{j}" for j in count]
        feedback = Resistor(1 / self.feedback_resistance, trainable=False)
        circuit.add_many([f"feedback{j}" for j in count], outputs, nodes, feedback)
        circuit.add_many([f"amplifier{j}" for j in count], outputs, 0, nodes, IdealOpAmp())


def crossbar(
    conductances,
    *,
    line_resistance: float = 0.0,
    driver_resistance: float = 0.0,
    readout: Readout | None = None,
    trainable: bool = True,
) -> Circuit:
    """Devices between word lines, driven by sources "row0", "row1", ..., and bit lines, read at their far ends.

    Device "g3,17", S, joins word line 3 to bit line 17, at the nodes "w3,17" and "b3,17", which are "w3" and "column17"
    where the wires have no resistance. Each word line is driven from its first crossing, and each bit line read at its
    last, node "column{j}", past one more piece of wire: currents and voltage drops as in the metal of a chip. Without
    wire and driver resistance and with bit lines held at 0 V it computes I = G^T x exactly.

    conductances: (row, column), S. line_resistance: ohm, of each piece of wire between crossings ("lw3,17" before word
    crossing 17, "lb3,17" after bit crossing 3). driver_resistance: ohm, in series with every source ("driver3").
    readout: `Load(resistance)`, `VirtualGround()` (the default) or `TransimpedanceAmplifier(feedback_resistance)`.
    trainable: whether the devices learn. The sources stand at 0 V until set: build(inputs=["row0", "row1", ...]).
    Raises PhysnetError for values outside their range.
    """
    try:
        g = np.asarray(conductances, float)
    except (TypeError, ValueError):
        raise PhysnetError("crossbar: conductances are no numbers; give a matrix (row, column), S.") from None
    if g.ndim != 2 or not g.size:
        raise PhysnetError(f"crossbar: conductances have shape {g.shape}; give a matrix (row, column), S.")
    wrong = first_not(at_least_zero, g)
    if wrong is not None:
        raise PhysnetError(
            f"crossbar: conductance {wrong:.6g} S; conductances are finite and >= 0. For signed weights use two "
            "columns and their difference, outputs=[('column0', 'column1')]."
        )
    _check("crossbar", "line_resistance", line_resistance)
    _check("crossbar", "driver_resistance", driver_resistance)
    readout = VirtualGround() if readout is None else readout
    if not isinstance(readout, Readout):
        raise PhysnetError(f"crossbar: readout is {readout!r}; pass Load(resistance=1e3), VirtualGround() or another.")
    rows, columns = g.shape
    names = [f"{i},{j}" for i in range(rows) for j in range(columns)]
    feet = [f"column{j}" for j in range(columns)]
    wired = line_resistance > 0
    if wired:
        word, bit = ([f"{line}{name}" for name in names] for line in "wb")
    else:
        word = [f"w{i}" for i in range(rows) for _ in range(columns)]
        bit = feet * rows
    heads = [f"w{i}" for i in range(rows)]
    driven = heads if driver_resistance == 0 else [f"x{i}" for i in range(rows)]
    circuit = Circuit().add_many("row", driven, 0, VoltageSource(0.0))
    if driver_resistance > 0:
        circuit.add_many("driver", driven, heads, Resistor(1 / driver_resistance, trainable=False))
    if wired:
        wire = Resistor(1 / line_resistance, trainable=False)
        before = [heads[i] if j == 0 else f"w{i},{j - 1}" for i in range(rows) for j in range(columns)]
        after = [feet[j] if i == rows - 1 else f"b{i + 1},{j}" for i in range(rows) for j in range(columns)]
        circuit.add_many([f"lw{name}" for name in names], before, word, wire)
        circuit.add_many([f"lb{name}" for name in names], bit, after, wire)
    circuit.add_many([f"g{name}" for name in names], word, bit, Resistor(g.ravel(), trainable))
    readout.attach(circuit, feet)
    return circuit


def _check(where: str, name: str, value, above: bool = False):
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not np.isfinite(value) or value < 0 or (above and value == 0):
        raise PhysnetError(f"{where}: {name} is {value!r} ohm; give a finite number {'> 0' if above else '>= 0'}.")
