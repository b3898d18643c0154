"""What a unit makes of its drive, s = sigma(u), and the energy that holds it there."""

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from physnet.errors import PhysnetError


class Activation(eqx.Module):
    """s = sigma(u), non-decreasing, with the confinement int sigma^-1(s) ds whose derivative is the drive.

    All quantities are dimensionless. Methods take drive: u, (unit,), and value: s, (unit,).
    """

    bounds: ClassVar[tuple[float, float] | None] = None  # where sigma clips: values that a unit stops at

    @abstractmethod
    def __call__(self, drive: Inexact[Array, "*unit"]) -> Inexact[Array, "*unit"]:
        """sigma(u), element by element."""

    @abstractmethod
    def confinement(self, value: Inexact[Array, "*unit"]) -> Inexact[Array, "*unit"]:
        """int sigma^-1(s) ds, element by element; stationary together with -u s at s = sigma(u)."""


class Identity(Activation):
    """s = u: a linear unit."""

    def __call__(self, drive):
        return drive

    def confinement(self, value):
        return value * value / 2


class HardSigmoid(Activation):
    """s = clip(u, 0, 1)."""

    bounds = (0.0, 1.0)

    def __call__(self, drive):
        return jnp.clip(drive, 0, 1)

    def confinement(self, value):
        return value * value / 2


class Logistic(Activation):
    """s = 1 / (1 + exp(-slope (u - centre))), between 0 and 1.

    The default, slope 4 and centre 1/2, has slope 1 at its middle and is the smooth form of the hard sigmoid, as in
    Ernoult et al. 2019 (arXiv:1905.13633). slope: above 0, centre: the drive at which s is 1/2; both dimensionless.
    """

    slope: float = eqx.field(static=True, default=4.0)
    centre: float = eqx.field(static=True, default=0.5)

    def __check_init__(self):
        if not (np.isfinite(self.slope) and self.slope > 0):
            raise PhysnetError(f"Logistic: slope is {self.slope!r}; it must be positive.")

    def __call__(self, drive):
        return (jnp.tanh(self.slope / 2 * (drive - self.centre)) + 1) / 2

    def confinement(self, value):
        return self.centre * value + (_x_log_x(value) + _x_log_x(1 - value)) / self.slope


class Tanh(Activation):
    """s = tanh(u), between -1 and 1."""

    def __call__(self, drive):
        return jnp.tanh(drive)

    def confinement(self, value):
        return (_x_log_x(1 + value) + _x_log_x(1 - value)) / 2


def _x_log_x(x):
    """x log x, 0 at 0, and analytic away from it."""
    safe = jnp.where(x == 0, 1, x)
    return jnp.where(x == 0, 0, x * jnp.log(safe))
