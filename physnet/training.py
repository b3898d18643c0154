"""fit(): a system learns from data by settling, one small batch after another."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from physnet import checkpoint, results
from physnet.cost import Cost, check_targets
from physnet.equilibrium import check_relaxer, settle
from physnet.errors import ConvergenceError, PhysnetError
from physnet.gradients import implicit_from_states, phase_gradient
from physnet.nudging import Nudging
from physnet.nudging_scale import beta_units, check_nudging, nudging_scales
from physnet.relaxers.base import Relaxer
from physnet.system import System, check_inputs, clip_to_bounds, trainable_mask
from physnet.variable import Variable

Measure = Callable[[Array, Array], Array]  # (outputs, target) of one sample -> one number


def correctly_classified(outputs: Array, target: Array) -> Float[Array, ""]:
    """1 where the largest output is the target's largest entry, else 0; its mean is the accuracy."""
    return (jnp.argmax(outputs) == jnp.argmax(target)).astype(outputs.dtype)


class Data(eqx.Module):
    """inputs (sample, input) and targets (sample, output), row by row."""

    inputs: Float[Array, "sample feature"]
    targets: Float[Array, "sample output"]


@dataclass(frozen=True)
class TrainingRun:
    """A trained system and how it got there.

    system: with its trained parameters. history: for each epoch, arrays over the dims named in `variables`.
    optimiser_state, config, key: what a checkpoint needs to go on.
    """

    system: System
    optimiser_state: object
    history: dict[str, np.ndarray]
    variables: tuple[Variable, ...]
    config: object
    key: PRNGKeyArray
    attributes: dict = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        return len(self.history["train_cost"])

    def to_dataset(self, extra=(), coords=()):
        """The history by epoch, the parameters and the optimiser's state: the file that `fit` resumes from.

        extra, coords: (Variable, array) pairs that belong into the same file, such as figures' data.
        """
        return checkpoint.to_dataset(self, extra, coords)


class _Tally(eqx.Module):
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
        return _Tally(jnp.zeros((), jnp.int32), zero, {name: zero for name in measures}, zero, zero, zero, zero)


