"""Every kind of system against every nudging: what is exact, and what is refused and why. Printed in docs/nudging.md.

`python tests/matrix.py` prints the table that the page holds.
"""

from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from circuits import Circuit, EKVTransistor, IdealDiode, LayeredNetwork, OpAmp, ShockleyDiode
from oscillators import AutoOscillators, Dense, PhaseNetwork
from physnet import (
    Centred,
    Clamped,
    Cost,
    Holomorphic,
    OneSided,
    PhysnetError,
    ProjectedNewton,
    RandomSign,
    SquaredError,
    System,
    ep_gradient,
    implicit_gradient,
    relax,
)
from physnet.linearise import output_response
from physnet.networks import AsymmetricHopfield, ConvolutionalHopfield, LayeredHopfield, Logistic
from physnet.networks.pooling import AveragePooling

COST = SquaredError()
BETA = 1e-4  # relative, where accuracy is asked for
ROUNDING = 1e-9

NUDGINGS = {
    "one-sided": OneSided(BETA, relative=True),
    "one-sided, negative": OneSided(BETA, relative=True, sign=-1),
    "random sign": RandomSign(BETA, relative=True),
    "centred": Centred(BETA, relative=True),
    "holomorphic, 4": Holomorphic(0.02, relative=True, points=4),
    "holomorphic, 8": Holomorphic(0.1, relative=True),
    "clamped": Clamped(1e-5),
}
FIGURES = {"centred": 1e-6, "holomorphic, 4": 1e-5, "holomorphic, 8": 1e-5}


@dataclass(frozen=True)
class Case:
    """A system with one sample and a target near its free outputs."""

    system: System
    inputs: np.ndarray
    targets: np.ndarray


def _near(system, inputs, distance, seed=0) -> Case:
    outputs = np.asarray(relax(system, inputs).outputs)
    return Case(system, inputs, outputs + distance * np.random.default_rng(seed).normal(size=outputs.shape))


def _ideal() -> Case:
    rng = np.random.default_rng(0)
    network = LayeredNetwork([rng.uniform(0.1, 1, (4, 5)), rng.uniform(0.1, 1, (5, 2))], diode=IdealDiode())
    return _near(network, rng.normal(size=(1, 2)), 0.3)


def _shockley() -> Case:
    circuit = Circuit().voltage_source("V1", "in", 0, 0.8)
    circuit.resistor("R1", "in", "a", resistance=1e3).resistor("R2", "a", "b", resistance=2e3)
    circuit.diode("D1", "a", 0, ShockleyDiode(1e-8, 0.05)).resistor("R3", "b", 0, resistance=3e3)
    return _near(circuit.build(inputs=["V1"], outputs=["a", "b"]), np.array([[0.8]]), 0.02)


def _active() -> Case:
    """An inverting amplifier around a transistor with a diode across it: no energy, and an unknown branch current."""
    circuit = Circuit().voltage_source("V", "in", 0, 0.6).resistor("R1", "in", "m", resistance=1e3)
    circuit.resistor("R2", "m", "a", resistance=3e3).add("A", "a", 0, "m", OpAmp(1e4, 50.0))
    circuit.resistor("R3", "a", "g", resistance=2e3).resistor("R4", "g", "in", resistance=4e3)
    circuit.voltage_source("VDD", "vdd", 0, 3.0).resistor("R5", "vdd", "d", resistance=2e3)
    circuit.add("M", "d", "in", "s", 0, EKVTransistor()).resistor("R6", "s", 0, resistance=1e3)
    circuit.diode("D", "d", "g", ShockleyDiode(1e-9, 0.04)).resistor("R7", "g", 0, resistance=1e4)
    return _near(circuit.build(inputs=["V"], outputs=["d", "g"]), np.array([[0.6]]), 0.02)


def _phases() -> Case:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(4, 4))
    coupling = Dense((weights + weights.T) * (1 - np.eye(4)) / 4)
    network = PhaseNetwork(
        coupling, rng.normal(size=4) * 0.1, fields=rng.uniform(1, 2, 4), field_phases=rng.normal(size=4), outputs=[3]
    )
    return _near(network, 0.1 * rng.normal(size=(1, 4)), 0.1)


