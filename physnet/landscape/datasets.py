"""`physnet-1` datasets of landscapes: every equilibrium labelled, with what says how far it can be trusted."""

from dataclasses import replace

import numpy as np

from physnet.datasets import build
from physnet.landscape.chart import Chart
from physnet.variable import Variable, quotient_units

SAME_UNITS = "largest residual relative to the terms that cancel in it"


def leaves_of(chart: Chart, vectors: np.ndarray, dims: tuple[str, ...], prefix: str = ""):
    """(Variable, array) of each state variable, from vectors (*dims, coordinate); `prefix` goes before its name."""
    pairs, start = [], 0
    for variable, shape in zip(chart.system.variables, chart.shapes, strict=True):
        size = int(np.prod(shape))
        array = vectors[..., start : start + size].reshape(*vectors.shape[:-1], *shape)
        pairs.append((replace(variable, name=f"{prefix}{variable.name}", dims=(*dims, *variable.dims)), array))
        start += size
    return pairs


def curvature_units(chart: Chart) -> str:
    """Unit of the curvatures: residual over state for an energy, s-1 for growth rates; 1 where variables differ."""
    if not chart.has_energy:
        return "s-1"
    units = {variable.units for variable in chart.system.variables}
    return quotient_units(chart.system.residual_units, units.pop()) if len(units) == 1 else "1"


def landscape_dataset(chart: Chart, variables, *, coords=(), default_title: str, **attributes):
    """A dataset with provenance of (Variable, array) pairs, to which inputs and parameters of the system are added."""
    system = chart.system
    parameters = [(p.variable, np.asarray(p.get(system))) for p in system.parameters]
    known = {variable.name for variable, _ in variables}
    given = [(system.input_variable, np.asarray(chart.problem.inputs)), *parameters]
    variables = [*variables, *(pair for pair in given if pair[0].name not in known)]
    nudge = chart.problem.nudge
    if nudge is not None and "beta" not in known:
        units = quotient_units(system.energy_units, nudge.cost.units(system.output_variable.units))
        beta = Variable(
            "beta", (), "S" if units == "W V-2" else units, "size of the nudge, positive towards the target"
        )
        variables.append((beta, np.asarray(nudge.beta)))
    return build(system, variables, coords=coords, default_title=default_title, dtype=chart.dtype, **attributes)


def equilibria_variables(found, dim: str = "equilibrium"):
    """(Variable, array) pairs of `Equilibria`: states, outputs, energies, certificates, indices and modes."""
    chart, system, one = found.chart, found.chart.system, (dim,)
    curvature = "curvature along each of the lowest modes" if chart.has_energy else "minus the growth rate of each mode"
    outputs = system.output_variable
    pairs = [
        *leaves_of(chart, found.vector, one),
        *leaves_of(chart, found.mode, (dim, "mode"), prefix="mode_"),
        (replace(outputs, dims=(dim, *outputs.dims)), found.outputs),
        (Variable("residual", one, "1", SAME_UNITS), found.residual),
        (Variable("imbalance", one, system.residual_units, "largest absolute residual"), found.imbalance),
        (Variable("converged", one, "1", "whether the state met its tolerance"), found.converged),
        (Variable("index", one, "1", "Morse index: number of directions in which the state is unstable"), found.index),
        (Variable("flat", one, "1", "number of flat directions besides declared symmetries"), found.flat),
        (Variable("curvature", (dim, "mode"), curvature_units(chart), curvature), found.curvature),
        (Variable("hits", one, "1", "starts of the search that ended here"), found.hits),
        (Variable("multiplicity", one, "1", "states that the declared symmetries make of it"), found.multiplicity),
        (Variable("family", one, "1", "whether it stands for a continuous family of states"), found.family),
    ]
    pairs = [(replace(v, long_name=_mode_name(v)) if v.name.startswith("mode_") else v, a) for v, a in pairs]
    if chart.has_energy:
        pairs.append((Variable("energy", one, system.energy_units, "energy of the equilibrium"), found.energy))
    return list({variable.name: (variable, array) for variable, array in pairs}.values())


def _mode_name(variable: Variable) -> str:
    return f"component of each of the lowest modes along the {variable.long_name or variable.name}"


def equilibria_dataset(found, **attributes):
    """The dataset of `Equilibria`; `found` says where each start ended."""
    start = Variable("found", ("start",), "1", "equilibrium that each start ended in, -1 for none")
    title = f"Equilibria of {type(found.chart.system).__name__}"
    variables = [*equilibria_variables(found), (start, found.found)]
    return landscape_dataset(found.chart, variables, default_title=title, **attributes)
