"""Steps that adapt to the error of each sample, by diffrax: stiff systems, noise with a Brownian tree."""

from typing import ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from physnet import precision
from physnet.engines.base import Engine, Run, sample_keys, tree_finite


class Adaptive(Engine):
    """A diffrax solver with step-size control; each sample takes its own steps.

    solver: Kvaerno5 by default, implicit, since circuits are stiff; with noise `diffrax.ShARK`, for additive noise.
    rtol, atol: error of a step, rtol relative, atol in the state's unit; 1e-8 and 1e-10 in double, 1e-5 and 1e-6 in
    single precision; with noise 1e-3 and 1e-5, where each step's strong error is at stake. max_steps: per sample.
    adjoint: how derivatives go through it (`diffrax.ForwardMode()`, or `RecursiveCheckpointAdjoint()` for reverse).
    """

    advice: ClassVar[str] = "Try a larger max_steps, larger rtol and atol, another solver, an earlier end"

    solver: diffrax.AbstractSolver | None = None
    rtol: float | None = eqx.field(static=True, default=None)
    atol: float | None = eqx.field(static=True, default=None)
    max_steps: int = eqx.field(static=True, default=100_000)
    adjoint: diffrax.AbstractAdjoint | None = None

    def refuses(self, system, *, noisy):
        if system.delays:
            return "its coupling is delayed, and diffrax keeps no history; use FixedStep()."
        return None

    def run(self, system, signal, times, initial, key):
        samples = jax.tree.leaves(initial)[0].shape[0]
        keys = sample_keys(key, samples)
        return _run(self, system, signal, times, initial, keys)

    def follow(self, system, signal, times, initial, key=None):
        """(states at `times`, steps, reached) of one sample: the traceable core, for derivatives through a run.

        Each leaf of the states is (time, ...). signal: the inputs of one sample in time. initial: its state at
        times[0], shaped like the system's. key: a JAX random key, for its noise.
        """
        start, unravel = ravel_pytree(initial)
        start = start.astype(times.dtype)

        # diffrax solves implicit stages for ds/dt, to the tolerances of s. In seconds the rounding of ds/dt in a fast
        # circuit (1e10 V/s) is far above these: no stage would converge, and steps would shrink without end.
        unit = jnp.ones((), times.dtype) if key is not None else _unit_of_time(system, signal, times, start, unravel)

        def velocity(t, position, args):
            system, signal = args
            return unit * ravel_pytree(system.vector_field(unravel(position), signal.at(unit * t)))[0]

        terms, solver, control = diffrax.ODETerm(velocity), self.solver or diffrax.Kvaerno5(), (1e-8, 1e-10)
        if key is not None:
            sources, unravel_noise = ravel_pytree(system.diffusion(initial, signal.at(times[0])))
            shape = jax.ShapeDtypeStruct(sources.shape, start.dtype)
            path = diffrax.VirtualBrownianTree(
                times[0], times[-1], (times[-1] - times[0]) * 1e-7, shape, key, diffrax.SpaceTimeLevyArea
            )

            def amplitude(t, position, args):
                system, signal = args
                inputs = signal.at(t)
                sigma = ravel_pytree(system.diffusion(unravel(position), inputs))[0]
                return _operator(sigma, lambda noise: system.noise_to_state(noise, inputs), unravel_noise)

            terms = diffrax.MultiTerm(terms, diffrax.ControlTerm(amplitude, path))
            solver, control = self.solver or diffrax.ShARK(), (1e-3, 1e-5)
        controller = diffrax.PIDController(
            rtol=precision.by_precision(self.rtol, times.dtype, double=control[0], single=max(control[0], 1e-5)),
            atol=precision.by_precision(self.atol, times.dtype, double=control[1], single=max(control[1], 1e-6)),
        )
        solution = diffrax.diffeqsolve(
            terms,
            solver,
            t0=times[0] / unit,
            t1=times[-1] / unit,
            dt0=None if key is None else (times[-1] - times[0]) * 1e-4,
            y0=start,
            args=(system, signal),
            saveat=diffrax.SaveAt(ts=times / unit),
            stepsize_controller=controller,
            max_steps=self.max_steps,
            adjoint=self.adjoint or diffrax.ForwardMode(),
            throw=False,
        )
        state = jax.vmap(unravel)(solution.ys)
        reached = (solution.result == diffrax.RESULTS.successful) & tree_finite(state)
        return state, solution.stats["num_steps"].astype(jnp.int32), reached


def _unit_of_time(system, signal, times, start, unravel):
    """The time, s, in which the state moves by about its own unit or forgets its start, at most the whole run."""

    def velocity(position):
        return ravel_pytree(system.vector_field(unravel(position), signal.at(times[0])))[0]

    probe = jnp.cos(jnp.arange(start.size, dtype=start.dtype))  # no direction in particular
    rates = jnp.abs(jnp.stack(jax.jvp(velocity, (start,), (probe,))))
    rate = jnp.max(jnp.where(jnp.isfinite(rates), rates, 0))
    return jax.lax.stop_gradient(1 / jnp.maximum(rate, 1 / (times[-1] - times[0])))


def _operator(sigma, reach, unravel):
    """The matrix from increments of independent Wiener processes to the flat state: diagonal where each moves one."""
    import lineax

    noise = unravel(sigma)
    leaves, reached = jax.tree.leaves(noise), jax.tree.leaves(reach(noise))
    if len(leaves) == len(reached) and all(a is b for a, b in zip(leaves, reached)):
        return lineax.DiagonalLinearOperator(sigma)
    columns = jax.vmap(lambda source: ravel_pytree(reach(unravel(source)))[0])(jnp.diag(sigma))
    return lineax.MatrixLinearOperator(columns.T)


@eqx.filter_jit
def _run(engine, system, signal, times, initial, keys):
    def one(signal, initial, key):
        return engine.follow(system, signal, times, initial, key)

    return Run(*jax.vmap(one)(signal, initial, keys))
