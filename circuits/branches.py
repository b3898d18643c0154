"""Voltage, current and power of every element at a steady state, those that no current law gives included."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physnet.errors import PhysnetError
from physnet.variable import Variable


@eqx.filter_jit
def branch_voltages(system, state: Float[Array, " free"], inputs: Float[Array, " input"]) -> Float[Array, " branch"]:
    """Voltage, V, of every element, first terminal above second, in the order of `system.branch_names`."""
    potentials = system.potentials(state, inputs)
    return jnp.concatenate([group.voltage(potentials) for group in system.groups()])


@eqx.filter_jit
def branch_currents(system, state: Float[Array, " free"], inputs: Float[Array, " input"]) -> Float[Array, " branch"]:
    """Current, A, of every element at a steady state, from first terminal to second, as `system.branch_names`.

    Elements with a current law follow it. An ideal diode at its limit carries what Kirchhoff's law asks at its free
    node (shared equally where several hold one node), a voltage source what it asks at its own. A voltage source that
    closes a loop of others is given no current: how they share one is not determined. Capacitors carry none.
    """
    driven, unknowns = system.driven(inputs), system.unknowns(state)
    potentials = driven.potentials(unknowns)
    flows = {id(group): group.flows(group.values(potentials, unknowns)) for group in driven.conductors}
    imbalance = driven.balance(unknowns)
    for group, shares in zip(driven.ideal_diodes, _ideal_diode_shares(driven, potentials, imbalance)):
        flows[id(group)] = jnp.stack([shares, -shares])
    leaving = jnp.zeros_like(potentials)
    for group in (*driven.conductors, *driven.ideal_diodes):
        leaving = leaving.at[group.terminals].add(flows[id(group)][: group.terminals.shape[0]])
    currents = {key: flow[0] for key, flow in flows.items()}
    for group in driven.capacitors:
        currents[id(group)] = group.current(potentials)
    # Potentials are group + offsets @ voltages; by conservation of energy the transpose gives the currents.
    sources = jnp.zeros(sum(len(group.names) for group in driven.voltage_sources), leaving.dtype)
    sources = sources.at[driven.offset_source].add(-driven.offset_sign * leaving[driven.offset_node])
    start = 0
    for group in driven.voltage_sources:
        currents[id(group)] = sources[start : start + len(group.names)]
        start += len(group.names)
    return jnp.concatenate([currents[id(group)] for group in driven.groups()])


def _ideal_diode_shares(driven, potentials, imbalance):
    """Current of each ideal diode, group by group: the imbalance of its node, where it stands against the diode."""
    net = jnp.append(imbalance, 0)
    rounding = 64 * jnp.finfo(net.dtype).eps
    active, count = [], jnp.zeros_like(net)
    for group in driven.ideal_diodes:
        size = jnp.abs(potentials[group.first]) + jnp.abs(potentials[group.second])
        at_limit = group.voltage(potentials) >= -rounding * size
        holding = at_limit & ((net[group.out_of] < 0) | (net[group.into] > 0))
        active.append(holding)
        count = count.at[group.out_of].add(holding).at[group.into].add(holding)
    for group, holding in zip(driven.ideal_diodes, active):
        need = jnp.abs(net[group.out_of]) + jnp.abs(net[group.into])  # one of the two is a fixed potential: zero
        share = jnp.maximum(jnp.minimum(count[group.out_of], count[group.into]), 1)
        yield jnp.where(holding, need / share, 0)


def branch_dataset(equilibrium, **attributes):
    """A `physnet-1` dataset of every element at an equilibrium of a circuit: by name, with kind, certificate included.

    Power is absorbed power, the sum of v i over the terminals: positive in a resistor, negative in a source that
    delivers. It sums to zero over the branches (Tellegen). equilibrium: what `relax` returned. attributes: title,
    summary, references, seed, config; anything else becomes a global attribute. Raises PhysnetError for an equilibrium
    of another system.
    """
    from circuits.contract import CircuitContract
    from physnet import datasets

    system, state, inputs = equilibrium.system, equilibrium.state, equilibrium.inputs
    if not isinstance(system, CircuitContract):
        raise PhysnetError(
            f"branch_dataset: this is a state of {'no system' if system is None else type(system).__name__}; pass what "
            "relax() returned for a circuit made by Circuit.build()."
        )
    sample = ("sample",) if jnp.ndim(equilibrium.residual) else ()
    dims = (*sample, "branch")
    from circuits.power import branch_powers

    functions = (branch_voltages, branch_currents, branch_powers)
    if sample:
        functions = [jax.vmap(f, in_axes=(None, 0, 0)) for f in functions]
    v, i, power = (f(system, state, inputs) for f in functions)
    kinds = [group.element.kind for group in system.groups() for _ in group.names]
    return datasets.build(
        system,
        [
            (Variable("branch_voltage", dims, "V", "voltage of each element, first terminal above second"), v),
            (Variable("branch_current", dims, "A", "current of each element, first terminal to second"), i),
            (Variable("branch_power", dims, "W", "power absorbed by each element"), power),
            (Variable("residual", sample, "1", "relative residual of Kirchhoff's current law"), equilibrium.residual),
            (Variable("converged", sample, "1", "whether the steady state was reached"), equilibrium.converged),
        ],
        coords=[
            (Variable("branch", ("branch",), "1", "element"), np.asarray(system.branch_names)),
            (Variable("kind", ("branch",), "1", "kind of element"), np.asarray(kinds)),
        ],
        default_title="Branch voltages, currents and powers of a circuit",
        dtype=equilibrium.outputs.dtype,
        **attributes,
    )
