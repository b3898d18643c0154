"""How the outputs are nudged: finite-difference stencils for d/d(beta) at beta = 0.

The learning signal of Equilibrium Propagation is dL/dtheta = d/d(beta) of dF/dtheta at the steady state of
F = E + beta C (Scellier & Bengio 2017, doi:10.3389/fncom.2017.00024). A nudging says at which betas the system is
settled and which pairs of those steady states are subtracted.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Inexact, PRNGKeyArray, PyTree

from physnet.cost import Cost
from physnet.equilibrium import Equilibrium, settle
from physnet.errors import PhysnetError
from physnet.relaxers.base import Relaxer
from physnet.system import System

if TYPE_CHECKING:
    from physnet.rules import LearningRule

FREE = -1  # index of the free phase in a pair


class Phases(eqx.Module):
    """The nudged phases of a batch, (phase, sample, ...).

    equilibrium: their steady states with certificates. displacement: state minus free state, shaped like the state,
    complex where beta is. betas: what the energies' difference is divided by, in units of energy over cost. converged:
    (sample,) in all phases.
    """

    equilibrium: Equilibrium
    displacement: PyTree
    betas: Inexact[Array, "phase sample"]
    converged: Bool[Array, " sample"]


class Nudging(eqx.Module):
    """A stencil: the mean over `pairs`, by `weights`, of (dF/dtheta at phase a - at phase b) / (beta_a - beta_b).

    beta: size of the nudge, positive; in units of energy over cost (siemens for a circuit with a squared error), or,
    with relative=True, in units of each sample's `nudging_scale`. relative: which of the two.

    Methods take these. system, cost, rule, relaxer: what is nudged, by what, how its phases are compared and what
    settles them. inputs, targets: (sample, input) and (sample, output), in the unit of the system's inputs and outputs.
    states: free states, shaped like the system's, with a leading sample axis. free: the free phase of the batch.
    certify: measure every residual exactly. key: a JAX random key, for what is random.
    """

    beta: float = eqx.field(static=True)
    relative: bool = eqx.field(static=True, default=False)

    is_random: ClassVar[bool] = False  # whether `drawn` needs a key

    def __check_init__(self):
        name = type(self).__name__
        if isinstance(self.beta, bool) or not isinstance(self.beta, int | float | np.integer | np.floating):
            raise PhysnetError(f"{name}: beta is {self.beta!r}; give one number, such as {name}(beta=1e-2).")
        if not np.isfinite(self.beta) or self.beta == 0:
            raise PhysnetError(
                f"{name}: beta is {self.beta}; it must be finite and not 0, since the gradient is a difference over "
                f"beta. Try {name}(beta=1e-2, relative=True)."
            )
        if self.beta < 0:
            raise PhysnetError(
                f"{name}: beta is {self.beta}; give its size as a positive number. For one nudge away from the target "
                "use OneSided(beta, sign=-1)."
            )

    @property
    @abstractmethod
    def factors(self) -> tuple[complex, ...]:
        """The beta of each nudged phase, in units of `beta`."""

    @property
    @abstractmethod
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(phase a, phase b) whose quotients are averaged; FREE for the free phase."""

    @property
    @abstractmethod
    def order(self) -> int:
        """The bias of the gradient is O(beta^order)."""

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each pair in the average; all alike unless a phase stands for several."""
        return (1 / len(self.pairs),) * len(self.pairs)

    @property
    def most_negative(self) -> float:
        """Size of the most negative beta, in units of `beta`; 0 where all are positive."""
        return max(0.0, -min(factor.real for factor in self.factors))

    def refuses(self, system: System, cost: Cost, rule: "LearningRule", relaxer: Relaxer) -> str | None:
        """Why this nudging does not work on this system, with this cost and rule, and what to use; None if it does."""
        return None

    def check(self, system: System, cost: Cost, states: PyTree, inputs: Array, targets: Array) -> None:
        """Raises PhysnetError where the free states (sample, ...) show that this nudging does not work."""

    def drawn(self, beta: Float[Array, " sample"], key: PRNGKeyArray | None) -> Float[Array, " sample"]:
        """The betas of a batch, with whatever is random about them, in units of energy over cost.

        beta: of each sample, as asked for, in units of energy over cost. key: a JAX random key, needed where
        `is_random`.
        """
        return beta

    def phases(
        self,
        system: System,
        inputs: Array,
        targets: Array,
        cost: Cost,
        rule: "LearningRule",
        relaxer: Relaxer,
        *,
        beta: Float[Array, " sample"],
        free: Equilibrium,
        certify: bool = True,
    ) -> Phases:
        """Settles all nudged phases in one batch, each started at the free state. Traceable.

        beta: of each sample, in units of energy over cost.
        """
        betas = jnp.stack([factor * beta for factor in self.factors])

        def phase(beta):
            nudge = rule.nudge(system, inputs, targets, cost, beta, free.state)
            return settle(system, inputs, nudge, relaxer, reference=free, certify=certify)

        nudged = jax.vmap(phase)(betas)
        return Phases(nudged, nudged.displacement, betas, jnp.all(nudged.converged, axis=0))


class OneSided(Nudging):
    """Free phase and one nudged phase: g = (dF(beta) - dF(0)) / beta, biased by O(beta).

    sign: +1 nudges towards the target, -1 away from it (bias of the other sign).
    """

    sign: int = eqx.field(static=True, default=1)

    pairs = ((0, FREE),)
    order = 1

    def __check_init__(self):
        if self.sign not in (1, -1):
            raise PhysnetError(f"OneSided: sign is {self.sign!r}; it is +1 (towards the target) or -1 (away from it).")

    @property
    def factors(self):
        return (1.0,) if self.sign > 0 else (-1.0,)


class RandomSign(Nudging):
    """One nudged phase, for each sample towards the target or away from it at random: the biases cancel on average.

    g = (dF(+-beta) - dF(0)) / +-beta; each draw is biased by O(beta), their mean by O(beta^2). The sign is drawn from
    the `key` of `ep_gradient`, or of `fit`. Laborieux et al. 2021, doi:10.3389/fnins.2021.633674.
    """

    pairs = ((0, FREE),)
    factors = (1.0,)
    order = 1
    is_random = True

    @property
    def most_negative(self):
        return 1.0

    def drawn(self, beta, key):
        return beta * jax.random.rademacher(key, beta.shape, beta.dtype)


class Centred(Nudging):
    """Two nudged phases of either sign: g = (dF(beta) - dF(-beta)) / (2 beta), biased by O(beta^2).

    Laborieux et al. 2021, doi:10.3389/fnins.2021.633674.
    """

    pairs = ((0, 1),)
    factors = (1.0, -1.0)
    order = 2
