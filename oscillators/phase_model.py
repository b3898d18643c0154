"""What all models of oscillators by their phases share: frequencies, couplings, fields, and how they are read out."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from oscillators import checks
from oscillators.coupling import Coupling
from physnet.errors import PhysnetError, require_instance
from physnet.system import Parameter, System
from physnet.variable import Variable

_LARGEST_PHASE = 100.0  # rad: beyond it a phase is no measure of rounding any more, but of drift
_OFFSET = 0.01  # rad


class PhaseModel(System):
    """Oscillators of fixed amplitude. With c = exp(-i phi), in the frame that turns at f_frame:

    dphi_i/dt = 2 pi [f_i - f_frame - sum_j W_ij sin(phi_i - phi_j + b_ij) - h_i sin(phi_i - psi_i) - S_i sin(2 phi_i)]

    coupling: W/2pi in Hz and b in rad, without delay. frequencies: f, Hz, (N,) or one for all, kept as
    natural_frequency: Hz, (N,). fields: h/2pi in Hz and field_phases: psi, rad, (N,) or one for all, kept as field: Hz,
    and field_phase: rad, (N,) each: an injected signal that pulls phases to psi. second_harmonic: S/2pi in Hz, (N,) or
    one for all: injection at twice the frequency, which leaves phases 0 and pi. None is absent.

    Without field and second harmonic nothing fixes the common phase, a neutral mode, and f_frame is the mean frequency;
    with them f_frame is `reference_frequency`, Hz, that of the injected signal. Inputs: detunings, Hz, added to the
    frequencies of the `driven` oscillators (all by default). Outputs: cosines, then sines, of the phases of the
    `outputs` oscillators (all by default; their numbers are kept as `read`) against that of oscillator `reference`;
    where the phases are fixed and no reference is named, of the phases themselves. trainable: names of the parameters
    that learn; the frequencies, coupling weights and fields by default.
    Raises PhysnetError for values, numbers or names that do not fit.
    """

    coupling: Coupling
    natural_frequency: Float[Array, " oscillator"]
    field: Float[Array, " oscillator"] | None
    field_phase: Float[Array, " oscillator"] | None
    second_harmonic: Float[Array, " oscillator"] | None
    reference_frequency: Float[Array, ""]
    driven: tuple[int, ...] | None = eqx.field(static=True)
    read: tuple[int, ...] = eqx.field(static=True)
    reference: int | None = eqx.field(static=True)
    trainable: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        coupling,
        frequencies=0.0,
        *,
        fields=None,
        field_phases=None,
        second_harmonic=None,
        reference_frequency=0.0,
        driven=None,
        outputs=None,
        reference=None,
        trainable=None,
    ):
        where = type(self).__name__
        require_instance(coupling, Coupling, f"{where}: coupling")
        self._check_coupling(coupling)
        size, dtype = coupling.size, coupling.total_strength().dtype

        def each(value, name, units):
            if value is None:
                return None
            value = checks.floats(value, f"{where}: {name}", units, dtype=dtype)
            if value.shape not in ((), (size,)):
                raise PhysnetError(f"{where}: {name} has shape {value.shape}; give ({size},) or one number, {units}.")
            return jnp.broadcast_to(value, (size,))

        if field_phases is not None and fields is None:
            raise PhysnetError(f"{where}: field_phases without fields; give the strengths of the fields, Hz.")
        self.coupling = coupling
        self.natural_frequency = each(frequencies, "frequencies", "Hz")
        self.field = each(fields, "fields", "Hz")
        self.field_phase = (
            None if fields is None else each(0.0 if field_phases is None else field_phases, "field_phases", "rad")
        )
        self.second_harmonic = each(second_harmonic, "second_harmonic", "Hz")
        self.reference_frequency = checks.floats(
            reference_frequency, f"{where}: reference_frequency", "Hz", shape=(), dtype=dtype
        )
        self.driven = None if driven is None else _chosen(driven, f"{where}: driven", size)
        if reference is None and self.is_free:
            reference = 0
        self.reference = None if reference is None else _chosen([reference], f"{where}: reference", size)[0]
        others = tuple(i for i in range(size) if i != self.reference)
        self.read = others if outputs is None else _chosen(outputs, f"{where}: outputs", size)
        if self.reference in self.read:
            raise PhysnetError(
                f"{where}: outputs hold oscillator {self.reference}, the reference, whose phase against itself is "
                "always 0. Leave it out, or name another reference=..."
            )
        self.trainable = None if trainable is None else tuple(trainable)
        known = {parameter.variable.name for parameter in self._all_parameters()}
        unknown = set(self.trainable or ()) - known
        if unknown:
            raise PhysnetError(f"{where}: trainable names {sorted(unknown)}; the parameters are {sorted(known)}.")

    def _check_coupling(self, coupling: Coupling) -> None:
        """Raises PhysnetError for a coupling that this model cannot have."""
        if coupling.delay:
            raise PhysnetError(
                f"{type(self).__name__}: the coupling has a delay of {coupling.delay:.6g} s, and a model of phases "
                "alone keeps no history. In a locked state of frequency f a delay acts as the coupling phase "
                "2 pi f delay: add it to b, and leave delay=0."
            )

    @property
    def size(self) -> int:
        """Number of oscillators, N."""
        return self.coupling.size

    @property
    def is_free(self) -> bool:
        """Whether nothing fixes the common phase, so that only differences of phases have a meaning."""
        return self.field is None and self.second_harmonic is None

    # What is written into a dataset

    def _all_parameters(self) -> tuple[Parameter, ...]:
        dims = ("oscillator",)
        found = [
            Parameter(Variable("natural_frequency", dims, "Hz", "natural frequency"), lambda s: s.natural_frequency)
        ]
        for parameter in self.coupling.parameters:
            get = parameter.get
            found.append(Parameter(parameter.variable, lambda s, get=get: get(s.coupling), parameter.trainable))
        if self.field is not None:
            strength = Variable("field", dims, "Hz", "strength of the injected field h/2pi")
            angle = Variable("field_phase", dims, "rad", "phase of the injected field")
            found.append(Parameter(strength, lambda s: s.field))
            found.append(Parameter(angle, lambda s: s.field_phase, trainable=False))
        if self.second_harmonic is not None:
            variable = Variable("second_harmonic", dims, "Hz", "strength of second-harmonic injection S/2pi")
            found.append(Parameter(variable, lambda s: s.second_harmonic, trainable=False))
        if not self.is_free:
            variable = Variable("reference_frequency", (), "Hz", "frequency of the injected signal")
            found.append(Parameter(variable, lambda s: s.reference_frequency, trainable=False))
        return tuple(found)

    @property
    def parameters(self):
        found = self._all_parameters()
        if self.trainable is None:
            return found
        return tuple(Parameter(p.variable, p.get, p.variable.name in self.trainable) for p in found)

    @property
    def input_variable(self):
        return Variable("detuning", ("input",), "Hz", "detuning of each driven oscillator")

    @property
    def output_variable(self):
        return Variable("reading", ("output",), "1", "cosines, then sines, of the phases read out")

    @property
    def residual_units(self):
        return "rad s-1"

    @property
    def energy_units(self):
        return "rad2 s-1"

    def coordinates(self):
        driven = range(self.size) if self.driven is None else self.driven
        against = "" if self.reference is None else f"-{self.reference}"
        readings = tuple(f"{name}_{i}{against}" for name in ("cos", "sin") for i in self.read)
        return (
            (Variable("input", ("input",), "1", "driven oscillator"), tuple(map(str, driven))),
            (Variable("output", ("output",), "1", "phase read out"), readings),
            *self.coupling.coordinates(),
        )

    @property
    def description(self):
        return {
            "kind": type(self).__name__,
            "coupling": self.coupling.description,
            "driven": None if self.driven is None else list(self.driven),
            "outputs": list(self.read),
            "reference": self.reference,
        }

    # Physics

    @property
    def input_shape(self):
        return (self.size if self.driven is None else len(self.driven),)

    def default_inputs(self):
        return jnp.zeros(self.input_shape, self.natural_frequency.dtype)

    def detuned(self, inputs: Float[Array, " input"]) -> Float[Array, " oscillator"]:
        """Frequency, Hz, of each oscillator alone, under these inputs (input,), Hz."""
        if self.driven is None:
            return self.natural_frequency + inputs
        return self.natural_frequency.at[np.array(self.driven, int)].add(inputs)

    def frame_frequency(self, inputs: Float[Array, " input"]) -> Float[Array, ""]:
        """f_frame, Hz: the mean frequency where the common phase is free, else that of the injected signal."""
        return jnp.mean(self.detuned(inputs)) if self.is_free else self.reference_frequency

    def turning(self, real: Array, imag: Array, inputs: Array) -> Float[Array, " oscillator"]:
        """dphi/dt / 2pi, Hz, (N,), in the frame, without trigonometry.

        real, imag: of c = exp(-i phi) = real + i imag, (N,), dimensionless. inputs: detunings, Hz, (input,).
        """
        u, v = self.coupling.apply(real, imag)
        turning = self.detuned(inputs) - self.frame_frequency(inputs) - (real * v - imag * u)
        if self.field is not None:
            turning = turning + self.field * (imag * jnp.cos(self.field_phase) + real * jnp.sin(self.field_phase))
        if self.second_harmonic is not None:
            turning = turning + 2 * self.second_harmonic * real * imag
        return turning

    def fastest_rate(self, inputs):
        rate = jnp.abs(self.detuned(inputs) - self.frame_frequency(inputs)) + self.coupling.total_strength()
        for strength, times in ((self.field, 1), (self.second_harmonic, 2)):
            rate = rate if strength is None else rate + times * jnp.abs(strength)
        return 2 * jnp.pi * jnp.max(rate)

    @abstractmethod
    def phasors(self, state: PyTree) -> tuple[Array, Array]:
        """(real, imag) of c = exp(-i phi), each (N,), dimensionless."""

    @abstractmethod
    def phases(self, state: PyTree) -> Float[Array, " oscillator"]:
        """phi, rad, (N,), in the frame."""

    def frequencies(self, state: PyTree, inputs: Array) -> Float[Array, " oscillator"]:
        """Frequency, Hz, (N,), at which each oscillator turns at this instant; all alike in a locked state."""
        return self.frame_frequency(inputs) + self.turning(*self.phasors(state), inputs)

    def outputs(self, state, inputs):
        real, imag = self.phasors(state)
        read = np.array(self.read, int)
        cosine, sine = real[read], -imag[read]
        if self.reference is None:
            return jnp.concatenate([cosine, sine])
        c, s = real[self.reference], -imag[self.reference]
        return jnp.concatenate([cosine * c + sine * s, sine * c - cosine * s])

    def _first_phases(self, key) -> Float[Array, " oscillator"]:
        dtype = self.natural_frequency.dtype
        if key is not None:
            return jax.random.uniform(key, (self.size,), dtype, -jnp.pi, jnp.pi)
        return jnp.asarray(_OFFSET * (np.arange(self.size) * (np.sqrt(5) - 1) / 2 % 1), dtype)

    def _size_of_terms(self, state, inputs) -> Float[Array, " oscillator"]:
        """Sizes of the forces that cancel in a phase velocity, rad/s, but no less than arithmetic can resolve.

        The pull of the others is measured by its full strength |sum_j W_ij c_j|, not by the part that is left where
        they nearly balance, so that a relative residual is the angle, rad, that a phase is off its place.
        """
        frequency, frame = self.detuned(inputs), self.frame_frequency(inputs)
        u, v = self.coupling.apply(*self.phasors(state))
        forces = jnp.abs(frequency - frame) + jnp.sqrt(u**2 + v**2)
        given = jnp.abs(frequency) + jnp.abs(frame) + self.coupling.total_strength()
        if self.field is not None:
            forces, given = forces + jnp.abs(self.field), given + jnp.abs(self.field)
        if self.second_harmonic is not None:
            forces, given = forces + jnp.abs(self.second_harmonic), given + jnp.abs(self.second_harmonic)
        turns = 1 + jnp.minimum(jnp.abs(self.phases(state)), _LARGEST_PHASE)
        floor = jnp.finfo(forces.dtype).eps ** 0.25 * given * turns
        return 2 * jnp.pi * jnp.maximum(forces, floor)

    def diagnosis(self, state: PyTree, inputs: Array) -> str:
        """Why a steady state may not have been reached: which oscillators drift, and how fast. For one sample."""
        from oscillators.drift import drifting

        return str(drifting(self, inputs, state=state))


def _chosen(numbers, what: str, size: int) -> tuple[int, ...]:
    """Distinct oscillators as a tuple. Raises PhysnetError."""
    found = tuple(checks.indices(numbers, what, size).tolist())
    if len(set(found)) < len(found):
        twice = next(i for i in found if found.count(i) > 1)
        raise PhysnetError(f"{what} names oscillator {twice} more than once.")
    return found
