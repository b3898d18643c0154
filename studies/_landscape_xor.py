"""The XY network of `studies.energy_landscape` that learns XOR: where it rests under each input, before and after."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from oscillators import XYNetwork
from physnet import Centred, Data, SquaredError, fit
from physnet.landscape import basin_volumes
from physnet.landscape.datasets import landscape_dataset
from physnet.variable import Variable
from studies._landscape_parts import listed, titled

INPUTS = np.pi / 2 * np.array([[a, b] for a in (-1, 1) for b in (-1, 1)])  # rad
TARGETS = np.pi / 2 * np.where(INPUTS[:, 0] == INPUTS[:, 1], -1.0, 1.0)  # rad
_BETA, _GAIN, _FIELD = 0.1, 2.0, 0.5  # of the nudging scale; of the couplings; Hz
_REFERENCES = "arXiv:2402.08579"


def network(config) -> XYNetwork:
    """The network before it learns: random couplings, and fields without which no XOR could be told from its mirror."""
    rng = np.random.default_rng(config.seed)
    free = config.hidden + 1
    fields = {"fields": _FIELD * np.abs(rng.normal(size=free)), "field_phases": rng.uniform(-np.pi, np.pi, free)}
    return XYNetwork.random(2, config.hidden, 1, key=jax.random.key(config.seed), gain=_GAIN, **fields)


def _trained(config):
    targets = np.stack([np.cos(TARGETS), np.sin(TARGETS)], axis=1)  # of the output phase: cosine, sine
    return fit(
        network(config),
        Data(jnp.asarray(INPUTS), jnp.asarray(targets)),
        cost=SquaredError(),
        nudging=Centred(_BETA, relative=True),
        optimiser=optax.adam(config.learning_rate),
        epochs=config.epochs,
        batch_size=len(INPUTS),
        key=jax.random.key(config.seed),
        throw=False,
    )


def _landscapes(config):
    run = _trained(config)
    stages, key = {"before": network(config), "after": run.system}, jax.random.key(config.seed)
    labels = [(stage, pattern) for stage in stages for pattern in range(len(INPUTS))]
    found = [basin_volumes(stages[s], INPUTS[k], starts=config.starts, key=key) for s, k in labels]
    phases = [basins.equilibria.vector[:, -1] for basins in found]
    right = [np.sin(phase) * np.sin(TARGETS[k]) > 0 for phase, (_, k) in zip(phases, labels)]
    one, each = ("equilibrium",), ("search",)
    answer = Variable("answers_right", one, "1", "whether the output phase has the sign of its target")
    output = Variable("output_phase", one, "rad", "phase of the output oscillator")
    pairs = [
        *listed(found, [(output, phases), (answer, right)]),
        (Variable("input_phase", (*each, "input"), "rad", "phases of the inputs"), [INPUTS[k] for _, k in labels]),
        (Variable("target_phase", each, "rad", "phase that the output should take"), [TARGETS[k] for _, k in labels]),
        (Variable("pattern", each, "1", "number of the input"), [k for _, k in labels]),
        (Variable("train_cost", ("epoch",), "1", "mean cost of the free phase"), run.history["train_cost"]),
        (Variable("train_settled", ("epoch",), "1", "share of phases that settled"), run.history["converged"]),
    ]
    coords = [
        (Variable("stage", each, "1", "before or after learning"), np.array([stage for stage, _ in labels])),
        (Variable("epoch", ("epoch",), "1", "epoch, counted from 1"), np.arange(1, run.epochs + 1)),
    ]
    title = f"Energy landscapes of an XY network of {config.hidden + 1} oscillators that learns XOR"
    summary = (
        f"Inputs held at -pi/2 or pi/2, output read as the sign of its sine; {run.epochs} epochs of Equilibrium "
        f"Propagation; {config.starts} starts for each input, drawn uniformly and followed downhill"
    )
    chart = found[-1].equilibria.chart
    return landscape_dataset(
        chart, pairs, coords=coords, default_title=title, **titled(config, title, summary, _REFERENCES)
    )


PARTS = {"answers_right": _landscapes}
