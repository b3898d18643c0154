"""A system some of whose parameters vary from sample to sample: ensembles and maps over any parameter."""

from collections.abc import Callable

import equinox as eqx
from jaxtyping import Array

from physnet.system import Parameter, System
from physnet.variable import Variable


class Varied(System):
    """Takes numbers that change a system as its inputs, so that every sample of a batch is another device.

    Everything that takes a batch of inputs takes an ensemble of systems this way: `integrate`, `relax`, their engines
    and relaxers, noise. system: the one to change, with `base`, its inputs, the same for all samples (its default
    inputs where left out). place(system, values) -> system: the change, from one sample's values (`number`,),
    traceable; a named function, not a new lambda for each call, which would compile again. names: of the values, for
    datasets.

        def detune(system, values):  # Hz
            return eqx.tree_at(lambda s: s.frequency, system, system.frequency.at[1:].add(values))

        integrate(Varied(network, detune, 2), detunings, times)  # detunings: (sample, 2)
    """

    system: System
    base: Array
    place: Callable[[System, Array], System] = eqx.field(static=True)
    number: int = eqx.field(static=True)
    names: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, system, place, number, *, base=None, names=None):
        from physnet.system import check_inputs

        self.system, self.place, self.number = system, place, number
        self.base = check_inputs(system, base)[0][0]
        self.names = None if names is None else tuple(names)

    def at(self, inputs: Array) -> System:
        """The system of one sample."""
        return self.place(self.system, inputs)

    def under(self, inputs):
        return self.at(inputs), self.base

    @property
    def variables(self):
        return self.system.variables

    @property
    def parameters(self):
        return tuple(
            Parameter(p.variable, lambda s, get=p.get: get(s.system), p.trainable) for p in self.system.parameters
        )

    @property
    def input_variable(self):
        return Variable("variation", ("input",), "1", "values that change the system")

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
        return (self.number,)

    def coordinates(self):
        names = () if self.names is None else ((Variable("input", ("input",), "1", "what is varied"), self.names),)
        return (*names, *self.system.coordinates())

    @property
    def description(self):
        return {"kind": "Varied", "system": self.system.description, "values": list(self.names or range(self.number))}

    def initial_state(self, inputs, key=None):
        return self.at(inputs).initial_state(self.base, key)

    def rest_state(self, inputs):
        return self.at(inputs).rest_state(self.base)

    def residual(self, state, inputs):
        return self.at(inputs).residual(state, self.base)

    def vector_field(self, state, inputs):
        return self.at(inputs).vector_field(state, self.base)

    def delayed_vector_field(self, state, past, inputs):
        return self.at(inputs).delayed_vector_field(state, past, self.base)

    def outputs(self, state, inputs):
        return self.at(inputs).outputs(state, self.base)

    def default_relaxer(self):
        return self.system.default_relaxer()

    def bounds(self, inputs):
        return self.at(inputs).bounds(self.base)

    def residual_scale(self, state, inputs):
        return self.at(inputs).residual_scale(state, self.base)

    def neutral_modes(self, state):
        return self.system.neutral_modes(state)

    def fastest_rate(self, inputs):
        return self.at(inputs).fastest_rate(self.base)

    def diffusion(self, state, inputs):
        return self.at(inputs).diffusion(state, self.base)

    @property
    def is_noisy(self):
        return self.system.is_noisy

    @property
    def delays(self):
        return self.system.delays

    def diagnosis(self, state, inputs):
        return self.at(inputs).diagnosis(state, self.base)
