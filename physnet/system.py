"""What settles: the contract that every physical system of physnet meets."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from physnet import precision
from physnet.variable import Variable

if TYPE_CHECKING:
    from physnet.relaxers.base import Relaxer


@dataclass(frozen=True)
class Parameter:
    """One parameter array of a system: what it is, where it sits, and whether learning may change it.

    variable: name, dims, units and the range that learning must respect (`bounds`).
    get: the system's array, as a function of the system: `lambda system: system.conductances[0]`.
    trainable: whether gradients are taken with respect to it.
    """

    variable: Variable
    get: Callable[["System"], Array]
    trainable: bool = True


class System(eqx.Module):
    """A physical system with steady states. Methods are written for one sample; physnet adds the sample axis.

    The state is any pytree of real arrays, `variables` naming its leaves in order; `inputs` is one array of shape
    `input_shape`. A steady state is where `residual` vanishes, inside `bounds` where the system has any.

    Methods take these. state: of one sample, each leaf in the unit of its variable. inputs: of one sample, shape
    `input_shape`, in the unit of `input_variable`. force: what a nudge adds to the system's own, shaped like the state,
    in the unit of the residual. noise: of each source, shaped like `diffusion`, in its unit. past: the states one delay
    ago, one for each of `delays`, s. key: a JAX random key, jax.random.key(seed).
    """

    @property
    @abstractmethod
    def variables(self) -> tuple[Variable, ...]:
        """Name, dims, units of each leaf of the state, in the order of `jax.tree.leaves(state)`."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """Every parameter that a dataset should hold, the trainable ones marked."""

    @property
    @abstractmethod
    def input_variable(self) -> Variable:
        """What the inputs are: name, units; dims of one sample."""

    @property
    @abstractmethod
    def output_variable(self) -> Variable:
        """What the outputs are: name, units; dims of one sample."""

    @property
    @abstractmethod
    def residual_units(self) -> str:
        """Units of the residual: A for node currents, rad s-1 for phases."""

    @property
    @abstractmethod
    def energy_units(self) -> str:
        """Units of the energy: W for a co-content (watt). Of no meaning where there is no energy."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the inputs of one sample."""

    @abstractmethod
    def initial_state(self, inputs: Array, key: PRNGKeyArray | None = None) -> PyTree:
        """Where a cold relaxation starts; drawn with `key` where the system starts at random."""

    def rest_state(self, inputs: Array) -> PyTree:
        """Where `integrate` starts, before the inputs are switched on; `initial_state` unless the system knows better.

        A relaxation may start from a guess near its end; what happens in time starts where the system really is.
        """
        return self.initial_state(inputs)

    @abstractmethod
    def residual(self, state: PyTree, inputs: Array) -> PyTree:
        """What vanishes at equilibrium, shaped like the state, in `residual_units` (for an energy, dE/ds)."""

    @abstractmethod
    def vector_field(self, state: PyTree, inputs: Array) -> PyTree:
        """ds/dt, shaped like the state, in its unit per s."""

    @abstractmethod
    def outputs(self, state: PyTree, inputs: Array) -> Float[Array, " output"]:
        """What a cost reads off the state, (output,), in the unit of `output_variable`."""

    @abstractmethod
    def default_relaxer(self) -> "Relaxer":
        """The relaxer that suits this system best."""

    def scouts(self) -> "tuple[Relaxer, Relaxer] | None":
        """(one that finds roughly, for thousands of starts at once, where they lead; one that goes on from there).

        What a search for equilibria uses, which takes only what is different to the end. None for the default relaxer.
        """
        return None

    def coordinates(self) -> tuple[tuple[Variable, tuple[str, ...]], ...]:
        """Names along the dims of `variables`, `input_variable` and `parameters`: ((variable, labels), ...)."""
        return ()

    @property
    def description(self) -> dict:
        """What made the system and no parameter array says (sizes, kinds of element), as plain values for JSON."""
        return {}

    def under(self, inputs: Array) -> tuple["System", Array]:
        """(system, its inputs in their unit) that move alike: what engines resolve once, where inputs are held."""
        return self, inputs

    def check_values(self, inputs: Array) -> None:
        """Raises PhysnetError for inputs, (..., input) as well, without physical sense; before anything is traced."""
        return None

    def check_changing(self) -> None:
        """Raises PhysnetError where `integrate` could not follow inputs that change in time."""
        return None

    def admissible(self, inputs: Array) -> Bool[Array, ""]:
        """Whether `check_values` accepts the system and the inputs of one sample; traceable, for `Varied`."""
        return jnp.asarray(True)

    def fastest_rate(self, inputs: Array) -> Float[Array, ""] | None:
        """The fastest rate of change, rad/s, under these inputs of one sample: what fixed steps must resolve.

        None where it is not known or the system is stiff; `integrate` then adapts its steps.
        """
        return None

    def diffusion(self, state: PyTree, inputs: Array) -> PyTree | None:
        """Amplitude of each source of additive white noise; None for a system without noise.

        ds = vector_field dt + noise_to_state(diffusion dW) with independent Wiener processes W, one for each number.
        By default shaped like the state, one source for each state variable, in its unit per sqrt(s). It must not
        depend on the variables that it moves.
        """
        return None

    def noise_to_state(self, noise: PyTree, inputs: Array) -> PyTree:
        """What noise of the sources, shaped like `diffusion`, does to the state; linear, the identity by default.

        For noise that reaches several state variables at once: the current noise of a resistor between two nodes.
        """
        return noise

    def mobility(self, force: PyTree) -> PyTree:
        """The rate ds/dt, in the state's unit per s, by a force; the identity without capacitances or masses."""
        return force

    def force(self, state: PyTree, inputs: Array) -> PyTree:
        """What a nudge's force is added to, shaped like the state; -residual unless the nudge acts further inside.

        The reciprocity of a system is the symmetry of its Jacobian, and learning rules without an energy read
        gradients off its derivative with respect to the parameters.
        """
        return jax.tree.map(jnp.negative, self.residual(state, inputs))

    def forced_residual(self, state: PyTree, inputs: Array, force: PyTree) -> PyTree:
        """`residual` while a further force, shaped like the state, acts on it."""
        return jax.tree.map(jnp.subtract, self.residual(state, inputs), force)

    def forced_vector_field(self, state: PyTree, inputs: Array, force: PyTree) -> PyTree:
        """`vector_field` while a further force, shaped like the state, acts on it."""
        return jax.tree.map(jnp.add, self.vector_field(state, inputs), self.mobility(force))

    def metric(self, state: PyTree, inputs: Array) -> PyTree | None:
        """Positive weights G of the state variables, shaped like the state, for learning without an energy.

        A displacement has the size sqrt(sum G ds^2); nudges act as the force -beta G^-1 dC/ds, and the Jacobian J is
        compared with G^-1 J^T G. A system is reciprocal in coordinates sqrt(G) s that suit it, and far from it in
        others. None for ones. Evaluated at the free state only.
        """
        return None

    @property
    def is_noisy(self) -> bool:
        """Whether `integrate` must be given a key to draw the noise of `diffusion`."""
        return False

    @property
    def delays(self) -> tuple[float, ...]:
        """Delays, s, of what `delayed_vector_field` reads from the past; () for most systems."""
        return ()

    def delayed_vector_field(self, state: PyTree, past: tuple[PyTree, ...], inputs: Array) -> PyTree:
        """ds/dt, from the state now and the states one delay ago, one for each of `delays`."""
        return self.vector_field(state, inputs)

    def diagnosis(self, state: PyTree, inputs: Array) -> str:
        """What a user should know of a state that did not settle (which oscillators drift); "" for nothing more."""
        return ""

    def why_no_energy(self) -> str:
        """What to say of a system without an energy: how far it is from it, which relative has one. "" for nothing."""
        return ""

    @property
    def iterates(self) -> bool:
        """Whether the system settles by iterating a map, its residual being s - map(s)."""
        return False

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Leaves of the state (their numbers) that do not act on one another, block by block: they may move at once."""
        return (tuple(range(len(self.variables))),)

    @property
    def conservative(self) -> bool:
        """Whether the nudged system rests where one scalar, E + beta C, is stationary."""
        return False

    @property
    def resolved(self) -> "System":
        """A system of the same state and physics that takes `resolve(inputs)` as its inputs; itself by default."""
        return self

    def resolve(self, inputs: Array) -> PyTree:
        """What can be worked out of the inputs of one sample once, before the steps of a relaxation."""
        return inputs

    def default_inputs(self) -> Array | None:
        """Inputs of a system that can be relaxed without naming any, shape `input_shape` in their unit; else None."""
        return None

    def bounds(self, inputs: Array) -> tuple[PyTree, PyTree] | None:
        """The box (lowest, highest) that the state cannot leave, each shaped like the state; None without one."""
        return None

    def residual_scale(self, state: PyTree, inputs: Array) -> PyTree:
        """The size of the terms that cancel in `residual`, shaped like the state; ones where it has no better measure.

        The relative residual is the largest |residual| / residual_scale. Give the sum of |terms|, the |currents| at a
        node, but no less than a share eps^(1/4) (1e-4 in double, 2e-2 in single precision) of the numbers that they
        are computed from, eps being the rounding: g (|v_i| + |v_j|) for a current g (v_i - v_j), Is for a junction's
        Is exp(v/nVt) - Is. Otherwise a node that carries next to no current never certifies.
        """
        return jax.tree.map(jnp.ones_like, state)

    def neutral_modes(self, state: PyTree) -> tuple[PyTree, ...]:
        """Directions along which the system does not change (a common phase), each shaped like the state."""
        return ()

    def output_response(self, state: PyTree, inputs: Array) -> Float[Array, "output output"]:
        """How far each output moves by a nudge's force on another, in the unit of outputs over forces: `linearise`."""
        from physnet.linearise import output_response

        return output_response(self, state, inputs)

    def adjoints(self, states: PyTree, inputs: Array, right: PyTree, memory: PyTree | None = None) -> PyTree:
        """x with J^T x = right at the free states of a batch, zero where a bound holds; shaped like the states.

        states: shaped like the state, with a leading sample axis. inputs: (sample, input), in the unit of
        `input_variable`. right: the right-hand sides, shaped like `states`. memory: what the relaxer left behind
        (`Equilibrium.memory`), for systems with a solver that can use it.
        """
        from physnet.linearise import solve_transposed
        from physnet.problem import Problem

        # One sample at a time: a dense Jacobian each is large enough.
        return jax.lax.map(lambda s: solve_transposed(Problem(self, s[1]), s[0], s[2]), (states, inputs, right))

    def nudging_scale(self, state: PyTree, inputs: Array) -> Float[Array, ""]:
        """The beta, in units of energy over cost, at which a negative nudge first unbinds the outputs.

        One over the largest eigenvalue of P H^-1 P^T, H the Jacobian of the residual on the free coordinates and P
        the derivative of the outputs: for a circuit, the smallest eigenvalue of its output Thevenin conductance.
        Where there is no energy, one over the largest singular value: a measure, not a bound. 1 where the outputs
        cannot move, and any beta will do.
        """
        response = self.output_response(state, inputs)
        softest = jnp.max(jnp.linalg.eigvalsh(response)) if self.conservative else jnp.linalg.norm(response, 2)
        return jnp.where(softest == 0, 1, 1 / jnp.where(softest == 0, 1, softest))


