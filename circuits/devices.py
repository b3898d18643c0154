"""Circuits and layered networks made of devices that are not ideal: one of them, many of them, or one that learns.

A nonideality acts on the conductances of devices: the trainable resistors of a circuit, or whatever parameters of a
system are called "conductance". Fixed resistors (loads, wires) stay as they are.
"""

import re
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from circuits.circuit import Circuit
from circuits.elements import Resistor
from circuits.nonidealities import Cycle, Nonideality
from physnet.augmented import Resolving
from physnet.checks import check_inputs
from physnet.errors import PhysnetError, require_instance
from physnet.system import EnergySystem, Parameter, System
from physnet.variable import Variable

_CONDUCTANCE = re.compile(r"conductance(_\d+)?")


def apply(target, nonideality: Nonideality, *, key: PRNGKeyArray, cycle: Cycle = 0):
    """The `Circuit`, or the built system, with the conductances that the device of this key has instead of its own.

    The transform sees all devices as one array (device,), S, in the order of the circuit's elements or of the system's
    parameters, so that a circuit comes out the same before and after `build()`. Raises PhysnetError for something
    without devices.
    """
    require_instance(nonideality, Nonideality, "apply: nonideality")
    if isinstance(target, Circuit):
        return _applied_to_circuit(target, nonideality, key, cycle)
    require_instance(target, System, "apply: target")
    chosen = _devices_of(target)
    values = [p.get(target) for p in chosen]
    found = nonideality(jnp.concatenate([value.ravel() for value in values]), key, cycle)
    parts = jnp.split(found, np.cumsum([value.size for value in values])[:-1])
    new = [part.reshape(value.shape) for part, value in zip(parts, values)]
    return eqx.tree_at(lambda tree: [p.get(tree) for p in chosen], target, new)


def _applied_to_circuit(circuit, nonideality, key, cycle) -> Circuit:
    def is_device(bundle):
        return isinstance(bundle.element, Resistor) and bundle.element.trainable

    given = [np.asarray(bundle.element.conductance, float) for bundle in circuit.bundles() if is_device(bundle)]
    if not given:
        raise PhysnetError("apply: the circuit has no trainable resistors, which are its devices. Add some.")
    found = np.asarray(nonideality(jnp.asarray(np.concatenate(given)), key, cycle))
    parts = iter(np.split(found, np.cumsum([len(g) for g in given])[:-1]))

    def change(bundle):
        return replace(bundle, element=Resistor(next(parts))) if is_device(bundle) else bundle

    return circuit.mapped(change)


def _devices_of(system: System) -> list[Parameter]:
    found = [p for p in system.parameters if p.trainable and _CONDUCTANCE.fullmatch(p.variable.name)]
    if not found:
        names = ", ".join(p.variable.name for p in system.parameters if p.trainable) or "none"
        raise PhysnetError(
            f"{type(system).__name__} has no devices: no trainable parameter is called conductance (it has: {names})."
        )
    return found


class Devices(Resolving):
    """A system whose conductances are written, and then are what the devices make of them."""

    nonideality: eqx.AbstractVar[Nonideality]
    key: eqx.AbstractVar[PRNGKeyArray]

    @property
    def midpoint_exact(self):
        return getattr(self.system, "midpoint_exact", False)

    @property
    def description(self):
        kind, values = type(self).__name__, repr(self.nonideality)
        return {"kind": kind, "system": self.system.description, "nonideality": values}

    def default_relaxer(self):
        from circuits.on_device import OnDevice

        return OnDevice(self.system.default_relaxer())

    def energy(self, state, inputs):
        system, inputs = self.under(inputs)
        return system.energy(state, inputs)

    def mobility(self, force):
        return self.system.mobility(force)

    def nudging_scale(self, state, inputs):
        system, inputs = self.under(inputs)
        return system.nudging_scale(state, inputs)


class ProgrammedDevice(Devices):
    """One device in situ: what is written is learned, what it conducts is what the nonideality makes of that."""

    cycle: eqx.AbstractVar[Array]

    def under(self, inputs):
        return apply(self.system, self.nonideality, key=self.key, cycle=self.cycle), inputs

    def next_cycle(self):
        """The same device at its next write or read: noise and cycle-to-cycle spread are drawn anew."""
        return replace(self, cycle=self.cycle + 1)

    @property
    def device(self) -> System:
        """The system as it is, with the conductances that the device has now."""
        return apply(self.system, self.nonideality, key=self.key, cycle=self.cycle)

    def default_inputs(self):
        return self.system.default_inputs()


class Programmed(ProgrammedDevice, EnergySystem):
    """A device that learns in situ, of a system with an energy (see `programmed`)."""

    system: EnergySystem
    nonideality: Nonideality
    key: PRNGKeyArray
    cycle: Array


class ActiveProgrammed(ProgrammedDevice):
    """A device that learns in situ, of a system without an energy (see `programmed`)."""

    system: System
    nonideality: Nonideality
    key: PRNGKeyArray
    cycle: Array


