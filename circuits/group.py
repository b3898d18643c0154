"""Elements of one kind, side by side in arrays, and where they are connected."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from circuits.bundle import Bundle, Names
from circuits.elements.base import Component, MultiTerminal
from circuits.topology import Topology
from physnet.precision import asarray


class Group(eqx.Module):
    """m elements of one kind between the nodes of a circuit.

    A circuit has u unknowns: its free potentials, then the branch currents of elements that carry one. An element
    reads values (the potentials of its terminals, its own current, the one it senses) and contributes flows to as many
    balances (the current into each terminal, its constraint).

    element: the elements, each field an array (m,). terminals: (k, m) nodes. rows: (r, m) the balances that the flows
    belong to. columns: (c, m) the unknowns behind the values. Both are u where there is no such unknown (a terminal at
    a fixed potential), or where both ends of a two-terminal element move together, so that its currents cancel.
    names: of the elements.
    """

    element: Component
    terminals: Int[Array, "terminal element"]
    rows: Int[Array, "flow element"]
    columns: Int[Array, "value element"]
    names: Names = eqx.field(static=True)

    @property
    def two_terminal(self) -> bool:
        return not isinstance(self.element, MultiTerminal)

    @property
    def first(self) -> Int[Array, " element"]:
        """Node of the first terminal."""
        return self.terminals[0]

    @property
    def second(self) -> Int[Array, " element"]:
        """Node of the second terminal."""
        return self.terminals[1]

    @property
    def out_of(self) -> Int[Array, " element"]:
        """Free potential of the first terminal."""
        return self.rows[0]

    @property
    def into(self) -> Int[Array, " element"]:
        """Free potential of the second terminal."""
        return self.rows[1]

    def voltage(self, potentials: Float[Array, " node"]) -> Float[Array, " element"]:
        """Voltage, V, of each element: first terminal above second."""
        return potentials[self.terminals[0]] - potentials[self.terminals[1]]

    def current(self, potentials: Float[Array, " node"]) -> Float[Array, " element"]:
        """Current, A, of each two-terminal element, from the first terminal to the second."""
        return self.element.current(self.voltage(potentials))

    def values(self, potentials: Float[Array, " node"], unknowns: Float[Array, " u"]) -> Float[Array, "value element"]:
        """What each element reads: potentials of its terminals, V, then its own and its sensed current, A."""
        at_terminals = potentials[self.terminals]
        if self.columns.shape[0] == self.terminals.shape[0]:
            return at_terminals
        extended = jnp.append(unknowns, jnp.zeros((), unknowns.dtype))
        return jnp.concatenate([at_terminals, extended[self.columns[self.terminals.shape[0] :]]])

    def flows(self, values: Float[Array, "value element"]) -> Float[Array, "flow element"]:
        """Current, A, into each terminal, and the constraint, V, of an element with a branch current."""
        if self.two_terminal:
            current = self.element.current(values[0] - values[1])
            return jnp.stack([current, -current])
        potentials, own, sensed = self._read(values)
        currents = self.element.currents(potentials, own, sensed)
        if not self.element.has_branch:
            return currents
        return jnp.concatenate([currents, self.element.constraint(potentials, own, sensed)[None]])

    def sizes(self, values: Float[Array, "value element"]) -> Float[Array, "flow element"]:
        """The size of the terms in each flow: |current|, A, and what cancels in a constraint, V."""
        if self.two_terminal or not self.element.has_branch:
            return jnp.abs(self.flows(values))
        potentials, own, sensed = self._read(values)
        currents = jnp.abs(self.element.currents(potentials, own, sensed))
        return jnp.concatenate([currents, self.element.constraint_scale(potentials, own, sensed)[None]])

    def slopes(self, values: Float[Array, "value element"]) -> Float[Array, "..."]:
        """d(flows)/d(values): the differential conductance (element,) of two terminals, else (flow, value, element)."""
        if self.two_terminal:
            return self.element.differential_conductance(values[0] - values[1])
        c = values.shape[0]
        units = jnp.broadcast_to(jnp.eye(c, dtype=values.dtype)[:, :, None], (c, *values.shape))
        return jax.vmap(lambda unit: jax.jvp(self.flows, (values,), (unit,))[1], out_axes=1)(units)

    def linearised(self, slopes: Array, change: Float[Array, "value element"]) -> Float[Array, "flow element"]:
        """slopes @ change: how the flows follow a change of the values."""
        if self.two_terminal:
            current = slopes * (change[0] - change[1])
            return jnp.stack([current, -current])
        return jnp.sum(slopes * change[None], axis=1)

    def _read(self, values):
        k = self.terminals.shape[0]
        zero = jnp.zeros_like(values[0])
        own = values[k] if self.element.has_branch else zero
        return values[:k], own, values[-1] if self.element.senses else zero


def make_group(bundle: Bundle, topology: Topology, branch_of: dict[str, int], dtype) -> Group:
    """The arrays of a bundle. branch_of: the unknown that is the branch current of each element that carries one."""
    free, dump = topology.group[bundle.nodes], len(topology.free) + len(branch_of)
    at_terminals = np.where(free == len(topology.free), dump, free)
    if not isinstance(bundle.element, MultiTerminal):
        at_terminals = np.where(free[0] == free[1], dump, at_terminals)
        rows = columns = at_terminals
    else:
        own = [[branch_of[name] for name in bundle.names]] if bundle.element.has_branch else []
        sensed = [[branch_of[name] for name in bundle.control]] if bundle.element.senses else []
        rows, columns = np.array([*at_terminals, *own]), np.array([*at_terminals, *own, *sensed])
    element = jax.tree.map(lambda leaf: asarray(np.array(leaf, dtype), dtype), bundle.element)
    indices = (jnp.asarray(np.asarray(x, np.int32)) for x in (bundle.nodes, rows, columns))
    return Group(element, *indices, bundle.names)


def gather(groups, flows, size: int, dtype) -> Float[Array, " u"]:
    """Sum in each balance of what elements bring to it. flows: for each group, (flow, element)."""
    # One scatter for all groups: each costs a loop to compile and to run.
    total = jnp.zeros(size + 1, dtype)
    if not groups:
        return total[:-1]
    ends = jnp.concatenate([group.rows.ravel() for group in groups])
    return total.at[ends].add(jnp.concatenate([flow.ravel() for flow in flows]))[:-1]
