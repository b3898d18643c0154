"""Many copies of one circuit that learn side by side, each with its own conductances and its own data.

`physnet.fit` trains one system at a time; seeds are one more array axis here, and rules share the network.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from circuits import CircuitSystem
from circuits.power import branch_powers
from physnet import Centred, Clamped, SquaredError
from physnet.equilibrium import settle
from physnet.gradients import phase_gradient
from physnet.nudging import Nudging

COST = SquaredError()


def placed(system: CircuitSystem, conductances: Float[Array, " edge"]) -> CircuitSystem:
    """The circuit with these conductances, S, of its trainable resistors."""
    return eqx.tree_at(_devices(system).get, system, conductances)


def _devices(system):
    (parameter,) = (p for p in system.parameters if p.trainable)
    return parameter


def stencil(rule: str, scale: Float[Array, " copy"], *, beta: float, eta: float) -> tuple[Nudging, Array]:
    """(a nudging of size 1, what `learn` multiplies it by in every copy). rule: ep or coupled.

    beta: of ep, in units of the nudging scale, S. eta: of coupled learning.
    """
    if rule == "ep":
        return Centred(1.0, relative=True), beta * scale
    return Clamped(1.0, relative=True), jnp.full_like(scale, eta)


class Learned(NamedTuple):
    """What the phases of all samples say, of every copy.

    gradient: V2 S-1, or, where outputs are clamped, V2. cost: of the free phases, V2. residual: their largest relative
    one. converged: fraction of samples whose phases all settled.
    """

    gradient: Float[Array, "copy edge"]
    cost: Float[Array, " copy"]
    residual: Float[Array, " copy"]
    converged: Float[Array, " copy"]


@eqx.filter_jit
def learn(
    system: CircuitSystem,
    conductances: Float[Array, "copy edge"],
    inputs: Float[Array, "copy sample input"],
    targets: Float[Array, "copy sample output"],
    nudging: Nudging,
    beta: Float[Array, " copy"],
) -> Learned:
    """The rule's gradient, averaged over the samples: what each edge reads off its own voltages.

    nudging: a stencil of size 1 that `beta` multiplies (see `stencil`).
    """
    relaxer = system.default_relaxer()

    def one(g, inputs, targets, beta):
        scale = jnp.broadcast_to(beta, inputs.shape[:1])
        found = phase_gradient(placed(system, g), inputs, targets, COST, nudging, relaxer, scale=scale, certify=False)
        fraction = jnp.mean(found.converged, dtype=g.dtype)
        return Learned(_devices(system).get(found.gradient), found.cost, jnp.max(found.free.residual), fraction)

    return jax.vmap(one)(conductances, inputs, targets, beta)


class Answered(NamedTuple):
    """Free states: outputs, V; potential of every node, V; power of each edge, W; certificates."""

    outputs: Float[Array, "copy sample output"]
    potentials: Float[Array, "copy sample node"]
    edge_power: Float[Array, "copy sample edge"]
    residual: Float[Array, "copy sample"]
    converged: Bool[Array, "copy sample"]


@eqx.filter_jit
def answer(system: CircuitSystem, conductances, inputs) -> Answered:
    """The free states of every copy; inputs: (copy, sample, input), V. Nodes are those of `system.labels.nodes`."""
    relaxer = system.default_relaxer()
    names = next(group.names for group in system.groups() if getattr(group.element, "trainable", False))
    places = np.array([system.branch_names.index(name) for name in names])

    def one(g, inputs):
        here = placed(system, g)
        free = settle(here, inputs, None, relaxer)
        power = jax.vmap(lambda state, x: branch_powers(here, state, x)[places])(free.state, inputs)
        potentials = jax.vmap(here.potentials)(free.state, inputs)
        return Answered(free.outputs, potentials, power, free.residual, free.converged)

    return jax.vmap(one)(conductances, inputs)


@eqx.filter_jit
def scales(system: CircuitSystem, conductances, inputs) -> Float[Array, " copy"]:
    """Nudging scale, S, of every copy: the smallest eigenvalue of the output Thevenin conductance."""

    def one(g, inputs):
        here = placed(system, g)
        return here.nudging_scale(here.initial_state(inputs[0]), inputs[0])

    return jax.vmap(one)(conductances, inputs)
