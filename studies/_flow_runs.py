"""What `studies.flow_network` measures: many copies of the network, trained by one rule after another."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from physnet import Variable, provenance, results
from studies import _circuit_copies as copies
from studies import _flow_network as net
from studies._iris_data import FEATURES, SPECIES, class_means, iris, nearest, software_accuracy
from studies._rows import in_rows
from studies.flow_network import TARGETS

REFERENCES = (
    "Dillavou, Stern, Liu & Durian 2022, doi:10.1103/PhysRevApplied.18.014040; Stern, Hexner, Rocks & Liu 2021, "
    "doi:10.1103/PhysRevX.11.021045; Scellier & Bengio 2017, doi:10.3389/fncom.2017.00024; Fisher 1936, "
    "doi:10.1111/j.1469-1809.1936.tb02137.x"
)
_BY_EPOCH = ("rule", "seed", "epoch")
VARIABLES = (
    Variable(
        "train_cost", _BY_EPOCH, "V2", "cost of the training flowers, at the conductances before the epoch's step"
    ),
    Variable("train_accuracy", _BY_EPOCH, "1", "share of the training flowers that are told right"),
    Variable("test_accuracy", _BY_EPOCH, "1", "share of the test flowers that are told right"),
    Variable("power", _BY_EPOCH, "W", "power of all edges, mean over the test flowers"),
    Variable("residual", _BY_EPOCH, "1", "largest relative residual of the epoch's free phases"),
    Variable("converged", _BY_EPOCH, "1", "fraction of training flowers whose phases all settled"),
    Variable("test_residual", _BY_EPOCH, "1", "largest relative residual of the test flowers' free phases"),
    Variable("test_converged", _BY_EPOCH, "1", "fraction of test flowers whose free phase settled"),
    Variable("conductance", ("rule", "seed", "edge"), "S", "learned conductance", (0.0, np.inf)),
    Variable("edge_power", ("rule", "seed", "edge"), "W", "power of an edge, mean over the test flowers"),
    Variable("prototype", ("rule", "seed", "category", "output"), "V", "mean free outputs of the training flowers"),
    Variable("output_voltage", ("rule", "sample", "output"), "V", "free outputs, test flowers of the first seed"),
)


def run(config, out, resume, progress):
    """The dataset of the study; rules that the file at `out` holds already are taken from there if `resume`."""
    bench = Bench(config)
    rows = {rule: partial(_trained, bench, rule) for rule in config.rules}
    return in_rows(config, rows, dim="rule", out=out, resume=resume, progress=progress)


def _trained(bench, rule):
    return _dataset(bench, rule, bench.trained(rule))


class Bench:
    """The network, and the flowers and first conductances of every seed, which all rules share."""

    def __init__(self, config):
        self.config, self.system = config, net.network(config.highest)
        self.flowers = [iris(config.samples, seed, config.inverted) for seed in config.seeds]
        self.train = jnp.asarray(config.voltage * np.stack([f.train_inputs for f in self.flowers]))
        self.test = jnp.asarray(config.voltage * np.stack([f.test_inputs for f in self.flowers]))
        self.train_species = np.stack([f.train_species for f in self.flowers])
        self.test_species = np.stack([f.test_species for f in self.flowers])
        self.targets = jnp.asarray(config.voltage * np.array(TARGETS)[self.train_species])
        draw = (np.random.default_rng(seed) for seed in config.seeds)
        span = config.lowest + 0.1 * (config.highest - config.lowest), config.highest
        self.initial = jnp.asarray(np.stack([rng.uniform(*span, len(net.EDGES)) for rng in draw]))
        self.scale = np.asarray(copies.scales(self.system, self.initial, self.train))

    def trained(self, rule):
        """{variable: array without its rule axis} of all seeds, trained by this rule."""
        config, conductances, history = self.config, self.initial, []
        # The rules' gradients differ by a conductance: at the first networks, their steps are alike.
        rate = config.learning_rate / (self.scale.mean() if rule == "coupled" else 1)
        for _ in range(config.epochs):
            scale = copies.scales(self.system, conductances, self.train)
            nudging, beta = copies.stencil(rule, scale, beta=config.beta, eta=config.eta)
            told = copies.learn(self.system, conductances, self.train, self.targets, nudging, beta)
            conductances = jnp.clip(conductances - rate * told.gradient, config.lowest, config.highest)
            row, last = self.told(conductances)
            measured = {"train_cost": told.cost, "residual": told.residual, "converged": told.converged}
            history.append(row | {name: np.asarray(value) for name, value in measured.items()})
        by_epoch = {name: np.stack([row[name] for row in history], axis=1) for name in history[0]}
        return by_epoch | last | {"conductance": np.asarray(conductances)}

    def told(self, conductances):
        """What is measured after an epoch, by seed, and what is kept of the last epoch only."""
        train, test = (copies.answer(self.system, conductances, inputs) for inputs in (self.train, self.test))
        prototypes = class_means(np.asarray(train.outputs), self.train_species)
        power = np.asarray(test.edge_power).mean(axis=1)
        row = {
            "train_accuracy": np.mean(nearest(np.asarray(train.outputs), prototypes) == self.train_species, axis=1),
            "test_accuracy": np.mean(nearest(np.asarray(test.outputs), prototypes) == self.test_species, axis=1),
            "power": power.sum(axis=1),
            "test_residual": np.asarray(test.residual).max(axis=1),
            "test_converged": np.asarray(test.converged).mean(axis=1),
        }
        return row, {"edge_power": power, "prototype": prototypes, "output_voltage": np.asarray(test.outputs)[0]}


def _dataset(bench, rule, found):
    config = bench.config
    software = [software_accuracy(flowers) for flowers in bench.flowers]
    first, second = zip(*net.EDGES)
    shared = [
        (
            Variable(
                "software_accuracy", ("baseline", "seed"), "1", "test accuracy of ordinary software, same flowers"
            ),
            np.array([[row[name] for row in software] for name in software[0]]),
        ),
        (Variable("initial_conductance", ("seed", "edge"), "S", "conductance before training"), bench.initial),
    ]
    coords = [
        (Variable("rule", ("rule",), "1", "learning rule"), np.array([rule])),
        (Variable("seed", ("seed",), "1", "seed of flowers and first conductances"), np.array(config.seeds)),
        (Variable("epoch", ("epoch",), "1", "training epoch, counted from 1"), np.arange(1, config.epochs + 1)),
        (Variable("edge", ("edge",), "1", "edge"), np.array(net.NAMES)),
        (Variable("first_node", ("edge",), "1", "node of the first end"), np.array(first)),
        (Variable("second_node", ("edge",), "1", "node of the second end"), np.array(second)),
        (Variable("category", ("category",), "1", "species"), np.array(SPECIES)),
        (Variable("output", ("output",), "1", "output node"), np.array(net.OUTPUTS)),
        (Variable("feature", ("feature",), "1", "feature at nodes x0 to x3"), np.array(_features(config))),
        (Variable("baseline", ("baseline",), "1", "ordinary software"), np.array(list(software[0]))),
        (Variable("sample_species", ("sample",), "1", "species of the test flower, 0 to 2"), bench.test_species[0]),
    ]
    attributes = provenance.collect(
        config, seed=config.seeds[0], precision="double", device=jax.devices()[0].device_kind
    )
    return results.to_dataset(
        [(variable, np.asarray(found[variable.name])[None]) for variable in VARIABLES] + shared,
        coords=coords,
        title="Iris flowers on a resistor network of 16 edges",
        summary=f"{config.samples} training and {150 - config.samples} test flowers, {len(config.seeds)} seed(s), "
        f"{config.epochs} epochs; features 0 to {config.voltage:g} V, conductances {1e6 * config.lowest:g} to "
        f"{1e6 * config.highest:g} uS",
        references=REFERENCES,
        attrs=attributes | {"physnet_study": "flow_network"},
    )


def _features(config):
    return [f"{name}, inverted" if i in config.inverted else name for i, name in enumerate(FEATURES)]
