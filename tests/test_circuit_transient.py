"""Circuits in time: where a transient ends, how long it takes, waveforms, memristors against scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from circuits import Circuit, ShockleyDiode
from circuits.elements import LinearDriftMemristor, ThresholdMemristor
from circuits.memristive import MemristiveCircuit
from circuits.stored import system_from_dataset
from circuits.transient import Sine, pulse, settling_time, with_parasitics
from physnet import PhysnetError, integrate, relax, results

RESISTANCE, CAPACITANCE = 1e3, 1e-9
TAU = RESISTANCE * CAPACITANCE


@pytest.fixture(scope="module")
def low_pass():
    circuit = Circuit().voltage_source("V1", "in", 0, 2.0).resistor("R1", "in", "out", resistance=RESISTANCE)
    return circuit.capacitor("C1", "out", 0, CAPACITANCE).build(inputs=["V1"])


@pytest.fixture(scope="module")
def step_response(low_pass):
    return integrate(low_pass, [[2.0], [-0.5]], np.linspace(0, 12, 25) * TAU)


def test_an_rc_settles_within_tau_log_of_one_over_the_share(step_response):
    for share in (0.1, 0.01, 1e-4):
        found = settling_time(step_response, share)
        assert found.shape == (2, 1)
        np.testing.assert_allclose(found, TAU * np.log(1 / share), rtol=2e-4)
    given = settling_time(step_response, final=[[2.0], [-0.5]])
    np.testing.assert_allclose(given, settling_time(step_response), rtol=1e-6)


def test_settling_time_of_what_has_not_settled_or_does_not_move(step_response, low_pass):
    assert np.isnan(settling_time(step_response, 1e-6)).all()  # 12 tau leave 6e-6
    still = integrate(low_pass, [[0.0], [1.0]], np.linspace(0, 12, 25) * TAU)
    assert settling_time(still)[0, 0] == 0.0 < settling_time(still)[1, 0]
    with pytest.raises(PhysnetError, match="share 1; give a number above 0 and below 1"):
        settling_time(still, 1)


def bridge():
    """A diode rectifier with stray capacitances only."""
    circuit = Circuit().voltage_source("V1", "in", 0, 3.0).resistor("R1", "in", "a", resistance=1e3)
    for name, first, second in (("D1", "a", "p"), ("D2", 0, "p"), ("D3", "m", "a"), ("D4", "m", 0)):
        circuit.diode(name, first, second, ShockleyDiode(1e-9, 0.05))
    return circuit.resistor("RL", "p", "m", resistance=5e3)


@pytest.mark.slow
def test_parasitics_give_a_circuit_its_time_and_the_transient_ends_at_the_operating_point():
    with pytest.raises(PhysnetError, match="no time of its own"):
        integrate(bridge().build(), times=[0, 1e-9])
    circuit = with_parasitics(bridge().capacitor("C1", "p", "m", 1e-12), 1e-13)
    assert circuit["parasitic:a"].nodes == ("a", "0") and "parasitic:in" not in circuit
    assert with_parasitics(circuit, 1e-15)._bundles == circuit._bundles
    system = circuit.build(outputs=["a", ("p", "m")])
    found = integrate(system, times=[0, 1e-9, 1.0])  # 1 s is far past settling
    settled = relax(system)
    np.testing.assert_allclose(found.outputs[-1], settled.outputs, atol=1e-10)
    assert found.steps < 5000
    assert np.abs(found.outputs[1] - settled.outputs).max() > 1e-3
    assert (np.diff(found.energy) <= 0).all()
    with pytest.raises(PhysnetError, match="capacitance 0 F; it must be finite and above 0"):
        with_parasitics(circuit, 0)


# Waveforms


@pytest.mark.slow
def test_a_sine_and_its_phasor(low_pass):
    """A = 1 / (1 + i w tau) after the transient, which falls as exp(-t / tau); held before its delay."""
    frequency, delay = 1 / (2 * np.pi * TAU), 0.5 * TAU
    times = np.linspace(0, 16, 33) * TAU
    sine = Sine(jnp.array([0.5]), jnp.array([2.0]), frequency, 0.0, delay)
    found = np.asarray(integrate(low_pass, sine, times).outputs)[:, 0]
    later = times > delay
    gain = 1 / (1 + 1j * 2 * np.pi * frequency * TAU)
    driven = (2 * gain * np.exp(2j * np.pi * frequency * (times - delay))).imag
    offset = 0.5 * (1 - np.exp(-times / TAU))
    exact = offset + driven - (2 * gain).imag * np.exp(-(times - delay) / TAU)
    np.testing.assert_allclose(found[later], exact[later], atol=1e-5)
    np.testing.assert_allclose(found[~later], offset[~later], atol=1e-5)


def test_pulses_are_trapezoids():
    signal = pulse([0.0, -1.0], [2.0, 1.0], delay=1.0, rise=0.5, width=2.0, fall=1.0, period=5.0, count=2)
    signal, _ = signal.checked(with_two_inputs())
    one = jax.tree.map(lambda leaf: leaf[0], signal)
    values = [one.at(t).tolist() for t in (0.0, 1.25, 2.0, 4.0, 5.9, 6.25, 8.0, 20.0)]
    assert values == [[0, -1], [1, 0], [2, 1], [1, 0], [0, -1], [1, 0], [2, 1], [0, -1]]
    with pytest.raises(PhysnetError, match="rise 0 s; it must be finite and above 0"):
        pulse(0.0, 1.0, rise=0.0, width=1.0)
    with pytest.raises(PhysnetError, match="2 pulses of 3 s with a period of 2.0 s"):
        pulse(0.0, 1.0, rise=1.0, width=1.0, period=2.0, count=2)


def with_two_inputs():
    circuit = Circuit().voltage_source("V1", "a", 0, 0.0).voltage_source("V2", "b", 0, 0.0)
    circuit.resistor("R1", "a", "c", resistance=1.0).resistor("R2", "b", "c", resistance=1.0)
    return circuit.capacitor("C1", "c", "a", 1.0).capacitor("C2", "c", 0, 1.0).build(inputs=["V1", "V2"])


def test_sines_that_make_no_sense_are_named(low_pass):
    one = jnp.ones(1)
    with pytest.raises(PhysnetError, match="a sine: frequency 0 Hz; it must be finite and above 0"):
        integrate(low_pass, Sine(one, one, 0.0), [0.0, 1.0])
    with pytest.raises(PhysnetError, match=r"shapes that do not fit the inputs \(1,\).*frequency \(3,\)"):
        integrate(low_pass, Sine(one, one, jnp.ones(3)), [0.0, 1.0])
    with pytest.raises(PhysnetError, match="a capacitor ties c to a node whose potential an input sets"):
        integrate(with_two_inputs(), Sine(jnp.ones(2), jnp.ones(2), 1.0), [0.0, 1.0])


# Memristors

SERIES, MOBILITY, FREQUENCY = 100.0, 60.0, 1.0


@pytest.fixture(scope="module")
def pinched():
    """Two periods of a sine across a memristor behind a resistor, its node with a capacitor: the run, and scipy's."""
    memristor = LinearDriftMemristor(0.3, 100.0, 16e3, MOBILITY, 2)
    circuit = Circuit().voltage_source("V1", "in", 0, 0.0).resistor("RS", "in", "top", resistance=SERIES)
    circuit.capacitor("C1", "top", 0, 1e-6).add("M1", "top", 0, memristor)
    system = MemristiveCircuit(circuit.build(inputs=["V1"]))
    times = np.linspace(0, 2 / FREQUENCY, 161)
    found = integrate(system, Sine(jnp.zeros(1), 2 * jnp.ones(1), FREQUENCY), times)

    def rates(time, state):
        v, w = state
        current = v / (100 * w + 16e3 * (1 - w))
        supply = 2 * np.sin(2 * np.pi * FREQUENCY * time)
        return [((supply - v) / SERIES - current) / 1e-6, MOBILITY * 100 * current * (1 - (2 * w - 1) ** 4)]

    exact = solve_ivp(rates, times[[0, -1]], [0, 0.3], "Radau", times, rtol=1e-9, atol=1e-11).y
    return found, exact


