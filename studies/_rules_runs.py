"""What `studies.rules` measures: the rules, their rates chosen on validation images, the trainings and the probes."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from circuits import BlockDescent, IdealDiode, LayeredNetwork
from physnet import Centred, Clamped, OneSided, results
from physnet.nudging import Nudging
from studies import _rules_training as training
from studies._digit_data import small_digits


@dataclass(frozen=True)
class Rule:
    """A learning rule: a stencil of size 1, and what it is multiplied by.

    Positive, negative and random sign are one stencil with betas of either sign, coupled and contrastive learning one
    with two sizes of eta.
    """

    nudging: Nudging
    sign: int = 1  # of beta; 0 is drawn for every sample
    clamped: bool = False


RULES = {
    "positive": Rule(OneSided(1.0, relative=True)),
    "negative": Rule(OneSided(1.0, relative=True), sign=-1),
    "random": Rule(OneSided(1.0, relative=True), sign=0),
    "centred": Rule(Centred(1.0, relative=True)),
    "coupled": Rule(Clamped(1.0, relative=True), clamped=True),
    "contrastive": Rule(Clamped(1.0, relative=True), clamped=True),
}


class Bench:
    """The network, the data and the orders that all rules share. Copies are numbered rate by rate, seed by seed."""

    def __init__(self, config):
        self.config = config
        self.copies = [(rate, seed) for rate in config.learning_rates for seed in config.seeds]
        self.shares = config.layer_rates * (len(config.hidden) + 1 if len(config.layer_rates) == 1 else 1)
        sizes = (64, *config.hidden, 10)
        made = {
            seed: LayeredNetwork.random(
                sizes, key=jax.random.key(seed), input_gain=config.input_gain / 16, diode=IdealDiode(), dtype="float32"
            )
            for seed in config.seeds
        }
        self.network = made[config.seeds[0]]
        self.initial = self.stacked({seed: net.conductances for seed, net in made.items()})
        splits = {seed: _split(seed, config.samples) for seed in config.seeds}
        self.train, self.validation, self.test = (
            self.stacked({seed: split[i] for seed, split in splits.items()}) for i in range(3)
        )
        self.relaxer = BlockDescent(tolerance=config.tolerance, nudged_tolerance=10 * config.tolerance)
        self.scale = np.asarray(self.evaluate(self.initial, self.validation)["scale"])

    def stacked(self, by_seed):
        """Arrays of each seed as one with a copy axis."""
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *[by_seed[seed] for _, seed in self.copies])

    def evaluate(self, conductances, data):
        """Means over the samples of `data`, (copy,), of the free states, and the nudging scale."""
        cost, right, residual, converged, scale = training.evaluate(self.network, conductances, *data, self.relaxer)
        return {
            "cost": np.mean(cost, axis=1),
            "accuracy": np.mean(right, axis=1),
            "residual": np.max(residual, axis=1),
            "converged": np.mean(converged, axis=1),
            "scale": scale,
        }

    def order(self, epoch):
        """(step, copy, batch): every seed its own order of samples, the same for all rules and rates."""
        samples, batch = self.train[0].shape[1], self.config.batch_size
        steps = samples // batch
        by_seed = {s: np.random.default_rng((s, epoch)).permutation(samples) for s in self.config.seeds}
        order = np.stack([by_seed[seed][: steps * batch].reshape(steps, batch) for _, seed in self.copies], axis=1)
        return jnp.asarray(order, jnp.int32)

    def beta(self, name, shape, scale, epoch):
        """(step, copy, batch): the nudging strength of every sample, S, or eta where outputs are clamped."""
        rule, config = RULES[name], self.config
        if rule.clamped:
            return jnp.full(shape, config.eta if name == "coupled" else 1.0, "float32")
        sign = rule.sign
        if sign == 0:
            steps, _, batch = shape
            by_seed = {s: np.random.default_rng((s, epoch, 1)).choice([-1, 1], (steps, batch)) for s in config.seeds}
            sign = np.stack([by_seed[seed] for _, seed in self.copies], axis=1)
        return jnp.asarray(np.broadcast_to(config.beta * sign * np.asarray(scale)[:, None], shape), "float32")

    def rates(self, name, epoch):
        """(copy,) for each layer of conductances."""
        rate = np.array([rate for rate, _ in self.copies]) * self.config.decay**epoch
        if RULES[name].clamped:  # a gradient of (o - y) R^-1 (o - y) / 2 is larger by a conductance
            rate = rate / self.scale
        return tuple(jnp.asarray(rate * share, "float32") for share in self.shares)

    def pass_over(self, name, conductances, scale, epoch, order, still=False):
        rates = self.rates(name, epoch)
        if still:
            rates = jax.tree.map(jnp.zeros_like, rates)
        beta = self.beta(name, order.shape, scale, epoch)
        return training.descend(
            self.network, conductances, *self.train, RULES[name].nudging, self.relaxer, rates, order, beta
        )


def _split(seed, samples):
    """((images, targets) to train on, to validate on, to test on): 64, 16 and 20 % of the 8x8 digits by `seed`."""
    data = small_digits(seed)
    classes = np.eye(10, dtype="float32")
    held = len(data.train_labels) // 5
    parts = [
        (data.train_images[held:][:samples], data.train_labels[held:][:samples]),
        (data.train_images[:held], data.train_labels[:held]),
        (data.test_images, data.test_labels),
    ]
    return [(images.astype("float32"), classes[labels]) for images, labels in parts]


def run(config, out, resume, progress):
    """Rule after rule; `out` is whole after each, and those it holds already are not trained again."""
    from tqdm import tqdm

    from studies import _rules_dataset as dataset

    done = dataset.finished(config, out) if resume else {}
    bench, left = Bench(config), [name for name in config.rules if name not in done]
    with tqdm(total=len(left) * config.epochs, unit="epoch", desc="training", disable=not progress) as bar:
        for name in left:
            bar.set_postfix(rule=name)
            done[name] = _trained(bench, name, bar)
            ds = dataset.build(config, {rule: done[rule] for rule in config.rules if rule in done})
            if out is not None:
                results.save(ds, out, overwrite=True)
    return dataset.build(config, {rule: done[rule] for rule in config.rules})


def _trained(bench, name, bar):
    """{variable: array} of one rule: every rate and seed trained, the rate chosen, what it led to."""
    config = bench.config
    rates, seeds = len(config.learning_rates), len(config.seeds)
    conductances, scale, history = bench.initial, bench.scale, []
    for epoch in range(config.epochs):
        beta = config.beta * scale
        conductances, measured = bench.pass_over(name, conductances, scale, epoch, bench.order(epoch))
        validated = bench.evaluate(conductances, bench.validation)
        tested = bench.evaluate(conductances, bench.test)
        scale = validated["scale"]
        history.append(
            {
                "train_cost": measured.cost,
                "validation_accuracy": validated["accuracy"],
                "test_cost": tested["cost"],
                "test_accuracy": tested["accuracy"],
                "nudging_scale": scale,
                "beta": np.full_like(beta, np.nan) if RULES[name].clamped else beta,
                "residual": measured.residual,
                "converged": measured.converged,
                "test_residual": tested["residual"],
                "test_converged": tested["converged"],
                "steps": measured.steps,
                "nudged_steps": measured.nudged_steps,
            }
        )
        bar.update()
    by_copy = {key: np.stack([np.asarray(row[key], float) for row in history], axis=-1) for key in history[0]}
    table = {key: value.reshape(rates, seeds, config.epochs) for key, value in by_copy.items()}
    reached = np.nan_to_num(table["validation_accuracy"][..., -1])
    chosen = int(np.argmax(reached.mean(axis=1)))
    found = {key: value[chosen] for key, value in table.items()}
    found["rate_validation_accuracy"], found["learning_rate"] = reached.T, config.learning_rates[chosen]
    best = np.arange(len(bench.copies)).reshape(rates, seeds)[chosen]
    found["start_cosine"] = _cosines(bench, name, bench.initial, bench.scale, best)
    found["end_cosine"] = _cosines(bench, name, conductances, scale, best)
    return found


def _cosines(bench, name, conductances, scale, best):
    """(seed, parameter + 1): cosine of the rule's update to the implicit gradient on the probe images, for each layer
    of conductances and, last, for all of them as one vector; of the copies numbered in `best`."""
    count, batch = bench.config.probe, bench.config.batch_size
    numbers = jnp.arange(count, dtype=jnp.int32).reshape(-1, 1, batch)
    order = jnp.broadcast_to(numbers, (count // batch, len(bench.copies), batch))
    _, measured = bench.pass_over(name, conductances, scale, 0, order, still=True)
    there, (images, targets) = jax.tree.map(lambda leaf: leaf[best], (conductances, bench.train))
    exact = training.exact_gradient(bench.network, there, images[:, :count], targets[:, :count], bench.relaxer)
    ours = [gradient[best] for gradient in measured.gradient]
    layers = [[np.reshape(np.asarray(g, float), (len(best), -1)) for g in part] for part in (ours, exact)]
    pairs = [*zip(*layers), tuple(np.concatenate(part, axis=1) for part in layers)]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [np.sum(a * b, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1) for a, b in pairs]
    return np.stack(found, axis=1)
