"""Coupled phase oscillators learn handwritten digits by Equilibrium Propagation.

An XY network: pixels are phases at which 64 oscillators are held, 11 hidden and 10 output oscillators settle on them,
and the output nearest to phase 0 is the answer (Wang, Wanjura & Marquardt 2024, arXiv:2402.08579, who report a test
accuracy of 93.3 % with all oscillators coupled and 94.1 % in layers). What differs from the paper: a cross-entropy of
the output cosines in the place of their cost, Adam with decaying weights in the place of a plain gradient step, and a
start in phase, the same for every sample, in the place of averages over random starts (which `starts` brings back).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError
from physnet.variable import Variable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

REFERENCES = "Wang, Wanjura & Marquardt 2024, arXiv:2402.08579; Scellier and Bengio 2017, doi:10.3389/fncom.2017.00024"
PUBLISHED = {False: 0.933, True: 0.941}  # test accuracy, by `layered`
_VALIDATION = 0.2  # of the training images


@dataclass(frozen=True)
class Config:
    """Options of `physnet run oscillator-digits`.

    The defaults were chosen on validation images (`--validate`), never on the test images.
    """

    epochs: int = 40
    """Passes over the training set [1]."""
    hidden: int = 11
    """Hidden oscillators [1]."""
    layered: bool = False
    """Couple inputs to hidden and hidden to output oscillators only, in the place of all to all."""
    beta: float = 0.6
    """Strength of the nudge, of either sign [rad2 s-1]."""
    temperature: float = 0.1
    """Of the softmax over the cosines of the output phases, in the cross-entropy [1]."""
    learning_rate: float = 0.02
    """Of Adam at the start; it falls to 0 as a cosine [Hz]."""
    weight_decay: float = 0.3
    """Share of each parameter that is taken off per step, in units of the learning rate [Hz-1]."""
    gain: float = 1.0
    """Standard deviation of the first couplings, times the square root of the number of oscillators [Hz]."""
    white: float = 1.5707963267948966
    """Phase at which a white pixel holds its oscillator; black ones are held at 0 [rad]."""
    starts: int = 0
    """Settle every sample from so many random starts and average the readings; 0 is one start, in phase [1]."""
    batch_size: int = 100
    """Samples per step [1]."""
    tolerance: float = 1e-5
    """Relative residual below which a phase counts as settled in training: about its angle off rest [rad]."""
    restarts: int = 10
    """Random starts from which the trained network is tested as well [1]."""
    probe: int = 8
    """Training images on which the gradient is compared with the implicit one after each epoch; 0 is none [1]."""
    validate: bool = False
    """Hold out a fifth of the training images and test on it, to choose options; the test images stay unseen."""
    seed: int = 0
    """Seeds the couplings, the order of samples, the starts and the split of the images [1]."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 15 s."""
        return replace(self, epochs=min(self.epochs, 4), batch_size=20, restarts=min(self.restarts, 2), probe=0)

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        units = {"beta": " rad2 s-1", "learning_rate": " Hz", "gain": " Hz", "white": " rad"}
        positive = ("epochs", "beta", "temperature", "learning_rate", "gain", "white", "batch_size", "tolerance")
        for name in positive:
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(
                    f"oscillator_digits: {name} is {value}{units.get(name, '')}; it must be finite and above 0."
                )
        for name in ("weight_decay", "starts", "restarts", "probe", "seed", "hidden"):
            value, least = getattr(self, name), int(name == "hidden" and self.layered)
            if not (value >= least and np.isfinite(value)):
                raise PhysnetError(f"oscillator_digits: {name} is {value}; it must be {least} or more.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains, tests from other starts, compares, and keeps the file whole after every epoch. See physnet.discovery."""
    config.check()
    data = images(config)
    trained = _train(config, data, out, resume, progress)
    ds = trained.to_dataset(*_results(config, data, trained.system))
    if out is not None:
        from physnet import results

        results.save(ds, out, overwrite=True)
    return ds


def images(config: Config):
    """The 1,797 8x8 digits, a fifth of them for testing, stratified, split by the seed; or, of the other four fifths,
    another fifth for validation."""
    from studies._digit_data import small_digits

    data = small_digits(config.seed)
    if not config.validate:
        return data
    from sklearn.model_selection import train_test_split

    train, test, *labels = train_test_split(
        data.train_images,
        data.train_labels,
        test_size=_VALIDATION,
        random_state=config.seed + 1,
        stratify=data.train_labels,
    )
    return replace(data, train_images=train, train_labels=labels[0], test_images=test, test_labels=labels[1])


def _phases(config, data, pixels):
    return np.asarray(pixels, float) * (config.white / data.white)


def _train(config, data, out, resume, progress):
    import jax
    import optax

    from oscillators import Multistart, PhaseDescent, XYNetwork
    from physnet import Centred, CrossEntropy, Data, fit
    from physnet.trainer import correctly_classified

    network_key, order_key, start_key = jax.random.split(jax.random.key(config.seed), 3)
    network = XYNetwork.random(
        data.train_images.shape[1],
        config.hidden,
        10,
        key=network_key,
        gain=config.gain,
        layered=config.layered,
        readout="cosines",
    )
    if config.starts:
        network = Multistart.random(network, config.starts, key=start_key)
    classes = np.eye(10)
    train = Data(_phases(config, data, data.train_images), classes[data.train_labels])
    steps = config.epochs * max(1, len(data.train_labels) // config.batch_size)
    rate = optax.cosine_decay_schedule(config.learning_rate, steps)
    return fit(
        network,
        train,
        test=Data(_phases(config, data, data.test_images), classes[data.test_labels]),
        probe=Data(*train.rows(slice(0, config.probe))) if config.probe else None,
        cost=CrossEntropy(config.temperature),
        nudging=Centred(config.beta),
        relaxer=PhaseDescent(tolerance=config.tolerance, polish=False),
        optimiser=optax.adamw(rate, weight_decay=config.weight_decay),
        measures={"accuracy": correctly_classified},
        epochs=config.epochs,
        batch_size=config.batch_size,
        key=order_key,
        out=out,
        resume=resume,
        overwrite=True,
        throw=False,  # one phase that does not settle is written down, not the end of the run
        config=config,
        attributes={
            "title": f"Handwritten digits learned by {74 + config.hidden} phase oscillators",
            "summary": f"{'Layered' if config.layered else 'All-to-all'} XY network, 64 input, {config.hidden} hidden, "
            f"10 output oscillators, {len(data.train_labels)} training images; tested on {len(data.test_labels)} "
            f"{'validation images taken from the training set' if config.validate else 'images kept apart'}.",
            "references": REFERENCES,
            "seed": config.seed,
            "physnet_study": "oscillator-digits",
        },
        progress=progress,
    )


def _results(config, data, system):
    """(variables, coordinates) that the figures and the summary need beside the history: certified test states of the
    trained network, its answers from random starts, and what ordinary software reaches on the same images."""
    import jax

    from oscillators import Multistart
    from physnet import relax
    from studies._baselines import logistic_accuracy, mlp_accuracy

    network = system.one if isinstance(system, Multistart) else system
    inputs, labels = _phases(config, data, data.test_images), data.test_labels
    own = jax.vmap(lambda x: network.initial_state(x))(inputs) if network is system else None
    starts = list(np.asarray(system.starts)) if own is None else []
    tested = [_settled(relax, network, inputs, np.tile(start, (len(labels), 1))) for start in starts]
    tested = tested or [_settled(relax, network, inputs, own)]
    readings = np.mean([np.asarray(found.outputs) for found in tested], axis=0)
    others = []
    for key in jax.random.split(jax.random.key(config.seed + 1), config.restarts):
        keys = jax.random.split(key, len(labels))
        others.append(_settled(relax, network, inputs, jax.vmap(network.initial_state)(inputs, keys)).outputs)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, np.argmax(readings, axis=1)), 1)
    effort = {"epochs": 5 * config.epochs, "seed": config.seed}
    baselines = np.array([logistic_accuracy(data, **effort), mlp_accuracy(data, (config.hidden,), **effort)])
    state = tested[0]
    sample, software = ("sample",), "test accuracy of ordinary software, same images"
    variables = [
        (Variable("baseline_accuracy", ("baseline",), "1", software), baselines),
        (Variable("confusion", ("label", "answer"), "1", "test images of each digit by the answer"), confusion),
        (Variable("state_phase", ("sample", "oscillator"), "rad", "settled phases, test images"), state.state),
        (Variable("state_residual", sample, "1", "relative residual of these, certified"), state.residual),
        (Variable("state_converged", sample, "1", "whether they settled in a minimum"), state.converged),
        (Variable("state_steps", sample, "1", "steps of their relaxation"), state.steps),
        (Variable("state_label", sample, "1", "digit of each test image"), labels),
    ]
    if others:
        right = np.argmax(np.stack(others), axis=2) == labels
        together = np.mean(np.argmax(np.mean(others, axis=0), axis=1) == labels)
        variables += [
            (Variable("restart_accuracy", ("restart",), "1", "test accuracy from a random start"), right.mean(axis=1)),
            (Variable("averaged_accuracy", (), "1", "test accuracy of the readings' mean over restarts"), together),
        ]
    names = np.array(["logistic regression", f"perceptron, {config.hidden} hidden"])
    coords = [
        (Variable("baseline", ("baseline",), "1", "what it is compared with"), names),
        (Variable("label", ("label",), "1", "digit shown"), np.arange(10)),
        (Variable("answer", ("answer",), "1", "digit answered"), np.arange(10)),
    ]
    return variables, coords


