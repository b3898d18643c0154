"""What every model of coupled auto-oscillators shares: the devices, their currents and couplings."""

from typing import Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from oscillators import checks, presets
from oscillators.coupling import Coupling
from physnet.errors import PhysnetError, require_instance
from physnet.relaxers.base import Relaxer
from physnet.system import Parameter, System
from physnet.variable import Variable


class Network(System):
    """Devices and couplings of N auto-oscillators; rates are X/2pi in Hz, as papers quote them.

    couplings: any number of `Coupling`s of one size, which add up; each may have its own delay. currents: operating
    currents, A, the default inputs. frequency: f0, Hz, in the limit of small power. nonlinear_shift: N/2pi, Hz.
    damping: G/2pi, Hz. nonlinear_damping: Q. efficiency: sigma/2pi, Hz/A. Each (N,) or one for all.
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
        self.frequency = self._each(self.frequency, "frequency", "Hz", least=0)
        self.nonlinear_shift = self._each(shift, "nonlinear_shift", "Hz")
        self.damping = self._each(damping, "damping", "Hz", above=0)
        self.nonlinear_damping = self._each(q, "nonlinear_damping", "", above=-1)
        self.efficiency = self._each(efficiency, "efficiency", "Hz/A", above=0)
        self.below_threshold = bool(below_threshold)
        self.currents = self._each(currents, "currents", "A", least=0)
        self.check_values(self.currents)

    @classmethod
    def from_preset(cls, name, *couplings, **changes) -> Self:
        """A network of devices of one parameter set, by name or as a `Preset`; `changes` replace or add arguments.

        Raises PhysnetError for an unknown name, with the nearest one.
        """
        known = presets.preset(name) if isinstance(name, str) else name
        arguments = {
            "currents": known.current_ampere,
            "frequency": known.frequency_hz,
            "nonlinear_shift": known.nonlinear_shift_hz,
            "damping": known.damping_hz,
            "efficiency": known.efficiency_hz_per_ampere,
            "nonlinear_damping": known.nonlinear_damping,
        }
        return cls(*couplings, **(arguments | changes))

    def _each(self, value, name, units, *, least=-np.inf, above=-np.inf):
        """(N,) floats. Raises PhysnetError naming the oscillator whose value is out of range."""
        what = f"{type(self).__name__}: {name}"
        value = checks.floats(value, what, units, dtype=self.frequency.dtype)
        if value.shape not in ((), (self.size,)):
            raise PhysnetError(f"{what} has shape {value.shape}; give ({self.size},) or one number, {units}.")
        value = jnp.broadcast_to(value, (self.size,))
        if not checks.is_traced(value):
            bad = np.flatnonzero(~((np.asarray(value) >= least) & (np.asarray(value) > above)))
            if bad.size:
                limit = f"{least:g} or more" if least > above else f"above {above:g}"
                raise PhysnetError(f"{what} of oscillator {bad[0]} is {value[bad[0]]:g} {units}; it must be {limit}.")
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
        return tuple(pair for coupling in self.couplings for pair in coupling.coordinates())

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
                variable, get = parameter.variable, parameter.get
                if len(self.couplings) > 1:
                    variable = Variable(
                        f"{variable.name}_{k}", variable.dims, variable.units, variable.long_name, variable.bounds
                    )
                found.append(Parameter(variable, lambda s, k=k, get=get: get(s.couplings[k]), parameter.trainable))
        return tuple(found)

    # Derived quantities of each oscillator alone; `oscillators.theory` has them as functions of plain numbers.

    def supercriticality(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """zeta = sigma I / G at these currents, A."""
        return self.efficiency * currents / self.damping

    def free_power(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """p0 = (zeta - 1)/(zeta + Q), 0 below threshold."""
        zeta = jnp.maximum(self.supercriticality(currents), 1)
        return (zeta - 1) / (zeta + self.nonlinear_damping)

    def free_frequency(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """f_g = f0 + N p0, Hz."""
        return self.frequency + self.nonlinear_shift * self.free_power(currents)

    def relaxation_rate(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """G_p/2pi = G (zeta - 1), Hz; the power relaxes at twice this rate."""
        return self.damping * (self.supercriticality(currents) - 1)

    def nu(self, currents: Float[Array, " oscillator"]) -> Float[Array, " oscillator"]:
        """N p0/G_p, the nonlinear coupling of amplitude to frequency."""
        return self.nonlinear_shift * self.free_power(currents) / self.relaxation_rate(currents)

    def currents_for(self, frequencies: Float[Array, " *n oscillator"]) -> Float[Array, " *n oscillator"]:
        """The currents, A, at which the oscillators alone run at these frequencies, Hz: f_g inverted; traceable.

        NaN where no current above threshold gives the frequency.
        """
        power = (frequencies - self.frequency) / self.nonlinear_shift
        zeta = (1 + self.nonlinear_damping * power) / (1 - power)
        return jnp.where((power > 0) & (power < 1), zeta * self.damping / self.efficiency, jnp.nan)

    def check_values(self, inputs) -> None:
        """Raises PhysnetError for negative currents, and for oscillators below threshold unless they are accepted."""
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


def _get_frequency(system):
    return system.frequency
