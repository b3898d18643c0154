"""What every model of coupled auto-oscillators shares: the devices, their currents and couplings."""

from dataclasses import replace
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from oscillators import checks, device_presets
from oscillators.coupling import Coupling
from physnet.errors import PhysnetError, require_instance
from physnet.relaxers.base import Relaxer
from physnet.system import Parameter, System
from physnet.variable import Variable


class Network(System):
    """Devices and couplings of N auto-oscillators; rates are X/2pi in Hz, as papers quote them.

    couplings: any number of `Coupling`s of one size, which add up; each may have its own delay. currents: operating
    currents, A, the default inputs. frequency: f0, Hz, in the limit of small power. nonlinear_shift: N/2pi, Hz.
    damping: G/2pi, Hz. nonlinear_damping: Q, dimensionless. efficiency: sigma/2pi, Hz/A. Each (N,) or one for all.
    below_threshold: accept currents at which an oscillator does not run by itself.
    """

    couplings: tuple[Coupling, ...]
    currents: Float[Array, " oscillator"]
    frequency: Float[Array, " oscillator"]
    nonlinear_shift: Float[Array, " oscillator"]
    damping: Float[Array, " oscillator"]
    nonlinear_damping: Float[Array, " oscillator"]
    efficiency: Float[Array, " oscillator"]
    below_threshold: bool

    # (attribute, units, least, above): what the values of each oscillator must be.
    _limits: ClassVar[tuple[tuple[str, str, float, float], ...]] = (
        ("frequency", "Hz", 0.0, -np.inf),
        ("nonlinear_shift", "Hz", -np.inf, -np.inf),
        ("damping", "Hz", -np.inf, 0.0),
        ("nonlinear_damping", "1", -np.inf, -1.0),
        ("efficiency", "Hz/A", -np.inf, 0.0),
    )

    def _set_oscillators(self, couplings, currents, frequency, shift, damping, efficiency, q, below_threshold):
        where = type(self).__name__
        for coupling in couplings:
            require_instance(coupling, Coupling, f"{where}: coupling")
        sizes = {coupling.size for coupling in couplings}
        given = {np.size(value) for value in (currents, frequency, shift, damping, efficiency, q)} - {1}
        if len(sizes | given) > 1:
            raise PhysnetError(
                f"{where}: couplings are for {sorted(sizes)} oscillators and values for {sorted(given)}; all must be "
                "for the same number."
            )
        self.couplings = tuple(couplings)
        self.frequency = jnp.broadcast_to(
            checks.floats(frequency, f"{where}: frequency", "Hz"), (max(sizes | given, default=1),)
        )
        given = (self.frequency, shift, damping, q, efficiency)
        for value, (name, *limits) in zip(given, Network._limits):
            setattr(self, name, self._each(value, name, *limits))
        self.below_threshold = bool(below_threshold)
        self.currents = self._each(currents, "currents", "A", 0.0, -np.inf)
        self._check_currents(self.currents)

    @classmethod
    def from_preset(cls, name, *couplings, **changes) -> Self:
        """A network of devices of one parameter set.

        name: of the set (`oscillators.presets()`), or a `Preset`. couplings: as for the class. changes: arguments of
        the class that replace those of the set, or add to them, in the units stated there. Raises PhysnetError for an
        unknown name, with the nearest one.
        """
        if not isinstance(name, str | device_presets.Preset):
            raise PhysnetError(
                f"{cls.__name__}.from_preset: the preset is {name!r}; pass a name, such as "
                f"'{device_presets.presets()[0].name}', or a Preset (oscillators.presets() lists them), before the "
                "couplings."
            )
        known = device_presets.preset(name) if isinstance(name, str) else name
        arguments = {
            "currents": known.current_ampere,
            "frequency": known.frequency_hz,
            "nonlinear_shift": known.nonlinear_shift_hz,
            "damping": known.damping_hz,
            "efficiency": known.efficiency_hz_per_ampere,
            "nonlinear_damping": known.nonlinear_damping,
        }
        return cls(*couplings, **(arguments | changes))

    def _each(self, value, name, units, least, above):
        """(N,) floats. Raises PhysnetError naming the oscillator whose value is out of range."""
        what = f"{type(self).__name__}: {name}"
        value = checks.floats(value, what, units, dtype=self.frequency.dtype)
        if value.shape not in ((), (self.size,)):
            raise PhysnetError(f"{what} has shape {value.shape}; give ({self.size},) or one number, {units}.")
        value = jnp.broadcast_to(value, (self.size,))
        if not checks.is_traced(value):
            _check_range(what, value, units, least, above)
        return value

    @property
    def size(self) -> int:
        """Number of oscillators, N."""
        return self.frequency.shape[0]

    @property
    def input_shape(self):
        return (self.size,)

    @property
    def input_variable(self):
        return Variable("current", ("oscillator",), "A", "direct current through each oscillator")

    @property
    def energy_units(self):
        return "1"

    def default_inputs(self):
        return self.currents

    def default_relaxer(self) -> Relaxer:
        from oscillators.locking import Locking

        return Locking.of_size(self.size)

    @property
    def description(self):
        return {"kind": type(self).__name__, "couplings": [coupling.description for coupling in self.couplings]}

    def coordinates(self):
        return tuple(
            (self._numbered(variable, k), labels)
            for k, coupling in enumerate(self.couplings)
            for variable, labels in coupling.coordinates()
        )

    def _numbered(self, variable: Variable, k: int) -> Variable:
        """A variable of coupling k, told apart from those of the other couplings where there are several."""
        if len(self.couplings) == 1:
            return variable
        dims = tuple(dim if dim == "oscillator" else f"{dim}_{k}" for dim in variable.dims)
        return replace(variable, name=f"{variable.name}_{k}", dims=dims)

    def _oscillator_parameters(self) -> tuple[Parameter, ...]:
        dims = ("oscillator",)
        found = [
            Parameter(Variable("frequency", dims, "Hz", "frequency f0 at small power", (0.0, np.inf)), _get_frequency),
            Parameter(Variable("nonlinear_shift", dims, "Hz", "N/2pi"), lambda s: s.nonlinear_shift, False),
            Parameter(Variable("damping", dims, "Hz", "G/2pi", (0.0, np.inf)), lambda s: s.damping, False),
            Parameter(Variable("nonlinear_damping", dims, "1", "Q"), lambda s: s.nonlinear_damping, False),
            Parameter(Variable("efficiency", dims, "Hz A-1", "sigma/2pi"), lambda s: s.efficiency, False),
        ]
        for k, coupling in enumerate(self.couplings):
            for parameter in coupling.parameters:
                variable, get = self._numbered(parameter.variable, k), parameter.get
                found.append(Parameter(variable, lambda s, k=k, get=get: get(s.couplings[k]), parameter.trainable))
        return tuple(found)

    # Derived quantities of each oscillator alone; `oscillators.theory` has them as functions of plain numbers.

    def supercriticality(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """zeta = sigma I / G, dimensionless. currents: I, A."""
        return self.efficiency * currents / self.damping

    def free_power(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """p0 = (zeta - 1)/(zeta + Q), dimensionless, 0 below threshold. currents: A."""
        zeta = jnp.maximum(self.supercriticality(currents), 1)
        return (zeta - 1) / (zeta + self.nonlinear_damping)

    def free_frequency(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """f_g = f0 + N p0, Hz. currents: A."""
        return self.frequency + self.nonlinear_shift * self.free_power(currents)

    def relaxation_rate(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """G_p/2pi = G (zeta - 1), Hz; the power relaxes at twice this rate. currents: A."""
        return self.damping * (self.supercriticality(currents) - 1)

    def nu(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """N p0/G_p, dimensionless, the nonlinear coupling of amplitude to frequency. currents: A."""
        return self.nonlinear_shift * self.free_power(currents) / self.relaxation_rate(currents)

    def currents_for(self, frequencies: Float[Array, " *n oscillator"]) -> Float[Array, " *n oscillator"]:
        """The currents, A, at which the oscillators alone run at given frequencies: f_g inverted; traceable.

        frequencies: Hz. NaN where no current above threshold gives the frequency.
        """
        power = (frequencies - self.frequency) / self.nonlinear_shift
        zeta = (1 + self.nonlinear_damping * power) / (1 - power)
        return jnp.where((power > 0) & (power < 1), zeta * self.damping / self.efficiency, jnp.nan)

    def check_values(self, inputs) -> None:
        """Raises PhysnetError for negative currents, oscillators below threshold (unless accepted), bad parameters.

        The parameters are checked again, since they may have been changed after the network was made.
        """
        if checks.is_traced(inputs, self):
            return
        for name, *limits in self._limits:
            _check_range(f"{type(self).__name__}: {name}", getattr(self, name), *limits)
        for parameter in self.parameters:
            checks.floats(
                parameter.get(self), f"{type(self).__name__}: {parameter.variable.name}", parameter.variable.units
            )
        self._check_currents(inputs)

    def admissible(self, inputs):
        finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(eqx.filter(self, eqx.is_inexact_array))]
        ranges = [
            jnp.all((getattr(self, name) >= least) & (getattr(self, name) > above))
            for name, _, least, above in self._limits
        ]
        running = self.below_threshold | (inputs > self.damping / self.efficiency)
        inputs_fit = (inputs >= 0) & running & (self.free_frequency(inputs) >= 0)
        return jnp.all(jnp.stack([*finite, *ranges, jnp.all(inputs_fit)]))

    def _check_currents(self, inputs) -> None:
        if checks.is_traced(inputs, self.efficiency, self.damping):
            return
        rows = np.asarray(inputs, float).reshape(-1, self.size)
        threshold = np.asarray(self.damping / self.efficiency)
        where = type(self).__name__
        if (rows < 0).any():
            row, i = np.argwhere(rows < 0)[0]
            raise PhysnetError(f"{where}: the current of oscillator {i} is {rows[row, i]:g} A; currents are >= 0.")
        low = np.argwhere(rows <= threshold)
        if len(low) and not self.below_threshold:
            names = sorted({int(i) for _, i in low})
            row, i = low[0]
            raise PhysnetError(
                f"{where}: below threshold: oscillator{'s' if len(names) > 1 else ''} {', '.join(map(str, names))} "
                f"(oscillator {i} has {rows[row, i]:.6g} A, its threshold is {threshold[i]:.6g} A), which would not "
                "oscillate. Raise the currents, or accept it with below_threshold=True."
            )
        if checks.is_traced(self.frequency, self.nonlinear_shift, self.nonlinear_damping):
            return
        free = np.asarray(jax.vmap(self.free_frequency)(jnp.asarray(rows, self.frequency.dtype)))
        if (free < 0).any():
            row, i = np.argwhere(free < 0)[0]
            raise PhysnetError(
                f"{where}: the free frequency f0 + N p0 of oscillator {i} is {free[row, i]:.6g} Hz at "
                f"{rows[row, i]:.6g} A; it must be 0 or more. Check frequency and nonlinear_shift, both in Hz."
            )


def _check_range(what, values, units, least, above) -> None:
    """Raises PhysnetError naming the first oscillator whose value is out of range."""
    values = np.asarray(values)
    bad = np.flatnonzero(~((values >= least) & (values > above)))
    if bad.size:
        limit = f"{least:g} or more" if least > above else f"above {above:g}"
        limit = limit if max(least, above) > -np.inf else "a number"
        raise PhysnetError(f"{what} of oscillator {bad[0]} is {values[bad[0]]:g} {units}; it must be {limit}.")


def _get_frequency(system):
    return system.frequency
