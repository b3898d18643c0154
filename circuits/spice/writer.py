"""A circuit as a SPICE deck: one operating point, or one for each phase of a nudging."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np

from circuits.bundle import Branch
from circuits.circuit import Circuit
from circuits.contract import CircuitContract
from circuits.elements import CurrentSource, VoltageSource
from circuits.spice.element_lines import Body
from physnet.errors import PhysnetError

# gmin: ngspice puts one beside every junction, and these circuits have none.
_OPTIONS = ".options temp=27 tnom=27 gmin=1e-18 reltol=1e-9 abstol=1e-15 vntol=1e-12 itl1=1000 itl2=1000"


@dataclass(frozen=True)
class SpiceText:
    """A deck as text. text: its lines. nodes, elements: the names that they have in it, by their own."""

    text: str
    nodes: dict[str, str]
    elements: dict[str, str]


def write_spice(
    circuit, path, *, phases=None, inputs=None, outputs=None, title="physnet circuit", digits=17, overwrite=False
) -> Path:
    """Writes a deck that ngspice reads, and returns its path. Other arguments as for `spice_text`.

    path: of the deck. Raises PhysnetError for a path that cannot be written, or that exists while `overwrite` is False.
    """
    from physnet import results

    deck = spice_text(circuit, phases=phases, inputs=inputs, outputs=outputs, title=title, digits=digits)
    path = Path(path)
    results.check_writable(path, overwrite)
    try:
        path.write_text(deck.text, encoding="utf-8")
    except OSError as error:
        raise PhysnetError(f"{path} cannot be written: {error.strerror or error}. Choose another path.") from error
    return path


def spice_text(
    circuit: Circuit | CircuitContract,
    *,
    phases=None,
    inputs=None,
    outputs=None,
    title: str = "physnet circuit",
    digits: int = 17,
) -> SpiceText:
    """The deck of a circuit, or of the system that it became (with its trained conductances).

    circuit: the circuit, or the system. title: the first line of the deck.
    inputs: values of sources, V or A: a mapping from name to value, or, for a system, an array in its own order.
    phases: pairs (name, nudge), nudge None for the free phase, else a `Nudge` by SquaredError. The circuit then stands
        in the deck once, as a subcircuit, and once as x<name> for each phase, where node n is x<name>.n: the nudge is a
        conductance beta from each output to a source at its target.
    outputs: of a Circuit, what is nudged: names of nodes, or pairs of them. A system knows its own.
    digits: of each number; 17 read back the same float64.
    Raises PhysnetError naming an element without a SPICE line, an unknown source or output, a nudge by another cost.
    """
    body = Body(digits)
    values = _source_values(circuit, inputs)
    for branch in _branches(circuit):
        if branch.name in values:
            branch = replace(branch, element=type(branch.element)(values[branch.name]))
        body.add(branch)
    own = [*body.lines, *body.model_lines()]
    lines = own if phases is None else _phase_lines(body, circuit, list(phases), outputs)
    head = [f"* {' '.join(str(title).split())}", *body.names.renamed()]
    text = "\n".join([*head, *lines, _OPTIONS, ".op", ".end", ""])
    return SpiceText(text, dict(body.names.nodes), dict(body.names.elements))


def _branches(circuit) -> Iterator[Branch]:
    if isinstance(circuit, Circuit):
        yield from circuit.branches()
        return
    if not isinstance(circuit, CircuitContract):
        raise PhysnetError(f"write_spice: {circuit!r} is no circuit; pass a Circuit, or what Circuit.build() returned.")
    labels, free = circuit.labels, circuit.network.free
    for group in circuit.groups():
        terminals, columns = np.asarray(group.terminals), np.asarray(group.columns)
        senses = getattr(group.element, "senses", False)
        for i, name in enumerate(group.names):
            element = jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], group.element)
            control = labels.branches[columns[-1, i] - free] if senses else None
            yield Branch(name, tuple(labels.nodes[n] for n in terminals[:, i]), element, control)


def _source_values(circuit, inputs) -> dict[str, float]:
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping):
        if isinstance(circuit, Circuit):
            raise PhysnetError(
                "write_spice: inputs of a Circuit are a mapping from source to value, such as {'V1': 5}."
            )
        array = np.asarray(inputs, float)
        if array.shape != (len(circuit.labels.inputs),):
            raise PhysnetError(
                f"write_spice: inputs have shape {array.shape}; one sample of this system has "
                f"{len(circuit.labels.inputs)} ({', '.join(circuit.labels.inputs[:12]) or 'none'})."
            )
        inputs = dict(zip(circuit.labels.inputs, array.tolist()))
    sources = {b.name for b in _branches(circuit) if isinstance(b.element, VoltageSource | CurrentSource)}
    unknown = [name for name in inputs if name not in sources]
    if unknown:
        raise PhysnetError(
            f"write_spice: inputs: unknown source {unknown[0]}. Sources: {', '.join(sorted(sources)[:12]) or 'none'}."
        )
    return {name: float(value) for name, value in inputs.items()}


def _phase_lines(body, circuit, phases, outputs):
    """The circuit as a subcircuit with nudging conductances, and one of it for each phase."""
    pairs = _output_pairs(body, circuit, outputs)
    nudges = ["* the nudge of each output: a conductance beta to a source at its target"]
    for k, (plus, minus) in enumerate(pairs):
        target = body.names.inner_node(f"target_{k}")
        source = body.names.element(f"vtarget_{k}", "v")
        nudge = body.names.element(f"gnudge_{k}", "g")
        nudges += [f"{source} {target} {minus} {{t{k}}}", f"{nudge} {plus} {target} {plus} {target} {{beta}}"]
    zeros = " ".join(["beta=0", *(f"t{k}=0" for k in range(len(pairs)))])
    lines = [f".subckt circuit params: {zeros}", *body.lines, *nudges, ".ends circuit", *body.model_lines()]
    for name, nudge in phases:
        if not str(name).isidentifier():
            raise PhysnetError(f"write_spice: phase {name!r}; name phases by letters, such as free and nudged.")
        given = "" if nudge is None else _nudge_parameters(body, name, nudge, len(pairs))
        lines.append(f"x{str(name).lower()} circuit{given}")
    names = [str(name).lower() for name, _ in phases]
    if len(set(names)) < len(names) or not names:
        raise PhysnetError(f"write_spice: phases {', '.join(names) or '(none)'}; give each a name of its own.")
    return lines


def _output_pairs(body, circuit, outputs):
    """(plus, minus) nodes of each output, as they are called in the deck."""
    if isinstance(circuit, CircuitContract):
        if outputs is not None:
            raise PhysnetError("write_spice: outputs are the system's own; leave outputs= out.")
        nodes, network = circuit.labels.nodes, circuit.network
        pairs = [(nodes[a], nodes[b]) for a, b in zip(np.asarray(network.plus), np.asarray(network.minus))]
    else:
        if outputs is None:
            raise PhysnetError("write_spice: phases of a Circuit need outputs=, the nodes that are nudged.")
        outputs = [outputs] if isinstance(outputs, str | int) else outputs
        pairs = [(str(o), "0") if isinstance(o, str | int) else (str(o[0]), str(o[1])) for o in outputs]
        unknown = [node for pair in pairs for node in pair if node not in circuit.nodes]
        if unknown:
            raise PhysnetError(f"write_spice: outputs: unknown node {unknown[0]}.")
    return [(body.names.node(a), body.names.node(b)) for a, b in pairs]


def _nudge_parameters(body, name, nudge, count):
    curvature = nudge.cost.curvature()
    if curvature is None:
        raise PhysnetError(
            f"write_spice: phase {name}: a nudge by {type(nudge.cost).__name__} is no conductance; use SquaredError()."
        )
    target = np.asarray(nudge.target, float)
    if target.shape != (count,) or np.ndim(nudge.beta):
        raise PhysnetError(
            f"write_spice: phase {name}: target of shape {target.shape}, beta of shape {np.shape(nudge.beta)}; "
            f"give one sample: ({count},) and a number."
        )
    if np.iscomplexobj(nudge.beta):
        raise PhysnetError(f"write_spice: phase {name}: beta is complex; SPICE conductances are real.")
    values = [("beta", float(nudge.beta) * curvature), *((f"t{k}", t) for k, t in enumerate(target))]
    return "".join(f" {key}={body.number(value)}" for key, value in values)
