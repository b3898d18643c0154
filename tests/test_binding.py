"""The study of binding by synchronisation: geometry, learning signal, detector, the command as its user meets it."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from physnet import Centred, Newton, PhysnetError, cli, ep_gradient, implicit_gradient, relax, results
from studies import _binding_equilibrium as equilibrium
from studies import binding
from studies._binding_data import CLASSES, EVENTS, LABELS, MEMBERS, baseline_predictions
from studies._binding_network import reduced_coupling
from studies._binding_ramps import DELAY, centroid_ramps, early_ramps, frequencies_in_time


def test_sequences_are_those_of_the_file():
    path = Path(os.environ.get("PHYSNET_TEST_DATA", "nowhere")) / "vowels" / "binding40.csv"
    if not path.is_file():
        pytest.skip("PHYSNET_TEST_DATA names no folder with vowels/binding40.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == [CLASSES[k] for k in LABELS]
    pairs = [[float(row["t2"]), float(row["t3"])] for row in rows]
    np.testing.assert_array_equal(EVENTS, pairs)
    vowels = [[480000 / float(row["F2_Hz"]), 240000 / float(row["F1_Hz"])] for row in rows]
    np.testing.assert_allclose(EVENTS, vowels, rtol=1e-6)


def test_software_separates_all_classes_but_brie():
    found = (baseline_predictions(EVENTS, LABELS, EVENTS) == MEMBERS).mean(-1)
    np.testing.assert_array_equal(found[0], [1, 0.75, 1, 1])
    assert (found[1] >= 0.75).all()


@pytest.mark.parametrize("ramps_of", [centroid_ramps, early_ramps])
def test_centroid_ramps_cross_at_one_time(ramps_of):
    ramps = ramps_of(EVENTS, LABELS)
    centres = np.array([EVENTS[k == LABELS].mean(0) for k in range(4)])
    if ramps_of is centroid_ramps:
        meeting = centres.max(1) + DELAY
    else:
        meeting = np.minimum(centres.min(1) + DELAY, centres.mean(1))
    for k in range(4):
        f = np.asarray(frequencies_in_time(ramps[k][None], centres[k][None], np.array([meeting[k]])))
        assert np.ptp(f) < 1e-9
        start, up, *rest = ramps[k]
        assert f[0, 0, 0] == pytest.approx(start + up * meeting[k], abs=1e-9)
        for i, (hold, down) in enumerate((rest[:2], rest[2:])):  # the crossing is affine in the events
            if meeting[k] > centres[k, i]:
                crossing = (hold - start + down * centres[k, i]) / (up + down)
                assert crossing == pytest.approx(meeting[k], abs=1e-6)


@pytest.fixture(scope="module")
def locked():
    """Detunings (sample, 3), Hz, near and far from the edge, their membership, and the network."""
    rng = np.random.default_rng(3)
    detunings = rng.normal(size=(24, 3))
    detunings -= detunings.mean(1, keepdims=True)
    size = equilibrium.LOCKS * equilibrium.RAISED * reduced_coupling() * rng.uniform(0.2, 1, 24)
    detunings *= (size / np.abs(detunings).max(1))[:, None]
    return detunings, np.arange(24) % 2 == 0, equilibrium.phase_network()


def test_newton_finds_the_state_that_time_leads_to(locked):
    detunings, _, system = locked
    by_newton, in_time = relax(system, detunings, relaxer=Newton()), relax(system, detunings)
    differences = np.asarray(by_newton.state) - np.asarray(in_time.state)
    assert np.abs(differences - differences.mean(1, keepdims=True)).max() < 1e-8


@pytest.mark.slow
def test_learning_signal_is_the_gradient(locked):
    """The nudged displacement of each phase against the implicit gradient and against finite differences."""
    detunings, members, system = locked
    _, gradients, residual, converged = equilibrium.settle(system, detunings, members, beta=1e-4)
    assert converged
    assert residual < 1e-10
    scale = np.abs(gradients).max()
    np.testing.assert_allclose(gradients.sum(1), 0, atol=1e-12 * scale)
    targets = np.where(members, 1.0, -1.0)[:, None] * np.ones((1, 4))
    cost = equilibrium.OrderMargin()
    for n in (0, 1, 7):
        exact = implicit_gradient(system, detunings[n], targets[n], cost=cost, relaxer=Newton()).gradient
        exact = np.asarray(exact.natural_frequency)
        np.testing.assert_allclose(gradients[n], exact, atol=1e-6 * max(np.abs(exact).max(), 1e-3 * scale))
    generic = ep_gradient(
        system, detunings, targets, cost=cost, nudging=Centred(1e-4, relative=True), relaxer=Newton()
    ).gradient.natural_frequency
    np.testing.assert_allclose(gradients.mean(0), np.asarray(generic), atol=1e-6 * scale)
    step = 50.0  # Hz
    for i in range(3):
        shift = np.zeros(3)
        shift[i] = step
        up, down = (equilibrium.settle(system, detunings + sign * shift, members)[0] for sign in (1, -1))
        np.testing.assert_allclose((up - down) / (2 * step), gradients[:, i], atol=1e-4 * scale)


@pytest.mark.slow
def test_gradient_reaches_the_ramps():
    ramps = np.concatenate([centroid_ramps(EVENTS, LABELS), early_ramps(EVENTS, LABELS)])  # one shape with the study
    system = equilibrium.phase_network()
    cost, gradient, _, converged = equilibrium.cost_and_gradient(system, ramps, EVENTS, LABELS)
    assert converged
    better = ramps - 0.02 * gradient / np.maximum(np.abs(gradient).max(1, keepdims=True), 1e-12) * np.array([1, 0] * 3)
    assert (equilibrium.cost_and_gradient(system, better, EVENTS, LABELS)[0] < cost).all()


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The study at its small size, run through the command line."""
    path = tmp_path_factory.mktemp("binding") / "binding.nc"
    assert (
        cli.main(
            ["run", "binding", "--quick", "--steps", "5", "--simulation-steps", "2", "--grid", "4", "--out", str(path)]
        )
        == 0
    )
    return path


