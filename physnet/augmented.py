"""Systems around another one: the same physics with more to its state or its inputs."""

from abc import abstractmethod

import equinox as eqx

from physnet.system import Parameter, System


class Augmented(System):
    """Wraps `system`: everything is called and measured as there; parameters only where a subclass names them."""

    system: eqx.AbstractVar[System]

    @property
    def parameters(self):
        return ()

    def check_changing(self):
        self.system.check_changing()

    @property
    def input_variable(self):
        return self.system.input_variable

    @property
    def output_variable(self):
        return self.system.output_variable

    @property
    def residual_units(self):
        return self.system.residual_units

    @property
    def energy_units(self):
        return self.system.energy_units

    @property
    def input_shape(self):
        return self.system.input_shape


class Resolving(Augmented):
    """Augmented in its inputs alone: the state, its names and the physics are those of the system that `under` gives.

    What measures outputs or rates (`nudging_scale`, `mobility`, noise) is left to the subclass.
    """

    system: eqx.AbstractVar[System]

    @abstractmethod
    def under(self, inputs):
        """(the system that the inputs of one sample make, its own inputs)."""

    @property
    def variables(self):
        return self.system.variables

    @property
    def parameters(self):
        return parameters_inside(self.system)

    def coordinates(self):
        return self.system.coordinates()

    def initial_state(self, inputs, key=None):
        system, inputs = self.under(inputs)
        return system.initial_state(inputs, key)

    def rest_state(self, inputs):
        system, inputs = self.under(inputs)
        return system.rest_state(inputs)

    def residual(self, state, inputs):
        system, inputs = self.under(inputs)
        return system.residual(state, inputs)

    def residual_scale(self, state, inputs):
        system, inputs = self.under(inputs)
        return system.residual_scale(state, inputs)

    def vector_field(self, state, inputs):
        system, inputs = self.under(inputs)
        return system.vector_field(state, inputs)

    def outputs(self, state, inputs):
        system, inputs = self.under(inputs)
        return system.outputs(state, inputs)

    def bounds(self, inputs):
        system, inputs = self.under(inputs)
        return system.bounds(inputs)


def parameters_inside(system: System) -> tuple[Parameter, ...]:
    """The parameters of `system`, as those of what wraps it."""
    return tuple(
        Parameter(p.variable, lambda outer, get=p.get: get(outer.system), p.trainable) for p in system.parameters
    )
