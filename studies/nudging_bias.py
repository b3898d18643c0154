"""One-sided, random-sign and centred nudging train the same convolutional networks: what the bias in beta costs.

Nudged towards the label only, the gradient of Equilibrium Propagation is biased by O(beta); with a sign drawn for each
sample the biases cancel on average, and with both signs they cancel in every sample, to O(beta^2). Laborieux et al.
2021 (doi:10.3389/fnins.2021.633674) report, for a network of four convolutions and CIFAR-10, a test error of 86 % with
one-sided and of 11.7 % with centred nudging. Here the same comparison at a small scale, 8x8 digits, with the angle of
each layer's gradient to the implicit one along training.
"""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from physnet.errors import PhysnetError
from physnet.variable import Variable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

REFERENCES = "Laborieux et al. 2021, doi:10.3389/fnins.2021.633674"
NUDGINGS = ("one-sided", "random sign", "centred")
_PROBED = 16  # training images on which gradients are compared


@dataclass(frozen=True)
class Config:
    """Options of `physnet run nudging-bias`."""

    epochs: int = 10
    """Passes over the training set [1]."""
    seeds: int = 3
    """Networks trained with each nudging: other weights, another order and split of the images [1]."""
    betas: tuple[float, ...] = (0.2, 1.0)
    """Strengths of the nudge [1]."""
    channels: tuple[int, ...] = (8, 16)
    """Channels of each 3 x 3 convolution, every one followed by pooling over 2 x 2 pixels [1]."""
    pooling: Literal["average", "max", "softmax"] = "average"
    """What a window of 2 x 2 pixels becomes after a convolution."""
    activation: Literal["hard-sigmoid", "logistic"] = "logistic"
    """Values of the units as a function of their drive."""
    gain: float = 2.0
    """First weights are uniform within this over the square root of the fan-in [1]."""
    learning_rate: float = 0.1
    """Of stochastic gradient descent with momentum 0.9 [1]."""
    batch_size: int = 32
    """Samples per step [1]."""
    max_steps: int = 60
    """Most steps of a phase [1]."""
    tolerance: float = 1e-4
    """Change of any unit in one step below which a sample has settled [1]."""
    samples: int | None = None
    """Use only so many training samples [1]."""
    seed: int = 0
    """The first of the seeds [1]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 15 s."""
        return replace(self, epochs=min(self.epochs, 2), seeds=1, betas=self.betas[-1:], channels=(4, 8), samples=400)

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        for name in ("epochs", "seeds", "gain", "learning_rate", "batch_size", "max_steps", "tolerance"):
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(f"nudging_bias: {name} is {value}; it must be finite and above 0.")
        if not self.betas or any(not (beta > 0 and np.isfinite(beta)) for beta in self.betas):
            raise PhysnetError(f"nudging_bias: betas are {self.betas}; give at least one, finite and above 0.")
        if self.seed < 0:
            raise PhysnetError(f"nudging_bias: seed is {self.seed}; it must be 0 or more.")
        if not 1 <= len(self.channels) <= 3:
            raise PhysnetError(f"nudging_bias: channels are {self.channels}; 8x8 images can be pooled 1 to 3 times.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains every network anew (a few minutes: nothing is resumed) and writes one file. See physnet.discovery."""
    config.check()
    import optax
    from tqdm import tqdm

    from physnet import results
    from physnet.datasets import build

    rows, network = {}, None
    optimiser = optax.sgd(config.learning_rate, momentum=0.9)  # one object, so that seeds share compiled programs
    runs = list(product(range(config.seed, config.seed + config.seeds), config.betas, NUDGINGS))
    for seed, beta, name in tqdm(runs, disable=not progress, unit="network", desc="training"):
        trained = _train(config, name, beta, seed, optimiser)
        rows[name, beta, seed], network = trained.history, trained.system
    variables, coords = _collected(config, rows)
    ds = build(
        network,
        variables,
        coords=coords,
        default_title="Bias of the nudging: one-sided, random-sign and centred training",
        dtype=np.float32,
        config=config,
        seed=config.seed,
        summary=f"8x8 digits, channels {config.channels}, {config.pooling} pooling, softmax readout, {config.seeds} "
        f"seeds, {config.epochs} epochs of gradient descent with momentum",
        references=REFERENCES,
        physnet_study="nudging-bias",
    )
    if out is not None:
        results.save(ds, out, overwrite=True)
    return ds


def _train(config, name, beta, seed, optimiser):
    """One network, trained with one nudging; networks of one seed start alike and see the same images."""
    import jax
    import jax.numpy as jnp

    from physnet import Centred, CrossEntropy, Data, FixedPoint, OneSided, RandomSign, fit
    from physnet.trainer import correctly_classified
    from studies._conv_network import build
    from studies._digit_data import small_digits

    data = small_digits(seed)
    kept = slice(0, config.samples)
    network_key, order_key = jax.random.split(jax.random.key(seed))
    network = build(
        data,
        channels=config.channels,
        kernel=3,
        padding=1,
        pooling=config.pooling,
        activation=config.activation,
        readout=True,
        gain=config.gain,
        key=network_key,
        dtype=jnp.float32,
    )
    classes = np.eye(10, dtype=np.float32)
    train = Data(data.train_images[kept], classes[data.train_labels[kept]])
    return fit(
        network,
        train,
        test=Data(data.test_images, classes[data.test_labels]),
        probe=Data(*train.rows(slice(0, _PROBED))),
        cost=CrossEntropy(),
        nudging={"one-sided": OneSided, "random sign": RandomSign, "centred": Centred}[name](beta),
        relaxer=FixedPoint(tolerance=config.tolerance, max_steps=config.max_steps),
        optimiser=optimiser,
        measures={"accuracy": correctly_classified},
        epochs=config.epochs,
        batch_size=config.batch_size,
        key=order_key,
        throw=False,  # what a biased gradient does to a network is the question, not an error
    )


def _collected(config, rows):
    """(variables, coordinates) over nudging, beta, seed and epoch."""
    seeds = np.arange(config.seed, config.seed + config.seeds)

    def stacked(key):
        found = [rows[name, beta, seed][key] for name in NUDGINGS for beta in config.betas for seed in seeds]
        return np.reshape(found, (len(NUDGINGS), len(config.betas), len(seeds), *np.shape(found[0])))

    dims = ("nudging", "beta", "seed", "epoch")
    cosine = stacked("gradient_cosine")
    variables = [
        (Variable(key, dims, "1", text), stacked(key))
        for key, text in (
            ("train_cost", "cross-entropy, running mean over the epoch's free phases"),
            ("train_accuracy", "training accuracy, running mean over the epoch's free phases"),
            ("test_cost", "cross-entropy on test images after the epoch"),
            ("test_accuracy", "test accuracy after the epoch"),
            ("residual", "largest relative residual of the epoch's free phases"),
            ("converged", "fraction of samples whose phases all settled"),
            ("steps", "mean steps of a free phase"),
            ("wall_time", "wall-clock time of the epoch"),
        )
    ]
    variables = [(replace(v, units="s") if v.name == "wall_time" else v, values) for v, values in variables]
    angle = Variable(
        "gradient_angle", (*dims, "parameter"), "degree", "angle to the implicit gradient, after the epoch"
    )
    variables.append((angle, np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    names = [f"{kind}_{i}" for i in range(len(config.channels)) for kind in ("kernel", "bias")]
    coords = [
        (Variable("nudging", ("nudging",), "1", "which phases are compared"), np.array(NUDGINGS)),
        (Variable("beta", ("beta",), "1", "strength of the nudge"), np.array(config.betas)),
        (Variable("seed", ("seed",), "1", "seed of weights, order and split"), seeds),
        (Variable("epoch", ("epoch",), "1", "training epoch, counted from 1"), np.arange(1, config.epochs + 1)),
        (
            Variable("parameter", ("parameter",), "1", "trainable parameter"),
            np.array([*names, "readout_weight", "readout_bias"]),
        ),
    ]
    return variables, coords


def summary(ds: "xr.Dataset") -> str:
    """Test error of each nudging, with its spread over seeds, and the angle of the first layer's gradient."""
    lines = [ds.attrs["title"], ds.attrs["summary"], ""]
    lines.append(f"{'':14}{'beta':>6}{'test error, mean (least to most)':>36}{'angle of kernel_0':>20}{'settled':>10}")
    for beta in ds.beta.values:
        for name in ds.nudging.values:
            here = ds.sel(nudging=name, beta=beta)
            error = 100 * (1 - here.test_accuracy.isel(epoch=-1).values)
            angle = float(here.gradient_angle.sel(parameter="kernel_0").mean())
            spread = f"{error.mean():.1f} % ({error.min():.1f} to {error.max():.1f})"
            lines.append(f"{name:14}{beta:6g}{spread:>36}{angle:16.1f} deg{100 * float(here.converged.mean()):8.1f} %")
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Test error by epoch and angle of the gradients by layer, for each nudging and beta. From the dataset alone."""
    from studies import _conv_figures

    return _conv_figures.bias_figures(ds)
