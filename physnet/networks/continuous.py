"""The continuous-time Hopfield network: units whose potentials leak, and fire at a rate that saturates."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Inexact, PRNGKeyArray

from physnet.errors import PhysnetError
from physnet.networks.activation import Activation
from physnet.networks.layered import LayeredNet, Layers, fitting, random_layers
from physnet.system import EnergySystem


class ContinuousHopfield(LayeredNet, EnergySystem):
    """E = sum s^2/2 - sum_l (rho(s_l-1) W_l + b_l) . rho(s_l), with rho(s_0) = x; ds/dt = -dE/ds.

    Every potential s leaks and is driven by its neighbours' rates rho(s), rho'(s) times; time is counted in time
    constants of the leak. The outputs are potentials, or a readout of them (Scellier & Bengio 2017,
    doi:10.3389/fncom.2017.00024).

    activations: rho, smooth; the other arguments as for `LayeredHopfield`. Where rho clips, E restricted to the box is
    what a `LayeredHopfield` with a HardSigmoid settles. Raises PhysnetError for arrays that do not fit together.
    """

    weights: tuple[Inexact[Array, "before after"], ...]
    biases: Layers
    activations: tuple[Activation, ...]
    readout: tuple[Array, Array] | None
    driven: bool = eqx.field(static=True, default=False)

    def __init__(self, weights, biases=None, activations=None, *, readout=None, driven=False):
        parts = fitting(type(self).__name__, weights, biases, activations, readout, finite=not driven)
        self.weights, self.biases, self.activations, self.readout = parts
        self.driven = driven
        if self.box() is not None:
            raise PhysnetError(
                "ContinuousHopfield: a clipped activation has no slope to come back by; give a smooth one, such as "
                "Logistic(), or use a LayeredHopfield, which settles clipped units."
            )

    @classmethod
    def random(
        cls,
        sizes: tuple[int, ...],
        *,
        key: PRNGKeyArray,
        gain: float = 1.0,
        readout: int | None = None,
        dtype=None,
        **options,
    ) -> "ContinuousHopfield":
        """Weights uniform within +-gain/sqrt(units before), biases 0; arguments as for `LayeredHopfield.random`."""
        weights, biases, readout = random_layers(cls.__name__, sizes, key, gain, readout, dtype)
        return cls(weights, biases, readout=readout, **options)

    @property
    def residual_units(self):
        return "1"

    def energy(self, state, inputs):
        leak = sum(jnp.sum(s * s) for s in state) / 2
        return leak - self.interaction(self.activation(state), inputs)

    def default_relaxer(self):
        from physnet.relaxers.flow import Flow

        return Flow()
