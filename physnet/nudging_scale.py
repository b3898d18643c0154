"""The size that beta is measured against, and how negative it may be."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from physnet.cost import Cost
from physnet.errors import PhysnetError
from physnet.system import System
from physnet.variable import quotient_units

if TYPE_CHECKING:
    from physnet.nudging import Nudging


def nudging_unit(system: System, cost: Cost, state: PyTree, inputs: Array) -> Float[Array, ""]:
    """The unit of a relative beta for one sample: the outputs' stiffness over the cost's largest curvature.

    Below it the nudged energy curves upwards along every change of the outputs, either sign of beta.
    """
    return system.nudging_scale(state, inputs) / cost.largest_curvature()


@eqx.filter_jit
def nudging_scales(system: System, cost: Cost, states: PyTree, inputs: Array) -> Float[Array, " sample"]:
    """`nudging_unit` of every sample at its free state (sample, ...)."""
    return jax.vmap(lambda state, inputs: nudging_unit(system, cost, state, inputs))(states, inputs)


def check_nudging(nudging: "Nudging", cost: Cost, scales: Array, where: str, units: str = "S") -> None:
    """Raises PhysnetError if the most negative beta of a stencil would unbind the outputs of any sample."""
    scales = np.asarray(scales)
    unit = scales if nudging.relative else np.ones_like(scales)
    check_beta(-nudging.most_negative * nudging.beta * unit, cost, scales, where, units)


def check_beta(betas, cost: Cost, scales, where: str, units: str = "S") -> None:
    """Raises PhysnetError where -beta is not below the nudging scale of its sample.

    betas, scales: (sample,), in `units`. A cost that is not quadratic grows more slowly than the energy, so that beyond
    the scale the nudged energy may have several minima, but it has one: such costs are not refused.
    """
    betas, scales = np.broadcast_arrays(np.asarray(betas, float), np.asarray(scales, float))
    if np.isnan(scales).any():
        raise PhysnetError(
            f"{where}: the nudging scale is NaN: the free state has no finite linear response (a singular Jacobian), "
            "so beta has no unit and its sign no limit. Look for parts of the system that nothing holds in place."
        )
    beyond = (betas < 0) & ~(-betas < scales)
    if beyond.any() and cost.curvature() is not None:
        worst = int(np.argmax(beyond))
        raise PhysnetError(
            f"{where}: beta = {betas.flat[worst]:.4g} {units} is too negative: at -{scales.flat[worst]:.4g} {units} "
            "(the smallest stiffness of the outputs; in a circuit, the smallest eigenvalue of their Thevenin "
            "conductance) the energy has no minimum. Use a smaller beta (a tenth of that is gentle), a relative one "
            "(beta=0.1, relative=True), or a one-sided nudge."
        )


def beta_units(system: System, cost: Cost) -> str:
    """Unit of an absolute beta, energy over cost: S for a co-content in watt and a cost in square volts."""
    units = quotient_units(system.energy_units, cost.units(system.output_variable.units))
    return "S" if units == "W V-2" else units