def programmed(
    system: System, nonideality: Nonideality, *, key: PRNGKeyArray, cycle: int = 0
) -> Programmed | ActiveProgrammed:
    """The system as it is built of one device, whose trained parameters are the conductances that are written, S.

    `relax`, `ep_gradient` and `fit` take it like the system itself: it settles with what the devices make of the
    written values, and its gradient is with respect to these, by the chain rule. `.device` is the system as it is,
    `.system` as it was written, `.next_cycle()` the device with noise drawn anew.

    system: with conductances that learn. nonideality: what a device makes of what is written. key: a JAX random key,
    that of the device. cycle: number of the write or read. Raises PhysnetError for a system without devices.
    """
    require_instance(system, System, "programmed: system")
    require_instance(nonideality, Nonideality, "programmed: nonideality")
    _devices_of(system)
    kind = Programmed if isinstance(system, EnergySystem) else ActiveProgrammed
    return kind(system, nonideality, key, jnp.asarray(cycle, jnp.int32))


class DeviceEnsemble(Devices):
    """Many devices of one design. Its inputs are the number of a device, then the inputs of the system."""

    members: eqx.AbstractVar[int]

    def under(self, inputs):
        shape = self.system.input_shape
        return self.at(inputs[0].astype(jnp.int32)), inputs[1:].reshape(shape)

    def at(self, member) -> System:
        """The system of one device."""
        return apply(self.system, self.nonideality, key=jax.random.fold_in(self.key, member))

    def rows(self, inputs=None) -> Float[Array, "sample input"]:
        """Inputs for every device: the first with all samples of `inputs`, then the next, ...

        inputs: of the system, one sample or (sample, input); its default inputs where left out.
        """
        given, _ = check_inputs(self.system, inputs)
        given = given.reshape(given.shape[0], -1)
        member = jnp.repeat(jnp.arange(self.members, dtype=given.dtype), given.shape[0])
        return jnp.concatenate([member[:, None], jnp.tile(given, (self.members, 1))], axis=1)

    def by_device(self, values: Array) -> Array:
        """Values of all samples of `rows(inputs)`, (member x sample, ...), as (member, sample, ...)."""
        return values.reshape(self.members, -1, *values.shape[1:])

    def check_values(self, inputs):
        members = np.asarray(inputs).reshape(-1, *self.input_shape)[:, 0]
        wrong = (members != np.round(members)) | (members < 0) | (members >= self.members)
        if wrong.any():
            raise PhysnetError(
                f"{type(self).__name__}: device {members[np.argmax(wrong)]:g} in inputs; the first input of a sample "
                f"is the number of its device, 0 to {self.members - 1}. Pass ensemble.rows(inputs)."
            )

    def default_inputs(self):
        return None if self.system.default_inputs() is None else self.rows()

    @property
    def input_shape(self):
        return (1 + int(np.prod(self.system.input_shape)),)

    @property
    def input_variable(self):
        return Variable("device_inputs", ("device_input",), "1", "number of the device, then the inputs of the system")

    @property
    def description(self):
        return {**super().description, "members": self.members}


class Ensemble(DeviceEnsemble, EnergySystem):
    """Many devices of a system with an energy (see `ensemble`)."""

    system: EnergySystem
    nonideality: Nonideality
    key: PRNGKeyArray
    members: int = eqx.field(static=True)


class ActiveEnsemble(DeviceEnsemble):
    """Many devices of a system without an energy (see `ensemble`)."""

    system: System
    nonideality: Nonideality
    key: PRNGKeyArray
    members: int = eqx.field(static=True)


def ensemble(system: System, nonideality: Nonideality, members: int, *, key: PRNGKeyArray) -> Ensemble | ActiveEnsemble:
    """Many devices of one design, each with draws of its own, as one system: a batch over devices x inputs.

        devices = ensemble(circuit.build(inputs=["V1"]), DeviceSpread(0.1), 100, key=jax.random.key(0))
        outputs = devices.by_device(relax(devices, devices.rows(inputs)).outputs)  # (100, sample, output)

    Device k is `devices.at(k)`, the system with the draws of fold_in(key, k). Gradients are with respect to the
    conductances that were meant, averaged over the batch: training on it makes a design that tolerates its devices.

    system, nonideality: as for `programmed`. members: how many devices. key: a JAX random key, for all of them. Raises
    PhysnetError for a system without devices.
    """
    require_instance(system, System, "ensemble: system")
    require_instance(nonideality, Nonideality, "ensemble: nonideality")
    if isinstance(members, bool) or not isinstance(members, int | np.integer) or members < 1:
        raise PhysnetError(f"ensemble: members is {members!r}; give the number of devices, at least 1.")
    _devices_of(system)
    kind = Ensemble if isinstance(system, EnergySystem) else ActiveEnsemble
    return kind(system, nonideality, key, int(members))
