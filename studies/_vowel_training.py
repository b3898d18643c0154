"""The four oscillators learn, from theory first, then from the errors of the simulated network; and perceptrons."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from studies._vowel_learning import BAND, Adler, Threshold, count_parameters, decide, learn, read, soft_accuracy
from studies._vowel_network import Device, Simulated, currents_for, simulate

_RATES = (0.03, 0.005)  # MHz, the optimiser's step at the first and the last epoch
BASELINES = ("layer of four threshold units, read by pattern", "perceptron, one output per vowel (softmax)")
_CANDIDATES, _STARTS = 4096, 64  # of the baseline's search


@dataclass(frozen=True)
class Effort:
    """How long to search: random candidates, starts of the gradient, networks simulated, epochs in the simulation."""

    candidates: int
    starts: int
    simulated: int
    epochs: int


@dataclass(frozen=True)
class Trained:
    """Four oscillators that have learned, in Hz, and what they make of every sample.

    gains (tone, formant), offset (tone,): tones = gains formants + offset, dimensionless and Hz. frequencies
    (oscillator,): free ones. currents: A. assigned (vowel, oscillator): the pattern of each vowel. tones (sample,
    tone). predicted (sample,): a vowel, -1 where none. history: training accuracy, simulated, of the start and after
    each epoch; theory: that of theory for the same start. count: numbers that are learned.
    """

    gains: np.ndarray
    offset: np.ndarray
    frequencies: np.ndarray
    currents: np.ndarray
    assigned: np.ndarray
    tones: np.ndarray
    simulated: Simulated
    predicted: np.ndarray
    history: np.ndarray
    theory: float
    count: int


def standardised(formants, train):
    """(inputs, mean, deviation): formants in deviations of the training samples from their mean."""
    mean, deviation = formants[train].mean(axis=0), formants[train].std(axis=0)
    return (formants - mean) / deviation, mean, deviation


def train_network(device: Device, formants, labels, train, *, classes: int, effort: Effort, seed: int) -> Trained:
    """Learns from the samples in `train`; the others are simulated with them, and nothing is learned from them."""
    inputs, mean, deviation = standardised(formants, train)
    model = Adler(device)
    task = {"classes": classes, "candidates": effort.candidates, "starts": effort.starts, "seed": seed}
    learned = learn(model, inputs.astype(np.float32), labels, train, **task)

    def observe(parameters):
        tones = 1e6 * np.asarray(model.tones(parameters, inputs))
        return tones, simulate(device, currents_for(device, 1e6 * parameters["frequency"]), tones)

    def hits(patterns, assigned):
        return float(np.mean(read(patterns, assigned)[train] == labels[train]))

    def score(parameters, simulated, assigned):
        """Soft accuracy in theory, which overfits less than counting, plus what the simulation differs by in counts."""
        theory = hits(decide(model, parameters, inputs), assigned)
        soft = soft_accuracy(model, parameters, inputs, labels, train, assigned)
        return soft + hits(simulated.patterns, assigned) - theory

    found = []
    for k in range(min(effort.simulated, len(learned.expected))):
        parameters, assigned = learned.best(k)
        parameters = jax.tree.map(lambda leaf: np.asarray(leaf, float), parameters)
        tones, simulated = observe(parameters)
        found.append((score(parameters, simulated, assigned), parameters, tones, simulated, assigned))
    highest, parameters, tones, simulated, assigned = max(found, key=lambda entry: entry[0])
    theory = hits(decide(model, parameters, inputs), assigned)
    history, wanted, state = [hits(simulated.patterns, assigned)], assigned[labels], _OPTIMISER.init(parameters)
    best, latest = parameters, simulated
    for rate in np.geomspace(*_RATES, effort.epochs) if effort.epochs else ():
        parameters, state = _correct(model, parameters, state, inputs, latest.patterns, wanted, train, rate)
        now, latest = observe(parameters)
        history.append(hits(latest.patterns, assigned))
        reached = score(parameters, latest, assigned)
        if reached > highest:
            highest, best, tones, simulated = reached, parameters, now, latest
    parameters = best
    scaled = 1e6 * np.asarray(parameters["map"]) / deviation[None, :]
    return Trained(
        gains=scaled,
        offset=1e6 * np.asarray(parameters["offset"]) - scaled @ mean,
        frequencies=1e6 * np.asarray(parameters["frequency"]),
        currents=currents_for(device, 1e6 * np.asarray(parameters["frequency"])),
        assigned=assigned,
        tones=tones,
        simulated=simulated,
        predicted=read(simulated.patterns, assigned),
        history=np.array(history),
        theory=theory,
        count=count_parameters(parameters),
    )


_OPTIMISER = optax.inject_hyperparams(optax.adam)(0.0)


@eqx.filter_jit
def _correct(model, parameters, state, inputs, patterns, wanted, train, rate):
    """One step of the rule: tones and oscillators that should have locked move together, those that should not, apart.

    patterns: what the simulation did, wanted: what it should have done, (sample, oscillator). Only errors count.
    """
    tone = jnp.arange(1, 3)[None, :, None]
    sense = (wanted[:, None, :] == tone) * 1.0 - (patterns[:, None, :] == tone)
    sense = sense * train[:, None, None] / jnp.sum(train)

    def cost(parameters):
        return -jnp.sum(sense * model.margins(parameters, inputs))

    state.hyperparams["learning_rate"] = rate
    updates, state = _OPTIMISER.update(jax.grad(cost)(parameters), state)
    parameters = optax.apply_updates(parameters, updates)
    return parameters | {"frequency": jnp.clip(parameters["frequency"], *BAND)}, state


def baselines(formants, labels, train, *, classes: int, seed: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Perceptrons on the same formants: (vowels predicted (baseline, sample), -1 where none; numbers that are learned).

    The first has as many units as there are oscillators, learns by the same search and the same gradient and is read
    the same way: 12 parameters to the oscillators' 10. The second is the usual linear classifier, fitted to convergence
    by scikit-learn without a penalty to speak of.
    """
    from sklearn.linear_model import LogisticRegression

    inputs = standardised(formants, train)[0].astype(np.float32)
    model = Threshold()
    learned = learn(model, inputs, labels, train, classes=classes, candidates=_CANDIDATES, starts=_STARTS, seed=seed)
    parameters, assigned = learned.best(0)
    patterns = read(decide(model, parameters, inputs), assigned)
    softmax = LogisticRegression(C=1e3, max_iter=5000).fit(inputs[train].astype(float), labels[train])
    guessed = softmax.predict(inputs.astype(float))
    counts = (count_parameters(parameters), softmax.coef_.size + softmax.intercept_.size)
    return np.stack([patterns, guessed]), counts
