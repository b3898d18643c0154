"""How well a state obeys Kirchhoff's current law, node by node."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from circuits.contract import CircuitContract
from physnet.errors import PhysnetError


@dataclass(frozen=True)
class KirchhoffCertificate:
    """The worst node of a state, and by how much its currents miss Kirchhoff's current law.

    imbalance: the largest |sum of currents| at a free node, A, and `node`, where it is. relative: the largest |sum of
    currents| / sum of |currents|, at `relative_node`; a node whose currents lie below what potentials in floating point
    resolve counts with that in the place of their sum (`Network.balance_scale`). resolution: that as a share of sum g
    (|v_a| + |v_b|).
    """

    imbalance: float
    node: str
    relative: float
    relative_node: str
    resolution: float

    def __str__(self):
        return (
            f"largest current imbalance {self.imbalance:.3g} A at node {self.node}; relative to the currents there at "
            f"most {self.relative:.3g} (node {self.relative_node})"
        )


def kirchhoff_certificate(equilibrium) -> KirchhoffCertificate:
    """The certificate of an equilibrium of a circuit, the worst of its samples; without the currents of a nudge.

    equilibrium: what `relax` returned. Nodes that voltage sources tie together count as one, by the name of the first;
    a node that an ideal diode holds against its bound is left out, the diode carrying what is missing. Raises
    PhysnetError for another system.
    """
    system = equilibrium.system
    if not isinstance(system, CircuitContract):
        raise PhysnetError(
            f"kirchhoff_certificate: this is a state of {'no system' if system is None else type(system).__name__}; "
            "pass what relax() returned for a circuit made by Circuit.build()."
        )
    batched = jnp.ndim(equilibrium.residual) > 0
    measure = jax.vmap(_measure, in_axes=(None, 0, 0)) if batched else _measure
    imbalance, relative = (
        np.asarray(x) for x in eqx.filter_jit(measure)(system, equilibrium.state, equilibrium.inputs)
    )
    worst, ratio = (int(np.argmax(x)) % x.shape[-1] for x in (imbalance, relative))
    free = system.labels.free
    return KirchhoffCertificate(
        float(imbalance.max()),
        free[worst],
        float(relative.max()),
        free[ratio],
        float(np.finfo(system.network.dtype).eps ** 0.2),
    )


def _measure(system, state, inputs):
    driven, unknowns = system.driven(inputs), system.unknowns(state)
    residual = jnp.abs(driven.balance(unknowns))
    box = driven.bounds()
    if box is not None:
        signed = driven.balance(unknowns)
        held = ((unknowns <= box[0]) & (signed >= 0)) | ((unknowns >= box[1]) & (signed <= 0))
        residual = jnp.where(held, 0, residual)
    scale = driven.balance_scale(unknowns)
    relative = jnp.where(residual == 0, 0, residual / jnp.where(scale > 0, scale, jnp.finfo(scale.dtype).tiny))
    return residual[: driven.free], relative[: driven.free]
