"""One batch, one epoch, one evaluation: the compiled parts of training."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from physnet.cost import Cost
from physnet.equilibrium import settle
from physnet.gradients import EPGradient, phase_gradient
from physnet.implicit import implicit_from_states
from physnet.nudging import Nudging
from physnet.nudging_scale import beta_units, check_nudging, nudging_scales
from physnet.parameters import clip_to_bounds, trainable_mask
from physnet.relaxers.base import Relaxer
from physnet.rules import LearningRule
from physnet.sharding import devices_for, pinned, replicated, spread
from physnet.system import System

Measure = Callable[[Array, Array], Array]  # (outputs, target) of one sample -> one number


def correctly_classified(outputs: Array, target: Array) -> Float[Array, ""]:
    """1 where the largest output is the target's largest entry, else 0, dimensionless; its mean is the accuracy.

    outputs, target: (output,) of one sample, in the outputs' unit.
    """
    return (jnp.argmax(outputs) == jnp.argmax(target)).astype(outputs.dtype)


class Data(eqx.Module):
    """Samples to train on or to test with, row by row.

    inputs: (sample, input), in the system's input unit. targets: (sample, output), in its output unit.
    Integer inputs, such as pixels in bytes, stay integers until their batch settles: a quarter of the memory.
    """

    inputs: Shaped[Array | np.ndarray, "sample input"]
    targets: Float[Array | np.ndarray, "sample output"]

    def rows(self, index) -> tuple[Array, Array]:
        """(inputs, targets) of some samples, in their units, both in the targets' precision.

        index: a slice, or an array of sample numbers.
        """
        return self.inputs[index].astype(self.targets.dtype), self.targets[index]


class Tally(eqx.Module):
    """Running sums over the steps of an epoch."""

    steps: Array
    cost: Array
    measures: dict[str, Array]
    residual: Array
    converged: Array
    sweeps: Array
    nudged_sweeps: Array

    @staticmethod
    def empty(measures, dtype):
        zero = jnp.zeros((), dtype)
        return Tally(jnp.zeros((), jnp.int32), zero, {name: zero for name in measures}, zero, zero, zero, zero)


class Trainer(eqx.Module):
    """What does not change in a run, and what it does with a batch. Equal engines share their compiled programs."""

    cost: Cost
    nudging: Nudging
    rule: LearningRule
    relaxer: Relaxer
    optimiser: optax.GradientTransformation
    measures: dict[str, Measure]
    batch_size: int
    devices: tuple[jax.Device, ...] = eqx.field(static=True, default=())  # that share a batch, where there are several

    def gradient(self, system: System, inputs: Array, targets: Array, key: PRNGKeyArray) -> EPGradient:
        """The EP gradient of a batch, its residuals by the relaxer's own measure. key: for what is drawn."""
        free = settle(system, inputs, None, self.relaxer, certify=False)
        scale = nudging_scales(system, self.cost, free.state, inputs) if self.nudging.relative else None
        return phase_gradient(
            system,
            inputs,
            targets,
            self.cost,
            self.nudging,
            self.relaxer,
            rule=self.rule,
            scale=scale,
            free=free,
            key=key,
            certify=False,
        )

    def step(self, system: System, optimiser_state, inputs: Array, targets: Array, key: PRNGKeyArray):
        """One batch: free phase, nudged phases, gradient, update, bounds. (system, optimiser state, EPGradient)."""
        inputs, targets = pinned((inputs, targets), self.devices, samples=True)
        found = self.gradient(system, inputs, targets, key)
        mask = trainable_mask(system)
        updates, optimiser_state = self.optimiser.update(found.gradient, optimiser_state, eqx.filter(system, mask))
        system = clip_to_bounds(eqx.apply_updates(system, updates))
        return *pinned((system, optimiser_state), self.devices, samples=False), found

    def train(self, carry, data, order, start, stop, key):
        """Steps start to stop of an epoch, in the given order of samples; key: of the epoch."""
        return _train(self, carry, data, order, key, jnp.asarray(start, jnp.int32), jnp.asarray(stop, jnp.int32))

    def summary(self, tally):
        """The epoch's running means, as they go into the history."""
        steps = int(tally.steps)
        row = {f"train_{name}": float(total) / steps for name, total in tally.measures.items()}
        return row | {
            "train_cost": float(tally.cost) / steps,
            "residual": float(tally.residual),
            "converged": float(tally.converged) / steps,
            "steps": float(tally.sweeps) / steps,
            "nudged_steps": float(tally.nudged_sweeps) / steps,
        }

    def evaluate(self, system, test, chunk=500):
        """Mean cost, measures and converged fraction of the free states of `test`, a chunk of samples at a time."""
        totals, count = {}, test.inputs.shape[0]
        parts = self.relaxer, self.cost, self.measures  # not the nudging: runs that differ in it share the program
        for start in range(0, count, chunk):
            rows = test.rows(slice(start, start + chunk))
            if self.devices:
                here = devices_for(len(rows[0]), self.devices)
                system, rows = replicated(system, here), spread(rows, here)
            for name, value in _evaluate(*parts, system, *rows).items():
                totals[name] = totals.get(name, 0.0) + float(value)
        return {f"test_{name}": total / count for name, total in totals.items()}

    def check_nudging(self, system: System, data: Data) -> None:
        """Raises PhysnetError where the nudging does not work on some samples, or a beta unbinds the outputs."""
        inputs, targets = data.rows(slice(0, 16))
        states = _free_states(self.relaxer, system, inputs)
        self.nudging.check(system, self.cost, states, inputs, targets)
        if self.nudging.most_negative:
            scales = nudging_scales(system, self.cost, states, inputs)
            check_nudging(self.nudging, self.cost, scales, "fit", beta_units(system, self.cost))

    def compare(self, system, probe):
        """Cosine between the EP and the implicit gradient on the probe batch, parameter by parameter."""
        cosine, converged = _compare(self, system, *probe.rows(slice(None)))
        return {"gradient_cosine": np.asarray(cosine), "probe_converged": float(converged)}


