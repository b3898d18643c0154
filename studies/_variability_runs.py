"""What `studies.variability` measures: one network trained well, then written into imperfect devices of every kind."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from circuits import BlockDescent, IdealDiode, LayeredNetwork
from physnet import Variable, provenance, results
from studies import _variability_training as training
from studies._digit_data import small_digits
from studies._rows import in_rows

REFERENCES = (
    "Dillavou, Stern, Liu & Durian 2022, doi:10.1103/PhysRevApplied.18.014040; Kendall, Pantone, Manickavasagam, "
    "Bengio & Scellier 2020, arXiv:2006.01981; Scellier, ICML 2024, arXiv:2402.11674; Joshi et al. 2020, "
    "doi:10.1038/s41467-020-16108-9"
)
_BY_DEVICE = ("kind", "level", "device")
VARIABLES = (
    Variable("transferred_accuracy", _BY_DEVICE, "1", "test accuracy of the device as it was written"),
    Variable("test_accuracy", (*_BY_DEVICE, "epoch"), "1", "test accuracy of the device after learning in situ"),
    Variable("train_cost", (*_BY_DEVICE, "epoch"), "V2", "running mean of the cost over the free phases in situ"),
    Variable("residual", (*_BY_DEVICE, "epoch"), "1", "largest relative residual of free phases in situ, estimated"),
    Variable("converged", (*_BY_DEVICE, "epoch"), "1", "fraction of training samples whose phases all settled"),
    Variable("test_converged", (*_BY_DEVICE, "epoch"), "1", "fraction of test samples that settled"),
)


def run(config, out, resume, progress):
    """The dataset of the study; kinds that the file at `out` holds already are taken from there if `resume`."""
    bench = Bench(config)
    rows = {kind: partial(bench.dataset, kind) for kind in config.kinds}
    return in_rows(config, rows, dim="kind", out=out, resume=resume, progress=progress)


class Bench:
    """The data, and the network that was trained with perfect conductances (when it is first asked for)."""

    def __init__(self, config):
        self.config, classes = config, np.eye(10, dtype="float32")
        data = small_digits(config.seed)
        self.train = tuple(
            jnp.asarray(part[: config.samples])
            for part in (data.train_images.astype("float32"), classes[data.train_labels])
        )
        self.test = jnp.asarray(data.test_images.astype("float32")), jnp.asarray(classes[data.test_labels])
        self.network = LayeredNetwork.random(
            (64, config.hidden, 10),
            key=jax.random.key(config.seed),
            input_gain=config.input_gain / 16,
            diode=IdealDiode(),
            dtype="float32",
        )
        self.relaxer = BlockDescent(tolerance=config.tolerance, nudged_tolerance=10 * config.tolerance)
        self._trained = None

    def strengths(self, kind):
        return self.config.shares if kind == "stuck" else self.config.strengths

    def devices(self, written, strengths, count):
        """Copies numbered strength by strength, device by device; a device has the same draws at every strength."""
        copies = len(strengths) * count
        written = tuple(jnp.broadcast_to(g, (copies, *g.shape)) for g in written)
        keys = jax.random.split(jax.random.key(self.config.seed + 1), count)
        return training.Devices(
            written, jnp.repeat(jnp.asarray(strengths, jnp.float32), count), jnp.tile(keys, len(strengths))
        )

    def order(self, epoch):
        """(step, batch): a new order of the samples in every epoch."""
        samples, batch = self.train[0].shape[0], self.config.batch_size
        order = np.random.default_rng((self.config.seed, epoch)).permutation(samples)
        return jnp.asarray(order[: samples // batch * batch].reshape(-1, batch), jnp.int32)

    def descend(self, devices, kind, highest, rate, epoch):
        given = (*self.train, self.relaxer, jnp.asarray(self.config.beta, jnp.float32))
        rate = jnp.asarray(rate * self.config.decay**epoch, jnp.float32)
        return training.descend(self.network, devices, kind, highest, *given, rate, self.order(epoch))

    def trained(self):
        """(perfect conductances by layer, the largest of them, S, their test accuracy)."""
        if self._trained is None:
            config, none = self.config, jnp.zeros((), jnp.float32)
            devices = self.devices(self.network.conductances, (0.0,), 1)
            for epoch in range(config.epochs):
                devices, _ = self.descend(devices, "spread", none, config.learning_rate, epoch)
            accuracy, *_ = training.tested(self.network, devices, "spread", none, *self.test, self.relaxer)
            written = tuple(g[0] for g in devices.written)
            self._trained = written, jnp.max(jnp.stack([jnp.max(g) for g in written])), float(accuracy[0])
        return self._trained

    def measured(self, kind):
        """{variable: array without its kind axis}"""
        config = self.config
        written, highest, _ = self.trained()
        devices = self.devices(written, self.strengths(kind), config.devices)
        given = (kind, highest, *self.test, self.relaxer)
        transferred, *_ = training.tested(self.network, devices, *given)
        rows = []
        for epoch in range(config.retraining):
            devices, learned = self.descend(devices, kind, highest, config.retraining_rate, epoch)
            accuracy, _, settled = training.tested(self.network, devices, *given)
            row = (accuracy, learned.cost, learned.residual, learned.converged, settled)
            rows.append([np.asarray(value, float) for value in row])
        names = [variable.name for variable in VARIABLES[1:]]
        shape = len(config.strengths), config.devices
        found = {name: np.stack(values, axis=-1).reshape(*shape, -1) for name, values in zip(names, zip(*rows))}
        return found | {"transferred_accuracy": np.asarray(transferred, float).reshape(shape)}

    def dataset(self, kind):
        config, found = self.config, self.measured(kind)
        written, highest, accuracy = self.trained()
        strength = Variable(
            "strength", ("kind", "level"), "1", "relative standard deviation, or share of stuck devices"
        )
        given = np.array([self.strengths(kind)])
        shared = [
            (Variable("perfect_accuracy", (), "1", "test accuracy with perfect conductances"), accuracy),
            (Variable("highest_conductance", (), "S", "largest conductance of the trained network"), float(highest)),
        ]
        coords = [
            (Variable("kind", ("kind",), "1", "what is wrong with the devices"), np.array([kind])),
            (Variable("device", ("device",), "1", "number of the device"), np.arange(config.devices)),
            (Variable("epoch", ("epoch",), "1", "epoch in situ, counted from 1"), np.arange(1, config.retraining + 1)),
        ]
        attributes = provenance.collect(
            config, seed=config.seed, precision="single", device=jax.devices()[0].device_kind
        )
        return results.to_dataset(
            [(variable, found[variable.name][None]) for variable in VARIABLES] + [(strength, given)] + shared,
            coords=coords,
            title="A resistive network for 8x8 digits, written into imperfect devices",
            summary=f"{64}-{config.hidden}-10 nodes, {sum(g.size for g in written)} conductances, {config.devices} "
            f"devices of every kind and strength, {config.epochs} epochs perfect, {config.retraining} in situ",
            references=REFERENCES,
            attrs=attributes | {"physnet_study": "variability"},
        )
