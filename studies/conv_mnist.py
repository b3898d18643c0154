"""A convolutional Hopfield network learns handwritten digits by Equilibrium Propagation.

Two convolutions with pooling whose units act on each other both ways, and ten outputs read from the last layer; the
network settles free, then nudged by the gradient of the cross-entropy of their softmax, towards the label and away
from it (Ernoult et al. 2019, arXiv:1905.13633; Laborieux et al. 2021, doi:10.3389/fnins.2021.633674). What differs
from the papers: the mean of each window in the place of its largest value (a pooled convolution is then one with a
stride, at a quarter of the cost), even and odd layers in turn, and Adam, so that a few epochs do.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

REFERENCES = "Ernoult et al. 2019, arXiv:1905.13633; Laborieux et al. 2021, doi:10.3389/fnins.2021.633674"
_HELD_OUT = 5000  # training images, at most a fifth of them, that `validate` tests on


@dataclass(frozen=True)
class Config:
    """Options of `physnet run conv-mnist`. Those left at None are chosen for the data, and stored.

    Compared on held-out training images (`--validate`), except that steps, tolerance and learning rate were changed
    after a run of 6 + 3 steps at 5e-3 had ended at a test error of 3.19 % with unsettled phases.
    """

    epochs: int = 6
    """Passes over the training set [1]."""
    channels: tuple[int, ...] = (32, 64)
    """Channels of each convolution [1]."""
    kernel: int | None = None
    """Side of the kernels [pixel]. None: 5 for MNIST, 3 for the 8x8 digits."""
    padding: int | None = None
    """Zeros around each convolved image [pixel]. None: 0 for MNIST, 1 for the 8x8 digits."""
    pooling: Literal["average", "max", "softmax"] = "average"
    """What a window of 2 x 2 pixels becomes after a convolution."""
    activation: Literal["hard-sigmoid", "logistic"] = "hard-sigmoid"
    """Values of the units as a function of their drive."""
    cost: Literal["cross-entropy", "squared-error"] = "cross-entropy"
    """Cross-entropy of a softmax read from the last convolution, or squared error of ten units that settle as well."""
    gain: float = 2.0
    """First weights are uniform within this over the square root of the fan-in [1]."""
    beta: float = 0.5
    """Strength of the nudge, of either sign [1]."""
    free_steps: int = 15
    """Most steps of a free phase, each moving odd and even layers once [1]."""
    nudged_steps: int = 6
    """Most steps of a nudged phase [1]."""
    tolerance: float = 2e-3
    """Change of any unit in one step below which a sample counts as settled in training [1]."""
    learning_rate: float = 2e-3
    """Of Adam at the start; it falls to 0 as a cosine [1]."""
    batch_size: int = 64
    """Samples per step [1]."""
    samples: int | None = None
    """Use only so many training samples [1]."""
    validate: bool = False
    """Hold out up to 5,000 training images and test on them, to choose options; the test images stay unseen."""
    precision: Literal["single", "double"] = "single"
    """Floating-point numbers of the training."""
    seed: int = 0
    """Seeds the weights, the order of samples and the split of the 8x8 digits [1]."""
    data: Path | None = None
    """Folder with MNIST's four gzipped IDX files, or with a folder mnist of them; else PHYSNET_DATA, else the 8x8
    digits of scikit-learn."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        return replace(self, epochs=min(self.epochs, 3), channels=(8, 16), batch_size=16, samples=1000)

    def resolved(self, small: bool) -> "Config":
        """With the choices made that depend on the data (small: 8x8 digits)."""
        return replace(
            self,
            kernel=(3 if small else 5) if self.kernel is None else self.kernel,
            padding=int(small) if self.padding is None else self.padding,
        )

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        counts = ("epochs", "free_steps", "nudged_steps", "batch_size", "learning_rate", "beta", "gain", "tolerance")
        for name in counts:
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(f"conv_mnist: {name} is {value}; it must be finite and above 0.")
        if self.seed < 0:
            raise PhysnetError(f"conv_mnist: seed is {self.seed}; it must be 0 or more.")
        if self.samples is not None and self.samples < 100:
            raise PhysnetError(f"conv_mnist: samples is {self.samples}; take 100 or more, so that every digit occurs.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains, looks at the trained network, and keeps the file whole after every epoch. See physnet.discovery."""
    config.check()
    from studies._conv_network import parted
    from studies._conv_settling import measured
    from studies._digit_data import load

    data = load(config.data, config.seed)
    config = config.resolved(small=data.train_images.shape[1] == 64)
    if config.validate:
        data = parted(data, min(_HELD_OUT, len(data.train_labels) // 5), config.seed)
    if config.samples is not None:
        kept = slice(0, config.samples)
        data = replace(data, train_images=data.train_images[kept], train_labels=data.train_labels[kept])
        if config.samples < 10_000:  # a quick look need not test on more images than it learned from
            data = replace(data, test_images=data.test_images[:2000], test_labels=data.test_labels[:2000])
    trained = _train(config, data, out, resume, progress)
    ds = trained.to_dataset(*measured(config, data, trained.system))
    if out is not None:
        from physnet import results

        results.save(ds, out, overwrite=True)
    return ds


def _train(config, data, out, resume, progress):
    import jax
    import jax.numpy as jnp
    import optax

    from physnet import Data, fit
    from physnet.trainer import correctly_classified
    from studies._conv_network import build
    from studies._conv_settling import method

    dtype = jnp.float32 if config.precision == "single" else jnp.float64
    network_key, order_key = jax.random.split(jax.random.key(config.seed))
    network = build(
        data,
        channels=config.channels,
        kernel=config.kernel,
        padding=config.padding,
        pooling=config.pooling,
        activation=config.activation,
        readout=config.cost == "cross-entropy",
        gain=config.gain,
        key=network_key,
        dtype=dtype,
    )
    classes = np.eye(10, dtype=dtype)
    steps = config.epochs * max(1, len(data.train_labels) // config.batch_size)
    tested = "training images held out" if config.validate else "test images"
    return fit(
        network,
        Data(data.train_images, classes[data.train_labels]),
        test=Data(data.test_images, classes[data.test_labels]),
        optimiser=optax.adam(optax.cosine_decay_schedule(config.learning_rate, steps)),
        measures={"accuracy": correctly_classified},
        epochs=config.epochs,
        batch_size=config.batch_size,
        key=order_key,
        out=out,
        resume=resume,
        overwrite=True,
        throw=False,  # steps are counted, so that a few samples stop short of the tolerance: the history says how many
        config=config,
        attributes={
            "title": f"Convolutional Hopfield network trained by Equilibrium Propagation on {data.name}",
            "summary": f"{len(data.train_labels)} training images, tested on {len(data.test_labels)} {tested}; "
            f"channels {config.channels}, kernels of side {config.kernel}, {config.pooling} pooling, {config.cost}",
            "references": REFERENCES,
            "seed": config.seed,
            "physnet_study": "conv-mnist",
        },
        progress=progress,
        **method(config),
    )


def summary(ds: "xr.Dataset") -> str:
    """Test error, how well the states had settled, and how good the gradients were."""
    error = 100 * (1 - ds.test_accuracy.values)
    lines = [
        ds.attrs["title"],
        ds.attrs["summary"],
        "",
        f"test error {error[-1]:.2f} % after {ds.sizes['epoch']} epochs, {float(ds.wall_time.sum()):.0f} s "
        f"(by epoch: {', '.join(f'{e:.2f}' for e in error)} %)",
        f"steps {float(ds.steps[-1]):.1f} free, {float(ds.nudged_steps[-1]):.1f} nudged; within the tolerance in "
        f"training: {100 * float(ds.converged[-1]):.1f} % of samples, test {100 * float(ds.test_converged[-1]):.1f} %",
    ]
    if "gradient_quality" in ds:  # absent from the checkpoint of a run that has not ended
        pairs = zip(ds.parameter.values, ds.gradient_quality.values)
        lines.append("cosine to the exact gradient: " + ", ".join(f"{name} {value:.4f}" for name, value in pairs))
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Error by epoch, kernels of the first convolution, residual by step. From the dataset alone."""
    from studies import _conv_figures

    return _conv_figures.mnist_figures(ds)
