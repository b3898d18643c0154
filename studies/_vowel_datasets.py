"""The dataset of the vowel study: accuracies, every sample's tones and pattern, and the maps that the figures show."""

import numpy as np

from physnet import Variable, provenance, results
from studies._vowel_network import OSCILLATORS, PRESET, Device, simulate
from studies._vowel_training import BASELINES

EVALUATIONS = ("training", "cross-validated", "with thermal noise")
NETWORK = "four oscillators, read by locking pattern"
_PATTERN_FLAGS = "0: locked to none, 1: to tone A, 2: to tone B"
_SWEPT = 257


def dataset(config, device: Device, data, fold, networks, baselines, predicted):
    """All of it. networks, baselines: of all samples, then of each fold. predicted: (sample,), each by its fold's."""
    import jax

    from studies.vowels import REFERENCES

    network, labels = networks[0], data.labels
    noisy = simulate(device, network.currents, network.tones, key=jax.random.key(config.seed))
    table, counts = _accuracies(network, baselines, labels, fold, predicted)
    table[0, 2] = np.mean(_read(noisy.patterns, network) == labels)
    one, per = ("sample",), ("sample", "oscillator")
    run = network.simulated
    variables = [
        (Variable("accuracy", ("model", "evaluation"), "1", "share of samples recognised; NaN: not done"), table),
        (Variable("parameters", ("model",), "1", "numbers that are learned"), counts),
        (Variable("formant_frequency", ("sample", "formant"), "Hz", "formant of the vowel"), data.formants),
        (Variable("injected_frequency", ("sample", "tone"), "Hz", "frequency of the injected tone"), network.tones),
        (Variable("vowel_index", one, "1", "index of the vowel spoken"), labels),
        (Variable("talker", one, "1", "number of the woman talker"), data.talkers),
        (Variable("fold", one, "1", "fold of the talker, -1: no cross-validation"), fold),
        (Variable("prediction", one, "1", "vowel recognised after training on all samples, -1: none"),
         network.predicted),
        (Variable("fold_prediction", one, "1", "vowel recognised by the network that did not learn from this talker, "
                  "-1: none, -2: no cross-validation"), predicted),
        (Variable("locking_pattern", per, "1", f"locking of each oscillator; {_PATTERN_FLAGS}"), run.patterns),
        (Variable("locked", ("sample", "tone", "oscillator"), "1", "whether the oscillator is locked to the tone"),
         run.patterns[:, None, :] == np.arange(1, 3)[None, :, None]),
        (Variable("mean_frequency", per, "Hz", "mean frequency over the window"), run.frequencies),
        (Variable("residual", one, "Hz", "largest distance of a locked oscillator's mean frequency from its tone"),
         run.residual),
        (Variable("converged", one, "1", "whether the run ended with one pattern in both halves of the window"),
         run.settled),
        (Variable("integration_error", (), "1", "largest error of an amplitude by step doubling"), run.error),
        (Variable("vowel_pattern", ("vowel", "oscillator"), "1", f"pattern assigned to the vowel; {_PATTERN_FLAGS}"),
         network.assigned),
        (Variable("free_frequency", ("oscillator",), "Hz", "free frequency of each oscillator"), network.frequencies),
        (Variable("current", ("oscillator",), "A", "current learned for each oscillator"), network.currents),
        (Variable("locking_half_range", ("oscillator",), "Hz", "half-range of locking to one tone, theory"),
         device.half_range(network.frequencies)),
        (Variable("tone_gain", ("tone", "formant"), "1", "change of the tone's frequency with the formant's"),
         network.gains),
        (Variable("tone_offset", ("tone",), "Hz", "frequency of the tone at formants of 0 Hz"), network.offset),
        (Variable("training_accuracy", ("epoch",), "1", "training accuracy, simulated: the start from theory, then "
                  "after each correction"), network.history),
        (Variable("theory_accuracy", (), "1", "training accuracy of the same start in theory"), network.theory),
        (Variable("confusion", ("vowel", "answer"), "1", "samples of each vowel by answer, "
                  + ("cross-validated" if config.folds else "training set")),
         _confusion(labels, predicted if config.folds else network.predicted, len(data.names))),
        *_map(device, network, config.grid),
        *_sweep(device, network),
    ]  # fmt: skip
    coords = [
        (Variable("model", ("model",), long_name="what recognises"), [NETWORK, *BASELINES]),
        (Variable("evaluation", ("evaluation",), long_name="samples on which accuracy is measured"), list(EVALUATIONS)),
        (Variable("formant", ("formant",), long_name="formant"), ["F1", "F2"]),
        (Variable("tone", ("tone",), long_name="injected tone"), ["A", "B"]),
        (Variable("vowel", ("vowel",), long_name="vowel, as the file abbreviates it"), list(data.names)),
        (Variable("answer", ("answer",), long_name="vowel recognised"), [*data.names, "none"]),
        (Variable("oscillator", ("oscillator",), "1", "number of the oscillator"), np.arange(1, OSCILLATORS + 1)),
        (
            Variable("epoch", ("epoch",), "1", "corrections by the errors of the simulation"),
            np.arange(len(network.history)),
        ),
        *_map_coordinates(network, config.grid),
    ]
    names = ", ".join(data.names)
    unmeasured = f", {data.unmeasured} left out for want of F1 or F2" if data.unmeasured else ""
    return results.to_dataset(
        variables,
        coords=coords,
        title="Spoken vowels recognised by four oscillators that lock to two injected tones",
        summary=f"{len(labels)} samples of {len(data.names)} vowels ({names}) of women talkers{unmeasured}; "
        f"{config.folds} folds of whole talkers; devices: preset {PRESET}",
        references=REFERENCES,
        attrs=provenance.collect(config, seed=config.seed, precision="double", device=jax.default_backend())
        | {"physnet_study": "vowels"},
    )


