"""Functions to sweep, where other processes can import them."""

import os
import signal
import time

import numpy as np
import xarray as xr

from physnet.variable import Variable

VARIABLES = (
    Variable("square", (), "V2", "square of the voltage"),
    Variable("powers", ("power",), "1", "first powers"),
    Variable("voltage", (), "V", "voltage across the device"),
)


def numbers(voltage, seed):
    """A number, a whole number, a flag and an array; fails for one seed."""
    if seed == 3:
        raise ValueError(f"no state at {voltage:g} V")
    return {
        "square": voltage**2 + seed,
        "seed_read": seed,
        "odd": bool(seed % 2),
        "powers": np.array([1.0, voltage, voltage**2]),
    }


def labelled(voltage, seed):
    """A dataset with labels, of which some depend on the seed."""
    if seed == 2:
        raise ValueError("two")
    values = voltage * np.arange(3.0) + seed
    coords = {
        "digit": ("digit", [f"d{seed}{k}" for k in range(3)], {"long_name": "digit"}),
        "place": ("digit", np.arange(3), {"long_name": "place", "units": "1"}),
    }
    return xr.Dataset({"reading": (("digit",), values, {"units": "V", "long_name": "reading"})}, coords)


def of_changing_shape(voltage):
    """An array that grows."""
    return xr.Dataset(
        {
            "grown": (("step",), np.zeros(1 + int(voltage)), {"units": "1", "long_name": "grown"}),
            "kept": ((), voltage, {"units": "V", "long_name": "kept"}),
        }
    )


def slow(number):
    """A millisecond of work and what it gives."""
    until = time.perf_counter() + 1e-3
    while time.perf_counter() < until:
        pass
    return {"root": np.sqrt(number), "number_read": number}


def deadly(number, folder):
    """Kills its process at point 5 always, and at point 2 the first time."""
    first = os.path.join(folder, "died")
    if number == 5 or (number == 2 and not os.path.exists(first)):
        open(first, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"root": np.sqrt(number)}


def large(number):
    """A megabyte."""
    return {"powers": np.full(2**17, float(number))}
