"""Inputs that change in time: what `integrate` accepts in the place of an array of held inputs."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physnet import precision
from physnet.checks import check_inputs
from physnet.errors import PhysnetError
from physnet.system import System


class Signal(eqx.Module):
    """The inputs of a system as a function of time. Methods are written for one sample; physnet adds the sample axis.

    Every array of a signal has the same leading sample axis once it has been through `checked`.
    """

    @abstractmethod
    def at(self, time: Float[Array, ""]) -> Array:
        """The inputs of one sample at a time, in the system's input unit; shape: the system's `input_shape`.

        time: s.
        """

    @abstractmethod
    def extremes(self) -> Array:
        """Inputs (value, input) between which all others lie, of all samples: the most an integrator has to take."""

    def knots(self) -> np.ndarray | None:
        """(knot,) times, s, of all samples, where the inputs bend or jump; None where the signal does not say.

        Fixed steps end there. Without knowing, their error is estimated as if halving the step only halved it.
        """
        return None

    @abstractmethod
    def checked(self, system: System) -> tuple["Signal", bool]:
        """The signal with a sample axis on every array, and whether it came with one.

        system: whose inputs these are. Raises PhysnetError for arrays that do not fit it.
        """


class Held(Signal):
    """Inputs that are switched on at the start and then held.

    value: (input,) or (sample, input), in the system's input unit.
    """

    value: Array

    def at(self, time):
        return self.value

    def extremes(self):
        return self.value

    def knots(self):
        return np.empty(0)

    def checked(self, system):
        value, batched = check_inputs(system, self.value)
        return Held(value), batched


class PiecewiseLinear(Signal):
    """Straight lines between knots: ramps, holds, and steps where two knots share one time.

    times: (knot,) or (sample, knot), s, none before its predecessor; the first value holds before them, the last after.
    values: (knot, input) or (sample, knot, input), in the system's input unit. Raises PhysnetError (in `integrate`) for
    knots out of order, shapes that do not fit, and values that are not finite.
    """

    times: Float[Array, " *sample knot"]
    values: Float[Array, "..."]

    def at(self, time):
        begin, end = self.times[:-1], self.times[1:]
        length = end - begin
        share = jnp.clip((time - begin) / jnp.where(length > 0, length, 1), 0, 1)
        share = jnp.where(length > 0, share, time >= begin)
        value = self.values[0]
        for k in range(self.times.shape[0] - 1):  # written out: few knots, and no gather inside an integrator
            value = value + share[k] * (self.values[k + 1] - self.values[k])
        return value

    def extremes(self):
        return self.values.reshape(-1, *self.values.shape[2:])

    def knots(self):
        return np.unique(np.asarray(self.times, float))

    def checked(self, system):
        where = f"{type(system).__name__}: inputs in time"
        times = np.asarray(precision.real_array(self.times, f"{where}, knots"), float)
        values = precision.real_array(self.values, where)
        shape = system.input_shape
        if times.ndim not in (1, 2) or times.shape[-1] < 2 or values.ndim not in (1 + len(shape), 2 + len(shape)):
            raise PhysnetError(
                f"{where}: knots have shape {times.shape} and values {values.shape}; expected (knot,) and "
                f"(knot, {', '.join(map(str, shape))}) with at least two knots, each with or without a sample axis."
            )
        tail = values.shape[values.ndim - 1 - len(shape) :]
        if tail != (times.shape[-1], *shape):
            raise PhysnetError(f"{where}: values have shape {values.shape}; expected {(times.shape[-1], *shape)} each.")
        if not np.isfinite(times).all() or not bool(jnp.all(jnp.isfinite(values))):
            raise PhysnetError(f"{where}: knots (s) and values ({system.input_variable.units}) must all be finite.")
        if (np.diff(times) < 0).any():
            raise PhysnetError(f"{where}: a knot lies before its predecessor; sort the knots (s) in time.")
        system.check_values(values)
        batched = values.ndim > 1 + len(shape) or times.ndim == 2
        samples = {a.shape[0] for a, b in ((times, times.ndim == 2), (values, values.ndim == 2 + len(shape))) if b}
        if len(samples) > 1:
            raise PhysnetError(f"{where}: knots are given for {len(times)} samples and values for {len(values)}.")
        count = samples.pop() if samples else 1
        dtype = precision.dtype_of(eqx.filter(system, eqx.is_inexact_array))
        times, values = precision.asarray(times, dtype), precision.asarray(values, dtype)
        return PiecewiseLinear(
            jnp.broadcast_to(times, (count, times.shape[-1])), jnp.broadcast_to(values, (count, *tail))
        ), batched


def as_signal(system: System, inputs) -> tuple[Signal, bool]:
    """`inputs`, an array or a signal, as a signal with a sample axis, and whether it had one. Raises PhysnetError."""
    if isinstance(inputs, type) and issubclass(inputs, Signal):
        raise PhysnetError(f"inputs are the class {inputs.__name__}; did you forget the parentheses?")
    return (inputs if isinstance(inputs, Signal) else Held(inputs)).checked(system)


def recorded(signal: Signal, times: Array) -> Array:
    """The inputs as stored with a trajectory: (sample, input) where held, else (sample, time, input)."""
    if isinstance(signal, Held):
        return signal.value
    return jax.vmap(lambda one: jax.vmap(one.at)(times))(signal)
