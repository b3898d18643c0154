"""The four oscillators learn: from theory first, then from the errors of the simulated network, as in the experiment."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from studies._vowel_learning import BAND, Adler, learn, read
from studies._vowel_network import Device, Simulated, currents_for, simulate

_RATES = (0.06, 0.01)  # MHz, the optimiser's step at the first and the last epoch


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

    map (tone, formant), offset (tone,): tones = map formants + offset, dimensionless and Hz. frequencies (oscillator,):
    free ones. currents: A. assigned (vowel, oscillator): the pattern of each vowel. tones (sample, tone). predicted
    (sample,): a vowel, -1 where none. history: training accuracy, simulated, of the start and after each epoch; theory:
    that of theory for the same start.
    """

    map: np.ndarray
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

    def accuracy(self, labels, which) -> float:
        return float(np.mean(self.predicted[which] == labels[which]))


def standardised(formants, train):
    """(inputs, mean, deviation): formants in deviations of the training samples from their mean."""
    mean, deviation = formants[train].mean(axis=0), formants[train].std(axis=0)
    return (formants - mean) / deviation, mean, deviation


def train_network(device: Device, formants, labels, train, *, classes: int, effort: Effort, seed: int) -> Trained:
    """Learns from the samples in `train`; the others are simulated with them, and nothing is learned from them."""
    inputs, mean, deviation = standardised(formants, train)
    model = Adler(device)
    learned = learn(
        model, inputs, labels, train, classes=classes, candidates=effort.candidates, starts=effort.starts, seed=seed
    )

    def observe(parameters):
        tones = 1e6 * np.asarray(model.tones(parameters, inputs))
        return tones, simulate(device, currents_for(device, 1e6 * parameters["frequency"]), tones)

    def right(simulated, assigned):
        return float(np.mean(read(simulated.patterns, assigned)[train] == labels[train]))

    best = None
    for k in range(min(effort.simulated, len(learned.accuracy))):
        parameters, assigned = learned.best(k)
        tones, simulated = observe(parameters)
        accuracy = right(simulated, assigned)
        if best is None or accuracy > best[0]:
            best = (accuracy, parameters, tones, simulated, assigned, float(learned.accuracy[k]))
    accuracy, parameters, tones, simulated, assigned, theory = best
    history, wanted, state = [accuracy], assigned[labels], _OPTIMISER.init(parameters)
    latest = simulated
    for rate in np.geomspace(*_RATES, effort.epochs) if effort.epochs else ():
        parameters, state = _correct(model, parameters, state, inputs, latest.patterns, wanted, train, rate)
        now, latest = observe(parameters)
        history.append(right(latest, assigned))
        if history[-1] > accuracy:
            accuracy, tones, simulated = history[-1], now, latest
            best = (accuracy, parameters)
    parameters = best[1]
    scaled = 1e6 * np.asarray(parameters["map"]) / deviation[None, :]
    return Trained(
        map=scaled,
        offset=1e6 * np.asarray(parameters["offset"]) - scaled @ mean,
        frequencies=1e6 * np.asarray(parameters["frequency"]),
        currents=currents_for(device, 1e6 * np.asarray(parameters["frequency"])),
        assigned=assigned,
        tones=tones,
        simulated=simulated,
        predicted=read(simulated.patterns, assigned),
        history=np.array(history),
        theory=theory,
        count=sum(np.size(leaf) for leaf in parameters.values()),
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
