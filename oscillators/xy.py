"""An XY network that learns: input oscillators are held at phases, hidden and output ones settle on them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from oscillators import checks
from oscillators.driven_xy import DrivenXY, spectral_phases
from physnet import precision
from physnet.errors import PhysnetError
from physnet.system import EnergySystem, Parameter
from physnet.variable import Variable

_OFFSET, _GOLDEN = 0.01, (np.sqrt(5) - 1) / 2  # rad
_OPTIONS = {"readout": ("phasors", "cosines"), "start": ("in phase", "spectral")}


class XYNetwork(EnergySystem):
    """Oscillators of fixed amplitude in three parts: inputs, held at the phases theta, hidden and output ones, free.

    The free phases phi (N,), rad, hidden before output, run downhill, dphi/dt = -dE/dphi, in the frame of the inputs:

    E/2pi = - sum_{i<j} W_ij cos(phi_i - phi_j) - sum_ki V_ki cos(phi_i - theta_k) - sum_i h_i cos(phi_i - psi_i)
            - 1/2 sum_i S_i cos(2 phi_i) - sum_i f_i phi_i

    (E in rad^2/s; Wang, Wanjura & Marquardt 2024, arXiv:2402.08579, whose energy and beta are E/2pi and beta/2pi here).
    Every free oscillator is coupled to every other and to every input ("all-to-all"), or, if `layered`, inputs act on
    hidden oscillators and these on outputs only. Only the pairs i < j are stored, so that learning keeps W symmetric
    and without a diagonal, and the fields as Cartesian pairs h cos psi, h sin psi: polar ones cannot turn where h = 0.

    input_weights: V/2pi, Hz, (input, N), layered (input, hidden). weights: W/2pi, Hz, (N, N), symmetric, zeros on the
    diagonal and, layered, inside each layer. outputs: number of output oscillators, the last ones. fields: h/2pi, Hz,
    and field_phases: psi, rad, (N,) or one for all. detunings: f, Hz, of the free oscillators against the inputs, and
    second_harmonic: S/2pi, Hz, (N,) or one for all; None is absent. readout: "phasors", cosines then sines of the
    output phases, for which the squared error to a target phase is sum 1 - cos(phi - phi_target) exactly; or "cosines".
    start: of a relaxation without a key, "in phase" at 0 or "spectral" (`spectral_phases`); with a key, uniform in
    [-pi, pi). trainable: names of the parameters that learn; weights and fields by default. Kept of these:
    input_weight: Hz, (input, driven); coupling_weight: Hz, the pairs i < j of W, (pair,); field_cosine, field_sine: h
    cos psi and h sin psi, Hz, (N,); detuning: f, Hz, (N,); size: N; number_of_outputs: how many.
    Raises PhysnetError for values, numbers or names that do not fit.
    """

    input_weight: Float[Array, "input driven"]
    coupling_weight: Float[Array, " pair"]
    field_cosine: Float[Array, " oscillator"]
    field_sine: Float[Array, " oscillator"]
    detuning: Float[Array, " oscillator"] | None
    second_harmonic: Float[Array, " oscillator"] | None
    size: int = eqx.field(static=True)
    number_of_outputs: int = eqx.field(static=True)
    layered: bool = eqx.field(static=True)
    readout: str = eqx.field(static=True)
    start: str = eqx.field(static=True)
    trainable: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        input_weights,
        weights,
        *,
        outputs,
        layered=False,
        fields=0.0,
        field_phases=0.0,
        detunings=None,
        second_harmonic=None,
        readout="phasors",
        start="in phase",
        trainable=None,
    ):
        weights = checks.floats(weights, "XYNetwork: weights", "Hz")
        if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
            raise PhysnetError(f"XYNetwork: weights have shape {weights.shape}; give a square matrix (N, N), Hz.")
        self.size, dtype = weights.shape[0], weights.dtype
        self.number_of_outputs = checks.whole(outputs, "XYNetwork: outputs")
        self.layered = bool(layered)
        if self.hidden < self.layered:
            raise PhysnetError(
                f"XYNetwork: {self.number_of_outputs} outputs of {self.size} free oscillators leave {self.hidden} "
                f"hidden ones; weights must be (N, N) with N of at least {self.number_of_outputs + self.layered}."
            )
        for name, given in (("readout", readout), ("start", start)):
            if given not in _OPTIONS[name]:
                raise PhysnetError(f"XYNetwork: {name} is {given!r}; choose one of {', '.join(_OPTIONS[name])}.")
        self.readout, self.start = readout, start
        self.coupling_weight = _pairs_of(weights, self._pairs)

        def each(value, name, units):
            value = checks.floats(value, f"XYNetwork: {name}", units, dtype=dtype)
            if value.shape not in ((), (self.size,)):
                raise PhysnetError(
                    f"XYNetwork: {name} has shape {value.shape}; give ({self.size},) or one number, {units}."
                )
            return jnp.broadcast_to(value, (self.size,))

        input_weights = checks.floats(input_weights, "XYNetwork: input_weights", "Hz", dtype=dtype)
        if input_weights.ndim != 2 or input_weights.shape[1] != self.driven:
            raise PhysnetError(
                f"XYNetwork: input_weights have shape {input_weights.shape}; give (input, {self.driven}), Hz, a row "
                f"for each input and a column for each {'hidden' if layered else 'free'} oscillator."
            )
        self.input_weight = input_weights
        strength, angle = each(fields, "fields", "Hz"), each(field_phases, "field_phases", "rad")
        self.field_cosine, self.field_sine = strength * jnp.cos(angle), strength * jnp.sin(angle)
        self.detuning = None if detunings is None else each(detunings, "detunings", "Hz")
        self.second_harmonic = None if second_harmonic is None else each(second_harmonic, "second_harmonic", "Hz")
        self.trainable = None if trainable is None else tuple(trainable)
        names = [p.variable.name for p in self._all_parameters()]
        unknown = [name for name in self.trainable or () if name not in names]
        if unknown:
            raise PhysnetError(f"XYNetwork: trainable names {unknown}; its parameters are {', '.join(names)}.")

    @classmethod
    def random(
        cls,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        key: PRNGKeyArray,
        gain=1.0,
        layered=False,
        dtype=None,
        **options,
    ) -> "XYNetwork":
        """Couplings drawn from N(0, gain^2 / oscillators), the inputs counted; no fields.

        inputs, hidden, outputs: number of oscillators of each kind. key: a JAX random key. gain: Hz. layered: as above.
        dtype: float64, or float32 for fast training. options: other arguments, as for `XYNetwork`.
        """
        inputs, outputs = checks.whole(inputs, "XYNetwork: inputs"), checks.whole(outputs, "XYNetwork: outputs")
        hidden = checks.whole(hidden, "XYNetwork: hidden", 0)
        size, dtype = hidden + outputs, jnp.result_type(float if dtype is None else dtype)
        spread = gain / np.sqrt(inputs + size)
        drawn = np.asarray(jax.random.normal(key, (inputs + size, size), dtype)) * np.asarray(spread, dtype)
        upper = np.triu(drawn[inputs:], 1)
        if layered:
            upper[:hidden, :hidden] = upper[hidden:, hidden:] = 0
        driven = drawn[:inputs, : hidden if layered else size]
        return cls(driven, upper + upper.T, outputs=outputs, layered=layered, **options)

    # Sizes

    @property
    def hidden(self) -> int:
        """Number of hidden oscillators."""
        return self.size - self.number_of_outputs

    @property
    def driven(self) -> int:
        """Number of free oscillators that the inputs act on: the first so many."""
        return self.hidden if self.layered else self.size

    @property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        if not self.layered:
            return np.triu_indices(self.size, 1)
        first, second = np.indices((self.hidden, self.number_of_outputs))
        return first.ravel(), self.hidden + second.ravel()

    def weights(self) -> Float[Array, "oscillator oscillator"]:
        """W/2pi, Hz, (N, N), symmetric, zeros on the diagonal."""
        upper = jnp.zeros((self.size, self.size), self.coupling_weight.dtype).at[self._pairs].set(self.coupling_weight)
        return upper + upper.T

    @property
    def fields(self) -> Float[Array, " oscillator"]:
        """h/2pi, Hz, at least 0."""
        return jnp.hypot(self.field_cosine, self.field_sine)

    @property
    def field_phases(self) -> Float[Array, " oscillator"]:
        """psi, rad, in [-pi, pi]."""
        return jnp.arctan2(self.field_sine, self.field_cosine)

    # What is written into a dataset

    @property
    def variables(self):
        return self.resolved.variables

    def _all_parameters(self):
        one, driven = ("oscillator",), "hidden_oscillator" if self.layered else "oscillator"
        found = [
            (Variable("input_weight", ("input", driven), "Hz", "coupling to each input, V/2pi"), "input_weight"),
            (
                Variable("coupling_weight", ("pair",), "Hz", "coupling of two free oscillators, W/2pi"),
                "coupling_weight",
            ),
            (Variable("field_cosine", one, "Hz", "field along phase 0, h cos(psi)/2pi"), "field_cosine"),
            (Variable("field_sine", one, "Hz", "field along phase pi/2, h sin(psi)/2pi"), "field_sine"),
            (Variable("detuning", one, "Hz", "natural frequency less that of the inputs"), "detuning"),
            (Variable("second_harmonic", one, "Hz", "second-harmonic injection S/2pi"), "second_harmonic"),
        ]
        learning = ("input_weight", "coupling_weight", "field_cosine", "field_sine")
        learning = learning if self.trainable is None else self.trainable
        return tuple(
            Parameter(variable, lambda s, name=name: getattr(s, name), name in learning)
            for variable, name in found
            if getattr(self, name) is not None
        )

    @property
    def parameters(self):
        return self._all_parameters()

    @property
    def input_variable(self):
        return Variable("input_phase", ("input",), "rad", "phase at which each input oscillator is held")

    @property
    def output_variable(self):
        what = "cosines, then sines," if self.readout == "phasors" else "cosines"
        return Variable("reading", ("output",), "1", f"{what} of the output phases")

    @property
    def residual_units(self):
        return "rad s-1"

    @property
    def energy_units(self):
        return "rad2 s-1"

    def coordinates(self):
        parts = ("cos", "sin") if self.readout == "phasors" else ("cos",)
        readings = tuple(f"{part}_{i}" for part in parts for i in range(self.number_of_outputs))
        pairs = tuple(f"{i}-{j}" for i, j in zip(*self._pairs))
        oscillators = tuple(f"hidden_{i}" for i in range(self.hidden))
        oscillators += tuple(f"output_{i}" for i in range(self.number_of_outputs))
        return (
            (Variable("output", ("output",), "1", "phase read out"), readings),
            (Variable("pair", ("pair",), "1", "two coupled oscillators, by number"), pairs),
            (Variable("oscillator", ("oscillator",), "1", "free oscillator"), oscillators),
        )

    @property
    def description(self):
        return {
            "kind": "XYNetwork",
            "inputs": self.input_shape[0],
            "hidden": self.hidden,
            "outputs": self.number_of_outputs,
            "layered": self.layered,
            "readout": self.readout,
            "start": self.start,
        }

    # Physics

    @property
    def input_shape(self):
        return (self.input_weight.shape[0],)

    @property
    def resolved(self) -> DrivenXY:
        """The free oscillators alone, under the drive that `resolve` makes of the inputs."""
        return DrivenXY(self.weights(), self.detuning, self.second_harmonic, self.number_of_outputs, self.readout)

    def resolve(self, inputs: Float[Array, " input"]) -> Float[Array, "part oscillator"]:
        """Real and imaginary part, Hz, (2, N), of sum_k V_ki exp(i theta_k) + h_i exp(i psi_i)."""
        drive = jnp.stack([jnp.cos(inputs), jnp.sin(inputs)]) @ self.input_weight
        drive = jnp.pad(drive, ((0, 0), (0, self.size - self.driven)))
        return drive + jnp.stack([self.field_cosine, self.field_sine])

    def initial_state(self, inputs, key=None):
        dtype = self.coupling_weight.dtype
        if key is not None:
            return jax.random.uniform(key, (self.size,), dtype, -jnp.pi, jnp.pi)
        if self.start == "spectral":
            return spectral_phases(self.weights(), self.resolve(inputs))
        # Exactly in phase, equal oscillators rest on a saddle where they repel; offsets let them leave it.
        return jnp.asarray(_OFFSET * (np.arange(self.size) * _GOLDEN % 1), dtype)

    def energy(self, state, inputs):
        return self.resolved.energy(state, self.resolve(inputs))

    def residual(self, state, inputs):
        """dE/dphi = -dphi/dt, rad/s."""
        return self.resolved.residual(state, self.resolve(inputs))

    def residual_scale(self, state, inputs):
        """2 pi (|field at each oscillator| + |f| + |S|), rad/s: a relative residual is how far, rad, a phase is off."""
        return self.resolved.residual_scale(state, self.resolve(inputs))

    def outputs(self, state, inputs):
        return self.resolved.outputs(state, inputs)

    def scouts(self):
        from oscillators.phasor_descent import PhasorDescent

        return PhasorDescent(max_steps=64), self.default_relaxer()

    def default_relaxer(self):
        from oscillators.xy_relaxation import PhaseDescent

        return PhaseDescent()


def _pairs_of(weights: Array, pairs) -> Float[Array, " pair"]:
    """The entries of a symmetric matrix at pairs i < j. Raises PhysnetError where there is anything besides."""
    if not checks.is_traced(weights):
        values = np.asarray(weights)
        bad = np.argwhere(np.abs(values - values.T) > 100 * float(jnp.finfo(precision.dtype_of(weights)).eps) ** 0.75)
        if len(bad):
            i, j = bad[0]
            raise PhysnetError(
                f"XYNetwork: weights[{i}, {j}] is {values[i, j]:.6g} Hz and weights[{j}, {i}] {values[j, i]:.6g} Hz; "
                "an energy takes a symmetric matrix. Use (W + W.T) / 2."
            )
        others = values.copy()
        others[pairs] = others.T[pairs] = 0
        bad = np.argwhere(others)
        if len(bad):
            i, j = bad[0]
            why = "an oscillator does not couple to itself" if i == j else "a layered network has none inside a layer"
            raise PhysnetError(f"XYNetwork: weights[{i}, {j}] is {values[i, j]:.6g} Hz; {why}. Set it to 0.")
    return weights[pairs]
