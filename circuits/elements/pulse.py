"""What pulses and states of memristors may be."""

import jax
import numpy as np

from circuits.elements.base import at_least_zero, first_not
from physnet.errors import PhysnetError


def is_share(values):
    """True where a value lies between 0 and 1."""
    return (values >= 0) & (values <= 1)


def check_pulse(voltage, duration):
    """Raises PhysnetError for a voltage, V, that is not finite or a duration, s, below 0; traced ones pass."""
    checks = (("voltage", voltage, "V", np.isfinite, ""), ("duration", duration, "s", at_least_zero, " and >= 0"))
    for name, value, unit, good, further in checks:
        wrong = None if isinstance(value, jax.core.Tracer) else first_not(good, value)
        if wrong is not None:
            raise PhysnetError(f"pulsed: {name} {wrong:.6g} {unit}; it must be finite{further}.")
