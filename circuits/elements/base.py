"""What every two-terminal element is: a current law whose integral, the co-content, is its share of the energy."""

from abc import abstractmethod
from typing import ClassVar, Literal

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from physnet import precision
from physnet.errors import PhysnetError
from physnet.system import Parameter


class Element(eqx.Module):
    """One two-terminal element, or a group of m of one kind: each field is then an array (m,).

    Voltage is that of the first terminal above the second, in V; current is positive from the first terminal, through
    the element, to the second, in A. Methods act on arrays of voltages and broadcast over the fields.

    A subclass states its current law and its integral; where its law is not a current, `law` says what it fixes.
    """

    # What a dataset calls the axis of these elements, and an error message the thing.
    kind: ClassVar[str]
    # current: i(v), a term of the energy. charge: q(v), no direct current. inequality: a bound on the voltage, with no
    # term of its own. voltage: the voltage itself; the current is what the rest of the circuit makes it.
    law: ClassVar[Literal["current", "charge", "inequality", "voltage"]] = "current"
    # The co-content is at most quadratic in the voltage (see EnergySystem.midpoint_exact).
    quadratic: ClassVar[bool] = False

    @abstractmethod
    def current(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """i(v), A, the direct current from the first terminal to the second."""

    @abstractmethod
    def differential_conductance(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """di/dv, S, the differential conductance at an operating point."""

    @abstractmethod
    def cocontent(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """Q(v) = integral of i(u) du from 0 to v, W: what the steady state makes smallest in total."""

    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """Name, units, range and trainability of each field, `get` taking the element itself."""

    def knee(self, current: Float[Array, ""]) -> Float[Array, "..."] | None:
        """The voltage, V, at which an exponential element carries `current` (A, positive); None for gentler laws.

        Cold starts continue the law linearly beyond it, where the exponential could overflow.
        """
        return None

    @property
    def conducts(self) -> bool | Bool[Array, "..."]:
        """Whether the element ties the potentials of its terminals together in a direct-current state."""
        return True

    @property
    def description(self) -> dict:
        """Kind and values, plain: what a dataset notes of elements that are no parameters of their system."""
        values = {p.variable.name: np.asarray(p.get(self), float).tolist() for p in self.parameters()}
        return {"kind": self.kind, **values}

    def fault(self) -> str | None:
        """What is wrong with the values of the fields and how to mend it; None if they are physical."""
        return None

    def __check_init__(self):
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(self)):
            return
        for p in self.parameters():
            if not _is_real(p.get(self)):
                raise PhysnetError(
                    f"{type(self).__name__}: {p.variable.name} {p.get(self)!r}; give a number in {p.variable.units}."
                )
        fault = self.fault()
        if fault is not None:
            raise PhysnetError(f"{type(self).__name__}: {fault}")


def _is_real(value) -> bool:
    """Whether a value is a real number or an array of such."""
    try:
        precision.real_array(value, "")
    except PhysnetError:
        return False
    return True


def first_not(condition, values) -> float | None:
    """The first of `values` for which `condition` does not hold; None if it holds for all. NaN never holds."""
    values = np.ravel(np.asarray(values, dtype=float))
    wrong = ~condition(values)
    return float(values[np.argmax(wrong)]) if wrong.any() else None


def at_least_zero(values):
    """True where a value is finite and not negative."""
    return (values >= 0) & np.isfinite(values)


def above_zero(values):
    """True where a value is finite and positive."""
    return (values > 0) & np.isfinite(values)
