"""One network relaxed from several starts, its predictions averaged: an answer to multistability."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from oscillators import checks
from oscillators.driven_xy import DrivenXY
from oscillators.xy import XYNetwork
from physnet.errors import require_instance
from physnet.system import EnergySystem, Parameter
from physnet.variable import Variable


class _Replicas(EnergySystem):
    """`DrivenXY` from several starts at once: what `Multistart` and its drive have in common."""

    one: eqx.AbstractVar[EnergySystem]
    number: eqx.AbstractVar[int]

    @property
    def variables(self):
        return tuple(
            replace(v, dims=("start", *v.dims), long_name=f"{v.long_name}, from each start") for v in self.one.variables
        )

    @property
    def input_variable(self):
        return self.one.input_variable

    @property
    def output_variable(self):
        variable = self.one.output_variable
        return Variable(variable.name, variable.dims, variable.units, f"{variable.long_name}, mean over starts")

    @property
    def residual_units(self):
        return self.one.residual_units

    @property
    def energy_units(self):
        return self.one.energy_units

    @property
    def input_shape(self):
        return self.one.input_shape

    def energy(self, state, inputs):
        return jnp.mean(jax.vmap(lambda phases: self.one.energy(phases, inputs))(state))

    def residual(self, state, inputs):
        return jax.vmap(lambda phases: self.one.residual(phases, inputs))(state) / self.number

    def mobility(self, force):
        return self.number * force

    def residual_scale(self, state, inputs):
        return jax.vmap(lambda phases: self.one.residual_scale(phases, inputs))(state) / self.number

    def outputs(self, state, inputs):
        return jnp.mean(jax.vmap(lambda phases: self.one.outputs(phases, inputs))(state), axis=0)

    def default_relaxer(self):
        return self.one.default_relaxer()


class _DrivenReplicas(_Replicas):
    one: DrivenXY
    number: int = eqx.field(static=True)

    parameters = ()

    def initial_state(self, inputs, key=None):
        return jnp.tile(self.one.initial_state(inputs), (self.number, 1))

    def stiffness(self, inputs: Array) -> Float[Array, "start oscillator"]:
        """As of one network, over the number of starts."""
        return jnp.tile(self.one.stiffness(inputs) / self.number, (self.number, 1))


class Multistart(_Replicas):
    """An `XYNetwork` that settles from several starts, phases (start, oscillator), under the same inputs.

    Energies and readings are means over the starts, E = (1/K) sum_k E(phi_k) and y = (1/K) sum_k y(phi_k), so that
    predictions are averaged and a gradient is that of the averaged prediction's cost, with beta of the same meaning as
    for one network: every copy is nudged by beta dC/dy at the mean. Trains and relaxes like the network itself.

    network: the one that settles, kept as `one`; `number` is that of the starts. starts: (start, oscillator), rad;
    `Multistart.random` draws them uniformly from [-pi, pi). They stay the same for all samples, so that a network
    learns to give its answer from there.
    Raises PhysnetError for starts that do not fit the network.
    """

    one: XYNetwork
    starts: Float[Array, "start oscillator"]
    number: int = eqx.field(static=True)

    def __init__(self, network, starts):
        require_instance(network, XYNetwork, "Multistart: network")
        starts = checks.floats(starts, "Multistart: starts", "rad", dtype=network.coupling_weight.dtype)
        self.number = checks.whole(starts.shape[0] if starts.ndim else 0, "Multistart: number of starts")
        self.starts = checks.floats(starts, "Multistart: starts", "rad", shape=(self.number, network.size))
        self.one = network

    @classmethod
    def random(cls, network: XYNetwork, number: int, *, key: PRNGKeyArray) -> "Multistart":
        """A network with starts drawn uniformly from [-pi, pi), rad.

        network: the one that settles. number: of starts. key: a JAX random key.
        """
        require_instance(network, XYNetwork, "Multistart: network")
        shape = checks.whole(number, "Multistart: number"), network.size
        return cls(network, jax.random.uniform(key, shape, network.coupling_weight.dtype, -jnp.pi, jnp.pi))

    @property
    def parameters(self):
        inner = tuple(Parameter(p.variable, lambda s, get=p.get: get(s.one), p.trainable) for p in self.one.parameters)
        starts = Variable("start_phase", ("start", "oscillator"), "rad", "phases that a relaxation starts from")
        return (*inner, Parameter(starts, lambda s: s.starts, trainable=False))

    def coordinates(self):
        return self.one.coordinates()

    @property
    def description(self):
        return self.one.description | {"kind": "Multistart", "starts": self.number}

    @property
    def resolved(self) -> _DrivenReplicas:
        """The free oscillators alone, under the drive that `resolve` makes of the inputs."""
        return _DrivenReplicas(self.one.resolved, self.number)

    def resolve(self, inputs):
        """As of the network."""
        return self.one.resolve(inputs)

    def initial_state(self, inputs, key=None):
        if key is None:
            return self.starts
        return jax.vmap(lambda key: self.one.initial_state(inputs, key))(jax.random.split(key, self.number))
