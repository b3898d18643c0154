"""How oscillators act on each other: a complex matrix W_ij exp(i b_ij) that is formed only where it has to be.

With c = sqrt(p) exp(-i phi) a coupling adds 2 pi sum_j W_ij exp(i b_ij) c_j to dc_i/dt, so that phases turn by
dphi_i/dt = -2 pi sum_j W_ij sqrt(p_j/p_i) sin(phi_i - phi_j + b_ij). The diagonal never acts.
"""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from oscillators import checks
from physnet.errors import PhysnetError
from physnet.system import Parameter
from physnet.variable import Variable

DENSE_LIMIT = 4000  # oscillators: a complex matrix of this size takes 256 MB
_UNROLLED = (
    8  # oscillators: below it a product written out fuses with its surroundings, which a matrix product does not
)

Field = tuple[Float[Array, " oscillator"], Float[Array, " oscillator"]]


class Coupling(eqx.Module):
    """A complex coupling matrix W_ij exp(i b_ij), i != j: row i is what acts on oscillator i.

    W is given as W/2pi in Hz, b in rad; where b is None the coupling is real and no cosine is taken. delay: s, the
    time that the action takes, one for the whole matrix; it is for time-resolved models that keep a history, and
    steady-state models refuse any other than 0.
    """

    delay: eqx.AbstractVar[float]

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of oscillators, N."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """The arrays of this coupling; each `get` takes the coupling, not the system that holds it."""

    @abstractmethod
    def apply(self, real: Float[Array, " oscillator"], imag: Float[Array, " oscillator"]) -> Field:
        """(real, imag) of sum_j W_ij exp(i b_ij) c_j, each (N,), in Hz times the unit of c.

        real, imag: of c = real + i imag, (N,), in any unit (amplitudes are dimensionless).
        """

    @abstractmethod
    def total_strength(self) -> Float[Array, " oscillator"]:
        """sum_j |W_ij|, Hz, of each oscillator; for a low-rank matrix an upper bound of it."""

    @abstractmethod
    def symmetrised(self) -> "Coupling":
        """The coupling with (M + M^H)/2 in the place of M = W exp(i b): the part that has an energy.

        Raises PhysnetError where that takes a dense matrix of more than 4000 oscillators.
        """

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """(W, b): weights, Hz, and phases, rad, each (N, N) with zeros on the diagonal; for analysis.

        Raises PhysnetError above 4000 oscillators.
        """
        if self.size > DENSE_LIMIT:
            raise PhysnetError(
                f"{type(self).__name__}: {self.size} oscillators make a matrix of {self.size**2:.2g} entries; it is "
                f"formed for at most {DENSE_LIMIT}. Use `apply`, which needs no matrix."
            )
        return self._matrices()

    @abstractmethod
    def _matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """`matrices`, whatever the size."""

    def complex_matrix(self) -> np.ndarray:
        """M = W_ij exp(i b_ij), Hz, as a dense complex (N, N). Raises PhysnetError above 4000 oscillators."""
        weights, phases = self.matrices()
        return weights * np.exp(1j * phases)

    def _complex_matrix(self) -> np.ndarray:
        weights, phases = self._matrices()
        return weights * np.exp(1j * phases)

    def asymmetry(self) -> float:
        """|M - M^T| / |M + M^T| of M = W exp(i b) in the Frobenius norm, a ratio: 0 where every action is returned."""
        matrix = self._complex_matrix()
        return ratio(np.linalg.norm(matrix - matrix.T), np.linalg.norm(matrix + matrix.T))

    def irreversibility(self) -> float:
        """|M - M^H| / |M + M^H|: 0 where phases descend an energy, which takes W_ij = W_ji and b_ij = -b_ji.

        Dimensionless. So b is 0 or pi wherever it is symmetric: a coupling of b = pi/2 circulates and has no energy.
        """
        matrix = self._complex_matrix()
        return ratio(np.linalg.norm(matrix - matrix.conj().T), np.linalg.norm(matrix + matrix.conj().T))

    def coordinates(self) -> tuple[tuple[Variable, tuple[str, ...]], ...]:
        """Names along the dims of `parameters`, as in `System.coordinates`."""
        return ()

    @property
    def description(self) -> dict:
        """Kind, size and delay, as plain values for JSON."""
        return {"kind": type(self).__name__, "size": self.size, "delay": self.delay}


class AllToAll(Coupling):
    """Every oscillator acts alike on every other: W_ij = strength. O(N): the sum over all less one's own.

    strength: W/2pi in Hz, one number, kept as weight: Hz; for the Kuramoto model of strength K, K/N. size: number of
    oscillators, kept as `number` (whole).
    phase: b, rad, one number, or None. delay: s. Raises PhysnetError for values that are not so.
    """

    weight: Float[Array, ""]
    phase: Float[Array, ""] | None
    number: int = eqx.field(static=True)
    delay: float = eqx.field(static=True)

    def __init__(self, strength, size, phase=None, delay=0.0):
        self.weight = checks.floats(strength, "AllToAll: strength", "Hz", shape=())
        self.number = checks.whole(size, "AllToAll: size")
        self.phase = like(phase, self.weight, "AllToAll: phase")
        self.delay = checks.seconds(delay, "AllToAll: delay")

    @property
    def size(self):
        return self.number

    @property
    def parameters(self):
        return described(self, lambda c: c.weight, lambda c: c.phase, ())

    def apply(self, real, imag):
        return rotate(self.weight * (jnp.sum(real) - real), self.weight * (jnp.sum(imag) - imag), self.phase)

    def total_strength(self):
        return jnp.full(self.size, (self.size - 1) * jnp.abs(self.weight))

    def _matrices(self):
        others = 1.0 - np.eye(self.size)
        return others * np.asarray(self.weight), others * (0.0 if self.phase is None else np.asarray(self.phase))

    def asymmetry(self):
        return 0.0

    def irreversibility(self):
        return 0.0 if self.phase is None else float(np.abs(np.tan(np.asarray(self.phase))))

    def symmetrised(self):
        weight = self.weight if self.phase is None else self.weight * jnp.cos(self.phase)
        return AllToAll(weight, self.size, delay=self.delay)


class Dense(Coupling):
    """Any matrix. weights: (N, N), W/2pi in Hz, zeros on the diagonal. phases: (N, N), b, rad, or None. delay: s.

    Raises PhysnetError for a matrix that is not square, values that are not finite, weights on the diagonal.
    """

    weights: Float[Array, "oscillator oscillator"]
    phases: Float[Array, "oscillator oscillator"] | None
    delay: float = eqx.field(static=True)

    def __init__(self, weights, phases=None, delay=0.0):
        self.weights = checks.floats(weights, "Dense: weights", "Hz")
        shape = self.weights.shape
        if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
            raise PhysnetError(f"Dense: weights have shape {shape}; give a square matrix (oscillator, oscillator), Hz.")
        if not checks.is_traced(self.weights):
            own = np.diagonal(np.asarray(self.weights))
            if own.any():
                i = int(np.flatnonzero(own)[0])
                raise PhysnetError(
                    f"Dense: weights[{i}, {i}] is {own[i]:.6g} Hz; an oscillator does not couple to itself. Set the "
                    "diagonal to 0, and put what it would do into the oscillator's own frequency and damping."
                )
        self.phases = like(phases, self.weights, "Dense: phases")
        self.delay = checks.seconds(delay, "Dense: delay")

    @property
    def size(self):
        return self.weights.shape[0]

    @property
    def parameters(self):
        return described(self, lambda c: c.weights, lambda c: c.phases, ("oscillator", "partner"))

    def _acting(self):
        """The weights without their diagonal, whose gradient is then exactly 0."""
        return jnp.where(np.eye(self.size, dtype=bool), 0, self.weights)

    def apply(self, real, imag):
        weights = self._acting()
        if self.phases is None:
            return _products(weights, real, imag)
        (ac, ad), (bc, bd) = (_products(weights * turn(self.phases), real, imag) for turn in (jnp.cos, jnp.sin))
        return ac - bd, ad + bc

    def total_strength(self):
        return jnp.sum(jnp.abs(self._acting()), axis=1)

    def _matrices(self):
        weights = np.asarray(self.weights)
        return weights, np.zeros_like(weights) if self.phases is None else np.asarray(self.phases)

    def symmetrised(self):
        return hermitian_part(self)


def rotate(real: Array, imag: Array, phase: Array | None) -> Field:
    """(real + i imag) exp(i phase); unchanged where the phase is None."""
    if phase is None:
        return real, imag
    c, s = jnp.cos(phase), jnp.sin(phase)
    return c * real - s * imag, s * real + c * imag


def ratio(odd: float, even: float) -> float:
    """odd / even, 0 where both vanish and infinite where only the second does."""
    if odd == 0:
        return 0.0
    return float(odd / even) if even else np.inf


def like(phase, weights: Array, what: str, shape: tuple[int, ...] | None = None) -> Array | None:
    """Coupling phases, rad, shaped (unless `shape` says otherwise) and typed as the weights; None stays None."""
    shape = weights.shape if shape is None else shape
    return None if phase is None else checks.floats(phase, what, "rad", shape=shape, dtype=weights.dtype)


def described(coupling: Coupling, weight, phase, dims: tuple[str, ...]) -> tuple[Parameter, ...]:
    """The parameters of a coupling from the getters of its weights and phases, either None where it has none."""
    found = []
    if weight is not None:
        found.append(Parameter(Variable("coupling_weight", dims, "Hz", "coupling strength W/2pi"), weight))
    if phase(coupling) is not None:
        found.append(Parameter(Variable("coupling_phase", dims, "rad", "coupling phase b"), phase, trainable=False))
    return tuple(found)


def hermitian_part(coupling: Coupling) -> Dense:
    """(M + M^H)/2 of a coupling as a dense one. Raises PhysnetError above 4000 oscillators."""
    matrix = coupling.complex_matrix()
    matrix = (matrix + matrix.conj().T) / 2
    dtype = coupling.total_strength().dtype
    real = all(parameter.variable.name != "coupling_phase" for parameter in coupling.parameters)
    weights, phases = (matrix.real, None) if real else (np.abs(matrix), np.angle(matrix).astype(dtype))
    return Dense(weights.astype(dtype), phases, delay=coupling.delay)


def _products(matrix: Array, real: Array, imag: Array) -> Field:
    if matrix.shape[0] <= _UNROLLED:
        columns = [matrix[:, j] for j in range(matrix.shape[0])]
        return tuple(sum(column * part[j] for j, column in enumerate(columns)) for part in (real, imag))
    product = jnp.stack([real, imag]) @ matrix.T  # of many samples one product of matrices, without transposing
    return product[0], product[1]
