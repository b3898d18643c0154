"""A circuit as a system that settles: the minimum of its total co-content over the free potentials."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from circuits import branches
from circuits.elements import CurrentSource, VoltageSource
from circuits.group import Group, gather
from circuits.limiting import has_knee
from circuits.operating_point import OperatingPoint
from physnet.errors import PhysnetError
from physnet.relaxers.projected_newton import ProjectedNewton
from physnet.system import EnergySystem, Parameter
from physnet.variable import Variable


@dataclass(frozen=True)
class Labels:
    """The names in a circuit: of its nodes (ground first), free potentials, inputs and outputs.

    without_capacitance: free potentials that no capacitor ties, directly or through others, to a fixed one.
    capacitors_grounded: none joins two free potentials, so that each has its own capacitance alone.
    redundant: voltage sources that close a loop of others; these carry no current.
    """

    nodes: tuple[str, ...]
    free: tuple[str, ...]
    inputs: tuple[str, ...]
    input_units: tuple[str, ...]
    outputs: tuple[str, ...]
    without_capacitance: tuple[str, ...]
    capacitors_grounded: bool
    redundant: tuple[str, ...]


class CircuitSystem(EnergySystem):
    """A circuit, made by `Circuit.build`. Its state is the vector of free node potentials against ground, V.

    The energy is the total co-content sum_e Q_e(v_a - v_b), W, current sources included as Q = I v; its stationary
    points obey Kirchhoff's current law, dE/dv_n = sum of the currents that leave node n, A. Voltage sources tie nodes
    together; ideal diodes bound potentials from below or above. Inputs are the values of the sources named as such.

    conductors: the groups with a current law. capacitors, ideal_diodes: the groups without. voltage_sources: theirs.
    """

    conductors: tuple[Group, ...]
    capacitors: tuple[Group, ...]
    ideal_diodes: tuple[Group, ...]
    voltage_sources: tuple[Group, ...]
    group_of_node: Int[Array, " node"]
    offsets: Float[Array, "node source"]
    plus: Int[Array, " output"]
    minus: Int[Array, " output"]
    labels: Labels = eqx.field(static=True)

    @property
    def midpoint_exact(self):
        learning = [g.element for g in self.conductors if any(p.trainable for p in g.element.parameters())]
        return all(element.quadratic for element in learning)

    @property
    def variables(self):
        return (Variable("node_voltage", ("node",), "V", "potential of each free node against ground"),)

    @property
    def input_variable(self):
        units = set(self.labels.input_units)
        if units == {"A"}:
            return Variable("input_current", ("input",), "A", "current of each input source")
        if units <= {"V"}:
            return Variable("input_voltage", ("input",), "V", "voltage of each input source")
        return Variable("input_value", ("input",), "1", "value of each input source in its own unit (see input_unit)")

    @property
    def output_variable(self):
        return Variable("output_voltage", ("output",), "V", "voltage of each output")

    @property
    def residual_units(self):
        return "A"

    @property
    def energy_units(self):
        return "W"

    @property
    def input_shape(self):
        return (len(self.labels.inputs),)

    def groups(self) -> tuple[Group, ...]:
        """Every group of elements."""
        return (*self.conductors, *self.capacitors, *self.ideal_diodes, *self.voltage_sources)

    @property
    def parameters(self):
        found, taken = [], {}
        for i, group in enumerate(self.groups()):
            for p in group.element.parameters():
                # Two groups may name a parameter alike: the later one is numbered.
                taken[p.variable.name] = count = taken.get(p.variable.name, 0) + 1
                name = p.variable.name if count == 1 else f"{p.variable.name}_{count}"
                variable = replace(p.variable, name=name, dims=(self._dim(i),))
                found.append(Parameter(variable, self._getter(i, p.get), p.trainable))
        return tuple(found)

    def _getter(self, i: int, get):
        """get(element) of the i-th of `groups`, in any tree shaped like the system."""
        for field in ("conductors", "capacitors", "ideal_diodes", "voltage_sources"):
            if i < len(getattr(self, field)):
                break
            i -= len(getattr(self, field))
        return lambda system: get(getattr(system, field)[i].element)

    def _dim(self, i: int) -> str:
        kinds = [group.element.kind for group in self.groups()]
        count = kinds[: i + 1].count(kinds[i])
        return kinds[i] if count == 1 else f"{kinds[i]}_{count}"

    def coordinates(self):
        axes = [("node", "free node", self.labels.free), ("output", "output", self.labels.outputs)]
        axes += [
            (self._dim(i), group.element.kind.replace("_", " "), group.names) for i, group in enumerate(self.groups())
        ]
        if self.labels.inputs:
            axes.append(("input", "input source", self.labels.inputs))
        found = [(Variable(dim, (dim,), "1", long_name), names) for dim, long_name, names in axes]
        if len(set(self.labels.input_units)) > 1:
            found.append((Variable("input_unit", ("input",), "1", "unit of each input"), self.labels.input_units))
        return tuple(found)

    @property
    def description(self):
        return {
            "kind": "CircuitSystem",
            "elements": {
                self._dim(i): {"count": len(group.names), "names": list(group.names)}
                for i, group in enumerate(self.groups())
            },
            "inputs": list(self.labels.inputs),
            "outputs": list(self.labels.outputs),
        }

    def default_inputs(self):
        sources = [g for g in self.groups() if isinstance(g.element, VoltageSource | CurrentSource)]
        owner = {name: group for group in sources for name in group.names}
        values = [_source_value(owner[n].element)[owner[n].names.index(n)] for n in self.labels.inputs]
        return jnp.stack(values) if values else jnp.zeros(0, self.offsets.dtype)

    def driven(self, inputs: Float[Array, " input"]) -> "CircuitSystem":
        """The same circuit with the input sources set to these values."""
        if not self.labels.inputs:
            return self

        def drive(group):
            if not isinstance(group.element, VoltageSource | CurrentSource):
                return group
            where = [(group.names.index(name), k) for k, name in enumerate(self.labels.inputs) if name in group.names]
            if not where:
                return group
            places, columns = (np.array(indices) for indices in zip(*where))
            value = _source_value(group.element).at[places].set(inputs[columns])
            return eqx.tree_at(lambda g: _source_value(g.element), group, value)

        return replace(
            self,
            conductors=tuple(drive(group) for group in self.conductors),
            voltage_sources=tuple(drive(group) for group in self.voltage_sources),
        )

    def potentials(self, state: Float[Array, " free"], inputs: Float[Array, " input"]) -> Float[Array, " node"]:
        """Potential, V, of every node in `labels.nodes`, ground and fixed ones included."""
        return self.driven(inputs)._potentials(state)

    def _potentials(self, state):
        potentials = jnp.append(state, jnp.zeros((), state.dtype))[self.group_of_node]
        for group in self.voltage_sources:
            potentials = potentials + self.offsets @ group.element.voltage
        return potentials

    def initial_state(self, inputs, key=None):
        """Every free node at 0 V: the circuit before it is switched on, its grounded capacitors discharged."""
        return jnp.zeros(len(self.labels.free), self.offsets.dtype)

    def energy(self, state, inputs):
        driven = self.driven(inputs)
        potentials = driven._potentials(state)
        contents = [jnp.sum(group.element.cocontent(group.voltage(potentials))) for group in driven.conductors]
        return sum(contents, jnp.zeros((), state.dtype))

    def residual(self, state, inputs):
        """Net current, A, that leaves each free node through its elements."""
        driven = self.driven(inputs)
        currents = [group.current(driven._potentials(state)) for group in driven.conductors]
        return gather(driven.conductors, [(i, -i) for i in currents], state)

    def residual_scale(self, state, inputs):
        """Sum of |currents|, A, at each free node, but not less than what arithmetic can resolve.

        A current is computed from the difference of two potentials, each known to eps, the rounding of the floating
        type: its own rounding is eps g (|v_a| + |v_b|), however small it is. Where no current flows (a dangling
        branch) the balance cannot be finer than that, so the scale is at least eps^(1/4) sum g (|v_a| + |v_b|), which
        is eps^(3/4) above the rounding, relatively: 2e-12 in double and 6e-6 in single precision.
        """
        driven = self.driven(inputs)
        potentials = driven._potentials(state)
        size = jnp.abs(potentials)
        net, gross = [], []
        for group in driven.conductors:
            voltage = group.voltage(potentials)
            current = jnp.abs(group.element.current(voltage))
            slope = group.element.differential_conductance(voltage)
            net.append((current, current))
            gross.append((slope * (size[group.first] + size[group.second]),) * 2)
        floor = jnp.finfo(state.dtype).eps ** 0.25 * gather(driven.conductors, gross, state)
        return jnp.maximum(gather(driven.conductors, net, state), floor)

    def bounds(self, inputs):
        """The box that ideal diodes keep the free potentials in, V; None without any.

        NaN where diodes contradict each other (they short a source): such a state never counts as converged.
        """
        if not self.ideal_diodes:
            return None
        driven = self.driven(inputs)
        state = self.initial_state(inputs)
        potentials = driven._potentials(state)
        lowest = jnp.append(jnp.full_like(state, -jnp.inf), -jnp.inf)
        highest = -lowest
        shorted = jnp.zeros((), bool)
        for group in driven.ideal_diodes:
            forward = group.voltage(potentials)
            # A terminal without a free potential writes to the last place, which is cut off below.
            highest = highest.at[group.out_of].min(-forward)
            lowest = lowest.at[group.into].max(forward)
            shorted |= jnp.any((group.out_of == group.into) & (forward > 0))
        lowest, highest = lowest[:-1], highest[:-1]
        wrong = shorted | (lowest > highest)
        return jnp.where(wrong, jnp.nan, lowest), jnp.where(wrong, jnp.nan, highest)

    def mobility(self, force):
        """dv/dt = C^-1 force, V/s, with C the capacitance matrix of the free nodes.

        Raises PhysnetError naming the nodes that have no capacitance, whose potential would jump.
        """
        missing = self.labels.without_capacitance
        if missing:
            raise PhysnetError(
                f"the circuit has no time of its own: no capacitors lead from {', '.join(missing[:20])} to a fixed "
                'potential. Add one to each, such as circuit.capacitor("C1", node, 0, capacitance=1e-12), or relax '
                "with ProjectedNewton(), which needs none."
            )
        if self.labels.capacitors_grounded:
            ends = [(group.element.capacitance,) * 2 for group in self.capacitors]
            return force / gather(self.capacitors, ends, force)
        size = force.shape[0]
        matrix = jnp.zeros((size + 1, size + 1), force.dtype)
        for group in self.capacitors:
            a, b, c = group.out_of, group.into, group.element.capacitance
            matrix = matrix.at[a, a].add(c).at[b, b].add(c).at[a, b].add(-c).at[b, a].add(-c)
        return jnp.linalg.solve(matrix[:size, :size], force)

    def outputs(self, state, inputs):
        potentials = self.potentials(state, inputs)
        return potentials[self.plus] - potentials[self.minus]

    def default_relaxer(self):
        return OperatingPoint() if any(has_knee(group.element) for group in self.conductors) else ProjectedNewton()

    @property
    def branch_names(self) -> tuple[str, ...]:
        """The name of every element, in the order of `branch_voltages` and `branch_currents`."""
        return tuple(name for group in self.groups() for name in group.names)

    def branch_voltages(self, state, inputs) -> Float[Array, " branch"]:
        """Voltage, V, of every element of one sample, first terminal above second."""
        return branches.branch_voltages(self, state, inputs)

    def branch_currents(self, state, inputs) -> Float[Array, " branch"]:
        """Current, A, of every element of one sample at a steady state, sources and ideal diodes by Kirchhoff's law."""
        return branches.branch_currents(self, state, inputs)


def _source_value(element):
    return element.voltage if isinstance(element, VoltageSource) else element.current_value
