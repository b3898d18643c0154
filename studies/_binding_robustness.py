"""How `studies.binding` bears noise, dispersion of the sequences, and sequences that it has not been trained on."""

import jax
import numpy as np

from physnet.variable import Variable
from studies import _binding_equilibrium
from studies._binding_data import CLASSES, EVENTS, LABELS, MEMBERS, baseline_predictions
from studies._binding_network import crossed, device, read
from studies._binding_ramps import RAMPS, centroid_ramps, early_ramps

ROOM = 300.0  # K, the temperature of the preset's noise
LEFT_OUT = ("centroid", "equilibrium propagation")  # through the simulation 40 more trainings would take half an hour


def variables(config, learned, say):
    """Accuracies (training, class, value, draw) and, each sequence left out in turn, (training, class)."""
    ramps = np.stack([one.ramps for one in learned.values()])
    dims = ("training", "class")
    noisy = np.stack([_noisy(ramps, T, config, i, say) for i, T in enumerate(config.temperatures)], -2)
    shifted = np.stack([_shifted(ramps, R, config, i, say) for i, R in enumerate(config.dispersions)], -2)
    software, ours = _left_out(config, say)
    return [
        (Variable("temperature_accuracy", (*dims, "temperature", "draw"), "1", "accuracy under thermal noise"), noisy),
        (
            Variable(
                "dispersion_accuracy", (*dims, "dispersion", "draw"), "1", "accuracy on sequences that are shifted"
            ),
            shifted,
        ),
        (Variable("left_out_accuracy", ("left_out_training", "class"), "1", "accuracy, each sequence left out"), ours),
        (
            Variable("baseline_left_out_accuracy", ("baseline", "class"), "1", "the same of software"),
            software,
        ),
    ]


def coordinates(config):
    """The coordinates of `variables`."""
    return [
        (Variable("temperature", ("temperature",), "K", "temperature of the noise"), np.array(config.temperatures)),
        (
            Variable("dispersion", ("dispersion",), "1", "radius, a.u., of the disc of shifts"),
            np.array(config.dispersions),
        ),
        (Variable("left_out_training", ("left_out_training",), "1", "how the ramps were set"), np.array(LEFT_OUT)),
    ]


def _accuracy(recognised, ramps, draws):
    right = recognised.reshape(*ramps.shape[:2], draws, len(EVENTS)) == MEMBERS[None, :, None]
    return right.mean(-1)


def _noisy(ramps, temperature, config, index, say):
    """(training, class, draw). Without noise all draws are one."""
    say(f"thermal noise at {temperature:g} K")
    draws = config.draws if temperature else 1
    each, events = crossed(ramps.reshape(-1, len(RAMPS)), np.tile(EVENTS, (draws, 1)))
    key = jax.random.fold_in(jax.random.key(config.seed), index) if temperature else None
    found = read(each, events, diffusion=device().diffusion_hz * temperature / ROOM, key=key)
    return np.broadcast_to(_accuracy(found.recognised, ramps, draws), (*ramps.shape[:2], config.draws))


def _shifted(ramps, radius, config, index, say):
    """(training, class, draw): shifts are uniform in a disc, the same for all networks."""
    say(f"sequences dispersed by {radius:g} a.u.")
    rng = np.random.default_rng([config.seed, index])
    angle = rng.uniform(0, 2 * np.pi, (config.draws, len(EVENTS)))
    length = radius * np.sqrt(rng.uniform(size=angle.shape))
    events = EVENTS + np.stack([length * np.cos(angle), length * np.sin(angle)], -1)
    found = read(*crossed(ramps.reshape(-1, len(RAMPS)), events.reshape(-1, 2)))
    return _accuracy(found.recognised, ramps, config.draws)


def _left_out(config, say):
    """((baseline, class), (training, class)): every sequence judged by networks that never saw it."""
    say("leaving out each sequence in turn")
    count = len(EVENTS)
    kept = ~np.eye(count, dtype=bool)
    software = np.stack(
        [baseline_predictions(EVENTS[k], LABELS[k], EVENTS[~k])[..., 0] for k in kept], -1
    )  # (baseline, class, sequence)
    late = np.concatenate([centroid_ramps(EVENTS[k], LABELS[k]) for k in kept])
    early = np.concatenate([early_ramps(EVENTS[k], LABELS[k]) for k in kept])
    mask = np.repeat(kept, len(CLASSES), axis=0)
    trained = _binding_equilibrium.learn([early], EVENTS, LABELS, config.steps, mask).ramps
    own = np.repeat(EVENTS, len(CLASSES), axis=0)
    ours = np.stack([read(ramps, own).recognised.reshape(count, -1).T for ramps in (late, trained)])
    return (software == MEMBERS).mean(-1), (ours == MEMBERS).mean(-1)