def test_its_dataset_holds_what_it_promises(quick):
    ds = results.open(quick)
    assert results.validate(ds) == []
    assert list(ds["class"].values) == list(CLASSES)
    assert list(ds.training.values) == ["centroid", "equilibrium propagation", "simulation"]
    assert ds.accuracy.dims == ("training", "class")
    np.testing.assert_allclose(ds.baseline_accuracy.sel(baseline="logistic unit"), [1, 0.75, 1, 1])
    assert (ds.accuracy.sel(training="centroid") > 0.8).all()
    assert int(ds.converged) == 1
    assert float(ds.integration_error.max()) < 0.02  # at twice the step, since kinks fall inside steps


def test_spectrum_and_mean_frequencies_agree(quick):
    ds = results.open(quick)
    agreement = (ds.recognised == ds.locked).sel(training="centroid").mean("sequence")
    assert (agreement >= 0.9).all()
    assert float((ds.recognised == ds.locked).mean()) >= 0.93


def test_figures_and_summary_need_the_file_alone(quick, tmp_path):
    assert cli.main(["figures", str(quick), "--out", str(tmp_path)]) == 0
    for name in ("ramps", "spectra", "maps", "accuracy"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    text = binding.summary(results.open(quick))
    assert "logistic unit" in text
    assert "equilibrium propagation" in text


def test_a_finished_run_is_not_done_again(quick, capsys):
    before = quick.stat().st_mtime_ns
    config = replace(binding.Config().quick(), steps=5, simulation_steps=2, grid=4)
    assert binding.run(config, out=quick, resume=True).attrs["physnet_study"] == "binding"
    assert quick.stat().st_mtime_ns == before
    assert "finished" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"draws": 1}, "draws is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"temperatures": (300.0, -1.0)}, "temperatures hold -1.0 K"),
        ({"dispersions": (float("nan"),)}, "dispersions hold nan a.u."),
        ({"dispersions": ()}, "dispersions hold nothing"),
        ({"temperatures": (0.0, 0.0)}, "twice"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        binding.run(replace(binding.Config(), **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []
