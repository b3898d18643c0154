"""A system some of whose parameters vary from sample to sample: ensembles and maps over any parameter."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from physnet.augmented import Resolving
from physnet.checks import check_inputs
from physnet.errors import PhysnetError, require_instance
from physnet.system import System
from physnet.variable import Variable


class Varied(Resolving):
    """Takes numbers that change a system as its inputs, so that every sample of a batch is another device.

    Everything that takes a batch of inputs takes an ensemble of systems this way: `integrate`, `relax`, their engines
    and relaxers, noise. Its inputs are these numbers, (number,), each in the unit that `place` takes it in.

    system: the one to change. place: the change, place(system, values) -> system, from one sample's values (number,),
    traceable; a named function, not a new lambda for each call, which would compile again. number: how many values.
    base: the inputs of `system`, shape `system.input_shape` in their unit, the same for all samples; its default inputs
    where left out. names: of the values, for datasets. Raises PhysnetError for a change that cannot be made, and (in
    `integrate`, `relax`) for values that make a system without physical sense.

        def detune(system, values):  # Hz
            return eqx.tree_at(lambda s: s.frequency, system, system.frequency.at[1:].add(values))

        integrate(Varied(network, detune, 2), detunings, times)  # detunings: (sample, 2)
    """

    system: System
    base: Array
    place: Callable[[System, Array], System] = eqx.field(static=True)
    number: int = eqx.field(static=True)
    names: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, system, place, number, *, base=None, names=None):
        require_instance(system, System, "Varied: system")
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise PhysnetError(f"Varied: number is {number!r}; give how many values change the system, at least 1.")
        if not callable(place):
            raise PhysnetError(f"Varied: place is {place!r}; pass a function (system, values) -> system.")
        if names is not None and (isinstance(names, str) or len(names := tuple(map(str, names))) != number):
            raise PhysnetError(f"Varied: names are {names!r}; give {number}, one for each of the values.")
        rows, batched = check_inputs(system, base)
        if batched:
            raise PhysnetError(
                f"Varied: base has a sample axis, shape {rows.shape}; give the inputs of one system, shape "
                f"{system.input_shape}. They are the same for all samples; `place` makes the differences."
            )
        self.system, self.place, self.number, self.base, self.names = system, place, int(number), rows[0], names
        self._check_place()

    def _check_place(self) -> None:
        """Raises PhysnetError unless `place` makes a system of the same kind and shapes of `number` values."""
        name = getattr(self.place, "__name__", repr(self.place))
        where = f"Varied: place, {name}(system, values) with values of shape ({self.number},),"
        try:
            values = jax.ShapeDtypeStruct((self.number,), self.base.dtype)
            placed = eqx.filter_eval_shape(self.place, self.system, values)
        except PhysnetError:
            raise
        except Exception as error:
            reason = str(error).split("\n")[0].rstrip(".")
            raise PhysnetError(
                f"{where} raised {type(error).__name__}: {reason}. It must be traceable by JAX and take {self.number} "
                "values."
            ) from error
        if not isinstance(placed, System):
            raise PhysnetError(f"{where} returned {type(placed).__name__}; return the changed system.")
        if jax.tree.structure(placed) != jax.tree.structure(self.system):
            raise PhysnetError(
                f"{where} returned a {type(placed).__name__} that is not built like the {type(self.system).__name__} "
                "it was given. Change its arrays: eqx.tree_at(lambda s: s.frequency, system, new)."
            )
        old, new = (jax.tree_util.tree_leaves_with_path(tree) for tree in (self.system, placed))
        for (path, leaf), (_, changed) in zip(old, new):
            if np.shape(leaf) != getattr(changed, "shape", ()):
                raise PhysnetError(
                    f"{where} returned a system whose {jax.tree_util.keystr(path).lstrip('.')} has shape "
                    f"{changed.shape}; it was {np.shape(leaf)} and must stay so."
                )

    def check_values(self, inputs):
        """Raises PhysnetError for the first sample whose values make a system that `check_values` there refuses."""
        rows = jnp.reshape(inputs, (-1, self.number))
        good = np.asarray(_admissible(self, rows))
        if good.all():
            return
        sample = int(np.argmin(good))
        values = ", ".join(f"{value:.6g}" for value in np.asarray(rows[sample]))
        where = f"Varied: sample {sample} of {len(good)}, with the values ({values})"
        try:
            self.at(rows[sample]).check_values(self.base)
        except PhysnetError as error:
            raise PhysnetError(f"{where}: {error}") from None
        raise PhysnetError(
            f"{where}, makes a {type(self.system).__name__} that has no physical sense or is not finite."
        )

    def admissible(self, inputs):
        return self.at(inputs).admissible(self.base)

    def at(self, inputs: Array) -> System:
        """The system of one sample. inputs: its values, (number,), in the units that `place` takes."""
        return self.place(self.system, inputs)

    def under(self, inputs):
        return self.at(inputs), self.base

    @property
    def input_variable(self):
        return Variable("variation", ("input",), "1", "values that change the system")

    @property
    def input_shape(self):
        return (self.number,)

    def coordinates(self):
        names = () if self.names is None else ((Variable("input", ("input",), "1", "what is varied"), self.names),)
        return (*names, *self.system.coordinates())

    @property
    def description(self):
        return {"kind": "Varied", "system": self.system.description, "values": list(self.names or range(self.number))}

    def delayed_vector_field(self, state, past, inputs):
        return self.at(inputs).delayed_vector_field(state, past, self.base)

    def default_relaxer(self):
        return self.system.default_relaxer()

    def neutral_modes(self, state):
        return self.system.neutral_modes(state)

    def fastest_rate(self, inputs):
        return self.at(inputs).fastest_rate(self.base)

    def diffusion(self, state, inputs):
        return self.at(inputs).diffusion(state, self.base)

    def noise_to_state(self, noise, inputs):
        return self.at(inputs).noise_to_state(noise, self.base)

    @property
    def is_noisy(self):
        return self.system.is_noisy

    @property
    def delays(self):
        return self.system.delays

    def diagnosis(self, state, inputs):
        return self.at(inputs).diagnosis(state, self.base)


@eqx.filter_jit
def _admissible(varied, rows):
    return jax.vmap(varied.admissible)(rows)
