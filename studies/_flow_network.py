"""The 16-edge resistor network of `studies.flow_network`."""

from circuits import Circuit, CircuitSystem, Resistor

FEATURES, OUTPUTS = ("x0", "x1", "x2", "x3"), ("y0", "y1", "y2")
# Every output to every feature, and to an inner node that leads to the reference: 9 nodes, 16 edges.
EDGES = (*((a, b) for b in OUTPUTS for a in FEATURES), ("h", "y0"), ("h", "y1"), ("h", "y2"), ("h", "0"))
NAMES = tuple(f"{a}-{b}" for a, b in EDGES)


def network(conductance: float = 1e-3) -> CircuitSystem:
    """Four sources, inputs in V, against the reference (ground, 0 V); outputs are the potentials of y0, y1, y2."""
    circuit = Circuit()
    for name in FEATURES:
        circuit.voltage_source(f"V{name}", name, 0, voltage=0.0)
    first, second = (list(column) for column in zip(*EDGES))
    circuit.add_many(list(NAMES), first, second, Resistor(conductance))
    return circuit.build(inputs=[f"V{name}" for name in FEATURES], outputs=list(OUTPUTS))
