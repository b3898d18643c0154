"""relax(): a system, its inputs, and the steady state they lead to, with its certificate."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from physnet import precision
from physnet.checks import check_initial, check_inputs
from physnet.cost import Cost, check_targets
from physnet.errors import ConvergenceError, PhysnetError, require_instance
from physnet.nudge import Nudge
from physnet.nudging_scale import beta_units, check_beta, nudging_scales
from physnet.problem import Problem
from physnet.relaxers.base import Relaxer
from physnet.system import EnergySystem, System

CONVERGED, TOO_MANY_STEPS, NOT_FINITE, BEYOND = 0, 1, 2, 3
STATUS = (
    "converged",
    "steps exhausted above the tolerance",
    "the state is not finite",
    "beta lies beyond the radius within which the steady state is an analytic function of it",
)


class Equilibrium(eqx.Module):
    """A steady state, or the best that was reached, and how good it is. Leading sample axis where the inputs had one.

    state: shaped like the system's state. outputs: what a cost reads, in the outputs' unit. energy: in the system's
    energy unit.
    residual: relative, the largest over nodes of |sum of currents| / sum of |currents| for a circuit, the sum being no
    less than what arithmetic can resolve (`System.residual_scale`).
    imbalance: the largest absolute residual, in the residual's unit (A). steps: iterations of the relaxer.
    converged: residual <= tolerance and every number finite. status: 0 converged, 1 out of steps, 2 not finite, 3 beta
    beyond the reach of a holomorphic nudging.
    displacement: state minus the free state, for a nudged phase; None for a free one.
    memory: what the relaxer can use again in nudged phases. strategy: which of the relaxer's `strategies` found it,
    None for a relaxer that has only one; strategies: their names. inputs: (sample, input) or (input,), in the inputs'
    unit; system: what was relaxed under them.
    """

    state: PyTree
    outputs: Float[Array, " *sample output"]
    energy: Float[Array, " *sample"]
    residual: Float[Array, " *sample"]
    imbalance: Float[Array, " *sample"]
    steps: Int[Array, " *sample"]
    converged: Bool[Array, " *sample"]
    status: Int[Array, " *sample"]
    displacement: PyTree | None = None
    memory: PyTree | None = None
    strategy: Int[Array, " *sample"] | None = None
    inputs: Array | None = None
    system: System | None = None
    strategies: tuple[str, ...] = eqx.field(static=True, default=())

    def to_dataset(self, **attributes):
        """A `physnet-1` dataset of the states, outputs, energy and certificate.

        attributes: as for `physnet.to_dataset`.
        """
        from physnet.datasets import equilibrium_dataset

        return equilibrium_dataset(self, **attributes)


def settle(
    system: System,
    inputs: Array,
    nudge: Nudge | None,
    relaxer: Relaxer,
    *,
    initial: PyTree | None = None,
    reference: Equilibrium | None = None,
    certify: bool = True,
) -> Equilibrium:
    """The traceable core of `relax`: a batch in, a batch of equilibria out, nothing checked and nothing raised.

    reference: the free phase (sample, ...) that a nudged phase starts from and from which its displacement is taken.
    certify: measure the residual exactly, from the system; otherwise take the relaxer's own measure where it has one.
    """
    if initial is None:
        initial = jax.vmap(system.initial_state)(inputs) if reference is None else reference.state
    solution = relaxer.solve(system, inputs, nudge, initial, reference, certify)

    def measure(state, inputs, nudge):
        problem = Problem(system, inputs, nudge)
        energy = system.energy(state, inputs) if isinstance(system, EnergySystem) else jnp.nan
        return system.outputs(state, inputs), energy, *problem.certificate(state)

    outputs, energy, residual, imbalance = jax.vmap(measure)(solution.state, inputs, nudge)
    certify = certify or solution.settled is None
    if not certify:
        residual = solution.residual
    finite = jax.vmap(lambda leaves: jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves])))(
        jax.tree.leaves(solution.state)
    )
    converged = finite & (residual <= relaxer.tolerance_for(outputs.dtype)) if certify else finite
    if solution.settled is not None:
        converged = converged & solution.settled
    status = jnp.where(converged, CONVERGED, jnp.where(finite, TOO_MANY_STEPS, NOT_FINITE)).astype(jnp.int8)
    displacement = solution.displacement
    if displacement is None and reference is not None:
        displacement = jax.tree.map(jnp.subtract, solution.state, reference.state)
    return Equilibrium(
        solution.state,
        outputs,
        energy,
        residual,
        imbalance,
        solution.steps,
        converged,
        status,
        displacement,
        solution.memory,
        solution.strategy,
        strategies=relaxer.strategies,
    )


compiled_settle = eqx.filter_jit(settle)


def check_relaxer(system: System, relaxer: Relaxer | None, cost=None) -> Relaxer:
    """The relaxer to use: the given one, or the system's own. Raises PhysnetError where it refuses the system."""
    relaxer = system.default_relaxer() if relaxer is None else relaxer
    require_instance(relaxer, Relaxer, "relaxer")
    if cost is not None:
        require_instance(cost, Cost, "cost")
    reason = relaxer.refuses(system, cost)
    if reason is not None:
        raise PhysnetError(f"{type(relaxer).__name__} refuses {type(system).__name__}: {reason}")
    return relaxer


