"""Convolution of images (row, column, channel) and what makes one number of a window of its results: pooling.

On processors a convolution is a product of two matrices: the image, its windows side by side (im2col), times the
kernel. On accelerators, and where windows overlap so much that copying them costs more than multiplying, it is XLA's.
"""

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from physnet.errors import PhysnetError

METHODS = ("matmul", "xla")


def convolve(image: Inexact[Array, "row column before"], kernel: Array, stride: int = 1, method: str | None = None):
    """(row', column', after): sum over the window of image times kernel (k, k, before, after), where it fits inside.

    A correlation, as in all neural networks: the kernel is not turned round. method: "matmul", "xla", or None for the
    faster of both on the backend in use. Strides fold s x s pixels into one of s^2 times the channels, so that windows
    overlap less: a stride costs no strided reading.
    """
    rows, columns = ((length - kernel.shape[0]) // stride + 1 for length in image.shape[:2])
    if stride > 1:
        image, kernel = _folded(image, kernel, stride, rows, columns)
    if method is None:
        method = "matmul" if jax.default_backend() == "cpu" and stride > 1 else "xla"
    if method == "xla":
        image, kernel = (array.astype(jnp.result_type(image, kernel)) for array in (image, kernel))
        dims = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(image[None], kernel, (1, 1), "VALID", dimension_numbers=dims)[0]
    return windows(image, kernel.shape[0]) @ kernel.reshape(-1, kernel.shape[-1])


def windows(image: Inexact[Array, "row column channel"], size: int) -> Inexact[Array, "row column window"]:
    """Every window of size x size pixels that fits inside, its pixels row by row, their channels fastest (im2col)."""
    rows, columns = image.shape[0] - size + 1, image.shape[1] - size + 1
    pieces = [image[i : i + rows, j : j + columns] for i in range(size) for j in range(size)]
    return jnp.concatenate(pieces, axis=-1)


def _folded(image, kernel, stride: int, rows: int, columns: int):
    """(image, kernel) of a convolution without stride, s x s pixels of the given one being one pixel of it."""
    size = -(-kernel.shape[0] // stride)
    short = size * stride - kernel.shape[0]
    kernel = jnp.pad(kernel, ((0, short), (0, short), (0, 0), (0, 0)))
    kernel = kernel.reshape(size, stride, size, stride, *kernel.shape[2:]).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(size, size, -1, kernel.shape[-1])
    wanted = [(n + size - 1) * stride for n in (rows, columns)]
    image = image[: wanted[0], : wanted[1]]
    image = jnp.pad(image, (*((0, n - have) for n, have in zip(wanted, image.shape)), (0, 0)))
    image = image.reshape(wanted[0] // stride, stride, wanted[1] // stride, stride, -1).transpose(0, 2, 1, 3, 4)
    return image.reshape(*image.shape[:2], -1), kernel


class Pooling(eqx.Module):
    """One number for each window of size x size pixels, channel by channel; windows do not overlap.

    A constant added to all pixels is added to the result, so that biases can be added after pooling. All quantities are
    dimensionless.

    size: side of a window, pixels. Methods take image: (row, column, channel). kernel: (k, k, before, after). method:
    how to convolve, as for `convolve`.
    """

    size: int = eqx.field(static=True, default=2)

    linear: ClassVar[bool] = False  # whether the result is linear in the image

    def __check_init__(self):
        if isinstance(self.size, bool) or not isinstance(self.size, int | np.integer) or self.size < 1:
            raise PhysnetError(f"{type(self).__name__}: size is {self.size!r}; give a whole number, 1 for no pooling.")

    @abstractmethod
    def reduce(self, pixels: Inexact[Array, "row i column j channel"]) -> Inexact[Array, "row column channel"]:
        """The number that stands for the size x size pixels of each window.

        pixels: of window (row, column), pixel (i, j).
        """

    def __call__(self, image: Inexact[Array, "row column channel"]) -> Inexact[Array, "row column channel"]:
        rows, columns, channels = image.shape
        return self.reduce(image.reshape(rows // self.size, self.size, columns // self.size, self.size, channels))

    def of_convolution(self, image, kernel, method: str | None = None):
        """pool(image * kernel), (row, column, after)."""
        return self(convolve(image, kernel, method=method))


class AveragePooling(Pooling):
    """The mean of the window. Linear: together with a convolution it is one of stride `size`, whose kernel is the
    mean of the kernel shifted by every pixel of the window, and which takes a few times less work.
    """

    linear = True

    def reduce(self, pixels):
        return jnp.mean(pixels, axis=(1, 3))

    def of_convolution(self, image, kernel, method=None):
        extra = self.size - 1
        shifts = [(i, extra - i) for i in range(self.size)]
        wide = sum(jnp.pad(kernel, (rows, columns, (0, 0), (0, 0))) for rows in shifts for columns in shifts)
        return convolve(image, wide / self.size**2, self.size, method)


class MaxPooling(Pooling):
    """The largest of the window; equals share its gradient. No analytic function, so not for holomorphic nudging."""

    def reduce(self, pixels):
        if jnp.iscomplexobj(pixels):
            raise TypeError(
                "max pooling takes the largest of a window, which complex numbers do not have; AveragePooling() and "
                "SoftmaxPooling() are analytic"
            )
        return jnp.max(pixels, axis=(1, 3))


class SoftmaxPooling(Pooling):
    """The mean of the window weighted by exp(x / temperature): analytic, between the mean and the largest.

    As in holomorphic EP of convolutional networks (Laborieux & Zenke 2022, arXiv:2209.00530). temperature: positive,
    in units of a drive.
    """

    temperature: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise PhysnetError(f"SoftmaxPooling: temperature is {self.temperature!r}; it must be positive.")

    def reduce(self, pixels):
        largest = jnp.max(jax.lax.stop_gradient(pixels).real, axis=(1, 3), keepdims=True)
        weights = jnp.exp((pixels - largest) / self.temperature)  # any constant drops out: no number overflows
        return jnp.sum(weights * pixels, axis=(1, 3)) / jnp.sum(weights, axis=(1, 3))
