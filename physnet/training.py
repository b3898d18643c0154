"""fit(): a system learns from data by settling, one small batch after another."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

from physnet import checkpoint, files, results
from physnet.checks import check_inputs
from physnet.cost import Cost, check_targets
from physnet.equilibrium import check_relaxer
from physnet.errors import ConvergenceError, PhysnetError
from physnet.gradients import check_rule, check_stencil
from physnet.nudging import Nudging
from physnet.parameters import trainable_mask
from physnet.relaxers.base import Relaxer
from physnet.rules import LearningRule
from physnet.sharding import devices_for, gathered, replicated
from physnet.system import System
from physnet.trainer import Data, Measure, Tally, Trainer
from physnet.variable import Variable


@dataclass(frozen=True)
class TrainingRun:
    """A trained system and how it got there.

    system: with its trained parameters. history: for each epoch, arrays over the dims named in `variables`.
    optimiser_state, config, key, settings: what a checkpoint needs to go on, and to tell one run from another.
    attributes: further ones of the dataset.
    """

    system: System
    optimiser_state: object
    history: dict[str, np.ndarray]
    variables: tuple[Variable, ...]
    config: object
    key: PRNGKeyArray
    settings: dict
    attributes: dict = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """Epochs trained so far."""
        return len(self.history["train_cost"])

    def to_dataset(self, extra=(), coords=(), **attributes):
        """The history by epoch, the parameters and the optimiser's state: the file that `fit` resumes from.

        extra, coords: (Variable, array) pairs that belong into the same file, such as figures' data. attributes:
        title, summary, references, seed, or any further global attribute.
        """
        return checkpoint.to_dataset(replace(self, attributes=self.attributes | attributes), extra, coords)


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
    rule: LearningRule | None = None,
    relaxer: Relaxer | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    throw: bool = True,
    config: object = None,
    attributes: Mapping[str, str] | None = None,
    progress: bool = False,
    devices: Sequence[jax.Device] | None = None,
) -> TrainingRun:
    """Trains by Equilibrium Propagation: settle, nudge, step down the gradient, back inside the parameter bounds.

    system, cost, nudging, rule, relaxer: as for `ep_gradient`. epochs: in all, those of a resumed run included.
    batch_size: samples in a batch. data, test: training and test samples.
    probe: a few samples on which, after each epoch, the EP gradient is compared
    with the implicit gradient (cosine for each parameter). measures: further numbers per sample, averaged, such as
    {"accuracy": correctly_classified}. optimiser: any optax transformation; its steps are counted in batches.
    key: a JAX random key. Every epoch visits the samples in a new order drawn from it and the epoch's number; a last
    incomplete batch is left out. train_ numbers are running means of the free phases of the epoch, as they came; test_
    numbers are taken after it.

    out: a netCDF file, rewritten whole after each epoch: history and checkpoint in one; an existing file is refused
    unless overwrite or resume. overwrite: replace it. The run holds it (`files.sole_writer`) until it ends. resume: go
    on from `out`, with the same numbers as an unbroken run, wherever the earlier one was killed; everything but
    `epochs` must be as it was, the optimiser's steps included. Where `out` does not exist yet, training starts anew: a
    job on a cluster can always ask for it. config: what determines the run, stored with it. throw: stop with
    ConvergenceError when a training, test or probe state did not settle; with False the history says which fraction
    did. attributes: further attributes of the dataset (title, summary, references, physnet_study). progress: show a
    bar on stderr. devices: that share every batch, by default all that this process has on JAX's default platform; as
    many of them work as divide batch_size. Their number changes sums in the last digits only, so a run may be resumed
    on another machine.
    Raises PhysnetError for data, a relaxer or a nudging that do not fit the system, for another run's file, and where
    another process writes to `out`, before anything is written.
    """
    rule = check_rule(system, rule, "fit")
    relaxer = check_relaxer(system, relaxer, cost)
    check_stencil(system, cost, nudging, rule, relaxer, "fit")
    measures = dict(measures or {})
    parts = {"data": data, "test": test, "probe": probe}
    data, test, probe = (_checked(system, cost, part, name) for name, part in parts.items())
    samples = data.inputs.shape[0]
    if not 1 <= batch_size <= samples:
        raise PhysnetError(f"fit: batch_size is {batch_size}; choose 1 to {samples}, the number of training samples.")
    if epochs < 1:
        raise PhysnetError(f"fit: epochs is {epochs}; choose at least 1.")
    state = optimiser.init(eqx.filter(system, trainable_mask(system)))
    variables = _history_variables(system, cost, measures, test is not None, probe is not None)
    history = {variable.name: np.zeros((0, *_extent(variable, system))) for variable in variables}
    devices = devices_for(batch_size, devices)
    trainer = Trainer(cost, nudging, rule, relaxer, optimiser, measures, batch_size, devices[1:] and devices)
    settings = checkpoint.settings(system, trainer, state, data, probed=out is not None)
    run = TrainingRun(system, state, history, variables, config, key, settings, dict(attributes or {}))
    if resume and out is None:
        raise PhysnetError("fit: resume=True needs out=FILE, the history file to go on from.")
    if out is not None:
        results.check_writable(out, overwrite=overwrite or resume)
    with contextlib.nullcontext() if out is None else files.sole_writer(out):
        if resume and Path(out).exists():
            run = checkpoint.restore(run, out)
            if run.epochs > epochs:
                raise PhysnetError(
                    f"fit: {out} holds {run.epochs} epochs already; epochs={epochs} would take some back."
                )
        trainer.check_nudging(run.system, data)
        everywhere = replicated(data, devices) if trainer.devices else data
        with _Bar(progress, epochs, run.epochs, samples // batch_size) as bar:
            while run.epochs < epochs:
                run = _one_epoch(run, trainer, everywhere, test, probe, bar.advance, throw)
                if out is not None:
                    results.save(run.to_dataset(), out, overwrite=True)
                trainer.check_nudging(run.system, data)
    return run


def _one_epoch(run, trainer, data, test, probe, advance, throw) -> TrainingRun:
    """The run after one more epoch over the data, in chunks between which the progress bar moves."""
    started = time.perf_counter()
    samples = data.inputs.shape[0]
    steps = samples // trainer.batch_size
    key = jax.random.fold_in(run.key, run.epochs)
    order = jax.random.permutation(key, samples)
    carry = run.system, run.optimiser_state, Tally.empty(trainer.measures, data.targets.dtype)
    carry = replicated(carry, trainer.devices) if trainer.devices else carry
    chunk = max(1, steps // 40)
    for start in range(0, steps, chunk):
        stop = min(start + chunk, steps)
        carry = trainer.train(carry, data, order, start, stop, key)
        advance(stop - start, carry[2])
    carry = gathered(carry) if trainer.devices else carry
    row = trainer.summary(carry[2])
    row |= trainer.evaluate(carry[0], test) if test is not None else {}
    row |= trainer.compare(carry[0], probe) if probe is not None else {}
    row["wall_time"] = time.perf_counter() - started
    if throw:
        _raise_if_lost(row, run.epochs)
    history = {name: np.concatenate([past, np.asarray(row[name])[None]]) for name, past in run.history.items()}
    return replace(run, system=carry[0], optimiser_state=carry[1], history=history)


def _checked(system, cost, data, name):
    """The data as arrays of the system's precision, or PhysnetError naming which data is wrong."""
    if data is None:
        return None
    try:
        inputs = jnp.asarray(data.inputs)
        if inputs.ndim == 0 or inputs.shape[0] == 0:
            raise PhysnetError(f"inputs have shape {inputs.shape}; give at least one row, (sample, input).")
        whole = jnp.issubdtype(inputs.dtype, jnp.integer)
        checked, batched = check_inputs(system, inputs[:1] if whole else inputs)
        if not batched:
            raise PhysnetError(f"inputs have shape {inputs.shape}; give rows of samples, (sample, input).")
        inputs = inputs if whole else checked
        return Data(inputs, check_targets(system, cost, data.targets, inputs.shape[0]))
    except PhysnetError as error:
        raise PhysnetError(f"fit: {name}: {error}") from None


