"""What `studies.spice_check` measures: one trained network, solved by physnet in two ways and by ngspice."""

import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import optax

from circuits import BlockDescent, LayeredNetwork, ShockleyDiode
from circuits.generators import layered_circuit, layered_inputs
from circuits.spice import ngspice, spice_text, write_spice
from physnet import Centred, Data, Nudge, SquaredError, Variable, fit, provenance, results
from physnet.equilibrium import compiled_settle
from physnet.errors import PhysnetError
from physnet.trainer import correctly_classified
from studies._digit_data import small_digits

REFERENCES = (
    "Scellier, ICML 2024, arXiv:2402.11674; Scellier and Bengio 2017, doi:10.3389/fncom.2017.00024; Nagel 1975, "
    "UCB/ERL M520; ngspice, https://ngspice.sourceforge.io"
)
PHASES = ("free", "towards", "away")
SOLVERS = ("block descent", "Newton")


def run(config, out, progress):
    """The dataset of the study."""
    network, accuracy, (images, labels) = _trained(config, progress)
    targets = np.eye(10)[labels]
    circuit = layered_circuit(network)
    sources = layered_inputs(circuit)
    outputs = [f"y{k}" for k in range(10)]
    nodes = [f"h1_{i}" for i in range(config.hidden)] + outputs
    voltages = float(network.input_gain) * np.concatenate([images, -images], axis=1)
    system = circuit.build(inputs=sources, outputs=outputs)
    beta = config.beta * float(network.nudging_scale(None, None))
    betas = (0.0, beta, -beta)

    def solved(inputs, of, places=None):
        """(potentials (phase, sample, node), residuals, whether settled): all phases as one batch."""
        repeated = [jnp.tile(jnp.asarray(rows), (len(betas), 1)) for rows in (inputs, targets)]
        nudge = Nudge(SquaredError(), repeated[1], jnp.repeat(jnp.array(betas), len(targets)))
        found = compiled_settle(of, repeated[0], nudge, of.default_relaxer(), initial=None)
        state = np.concatenate(found.state, axis=1) if places is None else np.asarray(found.state)[:, places]
        parts = (state, found.residual, found.converged)
        return [np.asarray(part).reshape(len(betas), len(targets), *part.shape[1:]) for part in parts]

    places = [system.labels.free.index(name) for name in nodes]
    ways = [solved(images, network), solved(voltages, system, places)]
    spice = np.zeros((len(PHASES), len(images), len(nodes)))
    for k, (voltage, target) in enumerate(zip(voltages, targets)):
        given = {
            "phases": [(phase, Nudge(SquaredError(), target, b) if b else None) for phase, b in zip(PHASES, betas)],
            "inputs": dict(zip(sources, voltage)),
            "outputs": outputs,
            "title": f"physnet spice-check, test digit {k}",
        }
        deck = spice_text(circuit, **given)
        if k == 0 and config.deck is not None:
            write_spice(circuit, config.deck, overwrite=True, **given)
        potentials = ngspice.run(deck.text)
        for j, phase in enumerate(PHASES):
            spice[j, k] = [potentials[f"x{phase}.{deck.nodes[node]}"] for node in nodes]
    ds = _dataset(config, accuracy, ways, spice, betas, nodes, labels, circuit)
    if out is not None:
        results.save(ds, out, overwrite=True)
    return ds


def _trained(config, progress):
    """(network in double precision, its test accuracy, (images, labels) that are compared)."""
    data, classes = small_digits(config.seed), np.eye(10)
    network = LayeredNetwork.random(
        (64, config.hidden, 10),
        key=jax.random.key(config.seed),
        input_gain=config.input_gain / data.white,
        diode=ShockleyDiode(),
    )
    trained = fit(
        network,
        Data(data.train_images[: config.samples], classes[data.train_labels[: config.samples]]),
        test=Data(data.test_images, classes[data.test_labels]),
        cost=SquaredError(),
        nudging=Centred(config.beta, relative=True),
        relaxer=BlockDescent(tolerance=1e-5, nudged_tolerance=1e-4),  # as tight as learning needs
        optimiser=optax.sgd(config.learning_rate),
        measures={"accuracy": correctly_classified},
        epochs=config.epochs,
        batch_size=config.batch_size,
        key=jax.random.key(config.seed + 1),
        config=config,
        progress=progress,
    )
    accuracy = float(trained.history["test_accuracy"][-1])
    chosen = slice(0, config.digits)
    return trained.system, accuracy, (data.test_images[chosen].astype(float), data.test_labels[chosen])


def _dataset(config, accuracy, ways, spice, betas, nodes, labels, circuit):
    states, residual, converged = (np.stack(parts) for parts in zip(*ways))
    dims = ("solver", "nudge", "sample")
    variables = [
        (Variable("node_voltage", (*dims, "node"), "V", "node potential found by physnet"), states),
        (Variable("spice_voltage", ("nudge", "sample", "node"), "V", "node potential found by ngspice"), spice),
        (Variable("residual", dims, "1", "relative residual of physnet's steady state"), residual),
        (Variable("converged", dims, "1", "whether physnet's steady state settled"), converged),
        (Variable("test_accuracy", (), "1", "share of all test digits that the network tells right"), accuracy),
    ]
    layer = ["hidden" if name.startswith("h") else "output" for name in nodes]
    coords = [
        (Variable("solver", ("solver",), "1", "way to the steady state"), np.array(SOLVERS)),
        (Variable("nudge", ("nudge",), "S", "beta of the phase, 0 for the free one"), np.array(betas)),
        (Variable("nudge_name", ("nudge",), "1", "phase"), np.array(PHASES)),
        (Variable("node", ("node",), "1", "node"), np.array(nodes)),
        (Variable("layer", ("node",), "1", "layer of the node"), np.array(layer)),
        (Variable("digit", ("sample",), "1", "digit, 0 to 9"), np.asarray(labels)),
    ]
    attributes = provenance.collect(config, seed=config.seed, precision="double", device=jax.devices()[0].device_kind)
    return results.to_dataset(
        variables,
        coords=coords,
        title="A trained resistive network with Shockley diodes, in physnet and in ngspice",
        summary=f"128-{config.hidden}-10 nodes, {len(circuit)} elements, {config.digits} test digits, free and nudged "
        f"by +-{betas[1]:.3g} S",
        references=REFERENCES,
        attrs=attributes
        | {"physnet_study": "spice_check", "tolerance": config.tolerance, "ngspice_version": _version()},
    )


def _version() -> str:
    try:
        said = subprocess.run(["ngspice", "-v"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise PhysnetError(f"spice-check: ngspice cannot be run: {error}") from error
    return next((word for word in said.split() if word.startswith("ngspice-")), "unknown")
