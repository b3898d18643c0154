"""Hopfield's memory of graded units: patterns are minima of an energy, and a cue falls into the one it is like."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physnet import precision
from physnet.errors import PhysnetError
from physnet.system import EnergySystem, Parameter
from physnet.variable import Variable

_OFFSET, _GOLDEN = 0.01, (np.sqrt(5) - 1) / 2  # of an activity


class HopfieldMemory(EnergySystem):
    """Units whose potentials u (unit,) leak and are driven by each other's activities s = tanh(gain u), at a rate r:

    du_i/dt = r (-u_i + sum_j W_ij s_j + b_i),   E = -1/2 s.W s - b.s + sum_i int_0^s_i artanh(x)/gain dx

    (Hopfield 1984, doi:10.1073/pnas.81.10.3088). With W symmetric and without a diagonal E never rises, since dE/du_i =
    s_i' (u_i - sum_j W_ij s_j - b_i) with s_i' = gain (1 - s_i^2) > 0. The inputs (unit,) are added to the bias, b =
    bias + inputs. The outputs are the activities. Without bias and inputs u -> -u changes nothing.
    A force f, that of a nudge, moves u_i at r f_i/s_i', so that the energy is still descended: a cost's pull on the
    activities acts like one more input. Potentials and drives are pure numbers; time is in s, r in s-1.

    weights: (unit, unit), symmetric, zeros on the diagonal, dimensionless; only the pairs i < j are stored, as
    coupling_weight: (pair,), dimensionless, so that learning keeps them so. bias: (unit,) or one for all,
    dimensionless. gain: above 0, dimensionless; rate: r, s-1, above 0. Raises PhysnetError for values that do not fit.
    """

    coupling_weight: Float[Array, " pair"]
    bias: Float[Array, " unit"]
    gain: Float[Array, ""]
    rate: Float[Array, ""]

    def __init__(self, weights, *, gain=4.0, bias=0.0, rate=1.0):
        weights = np.asarray(precision.real_array(weights, "HopfieldMemory: weights"))
        if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or not weights.size:
            raise PhysnetError(
                f"HopfieldMemory: weights have shape {weights.shape}; give a square matrix (unit, unit)."
            )
        dtype = np.dtype(weights.dtype if weights.dtype.kind == "f" else float)
        if not np.isfinite(weights).all():
            raise PhysnetError("HopfieldMemory: weights hold NaN or infinite values; every value must be finite.")
        odd = np.abs(weights - weights.T).max()
        if odd > float(np.finfo(dtype).eps) ** 0.75 * np.abs(weights).max():
            raise PhysnetError(
                f"HopfieldMemory: weights differ from their transpose by {odd:.3g}; an energy takes a symmetric "
                "matrix. Use (W + W.T) / 2."
            )
        if np.diagonal(weights).any():
            raise PhysnetError("HopfieldMemory: a unit does not act on itself; set the diagonal of weights to 0.")
        size = len(weights)
        bias = np.asarray(precision.real_array(bias, "HopfieldMemory: bias"), dtype)
        if bias.shape not in ((), (size,)) or not np.isfinite(bias).all():
            raise PhysnetError(f"HopfieldMemory: bias has shape {bias.shape}; give ({size},) or one finite number.")
        for name, value, units in (("gain", gain, ""), ("rate", rate, " s-1")):
            if np.ndim(value) or not (np.isfinite(value) and value > 0):
                raise PhysnetError(f"HopfieldMemory: {name} is {value!r}{units}; it must be one number above 0.")
        self.coupling_weight = precision.asarray(weights[np.triu_indices(size, 1)], dtype)
        self.bias = precision.asarray(np.broadcast_to(bias, (size,)), dtype)
        self.gain, self.rate = precision.asarray(gain, dtype), precision.asarray(rate, dtype)

    @classmethod
    def storing(cls, patterns, *, gain=4.0, **options) -> "HopfieldMemory":
        """A memory of patterns by Hebb's rule: W_ij = sum_p xi_pi xi_pj / units, W_ii = 0.

        Patterns that are orthogonal to each other are minima up to a factor, s = m xi with m = tanh(gain m (1 -
        patterns/units)), where gain (1 - patterns/units) > 1.

        patterns: (pattern, unit) of 1 and -1, dimensionless. gain: above 0, dimensionless. options: bias, rate.
        """
        patterns = np.asarray(precision.real_array(patterns, "HopfieldMemory: patterns"), float)
        if patterns.ndim != 2 or not patterns.size or not np.isin(patterns, (-1, 1)).all():
            raise PhysnetError(
                f"HopfieldMemory: patterns of shape {patterns.shape} are not all 1 and -1; give (pattern, unit), such "
                "as numpy.where(images > threshold, 1, -1)."
            )
        weights = patterns.T @ patterns / patterns.shape[1]
        np.fill_diagonal(weights, 0)
        return cls(weights, gain=gain, **options)

    @property
    def size(self) -> int:
        """Number of units."""
        return self.bias.shape[0]

    @property
    def weights(self) -> Float[Array, "unit unit"]:
        """W, symmetric, zeros on the diagonal, dimensionless."""
        upper = jnp.zeros((self.size, self.size), self.coupling_weight.dtype)
        upper = upper.at[np.triu_indices(self.size, 1)].set(self.coupling_weight)
        return upper + upper.T

    # What is written into a dataset

    @property
    def variables(self):
        return (Variable("potential", ("unit",), "1", "potential of each unit"),)

    @property
    def parameters(self):
        return (
            Parameter(
                Variable("coupling_weight", ("pair",), "1", "weight between two units"), lambda s: s.coupling_weight
            ),
            Parameter(Variable("bias", ("unit",), "1", "bias of each unit"), lambda s: s.bias),
            Parameter(Variable("gain", (), "1", "slope of the activity at potential 0"), lambda s: s.gain, False),
            Parameter(Variable("rate", (), "s-1", "rate at which potentials leak"), lambda s: s.rate, False),
        )

    @property
    def input_variable(self):
        return Variable("drive", ("unit",), "1", "drive of each unit from outside, added to its bias")

    @property
    def output_variable(self):
        return Variable("activity", ("output",), "1", "activity of each unit, between -1 and 1")

    @property
    def residual_units(self):
        return "1"

    @property
    def energy_units(self):
        return "1"

    @property
    def input_shape(self):
        return (self.size,)

    def coordinates(self):
        pairs = tuple(f"{i}-{j}" for i, j in zip(*np.triu_indices(self.size, 1)))
        return ((Variable("pair", ("pair",), "1", "two units, by number"), pairs),)

    @property
    def description(self):
        return {"kind": "HopfieldMemory", "units": self.size}

    def default_inputs(self):
        return jnp.zeros_like(self.bias)

    # Physics

    def outputs(self, state, inputs):
        return self._activity(state)

    def potential_of(self, activity) -> Float[Array, " unit"]:
        """The potentials W s + bias that activities s cause: where recall from a cue starts, `relax(initial=)`.

        activity: s, (unit,), between -1 and 1; both are dimensionless. Finite for patterns of 1 and -1 as well.
        """
        return self.weights @ jnp.asarray(activity, self.bias.dtype) + self.bias

    def initial_state(self, inputs, key=None):
        """Potentials whose activities are uniform between -1 and 1; without a key those that the drive alone causes.

        Silent units balance, stable or not; offsets of up to 0.01 of an activity let them leave what is not stable.
        """
        dtype = self.bias.dtype
        if key is not None:
            edge = 1 - float(jnp.finfo(dtype).eps)
            return jnp.arctanh(jax.random.uniform(key, (self.size,), dtype, -edge, edge)) / self.gain
        offsets = jnp.asarray(_OFFSET * (2 * (np.arange(1, self.size + 1) * _GOLDEN % 1) - 1), dtype)
        return self.bias + inputs + offsets / self.gain

    def energy(self, state, inputs):
        activity = self._activity(state)
        acting = jnp.sum(activity * (self.weights @ activity)) / 2 + jnp.sum((self.bias + inputs) * activity)
        return jnp.sum(self._confinement(state)) - acting

    def _activity(self, potential):
        """tanh(gain u), of a saturated unit with a slope that has all its digits: 1 - tanh^2 has none."""
        ratio = self._size_and_ratio(potential)[1]
        return jnp.where(jnp.real(potential) < 0, -1, 1) * (1 - ratio) / (1 + ratio)

    def _confinement(self, potential):
        """u s - log(cosh(gain u))/gain; |u| taken out, so that nothing cancels where a unit is saturated."""
        size, ratio = self._size_and_ratio(potential)
        return (np.log(2) - jnp.log1p(ratio)) / self.gain - 2 * size * ratio / (1 + ratio)

    def _size_and_ratio(self, potential):
        """|u|, and exp(-2 gain |u|): analytic on either side of 0, also for complex potentials."""
        size = jnp.where(jnp.real(potential) < 0, -potential, potential)
        return size, jnp.exp(-2 * self.gain * size)

    def _slope(self, potential):
        """s' = gain (1 - s^2), from its own formula; never quite 0, so that a saturated unit still certifies."""
        ratio = self._size_and_ratio(potential)[1]
        return 4 * self.gain * ratio / (1 + ratio) ** 2 + jnp.finfo(self.bias.dtype).tiny

    def _imbalance(self, potential, inputs):
        return potential - self.weights @ self._activity(potential) - self.bias - inputs

    def residual(self, state, inputs):
        """dE/du, a pure number: s' (u - W s - b)."""
        return self._slope(state) * self._imbalance(state, inputs)

    def residual_scale(self, state, inputs):
        """s' (|u| + |W| |s| + |b|), no less than what arithmetic can resolve: the residual over it is that of du/dt."""
        size = jnp.abs(self.weights)
        terms = jnp.abs(state) + size @ jnp.abs(self._activity(state)) + jnp.abs(self.bias + inputs)
        floor = jnp.finfo(self.bias.dtype).eps ** 0.25 * (1 / self.gain + jnp.sum(size, axis=1))
        return self._slope(state) * (terms + floor)

    def vector_field(self, state, inputs):
        """du/dt = r (-u + W s + b), s-1."""
        return -self.rate * self._imbalance(state, inputs)

    def forced_vector_field(self, state, inputs, force):
        return self.vector_field(state, inputs) + self.rate * force / self._slope(state)

    def fastest_rate(self, inputs):
        """r (1 + gain max_i sum_j |W_ij|), rad/s: no small displacement changes faster."""
        return self.rate * (1 + self.gain * jnp.max(jnp.sum(jnp.abs(self.weights), axis=1)))

    def default_relaxer(self):
        import diffrax

        from physnet.relaxers.flow import Flow

        return Flow(diffrax.Tsit5())