def _auto_oscillators() -> Case:
    """nu = 4, coupling neither symmetric in strength nor in phase: far from any energy."""
    strengths = 1e4 * np.array([[0, 1.0, 0.8], [1.1, 0, 0.9], [0.95, 1.05, 0]])
    angles = np.array([[0, 1.2, 0.7], [1.0, 0, 0.9], [1.3, 0.8, 0]])
    network = AutoOscillators.from_preset("oracle", Dense(strengths, angles), frequency=[300e6, 300.01e6, 299.995e6])
    learning = ("frequency", "coupling_weight", "coupling_phase")
    return _near(network.polar(trainable=learning), np.full((1, 3), 4e-3), 0.05)


def _hopfield(kind=LayeredHopfield, **options) -> Case:
    network = kind.random((4, 5, 2), key=jax.random.key(0), dtype=np.float64, **options)
    return _near(network, np.random.default_rng(2).uniform(size=(1, 4)), 0.2)


def _convolutional() -> Case:
    network = ConvolutionalHopfield.random(
        (6, 6, 1),
        (2,),
        (3,),
        kernel=3,
        activations=Logistic(),
        pooling=AveragePooling(2),
        key=jax.random.key(1),
        dtype=np.float64,
    )
    return _near(network, np.random.default_rng(3).uniform(size=(1, 36)), 0.2)


SYSTEMS = {
    "resistive, ideal diodes": _ideal,
    "resistive, Shockley diodes": _shockley,
    "active circuit": _active,
    "phase network": _phases,
    "auto-oscillators, nu = 4": _auto_oscillators,
    "Hopfield": _hopfield,
    "Hopfield, asymmetric": lambda: _hopfield(AsymmetricHopfield),
    "convolutional": _convolutional,
}


@cache
def case(name: str) -> Case:
    return SYSTEMS[name]()


class Metric(Cost):
    """(o - y)^T M (o - y) / 2: what coupled learning descends, M the inverse of the outputs' response."""

    matrix: jax.Array

    def __call__(self, outputs, target):
        return 0.5 * (outputs - target) @ self.matrix @ (outputs - target)

    def largest_curvature(self):
        return 1.0


@cache
def exact(name: str, clamped: bool) -> dict[str, np.ndarray]:
    """The gradient that a nudging goes to, by implicit differentiation."""
    found = case(name)
    cost = COST
    if clamped:
        free = relax(found.system, found.inputs).state
        response = output_response(found.system, jax.tree.map(lambda leaf: leaf[0], free), jnp.asarray(found.inputs[0]))
        cost = Metric(jnp.linalg.inv(response))
    relaxer = ProjectedNewton() if isinstance(found.system, LayeredNetwork) else None
    result = implicit_gradient(found.system, found.inputs, found.targets, cost=cost, relaxer=relaxer)
    return named(found.system, result)


def named(system: System, result) -> dict[str, np.ndarray]:
    return {p.variable.name: np.asarray(p.get(result.gradient)) for p in system.parameters if p.trainable}


def error(name: str, nudging) -> float:
    """Largest relative error over the parameter arrays. Raises PhysnetError where the pair is refused."""
    found = case(name)
    result = ep_gradient(found.system, found.inputs, found.targets, cost=COST, nudging=nudging, key=jax.random.key(0))
    assert bool(result.converged.all())
    reference = exact(name, isinstance(nudging, Clamped))
    return max(
        np.linalg.norm(gradient - reference[parameter]) / np.linalg.norm(reference[parameter])
        for parameter, gradient in named(found.system, result).items()
    )


def entry(name: str, nudging) -> str:
    try:
        return f"{error(name, nudging):.0e}"
    except PhysnetError as refused:
        return "refused: " + str(refused).split("refuses ")[-1].split(": ", 1)[-1].split(";")[0].split(". ")[0]


if __name__ == "__main__":
    reasons = {}
    print("| system | " + " | ".join(NUDGINGS) + " |\n" + "|---" * (len(NUDGINGS) + 1) + "|")
    for name in SYSTEMS:
        cells = []
        for nudging in NUDGINGS.values():
            text = entry(name, nudging)
            if text.startswith("refused"):
                text = f"refused ({reasons.setdefault(text, len(reasons) + 1)})"
            cells.append(text)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    for text, number in reasons.items():
        print(f"{number}. {text}")
