"""Convolutional Hopfield networks: images that ask their neighbours, before and after them, what values to take.

Ernoult, Grollier, Querlioz, Bengio & Scellier 2019, arXiv:1905.13633; Laborieux et al. 2021,
doi:10.3389/fnins.2021.633674.
"""

from dataclasses import replace
from math import prod, sqrt

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Inexact, PRNGKeyArray

from physnet import precision
from physnet.discrete import PrimitiveSystem
from physnet.errors import require_instance
from physnet.networks.activation import Activation, HardSigmoid
from physnet.networks.convolutional_checks import check_ends, error, layer_shapes
from physnet.networks.pooling import METHODS, MaxPooling, Pooling
from physnet.system import Parameter
from physnet.variable import Variable

Layers = tuple[Inexact[Array, "..."], ...]

_TOLERANCE, _MOST_STEPS = 1e-4, 200  # of the linear response behind `nudging_scale`, a measure of size


class ConvolutionalHopfield(PrimitiveSystem):
    """Convolutions, each followed by pooling, then dense layers; every connection acts both ways by the same weights.

    Phi = sum_l <s_l+1, pool(s_l * w_l) + b_l>, s_0 = gain x the image held fixed, * a correlation; with dense layers
    <s_l+1, s_l W_l + b_l> after them. Units follow s <- sigma(dPhi/ds): from before, the pooled convolution; from
    after, its transpose, which max pooling sends back to where each maximum came from. State: one array (row, column,
    channel) for each convolution, after pooling, and (unit,) for each dense layer. All quantities are dimensionless.

    shape: (row, column, channel) of the images. kernels: one (k, k, before, after) for each convolution. weights: one
    (before, after) for each dense layer; none is needed with a readout. biases: one vector for each convolution (a
    number for each channel) and dense layer, 0 if left out. activations: one for all layers, or one for each;
    `HardSigmoid()` by default, as published. readout: (W, b), None for none; with it the outputs are s W + b of the
    last layer, units that are read but act on nothing, whose softmax belongs to a `CrossEntropy` (Laborieux et al.
    2021). pooling: `MaxPooling(2)` by default. padding: pixels of zeros around each image that is convolved.
    input_gain: per unit of input. flat: whether inputs are rows of pixels (row by row, channels fastest) or images.
    method: how to convolve, "matmul" or "xla"; None for the faster on the backend in use. driven: the inputs are the
    pooled convolution that drives the first layer already; what `resolved` is, so that a relaxation computes it once.
    Raises PhysnetError for arrays that do not fit together.
    """

    shape: tuple[int, int, int] = eqx.field(static=True)
    kernels: tuple[Inexact[Array, "row column before after"], ...]
    weights: tuple[Inexact[Array, "before after"], ...]
    biases: tuple[Inexact[Array, " after"], ...]
    activations: tuple[Activation, ...]
    readout: tuple[Array, Array] | None
    pooling: Pooling
    input_gain: Inexact[Array, ""]
    padding: int = eqx.field(static=True)
    flat: bool = eqx.field(static=True)
    method: str | None = eqx.field(static=True)
    driven: bool = eqx.field(static=True)

    def __init__(
        self,
        shape,
        kernels,
        weights=(),
        biases=None,
        activations=None,
        *,
        readout=None,
        pooling=None,
        padding=0,
        input_gain=1.0,
        flat=True,
        method=None,
        driven=False,
    ):
        self.pooling = MaxPooling() if pooling is None else pooling
        require_instance(self.pooling, Pooling, "ConvolutionalHopfield: pooling")
        if method is not None and method not in METHODS:
            raise error(f'method is {method!r}; choose "matmul", "xla", or None for the faster of both.')
        if isinstance(padding, bool) or not isinstance(padding, int | np.integer) or padding < 0:
            raise error(f"padding is {padding!r}; give a number of pixels, 0 for none.")
        self.shape, self.padding, self.flat = tuple(int(n) for n in shape), int(padding), bool(flat)
        self.method, self.driven = method, bool(driven)
        parts = tuple(jax.tree.map(jnp.asarray, tuple(part)) for part in (kernels, weights))
        sizes = layer_shapes(self.shape, *parts, self.pooling.size, self.padding)
        biases = [np.zeros(size[-1:]) for size in sizes] if biases is None else list(biases)
        readout = None if readout is None else tuple(jnp.asarray(part) for part in readout)
        check_ends(sizes, biases, parts[1], readout)
        parts = (*parts, tuple(map(jnp.asarray, biases)), readout, jnp.asarray(input_gain))
        if not driven and not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(parts)):
            raise error("kernels, weights, biases, readout or input_gain hold NaN or infinite values.")
        dtype = precision.dtype_of((parts[0], parts[1]))
        parts = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), parts)
        self.kernels, self.weights, self.biases, self.readout, self.input_gain = parts
        activations = HardSigmoid() if activations is None else activations
        self.activations = activations if isinstance(activations, tuple) else (activations,) * len(sizes)
        for activation in self.activations:
            require_instance(activation, Activation, "ConvolutionalHopfield: activations")
        if len(self.activations) != len(sizes):
            raise error(f"{len(self.activations)} activations for {len(sizes)} layers; give one, or one for each.")

    @classmethod
    def random(
        cls,
        shape: tuple[int, int, int],
        channels: tuple[int, ...],
        dense: tuple[int, ...] = (),
        *,
        key: PRNGKeyArray,
        kernel: int = 5,
        readout: int | None = None,
        gain: float = 1.0,
        dtype=None,
        **options,
    ) -> "ConvolutionalHopfield":
        """Weights uniform within +-gain/sqrt(fan-in), as published for gain 1; biases 0.

        key: a JAX random key. gain: dimensionless. channels: of each convolution. dense: units of each dense layer
        after them. kernel: side of the kernels, pixels. readout: number of outputs read from the last layer, None for
        the layer itself. dtype: float64, or float32 for fast training. options: as for the network itself.
        """
        dtype = jnp.dtype(float if dtype is None else dtype)
        keys = iter(jax.random.split(key, len(channels) + len(dense) + 1))

        def uniform(*shape):
            limit = jnp.asarray(gain / sqrt(prod(shape[:-1])), dtype)
            return jax.random.uniform(next(keys), shape, dtype, -1, 1) * limit

        if any(int(n) < 1 for n in (*shape, *channels, *dense, kernel)) or (readout is not None and readout < 1):
            raise error("shape, channels, dense, kernel and readout are whole numbers of at least 1.")
        kernels = [uniform(kernel, kernel, n, m) for n, m in zip((shape[-1], *channels), channels)]
        pooling = options.get("pooling") or MaxPooling()
        sizes = layer_shapes(shape, kernels, (), pooling.size, options.get("padding", 0))
        widths = (prod(sizes[-1]), *dense)
        weights = [uniform(n, m) for n, m in zip(widths, dense)]
        last = None if readout is None else (uniform(widths[-1], readout), np.zeros(readout, dtype))
        return cls(shape, kernels, weights, readout=last, **options)

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of the state of each layer."""
        return layer_shapes(self.shape, self.kernels, self.weights, self.pooling.size, self.padding)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the settling layers: hidden_1, hidden_2, ..., and the output layer unless a readout follows."""
        depth = len(self.biases)
        return (*(f"hidden_{i + 1}" for i in range(depth - (self.readout is None))), "output")[:depth]

    def _dims(self, layer: int) -> tuple[str, ...]:
        """Names of the axes of a layer's state, 0 being the image."""
        if layer <= len(self.kernels):
            suffix = f"_{layer}" if layer else ""
            return tuple(f"{name}{suffix}" for name in ("row", "column", "channel"))
        return (self.layers[layer - 1],)

    @property
    def variables(self):
        return tuple(
            Variable(f"{name}_activity", self._dims(i + 1), "1", f"value of each unit, {name.replace('_', ' ')} layer")
            for i, name in enumerate(self.layers)
        )

    @property
    def parameters(self):
        """kernel_0, bias_0, ..., weight_l, bias_l, ..., readout_weight, readout_bias; and input_gain, which is held."""
        found, convolutions = [], len(self.kernels)
        for i, name in enumerate(self.layers):
            where = f"into the {name.replace('_', ' ')} layer"
            if i < convolutions:
                dims = (f"kernel_row_{i}", f"kernel_column_{i}", self._dims(i)[-1], self._dims(i + 1)[-1])
                kernel = Variable(f"kernel_{i}", dims, "1", f"kernel of the convolution {where}")
                found.append(Parameter(kernel, lambda system, i=i: system.kernels[i]))
            else:
                weight = Variable(f"weight_{i}", (self._flat_dim(i), *self._dims(i + 1)), "1", f"weight {where}")
                found.append(Parameter(weight, lambda system, i=i - convolutions: system.weights[i]))
            bias = Variable(f"bias_{i}", self._dims(i + 1)[-1:], "1", f"bias of the {name.replace('_', ' ')} layer")
            found.append(Parameter(bias, lambda system, i=i: system.biases[i]))
        if self.readout is not None:
            dims = (self._flat_dim(len(self.layers)), "output")
            weight = Variable("readout_weight", dims, "1", "weight from the last layer to the outputs")
            bias = Variable("readout_bias", ("output",), "1", "bias of the outputs")
            found.append(Parameter(weight, lambda system: system.readout[0]))
            found.append(Parameter(bias, lambda system: system.readout[1]))
        held = Variable("input_gain", (), "1", "value of an input unit per unit of input")
        return (*found, Parameter(held, lambda system: system.input_gain, trainable=False))

    def _flat_dim(self, layer: int) -> str:
        dims = self._dims(layer)
        return dims[0] if len(dims) == 1 else f"feature_{layer}"

    @property
    def input_variable(self):
        return Variable("input", ("pixel",) if self.flat else self._dims(0), "1", "pixel of the image, held fixed")

    @property
    def output_variable(self):
        what = "value of each output unit" if self.readout is None else "linear readout of the last layer"
        return Variable("prediction", ("output",), "1", what)

    @property
    def input_shape(self):
        if self.driven:
            return self.sizes[0]
        return (prod(self.shape),) if self.flat else self.shape

    @property
    def description(self):
        return {
            "kind": "ConvolutionalHopfield",
            "shape": list(self.shape),
            "kernels": [list(kernel.shape) for kernel in self.kernels],
            "layers": [list(size) for size in self.sizes],
            "pooling": repr(self.pooling),
            "padding": self.padding,
            "activations": [repr(activation) for activation in self.activations],
            "readout": None if self.readout is None else list(self.readout[0].shape),
        }

    @property
    def midpoint_exact(self):
        """Phi is bilinear in the layers where pooling is linear; the confinement has no parameter that learns."""
        return self.pooling.linear

    @property
    def blocks(self):
        """Layers 0, 2, 4, ... and layers 1, 3, 5, ...: within either, no unit acts on another."""
        leaves = range(len(self.biases))
        return tuple(block for block in (tuple(leaves[::2]), tuple(leaves[1::2])) if block)

    @property
    def resolved(self):
        return replace(self, driven=True)

    def resolve(self, inputs):
        """The pooled convolution of the image with the first kernel."""
        if self.driven:
            return inputs
        return self._convolved(self.input_gain * inputs.reshape(self.shape), self.kernels[0])

    def _convolved(self, image, kernel):
        edge = (self.padding, self.padding)
        image = jnp.pad(image, (edge, edge, (0, 0))) if self.padding else image
        return self.pooling.of_convolution(image, kernel, self.method)

    def primitive(self, state, inputs):
        below, phi = None, 0
        for i, (above, bias) in enumerate(zip(state, self.biases)):
            if i == 0:
                drive = self.resolve(inputs)
            elif i < len(self.kernels):
                drive = self._convolved(below, self.kernels[i])
            else:
                drive = below.reshape(-1) @ self.weights[i - len(self.kernels)]
            phi += jnp.sum(above * drive) + jnp.sum(above.reshape(-1, above.shape[-1]).sum(axis=0) * bias)
            below = above
        return phi

    def confinement(self, state):
        return sum(jnp.sum(activation.confinement(s)) for activation, s in zip(self.activations, state))

    def activation(self, drive):
        return tuple(activation(u) for activation, u in zip(self.activations, drive))

    def bounds(self, inputs):
        """What clips stays inside its box."""
        if all(activation.bounds is None for activation in self.activations):
            return None
        limits = [activation.bounds or (-np.inf, np.inf) for activation in self.activations]
        dtype = self.biases[0].dtype
        return tuple(tuple(jnp.full(n, limit[i], dtype) for n, limit in zip(self.sizes, limits)) for i in (0, 1))

    def initial_state(self, inputs, key=None):
        """All units silent."""
        return tuple(jnp.zeros(size, self.biases[0].dtype) for size in self.sizes)

    def outputs(self, state, inputs):
        last = state[-1].reshape(-1)
        if self.readout is None:
            return last
        weight, bias = self.readout
        return last @ weight + bias

    def nudging_scale(self, state, inputs):
        """As for every system, from the linear response of the outputs; without a matrix of all units.

        P J^-1 S P^T = P R (1 - R Phi'' R)^-1 R P^T with S = R^2 the slopes sigma' of the units: symmetric, and at a
        minimum positive, so that one conjugate-gradient solve for each output finds it.
        """
        network = self.resolved
        given = self.resolve(inputs)
        drive, pushed = jax.linearize(lambda s: network.drive(s, given), state)
        slope = jax.jvp(self.activation, (drive,), (jax.tree.map(jnp.ones_like, drive),))[1]
        root = jax.tree.map(jnp.sqrt, slope)

        def scaled(tree):
            return jax.tree.map(jnp.multiply, root, tree)

        def stiffness(y):
            return jax.tree.map(jnp.subtract, y, scaled(pushed(scaled(y))))

        readout = jax.jacrev(lambda s: self.outputs(s, inputs))(state)
        right = jax.vmap(scaled)(readout)
        moved = jax.vmap(lambda r: cg(stiffness, r, tol=_TOLERANCE, maxiter=_MOST_STEPS)[0])(right)
        rows, columns = (
            jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in tree], axis=1) for tree in (right, moved)
        )
        response = rows @ columns.T
        softest = jnp.max(jnp.linalg.eigvalsh((response + response.T) / 2))
        return jnp.where(softest == 0, 1, 1 / jnp.where(softest == 0, 1, softest))
