"""A training run as one dataset, and back: the history file is the checkpoint."""

import hashlib
import json
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet import provenance, results
from physnet.errors import PhysnetError
from physnet.parameters import map_parameters, trainable_mask
from physnet.precision import dtype_of
from physnet.variable import Variable

_COUNTS = (*range(8), *(10**k for k in range(1, 7)))  # steps at which an optimiser is asked for its updates
_ALIKE = 1e-4  # relative: far above rounding, in single precision and on other hardware as well
_MAY_DIFFER = ("epochs", "data")  # of a config; where the data lie is not what they are: those are compared


def to_dataset(run, extra=(), coords=()):
    """History by epoch, parameters, and the optimiser's state of a `physnet.training.TrainingRun`.

    extra, coords: further (Variable, array) pairs for the same dataset.
    """
    system = run.system
    variables = [(variable, run.history[variable.name]) for variable in run.variables]
    variables += [(p.variable, p.get(system)) for p in system.parameters]
    variables += [
        (Variable(name, tuple(f"{name}_axis_{i}" for i in range(leaf.ndim)), "1", "state of the optimiser"), leaf)
        for name, leaf in _optimiser_arrays(run.optimiser_state)
    ]
    variables += list(extra)
    epoch = Variable("epoch", ("epoch",), "1", "training epoch, counted from 1")
    coords = [(epoch, np.arange(1, run.epochs + 1)), *coords]
    coords += [(variable, np.array(labels)) for variable, labels in system.coordinates()]
    if "gradient_cosine" in run.history:
        names = [p.variable.name for p in system.parameters if p.trainable]
        coords.append((Variable("parameter", ("parameter",), "1", "trainable parameter"), np.array(names)))
    arrays = jax.tree.leaves(eqx.filter(system, eqx.is_inexact_array))
    provided = provenance.collect(
        run.config,
        seed=run.attributes.get("seed"),
        precision="double" if dtype_of(arrays) == np.float64 else "single",
        device=jax.devices()[0].device_kind,
    )
    extra = {name: value for name, value in run.attributes.items() if name.startswith("physnet_")}
    return results.to_dataset(
        variables,
        coords=coords,
        title=run.attributes.get("title", f"{type(system).__name__} trained by Equilibrium Propagation"),
        summary=run.attributes.get("summary", ""),
        references=run.attributes.get("references", ""),
        attrs=provided | extra | {"physnet_key": _key_text(run.key), "physnet_fit": json.dumps(run.settings)},
    )


def settings(system, trainer, optimiser_state, data, *, probed=True) -> dict[str, str]:
    """What tells one run from another beside its config: everything that `fit` was given, as far as it has a text.

    probed: whether the optimiser is asked what it does, too, which a run that keeps no file can do without.
    """
    digest = hashlib.sha256()
    for part in (data.inputs, data.targets):
        digest.update(np.ascontiguousarray(part))
    shapes = jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}" if eqx.is_array(leaf) else "", optimiser_state)
    found = {
        "system": repr(system),
        "cost": repr(trainer.cost),
        "nudging": repr(trainer.nudging),
        "rule": repr(trainer.rule),
        "relaxer": repr(trainer.relaxer),
        "batch_size": str(trainer.batch_size),
        "optimiser": ", ".join(jax.tree.leaves(shapes)),
        "data": digest.hexdigest(),
    }
    if probed:
        updates = np.asarray(_updates(trainer.optimiser, eqx.filter(system, trainable_mask(system)), optimiser_state))
        found["updates"] = " ".join(f"{number:.7g}" for number in updates)
    return found


@eqx.filter_jit
def _updates(optimiser, parameters, state):
    """One number for what an optimiser makes of each of a few given gradients, early and late in its schedules.

    The gradients and parameters are arbitrary, the same in every run. A state's whole numbers are its counts of steps.
    """
    leaves, structure = jax.tree.flatten(parameters)

    def waves(shift):
        return [jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype).reshape(leaf.shape) + shift) for leaf in leaves]

    def at(count, leaf):
        counts = eqx.is_array(leaf) and leaf.ndim == 0 and leaf.dtype in (jnp.int32, jnp.int64)
        return jnp.asarray(count, leaf.dtype) if counts else leaf

    arrays, rest = eqx.partition(state, eqx.is_array)
    parameters = structure.unflatten([wave + 2 for wave in waves(0.0)])

    def step(arrays, now):
        turn, count = now
        state = jax.tree.map(lambda leaf: at(count, leaf), eqx.combine(arrays, rest))
        gradient = [wave * 10.0 ** (turn % 5 - 2) for wave in waves(turn)]  # some within limits to their size, some not
        updates, state = optimiser.update(structure.unflatten(gradient), state, parameters)
        pairs = enumerate(zip(jax.tree.leaves(updates), gradient), start=1)
        number = sum(place * jnp.vdot(update, slope) / jnp.linalg.norm(slope) for place, (update, slope) in pairs)
        return eqx.filter(state, eqx.is_array), number

    turns = jnp.arange(len(_COUNTS), dtype=leaves[0].dtype)
    return jax.lax.scan(step, arrays, (turns, jnp.array(_COUNTS, jnp.int32)))[1]


