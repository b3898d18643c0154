"""A layered Hopfield network learns handwritten digits by Equilibrium Propagation.

Units of one hidden layer and ten outputs take the value that their neighbours ask for until nothing moves, free and
then nudged towards and away from the label; each weight learns from the two units that it joins (Ernoult, Grollier,
Querlioz, Bengio & Scellier 2020, arXiv:2005.04168; the recipe of their network with one hidden layer).
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

REFERENCES = "Ernoult et al. 2020, arXiv:2005.04168; Ernoult et al. 2019, arXiv:1905.13633"
PUBLISHED_ERROR = 0.020  # test error on MNIST with one hidden layer; recalled, its source was not at hand
_FOLLOWED = 100  # test samples whose settling is recorded step by step


@dataclass(frozen=True)
class Config:
    """Options of `physnet run hopfield-mnist`. Those left at None are chosen for the data, and stored."""

    epochs: int = 30
    """Passes over the training set [1]."""
    hidden: tuple[int, ...] = (512,)
    """Units in each hidden layer [1]."""
    nudging: Literal["centred", "one-sided", "random-sign"] = "centred"
    """Nudged phases: both signs of beta, towards the target only, or either sign at random."""
    beta: float = 0.1
    """Size of the nudge [1]."""
    nudged_inside: bool = True
    """Whether a nudge acts on what drives a unit, or on the unit's value; then without an energy."""
    seed: int = 0
    """Seeds the weights, the order of samples and the split of the 8x8 digits [1]."""
    data: Path | None = None
    """Folder with MNIST's four gzipped IDX files, or with a folder mnist of them; else PHYSNET_DATA, else the 8x8
    digits of scikit-learn."""
    precision: Literal["single", "double"] = "single"
    """Floating-point numbers of the training."""
    batch_size: int = 20
    """Samples per step [1]."""
    learning_rate: tuple[float, ...] | None = None
    """Step along the gradient, one for each layer of weights or one for all [1]. None: 0.08 for the first layer, then
    half as much in each further one, as published; four times that for the 8x8 digits."""
    decay: float = 0.95
    """Factor on the learning rates after each epoch [1]; 1 as published."""
    free_steps: int = 40
    """Steps of a free phase at most [1]."""
    nudged_steps: int = 15
    """Steps of a nudged phase at most [1]."""
    tolerance: float = 1e-4
    """Largest |s - sigma(u)| at which a phase stops before that, 0 for never [1]."""
    update: Literal["blocks", "synchronous"] = "blocks"
    """Which units move at once: every second layer, or all."""
    samples: int | None = None
    """Use only so many training samples [1]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 15 s."""
        return replace(self, epochs=min(self.epochs, 3), samples=2000)

    def resolved(self, small: bool) -> "Config":
        """With the learning rates chosen for the data (small: 8x8 digits) and the network's depth."""
        layers = len(self.hidden) + 1
        rates = self.learning_rate or tuple((0.32 if small else 0.08) / 2**i for i in range(layers))
        rates = rates * layers if len(rates) == 1 else rates
        if len(rates) != layers:
            raise PhysnetError(f"hopfield-mnist: {len(rates)} learning rates for {layers} layers. Give one, or each.")
        return replace(self, learning_rate=rates)

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        for name in ("epochs", "batch_size", "beta", "decay", "free_steps", "nudged_steps"):
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(f"hopfield-mnist: {name} is {value}; it must be finite and above 0.")
        if not (self.tolerance >= 0 and np.isfinite(self.tolerance)):
            raise PhysnetError(f"hopfield-mnist: tolerance is {self.tolerance}; it must be finite, and 0 or more.")
        if self.seed < 0:
            raise PhysnetError(f"hopfield-mnist: seed is {self.seed}; it must be 0 or more.")
        if self.samples is not None and self.samples < 100:
            raise PhysnetError(
                f"hopfield-mnist: samples is {self.samples}; take 100 or more, so that every digit occurs."
            )
        if not self.hidden or any(width < 1 for width in self.hidden):
            raise PhysnetError(
                f"hopfield-mnist: hidden is {self.hidden}; give one layer or more, each of 1 unit or more."
            )
        if any(not (rate > 0 and np.isfinite(rate)) for rate in self.learning_rate or ()):
            raise PhysnetError(f"hopfield-mnist: learning_rate is {self.learning_rate}; rates are finite and above 0.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains, follows some test samples as they settle, and keeps `out` whole after every epoch."""
    config.check()
    from studies._digit_data import load

    data = load(config.data, config.seed)
    if config.samples is not None:
        data = replace(
            data, train_images=data.train_images[: config.samples], train_labels=data.train_labels[: config.samples]
        )
    config = config.resolved(small=data.train_images.shape[1] == 64)
    trained = _train(config, data, out, resume, progress)
    ds = trained.to_dataset(*_settling(trained.system, data))
    if out is not None:
        from physnet import results

        results.save(ds, out, overwrite=True)
    return ds


def _train(config, data, out, resume, progress):
    import jax
    import jax.numpy as jnp

    from physnet import Centred, Data, FixedPoint, OneSided, RandomSign, SquaredError, fit
    from physnet.networks import LayeredHopfield
    from physnet.trainer import correctly_classified

    dtype = jnp.float32 if config.precision == "single" else jnp.float64
    weight_key, order_key = jax.random.split(jax.random.key(config.seed))
    network = LayeredHopfield.random(
        (data.train_images.shape[1], *config.hidden, 10),
        key=weight_key,
        dtype=dtype,
        nudged_inside=config.nudged_inside,
    )
    train = Data(_grey(data.train_images, data, dtype), np.eye(10, dtype=dtype)[data.train_labels])
    nudging = {"centred": Centred, "one-sided": OneSided, "random-sign": RandomSign}[config.nudging]
    return fit(
        network,
        train,
        test=Data(_grey(data.test_images, data, dtype), np.eye(10, dtype=dtype)[data.test_labels]),
        probe=Data(*train.rows(slice(0, 8))),
        cost=SquaredError(),
        nudging=nudging(config.beta),
        relaxer=FixedPoint(
            update=config.update,
            tolerance=float(config.tolerance),
            max_steps=config.free_steps,
            nudged_steps=config.nudged_steps,
        ),
        optimiser=_optimiser(network, config, len(data.train_labels) // config.batch_size),
        measures={"accuracy": correctly_classified},
        epochs=config.epochs,
        batch_size=config.batch_size,
        key=order_key,
        out=out,
        resume=resume,
        overwrite=True,
        throw=False,  # the steps are bounded, as published: the history says how many phases had settled by then
        config=config,
        attributes={
            "title": f"Layered Hopfield network trained by Equilibrium Propagation on {data.name}",
            "summary": f"{len(data.train_labels)} training and {len(data.test_labels)} test samples, hidden layers "
            f"{config.hidden}, at most {config.free_steps} free and {config.nudged_steps} nudged steps",
            "references": REFERENCES,
            "seed": config.seed,
            "physnet_study": "hopfield-mnist",
        },
        progress=progress,
    )


def _grey(images, data, dtype):
    """Grey levels from 0 to 1."""
    return (images / data.white).astype(dtype)


def _optimiser(network, config, steps_per_epoch):
    """Stochastic gradient descent with its own learning rate for each layer, falling by `decay` after every epoch."""
    import equinox as eqx
    import optax

    from physnet.parameters import trainable_mask

    def descend(rate):
        return optax.sgd(optax.exponential_decay(rate, steps_per_epoch, config.decay, staircase=True))

    names = tuple(f"layer {i}" for i in range(len(config.learning_rate)))
    labels = eqx.filter(network, trainable_mask(network))
    labels = eqx.tree_at(lambda net: [*net.weights, *net.biases], labels, replace=[*names, *names])
    return optax.multi_transform({name: descend(rate) for name, rate in zip(names, config.learning_rate)}, labels)


def _settling(network, data, steps=40):
    """(variables, coordinates): residual and energy of the trained network's free phases, step by step."""
    from physnet import FixedPoint, relax

    images = _grey(data.test_images[:_FOLLOWED], data, network.weights[0].dtype)
    updates = ("synchronous", "blocks")
    residual, energy = np.zeros((2, 2, steps))
    for row, update in enumerate(updates):
        once, state = FixedPoint(update=update, tolerance=0.0, max_steps=1), None
        for step in range(steps):
            reached = relax(network, images, relaxer=once, initial=state, throw=False)
            state = reached.state
            residual[row, step], energy[row, step] = np.median(reached.residual), np.mean(reached.energy)
    dims = ("update", "step")
    variables = [
        (
            Variable("settling_residual", dims, "1", "largest |s - sigma(u)| after each step, median of samples"),
            residual,
        ),
        (Variable("settling_energy", dims, "1", "energy after each step, mean of samples"), energy),
    ]
    coords = [
        (Variable("update", ("update",), "1", "which units move at once"), np.array(updates)),
        (Variable("step", ("step",), "1", "steps taken from a silent network"), np.arange(1, steps + 1)),
    ]
    return variables, coords


def summary(ds: "xr.Dataset") -> str:
    """Test error beside the published one, how well the states had settled, and how long an epoch took."""
    error, best = 100 * (1 - float(ds.test_accuracy[-1])), 100 * (1 - float(ds.test_accuracy.max()))
    lines = [ds.attrs["title"], ds.attrs["summary"], ""]
    lines.append(f"test error {error:.2f} % after {ds.sizes['epoch']} epochs (lowest {best:.2f} %)")
    if "MNIST" in ds.attrs["title"]:
        lines[-1] += f"; published, one hidden layer of 512: {100 * PUBLISHED_ERROR:.1f} % (recalled)"
    lines += [
        f"training error {100 * (1 - float(ds.train_accuracy[-1])):.2f} % in the last epoch; an epoch took "
        f"{float(ds.wall_time.median()):.1f} s (median)",
        f"settled {100 * float(ds.converged.min()):.2f} % of samples or more, in all phases; largest residual of a "
        f"free phase {float(ds.residual.max()):.1e}",
        f"steps {float(ds.steps[-1]):.1f} free, {float(ds.nudged_steps[-1]):.1f} nudged (means of the last epoch)",
        f"cosine of the EP to the implicit gradient {float(ds.gradient_cosine.min()):.5f} or better",
    ]
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Error by epoch, how the states settled, receptive fields. From the dataset alone."""
    from studies import _hopfield_figures

    return _hopfield_figures.all_figures(ds)
