"""What a convolutional network checks before anything is traced: do its arrays fit together?"""

from math import prod

import numpy as np

from physnet.errors import PhysnetError


def error(text: str) -> PhysnetError:
    """An error that says which network it is about."""
    return PhysnetError(f"ConvolutionalHopfield: {text}")


def layer_shapes(shape, kernels, weights, pool: int, padding: int) -> tuple[tuple[int, ...], ...]:
    """Shape of the state of each layer. Raises PhysnetError naming the array that does not fit."""
    if len(shape) != 3 or any(n < 1 for n in shape):
        raise error(f"shape is {tuple(shape)}; give (row, column, channel) of the images, each at least 1.")
    if not kernels:
        raise error("no kernels; give one (k, k, before, after) for each convolution, or use LayeredHopfield.")
    found, here = [], tuple(shape)
    for i, kernel in enumerate(kernels):
        if kernel.ndim != 4 or kernel.shape[0] != kernel.shape[1] or 0 in kernel.shape:
            raise error(f"kernel_{i} has shape {kernel.shape}; give (k, k, before, after).")
        if kernel.shape[2] != here[2]:
            raise error(
                f"kernel_{i} has shape {kernel.shape}, but the layer before has {here[2]} channels, which its third "
                "axis counts."
            )
        sides = [n + 2 * padding - kernel.shape[0] + 1 for n in here[:2]]
        if min(sides) < pool or any(side % pool for side in sides):
            raise error(
                f"convolution {i} of {here[0]} x {here[1]} pixels, padding {padding}, by kernel_{i} of shape "
                f"{kernel.shape} gives {sides[0]} x {sides[1]}, which windows of {pool} x {pool} do not tile. Change "
                "the padding, the kernel or the size of the pooling."
            )
        here = (sides[0] // pool, sides[1] // pool, kernel.shape[3])
        found.append(here)
    for i, weight in enumerate(weights, start=len(found)):
        if weight.ndim != 2 or weight.shape[0] != prod(here):
            raise error(
                f"weight_{i} has shape {weight.shape}, but the layer before has {prod(here)} units, which its first "
                "axis counts."
            )
        here = weight.shape[1:]
        found.append(here)
    return tuple(found)


def check_ends(sizes, biases, weights, readout) -> None:
    """Raises PhysnetError for biases or a readout that do not fit layers of these shapes."""
    if len(biases) != len(sizes):
        raise error(f"{len(biases)} biases for {len(sizes)} layers; give one vector for each.")
    for i, (bias, size) in enumerate(zip(biases, sizes)):
        if np.shape(bias) != size[-1:]:
            raise error(f"bias_{i} has shape {np.shape(bias)}; give one number for each of {size[-1]} channels.")
    if readout is None:
        if not weights:
            raise error("neither dense layers nor a readout; outputs are a vector: give weights or readout=(W, b).")
        return
    shapes, width = [part.shape for part in readout], prod(sizes[-1])
    if len(shapes) != 2 or len(shapes[1]) != 1 or shapes[0] != (width, *shapes[1]):
        raise error(f"the readout has shapes {shapes}; give a matrix ({width}, output) and a vector (output,).")
