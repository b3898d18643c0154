"""integrate(): the way to the steady state, in time."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree

from physnet import precision
from physnet.errors import ConvergenceError, PhysnetError
from physnet.problem import Problem
from physnet.system import EnergySystem, System, check_initial, check_inputs, is_boxed


class Trajectory(eqx.Module):
    """States in time. Leading sample axis where the inputs had one, then time.

    times: s. state: shaped like the system's state, with a time axis. outputs: (time, output). energy: in the system's
    energy unit, NaN where it has none; it never rises under fixed inputs. residual: relative, at each time.
    converged: whether the solver reached the last time with every number finite. steps: of the solver.
    """

    times: Float[Array, " time"]
    state: PyTree
    outputs: Float[Array, " *sample time output"]
    energy: Float[Array, " *sample time"]
    residual: Float[Array, " *sample time"]
    steps: Int[Array, " *sample"]
    converged: Bool[Array, " *sample"]
    inputs: Array
    system: System

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset over time. See `physnet.datasets`."""
        from physnet.datasets import trajectory_dataset

        return trajectory_dataset(self, **attributes)


def integrate(
    system: System,
    inputs=None,
    times=None,
    *,
    initial: PyTree | None = None,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int = 100_000,
    throw: bool = True,
) -> Trajectory:
    """Follows ds/dt = vector_field(s, inputs) under inputs that are switched on at times[0] and then held.

    inputs: (input,) or (sample, input). times: (time,), s, increasing; the first is when `initial` holds (the system's
    state of rest by default, a circuit's 0 V; with a leading sample axis for a batch). solver: a diffrax solver;
    Kvaerno5 by default, implicit, since circuits are stiff. rtol, atol: error of a step, atol in the state's unit;
    1e-8 and 1e-10 in double, 1e-5 and 1e-6 in single precision. throw: raise ConvergenceError where a sample stops
    before the last time; with False `converged` says so and the missing states are infinite or NaN.
    Raises PhysnetError for times that do not increase, inputs that do not fit, and systems confined to a box.
    """
    if is_boxed(system):
        raise PhysnetError(
            f"integrate: the state of {type(system).__name__} is confined to a box (ideal diodes), where a wall acts "
            "at once: it has no dynamics of finite speed. Use Shockley diodes, or relax() for the steady state."
        )
    inputs, batched = check_inputs(system, inputs)
    times = _check_times(times, inputs.dtype)
    if initial is None:
        initial = jax.vmap(system.rest_state)(inputs)
    else:
        initial = check_initial(system, inputs, initial, batched)
    tolerances = (
        precision.by_precision(rtol, inputs.dtype, double=1e-8, single=1e-5),
        precision.by_precision(atol, inputs.dtype, double=1e-10, single=1e-6),
    )
    trajectory = _integrate(system, inputs, times, initial, solver or diffrax.Kvaerno5(), tolerances, max_steps)
    stopped = ~np.asarray(trajectory.converged)
    if throw and stopped.any():
        worst = int(np.argmax(stopped))
        raise ConvergenceError(
            f"integrate: {stopped.sum()} of {stopped.size} samples of {type(system).__name__} stopped before "
            f"{float(times[-1]):.6g} s (sample {worst}, after {int(trajectory.steps[worst])} of at most {max_steps} "
            "steps): the state left every bound or the steps ran out. Try a larger max_steps, larger rtol and atol, "
            "another solver=..., an earlier end, or throw=False to look at what was reached."
        )
    if batched:
        return trajectory
    first = {name: jax.tree.map(lambda leaf: leaf[0], getattr(trajectory, name)) for name in _PER_SAMPLE}
    return Trajectory(times=trajectory.times, system=system, **first)


_PER_SAMPLE = ("state", "outputs", "energy", "residual", "steps", "converged", "inputs")


@eqx.filter_jit
def _integrate(system, inputs, times, initial, solver, tolerances, max_steps):
    rtol, atol = tolerances

    def one(inputs, initial):
        problem = Problem(system, inputs)
        start, unravel = ravel_pytree(initial)

        def velocity(t, position, problem):
            return ravel_pytree(problem.vector_field(unravel(position)))[0]

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity),
            solver,
            t0=times[0],
            t1=times[-1],
            dt0=None,
            y0=start.astype(times.dtype),
            args=problem,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
            max_steps=max_steps,
            adjoint=diffrax.ForwardMode(),
            throw=False,
        )
        state = jax.vmap(unravel)(solution.ys)

        def measure(state):
            energy = system.energy(state, inputs) if isinstance(system, EnergySystem) else jnp.nan
            return system.outputs(state, inputs), jnp.asarray(energy, start.dtype), problem.certificate(state)[0]

        reached = (solution.result == diffrax.RESULTS.successful) & jnp.all(jnp.isfinite(solution.ys))
        return state, *jax.vmap(measure)(state), solution.stats["num_steps"].astype(jnp.int32), reached

    state, outputs, energy, residual, steps, converged = jax.vmap(one)(inputs, initial)
    return Trajectory(times, state, outputs, energy, residual, steps, converged, inputs, system)


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
