"""Systems around another one: the same physics with more to its state or its inputs."""

import equinox as eqx

from physnet.system import System


class Augmented(System):
    """Wraps `system`: everything is called and measured as there; parameters only where a subclass names them."""

    system: eqx.AbstractVar[System]

    @property
    def parameters(self):
        return ()

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
