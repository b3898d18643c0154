"""Small signals about an operating point: responses to alternating sources.

Where a source moves by a small du exp(i 2 pi f t), the unknowns (potentials, branch currents) answer with dv, and

    (J + i 2 pi f C) dv = -(dF/du + i 2 pi f dq/du) du,

F being the net currents, J = dF/dv at the operating point, C the capacitances and q their charges. It is the `.ac` of
SPICE (Nagel 1975, UCB/ERL M520).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from circuits.bundle import Names
from circuits.group import gather
from circuits.linearised import Linearised, operating_points
from circuits.topology import nearest
from physnet.errors import PhysnetError
from physnet.variable import Variable

if TYPE_CHECKING:
    from physnet.equilibrium import Equilibrium


@dataclass(frozen=True)
class SmallSignal:
    """Phasors per unit of one source, peak and phase against it. Leading sample axis where the equilibrium had one.

    source: its name. frequencies: Hz, (frequency,). nodes: complex, (*sample, frequency, node), in `unit`, of the free
    nodes in the order of the state; outputs: complex, (*sample, frequency, output), in `unit`. unit: "1" (V per V) for
    a voltage source, "ohm" (V per A) for a current source. equilibrium: the operating point.
    """

    source: str
    unit: str
    frequencies: np.ndarray
    nodes: np.ndarray
    outputs: np.ndarray
    equilibrium: "Equilibrium" = field(repr=False)

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset over frequency: amplitude and phase (rad, from -pi to pi) of outputs and nodes.

        attributes: as for `physnet.to_dataset`.
        """
        from physnet import datasets

        eq, variables = self.equilibrium, []
        sample = ("sample",) if np.ndim(eq.residual) else ()
        for name, dim, phasors in (("output", "output", self.outputs), ("node", "node", self.nodes)):
            dims, what = (*sample, "frequency", dim), f"small signal of each {name}"
            amplitude = Variable(f"{name}_amplitude", dims, self.unit, f"{what} per unit of source {self.source}")
            phase = Variable(f"{name}_phase", dims, "rad", f"phase of the {what}, ahead of source {self.source}")
            variables += [(amplitude, np.abs(phasors)), (phase, np.angle(phasors))]
        variables += [
            (Variable("residual", sample, "1", "relative residual of the operating point"), eq.residual),
            (Variable("converged", sample, "1", "whether the operating point was reached"), eq.converged),
        ]
        variables += [(p.variable, np.asarray(p.get(eq.system))) for p in eq.system.parameters]
        frequency = (Variable("frequency", ("frequency",), "Hz", "frequency of the source"), self.frequencies)
        title = f"Small-signal response of a circuit to source {self.source}"
        return datasets.build(
            eq.system, variables, coords=[frequency], default_title=title, dtype=eq.outputs.dtype, **attributes
        )


def ac(equilibrium: "Equilibrium", frequencies, source: str) -> SmallSignal:
    """The response of a circuit about its operating point to one voltage or current source of amplitude 1 V or 1 A.

    equilibrium: what `relax` returned for a circuit. frequencies: Hz, at least 0, one or many. source: a name, whether
    an input or not; a current source drives from its first node to its second. An ideal diode that conducts is a short
    circuit. Raises PhysnetError for states that did not converge, unknown sources, frequencies that make no sense, and
    a circuit that is singular at a frequency.
    """
    frequencies = np.atleast_1d(np.asarray(frequencies, float))
    wrong = ~(np.isfinite(frequencies) & (frequencies >= 0))
    if frequencies.ndim != 1 or not frequencies.size or wrong.any():
        found = f"frequency {frequencies[wrong][0]:.6g} Hz" if wrong.any() else f"shape {frequencies.shape}"
        raise PhysnetError(f"ac: {found}; frequencies are finite and >= 0 Hz, in one axis.")
    rows = operating_points(equilibrium, "ac")
    unit = _check_source(rows[0][0], source)
    nodes, outputs = [], []
    for circuit, state, inputs in rows:
        here = Linearised.at(circuit, state, inputs)
        drive = jax.tree.map(lambda x: np.asarray(x, float), _drive(circuit, state, inputs, source))
        solution = here.alternating(frequencies, drive)
        nodes.append(solution[:, : circuit.network.free])
        outputs.append(solution @ here.readout.T + drive["output"])
    stacked = (np.stack(nodes), np.stack(outputs))
    if not np.ndim(equilibrium.residual):
        stacked = tuple(array[0] for array in stacked)
    return SmallSignal(source, unit, frequencies, *stacked, equilibrium)


@eqx.filter_jit
def _drive(circuit, state, inputs, source: str):
    """What one unit of a source changes with the unknowns held: net currents, charges, diode limits, outputs."""
    network, unknowns = circuit.driven(inputs), circuit.unknowns(state)
    name = Names((source,))

    def equations(value):
        driven = network.driven(name, value)
        potentials = driven.potentials(unknowns)
        charges = [group.element.capacitance * group.voltage(potentials) for group in driven.capacitors]
        charges = [jnp.stack([charge, -charge]) for charge in charges]
        box = driven.bounds()
        limit = jnp.zeros_like(unknowns)
        if box is not None:
            limit = jnp.where(jnp.abs(unknowns - box[0]) <= jnp.abs(unknowns - box[1]), *box)
        return {
            "current": driven.balance(unknowns),
            "charge": gather(driven.capacitors, charges, driven.unknowns, unknowns.dtype),
            "limit": limit,
            "output": driven.output_voltages(unknowns),
        }

    value = network.default_inputs(name)
    return jax.jvp(equations, (value,), (jnp.ones_like(value),))[1]


def _check_source(circuit, source) -> str:
    """The unit of a response to this source. Raises PhysnetError for anything else."""
    from circuits.elements import CurrentSource, VoltageSource

    names = {}
    for group in circuit.groups():
        if isinstance(group.element, VoltageSource | CurrentSource):
            names |= dict.fromkeys(group.names, "1" if isinstance(group.element, VoltageSource) else "ohm")
    if source not in names:
        known = ", ".join(list(names)[:12]) or "none"
        raise PhysnetError(f"ac: unknown source {source!r}.{nearest(str(source), list(names))} Sources: {known}.")
    return names[source]
