"""What every circuit element is: a current law, and, where it has one, the co-content that the law is the slope of."""

from abc import abstractmethod
from typing import ClassVar, Literal

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from physnet import precision
from physnet.errors import PhysnetError
from physnet.system import Parameter


class Component(eqx.Module):
    """One element, or a group of m of one kind: each field that is a number is then an array (m,).

    kind: what a dataset calls the axis of these elements, and an error message the thing. quadratic: the co-content
    is at most quadratic in the voltages (see EnergySystem.midpoint_exact). monotone: no current falls where its own
    voltage rises (J + J^T is positive semidefinite, J the Jacobian of the currents), so that a co-content is convex and
    a circuit of such elements has one operating point. reciprocal:
    the Jacobian of the currents is symmetric, so that there is a co-content.
    """

    kind: ClassVar[str]
    quadratic: ClassVar[bool] = False
    monotone: ClassVar[bool] = True
    reciprocal: ClassVar[bool] = True

    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """Name, units, range and trainability of each field, `get` taking the element itself."""

    @property
    def description(self) -> dict:
        """Kind and values, plain: what a dataset notes of elements that are no parameters of their system."""
        values = {p.variable.name: np.asarray(p.get(self), float).tolist() for p in self.parameters()}
        return {"kind": self.kind, **values}

    def fault(self) -> str | None:
        """What is wrong with the values of the fields and how to mend it; None if they are physical."""
        return None

    @classmethod
    def example(cls) -> "Component":
        """An element of this kind with typical values, which tests and tables use: its defaults, where it has them."""
        return cls()

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