def fit(
    system: System,
    data: Data,
    *,
    cost: Cost,
    nudging: Nudging,
    optimiser: optax.GradientTransformation,
    epochs: int,
    batch_size: int,
    key: PRNGKeyArray,
    test: Data | None = None,
    probe: Data | None = None,
    measures: Mapping[str, Measure] | None = None,
    relaxer: Relaxer | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    throw: bool = True,
    config: object = None,
    attributes: Mapping[str, str] | None = None,
    progress: bool = False,
) -> TrainingRun:
    """Trains by Equilibrium Propagation: settle, nudge, step down the gradient, back inside the parameter bounds.

    data, test: training and test samples. probe: a few samples on which, after each epoch, the EP gradient is compared
    with the implicit gradient (cosine for each parameter). measures: further numbers per sample, averaged, such as
    {"accuracy": correctly_classified}. optimiser: any optax transformation; its steps are counted in batches.
    Every epoch visits the samples in a new order drawn from `key` and its number; a last incomplete batch is left out.
    train_ numbers are running means of the free phases of the epoch, as they came; test_ numbers are taken after it.

    out: a netCDF file, rewritten whole after each epoch: history and checkpoint in one. resume: go on from `out`,
    with the same numbers as an unbroken run. config: what determines the run, stored with it; a resumed run must agree
    in everything but `epochs`. throw: stop with ConvergenceError when a state did not settle; with False the history
    says which fraction did. attributes: further attributes of the dataset (title, summary, references, physnet_study).
    Raises PhysnetError for data, a relaxer or a nudging that do not fit the system, before anything is written.
    """
    relaxer = check_relaxer(system, relaxer, cost)
    measures = dict(measures or {})
    data, test, probe = (
        _checked(system, cost, part, name) for part, name in ((data, "data"), (test, "test"), (probe, "probe"))
    )
    samples = data.inputs.shape[0]
    if not 1 <= batch_size <= samples:
        raise PhysnetError(f"fit: batch_size is {batch_size}; choose 1 to {samples}, the number of training samples.")
    if epochs < 1:
        raise PhysnetError(f"fit: epochs is {epochs}; choose at least 1.")
    run = TrainingRun(
        system,
        optimiser.init(eqx.filter(system, trainable_mask(system))),
        {},
        _history_variables(system, measures, test is not None, probe is not None),
        config,
        key,
        dict(attributes or {}),
    )
    run = run if not resume else checkpoint.restore(run, out)
    if not resume:
        run.history.update({variable.name: np.zeros((0, *_extent(variable, system))) for variable in run.variables})
        if out is not None:
            results.check_writable(out, overwrite=True)
    _check_nudging(run.system, nudging, cost, data, relaxer, batch_size)

    engine = _Engine(cost, nudging, relaxer, optimiser, measures, batch_size)
    steps = samples // batch_size
    with _bar(progress, epochs, run.epochs, steps) as advance:
        for epoch in range(run.epochs, epochs):
            started = time.perf_counter()
            order = jax.random.permutation(jax.random.fold_in(key, epoch), samples)
            carry = run.system, run.optimiser_state, _Tally.empty(measures, data.inputs.dtype)
            chunk = max(1, steps // 40)
            for start in range(0, steps, chunk):
                stop = min(start + chunk, steps)
                carry = engine.train(carry, data, order, start, stop)
                advance(stop - start, carry[2])
            row = engine.summary(carry[2])
            row |= engine.evaluate(carry[0], test) if test is not None else {}
            row |= engine.compare(carry[0], probe) if probe is not None else {}
            row["wall_time"] = time.perf_counter() - started
            if throw:
                _raise_if_lost(row, epoch)
            history = {name: np.concatenate([run.history[name], np.asarray(row[name])[None]]) for name in run.history}
            run = TrainingRun(carry[0], carry[1], history, run.variables, config, key, run.attributes)
            _check_nudging(run.system, nudging, cost, data, relaxer, batch_size)
            if out is not None:
                results.save(run.to_dataset(), out, overwrite=True)
    return run


class _Engine(eqx.Module):
    """What does not change in a run, and what it does with a batch. Equal engines share their compiled programs."""

    cost: Cost
    nudging: Nudging
    relaxer: Relaxer
    optimiser: optax.GradientTransformation
    measures: dict[str, Measure]
    batch_size: int

    def step(self, system, optimiser_state, inputs, targets):
        """One batch: free phase, nudged phases, gradient, update, bounds."""
        free = settle(system, inputs, None, self.relaxer, certify=False)
        scale = jax.vmap(system.nudging_scale)(free.state, inputs) if self.nudging.relative else None
        found = phase_gradient(
            system, inputs, targets, self.cost, self.nudging, self.relaxer, scale=scale, free=free, certify=False
        )
        mask = trainable_mask(system)
        updates, optimiser_state = self.optimiser.update(found.gradient, optimiser_state, eqx.filter(system, mask))
        return clip_to_bounds(eqx.apply_updates(system, updates)), optimiser_state, found

    def train(self, carry, data, order, start, stop):
        """Steps start to stop of an epoch, in the given order of samples."""
        return _train(self, carry, data, order, jnp.asarray(start, jnp.int32), jnp.asarray(stop, jnp.int32))

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
        """Mean cost and measures of the free states of `test`, a chunk of samples at a time."""
        totals, count = {}, test.inputs.shape[0]
        for start in range(0, count, chunk):
            part = Data(test.inputs[start : start + chunk], test.targets[start : start + chunk])
            for name, value in _evaluate(self, system, part.inputs, part.targets).items():
                totals[name] = totals.get(name, 0.0) + float(value)
        return {f"test_{name}": total / count for name, total in totals.items()}

    def compare(self, system, probe):
        """Cosine between the EP and the implicit gradient on the probe batch, parameter by parameter."""
        return {"gradient_cosine": np.asarray(_compare(self, system, probe.inputs, probe.targets))}


@eqx.filter_jit
def _train(engine, carry, data, order, start, stop):
    arrays, rest = eqx.partition(carry, eqx.is_array)

    def body(index, arrays):
        system, optimiser_state, tally = eqx.combine(arrays, rest)
        chosen = jax.lax.dynamic_slice_in_dim(order, index * engine.batch_size, engine.batch_size)
        inputs, targets = data.inputs[chosen], data.targets[chosen]
        system, optimiser_state, found = engine.step(system, optimiser_state, inputs, targets)
        free, nudged = found.free, found.nudged
        tally = _Tally(
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
def _evaluate(engine, system, inputs, targets):
    free = settle(system, inputs, None, engine.relaxer, certify=False)
    measures = {"cost": engine.cost, **engine.measures}
    return {name: jnp.sum(jax.vmap(measure)(free.outputs, targets)) for name, measure in measures.items()}


@eqx.filter_jit
def _compare(engine, system, inputs, targets):
    free = settle(system, inputs, None, engine.relaxer, certify=False)
    scale = jax.vmap(system.nudging_scale)(free.state, inputs) if engine.nudging.relative else None
    learned = phase_gradient(
        system, inputs, targets, engine.cost, engine.nudging, engine.relaxer, scale=scale, free=free, certify=False
    )
    exact = implicit_from_states(system, inputs, targets, engine.cost, free)
    pairs = zip(jax.tree.leaves(learned.gradient), jax.tree.leaves(exact.gradient))
    return jnp.stack([jnp.vdot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b)) for a, b in pairs])


