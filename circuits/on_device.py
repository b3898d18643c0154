"""The relaxer of a system of devices: that of the system itself, once it is known what the devices conduct."""

import jax

from circuits.devices import Devices, ProgrammedDevice
from physnet.relaxers.base import Relaxer, Solution


class OnDevice(Relaxer):
    """Settles a programmed device or an ensemble of devices by a relaxer of the system that they are made of.

    What the devices conduct is worked out once, before the steps, and every sample then is a system like any other, so
    that block descent and operating points take devices at their usual speed.

    relaxer: of the system. Tolerances, strategies and what it refuses are its own.
    """

    relaxer: Relaxer

    @property
    def solves_displacement(self):
        """As of the relaxer inside."""
        return self.relaxer.solves_displacement

    @property
    def strategies(self):
        """As of the relaxer inside."""
        return self.relaxer.strategies

    def tolerance_for(self, dtype):
        return self.relaxer.tolerance_for(dtype)

    def refuses(self, system, cost):
        if not isinstance(system, Devices):
            return f"it is neither a programmed device nor an ensemble of devices; use {type(self.relaxer).__name__}()."
        return self.relaxer.refuses(system.system, cost)

    def solve(self, system, inputs, nudge, initial, reference, certify):
        if isinstance(system, ProgrammedDevice):
            return self.relaxer.solve(system.device, inputs, nudge, initial, reference, certify)

        def one(inputs, nudge, initial, reference) -> Solution:
            device, inputs = system.under(inputs)
            batch = jax.tree.map(lambda leaf: leaf[None], (inputs, nudge, initial, reference))
            return jax.tree.map(lambda leaf: leaf[0], self.relaxer.solve(device, *batch, certify))

        return jax.vmap(one)(inputs, nudge, initial, reference)
