"""The computations of `studies.nudging_error`."""

from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet import Centred, OneSided, SquaredError, provenance, results
from physnet.equilibrium import settle
from physnet.gradients import phase_gradient
from physnet.implicit import implicit_from_states
from physnet.nudging_scale import nudging_scales
from physnet.sweeps import Vmapped
from physnet.variable import Variable
from studies import _gradient_systems
from studies.nudging_error import STENCILS

_NUDGINGS = (OneSided(1.0, relative=True), Centred(1.0, relative=True))
_MEAN = 1e-3  # S


def one(beta, seed, *, system, samples):
    """Errors at one relative beta and one seed, on a circuit of the system's shape. Traceable."""
    cost, relaxer = SquaredError(), system.default_relaxer()
    conductances, inputs, targets = jax.random.split(jax.random.key(seed), 3)
    (parameter,) = [p for p in system.parameters if p.trainable]
    drawn = _MEAN * jax.random.uniform(conductances, parameter.get(system).shape, minval=0.5, maxval=2.0)
    system = eqx.tree_at(parameter.get, system, drawn)
    inputs = jax.random.uniform(inputs, (samples, 2), minval=-1.0)
    targets = jax.random.uniform(targets, (samples, 2), minval=-0.3, maxval=0.3)
    free = settle(system, inputs, None, relaxer)
    exact = parameter.get(implicit_from_states(system, inputs, targets, cost, free).gradient)
    scale = beta * nudging_scales(system, cost, free.state, inputs)
    found = [
        phase_gradient(system, inputs, targets, cost, nudging, relaxer, scale=scale, free=free) for nudging in _NUDGINGS
    ]
    errors = jnp.stack([parameter.get(each.gradient) - exact for each in found])
    residuals = [jnp.max(phase.residual) for each in found for phase in (each.free, each.nudged)]
    return {
        "error": jnp.linalg.norm(errors, axis=1) / jnp.linalg.norm(exact),
        "parameter_error": errors / jnp.max(jnp.abs(exact)),
        "residual": jnp.max(jnp.stack(residuals)),
        "converged": jnp.stack([jnp.all(each.converged) for each in found]).all(),
    }


@cache
def _at(samples: int) -> Vmapped:
    """`one` at many points; one object for each number of samples, so that it compiles once."""
    system, *_ = _gradient_systems.circuit(1, 0)
    return Vmapped(partial(one, system=system, samples=samples))


def run(config, betas, seeds, points):
    """The dataset of many points; each array (point,)."""
    found = _at(config.samples).many({"beta": betas, "seed": seeds}, points)
    system, *_ = _gradient_systems.circuit(1, 0)
    (names,) = (label for variable, label in system.coordinates() if variable.name == "resistor")
    dims = ("point", "stencil", "resistor")
    variables = [
        Variable("error", dims[:2], "1", "relative error of the EP gradient, by the implicit one"),
        Variable("parameter_error", dims, "1", "error of each derivative, over the largest exact one"),
        Variable("residual", dims[:1], "1", "largest relative residual of all phases"),
        Variable("converged", dims[:1], "1", "whether all phases settled"),
    ]
    return results.to_dataset(
        [(variable, found[variable.name]) for variable in variables],
        coords=[
            (Variable("stencil", ("stencil",), "1", "nudging"), np.array(STENCILS)),
            (Variable("resistor", ("resistor",), "1", "resistor"), np.array(names)),
        ],
        title="Error of the EP gradient of a random circuit",
        summary=f"{len(names)} resistors, 3 Shockley diodes, {config.samples} samples",
        references="Laborieux et al. 2021, doi:10.3389/fnins.2021.633674",
        attrs=provenance.collect(config, seed=config.seed, precision="double", device=jax.devices()[0].device_kind)
        | {"physnet_study": "nudging_error"},
    )
