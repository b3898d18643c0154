"""Johnson-Nyquist noise: equipartition, spectra, the linear theory, and ngspice."""

import jax
import numpy as np
import pytest
from scipy.signal import welch
from spice_decks import needs_ngspice, printed
from test_small_signal import at_rest

from circuits import Circuit
from circuits.elements import VoltageControlledCurrentSource
from circuits.linearised import Linearised
from circuits.thermal import (
    BOLTZMANN,
    ThermalCircuit,
    _lyapunov,
    _noise_laplacian,
    thermal_covariance,
    thermal_spectrum,
)
from physnet import Adaptive, PhysnetError, integrate, results
from physnet.engines.fixed_step import FixedStep

TEMPERATURE = 300.0
KT = BOLTZMANN * TEMPERATURE
RESISTANCE, CAPACITANCE = 1e3, 1e-12
TAU = RESISTANCE * CAPACITANCE


@pytest.fixture(scope="module")
def rc():
    circuit = Circuit().voltage_source("V1", "in", 0, 0.0).resistor("R1", "in", "out", resistance=RESISTANCE)
    return circuit.capacitor("C1", "out", 0, CAPACITANCE).build(inputs=["V1"])


def network(seed=0, *, uniform=False):
    """Resistors between free nodes and a capacitor between two of them."""
    rng, circuit = np.random.default_rng(seed), Circuit()
    for k in range(4):
        g = 1e-3 if uniform else 1e-3 * rng.uniform(0.5, 2)
        circuit.resistor(f"R{k}", f"n{k}", 0 if k == 0 else f"n{k - 1}", conductance=g)
        circuit.capacitor(f"C{k}", f"n{k}", 0, (1 + k) * 1e-12)
    circuit.resistor("R4", "n0", "n3", conductance=3e-3).resistor("R5", "n2", 0, conductance=1e-3)
    return circuit.capacitor("C4", "n1", "n3", 2e-12).build()


CAPACITANCES = 1e-12 * (np.diag([1.0, 2, 3, 4]) + 2 * np.outer([0, 1, 0, -1], [0, 1, 0, -1]))


def test_equipartition_on_one_rc(rc):
    """kT/C, whatever the resistance, about the voltage of the source; correlated over RC; silent at 0 K."""
    samples = 6000
    found = integrate(
        ThermalCircuit(rc, TEMPERATURE), np.full((samples, 1), 1e-3), np.array([0, 6, 6.5]) * TAU, key=jax.random.key(0)
    )
    voltage = np.asarray(found.outputs)[:, 1:, 0]
    expected = KT / CAPACITANCE * (1 - np.exp(-2 * np.array([6, 6.5])))
    np.testing.assert_allclose(np.var(voltage, axis=0), expected, rtol=4 * np.sqrt(2 / samples))
    mean = 1e-3 * (1 - np.exp(-np.array([6, 6.5])))
    np.testing.assert_allclose(np.mean(voltage, axis=0), mean, atol=4 * np.sqrt(expected[0] / samples))
    assert np.corrcoef(voltage.T)[0, 1] == pytest.approx(np.exp(-0.5), abs=4 * (1 - np.exp(-1)) / np.sqrt(samples))
    ds = integrate(ThermalCircuit(rc, 0.0), [[1e-3]] * samples, np.array([0, 6, 6.5]) * TAU, key=jax.random.key(0))
    np.testing.assert_allclose(ds.outputs[:, 1:, 0], np.broadcast_to(mean, (samples, 2)), rtol=1e-3)


@pytest.fixture(scope="module")
def ensemble():
    """Two networks that differ in their conductances alone."""
    samples, times = 2000, np.array([0, 12e-9])
    systems = [ThermalCircuit(system, TEMPERATURE) for system in (network(), network(uniform=True))]
    inputs, engine, key = np.zeros((samples, 0)), FixedStep(step=1e-10, checked=0), jax.random.key(1)
    return [np.asarray(integrate(system, inputs, times, key=key, engine=engine).state) for system in systems]


def test_the_covariance_of_a_network_is_that_of_its_capacitances(ensemble):
    expected = KT * np.linalg.inv(CAPACITANCES)
    deviation = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / len(ensemble[0]))
    for states in ensemble:
        assert (np.abs(np.cov(states[:, 1].T) - expected) < 4.5 * deviation).all()


def test_resistors_between_free_nodes_make_correlated_kicks():
    """B diag(2 k T g) B^T is the Laplacian, mapped by the inverse capacitances."""
    system = ThermalCircuit(network(), TEMPERATURE)
    state = np.zeros(4)
    (sigma,) = system.diffusion(state, np.zeros(0))
    columns = np.stack([np.asarray(system.noise_to_state([column], np.zeros(0))) for column in np.diag(sigma)], axis=1)
    a, b = (np.asarray(x) for x in (system._noisy[0].out_of, system._noisy[0].into))
    incidence = np.zeros((5, 6))
    incidence[a, np.arange(6)] += 1
    incidence[b, np.arange(6)] -= 1
    laplacian = incidence[:4] @ np.diag(np.asarray(system.network.conductors[0].element.conductance)) @ incidence[:4].T
    inverse = np.linalg.inv(CAPACITANCES)
    np.testing.assert_allclose(columns @ columns.T, 2 * KT * inverse @ laplacian @ inverse, rtol=1e-12)
    rate = np.abs(np.linalg.eigvals(inverse @ laplacian)).max()
    assert rate <= system.fastest_rate(np.zeros(0)) < 10 * rate


