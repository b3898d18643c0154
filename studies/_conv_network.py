"""The convolutional networks of the studies: images of digits, convolutions with pooling, and ten outputs."""

import numpy as np


def side_of(data) -> int:
    """Rows, and columns, of the images of `studies._digit_data.Digits`, pixels."""
    return int(np.sqrt(data.train_images.shape[1]))


def parted(data, count: int, seed: int):
    """The data with `count` of the training images, drawn by the seed, in the place of the test images."""
    from dataclasses import replace

    order = np.random.default_rng(seed + 1).permutation(len(data.train_labels))
    held, kept = order[:count], order[count:]
    return replace(
        data,
        train_images=data.train_images[kept],
        train_labels=data.train_labels[kept],
        test_images=data.train_images[held],
        test_labels=data.train_labels[held],
    )


def build(data, *, channels, kernel, padding, pooling, activation, readout, gain, key, dtype):
    """A `ConvolutionalHopfield` for the images of `data`; white pixels are 1.

    readout: whether the ten outputs are read from the last convolution, or are a layer of units of their own.
    """
    from physnet.networks import (
        AveragePooling,
        ConvolutionalHopfield,
        HardSigmoid,
        Logistic,
        MaxPooling,
        SoftmaxPooling,
    )

    side = side_of(data)
    return ConvolutionalHopfield.random(
        (side, side, 1),
        tuple(channels),
        () if readout else (10,),
        key=key,
        kernel=kernel,
        readout=10 if readout else None,
        gain=gain,
        dtype=dtype,
        pooling={"average": AveragePooling, "max": MaxPooling, "softmax": SoftmaxPooling}[pooling](2),
        padding=padding,
        activations={"hard-sigmoid": HardSigmoid, "logistic": Logistic}[activation](),
        input_gain=1 / data.white,
    )
