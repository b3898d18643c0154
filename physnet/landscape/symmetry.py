"""Symmetries that a user declares: maps that take every state to another of the same energy."""

import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.chart import Chart

_LARGEST_ORBIT = 10_000


class Symmetry:
    """A map of the state, s -> sign * s[order] + shift, that leaves the energy (or the dynamics) as it is.

    What it maps onto each other are one equilibrium in several places: the rotations of a ring, the two signs of a
    memory, two equal circuits exchanged. Give generators; products of them are found. For states of one leaf.

    order: (coordinate,), which coordinate comes to stand where; None for no exchange. sign: 1 or -1, one for all or
    one each. shift: in the state's unit, one for all or one each (pi for the two phases of an Ising spin).
    """

    def __init__(self, order=None, *, sign=1, shift=0.0):
        self.order = None if order is None else np.asarray(order)
        self.sign, self.shift = np.asarray(sign), np.asarray(shift, float)
        if not np.isin(self.sign, (-1, 1)).all():
            raise PhysnetError(f"Symmetry: sign is {sign}; it must be 1 or -1.")

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """The images of states, (..., coordinate), in the unit of the state.

        vectors: the states, of this shape and unit.
        """
        moved = vectors if self.order is None else vectors[..., self.order]
        return self.sign * moved + self.shift

    def check(self, chart: Chart) -> None:
        """Raises PhysnetError where the map does not fit the state, or changes the residual by more than rounding.

        chart: the landscape that it should leave as it is.
        """
        size, name = chart.size, type(chart.system).__name__
        if self.order is not None and sorted(self.order.tolist()) != list(range(size)):
            raise PhysnetError(f"Symmetry: order must be a permutation of 0 to {size - 1}, one for each coordinate.")
        for what, value in (("sign", self.sign), ("shift", self.shift)):
            if value.shape not in ((), (size,)):
                raise PhysnetError(f"Symmetry: {what} has shape {value.shape}; give one number or ({size},).")
        places = np.random.default_rng(0).normal(size=(3, size)).astype(chart.dtype)
        for place in places:
            here, there = (np.asarray(chart.residual(v)) for v in (place, self(place).astype(chart.dtype)))
            mapped = self.sign * (here if self.order is None else here[self.order])
            error, rounding = np.abs(there - mapped).max(), np.finfo(chart.dtype).eps ** 0.6
            if not error <= rounding * (np.abs(here).max() + 1e-300) * 10:
                raise PhysnetError(
                    f"Symmetry: {name} does not have it: mapped, a residual of {np.abs(here).max():.3g} is off by "
                    f"{error:.3g} {chart.system.residual_units}. Check order, sign and shift."
                )


def orbit(vector: np.ndarray, symmetries, chart: Chart, same: float) -> np.ndarray:
    """Every state that the symmetries make of one, (image, coordinate), the state itself first.

    same: distance, in the state's unit, below which two are one. Raises PhysnetError beyond 10,000 images.
    """
    found = chart.canonical(vector)[None]
    fresh = found
    while len(fresh):
        images = np.concatenate([chart.canonical(symmetry(fresh)) for symmetry in symmetries])
        fresh = found[:0]
        for image in images:
            known = np.concatenate([found, fresh])
            if np.abs(chart.difference(image, known)).max(axis=1).min() > same:
                fresh = np.concatenate([fresh, image[None]])
        found = np.concatenate([found, fresh])
        if len(found) > _LARGEST_ORBIT:
            raise PhysnetError(f"Symmetry: one state has more than {_LARGEST_ORBIT} images. Declare fewer symmetries.")
    return found