def test_a_driven_memristor_against_scipy(pinched):
    found, (voltage, memory) = pinched
    np.testing.assert_allclose(found.state[0][:, 0], voltage, atol=2e-6)
    np.testing.assert_allclose(found.state[1]["linear_drift_memristor"][:, 0], memory, atol=1e-7)
    assert np.ptp(memory) > 0.2


def test_its_hysteresis_is_pinched(pinched):
    """Current and voltage vanish together; between, two branches: the loop has an area."""
    found, _ = pinched
    voltage, memory = np.asarray(found.state[0])[:, 0], np.asarray(found.state[1]["linear_drift_memristor"])[:, 0]
    current = voltage / (100 * memory + 16e3 * (1 - memory))
    period = len(voltage) // 2
    crossing = np.flatnonzero(np.diff(np.sign(voltage[1:])))
    assert np.abs(current[crossing + 1]).max() < 0.05 * np.abs(current).max()
    rising, falling = 10, 30  # the same supply in the first half period, on the way up and down
    assert current[falling] > 1.2 * current[rising] * voltage[falling] / voltage[rising]
    lobes = [np.trapezoid(current[part], voltage[part]) for part in (slice(0, period // 2), slice(period // 2, period))]
    assert min(map(abs, lobes)) > 0.05 * np.ptp(voltage) * np.ptp(current) / 4


def test_a_trajectory_of_memristors_is_stored_with_its_circuit(pinched):
    ds = pinched[0].to_dataset()
    results.check(ds)
    assert ds.linear_drift_memristor_memory.dims == ("time", "linear_drift_memristor")
    assert ds.memristor_state.item() == 0.3  # as built
    assert system_from_dataset(ds).labels.free == ("top",)


def test_memristors_rest_between_their_thresholds_and_need_each_other():
    circuit = Circuit().voltage_source("V1", "in", 0, 0.9).resistor("RS", "in", "top", resistance=10.0)
    circuit.add("M1", "top", 0, ThresholdMemristor(0.2)).add("M2", 0, "top", ThresholdMemristor(0.7))
    with pytest.raises(PhysnetError, match="no capacitors lead from top"):
        MemristiveCircuit(circuit.build())
    system = MemristiveCircuit(with_parasitics(circuit, 1e-12).build(inputs=["V1"]))
    state, inputs = system.initial_state(jnp.array([3.0])), jnp.array([3.0])
    conductance = 2e-5 + 0.99e-3 * (0.2 + 0.7)
    potential = jnp.array([0.3 / (0.1 + conductance)])
    rates = system.vector_field((potential, state[1]), inputs)[1]["threshold_memristor"]
    assert rates[0] > 0 > rates[1] and np.abs(system.residual((potential, state[1]), inputs)[0]).max() < 1e-12
    calm = system.vector_field((jnp.array([0.9]), state[1]), inputs)[1]["threshold_memristor"]
    assert (calm == 0).all()
    with pytest.raises(PhysnetError, match="the circuit has no memristors"):
        MemristiveCircuit(with_parasitics(bridge(), 1e-12).build())