def _settled(relax, network, inputs, start):
    """Certified states from given starts; one that does not settle says so."""
    return relax(network, inputs, initial=np.asarray(start), throw=False)


def summary(ds: "xr.Dataset") -> str:
    """Test accuracy beside the baselines and the published one, and how well the states had settled."""
    layered = "Layered" in ds.attrs["summary"]
    rows = [("oscillators, Equilibrium Propagation", float(ds.test_accuracy[-1]))]
    if "restart_accuracy" in ds:
        rows.append((f"  from {ds.sizes['restart']} random starts, mean", float(ds.restart_accuracy.mean())))
        rows.append(("  their readings averaged", float(ds.averaged_accuracy)))
    if "baseline_accuracy" in ds:  # absent from the checkpoint of a run that has not ended
        rows += list(zip(ds.baseline.values, ds.baseline_accuracy.values))
    rows.append(("published, other split (arXiv:2402.08579)", PUBLISHED[layered]))
    lines = [ds.attrs["title"], ds.attrs["summary"], "", f"{'':44}test accuracy"]
    lines += [f"{name:44}{100 * float(value):11.2f} %" for name, value in rows]
    share, worst = 100 * float(ds.converged.min()), float(ds.residual.max())
    lines += [
        "",
        f"epochs {ds.sizes['epoch']}, {float(ds.wall_time.sum()):.1f} s; steps {float(ds.steps[-1]):.0f} free, "
        f"{float(ds.nudged_steps[-1]):.0f} nudged; settled {share:.2f} % of samples or more, residual {worst:.1e}",
    ]
    if "gradient_cosine" in ds:
        cosine = float(ds.gradient_cosine[-1].min())
        lines.append(f"cosine of the EP to the implicit gradient, at this beta, after the last epoch: {cosine:.4f}")
    if "state_residual" in ds:
        settled = 100 * float(ds.state_converged.mean())
        lines.append(f"test states certified: {settled:.1f} %, largest residual {float(ds.state_residual.max()):.1e}")
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Accuracy by epoch, confusion matrix, where the output phases settle. From the dataset alone."""
    from studies import _oscillator_digits_figures

    return _oscillator_digits_figures.all_figures(ds)