class Element(Component):
    """A two-terminal element.

    Voltage is that of the first terminal above the second, in V; current is positive from the first terminal, through
    the element, to the second, in A. Methods act on arrays of voltages and broadcast over the fields.

    A subclass states its current law and its integral; where its law is not a current, `law` says what it fixes.

    Methods take voltage: V, of any shape (...) that broadcasts with the fields.
    """

    # current: i(v), a term of the energy. charge: q(v), no direct current. inequality: a bound on the voltage, with no
    # term of its own. voltage: the voltage itself; the current is what the rest of the circuit makes it.
    law: ClassVar[Literal["current", "charge", "inequality", "voltage"]] = "current"

    @abstractmethod
    def current(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """i(v), A, the direct current from the first terminal to the second."""

    @abstractmethod
    def differential_conductance(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """di/dv, S, the differential conductance at an operating point."""

    @abstractmethod
    def cocontent(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """Q(v) = integral of i(u) du from 0 to v, W: what the steady state makes smallest in total."""

    def knee(self, current: Float[Array, ""]) -> Float[Array, "..."] | None:
        """The voltage, V, at which an exponential element carries a current; None for gentler laws.

        current: A, positive.

        Newton's method follows the load line of such an element instead of its tangent, and damped descents continue
        the law linearly beyond it, where the exponential could overflow.
        """
        return None

    def reverse_knee(self, current: Float[Array, ""]) -> Float[Array, "..."] | None:
        """The voltage, V, below 0, at which an element that is exponential in reverse carries -current; else None.

        Only for elements that have a knee. current: A, positive here too.
        """
        return None

    def on_load_line(
        self, source: Float[Array, "..."], conductance: Float[Array, "..."], start: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """The voltage, V, at which i(v) + g v = J: the element fed by a current J beside a shunt g.

        source: J, A. conductance: g, S, above 0. start: V, a voltage to search from. A monotone law has exactly one
        such voltage. The default is a bracketed Newton search; an element that knows a closed form (a junction:
        Lambert's W) gives it.
        """
        from circuits.load_line import bracketed

        return bracketed(self, source, conductance, start)

    @property
    def conducts(self) -> bool | Bool[Array, "..."]:
        """Whether the element ties the potentials of its terminals together in a direct-current state."""
        return True


class MultiTerminal(Component):
    """An element with any number of terminals: transistors, controlled sources, amplifiers.

    Potentials and currents have the terminal as their first axis: `drain, gate, source = potentials`, each broadcast
    with the fields. A current is positive from its node into the element, A. Currents need not sum to zero: what is
    missing flows to ground (the supply of an amplifier).

    Methods take potentials: V, (terminal, ...). own: A, the branch current of an element that has one, else 0. sensed:
    A, the current of the voltage source that the element senses, else 0.

    terminals: their names, in the order in which nodes are given. has_branch: the element carries an unknown current of
    its own, `own` (A), which `constraint` determines (an ideal source). senses: it reads the current through a named
    voltage source, `sensed` (A, from plus through the source to minus).
    """

    terminals: ClassVar[tuple[str, ...]]
    has_branch: ClassVar[bool] = False
    senses: ClassVar[bool] = False
    # How far, V, a terminal of a nonlinear element may move in one step of Newton's method.
    step_limit: ClassVar[float] = float("inf")
    reciprocal: ClassVar[bool] = False
    monotone: ClassVar[bool] = False

    @abstractmethod
    def currents(
        self, potentials: Float[Array, "terminal ..."], own: Float[Array, "..."], sensed: Float[Array, "..."]
    ) -> Float[Array, "terminal ..."]:
        """Current, A, into the element at each terminal."""

    def constraint(
        self, potentials: Float[Array, "terminal ..."], own: Float[Array, "..."], sensed: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """What vanishes, V, for an element with a branch current: v_out - A v_in of a voltage amplifier."""
        raise PhysnetError(f"{type(self).__name__}: it has no branch current for a constraint to determine.")

    def constraint_scale(
        self, potentials: Float[Array, "terminal ..."], own: Float[Array, "..."], sensed: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """The size of the terms that cancel in `constraint`, V: |v_out| + |A| |v_in|."""
        raise PhysnetError(f"{type(self).__name__}: it has no branch current for a constraint to determine.")

    def cocontent(self, potentials: Float[Array, "terminal ..."]) -> Float[Array, "..."]:
        """For a reciprocal element: the function, W, whose slope along each potential is the current there."""
        raise PhysnetError(f"{type(self).__name__}: it is not reciprocal, so that no co-content gives its currents.")

    def __check_init__(self):
        super().__check_init__()
        needed = ["constraint", "constraint_scale"] if self.has_branch else []
        needed += ["cocontent"] if self.reciprocal else []
        for name in needed:
            if getattr(type(self), name) is getattr(MultiTerminal, name):
                flag = "reciprocal" if name == "cocontent" else "has_branch"
                raise PhysnetError(f"{type(self).__name__}: with {flag} = True it must define {name}().")

    @property
    def couples(self) -> tuple[tuple[int, int], ...]:
        """Pairs of terminals of which one can hold the potential of the other, through a current between them."""
        return ()

    @property
    def holds(self) -> tuple[int, ...]:
        """Terminals whose potential it fixes or ties to ground by itself (the output of an amplifier)."""
        return ()


def _is_real(value) -> bool:
    """Whether a value is a real number or an array of such."""
    try:
        precision.real_array(value, "")
    except PhysnetError:
        return False
    return True


def first_not(condition, values) -> float | None:
    """The first of the values, in their unit, for which a condition does not hold, else None. NaN never holds.

    condition: a function of an array to booleans, such as `above_zero`. values: a number or an array, in any unit,
    which is that of the result.
    """
    values = np.ravel(np.asarray(values, dtype=float))
    wrong = ~condition(values)
    return float(values[np.argmax(wrong)]) if wrong.any() else None


def at_least_zero(values):
    """True where a value is finite and not negative. values: an array of numbers in any unit."""
    return (values >= 0) & np.isfinite(values)


def above_zero(values):
    """True where a value is finite and positive. values: an array of numbers in any unit."""
    return (values > 0) & np.isfinite(values)
