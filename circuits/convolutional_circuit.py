"""A convolutional resistive network element by element, each shared conductance once for every patch."""

import jax
import numpy as np

from circuits.circuit import Circuit
from circuits.convolutional import ConvolutionalNetwork, windows
from circuits.elements import BidirectionalAmplifier, Resistor, VoltageSource


def convolutional_circuit(network: ConvolutionalNetwork) -> Circuit:
    """`network` as a circuit of named elements, for export, for devices of their own, or as a check.

    Nodes: "x_0_1_2" (row, column, source channel), "h1_0_1_2" (hidden, stage 1), "p1_0_1_2" (pooled), "a1_0_1_2"
    (amplified), "y0". Sources "Vx_0_1_2", at 0 V until set: build(inputs=convolutional_inputs(network)) takes
    `network.sources(image).ravel()`. Resistor "x_0_1_2-h1_0_0_3" joins the nodes it is named for; those of a stage come
    by hidden row and column, then in the order of its kernel, so that `tied` can sum over them. Capacitances are left
    out.
    """
    names = _named("x", (*network.shape[:2], 2 * network.shape[2]))
    circuit = Circuit().add_many([f"V{name}" for name in names.ravel()], [*names.ravel()], 0, VoltageSource(0.0))
    gain = BidirectionalAmplifier(float(network.amplifier_conductance), float(network.amplifier_gain))
    for i, (kernel, size) in enumerate(zip(network.kernels, network.sizes()), start=1):
        k, p, channels = kernel.shape[0], network.pooling, size[2]
        hidden = _named(f"h{i}", size)
        rows, columns = size[:2]
        below = [names[a : a + rows, b : b + columns] for a in range(k) for b in range(k)]
        below = np.concatenate(below, axis=-1)[..., None]  # (row, column, patch, 1)
        first, second = (x.ravel() for x in np.broadcast_arrays(below, hidden[:, :, None, :]))
        values = np.broadcast_to(
            np.asarray(kernel, float).reshape(-1, channels), (rows, columns, k * k * names.shape[2], channels)
        )
        _join(circuit, first, second, Resistor(values.ravel()))
        _add_diodes(circuit, hidden, network)
        pooled = _named(f"p{i}", (rows // p, columns // p, channels))
        first, second = (x.ravel() for x in np.broadcast_arrays(windows(hidden, p), pooled[:, None, :, None, :]))
        _join(circuit, first, second, Resistor(float(network.pool_conductance), trainable=False))
        names = _named(f"a{i}", pooled.shape)
        circuit.add_many([f"amplifier_{n}" for n in names.ravel()], [*pooled.ravel()], [*names.ravel()], gain)
    outputs = _named("y", network.weights.shape[1:], "")
    first, second = (x.ravel() for x in np.broadcast_arrays(names.ravel()[:, None], outputs[None]))
    _join(circuit, first, second, Resistor(np.asarray(network.weights, float).ravel()))
    return circuit


def convolutional_inputs(network: ConvolutionalNetwork) -> tuple[str, ...]:
    """The sources of `convolutional_circuit`, in the order of `network.sources(image).ravel()`."""
    return tuple(f"V{name}" for name in _named("x", (*network.shape[:2], 2 * network.shape[2])).ravel())


def tied(network: ConvolutionalNetwork, values) -> tuple[np.ndarray, ...]:
    """Sums over the elements that share a conductance: (a kernel for each stage, then the dense layer).

    network: whose circuit it is. values: (resistor,), in any unit, one for each trainable resistor of
    `convolutional_circuit(network)`, in its order: the gradient of the circuit becomes that of the network.
    """
    found, start, values = [], 0, np.asarray(values)
    for kernel, (rows, columns, _) in zip(network.kernels, network.sizes()):
        stop = start + rows * columns * kernel.size
        found.append(values[start:stop].reshape(rows, columns, *kernel.shape).sum(axis=(0, 1)))
        start = stop
    return (*found, values[start:].reshape(network.weights.shape))


def _named(prefix: str, shape, separator: str = "_") -> np.ndarray:
    """Names of nodes at every index of an array."""
    found = np.empty(shape, object)
    for index in np.ndindex(*found.shape):
        found[index] = prefix + separator + "_".join(map(str, index))
    return found


def _join(circuit: Circuit, first, second, element):
    circuit.add_many([f"{a}-{b}" for a, b in zip(first, second)], [*first], [*second], element)


def _add_diodes(circuit: Circuit, hidden, network: ConvolutionalNetwork):
    if network.diode is None:
        return
    model = jax.tree.map(float, network.diode)
    half = (hidden.shape[2] + 1) // 2
    up, down = [*hidden[..., :half].ravel()], [*hidden[..., half:].ravel()]
    circuit.add_many([f"d_{name}" for name in up], 0, up, model)
    if down:
        circuit.add_many([f"d_{name}" for name in down], down, 0, model)
