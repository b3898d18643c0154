"""What is asked of the outputs. A cost is a Module: equal costs share one compiled program."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.nn import log_softmax
from jaxtyping import Array, Float

from physnet.errors import PhysnetError, require_instance


class Cost(eqx.Module):
    """C(outputs, target) of one sample, at least zero.

    Methods take these. outputs, target: (output,), in the unit of the system's outputs.
    """

    @abstractmethod
    def __call__(self, outputs: Float[Array, " output"], target: Float[Array, " output"]) -> Float[Array, ""]:
        """The cost of one sample, in the unit that `units` says."""

    def curvature(self) -> float | None:
        """c where C = c |outputs - target|^2 / 2 exactly, so that a nudge is a conductance; None for other costs.

        In the unit of the cost over that of the outputs squared.
        """
        return None

    def units(self, output_units: str) -> str:
        """The unit of the cost; 1 unless the cost says otherwise. output_units: of the outputs, such as "V"."""
        return "1"

    @abstractmethod
    def largest_curvature(self) -> float:
        """An upper bound of d2C/d(outputs)2 along any direction, what a beta is measured against.

        In the unit of the cost over that of the outputs squared.
        """

    def check(self, targets: np.ndarray) -> None:
        """Raises PhysnetError for targets that this cost cannot take.

        targets: (sample, output), in the unit of the outputs.
        """


class SquaredError(Cost):
    """C = |outputs - target|^2 / 2, in the square of the outputs' unit."""

    def __call__(self, outputs, target):
        return 0.5 * jnp.sum((outputs - target) ** 2)

    def curvature(self):
        return 1.0

    def largest_curvature(self):
        return 1.0

    def units(self, output_units):
        return "1" if output_units == "1" else " ".join(f"{factor}2" for factor in output_units.split())


class CrossEntropy(Cost):
    """C = -sum_k target_k log softmax(outputs / temperature)_k, dimensionless.

    temperature: in the outputs' unit; the target of a sample is a probability for each output, summing to one.
    """

    temperature: float = eqx.field(static=True, default=1.0)

    def __call__(self, outputs, target):
        return -jnp.sum(target * log_softmax(outputs / self.temperature))

    def largest_curvature(self):
        return 0.5 / self.temperature**2  # diag(p) - p p^T has no eigenvalue above 1/2

    def check(self, targets):
        sums = np.sum(targets, axis=-1)
        if np.any(targets < 0) or np.any(np.abs(sums - 1) > 1e-4):
            raise PhysnetError(
                f"CrossEntropy: targets are probabilities that sum to 1; found a sum of {np.ravel(sums)[0]:.4g} and a "
                f"smallest value of {np.min(targets):.4g}. Pass one-hot rows, or use SquaredError()."
            )


def check_targets(system, cost: Cost, targets, samples: int):
    """Targets as an array (sample, output), checked against the system's outputs. Raises PhysnetError."""
    import jax

    from physnet import precision

    dtype = precision.dtype_of(eqx.filter(system, eqx.is_inexact_array))
    require_instance(cost, Cost, "cost")
    targets = np.asarray(precision.real_array(targets, "targets"))
    state, inputs = jax.eval_shape(
        lambda: (lambda x: (system.initial_state(x), x))(jnp.zeros(system.input_shape, dtype))
    )
    shape = jax.eval_shape(system.outputs, state, inputs).shape
    if targets.shape == shape:
        targets = np.broadcast_to(targets, (samples, *shape)) if samples == 1 else targets
    if targets.shape != (samples, *shape):
        raise PhysnetError(
            f"targets have shape {targets.shape}; expected {(samples, *shape)}: one row of {shape[0]} "
            f"{system.output_variable.long_name} for each of the {samples} samples of inputs."
        )
    if not np.all(np.isfinite(targets)):
        raise PhysnetError("targets hold NaN or infinite values; every value must be finite.")
    cost.check(targets)
    return precision.asarray(targets, dtype)
