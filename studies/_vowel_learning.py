"""Learning by patterns: units in a few states each, and one pattern of states assigned to each vowel.

Two models share it: the oscillators in theory (Adler locking, no simulation) and threshold units, their baseline.
Inputs are standardised formants; frequencies are in MHz here.
"""

from abc import abstractmethod
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from studies._vowel_network import OSCILLATORS, TONES, Device

BAND = (337.0, 367.0)  # MHz, in which theory and simulation agree and the preset is well above threshold
_ROUNDS, _STEPS = 12, 100  # of annealing, and of the optimiser in each
_EARLY, _BLOCK = 2, 16  # rounds of all starts, and how many, the best, go on; also the batch: one compiled program
_SOFT, _HARD = 0.5, 0.15  # width of a boundary in units of the model's scale, at first and at last
_SEEDS = 1000  # candidates whose best assignment is worked out
_TABLE = 61


class Model(eqx.Module):
    """Units that are each in one of a few states, decided by the largest score."""

    states: eqx.AbstractClassVar[int]
    units: eqx.AbstractClassVar[int]

    @abstractmethod
    def scores(self, parameters, inputs):
        """(sample, state, unit) from inputs (sample, 2)."""

    @abstractmethod
    def scale(self) -> float:
        """A typical difference of scores."""

    @abstractmethod
    def candidates(self, rng, count: int) -> dict:
        """Random parameters to start from, with a leading axis."""

    def penalty(self, parameters):
        """Added to the cost, for parameters that make no physical sense."""
        return 0.0


class Adler(Model):
    """Theory of the oscillators: each locks to the nearer tone if that is within its half-range, else to none.

    Parameters: map (tone, formant) and offset (tone,) in MHz make tones of standardised formants; frequency
    (oscillator,), MHz, stands for the currents. half_range: MHz, at evenly spaced frequencies of the band.
    """

    half_range: jax.Array

    states, units = 1 + TONES, OSCILLATORS

    def __init__(self, device: Device):
        self.half_range = jnp.asarray(1e-6 * device.half_range(1e6 * np.linspace(*BAND, _TABLE)), jnp.float32)

    def tones(self, parameters, inputs):
        """(sample, tone), MHz."""
        return inputs @ parameters["map"].T + parameters["offset"][None, :]

    def margins(self, parameters, inputs):
        """How far inside the locking range each tone is, MHz: (sample, tone, oscillator)."""
        frequency = parameters["frequency"]
        band = jnp.linspace(*BAND, _TABLE, dtype=self.half_range.dtype)
        half = jnp.interp(frequency, band, self.half_range)
        apart = self.tones(parameters, inputs)[:, :, None] - frequency[None, None, :]
        return half[None, None, :] - jnp.abs(apart)

    def scores(self, parameters, inputs):
        margins = self.margins(parameters, inputs)
        return jnp.concatenate([jnp.zeros_like(margins[:, :1]), margins], axis=1)

    def scale(self):
        return float(np.mean(self.half_range))

    def candidates(self, rng, count):
        band = np.linspace(*BAND, _TABLE)
        frequency = np.empty((count, self.units))
        frequency[:, 0] = rng.uniform(BAND[0], np.mean(BAND), count)
        for i in range(1, self.units):  # neighbours whose locking ranges touch, overlap or leave a gap
            width = 2 * np.interp(frequency[:, i - 1], band, self.half_range)
            frequency[:, i] = frequency[:, i - 1] + width * rng.uniform(0.6, 1.2, count)
        reach = np.interp(frequency, band, self.half_range).mean(axis=1)[:, None]
        angle = rng.uniform(0, 2 * np.pi, (count, TONES))
        gain = reach * np.exp(rng.uniform(np.log(0.5), np.log(4), (count, TONES)))
        return {
            "map": gain[:, :, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1),
            "offset": frequency.mean(axis=1, keepdims=True) + reach * rng.uniform(-5, 5, (count, TONES)),
            "frequency": frequency,
        }

    def penalty(self, parameters):
        frequency = parameters["frequency"]
        return jnp.mean(jnp.square(frequency - jnp.clip(frequency, *BAND)))


