"""Which number varies: an input, a parameter or the strength of a nudge, as one family of problems."""

import re
from abc import abstractmethod
from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from physnet.cost import Cost, check_targets
from physnet.errors import PhysnetError, require_instance
from physnet.landscape.chart import Chart
from physnet.nudge import Nudge
from physnet.nudging_scale import beta_units
from physnet.problem import Problem
from physnet.system import Parameter, System
from physnet.variable import Variable


class Family(eqx.Module):
    """One landscape for every value of one number: R(s, p) = 0 are its steady states.

    variable: name, unit and long_name of the number p, for datasets. base: the landscape from which p departs.

    Methods take value: of p, a number in the unit of `variable`.
    """

    base: eqx.AbstractVar[Chart]
    variable: eqx.AbstractVar[Variable]

    @abstractmethod
    def problem(self, value: Float[Array, ""]) -> Problem:
        """What is to settle where p has this value, in the unit of `variable`; traceable."""

    def chart(self, value) -> Chart:
        """The landscape where p has this value; traceable. Of NaN: what varies is NaN, for datasets."""
        return replace(self.base, problem=self.problem(jnp.asarray(value, self.base.dtype)))

    def check(self, value: float, where: str) -> None:
        """Raises PhysnetError for a value that p cannot have. where: the function named in the message."""
        if not np.isfinite(value):
            raise PhysnetError(f"{where}: {self.variable.name} is {value} {self.variable.units}; it must be finite.")
        if self.variable.bounds is not None:
            lowest, highest = self.variable.bounds
            if not lowest <= value <= highest:
                raise PhysnetError(
                    f"{where}: {self.variable.name} is {value:.6g} {self.variable.units}, outside {lowest:.6g} to "
                    f"{highest:.6g} {self.variable.units}, the values that it can have."
                )
        problem = self.problem(jnp.asarray(value, self.base.dtype))
        problem.system.check_values(problem.inputs)


class VariedInput(Family):
    """An input varies, the others stay as they are. Made by `vary_input`."""

    base: Chart
    mask: Bool[Array, " *input"]
    variable: Variable = eqx.field(static=True)

    def problem(self, value):
        return replace(self.base.problem, inputs=jnp.where(self.mask, value, self.base.problem.inputs))


class VariedParameter(Family):
    """A parameter varies: fixed + p slope, element by element. Made by `vary_parameter`."""

    base: Chart
    fixed: Array
    slope: Array
    variable: Variable = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def problem(self, value):
        system = self.base.system
        parameter = _parameter(system, self.name)  # looked up anew: a stored `get` would be compiled for again
        array = jnp.where(self.slope != 0, self.fixed + value * self.slope, self.fixed)
        return replace(self.base.problem, system=eqx.tree_at(parameter.get, system, array))


class VariedBeta(Family):
    """The strength of a nudge varies. Made by `vary_beta`."""

    base: Chart
    variable: Variable = eqx.field(static=True)

    def problem(self, value):
        return replace(self.base.problem, nudge=replace(self.base.problem.nudge, beta=value))


def vary_input(system: System, inputs=None, which: int | str = 0, *, nudge: Nudge | None = None) -> VariedInput:
    """The landscape as one input takes any value, in the input's unit.

    inputs (input,): the values of the others, in their unit; the system's default ones by default. which: the number of
    the input, or its name where `system.coordinates()` names them. nudge: what pulls on the outputs meanwhile, or None.
    Raises PhysnetError that lists the inputs there are.
    """
    base = Chart.of(system, inputs, nudge)
    known = system.input_variable
    mask, label = _elements(system, known, system.input_shape, which, "vary_input")
    alone = int(np.prod(system.input_shape)) == 1
    return VariedInput(base, jnp.asarray(mask), _element_variable(known, None if alone else label))


