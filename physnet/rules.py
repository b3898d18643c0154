"""What is compared between phases: energies, or, where there is none, the forces that the parameters exert.

With s_beta the steady state of the nudged system, d = ds/d(beta) is measured by a nudging; a learning rule says how
the system is nudged and what is read off d.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, PyTree

from physnet import precision
from physnet.cost import Cost
from physnet.nudge import Nudge
from physnet.problem import Problem, flatten
from physnet.system import System


class LearningRule(eqx.Module):
    """How a system is nudged, and the number whose derivative with respect to its parameters is the gradient.

    Methods take these. system: the system in its free phase. cost: what nudges its outputs. beta, beta_a, beta_b: of a
    phase, (sample,) or of one sample shape (), in units of energy over cost. inputs, targets, target: (sample, input)
    and (sample, output), or of one sample without the first axis, in the unit of the system's inputs and outputs. free:
    the free state, shaped like the system's, with a leading sample axis for a batch.
    """

    @abstractmethod
    def refuses(self, system: System) -> str | None:
        """Why this rule does not work on this system, and what does; None if it does."""

    def nudge(self, system: System, inputs: Array, targets: Array, cost: Cost, beta: Array, free: PyTree) -> Nudge:
        """The nudge of a batch: inputs, targets, beta and the free states with a leading sample axis."""
        return Nudge(cost, targets, beta)

    @abstractmethod
    def quotient(
        self,
        system: System,
        cost: Cost,
        free: PyTree,
        from_a: PyTree,
        beta_a: Array,
        from_b: PyTree,
        beta_b: Array,
        inputs: Array,
        target: Array,
    ) -> Inexact[Array, ""]:
        """What one pair of phases of one sample says, as a function of the system's parameters only; unit of the cost.

        from_a, from_b: displacements of two phases from the free state, shaped like it, settled at beta_a and beta_b.
        """


class EnergyRule(LearningRule):
    """Compares energies: g = d/dtheta [F(s_a) - F(s_b)] / (beta_a - beta_b) with F = E + beta C.

    Local: a parameter's gradient depends on its own term of the energy. Scellier & Bengio 2017,
    doi:10.3389/fncom.2017.00024.
    """

    def refuses(self, system):
        if system.conservative:
            return None
        return (
            f"{type(system).__name__} has no energy, so a difference of energies is not its gradient. Use "
            f"rule=CorrectedRule(), which is exact without one, or implicit_gradient.{system.why_no_energy()}"
        )

    def quotient(self, system, cost, free, from_a, beta_a, from_b, beta_b, inputs, target):
        weight = 1 / (beta_a - beta_b)
        energy = weight * energy_difference(system, free, from_a, from_b, inputs)
        at_a, at_b = (jax.tree.map(jnp.add, free, displacement) for displacement in (from_a, from_b))
        cost_a = cost(system.outputs(at_a, inputs), target)
        cost_b = cost(system.outputs(at_b, inputs), target)
        return energy + weight * (beta_a * cost_a - beta_b * cost_b)


def energy_difference(
    system: System, free: PyTree, from_a: PyTree, from_b: PyTree, inputs: Array
) -> Inexact[Array, ""]:
    """E(free + from_a) - E(free + from_b), fit to be differentiated with respect to the parameters.

    Where dE/dtheta is quadratic in the state its difference is exactly its derivative at the midpoint along s_a - s_b:
    no two large numbers are subtracted, which is what keeps single precision sound.
    """
    if system.midpoint_exact:
        midpoint = jax.tree.map(lambda s, a, b: s + (a + b) / 2, free, from_a, from_b)
        step = jax.tree.map(jnp.subtract, from_a, from_b)
        return jax.jvp(lambda s: system.energy(s, inputs), (midpoint,), (step,))[1]
    at_a, at_b = (jax.tree.map(jnp.add, free, displacement) for displacement in (from_a, from_b))
    return system.energy(at_a, inputs) - system.energy(at_b, inputs)


class VectorFieldRule(LearningRule):
    """Reads the force at the free state: g = dC/dtheta - (df/dtheta)^T G d, f the system's force, d = ds/d(beta).

    Needs no energy, but is exact only where the Jacobian of the force is symmetric in the metric G; otherwise its
    error grows with the antisymmetric part (`check_gradient` measures it). Scellier, Goyal, Binas, Mesnard & Bengio
    2018, arXiv:1808.04873.
    """

    def refuses(self, system):
        return None

    def nudge(self, system, inputs, targets, cost, beta, free):
        return Nudge(cost, targets, beta, metric=jax.vmap(system.metric)(free, inputs))

    def quotient(self, system, cost, free, from_a, beta_a, from_b, beta_b, inputs, target):
        problem = Problem(system, inputs, Nudge(cost, target, beta_a, metric=system.metric(free, inputs)))
        problem = jax.lax.stop_gradient(problem)
        step = jax.tree.map(lambda a, b: (a - b) / (beta_a - beta_b), from_a, from_b)
        if system.conservative:  # by the energy, whose parameters may stand in several forces (W_ij = W_ji)
            work = -jax.jvp(lambda s: system.energy(s, inputs), (precision.cast_like(free, step),), (step,))[1]
        else:
            work = jnp.sum(flatten(system.force(free, inputs)) * flatten(problem.raised(step)))
        return cost(system.outputs(free, inputs), target) - work


class CorrectedRule(VectorFieldRule):
    """The vector-field rule on a system that is made reciprocal while it is nudged: exact for any Jacobian.

    In the nudged phases the force (J - G^-1 J^T G)(s - s0) is added, J the Jacobian of the residual at the free state
    s0: the response to the nudge is then the adjoint's. Scurria et al. 2026, arXiv:2602.03670. On a system with an
    energy nothing needs correcting, and the rule is the vector-field rule.
    """

    def nudge(self, system, inputs, targets, cost, beta, free):
        plain = super().nudge(system, inputs, targets, cost, beta, free)
        if system.conservative:
            return plain
        return Nudge(cost, targets, beta, anchor=free, metric=plain.metric)


def rule_for(system: System) -> LearningRule:
    """The rule that is exact on this system: energies where it has one, else the corrected vector field."""
    return EnergyRule() if system.conservative else CorrectedRule()