class Threshold(Model):
    """A layer of perceptrons: four units that are on or off, read by their pattern as the oscillators are."""

    states, units = 2, OSCILLATORS

    def scores(self, parameters, inputs):
        on = inputs @ parameters["weight"].T + parameters["bias"][None, :]
        return jnp.stack([jnp.zeros_like(on), on], axis=1)

    def scale(self):
        return 1.0

    def candidates(self, rng, count):
        angle = rng.uniform(0, 2 * np.pi, (count, self.units))
        bias = rng.uniform(-2, 2, (count, self.units))
        return {"weight": np.stack([np.cos(angle), np.sin(angle)], axis=-1), "bias": bias}


@dataclass(frozen=True)
class Learned:
    """The best sets of parameters, leading axis; patterns (set, vowel, unit).

    expected: how probable it is that a training sample is recognised, if boundaries are as soft as at last.
    """

    parameters: dict
    patterns: np.ndarray
    expected: np.ndarray

    def best(self, k: int) -> tuple[dict, np.ndarray]:
        """(parameters, patterns) of the k-th best."""
        return jax.tree.map(lambda leaf: leaf[k], self.parameters), self.patterns[k]


def count_parameters(parameters: dict) -> int:
    """How many numbers are learned; the assignment of patterns to vowels is not counted."""
    return sum(np.size(leaf) for leaf in parameters.values())


def learn(model: Model, inputs, labels, train, *, classes: int, candidates: int, starts: int, seed: int) -> Learned:
    """Random candidates, the best of which descend the gradient of -log p(pattern of the vowel) to ever harder states.

    train: which samples count. After every round each vowel is given the pattern that suits it best, no two the same.
    """
    rng = np.random.default_rng(seed)
    codes = _codes(model)
    parameters = model.candidates(rng, candidates)
    found = np.asarray(_hard(model, jax.tree.map(lambda leaf: jnp.asarray(leaf, inputs.dtype), parameters), inputs))[
        :, train
    ]
    row = np.arange(candidates)[:, None] * classes + labels[train][None, :]
    counts = np.bincount((row * len(codes) + found).ravel(), minlength=candidates * classes * len(codes))
    counts = counts.reshape(candidates, classes, len(codes))
    hopeful = np.argsort(-counts.max(axis=2).sum(axis=1), kind="stable")[:_SEEDS]
    hits = [counts[k][_matching(counts[k])].sum() for k in hopeful]
    chosen = hopeful[np.argsort(-np.array(hits), kind="stable")[:starts]]
    chosen = np.resize(chosen, -(-len(chosen) // _BLOCK) * _BLOCK)  # whole blocks
    widths = model.scale() * np.geomspace(_SOFT, _HARD, _ROUNDS)
    lesson = Lesson(model, inputs, labels, train, classes)
    early = []
    for begin in range(0, len(chosen), _BLOCK):
        part = {k: jnp.asarray(v[chosen[begin : begin + _BLOCK]], inputs.dtype) for k, v in parameters.items()}
        early.append(lesson.follow(part, _fresh(part), widths[:_EARLY]))
    parameters, state, _, expected = jax.tree.map(lambda *leaves: np.concatenate(leaves), *early)
    best = np.argsort(-expected, kind="stable")[:_BLOCK]
    parameters, state = jax.tree.map(lambda leaf: jnp.asarray(leaf[best]), (parameters, state))
    parameters, _, patterns, expected = lesson.follow(parameters, state, widths[_EARLY:])
    order = np.argsort(-expected, kind="stable")
    return Learned(jax.tree.map(lambda leaf: np.asarray(leaf)[order], parameters), patterns[order], expected[order])


class Lesson:
    """What a block of sets of parameters learns from, and rounds of learning."""

    def __init__(self, model, inputs, labels, train, classes):
        self.model, self.inputs, self.labels, self.codes = model, inputs, labels, _codes(model)
        share = (np.eye(classes) / np.bincount(labels[train]))[labels] * train[:, None]
        self.shares = jnp.asarray(share, inputs.dtype)
        self.weight = jnp.asarray(train / train.sum(), inputs.dtype)

    def follow(self, parameters, state, widths):
        """(parameters, state of the optimiser, patterns (set, vowel, unit), expected accuracy) after these rounds."""
        model, inputs, codes = self.model, self.inputs, self.codes
        for width in widths:
            width = jnp.asarray(width, inputs.dtype)
            each = np.asarray(_by_class(model, parameters, inputs, self.shares, width))
            total = sum(each[:, :, codes[:, i], i] for i in range(model.units))
            patterns = codes[np.stack([_matching(one)[1] for one in total])]
            targets = jnp.asarray(patterns[:, self.labels])
            parameters, state = _descend(model, parameters, state, inputs, targets, self.weight, width)
        return (
            parameters,
            state,
            patterns,
            np.asarray(_expected(model, parameters, inputs, targets, self.weight, width)),
        )


def decide(model: Model, parameters, inputs) -> np.ndarray:
    """The patterns (sample, unit) of one set of parameters."""
    return _codes(model)[np.asarray(_hard(model, jax.tree.map(lambda leaf: leaf[None], parameters), inputs))[0]]


def soft_accuracy(model: Model, parameters, inputs, labels, train, assigned) -> float:
    """Probability that a training sample is recognised, in theory, with boundaries as soft as at the end of `learn`."""
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], parameters)
    weight, targets = jnp.asarray(train / np.sum(train)), jnp.asarray(assigned[labels])[None]
    return float(_expected(model, one, inputs, targets, weight, jnp.asarray(_HARD * model.scale()))[0])