@pytest.mark.slow
def test_adaptive_steps_take_correlated_noise_too():
    samples = 120
    found = integrate(
        ThermalCircuit(network(), TEMPERATURE),
        np.zeros((samples, 0)),
        [0, 8e-9],
        key=jax.random.key(2),
        engine=Adaptive(rtol=1e-2, atol=2e-5),
    )
    expected = KT * np.linalg.inv(CAPACITANCES)
    deviation = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / samples)
    assert (np.abs(np.cov(np.asarray(found.state)[:, 1].T) - expected) < 4.5 * deviation + 0.03 * KT / 1e-12).all()


def test_the_spectrum_of_an_rc_is_lorentzian(rc):
    """4 k T R / (1 + (2 pi f R C)^2), one-sided, from the trajectory and from the linear theory; its area is kT/C."""
    step, count, samples = 0.25 * TAU, 2048, 16
    found = integrate(
        ThermalCircuit(rc, TEMPERATURE), np.zeros((samples, 1)), step * np.arange(count + 64), key=jax.random.key(3)
    )
    frequencies, density = welch(np.asarray(found.outputs)[:, 64:, 0], 1 / step, nperseg=256, axis=1)
    inside = (frequencies > 0.01 / TAU) & (frequencies < 0.4 / TAU)
    exact = 4 * KT * RESISTANCE / (1 + (2 * np.pi * frequencies[inside] * TAU) ** 2)
    ratio = density.mean(axis=0)[inside] / exact
    # Sampled: power beyond half the sampling rate folds back, less than a tenth of it below 0.4 / tau.
    assert np.mean(ratio) == pytest.approx(1.03, abs=0.05) and (np.abs(ratio - 1) < 0.35).all()
    equilibrium = at_rest(rc)
    theory = thermal_spectrum(equilibrium, TEMPERATURE, frequencies[inside])[:, 0]
    np.testing.assert_allclose(theory, exact, rtol=1e-12)
    fine = np.concatenate([[0], np.geomspace(1e-4, 1e4, 4000)]) / TAU
    area = np.trapezoid(thermal_spectrum(equilibrium, TEMPERATURE, fine)[:, 0], fine)
    assert area == pytest.approx(thermal_covariance(equilibrium, TEMPERATURE)[0, 0], rel=1e-3)


def test_the_linear_theory():
    equilibrium = at_rest(network())
    covariance = thermal_covariance(equilibrium, TEMPERATURE)
    np.testing.assert_allclose(covariance, KT * np.linalg.inv(CAPACITANCES), rtol=1e-12)
    here = Linearised.at(equilibrium.system, equilibrium.state, equilibrium.inputs)
    laplacian = _noise_laplacian(equilibrium.system, equilibrium.inputs)
    general = KT * _lyapunov(here.jacobian.toarray(), laplacian, here.capacitance.toarray())
    np.testing.assert_allclose(general, covariance, rtol=1e-10, atol=1e-12 * covariance.max())


def loop(gain):
    """One RC with a transconductance from its own node: it adds to the conductance without adding noise."""
    circuit = Circuit().resistor("R1", "a", 0, resistance=RESISTANCE).capacitor("C1", "a", 0, CAPACITANCE)
    circuit.add("G1", "a", 0, "a", 0, VoltageControlledCurrentSource(gain))
    return at_rest(circuit.build())


def test_feedback_cools_and_too_much_of_it_is_unstable():
    """<v^2> = (k T / C) g / (g + gm): a cold damper (not reciprocal, so that equipartition does not hold)."""
    found = thermal_covariance(loop(3e-3), TEMPERATURE)
    assert found[0, 0] == pytest.approx(KT / CAPACITANCE / 4, rel=1e-12)
    with pytest.raises(PhysnetError, match=r"not stable \(a deviation grows at 1e\+09 1/s\)"):
        thermal_covariance(loop(-2e-3), TEMPERATURE)


def test_datasets_and_mistakes(rc):
    circuit = ThermalCircuit(rc, TEMPERATURE)
    ds = at_rest(circuit).to_dataset()
    results.check(ds)
    assert ds.temperature.item() == TEMPERATURE and ds.temperature.units == "K"
    with pytest.raises(PhysnetError, match="temperature -1.0 K; give one finite number of at least 0"):
        ThermalCircuit(rc, -1.0)
    with pytest.raises(PhysnetError, match="pass the system that Circuit.build"):
        ThermalCircuit(Circuit(), 300.0)
    with pytest.raises(PhysnetError, match="has thermal noise; pass key="):
        integrate(circuit, [0.0], [0.0, TAU])


NETLIST = """noise of three resistors
V1 in 0 DC 0 AC 1
R1 in a 1k
R2 a b 3k
R3 b 0 2k
C1 a 0 1n
C2 b in 0.3n
.options temp=26.85 tnom=26.85
.noise v(b) V1 dec 1 1e3 1e8
.control
set numdgt=14
run
setplot noise1
print onoise_spectrum
.endc
.end
"""


@needs_ngspice
def test_agrees_with_ngspice(tmp_path):
    table = np.array(printed(NETLIST, tmp_path), float)
    circuit = Circuit().voltage_source("V1", "in", 0, 0.0).resistor("R1", "in", "a", resistance=1e3)
    circuit.resistor("R2", "a", "b", resistance=3e3).resistor("R3", "b", 0, resistance=2e3)
    circuit.capacitor("C1", "a", 0, 1e-9).capacitor("C2", "b", "in", 0.3e-9)
    found = thermal_spectrum(at_rest(circuit.build(outputs=["b"])), TEMPERATURE, table[:, 1])
    assert len(table) == 6
    np.testing.assert_allclose(np.sqrt(found[:, 0]), table[:, 2], rtol=1e-6)
