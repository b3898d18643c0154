"""The equations of a circuit: Kirchhoff's current law at every free potential, and what ideal sources demand."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from circuits.bundle import Names
from circuits.elements import CurrentSource, VoltageSource
from circuits.group import Group, gather
from circuits.pattern import Pattern


class Network(eqx.Module):
    """Elements between nodes, as arrays. Its unknowns u are the free potentials, V, then the branch currents, A.

    conductors: groups with a current law. capacitors, ideal_diodes, voltage_sources: the others. group_of_node: the
    free potential of each node, `free` for fixed ones. offset_*: the voltage sources between a node and the reference
    of its group. plus, minus: nodes of each output. pattern: which derivatives of the equations are not zero.
    """

    conductors: tuple[Group, ...]
    capacitors: tuple[Group, ...]
    ideal_diodes: tuple[Group, ...]
    voltage_sources: tuple[Group, ...]
    group_of_node: Int[Array, " node"]
    offset_node: Int[Array, " entry"]
    offset_source: Int[Array, " entry"]
    offset_sign: Float[Array, " entry"]
    plus: Int[Array, " output"]
    minus: Int[Array, " output"]
    free: int = eqx.field(static=True)
    branches: int = eqx.field(static=True)
    pattern: Pattern = eqx.field(static=True)

    @property
    def unknowns(self) -> int:
        """Number of unknowns."""
        return self.free + self.branches

    @property
    def dtype(self):
        return self.offset_sign.dtype

    def groups(self) -> tuple[Group, ...]:
        """Every group of elements."""
        return (*self.conductors, *self.capacitors, *self.ideal_diodes, *self.voltage_sources)

    def with_groups(self, groups) -> "Network":
        """The same network with other groups in the order of `groups()`."""
        groups, parts = list(groups), []
        for part in (self.conductors, self.capacitors, self.ideal_diodes, self.voltage_sources):
            parts.append(tuple(groups[: len(part)]))
            groups = groups[len(part) :]
        return replace(self, conductors=parts[0], capacitors=parts[1], ideal_diodes=parts[2], voltage_sources=parts[3])

    def default_inputs(self, names: Names) -> Float[Array, " input"]:
        """The declared values of the sources of these names."""
        values = []
        for name in names:
            group = next(g for g in self.groups() if _is_source(g) and name in g.names)
            values.append(source_value(group.element)[group.names.index(name)])
        return jnp.stack(values) if values else jnp.zeros(0, self.dtype)

    def driven(self, names: Names, values: Float[Array, " input"]) -> "Network":
        """The same circuit with the sources of these names set to these values."""
        if not names:
            return self

        def drive(group):
            if not _is_source(group):
                return group
            where = [(group.names.index(name), k) for k, name in enumerate(names) if name in group.names]
            if not where:
                return group
            places, columns = (np.array(indices) for indices in zip(*where))
            value = source_value(group.element).at[places].set(values[columns])
            return eqx.tree_at(lambda g: source_value(g.element), group, value)

        return self.with_groups(map(drive, self.groups()))

    def scaled(self, share: Float[Array, ""]) -> "Network":
        """The same circuit with every source at this share of its value."""

        def scale(group):
            if not _is_source(group):
                return group
            return eqx.tree_at(lambda g: source_value(g.element), group, share * source_value(group.element))

        return self.with_groups(map(scale, self.groups()))

    def potentials(self, unknowns: Float[Array, " u"]) -> Float[Array, " node"]:
        """Potential, V, of every node."""
        return self._potentials(unknowns, lambda offset: offset)

    def _potentials(self, unknowns, change):
        free = unknowns[: self.free]
        potentials = jnp.append(free, jnp.zeros((), free.dtype))[self.group_of_node]
        if self.voltage_sources:
            voltages = jnp.concatenate([group.element.voltage for group in self.voltage_sources])
            offsets = change(self.offset_sign * voltages[self.offset_source])
            potentials = potentials.at[self.offset_node].add(offsets)
        return potentials

    def values(self, unknowns: Float[Array, " u"]) -> list[Array]:
        """What the elements of each conducting group read."""
        potentials = self.potentials(unknowns)
        return [group.values(potentials, unknowns) for group in self.conductors]

    def balance(self, unknowns: Float[Array, " u"]) -> Float[Array, " u"]:
        """Net current, A, that leaves each free potential through its elements; then the constraints, V."""
        flows = [group.flows(values) for group, values in zip(self.conductors, self.values(unknowns))]
        return gather(self.conductors, flows, self.unknowns, unknowns.dtype)

    def balance_scale(self, unknowns: Float[Array, " u"]) -> Float[Array, " u"]:
        """Sum of |currents|, A, at each free potential, but not less than what arithmetic can resolve.

        A current is computed from potentials that are each known to eps, the rounding of the floating type: its own
        rounding is eps g (|v_a| + |v_b|), however small it is. Where next to no current flows (a dangling branch) the
        balance cannot be finer than that, so the scale is at least eps^(1/5) sum g (|v_a| + |v_b|), which is eps^(4/5)
        above the rounding, relatively: 3e-13 in double and 3e-6 in single precision; and at least eps^(6/5) of what
        the sources could drive through linear elements, without which a part that no source reaches never settled.
        Constraints, V, are measured against the sum of their terms, but no less than eps^(1/5) times the largest
        potential.
        """
        net, gross = [], []
        # A node behind a source is known no better than the potentials that it is the difference of.
        reach = self._potentials(jnp.abs(unknowns), jnp.abs)
        for group, values in zip(self.conductors, self.values(unknowns)):
            net.append(group.sizes(values))
            slopes, known = jnp.abs(group.slopes(values)), group.values(reach, jnp.abs(unknowns))
            if group.two_terminal:
                gross.append(jnp.stack([slopes * (known[0] + known[1])] * 2))
            else:
                gross.append(jnp.sum(slopes * known[None], axis=1))
        size, dtype = self.unknowns, unknowns.dtype
        floor = gather(self.conductors, gross, size, dtype)
        eps = jnp.finfo(dtype).eps
        floor = jnp.maximum(floor, eps * self.drive())
        if self.branches:
            largest = jnp.max(jnp.abs(self.potentials(unknowns)))
            floor = jnp.where(jnp.arange(size) < self.free, floor, jnp.maximum(floor, largest))
        floor = eps**0.2 * floor
        return jnp.maximum(gather(self.conductors, net, size, dtype), floor)

    def drive(self) -> Float[Array, ""]:
        """The largest current, A, that sources could drive into a node through its linear elements."""

        def largest(values):
            return jnp.max(jnp.abs(jnp.concatenate([jnp.zeros(1, self.dtype), *values])))

        voltage = largest([group.element.voltage for group in self.voltage_sources])
        current = largest([g.element.current_value for g in self.conductors if isinstance(g.element, CurrentSource)])
        return voltage * self.stiffest() + current

    def stiffest(self) -> Float[Array, ""]:
        """The largest conductance, S, that linear elements show at any free node."""
        linear = [g for g in self.conductors if g.two_terminal and g.element.quadratic]
        slopes = [jnp.stack([g.slopes(jnp.zeros((2, len(g.names)), self.dtype))] * 2) for g in linear]
        return jnp.max(gather(linear, slopes, self.unknowns, self.dtype)[: self.free], initial=0)

    def bounds(self) -> tuple[Array, Array] | None:
        """The box that ideal diodes keep the free potentials in, V; None without any.

        NaN where diodes contradict each other (they short a source): such a state never counts as converged.
        """
        if not self.ideal_diodes:
            return None
        potentials = self.potentials(jnp.zeros(self.unknowns, self.dtype))
        lowest = jnp.full(self.unknowns + 1, -jnp.inf, self.dtype)
        highest = -lowest
        shorted = jnp.zeros((), bool)
        for group in self.ideal_diodes:
            forward = group.voltage(potentials)
            # A terminal without a free potential writes to the last place, which is cut off below.
            highest = highest.at[group.out_of].min(-forward)
            lowest = lowest.at[group.into].max(forward)
            shorted |= jnp.any((group.out_of == group.into) & (forward > 0))
        lowest, highest = lowest[:-1], highest[:-1]
        wrong = shorted | (lowest > highest)
        return jnp.where(wrong, jnp.nan, lowest), jnp.where(wrong, jnp.nan, highest)

    def output_voltages(self, unknowns: Float[Array, " u"]) -> Float[Array, " output"]:
        """Voltage, V, of each output."""
        potentials = self.potentials(unknowns)
        return potentials[self.plus] - potentials[self.minus]

    def coupled(self, names: Names) -> np.ndarray:
        """Free potentials that a capacitor ties to a node whose potential the sources of these names set."""

        def charges(values):
            potentials = self.driven(names, values).potentials(jnp.zeros(self.unknowns, self.dtype))
            return [group.element.capacitance * group.voltage(potentials) for group in self.capacitors]

        found = np.zeros(self.unknowns + 1, bool)
        for group, slopes in zip(self.capacitors, jax.jacfwd(charges)(self.default_inputs(names))):
            moved = np.any(np.asarray(slopes) != 0, axis=1)
            found[np.asarray(group.rows)[:, moved]] = True
        return np.flatnonzero(found[: self.free])

    def rate(self, current: Float[Array, " free"], grounded: bool) -> Float[Array, " free"]:
        """dv/dt, V/s, of the free potentials into which these currents (A) flow: C^-1 current.

        grounded: no capacitor joins two free potentials.
        """
        if grounded:
            flows = [jnp.stack([group.element.capacitance] * 2) for group in self.capacitors]
            return current / gather(self.capacitors, flows, self.unknowns, current.dtype)[: self.free]
        size = self.unknowns
        matrix = jnp.zeros((size + 1, size + 1), current.dtype)
        for group in self.capacitors:
            a, b, c = group.out_of, group.into, group.element.capacitance
            matrix = matrix.at[a, a].add(c).at[b, b].add(c).at[a, b].add(-c).at[b, a].add(-c)
        return jnp.linalg.solve(matrix[: self.free, : self.free], current)


def _is_source(group: Group) -> bool:
    return isinstance(group.element, VoltageSource | CurrentSource)


def source_value(element):
    """The voltage or the current of a source."""
    return element.voltage if isinstance(element, VoltageSource) else element.current_value