@eqx.filter_jit
def _train(engine, carry, data, order, key, start, stop):
    arrays, rest = eqx.partition(carry, eqx.is_array)

    def body(index, arrays):
        system, optimiser_state, tally = eqx.combine(arrays, rest)
        chosen = jax.lax.dynamic_slice_in_dim(order, index * engine.batch_size, engine.batch_size)
        inputs, targets = data.rows(chosen)
        system, optimiser_state, found = engine.step(
            system, optimiser_state, inputs, targets, jax.random.fold_in(key, index)
        )
        free, nudged = found.free, found.nudged
        tally = Tally(
            tally.steps + 1,
            tally.cost + found.cost,
            {
                name: tally.measures[name] + jnp.mean(jax.vmap(measure)(free.outputs, targets))
                for name, measure in engine.measures.items()
            },
            jnp.maximum(tally.residual, jnp.max(free.residual)),
            tally.converged + jnp.mean(found.converged, dtype=tally.cost.dtype),
            tally.sweeps + jnp.mean(free.steps, dtype=tally.cost.dtype),
            tally.nudged_sweeps + jnp.mean(nudged.steps, dtype=tally.cost.dtype),
        )
        return eqx.filter((system, optimiser_state, tally), eqx.is_array)

    return eqx.combine(jax.lax.fori_loop(start, stop, body, arrays), rest)


@eqx.filter_jit
def _evaluate(relaxer, cost, measures, system, inputs, targets):
    free = settle(system, inputs, None, relaxer, certify=False)
    measures = {"cost": cost, **measures}
    sums = {name: jnp.sum(jax.vmap(measure)(free.outputs, targets)) for name, measure in measures.items()}
    return sums | {"converged": jnp.sum(free.converged)}


@eqx.filter_jit
def _compare(engine, system, inputs, targets):
    learned = engine.gradient(system, inputs, targets, jax.random.key(0))
    exact = implicit_from_states(system, inputs, targets, engine.cost, learned.free)
    pairs = zip(jax.tree.leaves(learned.gradient), jax.tree.leaves(exact.gradient))
    cosines = [jnp.vdot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b)) for a, b in pairs]
    return jnp.stack(cosines), jnp.mean(learned.converged)


@eqx.filter_jit
def _free_states(relaxer, system, inputs):
    return settle(system, inputs, None, relaxer, certify=False).state
