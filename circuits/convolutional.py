"""Convolutional resistive networks: shared conductances, diodes, average pooling and bidirectional amplifiers.

Kendall, Pantone, Manickavasagam, Bengio & Scellier 2020, arXiv:2006.01981 (diodes and bidirectional amplifiers).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.convolutional_checks import check_arrays, check_diode, check_scalars, hidden_sizes
from circuits.elements.ideal_diode import IdealDiode
from circuits.elements.shockley_diode import ShockleyDiode
from circuits.nodal import NodalSystem
from physnet import precision
from physnet.system import EnergySystem, Parameter
from physnet.variable import Variable

_DENSE_LIMIT = 400  # nodes up to which a dense Newton step is the faster way


class ConvolutionalNetwork(NodalSystem, EnergySystem):
    """Pixels drive, through kernels of conductances, hidden nodes with diodes; these are pooled, amplified, read out.

    Each pixel x drives two nodes, at +gain x and -gain x volt. In each stage the node (r, c, f) of a hidden layer is
    tied to the k x k patch of the layer before that starts at (r, c), by conductances K[i, j, m, f] that all patches
    share, and to ground by a diode, which keeps it from falling below 0 V in the first half of the channels and from
    rising above in the second. A pooled node is tied to a p x p window of hidden nodes by equal resistors: it averages
    them. A bidirectional amplifier lifts it from there to the next stage, and dense conductances lead to the outputs.
    State: for each stage the potentials, V, of its hidden, pooled and amplified nodes (row, column, channel), then
    those of the outputs. The energy is the total co-content, W, each shared conductance once for every patch:

        sum K (u - h)^2 / 2 + diodes(h) + sum g_p (h - v)^2 / 2 + sum g_a (A v - a)^2 / 2 + sum W (a - y)^2 / 2.

    shape: (row, column, channel) of the images. kernels: S, one (k, k, before, after) for each stage, the first with
    twice as many channels before as the images have (first all +, then all -). weights: S, (before, output), of the
    dense layer, before row by row, channels fastest. pooling: side p of the windows, which tile every hidden layer.
    pool_conductance, amplifier_conductance: S, of each resistor of a window and of each amplifier. amplifier_gain: A,
    dimensionless. input_gain: volt per unit of input. diode: IdealDiode, ShockleyDiode or None. capacitance: F, of
    every node to ground; matters in time only. Kernels and weights learn. `convolutional_circuit` is the same network,
    element by element. Raises PhysnetError for arrays that do not fit together or values that no such network can have.
    """

    kernels: tuple[Float[Array, "row column before after"], ...]
    weights: Float[Array, "before output"]
    pool_conductance: Float[Array, ""]
    amplifier_conductance: Float[Array, ""]
    amplifier_gain: Float[Array, ""]
    input_gain: Float[Array, ""]
    capacitance: Float[Array, ""]
    diode: IdealDiode | ShockleyDiode | None
    shape: tuple[int, int, int] = eqx.field(static=True)
    pooling: int = eqx.field(static=True)

    midpoint_exact = True

    def __init__(
        self,
        shape,
        kernels,
        weights,
        *,
        pooling=2,
        pool_conductance=1.0,
        amplifier_conductance=1.0,
        amplifier_gain=4.0,
        input_gain=1.0,
        diode=None,
        capacitance=1e-12,
    ):
        check_diode(diode)
        kernels, weights = tuple(map(jnp.asarray, kernels)), jnp.asarray(weights)
        check_arrays(tuple(shape), kernels, weights, pooling)
        scalars = {
            "pool_conductance": pool_conductance,
            "amplifier_conductance": amplifier_conductance,
            "amplifier_gain": amplifier_gain,
            "input_gain": input_gain,
            "capacitance": capacitance,
        }
        check_scalars(scalars)
        dtype = precision.dtype_of((kernels, weights))
        self.shape, self.pooling = tuple(int(n) for n in shape), int(pooling)
        self.kernels, self.weights = tuple(jnp.asarray(k, dtype) for k in kernels), jnp.asarray(weights, dtype)
        for name, value in scalars.items():
            setattr(self, name, jnp.asarray(value, dtype))
        self.diode = diode

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.kernels)

    def sizes(self) -> tuple[tuple[int, int, int], ...]:
        """(row, column, channel) of the hidden layer of each stage."""
        return hidden_sizes(self.shape, [kernel.shape for kernel in self.kernels], self.pooling)

    def sources(self, inputs: Float[Array, "row column channel"]) -> Float[Array, "row column source"]:
        """Potential, V, of the nodes that the pixels drive: first all +, then all -."""
        return self.input_gain * jnp.concatenate([inputs, -inputs], axis=-1)

    def _stages(self, state, inputs):
        """(kernel, potentials before, hidden, pooled, amplified) of each stage."""
        before = self.sources(inputs)
        for i, kernel in enumerate(self.kernels):
            hidden, pooled, amplified = state[3 * i : 3 * i + 3]
            yield kernel, before, hidden, pooled, amplified
            before = amplified

    def downwards(self, channels: int) -> np.ndarray:
        """Which channels of a hidden layer have diodes that keep them from rising above 0 V, (channel,).

        channels: how many the layer has.
        """
        return np.arange(channels) >= (channels + 1) // 2

    def energy(self, state, inputs):
        # Expanded, so that each convolution is a matrix product.
        energy = jnp.zeros((), state[-1].dtype)
        for kernel, before, hidden, pooled, amplified in self._stages(state, inputs):
            g = kernel.reshape(-1, kernel.shape[3])
            below = patches(before, kernel.shape[0])
            energy += 0.5 * jnp.sum((below**2) @ jnp.sum(g, axis=1)) - jnp.sum((below @ g) * hidden)
            energy += 0.5 * jnp.sum(jnp.sum(hidden**2, axis=(0, 1)) * jnp.sum(g, axis=0))
            energy += 0.5 * self.pool_conductance * jnp.sum((windows(hidden, self.pooling) - _spread(pooled)) ** 2)
            energy += 0.5 * self.amplifier_conductance * jnp.sum((self.amplifier_gain * pooled - amplified) ** 2)
            if isinstance(self.diode, ShockleyDiode):
                sign = jnp.where(self.downwards(hidden.shape[2]), 1, -1).astype(hidden.dtype)
                energy += jnp.sum(self.diode.cocontent(sign[None, None] * hidden))
        last, output = state[-2].ravel(), state[-1]
        squares = jnp.sum(last**2 * jnp.sum(self.weights, axis=1)) + jnp.sum(output**2 * jnp.sum(self.weights, axis=0))
        return energy + 0.5 * squares - last @ self.weights @ output

    def residual_scale(self, state, inputs):
        """Sum of |currents|, A, at every node; at least eps^(1/4) of sum g (|v| + |v'|), what they come from."""
        scale = [jnp.zeros_like(v) for v in state]
        share = jnp.finfo(state[-1].dtype).eps ** 0.25

        def size(current, a, b):
            return jnp.maximum(jnp.abs(current), share * (jnp.abs(a) + jnp.abs(b)))

        for i, (kernel, before, hidden, pooled, amplified) in enumerate(self._stages(state, inputs)):
            k, g = kernel.shape[0], kernel.reshape(-1, kernel.shape[3])
            below, transpose = jax.vjp(lambda u, k=k: patches(u, k), before)
            u, h = below[..., None], hidden[..., None, :]
            currents = g[None, None] * size(u - h, u, h)
            scale[3 * i] += jnp.sum(currents, axis=2)
            if i > 0:
                scale[3 * i - 1] += transpose(jnp.sum(currents, axis=3))[0]
            window, there = windows(hidden, self.pooling), _spread(pooled)
            currents = self.pool_conductance * size(window - there, window, there)
            scale[3 * i] += currents.reshape(hidden.shape)
            scale[3 * i + 1] += jnp.sum(currents, axis=(1, 3))
            lifted = self.amplifier_gain * pooled
            currents = self.amplifier_conductance * size(lifted - amplified, lifted, amplified)
            scale[3 * i + 1] += jnp.abs(self.amplifier_gain) * currents
            scale[3 * i + 2] += currents
            if isinstance(self.diode, ShockleyDiode):
                sign = jnp.where(self.downwards(hidden.shape[2]), 1, -1).astype(hidden.dtype)
                scale[3 * i] += jnp.abs(self.diode.current(sign[None, None] * hidden))
                scale[3 * i] += share * self.diode.saturation_current
        last, output = state[-2].ravel()[:, None], state[-1][None]
        currents = self.weights * size(last - output, last, output)
        scale[-2] += jnp.sum(currents, axis=1).reshape(state[-2].shape)
        scale[-1] += jnp.sum(currents, axis=0)
        return tuple(scale)

    def bounds(self, inputs):
        if not isinstance(self.diode, IdealDiode):
            return None
        low, high = ([jnp.full_like(v, sign * jnp.inf) for v in self._zeros()] for sign in (-1, 1))
        for i, size in enumerate(self.sizes()):
            down = jnp.broadcast_to(jnp.asarray(self.downwards(size[2])), size)
            low[3 * i], high[3 * i] = jnp.where(down, low[3 * i], 0), jnp.where(down, 0, high[3 * i])
        return tuple(low), tuple(high)

    def _zeros(self):
        dtype, zeros = self.weights.dtype, []
        for r, c, f in self.sizes():
            pooled = (r // self.pooling, c // self.pooling, f)
            zeros += [jnp.zeros((r, c, f), dtype), jnp.zeros(pooled, dtype), jnp.zeros(pooled, dtype)]
        return (*zeros, jnp.zeros(self.weights.shape[1], dtype))

    def initial_state(self, inputs, key=None):
        """Every node at 0 V, its capacitance discharged."""
        return self._zeros()

    def mobility(self, force):
        return jax.tree.map(lambda current: current / self.capacitance, force)

    def outputs(self, state, inputs):
        return state[-1]

    def default_relaxer(self):
        from circuits.stage_descent import StageDescent
        from physnet.relaxers.projected_newton import ProjectedNewton

        size = sum(leaf.size for leaf in jax.eval_shape(self._zeros))
        return ProjectedNewton() if size <= _DENSE_LIMIT else StageDescent()

    @property
    def variables(self):
        found = []
        for i in range(self.depth):
            for kind in ("hidden", "pooled", "amplified"):
                where = "hidden" if kind == "hidden" else "pooled"
                dims = (f"{where}_row_{i + 1}", f"{where}_column_{i + 1}", f"channel_{i + 1}")
                found.append(Variable(f"{kind}_{i + 1}_voltage", dims, "V", f"{kind} nodes of stage {i + 1}"))
        return (*found, Variable("output_voltage", ("output",), "V", "node voltage, output layer"))

    @property
    def parameters(self):
        def kernel(i):
            dims = (f"kernel_row_{i + 1}", f"kernel_column_{i + 1}", f"channel_{i}" if i else "source_channel")
            long_name = f"conductance of each resistor of kernel {i + 1}, shared by all patches"
            variable = Variable(f"conductance_{i + 1}", (*dims, f"channel_{i + 1}"), "S", long_name, (0.0, np.inf))
            return Parameter(variable, lambda system: system.kernels[i])

        dense = Variable(
            f"conductance_{self.depth + 1}", ("flat", "output"), "S", "conductance of the dense layer", (0.0, np.inf)
        )
        fixed = (
            ("pool_conductance", "S", "conductance of each resistor of a pooling window"),
            ("amplifier_conductance", "S", "output conductance of each bidirectional amplifier"),
            ("amplifier_gain", "1", "voltage gain of each bidirectional amplifier"),
            ("input_gain", "V", "source voltage per unit of input"),
            ("capacitance", "F", "capacitance of every node to ground"),
        )
        return (
            *(kernel(i) for i in range(self.depth)),
            Parameter(dense, lambda system: system.weights),
            *(
                Parameter(Variable(name, (), unit, text), lambda s, n=name: getattr(s, n), trainable=False)
                for name, unit, text in fixed
            ),
        )

    @property
    def input_variable(self):
        return Variable("input", ("row", "column", "channel"), "1", "pixels, before gain and doubling")

    @property
    def output_variable(self):
        return Variable("prediction", ("output",), "V", "output node voltage")

    @property
    def input_shape(self):
        return self.shape

    @property
    def description(self):
        return {
            "kind": "ConvolutionalNetwork",
            "shape": list(self.shape),
            "kernels": [list(kernel.shape) for kernel in self.kernels],
            "pooling": self.pooling,
            "outputs": int(self.weights.shape[1]),
            "diode": None if self.diode is None else self.diode.description,
        }


def patches(image: Float[Array, "row column channel"], k: int) -> Float[Array, "r c patch"]:
    """Every k x k patch, by the place it starts at: (row - k + 1, column - k + 1, k * k * channel)."""
    r, c = image.shape[0] - k + 1, image.shape[1] - k + 1
    parts = [image[i : i + r, j : j + c] for i in range(k) for j in range(k)]
    return jnp.concatenate(parts, axis=-1)


def windows(layer: Float[Array, "row column channel"], p: int) -> Float[Array, "r p c p channel"]:
    """The layer cut into p x p windows."""
    r, c, channels = layer.shape
    return layer.reshape(r // p, p, c // p, p, channels)


def _spread(pooled):
    return pooled[:, None, :, None, :]