def vary_parameter(
    system: System, inputs=None, name: str = "", element=None, *, scaled: bool = False, nudge: Nudge | None = None
) -> VariedParameter:
    """The landscape as one parameter takes any value, in the parameter's unit.

    inputs (input,): held, in their unit; the default ones by default. name: of its Variable among `system.parameters`.
    element: which one: a number, a label where `system.coordinates()` has them, a tuple with one of those for each
    axis, or a mask of booleans shaped like the parameter, for several that are equal (the two entries of a symmetric
    matrix); None for all. scaled: p multiplies what is there instead of replacing it. nudge: what pulls on the outputs,
    or None.
    Raises PhysnetError that lists the parameters or elements there are.
    """
    base = Chart.of(system, inputs, nudge)
    parameter = _parameter(system, name)
    array = jnp.asarray(parameter.get(system))
    if element is None:
        mask, label = np.ones(array.shape, bool), None
    else:
        mask, label = _elements(system, parameter.variable, array.shape, element, "vary_parameter")
    mask = jnp.asarray(mask)
    variable = _element_variable(parameter.variable, label)
    fixed, slope = jnp.where(mask, 0, array), jnp.where(mask, array if scaled else 1, 0).astype(array.dtype)
    if scaled:
        known = variable.long_name or variable.name
        variable = Variable(f"{variable.name}_factor", (), "1", f"factor on: {known}")
        if not bool(jnp.any(slope != 0)):
            raise PhysnetError(f"vary_parameter: {name} is 0, so no factor changes it. Leave scaled=False.")
    return VariedParameter(base, fixed, slope, variable, name)


def vary_beta(system: System, inputs=None, *, cost: Cost, target) -> VariedBeta:
    """The landscape of F = E + beta C as the nudging strength beta grows from 0, free, in units of energy over cost.

    system: the system. inputs (input,): held, in their unit; the default ones by default. cost: of the outputs. target
    (output,): towards which positive beta pulls, in the outputs' unit. Raises PhysnetError for targets that do not fit.
    """
    target = check_targets(system, cost, target, 1)[0]
    nudge = Nudge(cost, target, jnp.zeros((), target.dtype))
    variable = Variable("beta", (), beta_units(system, cost), "size of the nudge, positive towards the target")
    return VariedBeta(Chart.of(system, inputs, nudge), variable)


def _parameter(system: System, name: str) -> Parameter:
    require_instance(system, System, "vary_parameter: system")
    for parameter in system.parameters:
        if parameter.variable.name == name:
            return parameter
    names = ", ".join(f"{p.variable.name} ({p.variable.units})" for p in system.parameters) or "none"
    raise PhysnetError(f"vary_parameter: {type(system).__name__} has no parameter {name!r}. It has: {names}.")


def _element_variable(known: Variable, label: str | None) -> Variable:
    """The variable of one number: an element of `known`, or all of them where no label is given."""
    if label is None:
        return replace(known, dims=())
    suffix = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    return replace(known, name=f"{known.name}_{suffix}", dims=(), long_name=f"{known.long_name or known.name}, {label}")


def _elements(system: System, variable: Variable, shape, which, where: str) -> tuple[np.ndarray, str | None]:
    """(mask of the elements chosen, how to call them)."""
    if np.ndim(which) and not isinstance(which, tuple) and np.asarray(which).dtype == bool:
        mask = np.asarray(which)
        if mask.shape != shape or not mask.any():
            raise PhysnetError(
                f"{where}: a mask of shape {mask.shape} with {mask.sum()} elements chosen; {variable.name} has shape "
                f"{shape}, and one or more must be chosen."
            )
        return mask, "chosen"
    chosen = which if isinstance(which, tuple) else (which,)
    if len(chosen) != len(shape):
        raise PhysnetError(
            f"{where}: {which!r} names an element on {len(chosen)} axes; {variable.name} has shape {shape}, on the "
            f"axes {', '.join(variable.dims) or 'none'}."
        )
    places = [_place(system, *axis, variable, where) for axis in zip(chosen, variable.dims, shape, strict=True)]
    mask = np.zeros(shape, bool)
    mask[tuple(number for number, _ in places)] = True
    return mask, " ".join(label for _, label in places)


def _place(system: System, which, dim: str, size: int, variable: Variable, where: str) -> tuple[int, str]:
    """(number, label) along one axis."""
    named = [(v, labels) for v, labels in system.coordinates() if v.dims == (dim,) and len(labels) == size]
    named.sort(key=lambda pair: pair[0].name != dim)  # the axis' own names first
    labels = tuple(map(str, named[0][1])) if named else tuple(map(str, range(size)))
    if isinstance(which, str) and which in labels:
        return labels.index(which), which
    if isinstance(which, int | np.integer) and not isinstance(which, bool) and -size <= which < size:
        return int(which) % size, labels[which]
    there = ", ".join(labels[:20]) + (", ..." if size > 20 else "")
    raise PhysnetError(
        f"{where}: {variable.name} has no element {which!r} on its axis {dim}. Give a number from 0 to {size - 1}"
        + (f", or one of the names {there}." if named else ".")
    )