class EnergySystem(System):
    """A system whose steady states are the stationary points of one scalar energy."""

    # True where dE/dtheta is at most quadratic in the state for every trainable parameter. Differences of dE/dtheta
    # between two states are then taken, without cancellation, as a derivative at the midpoint, which is exact.
    midpoint_exact: ClassVar[bool] = False

    @property
    def conservative(self) -> bool:
        return True

    @abstractmethod
    def energy(self, state: PyTree, inputs: Array) -> Float[Array, ""]:
        """The energy, in `energy_units`; for a circuit its total co-content."""

    def residual(self, state: PyTree, inputs: Array) -> PyTree:
        return jax.grad(self.energy, holomorphic=precision.is_complex(state))(state, inputs)

    def vector_field(self, state: PyTree, inputs: Array) -> PyTree:
        return self.mobility(jax.tree.map(jnp.negative, self.residual(state, inputs)))


def is_boxed(system: System) -> bool:
    """Whether the state of `system` is confined to a box."""
    return jax.eval_shape(system.bounds, _inputs_like(system)) is not None


def state_size(system: System) -> int:
    """Number of coordinates of the state of `system`."""
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(system.initial_state, _inputs_like(system))))


def _inputs_like(system: System) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(system.input_shape, precision.dtype_of(eqx.filter(system, eqx.is_inexact_array)))
