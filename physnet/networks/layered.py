"""Layered Hopfield networks: every unit asks its neighbours, before and after it, what value to take.

Ernoult, Grollier, Querlioz, Bengio & Scellier 2019, arXiv:1905.13633, in the prototypical setting.
"""

from dataclasses import replace
from math import sqrt

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact, PRNGKeyArray

from physnet import precision
from physnet.discrete import PrimitiveSystem
from physnet.errors import PhysnetError, require_instance
from physnet.networks.activation import Activation, Logistic
from physnet.system import Parameter, System
from physnet.variable import Variable

Layers = tuple[Inexact[Array, " unit"], ...]


class LayeredNet(System):
    """What layered networks share: weights W_l (before, after) and biases b_l of layers l = 0, 1, ..., and a readout.

    The state is one vector of values for each settling layer. The outputs are the last of them, s, or, with a readout
    (W, b), s W + b: units that are read but act on nothing, whose softmax belongs to a `CrossEntropy` (Laborieux et al.
    2021, doi:10.3389/fnins.2021.633674). driven: the inputs are the drive x W_0 + b_0 of the first layer already; what
    `resolved` is, so that a relaxation works it out once. All quantities are dimensionless.
    """

    weights: eqx.AbstractVar[tuple[Inexact[Array, "before after"], ...]]
    biases: eqx.AbstractVar[Layers]
    activations: eqx.AbstractVar[tuple[Activation, ...]]
    readout: eqx.AbstractVar[tuple[Array, Array] | None]
    driven: eqx.AbstractVar[bool]

    @property
    def depth(self) -> int:
        """Number of settling layers."""
        return len(self.weights)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the settling layers: hidden_1, hidden_2, ..., and the output layer unless a readout follows."""
        hidden = self.depth - (self.readout is None)
        return (*(f"hidden_{i + 1}" for i in range(hidden)), "output")[: self.depth]

    @property
    def variables(self):
        return tuple(
            Variable(f"{name}_activity", (name,), "1", f"value of each unit, {name.replace('_', ' ')} layer")
            for name in self.layers
        )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """weight_0, bias_0, weight_1, ..., and readout_weight, readout_bias."""
        dims = ("feature", *self.layers)
        found = []
        for i in range(self.depth):
            before, after = (name.replace("_", " ") for name in dims[i : i + 2])
            weight = Variable(f"weight_{i}", dims[i : i + 2], "1", f"weight between {before} and {after} units")
            bias = Variable(f"bias_{i}", dims[i + 1 : i + 2], "1", f"bias of {after} units")
            found += [
                Parameter(weight, lambda system, i=i: system.weights[i]),
                Parameter(bias, lambda system, i=i: system.biases[i]),
            ]
        if self.readout is not None:
            weight = Variable("readout_weight", (dims[-1], "output"), "1", "weight from the last layer to the outputs")
            bias = Variable("readout_bias", ("output",), "1", "bias of the outputs")
            found.append(Parameter(weight, lambda system: system.readout[0]))
            found.append(Parameter(bias, lambda system: system.readout[1]))
        return tuple(found)

    @property
    def input_variable(self):
        return Variable("input", ("feature",), "1", "value of each input unit, held fixed")

    @property
    def output_variable(self):
        what = "value of each output unit" if self.readout is None else "linear readout of the last layer"
        return Variable("prediction", ("output",), "1", what)

    @property
    def energy_units(self):
        return "1"

    @property
    def input_shape(self):
        return self.weights[0].shape[int(self.driven) :][:1]

    @property
    def description(self):
        return {
            "kind": type(self).__name__,
            "sizes": [self.weights[0].shape[0], *(w.shape[1] for w in self.weights)],
            "activations": [repr(activation) for activation in self.activations],
            "readout": None if self.readout is None else list(self.readout[0].shape),
        }

    @property
    def blocks(self):
        """Layers 0, 2, 4, ... and layers 1, 3, 5, ...: within either, no unit acts on another."""
        leaves = range(self.depth)
        return tuple(block for block in (tuple(leaves[::2]), tuple(leaves[1::2])) if block)

    def initial_state(self, inputs, key=None):
        """All units silent."""
        return tuple(jnp.zeros_like(bias) for bias in self.biases)

    def outputs(self, state, inputs):
        if self.readout is None:
            return state[-1]
        weight, bias = self.readout
        return state[-1] @ weight + bias

    @property
    def resolved(self):
        return replace(self, driven=True)

    def resolve(self, inputs):
        return self.input_drive(inputs)

    def input_drive(self, inputs):
        """x W_0 + b_0, what the inputs ask of the first layer."""
        return inputs if self.driven else inputs @ self.weights[0] + self.biases[0]

    def interaction(self, values: Layers, inputs) -> Inexact[Array, ""]:
        """(x W_0 + b_0) . s_1 + sum_l (s_l W_l + b_l) . s_l+1, bilinear in the values of the layers.

        values: what each layer passes on, (unit,) each.
        """
        total = jnp.sum(self.input_drive(inputs) * values[0])
        for below, above, weight, bias in zip(values, values[1:], self.weights[1:], self.biases[1:]):
            total += jnp.sum((below @ weight + bias) * above)
        return total

    def activation(self, drive: Layers) -> Layers:
        """sigma, layer by layer. drive: of each layer (its potentials, in continuous time), (unit,) each."""
        return tuple(activation(u) for activation, u in zip(self.activations, drive))

    def box(self):
        """(lowest, highest) values where a layer clips, each shaped like the state; None where none does."""
        if all(activation.bounds is None for activation in self.activations):
            return None
        limits = [activation.bounds or (-np.inf, np.inf) for activation in self.activations]
        return tuple(tuple(jnp.full_like(b, limit[i]) for b, limit in zip(self.biases, limits)) for i in (0, 1))


class LayeredHopfield(LayeredNet, PrimitiveSystem):
    """s_l <- sigma(s_l-1 W_l + b_l + s_l+1 W_l+1^T), the gradient of one primitive function inside a nonlinearity.

    Phi = sum_l (s_l-1 W_l + b_l) . s_l with s_0 = x, the inputs. Every unit is driven forwards and, by the same
    weights, backwards. Where no unit clips, s_l = sigma(u_l) is where E = sum int sigma^-1(s) ds - Phi is stationary.

    weights: one (before, after) for each layer, the first from the inputs. biases: one vector for each layer, 0 if
    left out. activations: one for all layers or one for each, `Logistic()` by default. readout: (W, b), None for none.
    nudged_inside: whether a nudge acts on the drive of a unit, s <- sigma(u + f), or on its value, s <- sigma(u) + f,
    as in much published code; then no energy describes it and `CorrectedRule` is exact.
    Raises PhysnetError for arrays that do not fit together.
    """

    weights: tuple[Inexact[Array, "before after"], ...]
    biases: Layers
    activations: tuple[Activation, ...]
    readout: tuple[Array, Array] | None
    nudged_inside: bool = eqx.field(static=True, default=True)
    driven: bool = eqx.field(static=True, default=False)

    midpoint_exact = True  # Phi is bilinear, and the confinement has no parameter that learns

    def __init__(self, weights, biases=None, activations=None, *, readout=None, nudged_inside=True, driven=False):
        parts = fitting(type(self).__name__, weights, biases, activations, readout, finite=not driven)
        self.weights, self.biases, self.activations, self.readout = parts
        self.nudged_inside, self.driven = bool(nudged_inside), driven

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
    ) -> "LayeredHopfield":
        """Weights uniform within +-gain/sqrt(units before), biases 0: drives stay of order one at any width.

        sizes: (inputs, hidden..., last). key: a JAX random key. gain: dimensionless. readout: number of outputs read
        from the last layer, None for the layer itself. dtype: float64, or float32 for fast training. options: as for
        the network itself.
        """
        weights, biases, readout = random_layers(cls.__name__, sizes, key, gain, readout, dtype)
        return cls(weights, biases, readout=readout, **options)

    @property
    def description(self):
        return super().description | {"nudged_inside": self.nudged_inside}

    def primitive(self, state, inputs):
        return self.interaction(state, inputs)

    def confinement(self, state):
        return sum(jnp.sum(activation.confinement(s)) for activation, s in zip(self.activations, state))

    def bounds(self, inputs):
        """What clips stays inside its box, unless a nudge may push it out again."""
        return self.box() if self.nudged_inside else None

    def nudging_scale(self, state, inputs):
        """As for any system, but worked out layer by layer, without the Jacobian of the whole network.

        How far layer l follows a force on it, with the layers before it following and those after it held, is
        R_l = (1 - a_l W_l^T R_l-1 W_l)^-1 a_l, where a_l = sigma'(u_l) and R of the inputs is 0.
        """
        if not self.nudged_inside:
            return super().nudging_scale(state, inputs)
        drive = self.drive(state, inputs)
        slopes = jax.jvp(self.activation, (drive,), (jax.tree.map(jnp.ones_like, drive),))[1]
        response = slopes[0]  # of the first layer, a diagonal matrix
        for weight, slope in zip(self.weights[1:], slopes[1:]):
            inner = weight.T @ (response[:, None] * weight if response.ndim == 1 else response @ weight)
            response = jnp.linalg.solve(
                jnp.eye(slope.size, dtype=slope.dtype) - slope[:, None] * inner, jnp.diag(slope)
            )
        response = jnp.diag(response) if response.ndim == 1 else response
        if self.readout is not None:
            response = self.readout[0].T @ response @ self.readout[0]
        softest = jnp.max(jnp.linalg.eigvalsh(response))
        return jnp.where(softest == 0, 1, 1 / jnp.where(softest == 0, 1, softest))


def fitting(name: str, weights, biases, activations, readout, *, finite: bool = True):
    """(weights, biases, activations, readout) that fit together, as arrays of one precision, or PhysnetError.

    finite: whether numbers are looked at as well as shapes, which needs arrays that are not being traced.
    """
    weights = [jnp.asarray(w) for w in weights]
    if not weights:
        raise PhysnetError(f"{name}: no weights; give one matrix (before, after) for each layer.")
    for i, weight in enumerate(weights):
        if weight.ndim != 2 or 0 in weight.shape:
            raise PhysnetError(f"{name}: weight_{i} has shape {weight.shape}; give a matrix (before, after).")
        if i and weight.shape[0] != weights[i - 1].shape[1]:
            raise PhysnetError(
                f"{name}: weight_{i} has shape {weight.shape}, but the layer before has {weights[i - 1].shape[1]} "
                "units, which its first axis counts."
            )
    biases = [jnp.zeros(w.shape[1], w.dtype) for w in weights] if biases is None else [jnp.asarray(b) for b in biases]
    if len(biases) != len(weights):
        raise PhysnetError(f"{name}: {len(biases)} biases for {len(weights)} layers; give one vector for each.")
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        if bias.shape != weight.shape[1:]:
            raise PhysnetError(f"{name}: bias_{i} has shape {bias.shape}; its layer has {weight.shape[1]} units.")
    if readout is not None:
        readout = tuple(jnp.asarray(part) for part in readout)
        width, shapes = weights[-1].shape[1], [part.shape for part in readout]
        if len(shapes) != 2 or shapes[0] != (width, *shapes[1]) or len(shapes[1]) != 1:
            raise PhysnetError(
                f"{name}: the readout has shapes {shapes}; give a matrix ({width}, output) and a vector (output,)."
            )
    parts = (tuple(weights), tuple(biases), readout)
    if finite and not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(parts)):
        raise PhysnetError(f"{name}: weights, biases or readout hold NaN or infinite values.")
    dtype = precision.dtype_of(parts)
    weights, biases, readout = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), parts)
    return weights, biases, _chosen(name, activations, len(weights)), readout


def _chosen(name: str, activations, depth: int) -> tuple[Activation, ...]:
    """One activation for each layer. Raises PhysnetError."""
    activations = Logistic() if activations is None else activations
    if not isinstance(activations, tuple | list):
        activations = (activations,) * depth
    for activation in activations:
        require_instance(activation, Activation, "activations")
    if len(activations) != depth:
        raise PhysnetError(f"{name}: {len(activations)} activations for {depth} layers; give one, or one for each.")
    return tuple(activations)


def random_layers(name: str, sizes, key: PRNGKeyArray, gain: float, readout: int | None, dtype):
    """(weights, biases, readout): uniform within +-gain/sqrt(units before), biases 0. Raises PhysnetError."""
    sizes = tuple(sizes)
    if len(sizes) < 2 or any(int(size) < 1 for size in sizes) or (readout is not None and readout < 1):
        raise PhysnetError(f"{name}: sizes {sizes}, readout {readout}; give (inputs, hidden..., last), each >= 1.")
    widths = sizes if readout is None else (*sizes, readout)
    dtype = jnp.dtype(float if dtype is None else dtype)
    weights = [
        jax.random.uniform(k, (n, m), dtype, -1, 1) * jnp.asarray(gain / sqrt(n), dtype)
        for k, n, m in zip(jax.random.split(key, len(widths) - 1), widths, widths[1:])
    ]
    biases = [jnp.zeros(m, dtype) for m in widths[1:]]
    if readout is None:
        return weights, biases, None
    return weights[:-1], biases[:-1], (weights[-1], biases[-1])
