"""Forward and backward weights of their own, and how learning aligns them (Kolen & Pollack 1994)."""

from math import isfinite

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Inexact, PRNGKeyArray

from physnet.discrete import DiscreteSystem
from physnet.errors import PhysnetError
from physnet.networks.activation import Activation
from physnet.networks.layered import LayeredNet, Layers, fitting, random_layers
from physnet.system import Parameter
from physnet.variable import Variable


class AsymmetricHopfield(LayeredNet, DiscreteSystem):
    """s_l <- sigma(s_l-1 W_l + b_l + s_l+1 B_l+1): a layered Hopfield network whose way back has its own weights B.

    Unless B_l = W_l^T it has no energy: `CorrectedRule` is exact on it, `VectorFieldRule`, which is local, is biased by
    the misalignment that `kolen_pollack` takes away. As in Laborieux et al. 2021, doi:10.3389/fnins.2021.633674.

    backward: B_1, B_2, ..., one (after, before) for each layer but the first, whose inputs nothing acts on. The rest as
    for `LayeredHopfield`. Raises PhysnetError for arrays that do not fit together.
    """

    weights: tuple[Inexact[Array, "before after"], ...]
    backward: tuple[Inexact[Array, "after before"], ...]
    biases: Layers
    activations: tuple[Activation, ...]
    readout: tuple[Array, Array] | None
    nudged_inside: bool = eqx.field(static=True, default=True)
    driven: bool = eqx.field(static=True, default=False)

    def __init__(
        self, weights, backward, biases=None, activations=None, *, readout=None, nudged_inside=True, driven=False
    ):
        name = type(self).__name__
        parts = fitting(name, weights, biases, activations, readout, finite=not driven)
        self.weights, self.biases, self.activations, self.readout = parts
        self.backward = _fitting_backward(name, self.weights, backward, finite=not driven)
        self.nudged_inside, self.driven = bool(nudged_inside), driven

    @classmethod
    def random(
        cls,
        sizes: tuple[int, ...],
        *,
        key: PRNGKeyArray,
        asymmetry: float = 1.0,
        gain: float = 1.0,
        readout: int | None = None,
        dtype=None,
        **options,
    ) -> "AsymmetricHopfield":
        """Forward weights as `LayeredHopfield.random` draws them; B = (1 - asymmetry) W^T + asymmetry R.

        R is drawn like W^T. Other arguments as for `LayeredHopfield.random`. asymmetry: dimensionless, 0 for the
        symmetric network, 1 for weights that know nothing of each other.
        """
        if not (isfinite(asymmetry) and 0 <= asymmetry <= 1):
            raise PhysnetError(f"{cls.__name__}: asymmetry is {asymmetry!r}; give 0 (B = W^T) to 1 (independent).")
        weights, biases, readout_parts = random_layers(cls.__name__, sizes, key, gain, readout, dtype)
        other, *_ = random_layers(cls.__name__, sizes, jax.random.fold_in(key, 1), gain, readout, dtype)
        backward = [(1 - asymmetry) * w.T + asymmetry * r.T for w, r in zip(weights[1:], other[1:])]
        return cls(weights, backward, biases, readout=readout_parts, **options)

    @property
    def parameters(self):
        def parameter(i):
            dims = (self.layers[i], self.layers[i - 1])
            after, before = (name.replace("_", " ") for name in dims)
            variable = Variable(f"backward_{i}", dims, "1", f"weight from {after} units back to {before} units")
            return Parameter(variable, lambda system: system.backward[i - 1])

        return (*super().parameters, *(parameter(i) for i in range(1, self.depth)))

    @property
    def description(self):
        return super().description | {"nudged_inside": self.nudged_inside}

    def drive(self, state, inputs):
        drive = [self.input_drive(inputs)]
        drive += [s @ w + b for s, w, b in zip(state, self.weights[1:], self.biases[1:])]
        for i, (above, backward) in enumerate(zip(state[1:], self.backward)):
            drive[i] = drive[i] + above @ backward
        return tuple(drive)

    def bounds(self, inputs):
        return self.box() if self.nudged_inside else None

    def why_no_energy(self):
        return " Its backward weights are not its forward weights; a LayeredHopfield has one set for both ways."


def kolen_pollack(optimiser: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """Training of an `AsymmetricHopfield` in which B_l and W_l^T receive the same update, and both decay.

    From the two local gradients, g = dC/dW + (dC/dB)^T is handed to both (what one shared weight would receive) with
    decay * weight added, so that under descent with rate eta W - B^T shrinks by 1 - eta decay a step, whatever is
    learned (Kolen & Pollack 1994, doi:10.1109/ICNN.1994.374486). Neither weight is ever copied to the other.

    optimiser: any transformation that treats entries alike, such as optax.sgd(eta). decay: 1, above 0.
    """
    if not (isfinite(decay) and decay > 0):
        raise PhysnetError(f"kolen_pollack: decay is {decay!r}; it must be positive, or the weights never align.")

    def pairs(tree):
        return [*tree.weights[1:], *tree.backward]

    def update(gradient, state, params=None):
        if not isinstance(gradient, AsymmetricHopfield) or params is None:
            raise PhysnetError("kolen_pollack: it trains an AsymmetricHopfield; give its gradient and parameters.")
        shared = [w + b.T for w, b in zip(gradient.weights[1:], gradient.backward)]
        shared += [g.T for g in shared]
        shared = [g + decay * p for g, p in zip(shared, pairs(params))]
        return optimiser.update(eqx.tree_at(pairs, gradient, shared), state, params)

    return optax.GradientTransformation(optimiser.init, update)


def _fitting_backward(name: str, weights: Layers, backward, *, finite: bool):
    backward = tuple(jnp.asarray(b, weights[0].dtype) for b in backward)
    expected = [w.shape[::-1] for w in weights[1:]]
    if [b.shape for b in backward] != expected:
        raise PhysnetError(
            f"{name}: the backward weights have shapes {[b.shape for b in backward]}; expected {expected}, "
            "(after, before) for each layer but the first."
        )
    if finite and not all(np.isfinite(b).all() for b in backward):
        raise PhysnetError(f"{name}: the backward weights hold NaN or infinite values.")
    return backward
