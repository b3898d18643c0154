"""Fields of elements: as parameters that learning leaves alone, and what several kinds of element ask of theirs."""

import numpy as np

from circuits.elements.base import above_zero, first_not
from physnet.system import Parameter
from physnet.variable import Variable

POSITIVE = (0.0, np.inf)


def fixed(
    field: str,
    units: str,
    long_name: str,
    bounds: tuple[float, float] | None = POSITIVE,
    *,
    name: str | None = None,
) -> Parameter:
    """The field of an element as a parameter that is not trained. name: in datasets, where it is not the field's."""
    variable = Variable(name or field, (), units, long_name, bounds)
    return Parameter(variable, lambda element: getattr(element, field), trainable=False)


def junction_fault(element) -> str | None:
    """What is wrong with the saturation current or the thermal voltage of a junction."""
    wrong = first_not(above_zero, element.saturation_current)
    if wrong is not None:
        return f"saturation current {wrong:.6g} A; it must be finite and above 0 (1e-14 A is a small junction)."
    wrong = first_not(above_zero, element.thermal_voltage)
    if wrong is not None:
        return f"thermal voltage {wrong:.6g} V; it must be finite and above 0 (n k T / q is 0.02585 V at 300 K)."
    return None


def polarity_fault(element) -> str | None:
    """What is wrong with the polarity of a transistor."""
    if element.polarity not in (1, -1):
        return f"polarity {element.polarity!r}; give 1 for an n channel or -1 for a p channel."
    return None
