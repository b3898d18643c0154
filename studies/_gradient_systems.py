"""The small systems of `studies.gradient_quality`, each with inputs and targets."""

import jax
import numpy as np

from circuits import Circuit, ShockleyDiode
from oscillators import AutoOscillators, PhaseNetwork
from oscillators.coupling import Dense
from physnet import FixedPoint, Newton
from physnet.networks import AsymmetricHopfield, Identity, LayeredHopfield, Tanh

_SIZES = (4, 6, 5, 3)


def circuit(samples: int, seed: int):
    """Two sources, three hidden nodes with a Shockley diode each, two outputs; conductances of about 1 mS."""
    rng = np.random.default_rng(seed)
    found = Circuit().voltage_source("V1", "a", 0, 1.0).voltage_source("V2", "b", 0, -0.5)
    ends = [(s, h) for s in ("a", "b") for h in ("h1", "h2", "h3")] + [
        (h, o) for h in ("h1", "h2", "h3") for o in ("o1", "o2")
    ]
    for k, (first, second) in enumerate(ends):
        found.resistor(f"R{k + 1}", first, second, conductance=float(rng.uniform(0.5e-3, 2e-3)))
    diode = ShockleyDiode(1e-6, 0.05)
    found.diode("D1", "h1", 0, diode).diode("D2", 0, "h2", diode).diode("D3", "h3", 0, diode)
    system = found.build(inputs=["V1", "V2"], outputs=["o1", "o2"])
    return system, rng.uniform(-1, 1, (samples, 2)), rng.uniform(-0.3, 0.3, (samples, 2))


def _data(samples, seed):
    rng = np.random.default_rng(seed + 1)
    return rng.uniform(-1, 1, (samples, _SIZES[0])), rng.uniform(-0.5, 0.5, (samples, _SIZES[-1]))


def hopfield(samples: int, seed: int):
    """A layered Hopfield network 4-6-5-3 of tanh units."""
    system = LayeredHopfield.random(_SIZES, key=jax.random.key(seed), gain=0.9, activations=Tanh())
    return system, *_data(samples, seed)


def asymmetric(samples: int, seed: int, mixing: float, linear: bool):
    """The same with backward weights of their own, B = (1 - mixing) W^T + mixing R."""
    units = Identity() if linear else Tanh()
    key = jax.random.key(seed)
    system = AsymmetricHopfield.random(_SIZES, key=key, asymmetry=mixing, gain=0.9, activations=units)
    return system, *_data(samples, seed)


def phases(samples: int, seed: int):
    """Five phases, all to all with unlike couplings, held by fields; one sample (they have no inputs)."""
    rng = np.random.default_rng(seed + 2)
    weights = rng.uniform(0.5, 1.5, (5, 5))
    system = PhaseNetwork(
        Dense((weights + weights.T) / 2 * (1 - np.eye(5))), rng.normal(size=5), fields=rng.uniform(0.5, 1, 5)
    )
    return system, *_near(system, rng)


def auto_oscillators(samples: int, seed: int):
    """Three auto-oscillators, nu = 4, locked by couplings of 10 kHz with unlike phases; frequencies and W learn."""
    rng = np.random.default_rng(seed + 3)
    weights = 10e3 * rng.uniform(0.5, 1.5, (3, 3)) * (1 - np.eye(3))
    network = AutoOscillators.from_preset(
        "oracle", Dense(weights, rng.normal(np.arctan(4), 0.2, (3, 3))), frequency=[300e6, 300.01e6, 299.995e6]
    )
    system = network.polar(trainable=("frequency", "coupling_weight"))
    return system, *_near(system, rng)


def _near(system, rng):
    """The system's default inputs, and targets a little off the outputs that they give."""
    from physnet import relax

    inputs = np.asarray(system.default_inputs())[None]
    outputs = np.asarray(relax(system, inputs).outputs)
    return inputs, outputs + 0.3 * rng.normal(size=outputs.shape)


BUILDERS = {"circuit": circuit, "hopfield": hopfield, "phases": phases, "auto_oscillators": auto_oscillators}
# Tolerances next to rounding: by default the nudged phases of an iterated map stop well above it. Phases start next to
# where they lock, so that Newton's method finds the state that `Locking` does, in a tenth of the time.
RELAXERS = {
    ("phases", "double"): Newton(),
    ("auto_oscillators", "double"): Newton(),
    ("hopfield", "double"): FixedPoint(tolerance=1e-14),
    ("hopfield", "single"): FixedPoint(tolerance=3e-7),
}