def _checked(system, cost, data, name):
    """The data as arrays of the system's precision, or PhysnetError naming which data is wrong."""
    if data is None:
        return None
    try:
        inputs, batched = check_inputs(system, data.inputs)
        if not batched or inputs.shape[0] == 0:
            raise PhysnetError(f"inputs have shape {np.shape(data.inputs)}; give at least one row, (sample, input).")
        return Data(inputs, check_targets(system, cost, data.targets, inputs.shape[0]))
    except PhysnetError as error:
        raise PhysnetError(f"fit: {name}: {error}") from None


def _check_nudging(system, nudging, cost, data, relaxer, batch_size):
    """The most negative beta must leave the outputs bound, at the start and after every epoch."""
    if not nudging.most_negative:
        return
    inputs = data.inputs[: min(batch_size, 16)]
    free = _settled(system, inputs, relaxer)
    check_nudging(nudging, nudging_scales(system, free.state, inputs), "fit", beta_units(system, cost))


@eqx.filter_jit
def _settled(system, inputs, relaxer):
    return settle(system, inputs, None, relaxer, certify=False)


def _raise_if_lost(row, epoch):
    if not np.isfinite(row["train_cost"]):
        raise ConvergenceError(
            f"fit: the training cost is {row['train_cost']} in epoch {epoch + 1}. Try a smaller learning rate or beta."
        )
    if row["converged"] < 1:
        raise ConvergenceError(
            f"fit: {1 - row['converged']:.2%} of the steady states of epoch {epoch + 1} did not settle (largest "
            f"relative residual {row['residual']:.3g}). Allow the relaxer more steps, or pass "
            "throw=False to go on regardless."
        )


def _history_variables(system, measures, tested, probed):
    """What the history holds, with dims, units and meaning."""
    units = {"cost": f"{system.output_variable.units}2" if system.output_variable.units != "1" else "1"}
    names = ["cost", *measures]
    parts = [("train", "running mean over the epoch's free phases"), ("test", "mean after the epoch")][: 1 + tested]
    found = [
        Variable(f"{part}_{name}", ("epoch",), units.get(name, "1"), f"{part} {name.replace('_', ' ')}, {how}")
        for part, how in parts
        for name in names
    ]
    found += [
        Variable(
            "residual",
            ("epoch",),
            "1",
            "largest relative residual of the epoch's free phases, by the relaxer's measure",
        ),
        Variable("converged", ("epoch",), "1", "fraction of samples whose phases all settled"),
        Variable("steps", ("epoch",), "1", "mean relaxer steps (sweeps) of a free phase"),
        Variable("nudged_steps", ("epoch",), "1", "mean relaxer steps (sweeps) of a nudged phase"),
        Variable("wall_time", ("epoch",), "s", "wall-clock time of the epoch"),
    ]
    if probed:
        long_name = "cosine of the EP gradient to the implicit gradient on the probe batch"
        found.append(Variable("gradient_cosine", ("epoch", "parameter"), "1", long_name))
    return tuple(found)


def _extent(variable, system):
    """Shape of one epoch's entry."""
    return (sum(p.trainable for p in system.parameters),) if "parameter" in variable.dims else ()


class _bar:
    """A tqdm bar over all steps of all epochs, on stderr; silent without `progress`."""

    def __init__(self, progress, epochs, done, steps):
        from tqdm import tqdm

        self.tqdm = tqdm(
            total=epochs * steps,
            initial=done * steps,
            unit="batch",
            disable=not progress,
            desc="training",
            smoothing=0.05,
        )

    def __enter__(self):
        return self.advance

    def advance(self, steps, tally):
        self.tqdm.update(steps)
        if not self.tqdm.disable:
            self.tqdm.set_postfix(cost=f"{float(tally.cost) / int(tally.steps):.4f}", refresh=False)

    def __exit__(self, *exception):
        self.tqdm.close()
