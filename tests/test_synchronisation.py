"""Locking, order parameters and their maps against closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest
from zoo import ZOO

from oscillators import AllToAll, AutoOscillators, Dense, Kuramoto, PhaseNetwork, Phasors, chain, maps, theory
from oscillators.locking_probability import probability_of_locking, wilson_interval
from oscillators.maps import synchronisation_map
from oscillators.records import mean_frequencies, order_parameter, phase_slips, unwrapped_phases
from oscillators.synchronisation import Synchronisation, clusters, emission, locked_pairs, spectral_peaks, synchrony
from physnet import FixedStep, PhysnetError, PiecewiseLinear, Varied, integrate, results

LONG = FixedStep(50e-9, checked=0)


def detune(system, values):
    """Oscillator 1 off the frequency of oscillator 0, Hz."""
    return eqx.tree_at(lambda s: s.frequency, system, system.frequency.at[1].add(values[0]))


def detune_and_couple(system, values):
    system = detune(system, values)
    return eqx.tree_at(lambda s: s.couplings[0].weight, system, values[1])


def tune(system, values):
    """The injected frequency against the frame, Hz."""
    return eqx.tree_at(lambda s: s.drive_frequency, system, system.frame + values)


def couple(system, values):
    """Strength of a coupling alike for all pairs, Hz."""
    return eqx.tree_at(lambda s: s.coupling.weight, system, values[0])


def couple_chain(system, values):
    return eqx.tree_at(lambda s: s.coupling.weights, system, values[0] * jnp.ones_like(system.coupling.weights))


def pair(coupling=10e3, phase=0.0, **changes):
    return AutoOscillators.from_preset(
        "oracle", AllToAll(coupling, 2, phase), **({"frequency": np.full(2, 3e8)} | changes)
    )


def phase_pair(kind=Kuramoto, coupling=1.0, difference=1.25):
    """Two phases; in the K/N convention K = 2 `coupling`."""
    return kind(AllToAll(coupling / 2, 2), np.array([10.0, 10.0 + difference]))


@pytest.fixture(scope="module")
def beating():
    """A run of two phases just outside their tongue."""
    return integrate(phase_pair(), None, np.linspace(0, 40, 2001))


# Frequencies


@pytest.mark.parametrize("kind", [Kuramoto, Phasors, PhaseNetwork])
def test_two_phase_oscillators_beat_as_adler_says(kind, beating):
    found = beating if kind is Kuramoto else integrate(phase_pair(kind), None, np.linspace(0, 40, 2001))
    frequencies = mean_frequencies(found, begin=5.0, weighting="smooth")
    assert frequencies[1] - frequencies[0] == pytest.approx(theory.two_oscillator_beat(1.25, 1.0), rel=1e-4)
    assert frequencies.mean() == pytest.approx(10.625, rel=1e-9)
    flat = mean_frequencies(found, begin=0.0)
    assert flat[1] - flat[0] == pytest.approx(0.75, rel=0.01)
    forward, backward = phase_slips(found, 1, 0, begin=5.0)
    assert forward == pytest.approx(0.75 * 35, abs=1) and backward == 0
    assert np.diff(unwrapped_phases(found)[..., 1] - unwrapped_phases(found)[..., 0]).max() < 0.5


def test_frequencies_are_those_of_the_laboratory_in_any_frame():
    """At b = 0 two equal oscillators in step feed each other, which moves them by nu W = 40 kHz."""
    one, many = pair(), np.array([[0.0], [20e3], [60e3]])
    times = np.linspace(0, 200e-6, 601)
    batch = mean_frequencies(integrate(Varied(one, detune, 1), many, times, engine=LONG))
    assert batch[0] == pytest.approx(310.04e6, abs=500)
    for values, expected in zip(many[1:], batch[1:]):
        alone = detune(one, values)
        turning = eqx.tree_at(lambda s: s.frame, alone, alone.frame + 1e5)
        for system, close in ((alone, 1e-3), (turning, 1.0)):
            found = mean_frequencies(integrate(system, None, times, engine=LONG))
            np.testing.assert_allclose(found, expected, rtol=0, atol=close)


def test_a_frame_that_moves_with_the_inputs_is_added():
    network = Kuramoto(AllToAll(5.0, 2), np.array([10.0, 11.0]), driven=(0, 1))
    ramp = PiecewiseLinear(np.array([0.0, 10.0]), np.array([[0.0, 0.0], [20.0, 20.0]]))
    found = integrate(network, ramp, np.linspace(0, 10, 401))
    np.testing.assert_allclose(mean_frequencies(found, begin=5.0), 10.5 + 15, rtol=1e-6)


def test_records_too_far_apart_are_refused_with_an_interval_that_is_safe():
    network = pair(frame=309.04e6)  # a turn each microsecond, which looks like rest when recorded each microsecond
    fine = integrate(network, None, np.linspace(0, 200e-6, 601), engine=LONG)
    np.testing.assert_allclose(mean_frequencies(fine), 310.04e6, atol=500)
    coarse = (fine.times[::3], tuple(leaf[::3] for leaf in fine.state))
    with pytest.raises(PhysnetError, match=r"may turn.*Record at least every 3\.\d+e-07 s"):
        mean_frequencies(eqx.tree_at(lambda run: (run.times, run.state), fine, coarse))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"begin": 39.99}, "1 recorded times lie from 39.99"),
        ({"weighting": "gentle"}, "flat, smooth"),
        ({"begin": "now"}, "time in s"),
    ],
)
def test_windows_without_meaning_are_refused(change, message, beating):
    with pytest.raises(PhysnetError, match=message):
        mean_frequencies(beating, **change)


def test_a_run_without_phases_is_refused(beating):
    with pytest.raises(PhysnetError, match="does not tell frequencies; pass one of Auto"):
        mean_frequencies(eqx.tree_at(lambda run: run.system, beating, ZOO["springs"].system))
    for read in (mean_frequencies, order_parameter, synchrony):
        with pytest.raises(PhysnetError, match="Trajectory"):
            read(None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: order_parameter(run, oscillators=[9]), r"oscillators\[0\] is 9; .* from 0 to 1"),
        (lambda run: order_parameter(run, oscillators=[-1]), r"oscillators\[0\] is -1"),
        (lambda run: order_parameter(run, oscillators=[]), "oscillators is empty"),
        (lambda run: order_parameter(run, harmonic=0), "harmonic is 0"),
        (lambda run: phase_slips(run, 0, 1.5), "second is 1.5; give a whole number"),
        (lambda run: phase_slips(run, 2, 0), "first is 2; oscillators are numbered 0 to 1"),
        (lambda run: synchrony(run, resolution="fine"), "resolution is 'fine' Hz"),
        (lambda run: synchrony(run, resolution=0), "resolution is 0 Hz; a window of 20 s"),
        (lambda run: clusters([1.0, 2.0], resolution=-1), "clusters: resolution is -1 Hz"),
        (lambda run: locked_pairs([1.0, 2.0], np.nan), "locked_pairs: resolution is nan Hz"),
    ],
)
def test_oscillators_and_resolutions_without_meaning_are_refused(call, message, beating):
    with pytest.raises(PhysnetError, match=message):
        call(beating)


# Clusters and order


def test_clusters_are_chains_of_frequencies_numbered_by_their_first_member():
    assert clusters([5.0, 1.0, 5.4, 1.2, 9.0], 0.5).tolist() == [0, 1, 0, 1, 2]
    assert clusters([[1.0, 1.4, 1.8], [3.0, np.nan, 2.0]], 0.5).tolist() == [[0, 0, 0], [0, -1, 1]]
    pairs = locked_pairs([1.0, 1.4, 1.8], 0.5)
    assert pairs[0, 1] and not pairs[0, 2] and pairs.diagonal().all()


def test_one_call_says_who_keeps_step_with_whom():
    weights = np.zeros((4, 4))
    weights[0, 1] = weights[1, 0] = weights[2, 3] = weights[3, 2] = 2.0
    network = Phasors(Dense(weights), np.array([0.0, 1.0, 10.0, 11.0]))
    run = integrate(network, None, np.linspace(0, 20, 2001))
    found = synchrony(run)
    assert found.clusters.tolist() == [0, 0, 1, 1] and found.cluster_count == 2
    assert found.settled and not found.synchronised and found.resolution == pytest.approx(0.075)
    np.testing.assert_allclose(found.frequencies, [0.5, 0.5, 10.5, 10.5], atol=1e-6)
    np.testing.assert_allclose(found.cluster_order_parameter, np.cos(np.arcsin(1 / 4) / 2), atol=1e-6)
    assert found.order_parameter == pytest.approx(2 / np.pi * found.cluster_order_parameter[0], rel=0.01)
    assert found.locked.sum() == 8
    assert "oscillators [2, 3]" in str(found)
    assert "not settled" not in str(found)
    with pytest.raises(PhysnetError, match="tells frequencies apart to 0.075 Hz"):
        synchrony(run, resolution=0.01)


def test_its_text_says_what_has_not_settled():
    def found(frequencies, change, settled):
        frequencies, settled = np.array(frequencies), np.array(settled)
        labels = np.zeros(frequencies.shape, int)
        order = np.ones(settled.shape)
        return str(Synchronisation(frequencies, labels, order, labels, 0.5, np.array(change), settled, 0.0, 2.0))

    assert "not settled: a mean frequency changes by 3 Hz" in found([1.0, 2.0], 3.0, False)
    several = [[1.0, 2.0]] * 3
    text = found(several, [0.1, 2.0, 4.0], [True, False, False])
    assert "not settled: 2 of 3 samples, most of all sample 2, whose mean frequencies change by 4 Hz" in text
    assert "not settled" not in found(several, [0.1] * 3, [True] * 3)


def test_two_opposite_groups_have_order_in_the_second_harmonic():
    network = Kuramoto(AllToAll(-1.0, 2), 5.0)
    found = integrate(network, None, np.linspace(0, 40, 2001))
    assert order_parameter(found)[-1] < 1e-6
    assert order_parameter(found, harmonic=2)[-1] == pytest.approx(1)
    assert order_parameter(found, oscillators=[0])[-1] == pytest.approx(1)


def test_kuramoto_order_parameter_of_lorentzian_frequencies():
    size, strengths = 400, np.array([3.0, 4.0, 8.0])
    frequencies = np.tan(np.pi * ((np.arange(size) + 0.5) / size - 0.5))  # quantiles; half-width 1 Hz
    network = Varied(Phasors(AllToAll(1.0, size), frequencies), couple, 1)
    step = float(1 / (2 * np.pi * frequencies.max()))
    times = np.concatenate([[0.0], np.linspace(1, 2, 61)])
    found = integrate(network, strengths[:, None] / size, times, engine=FixedStep(step, checked=0))
    r = order_parameter(found, begin=1.0).mean(axis=-1)
    np.testing.assert_allclose(r, theory.kuramoto_order_parameter(strengths, 1.0), rtol=0.01)


# Locking ranges


@pytest.mark.parametrize(
    ("phase", "expected"), [(0.0, 20.00e3), (np.arctan(4.0), 82.46e3), (np.pi / 2, 80.00e3), (-np.pi / 4, 42.43e3)]
)
def test_mutual_locking_half_range_of_a_map_over_detuning(phase, expected):
    detunings = expected * np.array([0.9, 0.99, 1.01, 1.03, 1.1])
    grid = {"detuning": (detunings, "Hz")}
    options = {"duration": 2e-3, "settling": 0.5e-3, "records": 800, "weighting": "smooth", "engine": LONG}
    ds = synchronisation_map(pair(phase=phase), detune, grid, **options)
    assert ds.synchronised.values.tolist() == [1, 1, 0, 0, 0]  # the edge lies within 1 %
    beat = ds.mean_frequency.values[2:, 1] - ds.mean_frequency.values[2:, 0]
    np.testing.assert_allclose(np.sqrt(detunings[2:] ** 2 - beat**2), expected, rtol=0.002)
    assert theory.mutual_locking_half_range(10e3, 4.0, phase) == pytest.approx(expected, rel=1e-3)


def test_injection_locking_half_range():
    drive = 12.5e3 * np.sqrt(0.25) / np.hypot(1, 4)
    network = AutoOscillators.from_preset("oracle", drive=drive, drive_frequencies=310e6)
    detunings = 12.5e3 * np.array([-1.1, -1.01, -0.99, 0.99, 1.01, 1.1])
    grid = {"injected": (detunings, "Hz", "injected frequency less the free one")}
    ds = synchronisation_map(
        network, tune, grid, duration=2e-3, settling=0.5e-3, records=800, weighting="smooth", engine=LONG
    )
    beat = ds.mean_frequency.values[:, 0] - (float(network.frame) + detunings)
    within = np.abs(detunings) < 12.5e3
    assert (np.abs(beat[within]) < float(ds.resolution)).all()
    edges = np.sign(detunings) * np.sqrt(detunings**2 - beat**2)
    np.testing.assert_allclose(edges[~within][[0, -1]], [-12.5e3, 12.5e3], rtol=0.01)
    np.testing.assert_allclose(edges[~within][[0, -1]], [-12.509e3, 12.494e3], rtol=1e-3)  # simulated by others


def test_an_open_chain_locks_at_its_critical_coupling():
    frequencies = np.array([1.0, 3.5, 2.0, 0.5, 2.5])
    critical = float(theory.chain_critical_coupling(frequencies))
    network = Kuramoto(chain(5, 1.0), frequencies)
    ds = synchronisation_map(
        network,
        couple_chain,
        {"coupling": (critical * np.array([0.9, 0.99, 1.01, 1.1]), "Hz")},
        duration=60.0,
        weighting="smooth",
        resolution=0.07,
    )
    assert ds.synchronised.values.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(ds.mean_frequency[2:], frequencies.mean(), atol=1e-3)


def test_mean_frequencies_and_emission_agree_on_locking(beating):
    """One peak where all keep step, more where they do not; and the peak stands at the common frequency."""
    network = Varied(pair(), detune, 1)
    detunings = np.array([-60e3, -30e3, -15e3, 5e3, 15e3, 30e3])[:, None]
    times = np.concatenate([[0.0], np.linspace(0.5e-3, 1.5e-3, 2001)])
    run = integrate(network, detunings, times, engine=LONG)
    found, spectrum = synchrony(run, begin=0.5e-3), emission(run, begin=0.5e-3, resolution_bandwidth=3e3)
    peaks = spectral_peaks(spectrum, fraction=0.05)
    assert found.synchronised.tolist() == [len(one) == 1 for one in peaks] == [False, False, True, True, True, False]
    np.testing.assert_allclose(spectrum.peak_frequency[2:5], found.frequencies[2:5, 0], atol=100)
    assert len(spectral_peaks(emission(beating))) > 1


# Maps


def test_a_map_of_two_oscillators_follows_theory():
    couplings, shares = np.array([5e3, 10e3, 20e3]), np.array([-1.2, -0.9, 0.9, 1.2])
    grid = {"detuning": (40e3 * np.unique(np.concatenate([s * couplings / 20e3 for s in shares])), "Hz")}
    grid["coupling"] = (couplings, "Hz", "coupling strength W/2pi")
    options = {"duration": 2e-3, "records": 400, "engine": FixedStep(50e-9, checked=None), "seed": 3}
    ds = synchronisation_map(pair(), detune_and_couple, grid, **options)
    assert results.validate(ds) == [] and ds.attrs["physnet_seed"] == 3
    assert ds.mean_frequency.dims == ("detuning", "coupling", "oscillator") and ds.coupling.units == "Hz"
    half = theory.mutual_locking_half_range(ds.coupling.values)
    expected = np.abs(ds.detuning.values[:, None]) < half
    np.testing.assert_array_equal(ds.synchronised == 1, expected)
    np.testing.assert_array_equal(ds.cluster_count == 1, expected)
    beat = np.abs(ds.mean_frequency.diff("oscillator")[..., 0].values)
    adler = np.abs(theory.adler_beat(*np.broadcast_arrays(ds.detuning.values[:, None], half)))
    np.testing.assert_allclose(beat, adler, atol=2 * float(ds.resolution))
    assert (ds.step_error < 1e-3).all()
    assert set(ds.variables) - set(grid) <= set(maps._TAKEN)  # names that no swept parameter may have
    assert ds.window == pytest.approx(1e-3) and (ds.converged == 1).all()


def test_sweeps_up_and_down_differ_where_the_power_is_slow():
    """L/2pi = 8.2 MHz against a power relaxing at 2 G_p/2pi = 5 MHz; a tenth of the coupling has no hysteresis."""
    grid = {"detuning": (1e6 * np.array([0.25, 0.7, 0.95, 2.5, 6.0, 7.4, 8.2, 10.7]), "Hz")}
    grid["coupling"] = (np.array([1e5, 1e6]), "Hz")
    options = {"duration": 8e-6, "sweep": "both", "along": "detuning", "engine": FixedStep(checked=0)}
    ds = synchronisation_map(pair(phase=np.arctan(4.0)), detune_and_couple, grid, **options)
    assert results.validate(ds) == [] and ds.synchronised.dims == ("sweep", "detuning", "coupling")
    half = theory.mutual_locking_half_range(ds.coupling.values, 4.0, np.arctan(4.0))
    weak, strong = (ds.synchronised.sel(coupling=value) for value in ds.coupling)
    np.testing.assert_array_equal(weak.sel(sweep="up"), ds.detuning < half[0])
    np.testing.assert_array_equal(weak.sel(sweep="down"), ds.detuning < half[0])
    assert strong.sel(sweep="up").values.tolist() == [1, 1, 1, 1, 1, 1, 1, 0]
    assert strong.sel(sweep="down").values.tolist() == [1, 1, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": {}}, "grid is empty"),
        ({"grid": {"detuning": [1.0, 2.0]}}, r"give \(values, units\)"),
        ({"grid": {"detuning": ([1.0, 1.0], "Hz")}}, "distinct numbers"),
        ({"grid": {"detuning": ([1.0, np.nan], "Hz")}}, r"\[1\] is nan Hz"),
        ({"grid": {"oscillator": ([1.0], "Hz")}}, "taken"),
        ({"grid": {"residual": ([1.0], "Hz")}}, "the name is taken in the dataset; rename it, .* 'residual_value'"),
        ({"weighting": "gentle"}, "synchronisation_map: weighting is 'gentle'; pass one of flat, smooth"),
        ({"resolution": 1.0}, "synchronisation_map: resolution is 1 Hz; a window of 0.0005 s .* to 1500 Hz"),
        ({"resolution": -1.0}, "resolution is -1.0 Hz"),
        ({"sweep": "sideways"}, "'up', 'down', 'both'"),
        ({"along": "detuning"}, "add sweep="),
        ({"sweep": "up", "along": "coupling"}, "name the swept parameter: detuning"),
        ({"settling": 2e-3}, "leave some time"),
        ({"duration": -1.0}, "at least 0 s"),
        ({"records": 3}, "at least 5"),
    ],
)
def test_maps_without_meaning_are_refused_before_anything_runs(change, message, monkeypatch):
    monkeypatch.setattr("oscillators.maps.integrate", never)
    arguments = {"grid": {"detuning": ([0.0, 1e3], "Hz")}, "duration": 1e-3} | change
    with pytest.raises(PhysnetError, match=message):
        synchronisation_map(pair(), detune, arguments.pop("grid"), **arguments)


def never(*_, **__):
    raise AssertionError("it ran before it was refused")


# Noise


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (7, 20), (20, 20), (1, 3), (950, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_intervals_are_those_of_scipy(successes, trials, confidence):
    expected = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose(wilson_interval(successes, trials, confidence), expected, atol=1e-12)


@pytest.mark.parametrize("wrong", [(3, 2), (-1, 2), (0, 0), (0.5, 2)])
def test_counts_without_meaning_are_refused(wrong):
    with pytest.raises(PhysnetError, match="whole numbers"):
        wilson_interval(*wrong)
    with pytest.raises(PhysnetError, match="between 0 and 1"):
        wilson_interval(1, 2, 95)


def test_noise_makes_locking_a_matter_of_chance():
    """A line of 2 kHz in a tongue of 20 kHz: in the middle all draws lock, near the edge phases slip, outside none."""
    found = probability_of_locking(
        Varied(pair(noise=30.0), detune, 1),
        np.array([[0.0], [19e3], [60e3]]),
        key=jax.random.key(1),
        draws=12,
        duration=250e-6,
        settling=80e-6,
        records=600,
        engine=FixedStep(30e-9, checked=0),
    )
    assert found.locked.shape == found.settled.shape == (3, 12) and found.frequencies.shape == (3, 12, 2)
    assert found.probability[0] == 1 > found.probability[1] > found.probability[2] == 0
    assert ((found.low <= found.probability) & (found.probability <= found.high)).all()
    assert found.low[0] > found.high[2] > 0
    assert found.settled[0].all() and np.isnan(found.error).all()  # checked=0


def test_draws_without_noise_differ_by_their_start():
    options = {"key": jax.random.key(0), "draws": 5, "duration": 20.0}
    found = probability_of_locking(phase_pair(), **options)
    assert found.probability == 0 and found.locked.shape == (5,)
    assert found.settled.all() and 0 < found.error.max() < 1e-3
    assert probability_of_locking(phase_pair(difference=0.5), **options).low > 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"oscillators": [9]}, r"probability_of_locking: oscillators\[0\] is 9; .* from 0 to 1"),
        ({"oscillators": []}, "oscillators is empty"),
        ({"key": None}, r"key is None; pass one, jax.random.key\(seed\)"),
        ({"resolution": 1e-3}, "probability_of_locking: resolution is 0.001 Hz"),
        ({"confidence": 95}, "confidence is 95"),
        ({"draws": 0}, "draws is 0"),
        ({"system": ZOO["springs"].system}, "does not tell frequencies"),
    ],
)
def test_draws_without_meaning_are_refused_before_anything_runs(change, message, monkeypatch):
    monkeypatch.setattr("oscillators.locking_probability.integrate", never)
    options = {"system": phase_pair(), "key": jax.random.key(0), "duration": 20.0} | change
    with pytest.raises(PhysnetError, match=message):
        probability_of_locking(options.pop("system"), **options)


def test_noise_of_a_point_does_not_depend_on_what_fits_into_memory(monkeypatch):
    grid = {"detuning": (1e3 * np.arange(6.0), "Hz")}
    options = {"duration": 20e-6, "records": 65, "engine": FixedStep(30e-9, checked=0), "key": jax.random.key(2)}
    wide = synchronisation_map(pair(noise=30.0), detune, grid, **options)
    monkeypatch.setattr(maps, "_BYTES", 1)
    narrow = synchronisation_map(pair(noise=30.0), detune, grid, **options)
    np.testing.assert_array_equal(wide.mean_frequency, narrow.mean_frequency)
    part = {"detuning": (grid["detuning"][0][:3], "Hz")}
    alone = synchronisation_map(pair(noise=30.0), detune, part, **options)
    np.testing.assert_array_equal(wide.mean_frequency[:3], alone.mean_frequency)
    assert len(np.unique(np.diff(wide.mean_frequency, axis=1))) == 6
