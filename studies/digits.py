"""A deep resistive network learns handwritten digits by Equilibrium Propagation.

Layers of nodes joined by conductances, an ideal diode at every hidden node; pixels are voltages, the ten output node
voltages are read against one-hot targets, and each conductance learns from its own two end voltages in a free and in
two nudged steady states (Scellier, ICML 2024, arXiv:2402.11674).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from physnet.errors import PhysnetError
from physnet.variable import Variable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

BASELINES = ("logistic regression", "perceptron")
REFERENCES = "Scellier, ICML 2024, arXiv:2402.11674; Scellier and Bengio 2017, doi:10.3389/fncom.2017.00024"


@dataclass(frozen=True)
class Config:
    """Options of `physnet run digits`. Those left at None are chosen for the data and the network, and stored."""

    epochs: int = 20
    """Passes over the training set [1]."""
    hidden: tuple[int, ...] = (100,)
    """Nodes in each hidden layer [1]."""
    nudging: Literal["centred", "one-sided"] = "centred"
    """Nudged phases: both signs of beta, or towards the target only."""
    beta: float = 1.0
    """Conductance between an output node and its target in a nudged phase [S]."""
    seed: int = 0
    """Seeds the conductances, the order of samples and the split of the 8x8 digits [1]."""
    data: Path | None = None
    """Folder with MNIST's four gzipped IDX files, or with a folder mnist of them; else PHYSNET_DATA, else the 8x8
    digits of scikit-learn."""
    precision: Literal["single", "double"] = "single"
    """Floating-point numbers of the training."""
    batch_size: int = 4
    """Samples per step [1]."""
    learning_rate: tuple[float, ...] | None = None
    """Step along the gradient, one for each layer of conductances or one for all [S2 V-2]. None: 0.04 for the 8x8
    digits, the published rates of the nearest network for MNIST (0.006 with one hidden layer)."""
    decay: float | None = None
    """Factor on the learning rates after each epoch [1]. None: 0.9 for the 8x8 digits, 0.99 for MNIST."""
    input_gain: float | None = None
    """Source voltage of a white pixel [V]. None: 30 for the 8x8 digits; as published, 100 to 4000, for MNIST."""
    diode: Literal["ideal", "shockley", "none"] = "ideal"
    """Diode from every hidden node to ground."""
    tolerance: float = 1e-4
    """Relative residual below which a free phase counts as settled: unbalanced over total current at a node [1]."""
    samples: int | None = None
    """Use only so many training samples [1]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        return replace(self, epochs=min(self.epochs, 3), samples=1000)

    def resolved(self, small: bool) -> "Config":
        """With the choices made that depend on the data (small: 8x8 digits) and on the network's depth."""
        gain, rates, decay = _choices(self.hidden, small)
        rates = self.learning_rate or rates
        layers = len(self.hidden) + 1
        if len(rates) == 1:
            rates = rates * layers
        if len(rates) != layers:
            raise PhysnetError(
                f"digits: {len(rates)} learning rates for {layers} layers of conductances. Give one, or one per layer."
            )
        return replace(
            self,
            learning_rate=rates,
            decay=decay if self.decay is None else self.decay,
            input_gain=gain if self.input_gain is None else self.input_gain,
        )

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no physical sense."""
        positive = {"epochs": "", "batch_size": "", "beta": " S", "tolerance": "", "input_gain": " V", "decay": ""}
        if self.seed < 0:
            raise PhysnetError(f"digits: seed is {self.seed}; it must be 0 or more.")
        if self.samples is not None and self.samples < 100:
            raise PhysnetError(f"digits: samples is {self.samples}; take 100 or more, so that every digit occurs.")
        for name, unit in positive.items():
            value = getattr(self, name)
            if value is not None and not (value > 0 and np.isfinite(value)):
                raise PhysnetError(f"digits: {name} is {value}{unit}; it must be finite and above 0.")
        if any(width < 1 for width in self.hidden):
            raise PhysnetError(f"digits: hidden is {self.hidden}; every layer needs at least 1 node.")
        if any(not (rate > 0 and np.isfinite(rate)) for rate in self.learning_rate or ()):
            raise PhysnetError(f"digits: learning_rate is {self.learning_rate}; rates are finite and above 0.")


def _choices(hidden, small):
    """(input gain, learning rates, decay): those published for MNIST by depth, ours for the 8x8 digits."""
    depth = len(hidden)
    if small:
        return 30.0 * 4.0 ** max(0, depth - 1), (0.04,) * (depth + 1), 0.9
    if depth <= 1:
        return (100.0 if max(hidden, default=100) <= 300 else 480.0), (0.006,) * (depth + 1), 0.99
    if depth == 2:
        return 2000.0, (0.002, 0.006, 0.018), 0.99
    return 4000.0, (0.005, *(0.02,) * (depth - 2), 0.08, 0.005), 0.99


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains, compares and, where `out` is given, keeps the file whole after every epoch. See physnet.discovery."""
    config.check()
    from studies._digit_data import load

    data = load(config.data, config.seed)
    if config.samples is not None:
        data = replace(
            data, train_images=data.train_images[: config.samples], train_labels=data.train_labels[: config.samples]
        )
    config = config.resolved(small=data.train_images.shape[1] == 64)
    trained = _train(config, data, out, resume, progress)
    ds = trained.to_dataset(*_comparison(config, data, trained))
    if out is not None:
        from physnet import results

        results.save(ds, out, overwrite=True)
    return ds


