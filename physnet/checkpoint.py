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
from physnet.parameters import map_parameters
from physnet.precision import dtype_of
from physnet.variable import Variable

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


def settings(system, trainer, optimiser_state, data) -> dict[str, str]:
    """What tells one run from another beside its config: everything that `fit` was given, as far as it has a text."""
    digest = hashlib.sha256()
    for part in (data.inputs, data.targets):
        digest.update(np.ascontiguousarray(part))
    shapes = jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}" if eqx.is_array(leaf) else "", optimiser_state)
    return {
        "system": repr(system),
        "cost": repr(trainer.cost),
        "nudging": repr(trainer.nudging),
        "rule": repr(trainer.rule),
        "relaxer": repr(trainer.relaxer),
        "batch_size": str(trainer.batch_size),
        "optimiser": ", ".join(jax.tree.leaves(shapes)),
        "data": digest.hexdigest(),
    }


def restore(run, path):
    """The run as it stands in the file at `path`. Raises PhysnetError if the file belongs to another run."""
    if path is None:
        raise PhysnetError("fit: resume=True needs out=FILE, the history file to go on from.")
    ds = results.open(path)
    _check_same_run(run, ds, path)
    wanted = [p.variable.name for p in run.system.parameters] + [variable.name for variable in run.variables]
    missing = [name for name in wanted if name not in ds]
    if missing:
        raise PhysnetError(f"{path}: no variable {missing[0]!r}, so this is no checkpoint of this run. Start anew.")
    system = map_parameters(lambda p, old: _like(ds, p.variable.name, old), run.system, only_trainable=False)
    leaves, structure = jax.tree.flatten(run.optimiser_state)
    arrays = iter(_optimiser_arrays(run.optimiser_state))
    restored = [_like(ds, next(arrays)[0], leaf) if eqx.is_array(leaf) else leaf for leaf in leaves]
    history = {variable.name: ds[variable.name].values for variable in run.variables}
    return replace(run, system=system, optimiser_state=jax.tree.unflatten(structure, restored), history=history)


def _check_same_run(run, ds, path):
    different = _differences(ds.attrs.get("physnet_config", "{}"), provenance.config_json(run.config), _MAY_DIFFER)
    different += _differences(ds.attrs.get("physnet_fit", "{}"), json.dumps(run.settings))
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


def _differences(stored: str, asked: str, ignored=()) -> list[str]:
    stored, asked = json.loads(stored), json.loads(asked)
    return [
        f"{name}: {stored.get(name)!r} in the file, {asked.get(name)!r} now"
        for name in sorted({*stored, *asked})
        if name not in ignored and stored.get(name) != asked.get(name)
    ]


def _optimiser_arrays(state):
    """(name, array) of every array of the optimiser's state, in tree order."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if eqx.is_array(leaf)]
    return [(f"optimiser_{i}", leaf) for i, leaf in enumerate(leaves)]


def _like(ds, name, old):
    values = ds[name].values
    if values.shape != old.shape:
        raise PhysnetError(f"checkpoint: {name} has shape {values.shape} in the file, {old.shape} in this run.")
    return jnp.asarray(values, old.dtype)


def _key_text(key) -> str:
    data = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    return " ".join(str(int(part)) for part in np.ravel(data))
