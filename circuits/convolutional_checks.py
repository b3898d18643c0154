"""What a convolutional resistive network must satisfy before it is made."""

import numpy as np

from circuits import layered_checks
from physnet.errors import PhysnetError

_UNITS = {
    "pool_conductance": "S",
    "amplifier_conductance": "S",
    "amplifier_gain": "",
    "input_gain": "V per unit of input",
    "capacitance": "F",
}


def hidden_sizes(shape, kernels, pooling: int) -> tuple[tuple[int, int, int], ...]:
    """(row, column, channel) of the hidden layer of each stage. kernels: shapes (k, k, before, after)."""
    found, before = [], shape[:2]
    for k, _, _, after in kernels:
        found.append((before[0] - k + 1, before[1] - k + 1, after))
        before = [n // pooling for n in found[-1][:2]]
    return tuple(found)


def check_arrays(shape, kernels, weights, pooling) -> None:
    """Raises PhysnetError for arrays that do not fit together, or values that are no conductances."""
    if len(shape) != 3 or min(shape) < 1:
        raise _error(f"shape is {shape}; give (row, column, channel) of the images, each at least 1.")
    if isinstance(pooling, bool) or not isinstance(pooling, int | np.integer) or pooling < 1:
        raise _error(f"pooling is {pooling!r}; give the side of the windows in nodes, at least 1.")
    if not kernels:
        raise _error("no kernels; give at least one, (k, k, before, after), S.")
    before = (*shape[:2], 2 * shape[2])
    for i, kernel in enumerate(kernels):
        if kernel.ndim != 4 or kernel.shape[0] != kernel.shape[1] or kernel.shape[2] != before[2]:
            raise _error(f"kernel {i} has shape {kernel.shape}; expected (k, k, {before[2]}, channels after it).")
        hidden = [n - kernel.shape[0] + 1 for n in before[:2]]
        if min(hidden) < 1 or any(n % pooling for n in hidden):
            raise _error(
                f"kernel {i} makes {hidden[0]} x {hidden[1]} hidden nodes of {before[0]} x {before[1]} nodes, which "
                f"windows of {pooling} x {pooling} do not tile. Use another kernel, pooling or image size."
            )
        before = (hidden[0] // pooling, hidden[1] // pooling, kernel.shape[3])
    if weights.ndim != 2 or weights.shape[0] != np.prod(before):
        raise _error(f"weights have shape {weights.shape}; expected ({np.prod(before)}, outputs).")
    for name, g in [*((f"kernel {i}", kernel) for i, kernel in enumerate(kernels)), ("weights", weights)]:
        g = np.asarray(g)
        wrong = ~((g >= 0) & np.isfinite(g))
        if wrong.any():
            raise _error(f"{name}: conductance {g[wrong][0]:.6g} S; conductances are finite and >= 0.")
    if not np.asarray(weights).any(axis=0).all():
        raise _error("weights: all conductances to an output are 0 S, so that it floats. Give it a branch.")


def check_diode(diode) -> None:
    """Raises PhysnetError unless `diode` is an ideal or a Shockley diode with single values, or None."""
    try:
        layered_checks.check_diode(diode)
    except PhysnetError as error:
        raise _error(str(error).removeprefix("LayeredNetwork: ")) from None


def check_scalars(values: dict) -> None:
    """Raises PhysnetError for a value that is not finite and above 0; the gain may have either sign."""
    for name, value in values.items():
        above = name != "amplifier_gain"
        if not (np.ndim(value) == 0 and np.isfinite(value) and (value > 0 if above else value != 0)):
            limit = "> 0" if above else "not 0"
            raise _error(f"{name} is {value} {_UNITS[name]}".rstrip() + f"; it must be one finite number, {limit}.")


def _error(text: str) -> PhysnetError:
    return PhysnetError(f"ConvolutionalNetwork: {text}")