def _train(config, data, out, resume, progress):
    import jax
    import jax.numpy as jnp

    from circuits import BlockDescent, IdealDiode, LayeredNetwork, ShockleyDiode
    from physnet import Centred, Data, OneSided, SquaredError, fit
    from physnet.trainer import correctly_classified

    dtype = jnp.float32 if config.precision == "single" else jnp.float64
    classes = np.eye(10, dtype=dtype)
    network_key, order_key = jax.random.split(jax.random.key(config.seed))
    network = LayeredNetwork.random(
        (data.train_images.shape[1], *config.hidden, 10),
        key=network_key,
        input_gain=config.input_gain / data.white,
        diode={"ideal": IdealDiode, "shockley": ShockleyDiode, "none": lambda: None}[config.diode](),
        dtype=dtype,
    )
    train = Data(data.train_images, classes[data.train_labels])
    return fit(
        network,
        train,
        test=Data(data.test_images, classes[data.test_labels]),
        probe=Data(*train.rows(slice(0, 8))),
        cost=SquaredError(),
        nudging=(Centred if config.nudging == "centred" else OneSided)(config.beta),
        relaxer=BlockDescent(tolerance=config.tolerance, nudged_tolerance=10 * config.tolerance),
        optimiser=_optimiser(network, config, len(data.train_labels) // config.batch_size),
        measures={"accuracy": correctly_classified},
        epochs=config.epochs,
        batch_size=config.batch_size,
        key=order_key,
        out=out,
        resume=resume,
        overwrite=True,
        config=config,
        attributes={
            "title": f"Resistive network trained by Equilibrium Propagation on {data.name}",
            "summary": f"{len(data.train_labels)} training and {len(data.test_labels)} test samples, "
            f"hidden layers {config.hidden}, diode {config.diode}",
            "references": REFERENCES,
            "seed": config.seed,
            "physnet_study": "digits",
        },
        progress=progress,
    )


def _optimiser(network, config, steps_per_epoch):
    """Stochastic gradient descent with its own learning rate for each layer, falling by `decay` after every epoch."""
    import equinox as eqx
    import optax

    from physnet.parameters import trainable_mask

    def descend(rate):
        return optax.sgd(optax.exponential_decay(rate, steps_per_epoch, config.decay, staircase=True))

    layers = [f"layer {i}" for i in range(len(config.learning_rate))]
    labels = eqx.filter(network, trainable_mask(network))
    labels = eqx.tree_at(lambda tree: list(tree.conductances), labels, replace=layers)
    return optax.multi_transform({name: descend(rate) for name, rate in zip(layers, config.learning_rate)}, labels)


def _comparison(config, data, trained):
    """(variables, coordinates) that the figures and the summary need beside the history."""
    import jax.numpy as jnp

    from physnet import Nudge, SquaredError, relax
    from studies._baselines import logistic_accuracy, mlp_accuracy

    # A small training set needs more epochs of backpropagation until its perceptron is at its best.
    small = len(data.train_labels) <= 10_000
    effort = {"epochs": 5 * config.epochs if small else config.epochs, "seed": config.seed}
    baselines = np.array([logistic_accuracy(data, **effort), mlp_accuracy(data, config.hidden, **effort)])
    network, image = trained.system, data.test_images[0]
    target = np.eye(10)[data.test_labels[0]]
    betas = (0.0, config.beta, -config.beta) if config.nudging == "centred" else (0.0, config.beta)
    phases = [relax(network, image)]
    phases += [relax(network, image, nudge=Nudge(SquaredError(), target, jnp.asarray(beta))) for beta in betas[1:]]
    variables = [
        (
            Variable("baseline_accuracy", ("baseline",), "1", "test accuracy of ordinary software, same split"),
            baselines,
        ),
        (Variable("sample_target", ("output",), "V", "target of the output nodes for the test sample shown"), target),
    ]
    for i, variable in enumerate(network.variables):
        nudged = Variable(
            f"sample_{variable.name}", ("nudge", *variable.dims), "V", f"{variable.long_name}, one sample"
        )
        variables.append((nudged, np.stack([np.asarray(phase.state[i]) for phase in phases])))
    coords = [
        (Variable("baseline", ("baseline",), "1", "what it is compared with"), np.array(BASELINES)),
        (Variable("nudge", ("nudge",), "S", "beta of the phase, 0 for the free one"), np.array(betas)),
    ]
    return variables, coords


def summary(ds: "xr.Dataset") -> str:
    """Test accuracy beside the two baselines, and how well the states had settled."""
    accuracy = 100 * float(ds.test_accuracy[-1])
    rows = [("resistive network, Equilibrium Propagation", accuracy)]
    if "baseline_accuracy" in ds:  # absent from the checkpoint of a run that has not ended
        rows += [
            (str(name), 100 * float(value)) for name, value in zip(ds.baseline.values, ds.baseline_accuracy.values)
        ]
    lines = [ds.attrs["title"], ds.attrs["summary"], "", f"{'':44}test accuracy   test error"]
    lines += [f"{name:44}{value:11.2f} % {100 - value:10.2f} %" for name, value in rows]
    cosine = float(ds.gradient_cosine.min())
    lines += [
        "",
        f"epochs {ds.sizes['epoch']}, {float(ds.wall_time.sum()):.1f} s; settled {100 * float(ds.converged.min()):.2f} "
        f"% of samples or more, largest relative residual (estimated) {float(ds.residual.max()):.1e}",
        f"sweeps {float(ds.steps[-1]):.1f} free, {float(ds.nudged_steps[-1]):.1f} nudged; cosine of the EP to the "
        f"implicit gradient {cosine:.5f} or better",
    ]
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Accuracy by epoch, histograms of the conductances, free against nudged voltages. From the dataset alone."""
    from studies import _digit_figures

    return _digit_figures.all_figures(ds)
