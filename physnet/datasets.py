"""`physnet-1` datasets from what was computed: equilibria, trajectories, gradients (docs/schema.md)."""

from dataclasses import replace

import jax
import numpy as np

from physnet import provenance, results
from physnet.errors import PhysnetError
from physnet.system import EnergySystem, System
from physnet.variable import Variable, quotient_units

_RESIDUAL = Variable("residual", (), "1", "largest residual relative to the terms that cancel in it")
_CONVERGED = Variable("converged", (), "1", "whether the state met its tolerance with every number finite")
_STEPS = Variable("steps", (), "1", "iterations of the relaxer")


def to_dataset(result, **attributes):
    """The labelled dataset of an Equilibrium, Trajectory, EPGradient, GradientReport or TrainingRun.

    result: that object. attributes: title, summary, references, seed, config; anything else becomes a global attribute.
    Raises PhysnetError for an object without a dataset.
    """
    if not hasattr(result, "to_dataset"):
        raise PhysnetError(
            f"to_dataset: a {type(result).__name__} has no dataset; pass what relax, integrate, ep_gradient, "
            "check_gradient or fit returned."
        )
    return result.to_dataset(**attributes)


def build(system: System, variables, *, coords=(), default_title: str, dtype, **attributes):
    """A dataset with provenance, of (Variable, array) pairs, and of the system's coordinates that fit their dims.

    The system's description stands in the attribute physnet_system (JSON) and, where no config is given, in its place.
    """
    variables = list(variables)
    dims = {dim for variable, _ in variables for dim in variable.dims}
    named = [(variable, np.asarray(labels)) for variable, labels in system.coordinates()]
    coords = [*coords, *(pair for pair in named if set(pair[0].dims) <= dims)]
    known = {name: attributes.pop(name) for name in ("summary", "references") if name in attributes}
    config = attributes.pop("config", None)
    provided = provenance.collect(
        {"system": system.description} if config is None and system.description else config,
        seed=attributes.pop("seed", None),
        precision="single" if np.dtype(dtype) == np.float32 else "double",
        device=jax.devices()[0].device_kind,
    )
    if system.description:
        provided["physnet_system"] = provenance.config_json(system.description)
    title = attributes.pop("title", None) or default_title
    return results.to_dataset(variables, coords=coords, title=title, attrs=provided | attributes, **known)


def _leading(variable: Variable, array, dims: tuple[str, ...]):
    """The pair with `dims` in front of the variable's own."""
    return replace(variable, dims=(*dims, *variable.dims)), np.asarray(array)


def _parameters(system: System):
    """Every parameter that is an array or a number, as stored with a result."""
    return [(parameter.variable, np.asarray(parameter.get(system))) for parameter in system.parameters]


def _states(system: System, state, inputs, outputs, dims, input_dims):
    """Inputs, outputs and state variables; outputs that are state variables under the same name are not repeated."""
    pairs = [_leading(system.input_variable, inputs, input_dims), _leading(system.output_variable, outputs, dims)]
    pairs += [_leading(v, leaf, dims) for v, leaf in zip(system.variables, jax.tree.leaves(state), strict=True)]
    return list({variable.name: (variable, array) for variable, array in pairs}.values())


def _energy(system: System, energy, dims):
    if not isinstance(system, EnergySystem):
        return []
    return [_leading(Variable("energy", (), system.energy_units, "energy of the system"), energy, dims)]


def _sample_dims(inputs, system: System) -> tuple[str, ...]:
    return ("sample",) if np.ndim(inputs) > len(system.input_shape) else ()


def equilibrium_dataset(equilibrium, **attributes):
    """States, outputs, energy and certificate of an `Equilibrium`, with the inputs and parameters behind them."""
    system = _system_of(equilibrium, "relax")
    dims = _sample_dims(equilibrium.inputs, system)
    imbalance = Variable("imbalance", (), system.residual_units, "largest absolute residual")
    variables = [
        *_states(system, equilibrium.state, equilibrium.inputs, equilibrium.outputs, dims, dims),
        *_energy(system, equilibrium.energy, dims),
        _leading(_RESIDUAL, equilibrium.residual, dims),
        _leading(imbalance, equilibrium.imbalance, dims),
        _leading(_CONVERGED, equilibrium.converged, dims),
        _leading(_STEPS, equilibrium.steps, dims),
        *_parameters(system),
    ]
    title = f"Steady states of {type(system).__name__}"
    coords, dtype = [], equilibrium.outputs.dtype
    if equilibrium.strategy is not None:
        names = np.asarray(equilibrium.strategies)[np.asarray(equilibrium.strategy)]
        if dims:
            coords = [(Variable("strategy", dims, "1", "how the state was found"), names)]
        else:
            attributes = {"physnet_strategy": str(names)} | attributes
    return build(system, variables, coords=coords, default_title=title, dtype=dtype, **attributes)


