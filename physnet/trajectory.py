"""integrate(): the way to the steady state, in time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from physnet import precision
from physnet.checks import check_initial
from physnet.engines.adaptive import Adaptive
from physnet.engines.base import Engine, fastest_rate
from physnet.engines.fixed_step import FixedStep
from physnet.errors import ConvergenceError, PhysnetError, require_instance
from physnet.problem import Problem
from physnet.signals import Held, as_signal, recorded
from physnet.system import EnergySystem, System, is_boxed

_TOLERABLE = 0.05  # error of a state variable by step doubling, as a share of the largest


class Trajectory(eqx.Module):
    """States in time. Leading sample axis where the inputs had one, then time.

    times: s. state: shaped like the system's state, with a time axis. inputs: in the inputs' unit, held ones (*sample,
    input), others at each time, (*sample, time, input). system: what moved. converged: whether the engine reached the
    last time with every number finite. steps: of the engine. error: of the state, in its unit, by step doubling (fixed
    steps; NaN where not checked), else None; see `Run`. `outputs`, `energy` and `residual` are computed from the states
    when asked for.
    """

    times: Float[Array, " time"]
    state: PyTree
    steps: Int[Array, " *sample"]
    converged: Bool[Array, " *sample"]
    inputs: Array
    system: System
    error: Float[Array, " *sample"] | None = None

    @property
    def outputs(self) -> Float[Array, " *sample time output"]:
        """What a cost reads, in the system's output unit."""
        return self.measured()[0]

    @property
    def energy(self) -> Float[Array, " *sample time"]:
        """In the system's energy unit, NaN where it has none; it never rises under fixed inputs without noise."""
        return self.measured()[1]

    @property
    def residual(self) -> Float[Array, " *sample time"]:
        """Relative residual at each time, dimensionless."""
        return self.measured()[2]

    def measured(self) -> tuple[Array, Array, Array]:
        """(outputs, energy, residual) of every recorded state, computed together.

        Shapes (*sample, time, output), (*sample, time) and (*sample, time), in the unit of the outputs, that of the
        energy and relative, as the properties of these names.
        """
        return _measure(self)

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset over time. attributes: as for `physnet.to_dataset`."""
        from physnet.datasets import trajectory_dataset

        return trajectory_dataset(self, **attributes)


def integrate(
    system: System,
    inputs=None,
    times=None,
    *,
    initial: PyTree | None = None,
    engine: Engine | None = None,
    throw: bool = True,
    key: PRNGKeyArray | None = None,
) -> Trajectory:
    """Follows ds/dt = vector_field(s, inputs(t)), with the system's noise where a key is given.

    system: what moves. inputs: (input,) or (sample, input), in the system's input unit, switched on at times[0] and
    held; or a `Signal`, such as `PiecewiseLinear(times, values)`, for inputs that change. times: (time,), s,
    increasing; the first is when `initial` holds (the system's state of rest by default, a circuit's 0 V; with a
    leading sample axis for a batch). engine: `FixedStep()` for systems that know their fastest rate (oscillators) and
    for delays, else `Adaptive()`, implicit, since circuits are stiff; either takes its options. key: draws the thermal
    noise of a system that has any. throw: raise ConvergenceError where a sample stops before the last time, or where
    its measured error (fixed steps, no noise) is above 5 % of its largest state variable; with False `converged` and
    `error` say so, and missing states are infinite or NaN.
    Raises PhysnetError for times that do not increase, inputs that do not fit, systems confined to a box, a step too
    large, noise asked of a system without any, and an ensemble that does not fit in memory.
    """
    if is_boxed(system):
        raise PhysnetError(
            f"integrate: the state of {type(system).__name__} is confined to a box (ideal diodes), where a wall acts "
            "at once: it has no dynamics of finite speed. Use Shockley diodes, or relax() for the steady state."
        )
    signal, batched = as_signal(system, inputs)
    if not isinstance(signal, Held):
        system.check_changing()
    times = _check_times(times, precision.dtype_of(signal))
    first = recorded(signal, times[:1])
    first = first if isinstance(signal, Held) else first[:, 0]
    initial = _at_rest(system, first) if initial is None else check_initial(system, first, initial, batched)
    engine = _check_engine(system, engine, signal, initial, first, key)
    run = engine.run(system, signal, times, initial, key)
    if throw:
        _raise_unless_reached(run, system, engine, times)
        if key is None and run.error is not None:
            _raise_unless_accurate(run, system, engine, times)
    found = {"state": run.state, "steps": run.steps, "converged": run.reached, "error": run.error}
    found["inputs"] = recorded(signal, times)
    if not batched:
        found = {name: jax.tree.map(lambda leaf: leaf[0], value) for name, value in found.items()}
    return Trajectory(times=times, system=system, **found)


def _check_engine(system, engine, signal, initial, first, key) -> Engine:
    """The engine to use. Raises PhysnetError where it refuses the system or there is no noise to draw."""
    if engine is None:
        fixed = bool(system.delays) or fastest_rate(system, signal) is not None
        engine = FixedStep() if fixed else Adaptive()
    require_instance(engine, Engine, "engine")
    if key is not None and jax.eval_shape(jax.vmap(system.diffusion), initial, first) is None:
        raise PhysnetError(f"integrate: a key was given and {type(system).__name__} has no noise; leave the key out.")
    if key is None and system.is_noisy:
        raise PhysnetError(
            f"integrate: {type(system).__name__} has thermal noise; pass key=jax.random.key(seed) to draw it, or set "
            "the noise to 0."
        )
    reason = engine.refuses(system, noisy=key is not None)
    if reason is not None:
        raise PhysnetError(f"{type(engine).__name__} refuses {type(system).__name__}: {reason}")
    return engine


def _raise_unless_reached(run, system, engine, times) -> None:
    stopped = ~np.asarray(run.reached)
    if stopped.any():
        worst = int(np.argmax(stopped))
        raise ConvergenceError(
            f"integrate: {stopped.sum()} of {stopped.size} samples of {type(system).__name__} stopped before "
            f"{float(times[-1]):.6g} s (sample {worst}, after {int(run.steps[worst])} steps of "
            f"{type(engine).__name__}): the state left every bound or the steps ran out. {engine.advice}, or "
            "throw=False to look at what was reached."
        )


def _raise_unless_accurate(run, system, engine, times) -> None:
    """Raises ConvergenceError where the error by step doubling is above `_TOLERABLE` of the largest state variable."""
    samples = len(run.steps)
    largest = [np.abs(np.asarray(leaf)).reshape(samples, -1).max(axis=1) for leaf in jax.tree.leaves(run.state)]
    error, largest = np.asarray(run.error), np.max(largest, axis=0)
    wrong = error > _TOLERABLE * largest  # False where the error is NaN: not checked
    if wrong.any():
        worst = int(np.argmax(np.where(wrong, error / largest, 0)))
        step = float(times[-1] - times[0]) / int(run.steps[worst])
        raise ConvergenceError(
            f"integrate: the steps of {type(engine).__name__}, {step:.3g} s, are too long for {type(system).__name__}: "
            f"in {wrong.sum()} of {np.isfinite(error).sum()} samples that were checked the estimated error is above "
            f"{_TOLERABLE:.0%} of the largest state variable (sample {worst}: {error[worst]:.3g} of "
            f"{largest[worst]:.3g}). Pass a shorter one, {type(engine).__name__}(step={step / 2:.2g}), or throw=False "
            "to keep the states (a chaotic system forgets its start at any step)."
        )


@eqx.filter_jit
def _at_rest(system, inputs):
    return jax.vmap(system.rest_state)(inputs)


@eqx.filter_jit
def _measured_rows(system, states, inputs):
    def one(state, inputs):
        energy = system.energy(state, inputs) if isinstance(system, EnergySystem) else jnp.nan
        outputs = system.outputs(state, inputs)
        return outputs, jnp.asarray(energy, outputs.dtype), Problem(system, inputs).certificate(state)[0]

    return jax.vmap(one)(states, inputs)


def _measure(trajectory):
    """(outputs, energy, residual) of every recorded state."""
    system, times, inputs = trajectory.system, len(trajectory.times), trajectory.inputs
    samples = np.shape(trajectory.steps)
    if inputs.ndim == len(samples) + len(system.input_shape):  # held: the same at all times
        inputs = jnp.broadcast_to(jnp.expand_dims(inputs, len(samples)), (*samples, times, *system.input_shape))
    rows = jax.tree.map(lambda leaf: jnp.reshape(leaf, (-1, *leaf.shape[len(samples) + 1 :])), trajectory.state)
    found = _measured_rows(system, rows, inputs.reshape(int(np.prod((*samples, times))), *system.input_shape))
    return tuple(leaf.reshape(*samples, times, *leaf.shape[1:]) for leaf in found)


def _check_times(times, dtype) -> Float[Array, " time"]:
    """Times as an array. Raises PhysnetError unless they are at least two, finite and increasing."""
    if times is None:
        raise PhysnetError(
            "integrate: times are missing; pass the times to record, in s: numpy.linspace(0, 1e-3, 101)."
        )
    values = np.asarray(times, dtype=float)
    if values.ndim != 1 or values.size < 2:
        raise PhysnetError(f"integrate: times have shape {values.shape}; expected (time,) with at least two times, s.")
    if not np.isfinite(values).all():
        where = int(np.argmin(np.isfinite(values)))
        raise PhysnetError(f"integrate: times[{where}] is {values[where]} s; every time must be finite.")
    values = precision.asarray(values, dtype)
    rising = np.diff(np.asarray(values)) > 0
    if not rising.all():
        where = int(np.argmin(rising))
        raise PhysnetError(
            f"integrate: times[{where + 1}] = {float(values[where + 1]):.9g} s does not come after times[{where}] = "
            f"{float(values[where]):.9g} s (in {values.dtype}). Sort the times and leave out repeated ones."
        )
    return values
