"""Nonidealities by their statistics, and devices against systems with the same conductances put in by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from circuits import BlockDescent, Circuit, LayeredNetwork, OperatingPoint, ShockleyDiode
from circuits.devices import apply, ensemble, programmed
from circuits.nonidealities import (
    Chain,
    CycleSpread,
    DeviceSpread,
    Drift,
    LineResistance,
    Quantised,
    ReadNoise,
    StuckDevices,
)
from circuits.on_device import OnDevice
from physnet import Centred, PhysnetError, SquaredError, Varied, ep_gradient, relax

KEY = jax.random.key(11)
MANY = jnp.full(40000, 2e-4)
ALL = [
    DeviceSpread(0.3),
    DeviceSpread(0.5, lognormal=False),
    CycleSpread(0.2),
    ReadNoise(0.6),
    StuckDevices(1e-6, 5e-4, 0.1, 0.2),
    Quantised(1e-6, 5e-4, 16),
    Drift(3600.0, 0.05, 0.05),
    LineResistance(1e3),
    Chain(()),
    Quantised(0.0, 5e-4, 4).then(DeviceSpread(0.1)).then(Drift(10.0)),
]


def factor(transform, conductance=MANY, cycle=0):
    return np.asarray(transform(conductance, KEY, cycle) / conductance)


def assert_mean_and_std(values, mean, std):
    """Within 4 standard errors; that of a standard deviation from the fourth moment."""
    count = len(values)
    assert abs(values.mean() - mean) < 4 * values.std() / np.sqrt(count)
    spread = np.sqrt(np.mean((values - values.mean()) ** 4) - values.var() ** 2) / (2 * values.std())
    assert abs(values.std() - std) < 4 * spread / np.sqrt(count)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_conductances_stay_conductances_and_draws_follow_the_key(transform):
    g = jnp.asarray(np.random.default_rng(0).uniform(0, 6e-4, (30, 40)))
    found = transform(g, KEY)
    assert found.shape == g.shape and found.dtype == g.dtype
    assert bool(jnp.all(found >= 0)) and bool(jnp.all(jnp.isfinite(found)))
    np.testing.assert_array_equal(found, transform(g, KEY))
    compiled = eqx.filter_jit(lambda transform, g, key: transform(g, key))(transform, g, KEY)
    np.testing.assert_allclose(found, compiled, rtol=1e-12)
    assert transform(g.astype(jnp.float32), KEY).dtype == jnp.float32


@pytest.mark.parametrize("kind", [DeviceSpread, CycleSpread])
@pytest.mark.parametrize("lognormal", [True, False])
def test_spreads_have_the_mean_and_width_they_say(kind, lognormal):
    assert_mean_and_std(factor(kind(0.15, lognormal)), 1.0, 0.15)
    np.testing.assert_array_equal(factor(kind(0.0, lognormal)), 1.0)


def test_read_noise_has_the_width_it_says():
    assert_mean_and_std(factor(ReadNoise(0.05)), 1.0, 0.05)


def test_what_belongs_to_the_device_stays_and_noise_is_drawn_anew():
    for transform in ALL:
        anew = isinstance(transform, CycleSpread | ReadNoise)
        same = np.array_equal(factor(transform, cycle=0), factor(transform, cycle=1))
        assert same != anew, transform
    both = DeviceSpread(0.1).then(ReadNoise(0.1))
    first, second = factor(both), factor(both, cycle=7)
    assert abs(np.corrcoef(first, second)[0, 1] - 0.5) < 4 / np.sqrt(len(first))


def test_parts_of_a_chain_draw_independently():
    twice = factor(DeviceSpread(0.1).then(DeviceSpread(0.1)))
    assert_mean_and_std(twice, 1.0, np.sqrt(1.01**2 - 1))


def test_a_share_of_the_devices_is_stuck():
    found = np.asarray(StuckDevices(1e-6, 5e-4, 0.05, 0.1)(MANY, KEY))
    for value, share in ((1e-6, 0.05), (5e-4, 0.1), (2e-4, 0.85)):
        error = np.sqrt(share * (1 - share) / len(found))
        assert abs(np.mean(found == value) - share) < 4 * error
    assert (np.asarray(StuckDevices(1e-6, 5e-4, share_highest=1.0)(MANY, KEY)) == 5e-4).all()


def test_levels_are_exact_and_the_nearest():
    g = jnp.linspace(0, 6e-4, 5001)
    levels = np.linspace(1e-6, 5e-4, 2**3)
    found = np.asarray(Quantised(1e-6, 5e-4, 2**3)(g, KEY))
    assert len(np.unique(found)) == 8 and found.min() == 1e-6 and found.max() == 5e-4
    nearest = levels[np.argmin(np.abs(np.asarray(g)[:, None] - levels), axis=1)]
    np.testing.assert_allclose(found, nearest, rtol=1e-12)
    slope = jax.grad(lambda g: jnp.sum(Quantised(1e-6, 5e-4, 8)(g, KEY)))(jnp.array([0.0, 2e-4, 6e-4]))
    np.testing.assert_array_equal(slope, [0, 1, 0])


def test_drift_follows_a_power_law():
    np.testing.assert_allclose(factor(Drift(1e4, 0.06, reference_time=10.0)), 1e3**-0.06, rtol=1e-12)
    exponent = -np.log(factor(Drift(1e4, 0.1, 0.02))) / np.log(1e4)
    assert_mean_and_std(exponent, 0.1, 0.02)
    np.testing.assert_array_equal(factor(Drift(1.0)), 1.0)
    assert factor(Drift(1e4, 0.01, 0.05)).max() == 1.0  # nothing drifts upwards


def test_a_line_is_in_series():
    np.testing.assert_allclose(factor(LineResistance(500.0)), 1 / (1 + 2e-4 * 500), rtol=1e-12)
    assert float(LineResistance(500.0)(jnp.array([1e9]), KEY)[0]) == pytest.approx(2e-3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: DeviceSpread(-0.1), "DeviceSpread: relative is -0.1; give a standard deviation"),
        (lambda: ReadNoise(float("nan")), "ReadNoise: relative is nan"),
        (lambda: StuckDevices(1e-3, 1e-6), r"conductances from 0.001 S to 1e-06 S"),
        (lambda: StuckDevices(0, 1e-3, 1.5), "share_lowest is 1.5"),
        (lambda: StuckDevices(0, 1e-3, 0.6, 0.6), "share_lowest . share_highest is 1.2"),
        (lambda: Quantised(0, 1e-3, 1), "1 levels; give a whole number, at least 2"),
        (lambda: Quantised(1e-3, 1e-3, 4), "both 0.001 S"),
        (lambda: Drift(0.5), "time is 0.5 s and reference_time 1.0 s"),
        (lambda: Drift(5.0, exponent=-0.1), "exponent is -0.1; it must be finite"),
        (lambda: LineResistance(-5.0), "resistance is -5.0 ohm"),
        (lambda: Chain((0.1,)), "Chain: parts"),
        (lambda: apply(Circuit(), DeviceSpread(0.1), key=KEY), "no trainable resistors"),
        (lambda: ensemble(divider().build(), DeviceSpread(0.1), 0, key=KEY), "members is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(PhysnetError, match=message):
        make()


def divider():
    """Two devices in a row, each with a fixed load behind it."""
    circuit = Circuit().voltage_source("V1", "in", 0, voltage=1.0)
    circuit.resistor("load1", "mid", 0, resistance=4e3, trainable=False).resistor("R1", "in", "mid", conductance=1e-3)
    circuit.resistor("load2", "out", 0, resistance=2e3, trainable=False)
    return circuit.resistor("R2", "mid", "out", conductance=5e-4)


def solved(conductances, volt):
    """Potentials of mid and out, V."""
    a, b = conductances
    return np.linalg.solve([[a + b + 1 / 4e3, -b], [-b, b + 1 / 2e3]], [a * volt, 0])


SPREAD = DeviceSpread(0.3).then(ReadNoise(0.1))


@pytest.fixture(scope="module")
def system():
    return divider().build(inputs=["V1"], outputs=["mid", "out"])


def conductances(system):
    return system.network.conductors[1].element.conductance


def with_conductances(system, values):
    return eqx.tree_at(conductances, system, values)


def test_a_circuit_is_transformed_alike_before_and_after_it_is_built(system):
    expected = SPREAD(jnp.array([1e-3, 5e-4]), KEY)
    np.testing.assert_allclose(conductances(apply(system, SPREAD, key=KEY)), expected, rtol=1e-15)
    circuit = apply(divider(), SPREAD, key=KEY)
    np.testing.assert_allclose(conductances(circuit.build()), expected, rtol=1e-15)
    assert float(circuit["load1"].element.conductance) == 1 / 4e3


@pytest.mark.slow
def test_layers_are_devices_too():
    network = LayeredNetwork([np.full((4, 3), 1e-3), np.full((3, 2), 2e-3)], diode=ShockleyDiode())
    found = apply(network, DeviceSpread(0.1), key=KEY).conductances
    expected = DeviceSpread(0.1)(jnp.concatenate([g.ravel() for g in network.conductances]), KEY)
    np.testing.assert_array_equal(jnp.concatenate([g.ravel() for g in found]), expected)
    devices = ensemble(network, DeviceSpread(0.3), 3, key=KEY)
    assert devices.default_relaxer() == OnDevice(BlockDescent())
    inputs = jnp.array([[0.3, 0.9], [1.0, -0.5]])
    outputs = devices.by_device(relax(devices, devices.rows(inputs)).outputs)
    for k in range(3):
        np.testing.assert_allclose(outputs[k], relax(devices.at(k), inputs).outputs, rtol=1e-8)


def test_an_ensemble_settles_like_its_devices_one_by_one(system):
    devices = ensemble(system, SPREAD, 4, key=KEY)
    inputs = jnp.array([[1.0], [2.0], [-1.0]])
    equilibrium = relax(devices, devices.rows(inputs))
    outputs = devices.by_device(equilibrium.outputs)
    assert outputs.shape == (4, 3, 2) and bool(equilibrium.converged.all())
    for k in range(4):
        real = SPREAD(conductances(system), jax.random.fold_in(KEY, k))
        np.testing.assert_array_equal(conductances(devices.at(k)), real)
        np.testing.assert_allclose(outputs[k], [solved(real, float(x[0])) for x in inputs], rtol=1e-12)
    assert equilibrium.to_dataset().sizes["sample"] == 12
    with pytest.raises(PhysnetError, match="OperatingPoint refuses|neither a programmed device"):
        relax(system, relaxer=OnDevice(OperatingPoint()))
    with pytest.raises(PhysnetError, match=r"device 4 in inputs; .* 0 to 3"):
        relax(devices, np.array([[4.0, 1.0]]))


def test_the_operating_point_of_a_varied_circuit(system):
    values = jnp.array([[1e-3, 5e-4], [2e-3, 1e-4], [1e-4, 3e-4]])
    found = relax(Varied(system, with_conductances, 2), values)
    np.testing.assert_allclose(found.outputs, [solved(row, 1.0) for row in values], rtol=1e-12)


@pytest.mark.slow
def test_learning_in_situ_moves_what_is_written(system):
    """The chain rule: the local rule of the device as it is, times how that follows what is written."""
    levels = Quantised(0.0, 2e-3, 64)
    device = programmed(system, levels.then(DeviceSpread(0.3)).then(LineResistance(100.0)), key=KEY)
    data = np.array([[1.0], [2.0]]), np.array([[0.2, 0.1], [0.3, 0.1]])
    found = ep_gradient(device, *data, cost=SquaredError(), nudging=Centred(1e-3, relative=True))
    real, written = conductances(device.device), levels(conductances(system), KEY)
    volts = data[0][:, 0]
    np.testing.assert_allclose(found.free.outputs, [solved(real, volt) for volt in volts], rtol=1e-12)

    def squares(states):
        return np.stack([(volts - states[:, 0]) ** 2, (states[:, 0] - states[:, 1]) ** 2], axis=1)

    plus, minus = (squares(np.asarray(states)) for states in found.nudged.state)
    rule = np.mean((plus - minus) / (2 * (found.betas[0] - found.betas[1])[:, None]), axis=0)
    before = real / (1 - 100 * real)  # the device without its line: h in g = h / (1 + h R)
    slope = (before / written) / (1 + 100 * before) ** 2
    np.testing.assert_allclose(conductances(found.gradient.system), slope * rule, rtol=1e-6)


def test_a_programmed_device_is_read_anew_in_every_cycle(system):
    device = programmed(system, SPREAD, key=KEY)
    later = device.next_cycle()
    np.testing.assert_array_equal(conductances(later.device), SPREAD(conductances(system), KEY, 1))
    assert (conductances(later.device) != conductances(device.device)).all()
    np.testing.assert_array_equal(conductances(later.system), conductances(system))
