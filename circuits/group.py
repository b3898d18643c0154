"""Elements of one kind, side by side in arrays, and where they are connected."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from circuits.elements import Element
from circuits.topology import Branch, Topology
from physnet.precision import asarray


class Group(eqx.Module):
    """m elements of one kind between the nodes of a circuit.

    element: the elements, each field an array (m,). first, second: (m,) nodes of the terminals. out_of, into: (m,) the
    free potential that the first and second terminal belong to, or n (the number of free potentials) where there is
    none, or where both belong to the same one and their currents cancel exactly. names: of the elements.
    """

    element: Element
    first: Int[Array, " element"]
    second: Int[Array, " element"]
    out_of: Int[Array, " element"]
    into: Int[Array, " element"]
    names: tuple[str, ...] = eqx.field(static=True)

    def voltage(self, potentials: Float[Array, " node"]) -> Float[Array, " element"]:
        """Voltage, V, of each element: first terminal above second."""
        return potentials[self.first] - potentials[self.second]

    def current(self, potentials: Float[Array, " node"]) -> Float[Array, " element"]:
        """Current, A, of each element, from the first terminal to the second."""
        return self.element.current(self.voltage(potentials))


def group_branches(branches: list[Branch], topology: Topology, dtype) -> list[Group]:
    """Branches sorted into groups of equal type and equal static fields, in order of first appearance."""
    kinds: dict = {}
    for branch in branches:
        key = jax.tree.structure(branch.element)
        kinds.setdefault(key, []).append(branch)
    return [make_group(members, topology, dtype) for members in kinds.values()]


def make_group(branches: list[Branch], topology: Topology, dtype) -> Group:
    """One group of branches, which must hold elements of one kind."""
    number = {node: i for i, node in enumerate(topology.nodes)}
    first = np.array([number[branch.first] for branch in branches], np.int32)
    second = np.array([number[branch.second] for branch in branches], np.int32)
    groups = np.array(topology.group, np.int32)
    rigid = groups[first] == groups[second]
    ends = [np.where(rigid, len(topology.free), groups[node]).astype(np.int32) for node in (first, second)]
    element = jax.tree.map(lambda *leaves: asarray(np.array(leaves, dtype), dtype), *(b.element for b in branches))
    names = tuple(branch.name for branch in branches)
    return Group(element, *(jnp.asarray(x) for x in (first, second, *ends)), names)


def gather(groups, values, state: Float[Array, " free"]) -> Float[Array, " free"]:
    """Sum at each free potential of what elements bring to it. values: for each group, (at first, at second end)."""
    ends = [end for group in groups for end in (group.out_of, group.into)]
    brought = [value for pair in values for value in pair]
    # One scatter for all groups: each costs a loop to compile and to run.
    total = jnp.zeros(state.shape[0] + 1, state.dtype)
    return total.at[jnp.concatenate(ends)].add(jnp.concatenate(brought))[:-1] if ends else total[:-1]