def restore(run, path):
    """The run as it stands in the file at `path`. Raises PhysnetError if the file belongs to another run."""
    ds = results.open(path)
    _check_same_run(run, ds, path)
    wanted = [p.variable.name for p in run.system.parameters] + [variable.name for variable in run.variables]
    missing = [name for name in wanted if name not in ds]
    if missing:
        raise PhysnetError(f"{path}: no variable {missing[0]!r}, so this is no checkpoint of this run. Start anew.")
    system = map_parameters(lambda p, old: _like(ds, p.variable.name, old), run.system, only_trainable=False)
    leaves, structure = jax.tree.flatten(run.optimiser_state)
    arrays = iter(_optimiser_arrays(run.optimiser_state))
    restored = [_restored(_like(ds, *next(arrays)), leaf) if eqx.is_array(leaf) else leaf for leaf in leaves]
    history = {variable.name: ds[variable.name].values for variable in run.variables}
    return replace(run, system=system, optimiser_state=jax.tree.unflatten(structure, restored), history=history)


def _check_same_run(run, ds, path):
    different = _unequal(ds.attrs.get("physnet_config", "{}"), provenance.config_json(run.config), _MAY_DIFFER)
    different += differences(json.loads(ds.attrs.get("physnet_fit", "{}")), run.settings)
    if ds.attrs.get("physnet_key") != _key_text(run.key):
        different.append("the random key (seed)")
    for p in run.system.parameters:
        name = p.variable.name
        if not p.trainable and name in ds and not np.array_equal(ds[name].values, np.asarray(p.get(run.system))):
            different.append(f"{name}: another value in the file")
    if different:
        raise PhysnetError(
            f"{path} holds another run ({'; '.join(different)}). Resume with the same options (only epochs may "
            "differ), or write to another file."
        )


def differences(stored: dict[str, str], asked: dict[str, str]) -> list[str]:
    """In words, what differs between the `settings` in a file and those asked for; empty where it is one run."""
    stored, asked = dict(stored), dict(asked)
    before, now = (np.array(settings.pop("updates", "").split(), float) for settings in (stored, asked))
    found = _unequal(json.dumps(stored), json.dumps(asked))
    # Files from before the updates were kept have none; where states differ in shape, that has been said.
    if len(before) == len(now) and not np.allclose(before, now, rtol=_ALIKE, atol=0, equal_nan=True):
        found.append("the optimiser makes other steps than that of the file (learning rate, schedule or momentum)")
    return found


def _unequal(stored: str, asked: str, ignored=()) -> list[str]:
    stored, asked = json.loads(stored), json.loads(asked)
    return [
        f"{name}: {stored.get(name)!r} in the file, {asked.get(name)!r} now"
        for name in sorted({*stored, *asked})
        if name not in ignored and stored.get(name) != asked.get(name)
    ]


def _optimiser_arrays(state):
    """(name, array) of every array of the optimiser's state, in tree order; of random keys the numbers behind them."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if eqx.is_array(leaf)]
    return [(f"optimiser_{i}", _key_data(leaf)) for i, leaf in enumerate(leaves)]


def _restored(values, old):
    """What `old`, an array of the optimiser's state, becomes by the stored `values`."""
    if jnp.issubdtype(old.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(values, impl=jax.random.key_impl(old))
    return values


def _like(ds, name, old):
    values = ds[name].values
    if values.shape != old.shape:
        raise PhysnetError(f"checkpoint: {name} has shape {values.shape} in the file, {old.shape} in this run.")
    return jnp.asarray(values, old.dtype)


def _key_data(leaf):
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _key_text(key) -> str:
    return " ".join(str(int(part)) for part in np.ravel(_key_data(key)))