def _read(patterns, network):
    from studies._vowel_learning import read

    return read(patterns, network.assigned)


def _accuracies(network, baselines, labels, fold, predicted):
    """(accuracy (model, evaluation), parameters (model,))."""
    answers, counts = baselines[0]
    table = np.full((1 + len(answers), len(EVALUATIONS)), np.nan)
    table[:, 0] = [np.mean(row == labels) for row in (network.predicted, *answers)]
    if len(baselines) > 1:
        others = np.stack([baselines[1 + k][0][:, i] for i, k in enumerate(fold)], axis=1)
        table[:, 1] = [np.mean(row == labels) for row in (predicted, *others)]
    return table, np.array([network.count, *counts])


def _confusion(labels, predicted, classes):
    answers = np.where(predicted < 0, classes, predicted)
    return np.bincount(labels * (classes + 1) + answers, minlength=classes * (classes + 1)).reshape(classes, -1)


def _axes(network, grid):
    """Frequencies of the two tones, Hz, (tone, point), that hold all samples."""
    low, high = network.tones.min(axis=0), network.tones.max(axis=0)
    edge = 0.06 * (high - low)
    return np.linspace(low - edge, high + edge, grid, axis=1)


def _map_coordinates(network, grid):
    axes = _axes(network, grid)
    named = [(f"tone_{name}", axis) for name, axis in zip("ab", axes)]
    found = [(Variable(n, (n,), "Hz", f"frequency of tone {n[-1].upper()}, map"), axis) for n, axis in named]
    sweep = Variable("swept_tone", ("swept_tone",), "Hz", "frequency of tone A, sweep")
    return [*found, (sweep, _swept(network))]


def _map(device, network, grid):
    axes = _axes(network, grid)
    tones = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    patterns = simulate(device, network.currents, tones).patterns.reshape(grid, grid, OSCILLATORS)
    variable = Variable("map_pattern", ("tone_a", "tone_b", "oscillator"), "1", f"locking in the map; {_PATTERN_FLAGS}")
    return [(variable, patterns)]


def _swept(network):
    return np.linspace(network.frequencies.min() - 6e6, network.frequencies.max() + 6e6, _SWEPT)


def _sweep(device, network):
    """Tone A across all oscillators, tone B far above them."""
    swept = _swept(network)
    away = network.frequencies.max() + 20e6
    found = simulate(device, network.currents, np.stack([swept, np.full_like(swept, away)], axis=1))
    dims = ("swept_tone", "oscillator")
    return [
        (
            Variable("swept_frequency", dims, "Hz", "mean frequency while tone A is swept, B far away"),
            found.frequencies,
        ),
        (Variable("swept_pattern", dims, "1", f"locking in the sweep; {_PATTERN_FLAGS}"), found.patterns),
        (Variable("swept_other_tone", (), "Hz", "frequency of tone B during the sweep"), away),
    ]
