"""The digits study as its user meets it, and the files it reads."""

import gzip
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from physnet import PhysnetError, cli, results
from studies import digits
from studies._digit_data import MNIST_FILES, load, read_idx


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    """A folder in the layout of MNIST with a few random images."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(MNIST_FILES):
        count = 40 if i < 2 else 12
        array = rng.integers(0, 256, (count, 28, 28)) if i % 2 == 0 else np.arange(count) % 10
        (tmp_path / "mnist").mkdir(exist_ok=True)
        (tmp_path / "mnist" / name).write_bytes(gzip.compress(idx(array)))
    return tmp_path


def test_mnist_files_are_read(folder, monkeypatch):
    data = load(folder, seed=0)
    assert data.train_images.shape == (40, 784)
    assert data.train_images.max() <= data.white == 255
    assert list(data.test_labels[:4]) == [0, 1, 2, 3]
    monkeypatch.setenv("PHYSNET_DATA", str(folder / "mnist"))
    np.testing.assert_array_equal(load(None, seed=0).train_images, data.train_images)


def test_small_digits_are_split_by_seed(monkeypatch):
    monkeypatch.delenv("PHYSNET_DATA", raising=False)
    data, other = load(None, seed=0), load(None, seed=1)
    assert data.train_images.shape == (1437, 64)
    assert data.test_images.shape == (360, 64)
    assert not np.array_equal(data.test_images, other.test_images)


def test_canonical_mnist():
    where = os.environ.get("PHYSNET_TEST_DATA")
    if not where or not (Path(where) / "mnist").is_dir():
        pytest.skip("PHYSNET_TEST_DATA names no folder with mnist/")
    data = load(Path(where), seed=0)
    assert data.train_images.shape == (60000, 784)
    assert list(data.train_labels[:8]) == [5, 0, 4, 1, 9, 2, 1, 3]
    assert list(data.test_labels[:8]) == [7, 2, 1, 0, 4, 1, 4, 9]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: None, "t10k-images-idx3-ubyte.gz not found"),
        (lambda content: content[:-40], "truncated or corrupt"),
        (lambda content: content[:100] + b"\0\0\0\0" + content[104:], "truncated or corrupt"),
        (lambda content: b"plain text", "truncated or corrupt"),
        (lambda content: gzip.compress(b"\0\0\x0d\x03" + bytes(60)), "not an IDX file of bytes"),
        (lambda content: gzip.compress(gzip.decompress(content)[:-1]), "do not hold an IDX array"),
        (lambda content: gzip.compress(gzip.decompress(content)[:9]), "do not hold an IDX array"),
        (lambda content: gzip.compress(idx(np.zeros((5, 28, 28)))), "do not fit together"),
    ],
)
def test_damaged_folders_are_named(folder, spoil, message):
    path = folder / "mnist" / MNIST_FILES[2]
    content = spoil(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(PhysnetError, match=message):
        load(folder, seed=0)


def test_a_missing_folder_says_what_to_fetch(tmp_path):
    with pytest.raises(PhysnetError, match=r"train-images-idx3-ubyte.gz.*Fetch the four gzipped IDX files"):
        load(tmp_path / "nowhere", seed=0)


def test_idx_round_trip(tmp_path):
    array = np.random.default_rng(1).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz"), array)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The study at its default settings, run once through the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PHYSNET_DATA", raising=False)
        path = tmp_path_factory.mktemp("digits") / "digits.nc"
        assert cli.main(["run", "digits", "--out", str(path)]) == 0
    return path


def test_it_is_at_least_as_good_as_logistic_regression(learned):
    ds = results.open(learned)
    logistic, perceptron = ds.baseline_accuracy.values
    assert ds.test_accuracy[-1] >= logistic
    assert ds.test_accuracy[-1] >= perceptron - 0.01
    assert 0.94 < logistic < 1
    assert 0.95 < perceptron < 1


def test_its_dataset_holds_what_it_promises(learned):
    ds = results.open(learned)
    assert results.validate(ds) == []
    promised = ("train_cost", "test_cost", "train_accuracy", "test_accuracy", "residual", "converged", "steps")
    for name in (*promised, "gradient_cosine"):
        assert ds[name].dims[0] == "epoch", name
    assert (ds.converged == 1).all()
    assert (ds.gradient_cosine > 0.99).all()
    assert ds.conductance_1.dims == ("source", "hidden_1")
    assert float(ds.conductance_1.min()) >= 0


def test_figures_and_summary_need_the_file_alone(learned, tmp_path, capsys):
    assert cli.main(["figures", str(learned), "--out", str(tmp_path)]) == 0
    for name in ("accuracy", "conductances", "voltages"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    text = digits.summary(results.open(learned))
    assert "logistic regression" in text
    assert "perceptron" in text


def test_a_checkpoint_of_a_broken_run_can_be_drawn(learned):
    ds = results.open(learned)
    partial = ds.drop_vars([name for name in ds.variables if name.startswith(("sample_", "baseline"))])
    assert set(digits.figures(partial)) == {"accuracy", "conductances"}
    assert "resistive network" in digits.summary(partial)


def test_the_sample_shown_obeys_kirchhoff_in_every_phase(learned):
    """The output currents of the stored voltages and conductances balance the nudge, from the file alone."""
    ds = results.open(learned)
    hidden, output = ds.sample_hidden_1_voltage.values, ds.sample_output_voltage.values
    g, beta = ds.conductance_2.values.astype(float), ds.nudge.values[:, None]
    inflow = hidden @ g - output * g.sum(0) + beta * (ds.sample_target.values - output)
    assert np.abs(inflow).max() < 1e-3 * np.abs(hidden[:, :, None] * g).sum(1).min()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.0}, "beta is 0.0 S"),
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": (0.1, 0.1, 0.1)}, "3 learning rates for 2 layers"),
        ({"hidden": (10, 0)}, "at least 1 node"),
        ({"input_gain": float("nan")}, "input_gain is nan V"),
        ({"beta": 1e3}, "too negative"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    config = replace(digits.Config(samples=100, epochs=1), **change)
    with pytest.raises(PhysnetError, match=message):
        digits.run(config, out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_published_settings_are_chosen_by_depth():
    assert digits.Config(hidden=(100,)).resolved(small=False).input_gain == 100
    assert digits.Config(hidden=(1024,)).resolved(small=False).input_gain == 480
    assert digits.Config(hidden=(1024, 1024)).resolved(small=False).learning_rate == (0.002, 0.006, 0.018)
    three = digits.Config(hidden=(1024,) * 3).resolved(small=False)
    assert (three.input_gain, three.learning_rate) == (4000, (0.005, 0.02, 0.08, 0.005))
    assert digits.Config(learning_rate=(0.1,)).resolved(small=True).learning_rate == (0.1, 0.1)