def read(patterns: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """The vowel whose pattern each (sample, unit) is, -1 where it is nobody's. assigned: (vowel, unit)."""
    hit = (patterns[:, None, :] == assigned[None, :, :]).all(axis=2)
    return np.where(hit.any(axis=1), hit.argmax(axis=1), -1)


def _codes(model):
    """Every pattern (pattern, unit), in the order in which `_hard` counts."""
    grids = np.meshgrid(*[np.arange(model.states)] * model.units, indexing="ij")
    return np.stack(grids, axis=-1).reshape(-1, model.units)


def _matching(gain):
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(gain, maximize=True)


@eqx.filter_jit
def _hard(model, parameters, inputs):
    places = jnp.asarray(model.states ** np.arange(model.units)[::-1])

    def one(parameters):
        return jnp.argmax(model.scores(parameters, inputs), axis=1) @ places

    return jax.lax.map(one, parameters, batch_size=256)


def _log_probability(model, parameters, inputs, width):
    return jax.nn.log_softmax(model.scores(parameters, inputs) / width, axis=1)


@eqx.filter_jit
def _by_class(model, parameters, inputs, shares, width):
    """(set, class, state, unit): mean log-probability of every state over the training samples of a class."""

    def one(parameters):
        return jnp.einsum("sc,stu->ctu", shares, _log_probability(model, parameters, inputs, width))

    return jax.vmap(one)(parameters)


@eqx.filter_jit
def _expected(model, parameters, inputs, targets, weight, width):
    """(set,): probability, averaged over the training samples, of the pattern of a sample's own vowel."""

    def one(parameters, targets):
        log_probability = _log_probability(model, parameters, inputs, width)
        hit = jnp.take_along_axis(log_probability, targets[:, None, :], axis=1)[:, 0]
        return jnp.dot(weight, jnp.exp(hit.sum(axis=1)))

    return jax.vmap(one)(parameters, targets)


_OPTIMISER = optax.adam(0.03)


@jax.jit
def _fresh(parameters):
    return jax.vmap(_OPTIMISER.init)(parameters)


@eqx.filter_jit
def _descend(model, parameters, state, inputs, targets, weight, width):
    """A round of gradient steps for each set; targets: (set, sample, unit)."""

    def cost(parameters, targets):
        log_probability = _log_probability(model, parameters, inputs, width)
        hit = jnp.take_along_axis(log_probability, targets[:, None, :], axis=1)[:, 0]
        return -width * jnp.dot(weight, hit.sum(axis=1)) + model.penalty(parameters)

    def follow(parameters, state, targets):
        def step(carry, _):
            parameters, state = carry
            updates, state = _OPTIMISER.update(jax.grad(cost)(parameters, targets), state)
            return (optax.apply_updates(parameters, updates), state), None

        return jax.lax.scan(step, (parameters, state), None, length=_STEPS)[0]

    return jax.vmap(follow)(parameters, state, targets)
