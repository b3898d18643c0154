"""Circuits in time: waveforms of sources, capacitances that every node has, and how long it takes to settle.

`physnet.integrate` follows C dv/dt = -I(v) from rest to the operating point, implicitly, since circuits are stiff.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements import Capacitor
from physnet import precision
from physnet.checks import check_inputs
from physnet.errors import PhysnetError
from physnet.signals import PiecewiseLinear, Signal

if TYPE_CHECKING:
    from circuits.circuit import Circuit
    from physnet.trajectory import Trajectory


class Sine(Signal):
    """Sources that oscillate: offset + amplitude sin(2 pi f (t - delay) + phase), held before the delay (SIN of SPICE).

    offset, amplitude: (input,) or (sample, input), in the system's input unit. frequency: Hz, above 0. phase: rad.
    delay: s, at least 0. The last three are numbers or arrays that broadcast with the others. Raises PhysnetError (in
    `integrate`) for shapes that do not fit, values that are not finite, and a capacitor between a free node and one
    whose potential an input sets: C dv/dt = -I(v) leaves out the current that it carries while the input changes.
    """

    offset: Float[Array, "..."]
    amplitude: Float[Array, "..."]
    frequency: Float[Array, "..."] | float
    phase: Float[Array, "..."] | float = 0.0
    delay: Float[Array, "..."] | float = 0.0

    def at(self, time):
        angle = 2 * jnp.pi * self.frequency * jnp.maximum(time - self.delay, 0) + self.phase
        return self.offset + self.amplitude * jnp.sin(angle)

    def extremes(self):
        return jnp.concatenate([self.offset - self.amplitude, self.offset + self.amplitude])

    def knots(self):
        return np.unique(np.asarray(self.delay, float))

    def checked(self, system):
        where = f"{type(system).__name__}: a sine"
        fields = {name: precision.real_array(getattr(self, name), f"{where}, {name}") for name in _SINE}
        for name, unit in (("frequency", "Hz"), ("delay", "s"), ("phase", "rad")):
            values = np.asarray(fields[name], float)
            good = np.isfinite(values) & ((values > 0) if name == "frequency" else (values >= 0) | (name == "phase"))
            if not good.all():
                wanted = {"frequency": " and above 0", "delay": " and at least 0", "phase": ""}[name]
                raise PhysnetError(f"{where}: {name} {values[~good].ravel()[0]:.6g} {unit}; it must be finite{wanted}.")
        offset, batched = check_inputs(system, fields["offset"])
        amplitude, more = check_inputs(system, fields["amplitude"])
        try:
            shape = np.broadcast_shapes(offset.shape, amplitude.shape, *(np.shape(fields[name]) for name in _SINE[2:]))
        except ValueError:
            shape = ()
        if shape[1:] != system.input_shape:
            shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in fields.items())
            raise PhysnetError(f"{where}: shapes that do not fit the inputs {system.input_shape}: {shapes}.")
        found = [jnp.broadcast_to(precision.asarray(x, offset.dtype), shape) for x in fields.values()]
        return Sine(*found), batched or more or shape[0] > 1


_SINE = ("offset", "amplitude", "frequency", "phase", "delay")


def pulse(
    low, high, *, delay: float = 0.0, rise: float, width: float, fall: float | None = None, period=None, count: int = 1
) -> PiecewiseLinear:
    """Trapezoidal pulses between two values of the inputs, `count` of them (PULSE of SPICE).

    low, high: (input,), in the system's input unit. delay: s, of the first rise. rise, fall: s, above 0 (fall is as
    rise where left out). width: s, at the top. period: s, needed for more than one. Raises PhysnetError for times that
    make no sense.
    """
    fall = rise if fall is None else fall
    for name, value, least in (("delay", delay, 0), ("rise", rise, None), ("width", width, 0), ("fall", fall, None)):
        if not (np.isfinite(value) and (value > 0 if least is None else value >= 0)):
            raise PhysnetError(
                f"pulse: {name} {value:.6g} s; it must be finite and {'above' if least is None else 'at least'} 0."
            )
    length = rise + width + fall
    if count < 1 or (count > 1 and (period is None or period < length)):
        raise PhysnetError(
            f"pulse: {count} pulses of {length:.6g} s with a period of {period} s; give at least one, and a period "
            "that is no shorter than a pulse."
        )
    starts = delay + (0.0 if period is None else period) * np.arange(count)
    times = (starts[:, None] + np.cumsum([0, rise, width, fall])).ravel()
    low, high = np.broadcast_arrays(np.atleast_1d(np.asarray(low, float)), np.atleast_1d(np.asarray(high, float)))
    return PiecewiseLinear(jnp.asarray(times), jnp.asarray(np.tile(np.stack([low, high, high, low]), (count, 1))))


def with_parasitics(circuit: "Circuit", capacitance: float) -> "Circuit":
    """The circuit with a capacitor to ground at every node that would otherwise have no time of its own.

    circuit: stays as it is. These are the nodes from which no chain of capacitors leads to a fixed potential. The new
    ones are named "parasitic:<node>". capacitance: F, above 0. It does not move a steady state.
    Raises PhysnetError for a capacitance that is not so.
    """
    if not (np.ndim(capacitance) == 0 and np.isfinite(capacitance) and capacitance > 0):
        raise PhysnetError(
            f"with_parasitics: capacitance {capacitance!r} F; it must be finite and above 0 (1e-15 F for a short wire)."
        )
    missing = circuit.build().labels.without_capacitance
    other = circuit.mapped(lambda bundle: bundle)
    if missing:
        names = [f"parasitic:{node}" for node in missing]
        other.add_many(names, list(missing), 0, Capacitor(float(capacitance)))
    return other


def settling_time(trajectory: "Trajectory", share: float = 0.01, *, final=None) -> Float[np.ndarray, "*sample output"]:
    """The time, s, after which each output stays close to the value that it settles at.

    trajectory: of a circuit. share: how close, a share of the whole way, above 0, below 1. The way is from the first
    recorded value to the final one; tau log(1 / share) for one RC. final: (*sample, output), V, by default the steady
    state that `relax` finds, under the last inputs, from the last recorded state. Between two records the distance is
    taken to fall exponentially, so that few records do. NaN for an output that was not within the share at the last
    time, 0 for one that does not move.
    Raises PhysnetError for another share, and ConvergenceError where no steady state is found.
    """
    if not 0 < share < 1:
        raise PhysnetError(f"settling_time: share {share!r}; give a number above 0 and below 1, such as 0.01.")
    outputs = np.asarray(trajectory.outputs, float)
    final = np.asarray(_final_outputs(trajectory) if final is None else final, float)
    times = np.asarray(trajectory.times, float)
    distance = np.abs(outputs - final[..., None, :])
    way = distance[..., 0, :]
    limit = share * way[..., None, :]
    beyond = distance > limit
    count = len(times)
    last = count - 1 - np.argmax(beyond[..., ::-1, :], axis=-2)  # the last record that is not yet within
    before, after = (
        np.take_along_axis(distance, k[..., None, :], axis=-2)[..., 0, :]
        for k in (last, np.minimum(last + 1, count - 1))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.log(before / (share * way)) / np.log(before / after)
    part = np.where(after > 0, np.clip(part, 0, 1), 1)
    begin, end = times[last], times[np.minimum(last + 1, count - 1)]
    found = begin + part * (end - begin) - times[0]
    found = np.where(beyond.any(axis=-2), found, 0.0)
    return np.where(beyond[..., -1, :], np.nan, found)


def _final_outputs(trajectory):
    """Outputs of the steady state nearest to the last recorded one."""
    from physnet import relax

    samples = np.ndim(trajectory.steps)
    inputs, system = trajectory.inputs, trajectory.system
    if inputs.ndim > samples + len(system.input_shape):
        inputs = inputs[(slice(None),) * samples + (-1,)]
    state = jax.tree.map(lambda leaf: leaf[(slice(None),) * samples + (-1,)], trajectory.state)
    return relax(system, inputs, initial=state).outputs
