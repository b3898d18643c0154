"""The synchronisation-map study as its user meets it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from oscillators.device_presets import preset
from physnet import PhysnetError, cli, results
from studies import synchronisation_map
from studies._map_figures import PATTERNS, bistable, patterns

SMALL = {"points": 3, "span": 6.0, "tongue_detunings": 25, "tongue_couplings": 5, "tongue_duration": 5.0}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "map.nc"
    options = [part for name, value in SMALL.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert cli.main(["run", "synchronisation-map", *options, "--out", str(path)]) == 0
    return path


@pytest.fixture
def ds(path):
    return results.open(path)


def test_its_dataset_holds_what_it_promises(ds):
    assert results.validate(ds) == [] and ds.attrs["physnet_study"] == "synchronisation_map"
    assert ds.mean_frequency.dims == ("detuning_2", "detuning_3", "oscillator") and ds.mean_frequency.units == "MHz"
    assert ds.sweep_synchronised.dims == ("sweep", "coupling", "detuning") and ds.detuning.units == "MHz"
    assert float(ds.resolution) == pytest.approx(0.15) and float(ds.step_error.max()) < 1e-5


def test_the_map_agrees_with_an_independent_simulation(ds):
    device, points = preset("map"), [(0, 2), (1, 1), (0, 1)]
    for point in points:
        near = ds.isel(detuning_2=point[0], detuning_3=point[1])
        detunings = np.array([0, near.detuning_2, near.detuning_3])
        np.testing.assert_allclose(mean_frequencies(device, detunings), near.mean_frequency, atol=1e-3)
    assert PATTERNS[patterns(ds)[1, 1]] == "all three" and PATTERNS[patterns(ds)[0, 1]] == "1 and 3"


def mean_frequencies(device, detunings):
    """Three oscillators all to all, W/2pi 0.4 MHz: MHz and us, complex, in a frame of its own, DOP853 of scipy."""
    shift, damping, pumping = (
        1e-6 * x for x in (device.nonlinear_shift_hz, device.damping_hz, 1.5 * device.damping_hz)
    )

    def velocity(t, c):
        p = np.abs(c) ** 2
        turning = -1j * (detunings + shift * (p - device.power))
        return 2 * np.pi * ((turning - damping + pumping * (1 - p)) * c + 0.4 * (c.sum() - c))

    phases = 2 * np.pi * (np.arange(3) * (np.sqrt(5) - 1) / 2 % 1)
    start = np.sqrt(device.power) * np.exp(-1j * phases)
    run = solve_ivp(velocity, (0, 10), start, "DOP853", np.linspace(5, 10, 500), rtol=1e-7, atol=1e-8)
    phi = -np.unwrap(np.angle(run.y), axis=1)
    return 1e-6 * device.generation_frequency_hz + (phi[:, -1] - phi[:, 0]) / (10 * np.pi)


def test_the_tongue_follows_theory_where_the_coupling_is_weak_and_is_hysteretic_where_it_is_strong(ds):
    weak = ds.isel(coupling=0)
    assert float(weak.tongue_half_range) == pytest.approx(float(weak.tongue_theory), rel=0.05)
    assert float(ds.tongue_phase) == pytest.approx(np.arctan(preset("map").nu))
    both = bistable(ds)
    assert not both[0].any() and both[-1].sum() > 2
    up, down = ds.sweep_synchronised.sel(sweep="up").values, ds.sweep_synchronised.sel(sweep="down").values
    assert (up != down[:, ::-1]).mean() < 0.02  # equal oscillators: one sweep mirrors the other, but for their start


def test_figures_and_summary_need_the_file_alone(path, ds, tmp_path):
    assert cli.main(["figures", str(path), "--out", str(tmp_path)]) == 0
    for name in ("map", "tongue", "hysteresis"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    text = synchronisation_map.summary(ds)
    assert "all three" in text and "first order" in text and "bistable" in text


def test_a_run_that_was_broken_off_is_drawn_and_continued(path, ds, tmp_path):
    partial = ds.drop_dims(["coupling", "detuning"])
    assert set(synchronisation_map.figures(partial)) == {"map"}
    assert "all three" in synchronisation_map.summary(partial)
    config, out = synchronisation_map.Config(**SMALL), tmp_path / "again.nc"
    results.save(ds.drop_vars([name for name in ds.data_vars if name.startswith("sweep_")]), out)
    again = synchronisation_map.run(config, out=out, resume=True, progress=False)
    assert again.wall_time == ds.wall_time
    np.testing.assert_array_equal(results.open(out).sweep_synchronised, ds.sweep_synchronised)
    with pytest.raises(PhysnetError, match="other options"):
        synchronisation_map.run(replace(config, points=4), out=out, resume=True, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": 1}, "points is 1; take 2"),
        ({"span": -1.0}, "span is -1.0 MHz"),
        ({"duration": np.nan}, "duration is nan us"),
        ({"coupling": np.inf}, "coupling is inf MHz"),
        ({"tongue_detunings": 2}, "take 5 or more"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        synchronisation_map.run(replace(synchronisation_map.Config(), **change), out=tmp_path / "a.nc", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_the_preset_is_the_network_of_the_benchmark():
    device = preset("map")
    assert (device.supercriticality, device.damping_hz, device.nonlinear_shift_hz) == (1.5, 5e6, 40e6)
    assert synchronisation_map.Config().coupling == 0.4 and synchronisation_map.Config().quick().points == 40
