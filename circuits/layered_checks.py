"""What a layered network can be built from, checked before anything is traced."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from circuits.elements.ideal_diode import IdealDiode
from circuits.elements.shockley_diode import ShockleyDiode
from physnet import precision
from physnet.errors import PhysnetError


def matrices(conductances) -> tuple[Array, ...]:
    """Each of the conductances as an array of floats."""
    try:
        conductances = tuple(conductances)
    except TypeError:
        raise PhysnetError("LayeredNetwork: conductances are a sequence of matrices (before, after), S.") from None
    arrays = [precision.real_array(g, f"LayeredNetwork: conductances[{i}]") for i, g in enumerate(conductances)]
    return tuple(jnp.asarray(g, None if jnp.issubdtype(g.dtype, jnp.floating) else float) for g in arrays)


def check_scalar(name: str, value, units: str) -> None:
    """Raises PhysnetError unless `value` is one finite number above 0, in `units`."""
    if isinstance(value, jax.core.Tracer):
        return
    array = np.asarray(precision.real_array(value, f"LayeredNetwork: {name}"))
    if array.ndim:
        raise PhysnetError(f"LayeredNetwork: {name} has shape {array.shape}; give one number, {units}.")
    if not (array > 0 and np.isfinite(array)):
        raise PhysnetError(f"LayeredNetwork: {name} is {array:.6g} {units}; it must be finite and above 0.")


def check_diode(diode) -> None:
    """Raises PhysnetError unless `diode` is an ideal or a Shockley diode with single values, or None."""
    if isinstance(diode, type) and issubclass(diode, IdealDiode | ShockleyDiode):
        raise PhysnetError(f"LayeredNetwork: diode is the class {diode.__name__}; did you forget the parentheses?")
    if diode is not None and not isinstance(diode, IdealDiode | ShockleyDiode):
        raise PhysnetError(f"LayeredNetwork: diode is {diode!r}; pass IdealDiode(), ShockleyDiode(...) or None.")
    if any(np.ndim(leaf) for leaf in jax.tree.leaves(diode)):
        raise PhysnetError("LayeredNetwork: the diode's values are arrays; all hidden nodes share one diode's values.")


def check_conductances(conductances) -> None:
    """Raises PhysnetError for matrices that do not fit together, values that are not conductances, floating nodes."""
    if not conductances:
        raise PhysnetError("LayeredNetwork: no conductances; give one matrix (before, after) per pair of layers.")
    for i, g in enumerate(conductances):
        name = f"LayeredNetwork: conductances[{i}]"
        if g.ndim != 2 or 0 in g.shape:
            raise PhysnetError(f"{name} has shape {g.shape}; expected a matrix (before, after).")
        if i and g.shape[0] != conductances[i - 1].shape[1]:
            raise PhysnetError(
                f"{name} has {g.shape[0]} rows; the layer before it has {conductances[i - 1].shape[1]} nodes."
            )
        if isinstance(g, jax.core.Tracer):
            continue
        values = np.asarray(g)
        bad = ~(values >= 0) | ~np.isfinite(values)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise PhysnetError(
                f"{name}: conductance [{row}, {column}] is {values[row, column]} S; conductances are finite and >= 0 "
                "(0 S is an open branch). Did you pass ohms, or weights of either sign?"
            )
    if conductances[0].shape[0] % 2:
        raise PhysnetError(
            f"LayeredNetwork: conductances[0] has {conductances[0].shape[0]} rows; every input drives two nodes "
            "(+ and -), so the number of rows is even."
        )
    _check_connected(conductances)


def _check_connected(conductances) -> None:
    """A settling node that no path of branches joins to a source floats: its voltage is undefined."""
    if any(isinstance(g, jax.core.Tracer) for g in conductances):
        return
    matrices = [np.asarray(g) for g in conductances]
    reached = [np.ones(len(matrices[0]), bool), *(np.zeros(g.shape[1], bool) for g in matrices)]
    count = -1
    while count < (count := sum(int(layer.sum()) for layer in reached)):
        for i, g in enumerate(matrices):
            reached[i + 1] |= reached[i].astype(g.dtype) @ g > 0
        if all(layer.all() for layer in reached):
            return
        for i, g in reversed(list(enumerate(matrices))):
            reached[i] |= g @ reached[i + 1].astype(g.dtype) > 0
    names = [*(f"hidden_{i + 1}" for i in range(len(matrices) - 1)), "output"]
    apart = [f"node {k} of layer {name}" for name, layer in zip(names, reached[1:]) for k in np.flatnonzero(~layer)]
    others = f" (and {len(apart) - 1} more, {apart[1]} the next)" if len(apart) > 1 else ""
    raise PhysnetError(
        f"LayeredNetwork: {apart[0]} floats{others}: no path of conductances above 0 S leads from it to a source. "
        "Give it at least one branch to a node that has one."
    )
