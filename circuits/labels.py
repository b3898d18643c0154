"""The names in a circuit."""

from dataclasses import dataclass

from circuits.bundle import Names


@dataclass(frozen=True)
class Labels:
    """Of its nodes (ground first), free potentials, elements that carry an unknown current, inputs and outputs.

    without_capacitance: free potentials that no capacitor ties, directly or through others, to a fixed one.
    capacitors_grounded: none joins two free potentials, so that each has its own capacitance alone.
    redundant: voltage sources that close a loop of others; these carry no current.
    """

    nodes: Names
    free: Names
    branches: Names
    inputs: Names
    input_units: tuple[str, ...]
    outputs: Names
    without_capacitance: tuple[str, ...]
    capacitors_grounded: bool
    redundant: tuple[str, ...]
