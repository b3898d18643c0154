"""Conductances of many devices: given as numbers, or drawn."""

from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from circuits.elements.base import at_least_zero, first_not
from physnet.errors import PhysnetError

Conductances = float | np.ndarray | Array | Callable[[PRNGKeyArray, int], Array]


class Uniform(eqx.Module):
    """Conductances, S, drawn independently from a uniform law: `Uniform(1e-6, 1e-4)(key, m)` has shape (m,).

    lowest, highest: its ends, S. A call takes key: a JAX random key, and count: how many to draw. Raises PhysnetError
    unless 0 <= lowest <= highest.
    """

    lowest: float
    highest: float

    def __check_init__(self):
        if not (0 <= self.lowest <= self.highest and np.isfinite(self.highest)):
            raise PhysnetError(
                f"Uniform: conductances from {self.lowest:.6g} S to {self.highest:.6g} S; give 0 <= lowest <= highest."
            )

    def __call__(self, key: PRNGKeyArray, count: int) -> Float[Array, " count"]:
        return jax.random.uniform(key, (count,), float, self.lowest, self.highest)


def conductances(where: str, values: Conductances, count: int, key: PRNGKeyArray | None) -> np.ndarray:
    """`count` conductances, S, of what a generator was given: one for all, one for each, or a function to draw them.

    Raises PhysnetError that starts with `where` for values that are no conductances, too few of them, or no key.
    """
    if callable(values):
        if key is None:
            raise PhysnetError(f"{where}: conductances are drawn by {values!r}; pass key=jax.random.key(seed).")
        values = values(key, count)
    try:
        found = np.asarray(values, float)
    except (TypeError, ValueError):
        raise PhysnetError(f"{where}: conductance {values!r}; give S, such as 1e-3, or Uniform(1e-6, 1e-4).") from None
    if found.shape not in ((), (count,)):
        raise PhysnetError(
            f"{where}: conductances have shape {found.shape}; give one, or {count}: one for each device."
        )
    wrong = first_not(at_least_zero, found)
    if wrong is not None:
        raise PhysnetError(
            f"{where}: conductance {wrong:.6g} S; conductances are finite and >= 0 (0 S is open). Did you pass ohms?"
        )
    return np.broadcast_to(found, (count,))


def chosen(where: str, share: float, count: int, key: PRNGKeyArray | None) -> np.ndarray:
    """Which of `count` things make up a share of them, drawn without replacement, in order. Raises PhysnetError."""
    if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 <= share <= 1:
        raise PhysnetError(f"{where} is {share!r}; give a share between 0 and 1.")
    number = round(float(share) * count)
    if number in (0, count):
        return np.arange(number)
    if key is None:
        raise PhysnetError(f"{where} is {share}: which ones is drawn; pass key=jax.random.key(seed).")
    return np.sort(np.asarray(jax.random.permutation(key, count))[:number])