def trajectory_dataset(trajectory, **attributes):
    """States, outputs, energy and relative residual in time of a `Trajectory`, with the inputs and parameters."""
    system = trajectory.system
    sample = ("sample",) * np.ndim(trajectory.steps)
    dims = (*sample, "time")
    held = np.ndim(trajectory.inputs) == len(sample) + len(system.input_shape)
    driven = sample if held else dims
    outputs, energy, residual = trajectory.measured()
    finished = replace(_CONVERGED, long_name="whether the integration reached the last time, every number finite")
    variables = [
        *_states(system, trajectory.state, trajectory.inputs, outputs, dims, driven),
        *_energy(system, energy, dims),
        _leading(_RESIDUAL, residual, dims),
        _leading(finished, trajectory.converged, sample),
        _leading(replace(_STEPS, long_name="steps of the solver"), trajectory.steps, sample),
        *_parameters(system),
    ]
    if trajectory.error is not None:
        error = Variable("step_error", (), "1", "error of the state by step doubling, in its unit; NaN if not checked")
        variables.append(_leading(error, trajectory.error, sample))
    time = (Variable("time", ("time",), "s", "time since the inputs were switched on"), np.asarray(trajectory.times))
    title = f"Relaxation of {type(system).__name__} in time"
    return build(system, variables, coords=[time], default_title=title, dtype=outputs.dtype, **attributes)


def gradient_dataset(gradient, **attributes):
    """`gradient_<name>` of every trainable parameter, the cost and the certificate of each phase of an `EPGradient`."""
    system = _system_of(gradient.free, "ep_gradient")
    variables = [(Variable("cost", (), gradient.cost_units, "mean cost of the free phase"), np.asarray(gradient.cost))]
    phases = [gradient.free] if gradient.nudged is None else [gradient.free, gradient.nudged]

    def stacked(name):
        return np.concatenate([np.atleast_2d(np.asarray(getattr(phase, name))) for phase in phases])

    for parameter in system.parameters:
        if parameter.trainable:
            known = parameter.variable
            variable = Variable(
                f"gradient_{known.name}",
                known.dims,
                quotient_units(gradient.cost_units, known.units),
                f"derivative of the mean cost with respect to {known.long_name or known.name}",
            )
            variables += [(variable, np.asarray(parameter.get(gradient.gradient))), (known, parameter.get(system))]
    known = {parameter.variable.name for parameter in system.parameters if parameter.trainable}
    variables += [pair for pair in _parameters(system) if pair[0].name not in known]
    dims = ("nudge", "sample")
    variables += [_leading(v, stacked(v.name), dims) for v in (_RESIDUAL, _CONVERGED, _STEPS)]
    if gradient.betas is not None:
        betas = np.concatenate([np.zeros_like(gradient.betas[:1]), np.asarray(gradient.betas)])
        units = quotient_units(system.energy_units, gradient.cost_units)
        units = "S" if units == "W V-2" else units
        variable = Variable("beta", dims, units, "size of the nudge, positive towards the target")
        variables.append((variable, betas))
    labels = ["free", *(f"nudged_{k + 1}" for k in range(stacked("residual").shape[0] - 1))]
    nudge = (Variable("nudge", ("nudge",), "1", "phase: free, or which of the nudged ones"), np.array(labels))
    method = "implicit differentiation" if gradient.nudged is None else "Equilibrium Propagation"
    title = f"Gradient of {type(system).__name__} by {method}"
    return build(system, variables, coords=[nudge], default_title=title, dtype=gradient.cost.dtype, **attributes)


def _system_of(equilibrium, where: str) -> System:
    if equilibrium.system is None or equilibrium.inputs is None:
        raise PhysnetError(f"to_dataset: this state does not carry its system and inputs; take it from {where}().")
    return equilibrium.system
