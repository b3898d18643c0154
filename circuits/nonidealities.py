"""What devices do to the conductances that were meant: spread, stuck devices, levels, drift, noise, lines.

Each is a transform of an array of conductances, S, to what they are in the device of a given key; they compose by
`then`. `circuits.devices` applies them to circuits, to systems and to ensembles of devices.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from physnet.errors import PhysnetError, require_instance

Cycle = int | Int[Array, ""]


class Nonideality(eqx.Module):
    """A transform of conductances, S, of any shape, to conductances, S, at least 0. Traceable, one draw per element.

    Methods take conductance: S, (...). key: a JAX random key, that of the device. cycle: number of the write or read.
    """

    @abstractmethod
    def __call__(self, conductance: Float[Array, "..."], key: PRNGKeyArray, cycle: Cycle = 0) -> Float[Array, "..."]:
        """The conductances, S, of the device of this `key`, as they are in its `cycle`-th write or read.

        What belongs to the device (its spread, its stuck elements) is the same in every cycle; noise is drawn anew.
        """

    def then(self, other: "Nonideality") -> "Chain":
        """First this, then `other`: Quantised(...).then(DeviceSpread(0.1))."""
        return Chain((self, other))


class Chain(Nonideality):
    """Several transforms, the first acting first, each with draws of its own.

    parts: the transforms; () changes nothing.
    """

    parts: tuple[Nonideality, ...]

    def __check_init__(self):
        for part in self.parts:
            require_instance(part, Nonideality, "Chain: parts")

    def __call__(self, conductance, key, cycle=0):
        for i, part in enumerate(self.parts):
            conductance = part(conductance, jax.random.fold_in(key, i), cycle)
        return conductance

    def then(self, other):
        return Chain((*self.parts, other))


class DeviceSpread(Nonideality):
    """Device-to-device variation: every device multiplies its conductance by a factor of its own, for good.

    relative: standard deviation of the factor, dimensionless; its mean is 1. lognormal: its distribution; otherwise
    normal, clipped at 0.
    Raises PhysnetError for a negative `relative`.
    """

    relative: float
    lognormal: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        _check_relative(self)

    def __call__(self, conductance, key, cycle=0):
        return conductance * _factor(key, conductance, self.relative, self.lognormal)


class CycleSpread(Nonideality):
    """Cycle-to-cycle variation: as `DeviceSpread`, but drawn anew at every write.

    relative, lognormal: as for `DeviceSpread`.
    """

    relative: float
    lognormal: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        _check_relative(self)

    def __call__(self, conductance, key, cycle=0):
        return conductance * _factor(jax.random.fold_in(key, cycle), conductance, self.relative, self.lognormal)


class ReadNoise(Nonideality):
    """Gaussian noise of every read, proportional to the conductance; clipped at 0.

    relative: its standard deviation as a share of the conductance.
    Raises PhysnetError for a negative `relative`.
    """

    relative: float

    def __check_init__(self):
        _check_relative(self)

    def __call__(self, conductance, key, cycle=0):
        return conductance * _factor(jax.random.fold_in(key, cycle), conductance, self.relative, lognormal=False)


class StuckDevices(Nonideality):
    """Devices that do not respond to programming: a share stuck at one conductance, another at a higher one.

    lowest, highest: these conductances, S. share_lowest, share_highest: the probability of either, for every device by
    itself, for good.
    Raises PhysnetError for shares that are none, or conductances out of order.
    """

    lowest: float
    highest: float
    share_lowest: float = 0.0
    share_highest: float = 0.0

    def __check_init__(self):
        _check_range(self)
        for name in ("share_lowest", "share_highest"):
            share = getattr(self, name)
            if not _concrete(share) or 0 <= share <= 1:
                continue
            raise PhysnetError(f"StuckDevices: {name} is {share}; give a share of the devices, 0 to 1.")
        total = self.share_lowest + self.share_highest
        if _concrete(total) and total > 1:
            raise PhysnetError(f"StuckDevices: share_lowest + share_highest is {total}; they are at most 1 together.")

    def __call__(self, conductance, key, cycle=0):
        draw = jax.random.uniform(key, conductance.shape, conductance.dtype)
        low, high = draw < self.share_lowest, draw >= 1 - self.share_highest
        stuck = jnp.where(low, _as(self.lowest, conductance), _as(self.highest, conductance))
        return jnp.where(low | high, stuck, conductance)


class Quantised(Nonideality):
    """Conductances that can take a few values only: the nearest of `levels`, evenly spaced from `lowest` to `highest`.

    lowest, highest: S. levels: how many, 2 or more; 2**bits for a number of bits. Derivatives pass straight through
    (1 between the ends, 0 beyond), so that learning moves what is written until the level changes.
    Raises PhysnetError for conductances out of order or fewer than two levels.
    """

    lowest: float
    highest: float
    levels: int = eqx.field(static=True)

    def __check_init__(self):
        _check_range(self)
        whole = isinstance(self.levels, int | np.integer) and not isinstance(self.levels, bool)
        if not whole or self.levels < 2:
            raise PhysnetError(f"Quantised: {self.levels!r} levels; give a whole number, at least 2 (2**bits).")
        if _concrete(self.lowest) and _concrete(self.highest) and self.lowest == self.highest:
            raise PhysnetError(f"Quantised: lowest and highest are both {self.lowest:.6g} S; give two conductances.")

    def __call__(self, conductance, key, cycle=0):
        low, high = _as(self.lowest, conductance), _as(self.highest, conductance)
        step = (high - low) / (self.levels - 1)
        inside = jnp.clip(conductance, low, high)
        number = jnp.round((inside - low) / step)
        # The last level is `highest` itself, whatever rounding makes of the steps below it.
        level = jnp.where(number == self.levels - 1, high, low + number * step)
        return jax.lax.stop_gradient(level) + (inside - jax.lax.stop_gradient(inside))  # the level, exactly


class Drift(Nonideality):
    """The relaxation of an amorphous phase-change device: g (t / t0)^-nu, nu drawn for every device.

    time: s, since programming, at least the reference_time. reference_time: t0, s, above 0. exponent, spread: mean and
    standard deviation of nu, dimensionless; negative draws count as 0. Measured on a million devices: means from 0.05
    to 0.1, the larger the less they conduct, and spreads from 0.008 to 0.045 (Joshi et al. 2020,
    doi:10.1038/s41467-020-16108-9). Physics: Le Gallo & Sebastian 2020, doi:10.1088/1361-6463/ab7794.
    Raises PhysnetError for times or exponents out of range.
    """

    time: float
    exponent: float = 0.05
    spread: float = 0.0
    reference_time: float = 1.0

    def __check_init__(self):
        for name, unit in (("time", " s"), ("reference_time", " s"), ("exponent", ""), ("spread", "")):
            value = getattr(self, name)
            if _concrete(value) and not (np.isfinite(value) and value >= 0):
                raise PhysnetError(f"Drift: {name} is {value}{unit}; it must be finite and at least 0.")
        both = _concrete(self.time) and _concrete(self.reference_time)
        if both and not self.time >= self.reference_time > 0:
            raise PhysnetError(
                f"Drift: time is {self.time} s and reference_time {self.reference_time} s; drift is counted from the "
                "reference time, which is above 0 s, onwards."
            )

    def __call__(self, conductance, key, cycle=0):
        normal = jax.random.normal(key, conductance.shape, conductance.dtype)
        exponent = jnp.maximum(_as(self.exponent, conductance) + _as(self.spread, conductance) * normal, 0)
        return conductance * jnp.exp(-exponent * jnp.log(_as(self.time / self.reference_time, conductance)))


class LineResistance(Nonideality):
    """A wire, switch or contact of `resistance` (ohm) in series with every device: g / (1 + g R).

    For the shared lines of a crossbar, which couple devices, see `crossbar`. Raises PhysnetError below 0 ohm.
    """

    resistance: float

    def __check_init__(self):
        if _concrete(self.resistance) and not (np.isfinite(self.resistance) and self.resistance >= 0):
            raise PhysnetError(
                f"LineResistance: resistance is {self.resistance} ohm; it must be finite and at least 0. Did you pass "
                "siemens?"
            )

    def __call__(self, conductance, key, cycle=0):
        return conductance / (1 + conductance * _as(self.resistance, conductance))


def _factor(key, like: Array, relative, lognormal: bool) -> Array:
    """A random factor of mean 1 and standard deviation `relative` for each entry."""
    relative = _as(relative, like)
    normal = jax.random.normal(key, like.shape, like.dtype)
    if not lognormal:
        return jnp.maximum(1 + relative * normal, 0)
    variance = jnp.log1p(relative**2)
    return jnp.exp(jnp.sqrt(variance) * normal - variance / 2)


def _as(value, like: Array) -> Array:
    return jnp.asarray(value, like.dtype)


def _concrete(value) -> bool:
    """Whether a value can be looked at: not while JAX traces."""
    return not isinstance(value, jax.core.Tracer)


def _check_relative(transform):
    relative = transform.relative
    if _concrete(relative) and not (np.isfinite(relative) and relative >= 0):
        raise PhysnetError(
            f"{type(transform).__name__}: relative is {relative}; give a standard deviation as a share of the "
            "conductance, at least 0, such as 0.1."
        )


def _check_range(transform):
    low, high = transform.lowest, transform.highest
    if _concrete(low) and _concrete(high) and not (0 <= low <= high and np.isfinite(high)):
        raise PhysnetError(
            f"{type(transform).__name__}: conductances from {low} S to {high} S; give 0 <= lowest <= highest, finite."
        )
