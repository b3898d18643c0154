"""The dataset of `studies.rules`, from what each rule measured, and back where a run goes on."""

import json

import numpy as np

from physnet import provenance, results
from physnet.errors import PhysnetError
from physnet.variable import Variable

REFERENCES = (
    "Scellier, Ernoult, Kendall & Kumar, NeurIPS 2023, arXiv:2312.15103; Stern, Hexner, Rocks & Liu 2021, "
    "doi:10.1103/PhysRevX.11.021045; Movellan 1991; Laborieux et al. 2021, doi:10.3389/fnins.2021.633674"
)
_HISTORY = ("rule", "seed", "epoch")
VARIABLES = (
    Variable("train_cost", _HISTORY, "V2", "running mean of the cost over the epoch's free phases"),
    Variable("test_cost", _HISTORY, "V2", "mean cost of the test images after the epoch"),
    Variable("validation_accuracy", _HISTORY, "1", "share of the validation images that are read correctly"),
    Variable("test_accuracy", _HISTORY, "1", "share of the test images that are read correctly"),
    Variable("nudging_scale", _HISTORY, "S", "smallest eigenvalue of the output Thevenin conductance after the epoch"),
    Variable("beta", _HISTORY, "S", "size of the nudge in the epoch; NaN where outputs are clamped"),
    Variable("residual", _HISTORY, "1", "largest relative residual of the epoch's free phases, estimated"),
    Variable("converged", _HISTORY, "1", "fraction of training samples whose phases all settled"),
    Variable("test_residual", _HISTORY, "1", "largest relative residual of the test images' free phases, estimated"),
    Variable("test_converged", _HISTORY, "1", "fraction of the test images that settled"),
    Variable("steps", _HISTORY, "1", "mean sweeps of a free phase"),
    Variable("nudged_steps", _HISTORY, "1", "mean sweeps of a nudged phase"),
    Variable("rate_validation_accuracy", ("rule", "seed", "rate"), "1", "accuracy on validation images, last epoch"),
    Variable("learning_rate", ("rule",), "S2 V-2", "learning rate that was best on the validation images"),
    Variable("start_cosine", ("rule", "seed", "parameter"), "1", "cosine of the update to the gradient, before"),
    Variable("end_cosine", ("rule", "seed", "parameter"), "1", "cosine of the update to the gradient, trained"),
)


def build(config, found):
    """found: {rule: {variable: array without its rule axis}}."""
    names = [f"conductance_{i + 1}" for i in range(len(config.hidden) + 1)]
    coords = [
        (Variable("rule", ("rule",), "1", "learning rule"), np.array(list(found))),
        (Variable("seed", ("seed",), "1", "seed of conductances, order and split"), np.array(config.seeds)),
        (Variable("epoch", ("epoch",), "1", "training epoch, counted from 1"), np.arange(1, config.epochs + 1)),
        (Variable("rate", ("rate",), "S2 V-2", "learning rate tried"), np.array(config.learning_rates)),
        (Variable("parameter", ("parameter",), "1", "conductances, by layer or all"), np.array([*names, "all"])),
    ]
    variables = [(v, np.stack([np.asarray(rule[v.name]) for rule in found.values()])) for v in VARIABLES]
    attributes = provenance.collect(config, seed=config.seeds[0], precision="single", device="cpu")
    return results.to_dataset(
        variables,
        coords=coords,
        title="Learning rules on one resistive network that reads 8x8 digits",
        summary=f"Hidden layers {config.hidden}, ideal diodes, beta {config.beta:g} of the nudging scale, eta "
        f"{config.eta:g} (coupled) and 1 (contrastive), {config.epochs} epochs, {len(config.seeds)} seeds; each rule "
        f"at the best of {len(config.learning_rates)} learning rates, chosen on validation images.",
        references=REFERENCES,
        attrs=attributes | {"physnet_study": "rules"},
    )


def finished(config, out):
    """What a file at `out` holds already, {rule: {variable: array}}. Raises PhysnetError if it is of another run."""
    if out is None or not out.exists():
        return {}
    ds = results.open(out)
    stored, asked = json.loads(ds.attrs["physnet_config"]), json.loads(provenance.config_json(config))
    different = [name for name in asked if name != "rules" and stored.get(name) != asked[name]]
    if different:
        raise PhysnetError(f"{out} holds a run with other {', '.join(different)}. Write to another file.")
    return {str(rule): {v.name: ds[v.name].sel(rule=rule).values for v in VARIABLES} for rule in ds.rule.values}
