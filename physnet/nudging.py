"""How the outputs are nudged: finite-difference stencils for d/d(beta) at beta = 0.

The learning signal of Equilibrium Propagation is dL/dtheta = d/d(beta) of dF/dtheta at the steady state of
F = E + beta C (Scellier & Bengio 2017, doi:10.3389/fncom.2017.00024). A nudging says at which betas the system is
settled and which pairs of those steady states are subtracted.
"""

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from physnet.cost import Cost
from physnet.errors import PhysnetError

FREE = -1  # index of the free phase in a pair


class Nudge(eqx.Module):
    """One nudged phase of one sample: the force beta dC/ds that pulls the outputs towards the target.

    cost: the cost; target: (output,); beta: scalar, in units of energy over cost, positive towards the target.
    """

    cost: Cost
    target: Float[Array, " *sample output"]
    beta: Float[Array, " *sample"]


class Nudging(eqx.Module):
    """A stencil: the mean over `pairs` of (dF/dtheta at phase a - at phase b) / (beta_a - beta_b).

    beta: size of the nudge, positive; in units of energy over cost (siemens for a circuit with a squared error), or,
    with relative=True, in units of each sample's `nudging_scale`.
    """

    beta: float = eqx.field(static=True)
    relative: bool = eqx.field(static=True, default=False)

    pairs: ClassVar[tuple[tuple[int, int], ...]]  # (phase a, phase b), FREE for the free phase
    order: ClassVar[int]  # the bias of the gradient is O(beta^order)

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
    def factors(self) -> tuple[float, ...]:
        """beta of each nudged phase, in units of `beta`."""

    @property
    def most_negative(self) -> float:
        """Size of the most negative beta, in units of `beta`; 0 where all are positive."""
        return max(0.0, -min(self.factors))


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


class Centred(Nudging):
    """Two nudged phases of either sign: g = (dF(beta) - dF(-beta)) / (2 beta), biased by O(beta^2).

    Laborieux et al. 2021, doi:10.3389/fnins.2021.633674.
    """

    pairs = ((0, 1),)
    order = 2

    @property
    def factors(self):
        return (1.0, -1.0)
