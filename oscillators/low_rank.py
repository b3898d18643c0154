"""Couplings of low rank: many oscillators that act on each other through a few collective patterns."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from oscillators import checks
from oscillators.coupling import Coupling, described, hermitian_part, like, ratio, rotate
from physnet.errors import PhysnetError
from physnet.system import Parameter
from physnet.variable import Variable


class LowRank(Coupling):
    """A matrix of low rank without its diagonal: W_ij = sum_k left_ik right_jk, i != j. O(N rank).

    left, right: (N, rank), in Hz and dimensionless; only their product has a meaning, W/2pi in Hz. phase: b, rad, one
    number, or None.
    delay: s. Raises PhysnetError for shapes that do not fit and values that are not finite.
    """

    left: Float[Array, "oscillator rank"]
    right: Float[Array, "oscillator rank"]
    phase: Float[Array, ""] | None
    delay: float = eqx.field(static=True)

    def __init__(self, left, right, phase=None, delay=0.0):
        self.left = checks.floats(left, "LowRank: left", "Hz")
        if self.left.ndim != 2 or 0 in self.left.shape:
            raise PhysnetError(f"LowRank: left has shape {self.left.shape}; give (oscillator, rank).")
        self.right = checks.floats(right, "LowRank: right", "1", shape=self.left.shape)
        self.left, self.right = (
            jnp.asarray(a, jnp.result_type(self.left, self.right)) for a in (self.left, self.right)
        )
        self.phase = like(phase, self.left, "LowRank: phase", shape=())
        self.delay = checks.seconds(delay, "LowRank: delay")

    @property
    def size(self):
        return self.left.shape[0]

    @property
    def parameters(self):
        factors = (
            Parameter(
                Variable("coupling_left", ("oscillator", "rank"), "Hz", "left factor of W/2pi"), lambda c: c.left
            ),
            Parameter(
                Variable("coupling_right", ("oscillator", "rank"), "1", "right factor of W/2pi"), lambda c: c.right
            ),
        )
        return factors + described(self, None, lambda c: c.phase, ())

    def apply(self, real, imag):
        own = jnp.sum(self.left * self.right, axis=1)
        c, d = (self.left @ (self.right.T @ part) - own * part for part in (real, imag))
        return rotate(c, d, self.phase)

    def total_strength(self):
        return jnp.abs(self.left) @ jnp.sum(jnp.abs(self.right), axis=0)

    def _matrices(self):
        weights = np.asarray(self.left) @ np.asarray(self.right).T
        np.fill_diagonal(weights, 0)
        phase = 0.0 if self.phase is None else np.asarray(self.phase)
        return weights, np.where(np.eye(self.size, dtype=bool), 0, phase)

    def _norms(self) -> tuple[float, float]:
        """(|W - W^T|, |W + W^T|) without the matrix, from the (rank, rank) products of the factors."""
        left, right = np.asarray(self.left, float), np.asarray(self.right, float)
        turned = np.hstack([right, left])
        own = 4 * np.sum(np.sum(left * right, axis=1) ** 2)  # the diagonal, which is in the products, of W + W^T

        def norm(sign, diagonal):
            factor = np.hstack([left, sign * right])
            return np.sqrt(max(np.sum((factor.T @ factor) * (turned.T @ turned)) - diagonal, 0.0))

        return norm(-1, 0.0), norm(1, own)

    def asymmetry(self):
        return ratio(*self._norms())

    def irreversibility(self):
        phase = 0.0 if self.phase is None else float(self.phase)
        odd, even = self._norms()
        c, s = np.cos(phase), np.sin(phase)
        return ratio(np.hypot(c * odd, s * even), np.hypot(c * even, s * odd))

    def symmetrised(self):
        phase = 0.0 if self.phase is None else self.phase
        if self.phase is not None and self._norms()[0] > 0:
            return hermitian_part(self)
        half = 0.5 * jnp.cos(phase)
        left, right = jnp.hstack([self.left, self.right]), jnp.hstack([self.right, self.left])
        return LowRank(jnp.asarray(half * left, left.dtype), right, delay=self.delay)
