"""A system under fixed inputs as a landscape over one flat vector of coordinates, its symmetries allowed for."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact, PyTree

from physnet.checks import check_initial, check_inputs
from physnet.errors import PhysnetError, require_instance
from physnet.nudge import Nudge
from physnet.problem import Problem, flatten
from physnet.system import EnergySystem, System, is_boxed

_SEAM = 1e-6  # of a period: a phase this close below +pi and one at -pi are written alike


class Chart(eqx.Module):
    """One system, one sample of inputs, nudged or free, its state written as a vector (coordinate,).

    Coordinates that repeat (`Variable.period`) and directions along which nothing changes (`System.neutral_modes`) are
    known to it: `canonical` picks one of the states that are the same, `difference` the shortest way between two.

    problem: the system, its inputs and perhaps a nudge. shapes, structure: of the leaves of a state, and how they hang
    together. dtype: of its numbers. shifts: the neutral modes as fixed directions (mode, coordinate), dimensionless;
    None where they turn with the state.

    Methods take these. vector, vectors: states, shape (coordinate,) or (..., coordinate), each coordinate in the unit
    of its variable. direction: a direction of such vectors, (coordinate,), in the same unit.
    """

    problem: Problem
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    structure: jax.tree_util.PyTreeDef = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)
    shifts: np.ndarray | None = None  # the neutral modes, where they are the same everywhere; else None

    @classmethod
    def of(cls, system: System, inputs=None, nudge: Nudge | None = None) -> "Chart":
        """Of a system under the inputs of one sample, its default inputs by default.

        system: the system. inputs: (input,), in the unit of its inputs. nudge: a cost, target (output,) and beta that
        pull on the outputs. Raises PhysnetError for inputs that do not fit, or several samples at once.
        """
        require_instance(system, System, "landscape: system")
        inputs, batched = check_inputs(system, inputs)
        if batched and len(inputs) != 1:
            raise PhysnetError(
                f"landscape: {len(inputs)} samples of inputs; a landscape belongs to one. Pass inputs[i], "
                f"of shape {system.input_shape}."
            )
        like = jax.eval_shape(system.initial_state, inputs[0])
        leaves, structure = jax.tree.flatten(like)
        if nudge is not None:
            nudge = jax.tree.map(lambda leaf: jnp.asarray(leaf, inputs.dtype), nudge)
        dtype = np.dtype(jnp.result_type(*leaves))
        chart = cls(Problem(system, inputs[0], nudge), tuple(leaf.shape for leaf in leaves), structure, dtype)
        return replace(chart, shifts=_shifts(chart))

    @property
    def system(self) -> System:
        """What settles."""
        return self.problem.system

    @property
    def has_energy(self) -> bool:
        """Whether steady states are the stationary points of an energy whose slope is the residual."""
        return isinstance(self.system, EnergySystem) and not self.system.iterates

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def require_energy(self, what: str, instead: str) -> None:
        """Raises PhysnetError for a system without a smooth energy.

        what: the name of the function that needs one. instead: a sentence that says what can be done.
        """
        name = type(self.system).__name__
        if self.system.iterates:
            raise PhysnetError(
                f"{what}: {name} settles by iterating a map, whose residual is not the slope of its energy. {instead}"
            )
        if not self.has_energy:
            raise PhysnetError(f"{what}: {name} has no energy to look at.{self.system.why_no_energy()} {instead}")
        if is_boxed(self.system):
            raise PhysnetError(
                f"{what}: the state of {name} is confined to a box, where the energy has corners. find_equilibria "
                "finds its minima."
            )

    # Vectors

    def state(self, vector: Inexact[Array, " coordinate"]) -> PyTree:
        """The state of the system that a vector stands for."""
        leaves, start = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            leaves.append(vector[start : start + size].reshape(shape))
            start += size
        return jax.tree.unflatten(self.structure, leaves)

    def vector(self, state: PyTree) -> Array:
        """A state, one sample, as a vector (coordinate,), in the unit of its variables.

        state: shaped like the system's. Raises PhysnetError for one that is not built like it.
        """
        checked = check_initial(self.system, self.problem.inputs[None], state, False)
        return flatten(checked).astype(self.dtype)

    # What the landscape is. For one vector each; traceable.

    def energy(self, vector) -> Float[Array, ""]:
        """F = E + beta C, in the system's energy unit."""
        return self.problem.energy(self.state(vector))

    def residual(self, vector) -> Float[Array, " coordinate"]:
        """dF/ds, or what vanishes at a steady state where there is no energy, in the residual's unit."""
        return flatten(self.problem.residual(self.state(vector)))

    def velocity(self, vector) -> Float[Array, " coordinate"]:
        """ds/dt, in the state's unit per s."""
        return flatten(self.problem.vector_field(self.state(vector)))

    def outputs(self, vector) -> Float[Array, " output"]:
        """What a cost reads off the state, in the outputs' unit."""
        return self.system.outputs(self.state(vector), self.problem.inputs)

    def relative_residual(self, vector) -> Float[Array, ""]:
        """The certificate: largest residual over the terms that cancel in it, dimensionless."""
        return self.problem.certificate(self.state(vector))[0]

    def curvature_along(self, vector, direction) -> Float[Array, " coordinate"]:
        """The Jacobian of the residual times a direction: a Hessian-vector product where there is an energy.

        In the unit of the residual over that of the state, times that of the direction.
        """
        return jax.jvp(self.residual, (vector,), (direction,))[1]

    def curvature(self, vector) -> Float[Array, "coordinate coordinate"]:
        """The Jacobian of the residual, dense: the Hessian of F, made exactly symmetric, where there is an energy.

        In the unit of the residual over that of the state.
        """
        matrix = jax.jacfwd(self.residual)(vector)
        return (matrix + matrix.T) / 2 if self.has_energy else matrix

    def neutral(self, vector) -> Float[Array, "mode coordinate"]:
        """Orthonormal directions along which nothing changes, (mode, coordinate), dimensionless; often none."""
        modes = [flatten(mode) for mode in self.system.neutral_modes(self.state(vector))]
        if not modes:
            return jnp.zeros((0, self.size), self.dtype)
        return jnp.linalg.qr(jnp.stack(modes, axis=1))[0].T.astype(self.dtype)

    # Which states are the same. NumPy, for any number of vectors (..., coordinate).

    @property
    def periods(self) -> np.ndarray:
        """Period of each coordinate, (coordinate,), in its unit; infinite where it has none."""
        found = [
            np.full(int(np.prod(shape)), np.inf if variable.period is None else variable.period)
            for variable, shape in zip(self.system.variables, self.shapes, strict=True)
        ]
        return np.concatenate(found)

    def translations(self) -> np.ndarray:
        """The neutral modes as fixed directions (mode, coordinate), each 1 at a coordinate where the others are 0.

        Dimensionless. Raises PhysnetError where they turn with the state, so that no shift undoes them.
        """
        if self.shifts is None:
            raise PhysnetError(
                f"landscape: the symmetry of {type(self.system).__name__} is no shift of its coordinates, so that "
                "equal states cannot be told. Use the model in phases: Kuramoto in place of Phasors."
            )
        return self.shifts

    def wrapped(self, difference: np.ndarray) -> np.ndarray:
        """A difference of two vectors with every repeating coordinate brought within half a period of 0.

        difference: (..., coordinate), in the unit of the state; the result has this shape and unit.
        """
        periods = self.periods
        turns = np.where(np.isfinite(periods), np.round(difference / np.where(np.isfinite(periods), periods, 1)), 0)
        return difference - np.where(turns == 0, 0, turns * np.where(np.isfinite(periods), periods, 0))

    def canonical(self, vectors: np.ndarray) -> np.ndarray:
        """The one that stands for all vectors that mean the same: neutral shifts undone, phases in [-pi, pi).

        Shape and unit of `vectors`, which stay as they are.
        """
        vectors = np.array(vectors)
        for mode in self.translations():
            pivot = int(np.argmax(np.abs(mode) > 1e-9))
            vectors = vectors - vectors[..., pivot : pivot + 1] * mode
        periods = self.periods
        seam = np.where(np.isfinite(periods), _SEAM * np.where(np.isfinite(periods), periods, 0), 0)
        return self.wrapped(vectors - seam) + seam

    def difference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The shortest way from b to a, (..., coordinate), neutral shifts and whole periods left out.

        Where both a common shift and whole turns mean nothing, the shift is that which makes the sum of squared chords
        least; for states that are nearly the same that is the shortest way, for others close to it. a, b: vectors (...,
        coordinate), in the unit of the state.
        """
        difference = np.asarray(a) - np.asarray(b)
        modes = self.translations()
        for mode in modes:
            moving = np.abs(mode) > 1e-9
            rate = 2 * np.pi * mode[moving] / self.periods[moving]  # angle by which each coordinate turns per shift
            if len(modes) == 1 and rate[0] > 0 and np.allclose(np.abs(rate), rate[0], rtol=1e-9, atol=0):
                turned = np.exp(1j * np.sign(rate) * difference[..., moving] * 2 * np.pi / self.periods[moving])
                shift = np.angle(np.sum(turned, axis=-1)) / rate[0]
                difference = self.wrapped(difference - shift[..., None] * mode)
        if len(modes):  # what is left along them, for small differences all of it
            basis = np.linalg.qr(modes.T)[0]
            difference = difference - (difference @ basis) @ basis.T
        return self.wrapped(difference)


def _shifts(chart: Chart) -> np.ndarray | None:
    """The neutral modes in reduced row echelon form, (mode, coordinate); None where they turn with the state."""
    places = np.full(chart.size, 0.3), np.linspace(-1, 2, chart.size)
    modes, elsewhere = (np.asarray(chart.neutral(jnp.asarray(place, chart.dtype))) for place in places)
    kept = elsewhere.T @ (elsewhere @ modes.T) if modes.shape == elsewhere.shape else np.inf
    if np.abs(kept - modes.T).max(initial=0) > 1e-6:
        return None
    modes = modes.astype(float)
    for k in range(len(modes)):
        pivot = int(np.argmax(np.abs(modes[k]) > 1e-6))
        modes[k] /= modes[k, pivot]
        for other in range(len(modes)):
            if other != k:
                modes[other] -= modes[other, pivot] * modes[k]
    return modes
