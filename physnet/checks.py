"""What a user hands to a system, checked before anything is traced: inputs and states to start from."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from physnet import precision
from physnet.errors import PhysnetError
from physnet.system import System


def check_inputs(system: System, inputs) -> tuple[Array, bool]:
    """The inputs as an array with a leading sample axis, and whether they had one. Raises PhysnetError."""
    if inputs is None:
        inputs = system.default_inputs()
        if inputs is None:
            raise PhysnetError(
                f"{type(system).__name__}: inputs are missing; pass an array of shape {system.input_shape} "
                f"({system.input_variable.long_name}, {system.input_variable.units})."
            )
    inputs = precision.real_array(inputs, f"{type(system).__name__}: inputs")
    inputs = precision.asarray(inputs, precision.dtype_of(eqx.filter(system, eqx.is_inexact_array)))
    shape = system.input_shape
    if inputs.shape[inputs.ndim - len(shape) :] != shape or inputs.ndim not in (len(shape), len(shape) + 1):
        raise PhysnetError(
            f"{type(system).__name__}: inputs have shape {inputs.shape}; expected {shape} for one sample or "
            f"(sample, {', '.join(map(str, shape))}) for a batch of {system.input_variable.long_name}."
        )
    if not bool(jnp.all(jnp.isfinite(inputs))):
        raise PhysnetError(f"{type(system).__name__}: inputs hold NaN or infinite values; every value must be finite.")
    system.check_values(inputs)
    batched = inputs.ndim == len(shape) + 1
    return (inputs if batched else inputs[None]), batched


def check_initial(system: System, inputs: Array, initial: PyTree, batched: bool) -> PyTree:
    """A state to start from, with a leading sample axis, shaped and typed as the system's own. Raises PhysnetError.

    inputs: (sample, ...). batched: whether the samples of `initial` have that axis already.
    """
    expected = jax.eval_shape(jax.vmap(system.initial_state), inputs)
    where = f"{type(system).__name__}: initial"
    if jax.tree.structure(initial) != jax.tree.structure(expected):
        names = ", ".join(variable.name for variable in system.variables)
        raise PhysnetError(
            f"{where} is a {type(initial).__name__} that is not built like the state of the system ({names}). Change "
            "the `state` of an equilibrium, or system.initial_state(inputs)."
        )

    def check(variable, leaf, like):
        array = precision.real_array(leaf, f"{where}, {variable.name}")
        shape = like.shape if batched else like.shape[1:]
        if array.shape != shape:
            raise PhysnetError(f"{where}: {variable.name} has shape {array.shape}; expected {shape}.")
        return jnp.asarray(array if batched else array[None], like.dtype)

    leaves, structure = jax.tree.flatten(expected)
    checked = map(check, system.variables, jax.tree.leaves(initial), leaves)
    return jax.tree.unflatten(structure, list(checked))
