"""Clamped outputs: coupled learning and contrastive learning."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from physnet import precision
from physnet.augmented import Augmented
from physnet.equilibrium import settle
from physnet.errors import PhysnetError
from physnet.linearise import output_response
from physnet.nudge import Nudge
from physnet.nudging import FREE, Nudging, Phases
from physnet.nudging_scale import nudging_scales
from physnet.relaxers.projected_newton import ProjectedNewton
from physnet.rules import EnergyRule
from physnet.system import System, is_boxed
from physnet.variable import Variable

_INDEPENDENT = 1e-9  # smallest over largest response of outputs that can be held one by one


class Clamped(Nudging):
    """One phase with the outputs held at o + eta (y - o), o the free outputs: g = [dE(clamped) - dE(free)] / eta.

    Coupled learning for small eta (Stern, Hexner, Rocks & Liu 2021, doi:10.1103/PhysRevX.11.021045), contrastive
    learning for eta = 1 (Movellan 1991). As eta goes to 0 it is the gradient, not of the squared error, but of
    (o - y)^T R^-1 (o - y) / 2 with R the response of the outputs to a force on them (ohm), held fixed: for one output
    in its direction, for several a descent with another metric. Needs an energy and a `SquaredError`.

    beta: eta, 0 < eta <= 1, dimensionless. relative: must stay False. The outputs are held by their own forces
    (Lagrange multipliers), or, by relaxers that solve for displacements (`solves_displacement`), by a nudge that is 1e6
    times stiffer than they are (1e3 in single precision), which leaves out as small a share of eta.
    """

    pairs = ((0, FREE),)
    factors = (1.0,)
    order = 1

    def __check_init__(self):
        if self.beta > 1:
            raise PhysnetError(f"Clamped: eta is {self.beta}; give 0 < eta <= 1, the share of the way to the target.")

    def refuses(self, system, cost, rule, relaxer):
        if self.relative:
            return "its eta is a fraction, of the way to the target; leave relative=False."
        if cost.curvature() is None:
            return f"{type(cost).__name__} has no targets that outputs could be held at. Use SquaredError()."
        if not isinstance(rule, EnergyRule):
            return "clamped and free phases are compared by their energies, which it has none of. Use Centred(beta)."
        if system.neutral_modes(system.initial_state(jnp.zeros(system.input_shape))):
            return "nothing fixes its common phase or place, and held outputs may not either. Use Centred(beta)."
        if relaxer.solves_displacement:
            return None
        if is_boxed(system):
            return f"{type(relaxer).__name__} cannot hold outputs inside a box. Use Centred(beta)."
        return ProjectedNewton().refuses(ClampedPhase(system), cost)

    def check(self, system, cost, states, inputs, targets):
        first = jax.tree.map(lambda leaf: leaf[0], states)
        response = np.linalg.eigvalsh(np.asarray(output_response(system, first, inputs[0]), float))
        if not response[0] > _INDEPENDENT * response[-1]:
            raise PhysnetError(
                f"Clamped refuses {type(system).__name__}: its {len(response)} outputs do not move independently "
                f"(eigenvalues of their response from {response[0]:.1e} to {response[-1]:.1e}), so that they cannot be "
                "held at any values. Read fewer outputs, or use Centred(beta)."
            )

    def phases(self, system, inputs, targets, cost, rule, relaxer, *, beta, free, certify=True):
        held = free.outputs + beta[:, None] * (targets - free.outputs)
        if relaxer.solves_displacement:
            stiff = precision.by_precision(None, held.dtype, double=1e6, single=1e3)
            nudge = Nudge(cost, held, stiff * nudging_scales(system, cost, free.state, inputs))
            nudged = settle(system, inputs, nudge, relaxer, reference=free, certify=certify)
            displacement = nudged.displacement
        else:
            start = (free.state, jnp.zeros_like(held))
            nudged = settle(
                ClampedPhase(system), (inputs, held), None, ProjectedNewton(), initial=start, certify=certify
            )
            displacement = jax.tree.map(jnp.subtract, nudged.state[0], free.state)
        nudged, displacement = jax.tree.map(lambda leaf: leaf[None], (nudged, displacement))
        return Phases(nudged, displacement, beta[None], nudged.converged[0])


class ClampedPhase(Augmented):
    """A system whose outputs are held: state (s, forces on the outputs), inputs (inputs, values of the outputs)."""

    system: System

    def residual(self, state, inputs):
        state, multiplier = state
        outputs, pull = jax.vjp(lambda s: self.system.outputs(s, inputs[0]), state)
        (force,) = pull(multiplier)
        return self.system.forced_residual(state, inputs[0], force), outputs - inputs[1]

    def vector_field(self, state, inputs):
        free, held = self.residual(state, inputs)
        return jax.tree.map(jnp.negative, free), held

    def residual_scale(self, state, inputs):
        outputs = self.system.outputs(state[0], inputs[0])
        size = jnp.max(jnp.abs(outputs) + jnp.abs(inputs[1]))
        return self.system.residual_scale(state[0], inputs[0]), jnp.broadcast_to(size, outputs.shape)

    def outputs(self, state, inputs):
        return self.system.outputs(state[0], inputs[0])

    def initial_state(self, inputs: Array, key=None):
        state = self.system.initial_state(inputs, key)
        return state, jnp.zeros_like(self.system.outputs(state, inputs))

    @property
    def variables(self):
        force = Variable("output_force", ("output",), self.system.residual_units, "force that holds each output")
        return (*self.system.variables, force)

    def default_relaxer(self):
        return ProjectedNewton()
