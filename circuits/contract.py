"""What every circuit is to physnet, whatever its elements: names, parameters, inputs, outputs, time."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits import branches, stored
from circuits.labels import Labels
from circuits.network import Network
from circuits.nodal import NodalSystem
from circuits.topology import nearest
from physnet.errors import PhysnetError
from physnet.system import Parameter
from physnet.variable import Variable


class CircuitContract(NodalSystem):
    """A network of elements with names. Its unknowns are the free potentials and, after them, the branch currents."""

    network: eqx.AbstractVar[Network]
    labels: eqx.AbstractVar[Labels]

    def unknowns(self, state) -> Float[Array, " u"]:
        """The state as one vector: potentials, V, then branch currents, A."""
        return jnp.concatenate(state) if isinstance(state, tuple) else state

    def as_state(self, unknowns: Float[Array, " u"]):
        """The vector of unknowns as a state. unknowns: potentials, V, then branch currents, A."""
        n = self.network.free
        return (unknowns[:n], unknowns[n:]) if self.network.branches else unknowns

    @property
    def variables(self):
        node = Variable("node_voltage", ("node",), "V", "potential of each free node against ground")
        if not self.network.branches:
            return (node,)
        return (
            node,
            Variable("source_branch_current", ("source_branch",), "A", "current of elements that fix a voltage"),
        )

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
    def input_shape(self):
        return (len(self.labels.inputs),)

    def groups(self):
        """Every group of elements."""
        return self.network.groups()

    @property
    def parameters(self):
        found, taken = [], {}
        for i, group in enumerate(self.groups()):
            for p in group.element.parameters():
                # Two groups may name a parameter alike: the later one is numbered.
                taken[p.variable.name] = count = taken.get(p.variable.name, 0) + 1
                name = p.variable.name if count == 1 else f"{p.variable.name}_{count}"
                variable = replace(p.variable, name=name, dims=(self._dim(i), *p.variable.dims))
                found.append(Parameter(variable, self._getter(i, p.get), p.trainable))
        return tuple(found)

    def _getter(self, i: int, get):
        """get(element) of the i-th of `groups`, in any tree shaped like the system."""
        for field in ("conductors", "capacitors", "ideal_diodes", "voltage_sources"):
            if i < len(getattr(self.network, field)):
                break
            i -= len(getattr(self.network, field))
        return lambda system: get(getattr(system.network, field)[i].element)

    def _dim(self, i: int) -> str:
        kinds = [group.element.kind for group in self.groups()]
        count = kinds[: i + 1].count(kinds[i])
        return kinds[i] if count == 1 else f"{kinds[i]}_{count}"

    def coordinates(self):
        axes = [("node", "free node", self.labels.free), ("output", "output", self.labels.outputs)]
        if self.labels.branches:
            axes.append(("source_branch", "element that fixes a voltage", self.labels.branches))
        axes += [
            (self._dim(i), group.element.kind.replace("_", " "), group.names) for i, group in enumerate(self.groups())
        ]
        if self.labels.inputs:
            axes.append(("input", "input source", self.labels.inputs))
        found = [(Variable(dim, (dim,), "1", long_name), names) for dim, long_name, names in axes]
        if len(set(self.labels.input_units)) > 1:
            found.append((Variable("input_unit", ("input",), "1", "unit of each input"), self.labels.input_units))
        return (*found, *stored.wiring(self))

    @property
    def description(self):
        return {"kind": type(self).__name__, **stored.described(self)}

    def default_inputs(self):
        return self.network.default_inputs(self.labels.inputs)

    def driven(self, inputs: Float[Array, " input"]) -> Network:
        """The network with the input sources set to these values."""
        return self.network.driven(self.labels.inputs, inputs)

    def potentials(self, state, inputs: Float[Array, " input"]) -> Float[Array, " node"]:
        """Potential, V, of every node in `labels.nodes`, ground and fixed ones included."""
        return self.driven(inputs).potentials(self.unknowns(state))

    def initial_state(self, inputs, key=None):
        """Every free node at 0 V: the circuit before it is switched on, its grounded capacitors discharged."""
        return self.as_state(jnp.zeros(self.network.unknowns, self.network.dtype))

    def residual(self, state, inputs):
        """Net current, A, that leaves each free node through its elements; then what constraints are missed by, V."""
        return self.as_state(self.driven(inputs).balance(self.unknowns(state)))

    def residual_scale(self, state, inputs):
        """Sum of |currents|, A, at each free node (see `Network.balance_scale`)."""
        return self.as_state(self.driven(inputs).balance_scale(self.unknowns(state)))

    def bounds(self, inputs):
        box = self.driven(inputs).bounds()
        return None if box is None else tuple(map(self.as_state, box))

    def mobility(self, force):
        """dv/dt = C^-1 force, V/s, with C the capacitance matrix of the free nodes.

        Raises PhysnetError naming the nodes that have no capacitance, whose potential would jump.
        """
        if self.labels.branches:
            raise PhysnetError(
                f"{', '.join(self.labels.branches[:20])} fix a voltage at once (ideal sources and amplifiers, sources "
                "whose current is sensed), so that the circuit has no dynamics of finite speed. Use a controlled "
                "current source with a resistor, or relax() for the steady state."
            )
        missing = self.labels.without_capacitance
        if missing:
            raise PhysnetError(
                f"the circuit has no time of its own: no capacitors lead from {', '.join(missing[:20])} to a fixed "
                'potential. Add one to each, such as circuit.capacitor("C1", node, 0, capacitance=1e-12), or relax '
                "with ProjectedNewton(), which needs none."
            )
        return self.network.rate(force, self.labels.capacitors_grounded)

    def check_changing(self):
        coupled = [self.labels.free[i] for i in self.network.coupled(self.labels.inputs)]
        if coupled:
            raise PhysnetError(
                f"{type(self).__name__}: a capacitor ties {', '.join(coupled[:20])} to a node whose potential an input "
                "sets, and the current that it carries while the input changes is not followed. Put a resistor in "
                "series with the source, with a small capacitor to ground after it, or use ac() for small signals."
            )

    def outputs(self, state, inputs):
        return self.driven(inputs).output_voltages(self.unknowns(state))

    def default_relaxer(self):
        from circuits.operating_point import OperatingPoint

        return OperatingPoint()

    def output_response(self, state, inputs):
        from circuits import response

        if not response.is_large(self.network):
            return super().output_response(state, inputs)
        return response.output_response(self, state, inputs)

    def adjoints(self, states, inputs, right, memory=None):
        from circuits import response

        if not response.is_large(self.network):
            return super().adjoints(states, inputs, right, memory)
        flat = jax.vmap(self.unknowns)(right)
        return jax.vmap(self.as_state)(response.adjoints(self, states, inputs, flat, memory))

    def values_of(self, name: str, tree=None) -> dict[str, float]:
        """The values of one element by name, in SI units: {"conductance": 1e-3}.

        name: of the element. tree: anything shaped like the system, such as the gradient that `ep_gradient` returns;
        the system itself by default. Values that the tree does not hold (gradients of what does not learn) are left
        out. Raises PhysnetError for an unknown element.
        """
        tree = self if tree is None else tree
        for i, group in enumerate(self.groups()):
            if name in group.names:
                arrays = {p.variable.name: self._getter(i, p.get)(tree) for p in group.element.parameters()}
                k = group.names.index(name)
                return {key: float(array[k]) for key, array in arrays.items() if array is not None}
        raise PhysnetError(f"{type(self).__name__}: no element {name!r}.{nearest(str(name), self.branch_names)}")

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