def _raise_if_lost(row, epoch):
    if not np.isfinite(row["train_cost"]):
        raise ConvergenceError(
            f"fit: the training cost is {row['train_cost']} in epoch {epoch + 1}. Try a smaller learning rate or beta."
        )
    for name, states in (("converged", "training"), ("test_converged", "test"), ("probe_converged", "probe")):
        if row.get(name, 1.0) < 1:
            raise ConvergenceError(
                f"fit: {1 - row[name]:.2%} of the {states} samples of epoch {epoch + 1} did not settle (largest "
                f"relative residual in training {row['residual']:.3g}). Allow the relaxer more steps, or pass "
                "throw=False to go on regardless."
            )


def _history_variables(system, cost, measures, tested, probed):
    """What the history holds, with dims, units and meaning."""
    units = {"cost": cost.units(system.output_variable.units)}
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
    if tested:
        found.append(Variable("test_converged", ("epoch",), "1", "fraction of test samples whose free phase settled"))
    if probed:
        long_name = "cosine of the EP gradient to the implicit gradient on the probe batch"
        found.append(Variable("gradient_cosine", ("epoch", "parameter"), "1", long_name))
        found.append(Variable("probe_converged", ("epoch",), "1", "fraction of probe samples whose phases all settled"))
    return tuple(found)


def _extent(variable, system):
    """Shape of one epoch's entry."""
    return (sum(p.trainable for p in system.parameters),) if "parameter" in variable.dims else ()


class _Bar:
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
        return self

    def advance(self, steps, tally):
        self.tqdm.update(steps)
        if not self.tqdm.disable:
            self.tqdm.set_postfix(cost=f"{float(tally.cost) / int(tally.steps):.4f}", refresh=False)

    def __exit__(self, *exception):
        self.tqdm.close()
