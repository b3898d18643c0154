"""Deep resistive networks: layers of nodes, every pair of neighbouring layers joined by conductances.

Scellier, "A fast algorithm to simulate nonlinear resistive networks", ICML 2024, arXiv:2402.11674.
"""

from math import sqrt

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from circuits.elements.ideal_diode import IdealDiode
from circuits.elements.shockley_diode import ShockleyDiode
from circuits.layered_checks import check_conductances, check_diode, check_scalar, matrices
from circuits.nodal import NodalSystem
from circuits.nodes import FreeNode, IdealDiodeNode, Node, ShockleyNode
from physnet.errors import PhysnetError
from physnet.system import EnergySystem, Parameter
from physnet.variable import Variable

Voltages = tuple[Float[Array, " node"], ...]


class LayeredNetwork(NodalSystem, EnergySystem):
    """Inputs set the potentials of the first layer; hidden nodes carry a diode to ground; the last layer is read out.

    Each input x drives two nodes, at +gain x and -gain x volt, so that every conductance can stay positive. The state
    is one vector of node voltages, V, for each hidden layer and for the output layer. Its energy is the total
    co-content sum g_ij (v_i - v_j)^2 / 2 + diodes, W, whose minimum obeys Kirchhoff's current law.

    conductances: S, one matrix (before, after) for each pair of neighbouring layers, the first with twice as many rows
    as there are inputs (first all +, then all -); every node needs a path to a source. input_gain: volt per unit of
    input. diode: IdealDiode, ShockleyDiode or None, of every hidden node: in the first half of a layer it keeps
    voltages from falling below 0 V, in the second half from rising above. capacitance: F, of every node to ground;
    matters in time only. Raises PhysnetError for values that no such network can have.
    """

    conductances: tuple[Float[Array, "before after"], ...]
    input_gain: Float[Array, ""]
    capacitance: Float[Array, ""]
    diode: IdealDiode | ShockleyDiode | None

    midpoint_exact = True

    def __init__(self, conductances, *, input_gain=1.0, diode=None, capacitance=1e-12):
        conductances = matrices(conductances)
        check_conductances(conductances)
        check_scalar("input_gain", input_gain, "V (per unit of input)")
        check_scalar("capacitance", capacitance, "F")
        check_diode(diode)
        dtype = jnp.result_type(*conductances)
        self.conductances = tuple(jnp.asarray(g, dtype) for g in conductances)
        self.input_gain = jnp.asarray(input_gain, dtype)
        self.capacitance = jnp.asarray(capacitance, dtype)
        self.diode = diode

    @classmethod
    def random(
        cls,
        sizes: tuple[int, ...],
        *,
        key: PRNGKeyArray,
        input_gain: float = 1.0,
        diode: IdealDiode | ShockleyDiode | None = None,
        capacitance: float = 1e-12,
        dtype=None,
    ) -> "LayeredNetwork":
        """The published initialisation: uniform in +-1/sqrt(fan-in), clipped at 0 S: half the branches are open.

        sizes: (inputs, hidden..., outputs), inputs before doubling. dtype: float64, or float32 for fast training.
        """
        if len(sizes) < 2 or any(int(size) < 1 for size in sizes):
            raise PhysnetError(f"LayeredNetwork: sizes {tuple(sizes)}; give (inputs, hidden..., outputs), each >= 1.")
        dtype = jnp.dtype(float if dtype is None else dtype)
        widths = (2 * sizes[0], *sizes[1:])
        keys = jax.random.split(key, len(widths) - 1)
        conductances = [
            jnp.maximum(jax.random.uniform(k, (n, m), dtype, -1, 1) / jnp.asarray(sqrt(n), dtype), 0)
            for k, n, m in zip(keys, widths, widths[1:])
        ]
        return cls(conductances, input_gain=input_gain, diode=diode, capacitance=capacitance)

    @property
    def depth(self) -> int:
        """Number of settling layers, hidden and output."""
        return len(self.conductances)

    def _layer_names(self) -> tuple[str, ...]:
        return (*(f"hidden_{i + 1}" for i in range(self.depth - 1)), "output")

    @property
    def variables(self):
        names = self._layer_names()
        return tuple(
            Variable(f"{name}_voltage", (name,), "V", f"node voltage, {name.replace('_', ' ')} layer") for name in names
        )

    @property
    def parameters(self):
        dims = ("source", *self._layer_names())

        def parameter(i):
            long_name = f"conductance between the {dims[i].replace('_', ' ')} and {dims[i + 1].replace('_', ' ')} nodes"
            variable = Variable(f"conductance_{i + 1}", dims[i : i + 2], "S", long_name, (0.0, np.inf))
            return Parameter(variable, lambda system: system.conductances[i])

        gain = Variable("input_gain", (), "V", "source voltage per unit of input")
        capacitance = Variable("capacitance", (), "F", "capacitance of every node to ground")
        return (
            *(parameter(i) for i in range(self.depth)),
            Parameter(gain, lambda system: system.input_gain, trainable=False),
            Parameter(capacitance, lambda system: system.capacitance, trainable=False),
        )

    @property
    def input_variable(self):
        return Variable("input", ("feature",), "1", "input, before gain and doubling")

    @property
    def output_variable(self):
        return Variable("prediction", ("output",), "V", "output node voltage")

    @property
    def input_shape(self):
        return (self.conductances[0].shape[0] // 2,)

    def input_drive(self, inputs):
        """Current, A, that the sources push into the first layer with its nodes at 0 V.

        inputs: (..., feature), dimensionless.
        """
        positive, negative = jnp.split(self.conductances[0], 2)
        return self.input_gain * (inputs @ (positive - negative))

    def node_conductance(self) -> tuple[Float[Array, " node"], ...]:
        """Total conductance, S, that ties each node of each layer to its neighbours."""
        below = [jnp.sum(g, axis=0) for g in self.conductances]
        above = [jnp.sum(g, axis=1) for g in self.conductances[1:]]
        return (*(b + a for b, a in zip(below, above)), below[-1])

    def nodes(self) -> tuple[Node, ...]:
        """The closed-form node problem of each layer (see circuits.nodes)."""
        return (*(self._hidden_node(g.shape[1], g.dtype) for g in self.conductances[:-1]), FreeNode())

    def _hidden_node(self, width: int, dtype) -> Node:
        if self.diode is None:
            return FreeNode()
        down = jnp.arange(width) >= (width + 1) // 2
        if isinstance(self.diode, IdealDiode):
            infinite, zero = jnp.asarray(jnp.inf, dtype), jnp.zeros((), dtype)
            return IdealDiodeNode(jnp.where(down, -infinite, zero), jnp.where(down, zero, infinite))
        orientation = jnp.where(down, 1, -1).astype(dtype)
        saturation = jnp.asarray(self.diode.saturation_current, dtype)
        thermal = jnp.asarray(self.diode.thermal_voltage, dtype)
        return ShockleyNode(orientation, jnp.broadcast_to(jnp.log(saturation), (width,)), thermal)

    def initial_state(self, inputs, key=None):
        """A feed-forward guess: each layer settles on the one before as if nothing came after."""
        state, inflow = [], self.input_drive(inputs)
        for i, node in enumerate(self.nodes()):
            state.append(node.settle(inflow, jnp.sum(self.conductances[i], axis=0)))
            if i + 1 < self.depth:
                inflow = state[-1] @ self.conductances[i + 1]
        return tuple(state)

    def rest_state(self, inputs):
        """Every node at 0 V, its capacitance discharged."""
        return tuple(jnp.zeros(g.shape[1], g.dtype) for g in self.conductances)

    @property
    def description(self):
        return {
            "kind": "LayeredNetwork",
            "sizes": [*self.input_shape, *(g.shape[1] for g in self.conductances)],
            "diode": None if self.diode is None else self.diode.description,
            "input_gain": float(self.input_gain),
            "capacitance": float(self.capacitance),
        }

    def energy(self, state, inputs):
        # Expanded, so that the sample axis meets the conductances in matrix products only.
        first = self.conductances[0]
        sources = self.input_gain * jnp.concatenate([inputs, inputs])
        energy = 0.5 * jnp.sum(sources**2 * jnp.sum(first, axis=1)) - jnp.vdot(self.input_drive(inputs), state[0])
        for voltage, conductance in zip(state, self.node_conductance()):
            energy += 0.5 * jnp.sum(conductance * voltage**2)
        for below, above, g in zip(state, state[1:], self.conductances[1:]):
            energy -= jnp.sum((below @ g) * above)
        if isinstance(self.diode, ShockleyDiode):
            for voltage, node in zip(state[:-1], self.nodes()):
                energy += jnp.sum(self.diode.cocontent(node.orientation * voltage))
        return energy

    def mobility(self, force):
        return jax.tree.map(lambda current: current / self.capacitance, force)

    def outputs(self, state, inputs):
        return state[-1]

    def bounds(self, inputs):
        if not isinstance(self.diode, IdealDiode):
            return None
        hidden = self.nodes()[:-1]
        free = jnp.full(self.conductances[-1].shape[1:], jnp.inf, self.conductances[-1].dtype)
        return (*(node.lowest for node in hidden), -free), (*(node.highest for node in hidden), free)

    def residual_scale(self, state, inputs):
        """Sum of |branch currents|, A, at every node, diodes included.

        At least eps^(1/4) of g |v|, and of the diode's saturation current: a node that carries no current is balanced
        as well as its voltage, and the two halves of its diode's law, can be resolved.
        """
        sources = self.input_gain * jnp.concatenate([inputs, -inputs])
        layers = (sources, *state)
        scale = [jnp.zeros_like(voltage) for voltage in layers]
        for i, g in enumerate(self.conductances):
            below, above = _absolute_currents(layers[i], layers[i + 1], g)
            scale[i] += below
            scale[i + 1] += above
        scale = scale[1:]
        share = jnp.finfo(scale[0].dtype).eps ** 0.25
        resolved = [share * g * jnp.abs(v) for g, v in zip(self.node_conductance(), state)]
        if isinstance(self.diode, ShockleyDiode):
            resolved = [*(r + share * self.diode.saturation_current for r in resolved[:-1]), resolved[-1]]
            diodes = [jnp.abs(self.diode.current(n.orientation * v)) for n, v in zip(self.nodes(), state[:-1])]
            scale = [*(s + d for s, d in zip(scale, diodes)), scale[-1]]
        return tuple(jnp.maximum(s, r) for s, r in zip(scale, resolved))

    def nudging_scale(self, state, inputs):
        """Smallest eigenvalue of the output Thevenin conductance, S, with every diode open.

        Diodes only add conductance, so below this beta the nudged co-content is convex whatever the sample.
        """
        return thevenin_conductance(self)

    def default_relaxer(self):
        from circuits.block_descent import BlockDescent

        return BlockDescent()


def thevenin_conductance(network: LayeredNetwork) -> Float[Array, ""]:
    """Smallest eigenvalue, S, of the Schur complement of the output layer, all diodes open: layer by layer.

    network: the layered network. A node whose branches are all open is left out.
    """
    total = network.node_conductance()
    # On the diagonal, in the place of 0, it is above every eigenvalue that counts.
    largest = jnp.max(jnp.concatenate(total))
    largest = jnp.where(largest > 0, largest, 1)
    total = [jnp.where(g > 0, g, largest) for g in total]
    schur = jnp.diag(total[0])
    for g, conductance in zip(network.conductances[1:], total[1:]):
        schur = jnp.diag(conductance) - g.T @ jnp.linalg.solve(schur, g)
    return jnp.linalg.eigvalsh(schur)[0]


def _absolute_currents(below, above, conductance):
    """(sum_j g_ij |v_i - v_j|, sum_i g_ij |v_i - v_j|), one row at a time: never (sample, before, after)."""

    def row(total, branch):
        g, voltage = branch
        currents = g * jnp.abs(voltage - above)
        return total + currents, jnp.sum(currents)

    onto_above, onto_below = jax.lax.scan(row, jnp.zeros_like(above), (conductance, below))
    return onto_below, onto_above
