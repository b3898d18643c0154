"""What a number means: the name, dimensions, unit and range of one physical quantity."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """One physical quantity as it appears in a dataset.

    name: the dataset's variable name, lower-case with underscores.
    dims: names of the array's axes, singular lower-case nouns, without the sample axis.
    units: UDUNITS spelling (V, A, S, ohm, F, W, J, s, rad, 1).
    long_name: one phrase a stranger understands.
    bounds: (lowest, highest) physical value in `units`, or None where there is no limit.
    """

    name: str
    dims: tuple[str, ...] = ()
    units: str = "1"
    long_name: str = ""
    bounds: tuple[float, float] | None = None
