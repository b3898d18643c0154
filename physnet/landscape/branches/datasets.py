"""`physnet-1` datasets of branches: dim `point` along the curves, dim `special` where something changes."""

from dataclasses import replace

import numpy as np

from physnet.landscape.datasets import SAME_UNITS, curvature_units, landscape_dataset, leaves_of
from physnet.variable import Variable

_CONVERGED = "whether the state met its tolerance"


def branches_dataset(branches, variables=(), *, coords=(), default_title: str | None = None, **attributes):
    """The dataset of branches of one family; `branch` says which each point belongs to.

    variables, coords: (Variable, array) pairs to add. What varies stands on `point`; where it is an element of inputs
    or of a parameter, that element is NaN there. Attributes `varied`: the name of what varies; `branch_end`: why each
    branch went no further.
    """
    family = branches[0].family
    chart, known = family.chart(np.nan), family.variable
    title = default_title or f"Equilibria of {type(chart.system).__name__} along the {known.long_name or known.name}"
    special, kinds = _special_variables(branches)
    return landscape_dataset(
        chart,
        [*_point_variables(branches), *special, *variables],
        coords=[*kinds, *coords],
        default_title=title,
        varied=known.name,
        branch_end="; ".join(branch.ended for branch in branches),
        **attributes,
    )


def _point_variables(branches):
    chart, known, dims = branches[0].family.base, branches[0].family.variable, ("point",)

    def all_of(name):
        return np.concatenate([getattr(branch, name) for branch in branches])

    outputs = chart.system.output_variable
    curvature = "curvature along each of the lowest modes" if chart.has_energy else "minus the growth rate of each mode"
    pairs = [
        (replace(outputs, dims=(*dims, *outputs.dims)), all_of("outputs")),
        *leaves_of(chart, all_of("vector"), dims),
        (replace(known, dims=dims), all_of("value")),
        (Variable("branch", dims, "1", "number of the branch"), np.repeat(np.arange(len(branches)), _sizes(branches))),
        (
            Variable("arc_length", dims, "1", "length along the branch, state and parameter scaled"),
            all_of("arc_length"),
        ),
        (Variable("residual", dims, "1", SAME_UNITS), all_of("residual")),
        (Variable("imbalance", dims, chart.system.residual_units, "largest absolute residual"), all_of("imbalance")),
        (Variable("converged", dims, "1", _CONVERGED), all_of("converged")),
        (Variable("index", dims, "1", "number of directions in which the state is unstable"), all_of("index")),
        (Variable("stable", dims, "1", "whether every small displacement decays"), all_of("stable")),
        (Variable("curvature", (*dims, "mode"), curvature_units(chart), curvature), all_of("curvature")),
    ]
    if chart.has_energy:
        pairs.append((Variable("energy", dims, chart.system.energy_units, "energy of the system"), all_of("energy")))
    return list({variable.name: (variable, array) for variable, array in pairs}.values())


def _sizes(branches):
    return [len(branch) for branch in branches]


def _special_variables(branches):
    """(variables, coordinates) on dim `special`, none where there is no special point."""
    chart, known, dims = branches[0].family.base, branches[0].family.variable, ("special",)
    found = [(number, point) for number, branch in enumerate(branches) for point in branch.special]
    if not found:
        return [], []

    def all_of(name):
        return np.array([getattr(point, name) for _, point in found])

    named = known.long_name or known.name
    pairs = [
        *leaves_of(chart, np.stack([point.vector for _, point in found]), dims, prefix="special_"),
        (replace(known, name=f"special_{known.name}", dims=dims, long_name=f"{named} there"), all_of("value")),
        (Variable("special_branch", dims, "1", "branch on which it was found"), np.array([k for k, _ in found])),
        (Variable("special_residual", dims, "1", SAME_UNITS), all_of("residual")),
        (Variable("special_converged", dims, "1", _CONVERGED), all_of("converged")),
        (Variable("special_index_before", dims, "1", "index before it along the branch"), all_of("index_before")),
        (Variable("special_index_after", dims, "1", "index after it along the branch"), all_of("index_after")),
        (Variable("special_frequency", dims, "rad s-1", "frequency of the oscillation born"), all_of("frequency")),
    ]
    kind = Variable("special_kind", dims, "1", "fold, pitchfork, transcritical, hopf or multiple")
    return pairs, [(kind, all_of("kind"))]
