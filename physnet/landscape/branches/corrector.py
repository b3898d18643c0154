"""The curve of steady states R(s, p) = 0 in scaled coordinates, and Newton's method onto it, one compiled program."""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from physnet import precision
from physnet.errors import PhysnetError
from physnet.landscape.branches.families import Family
from physnet.landscape.chart import Chart
from physnet.landscape.smooth import LARGEST_DENSE
from physnet.system import EnergySystem, is_boxed
from physnet.variable import Variable

_UNNAMED = Variable("parameter", (), "1", "parameter")


class Curve(eqx.Module):
    """R(s, p) = 0 over z = (s / size, (p - start) / span), (coordinate + 1,): dimensionless, p running from 0 to 1.

    Where the system has neutral modes u (mode, coordinate), the states are held at u.(s - reference) = 0.
    """

    family: Family
    start: Float[Array, ""]
    span: Float[Array, ""]
    size: Float[Array, " coordinate"]
    reference: Float[Array, " coordinate"]
    neutral: int = eqx.field(static=True)  # number of neutral modes

    @classmethod
    def through(cls, family: Family, vectors: np.ndarray, start: float, stop: float, size: float | None) -> "Curve":
        """For states near `vectors` (state, coordinate). size: that of a change of state that matters, in its unit.

        Where none is given: a radian of what repeats, else the largest magnitude of each state variable, 1 of one that
        is 0 everywhere. Raises PhysnetError for a system whose steady states are no smooth curve.
        """
        chart = family.base
        _require_smooth(chart)
        if size is not None and not size > 0:
            raise PhysnetError(f"continuation: size is {size}; it must be above 0, in the state's unit.")
        periods, sizes, first = chart.periods, np.empty(chart.size), 0
        for shape in chart.shapes:
            leaf = slice(first, first + int(np.prod(shape)))
            largest = float(np.abs(vectors[:, leaf]).max(initial=0)) or 1.0
            sizes[leaf] = np.where(np.isfinite(periods[leaf]), periods[leaf] / (2 * np.pi), largest)
            first = leaf.stop
        if size is not None:
            sizes[:] = size
        unnamed = replace(family, variable=_UNNAMED)  # names must not make another program
        numbers = (jnp.asarray(x, chart.dtype) for x in (start, stop - start, sizes, vectors[0]))
        return cls(unnamed, *numbers, len(chart.translations()))

    # For one point; traceable.

    def chart(self, z) -> Chart:
        """The landscape at a point."""
        return self.family.chart(self.start + self.span * z[-1])

    def residual(self, z) -> Float[Array, " coordinate"]:
        """R, in its own unit, without what holds neutral modes."""
        return self.chart(z).residual(self.size * z[:-1])

    def linearised(self, z) -> tuple[Float[Array, " coordinate"], Float[Array, "coordinate column"]]:
        """(R, dR/dz), neutral modes held in place by a stiffness like the largest of the others."""
        residual, slope = self.residual(z), jax.jacfwd(self.residual)(z)
        neutral = self.chart(z).neutral(self.size * z[:-1])
        if not len(neutral):
            return residual, slope
        stiffness = jnp.max(jnp.abs(slope[:, :-1] / self.size[None]))
        residual = residual + stiffness * neutral.T @ (neutral @ (self.size * z[:-1] - self.reference))
        held = stiffness * neutral.T @ (neutral * self.size[None])
        return residual, slope.at[:, :-1].add(held)

    def stability(self, z) -> Float[Array, "coordinate coordinate"]:
        """The Hessian, or minus the Jacobian of ds/dt without an energy, neutral modes lifted above all others."""
        chart, x = self.chart(z), self.size * z[:-1]
        matrix = chart.curvature(x) if chart.has_energy else -jax.jacfwd(chart.velocity)(x)
        neutral = chart.neutral(x)
        lift = 1 + 2 * jnp.max(jnp.sum(jnp.abs(matrix), axis=1))
        return matrix + lift * neutral.T @ neutral

    # On the host.

    def z(self, vector: np.ndarray, value: float) -> np.ndarray:
        """The point of a state's vector where p has this value."""
        place = (value - float(self.start)) / float(self.span)
        return np.append(np.asarray(vector) / np.asarray(self.size), place)

    def vector(self, z: np.ndarray) -> np.ndarray:
        """The states of points (..., column)."""
        return np.asarray(self.size) * z[..., :-1]

    def value(self, z: np.ndarray) -> np.ndarray:
        """p at points (..., column)."""
        return float(self.start) + float(self.span) * z[..., -1]

    def difference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The shortest way from b to a, points (..., column): symmetric shifts and whole periods left out."""
        states = self.family.base.difference(self.vector(a), self.vector(b)) / np.asarray(self.size)
        return np.concatenate([states, (a - b)[..., -1:]], axis=-1)


class Reached(NamedTuple):
    """Where Newton's method ended. tangent: unit vector along the curve. settled: whether the last step was rounding.

    relative, imbalance: the certificate. outputs: (output,). energy: of the system, NaN without one. stability: the
    matrix whose eigenvalues tell it. asymmetry: of dR/ds, over its size.
    """

    z: Array
    tangent: Array
    iterations: Int[Array, ""]
    settled: Bool[Array, ""]
    relative: Float[Array, ""]
    imbalance: Float[Array, ""]
    outputs: Array
    energy: Float[Array, ""]
    stability: Array
    asymmetry: Float[Array, ""]


@eqx.filter_jit
def corrected(curve: Curve, guess, normal, iterations) -> Reached:
    """Newton's method from a guess (column,) to the curve, in the plane through it across `normal` (Keller 1977).

    With [R; normal.(z - guess)] = 0 it crosses folds, where dR/ds alone is singular. iterations: most steps, an array;
    0 only measures the guess.
    """
    tolerance = float(jnp.finfo(guess.dtype).eps) ** 0.6
    across = jnp.zeros_like(guess).at[-1].set(1)

    def going(now):
        return ~now[-1]

    def advance(now):
        z, _, _, taken, last, _ = now
        residual, slope = curve.linearised(z)
        rows = jnp.max(jnp.abs(slope), axis=1)
        rows = jnp.where(rows > 0, rows, 1)
        matrix = jnp.concatenate([slope / rows[:, None], normal[None]])
        wrong = jnp.append(-residual / rows, jnp.vdot(normal, guess - z))
        both = jnp.linalg.solve(matrix, jnp.stack([wrong, across], axis=1))
        finished = (last <= tolerance) | (taken >= iterations)
        step = jnp.where(finished, 0, both[:, 0])
        length = jnp.where(finished, last, jnp.max(jnp.abs(step)))
        return z + step, both[:, 1] / jnp.linalg.norm(both[:, 1]), slope, taken + ~finished, length, finished

    slope = jnp.zeros((guess.size - 1, guess.size), guess.dtype)
    first = (guess, normal, slope, jnp.zeros((), jnp.int32), jnp.asarray(jnp.inf, guess.dtype), jnp.zeros((), bool))
    z, tangent, slope, taken, last, _ = jax.lax.while_loop(going, advance, first)
    chart, x = curve.chart(z), curve.size * z[:-1]
    state = chart.state(x)
    system, inputs = chart.system, chart.problem.inputs
    energy = system.energy(state, inputs) if isinstance(system, EnergySystem) else jnp.asarray(jnp.nan, z.dtype)
    jacobian = slope[:, :-1] / curve.size[None]
    odd = jnp.max(jnp.abs(jacobian - jacobian.T)) / jnp.maximum(jnp.max(jnp.abs(jacobian)), jnp.finfo(z.dtype).tiny)
    relative, imbalance = chart.problem.certificate(state)
    settled = last <= tolerance
    outputs = system.outputs(state, inputs)
    return Reached(z, tangent, taken, settled, relative, imbalance, outputs, energy, curve.stability(z), odd)


@eqx.filter_jit
def expanded(curve: Curve, z, w):
    """(R, dR/dz, d2(w.R)/dz2) at a point, for what happens where two curves cross; w (coordinate,)."""
    residual, slope = curve.linearised(z)
    return residual, slope, jax.hessian(lambda y: jnp.vdot(w, curve.residual(y)))(z)


def tolerance_for(dtype, tolerance: float | None) -> float:
    """The relative residual that counts as steady."""
    return precision.by_precision(tolerance, dtype, double=1e-10, single=1e-4)


def _require_smooth(chart: Chart) -> None:
    name = type(chart.system).__name__
    if is_boxed(chart.system):
        raise PhysnetError(
            f"continuation: the state of {name} is confined to a box, at whose walls the curve of steady states has "
            "corners. Use finite slopes (a Shockley diode in place of an ideal one), or relax() value by value."
        )
    if chart.size > LARGEST_DENSE:
        raise PhysnetError(
            f"continuation: {chart.size} coordinates; it factorises dense Jacobians of at most {LARGEST_DENSE}."
        )
