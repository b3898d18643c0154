"""Neural networks that settle: layered and convolutional Hopfield networks on the contract of every physical system."""

import importlib

_EXPORTS = {
    "physnet.networks.activation": ("Activation", "HardSigmoid", "Identity", "Logistic", "Tanh"),
    "physnet.networks.alignment": ("AsymmetricHopfield", "kolen_pollack"),
    "physnet.networks.continuous": ("ContinuousHopfield",),
    "physnet.networks.convolutional": ("ConvolutionalHopfield",),
    "physnet.networks.layered": ("LayeredHopfield",),
    "physnet.networks.memory": ("HopfieldMemory",),
    "physnet.networks.pooling": ("AveragePooling", "MaxPooling", "Pooling", "SoftmaxPooling"),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'physnet.networks' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
    return __all__
