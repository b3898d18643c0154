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
    period: values that differ by this, in `units`, mean the same (2 pi rad of a phase); None for most quantities.
    """

    name: str
    dims: tuple[str, ...] = ()
    units: str = "1"
    long_name: str = ""
    bounds: tuple[float, float] | None = None
    period: float | None = None


def quotient_units(numerator: str, denominator: str) -> str:
    """Units of one quantity over another in UDUNITS spelling: ("V2", "S") is "V2 S-1".

    numerator, denominator: units as text, "1" for a number.
    """
    powers: dict[str, int] = {}
    for unit, sign in ((numerator, 1), (denominator, -1)):
        for factor in unit.split() if unit != "1" else ():
            symbol = factor.rstrip("-0123456789")
            powers[symbol] = powers.get(symbol, 0) + sign * int(factor[len(symbol) :] or 1)
    factors = [symbol if power == 1 else f"{symbol}{power}" for symbol, power in powers.items() if power]
    return " ".join(factors) or "1"
