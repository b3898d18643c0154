"""The vowel study as its user meets it, the file it reads, and locking against theory."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from physnet import PhysnetError, cli, results
from studies import _vowel_data, vowels
from studies._vowel_learning import BAND, Adler, Threshold, learn, read
from studies._vowel_network import Device, currents_for, locked_to, simulate

NAMES = vowels.Config().vowels
DEVICE = Device(drive=0.4e6, coupling=0.0, settling=1.5e-6, window=2e-6)


def table(rows) -> str:
    return "ID,F0,F1,F2\n" + "".join(f"{code},200,{f1},{f2}\n" for code, f1, f2 in rows)


ROWS = [(f"w{talker:02d}{name}", 400 + 60 * i, 1000 + 200 * i) for i, name in enumerate(NAMES) for talker in (1, 2, 3)]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vowels" / _vowel_data.FILE
    path.parent.mkdir()
    path.write_text(table([*ROWS, ("m01ae", 500, 900), ("w04ae", 0, 1500), ("w04oa", 0, 0)]))
    return path


@pytest.fixture(scope="module")
def real():
    """The whole file, where PHYSNET_TEST_DATA names the folder with vowels/hillenbrand1995.csv."""
    folder = os.environ.get("PHYSNET_TEST_DATA")
    if not folder or not (Path(folder) / "vowels" / _vowel_data.FILE).is_file():
        pytest.skip(f"PHYSNET_TEST_DATA names no folder with vowels/{_vowel_data.FILE}")
    return Path(folder)


def test_women_s_vowels_are_read_from_file_folder_or_environment(file, monkeypatch):
    data = _vowel_data.load(file, NAMES)
    assert data.formants.shape == (21, 2) and data.unmeasured == 1
    assert [NAMES[k] for k in data.labels] == [code[3:] for code, _, _ in ROWS]
    np.testing.assert_array_equal(data.formants[3], (460, 1200))
    monkeypatch.setenv("PHYSNET_DATA", str(file.parent.parent))
    for place in (file.parent, file.parent.parent, None):
        np.testing.assert_array_equal(_vowel_data.load(place, NAMES).formants, data.formants)


def test_known_rows_of_the_real_file(real):
    data = _vowel_data.load(real, NAMES)
    assert len(data.labels) == 334 and data.unmeasured == 2
    chosen = (data.talkers == 1) & (data.labels == NAMES.index("aw"))
    np.testing.assert_array_equal(data.formants[chosen], [(815, 1200)])  # the row w01aw of the file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no data given.*doi:10.1121/1.411872.*ID.*F1 and F2.*--data FILE.*PHYSNET_DATA"),
        ("ID,F1\nw01ae,1\n", "no column F2.*Fetch"),
        ("", "no column ID, F1, F2"),
        (table([row for row in ROWS if not row[0].endswith(("er", "iy"))]), "no measured vowel er, iy of a woman"),
        (table([*ROWS, ("w09ae", "fast", 2)]), "line 23: F1 is 'fast'; expected a number of Hz"),
        (table([*ROWS, ("w09ae", 700, "nan")]), "line 23: F2 is 'nan'"),
        (table([*ROWS, ("w09ae", 700, -5)]), "line 23: F2 is '-5'"),
        (table([*ROWS, ("talker9", 700, 900)]), "line 23: ID is 'talker9'; expected talker type"),
        ("ID,F0,F1,F2\nw01ae,3\n", "line 2: no value of F1, F2"),
        (b"\x89HDF\xff\xfe\x00", "not comma-separated text|no column"),
    ],
)
def test_missing_and_malformed_files_say_what_to_do(tmp_path, monkeypatch, text, message):
    monkeypatch.delenv("PHYSNET_DATA", raising=False)
    path = None
    if text is not None:
        path = tmp_path / "some.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PhysnetError, match=message):
        vowels.run(vowels.Config(data=path), out=tmp_path / "never.nc", progress=False)
    assert not (tmp_path / "never.nc").exists()


def test_wrong_paths_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PHYSNET_DATA", raising=False)
    with pytest.raises(PhysnetError, match=r"nowhere.csv does not exist.*Fetch"):
        _vowel_data.load(tmp_path / "nowhere.csv", NAMES)
    with pytest.raises(PhysnetError, match=r"holds neither vowels/hillenbrand1995.csv nor"):
        _vowel_data.load(tmp_path, NAMES)
    assert cli.main(["run", "vowels", "--out", str(tmp_path / "v.nc")]) == 1
    assert "--data FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drive": -1.0}, "drive is -1.0 Hz"),
        ({"drive": 5e6}, "drive is 5e.06 Hz; take 1e5 to 1.5e6"),
        ({"coupling": float("nan")}, "coupling is nan Hz"),
        ({"window": 1e-7}, "a window of 1e-07 s cannot tell"),
        ({"folds": 1}, "folds is 1; take 2 or more"),
        ({"vowels": ("ae", "ae")}, "each once"),
        ({"starts": 0}, "starts is 0; it must be 1 or more"),
        ({"folds": 10}, "3 talkers cannot make 10 folds"),
    ],
)
def test_options_without_meaning_are_refused(file, change, message):
    with pytest.raises(PhysnetError, match=message):
        vowels.run(replace(vowels.Config(data=file), **change), progress=False)


def test_folds_are_of_whole_talkers(file):
    data = _vowel_data.load(file, NAMES)
    fold = _vowel_data.folds(data, 3, seed=0)
    for talker in (1, 2, 3):
        assert len(set(fold[data.talkers == talker])) == 1
    assert sorted(set(fold)) == [0, 1, 2]


@pytest.mark.slow
def test_an_oscillator_locks_inside_the_half_range_of_theory_and_not_outside():
    """Each of four oscillators far apart, tone A near it; tone B far from all."""
    free = np.array([340e6, 348e6, 356e6, 364e6])
    half = DEVICE.half_range(free)
    share = np.array([-1.15, -0.85, 0.0, 0.85, 1.15])
    tone = (free[:, None] + share[None, :] * half[:, None]).ravel()
    found = simulate(DEVICE, currents_for(DEVICE, free), np.stack([tone, np.full_like(tone, 400e6)], axis=1))
    own = found.patterns.reshape(4, 5, 4)[np.arange(4), :, np.arange(4)]
    assert own.tolist() == [[0, 1, 1, 1, 0]] * 4
    assert found.error < 1e-4
    followed = found.patterns > 0
    np.testing.assert_allclose(found.frequencies[followed], tone[np.nonzero(followed)[0]], atol=0.25e6)
    # A long window is recorded as closely as a short one: oscillators 14 MHz off the frame are not aliased.
    long = replace(DEVICE, window=1e-5)
    swapped = simulate(long, currents_for(long, free), np.stack([np.full_like(tone, 400e6), tone], axis=1))
    np.testing.assert_array_equal(swapped.patterns, 2 * found.patterns)
    np.testing.assert_allclose(swapped.frequencies[followed], tone[np.nonzero(followed)[0]], atol=0.5 / 1e-5)
    np.testing.assert_allclose(swapped.frequencies, found.frequencies, atol=0.5e6)


def test_patterns_from_mean_frequencies():
    frequencies = np.array([[340.0, 350.1, 360.0, 345.0]]) * 1e6
    tones = np.array([[350e6, 360.1e6]])
    assert locked_to(frequencies, tones, 2e-6).tolist() == [[0, 1, 2, 0]]
    assigned = np.array([[0, 1, 2, 0], [1, 0, 0, 0]])
    assert read(np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 2, 0]]), assigned).tolist() == [1, -1, 0]


def test_theory_of_the_learning_is_the_closed_form():
    model = Adler(DEVICE)
    frequency = np.linspace(BAND[0] + 1, BAND[1] - 1, 4)
    parameters = {"map": np.zeros((2, 2)), "offset": frequency[:2], "frequency": frequency}
    margins = np.asarray(model.margins(parameters, np.zeros((1, 2))))[0]
    np.testing.assert_allclose(np.diag(margins[:, :2]), 1e-6 * DEVICE.half_range(1e6 * frequency[:2]), rtol=1e-3)


@pytest.mark.parametrize("model", [Adler(DEVICE), Threshold()], ids=["oscillators", "threshold units"])
def test_learning_finds_patterns_for_classes_that_are_apart(model):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    inputs = (np.array([(-1, 0), (1, -1), (1, 1)])[labels] + 0.1 * rng.normal(size=(60, 2))).astype(np.float32)
    learned = learn(model, inputs, labels, labels >= 0, classes=3, candidates=512, starts=16, seed=0)
    assert learned.expected[0] > 0.95
    assert len(np.unique(learned.best(0)[1], axis=0)) == 3


@pytest.fixture(scope="module")
def learned(real, tmp_path_factory):
    """A short run, through the command line."""
    path = tmp_path_factory.mktemp("vowels") / "vowels.nc"
    options = {"folds": 0, "candidates": 4096, "starts": 64, "simulated": 2, "epochs": 1, "grid": 12}
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    assert cli.main(["run", "vowels", *given, "--data", str(real), "--out", str(path)]) == 0
    return path


def test_the_oscillators_recognise_vowels(learned):
    ds = results.open(learned)
    assert results.validate(ds) == [] and ds.attrs["physnet_study"] == "vowels"
    accuracy = ds.accuracy.sel(evaluation="training")
    assert accuracy[0] > 0.85
    assert 0.88 < accuracy[1] < 0.95 and 0.9 < accuracy[2] < 0.95
    assert ds.parameters.values.tolist() == [10, 12, 21]
    assert float(ds.accuracy[0].sel(evaluation="with thermal noise")) > 0.8
    assert float(ds.converged.mean()) > 0.9 and float(ds.integration_error) < 1e-3


def test_the_file_says_how_a_sample_was_recognised(learned):
    """From formants to tones to pattern to vowel, from the file alone."""
    ds = results.open(learned)
    tones = ds.formant_frequency.values @ ds.tone_gain.values.T + ds.tone_offset.values
    np.testing.assert_allclose(tones, ds.injected_frequency.values, rtol=1e-9)
    np.testing.assert_array_equal(read(ds.locking_pattern.values, ds.vowel_pattern.values), ds.prediction.values)
    assert np.mean(ds.prediction == ds.vowel_index) == ds.accuracy[0].sel(evaluation="training")
    tone = ds.injected_frequency.values[:, :, None]
    near = np.abs(ds.mean_frequency.values[:, None, :] - tone) < 0.25e6
    assert near[ds.locked.values == 1].all()
    assert int(ds.confusion.sum()) == 334


def test_figures_and_summary_need_the_file_alone(learned, tmp_path):
    assert cli.main(["figures", str(learned), "--out", str(tmp_path)]) == 0
    for name in ("map", "confusion", "sweep"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    text = vowels.summary(results.open(learned))
    rows = text[text.index("parameters") :].splitlines()[1:4]
    column = text[: text.index("parameters") + len("parameters")].splitlines()[-1]
    assert [row[: len(column)].split()[-1] for row in rows] == ["10", "12", "21"]
    assert "(m): 89 %" in text and "threshold units" in text and "softmax" in text