def relax(
    system: System,
    inputs=None,
    *,
    relaxer: Relaxer | None = None,
    nudge: Nudge | None = None,
    initial: PyTree | None = None,
    throw: bool = True,
) -> Equilibrium:
    """Lets a system settle under fixed inputs and says how steady the result is.

    system: what settles. inputs: (input,) for one sample or (sample, input) for a batch, in the system's input unit;
    may be left out where the system has default inputs (a circuit's source values). relaxer: how; the system's own
    choice by default.
    nudge: a cost, target and beta that pull on the outputs; none for the free phase. initial: where to start, shaped
    like the state (with a leading sample axis for a batch). throw: raise ConvergenceError if any sample did not settle;
    with False the equilibrium says so in `converged` and `status`.
    Raises PhysnetError for inputs, targets or a relaxer that do not fit the system.
    """
    inputs, batched = check_inputs(system, inputs)
    relaxer = check_relaxer(system, relaxer, None if nudge is None else nudge.cost)
    samples = inputs.shape[0]
    if nudge is not None:
        beta = _check_nudge_beta(nudge.beta, samples, inputs.dtype)
        target = check_targets(system, nudge.cost, nudge.target, samples)
        nudge = Nudge(nudge.cost, target, jnp.broadcast_to(beta, (samples,)))
        if bool(jnp.any(beta < 0)):
            _check_negative_beta(system, inputs, nudge, relaxer, throw)
    if initial is not None:
        initial = check_initial(system, inputs, initial, batched)
    equilibrium = compiled_settle(system, inputs, nudge, relaxer, initial=initial)
    if throw:
        raise_unless_converged(equilibrium, system, relaxer, "relax", None if nudge is not None else inputs)
    equilibrium = replace(equilibrium, inputs=inputs)
    if not batched:
        equilibrium = jax.tree.map(lambda leaf: leaf[0], equilibrium)
    return replace(equilibrium, system=system)


def _check_nudge_beta(beta, samples: int, dtype) -> Array:
    """beta as an array, () or (sample,). Raises PhysnetError."""
    beta = precision.asarray(precision.real_array(beta, "relax: beta of the nudge"), dtype)
    if beta.shape not in ((), (samples,)):
        raise PhysnetError(
            f"relax: beta of the nudge has shape {beta.shape}; give one number, or one for each of the {samples} "
            "samples of inputs."
        )
    if not bool(jnp.all(jnp.isfinite(beta))):
        raise PhysnetError("relax: beta of the nudge is NaN or infinite; it must be finite.")
    return beta


def _check_negative_beta(system, inputs, nudge, relaxer, throw):
    """A negative nudge is refused where, at the free state, it would unbind the outputs."""
    free = compiled_settle(system, inputs, None, relaxer, initial=None)
    if throw:
        raise_unless_converged(free, system, relaxer, "relax, free phase", inputs)
    scales = nudging_scales(system, nudge.cost, free.state, inputs)
    check_beta(nudge.beta, nudge.cost, scales, "relax", beta_units(system, nudge.cost))


def raise_unless_converged(
    equilibrium: Equilibrium, system: System, relaxer: Relaxer, where: str, inputs: Array | None = None
) -> None:
    """Raises ConvergenceError that names the worst sample, its residual, the tolerance and what to try.

    inputs: (sample, input) of free states, for what the system itself has to say (`System.diagnosis`).
    """
    converged = np.atleast_1d(np.asarray(equilibrium.converged))
    if converged.all():
        return
    flat = converged.reshape(-1)
    residual = np.asarray(equilibrium.residual).reshape(-1)
    worst = int(np.argmax(np.where(flat, -np.inf, np.where(np.isfinite(residual), residual, np.inf))))
    status = int(np.asarray(equilibrium.status).reshape(-1)[worst])
    imbalance = float(np.asarray(equilibrium.imbalance).reshape(-1)[worst])
    steps = int(np.asarray(equilibrium.steps).reshape(-1)[worst])
    tolerance = relaxer.tolerance_for(np.asarray(equilibrium.outputs).dtype)
    said = ""
    if inputs is not None:
        said = system.diagnosis(jax.tree.map(lambda leaf: leaf[worst], equilibrium.state), inputs[worst])
    raise ConvergenceError(
        f"{where}: {(~flat).sum()} of {flat.size} steady states of {type(system).__name__} not reached by "
        f"{type(relaxer).__name__}: {STATUS[status]} (sample {worst % converged.shape[-1]}: relative "
        f"residual {residual[worst]:.3g} > {tolerance:.3g}, largest residual {imbalance:.3g} "
        f"{system.residual_units}, after {steps} steps). "
        f"{said}{' ' if said else ''}"
        "Try more steps, another relaxer=..., double precision, a smaller beta, or throw=False to look at the state."
    )
