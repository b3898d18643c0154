"""Power and energy of a circuit at a steady state: what every element absorbs, what the sources supply."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.branches import branch_currents
from circuits.contract import CircuitContract
from circuits.elements import CurrentSource, VoltageSource
from physnet.equilibrium import Equilibrium
from physnet.errors import PhysnetError


@eqx.filter_jit
def branch_powers(system: CircuitContract, state, inputs: Float[Array, " input"]) -> Float[Array, " branch"]:
    """Power, W, that each element of one sample absorbs, in the order of `system.branch_names`.

    sum_k v_k i_k over its terminals, v i for two: positive in a resistor, negative in a source that delivers. The
    powers sum to zero (Tellegen) wherever Kirchhoff's current law holds, currents through ground included; an element
    that draws on a supply of its own (an amplifier) absorbs a negative power where it delivers one.

    system: what `Circuit.build` made. state: of one sample, V (and A where it has branch currents). inputs: of one
    sample, V or A.
    """
    driven, unknowns = system.driven(inputs), system.unknowns(state)
    potentials = driven.potentials(unknowns)
    currents = branch_currents(system, state, inputs)
    powers, start = [], 0
    for group in driven.groups():
        if group.two_terminal:
            power = group.voltage(potentials) * currents[start : start + len(group.names)]
        else:
            flows = group.flows(group.values(potentials, unknowns))[: group.terminals.shape[0]]
            power = jnp.sum(potentials[group.terminals] * flows, axis=0)
        powers.append(power)
        start += len(group.names)
    return jnp.concatenate(powers)


def powers(equilibrium: Equilibrium) -> Float[Array, "*sample branch"]:
    """Power, W, that each element absorbs at a steady state (see `branch_powers`).

    equilibrium: what `relax` returned. Along the last axis as `equilibrium.system.branch_names`; of a system around a
    circuit, such as an ensemble, as the circuit's. Raises PhysnetError for a state that is not of a circuit.
    """
    system, inputs = equilibrium.system, equilibrium.inputs
    _circuit(system)
    if jnp.ndim(equilibrium.residual):
        return _each(system, equilibrium.state, inputs)
    return _one(system, equilibrium.state, inputs)


def supplied_power(equilibrium: Equilibrium) -> Float[Array, "*sample"]:
    """Power, W, that the voltage and current sources of a circuit supply: what all other elements absorb.

    equilibrium: what `relax` returned.
    """
    groups = _circuit(equilibrium.system).groups()
    source = np.concatenate(
        [np.full(len(group.names), isinstance(group.element, VoltageSource | CurrentSource)) for group in groups]
    )
    return -jnp.sum(jnp.where(source, powers(equilibrium), 0), axis=-1)


def supplied_energy(equilibrium: Equilibrium, duration: float) -> Float[Array, "*sample"]:
    """Energy, J, that the sources supply while a circuit stays at a steady state.

    equilibrium: what `relax` returned. duration: s, at least 0. Without what it takes to get there: the charging of
    capacitances. Raises PhysnetError for a negative duration.
    """
    if isinstance(duration, bool) or not isinstance(duration, int | float | np.number) or not 0 <= duration < np.inf:
        raise PhysnetError(f"supplied_energy: duration is {duration!r} s; give a time in seconds, at least 0.")
    return supplied_power(equilibrium) * float(duration)


def _one(system, state, inputs):
    while not isinstance(system, CircuitContract):
        system, inputs = system.under(inputs)
    return branch_powers(system, state, inputs)


@eqx.filter_jit
def _each(system, states, inputs):
    return jax.vmap(lambda state, inputs: _one(system, state, inputs))(states, inputs)


def _circuit(system) -> CircuitContract:
    """The circuit inside all that was put around it."""
    inner = system
    while inner is not None and not isinstance(inner, CircuitContract):
        inner = getattr(inner, "system", None)
    if inner is None:
        raise PhysnetError(
            f"powers: this is a state of {'no system' if system is None else type(system).__name__}; pass what relax() "
            "returned for a circuit made by Circuit.build()."
        )
    return inner
