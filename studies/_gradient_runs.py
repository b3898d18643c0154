"""The measurements of `studies.gradient_quality`."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet import (
    Centred,
    CorrectedRule,
    Holomorphic,
    OneSided,
    SquaredError,
    Variable,
    VectorFieldRule,
    provenance,
    results,
)
from physnet.comparison import compare_gradients, compared
from physnet.estimators import EquilibriumPropagation, ImplicitDifferentiation, RecurrentBackpropagation, TruncatedBPTT
from physnet.linearise import asymmetry, force_jacobian, jacobian
from physnet.problem import Problem
from studies._gradient_systems import BUILDERS, RELAXERS, asymmetric, hopfield
from studies._parts import in_parts

COST = SquaredError()
REFERENCES = (
    "Scellier and Bengio 2017, doi:10.3389/fncom.2017.00024; Ernoult et al. 2019, arXiv:1905.13633; Ernoult et al. "
    "2020, arXiv:2005.04168; Laborieux et al. 2021, doi:10.3389/fnins.2021.633674; Laborieux and Zenke 2022, "
    "arXiv:2209.00530; Scurria et al. 2026, arXiv:2602.03670"
)
STENCILS = {
    "positive": OneSided(0.1, relative=True),
    "negative": OneSided(0.1, relative=True, sign=-1),
    "centred": Centred(0.1, relative=True),
    "holomorphic-4": Holomorphic(0.1, relative=True, points=4),
    "holomorphic-8": Holomorphic(0.1, relative=True, points=8),
}
_LARGEST_ERROR, _ABOVE_FLOOR, _FEWEST = 0.1, 10.0, 4
_STEP_BETA = 1e-4  # of the nudged steps held against backpropagation through time, centred
_RATIOS = np.geomspace(1e-4, 1e-1, 10)  # eta / beta
_CONTINUAL_BETA, _CONTINUAL_STEPS = 0.01, 30


def run(config, out, resume, progress):
    """The dataset of the study; parts that the file at `out` holds already are taken from there if `resume`."""
    parts = {"error": _against_beta, "step_error": _against_steps, "rule_error": _against_asymmetry}
    if config.continual:
        parts["continual_difference"] = _continual
    return in_parts(config, parts, out=out, resume=resume, progress=progress, name="gradient quality")


def _dataset(config, variables, coords, **attributes):
    provided = provenance.collect(config, seed=config.seed, precision="double", device=jax.devices()[0].device_kind)
    return results.to_dataset(
        variables,
        coords=coords,
        title="Quality of gradients by Equilibrium Propagation, against implicit differentiation",
        summary=f"{', '.join(config.systems)}; relative nudging strengths from {config.smallest_beta:g} to "
        f"{config.largest_beta:g}; up to {config.steps} nudged steps",
        references=REFERENCES,
        attrs=provided | {"physnet_study": "gradient_quality"} | attributes,
    )


def _text(name, dim_of, labels):
    return Variable(name, (name,), "1", dim_of), np.array(labels)


def _against_beta(config):
    """error: of every stencil, on every system, against beta, with slopes."""
    betas, precisions = config.betas, ["double", "single"]
    chosen = {name: STENCILS[name] for name in config.stencils}
    shape = (len(config.systems), len(chosen), 2, len(betas))
    error, residual, converged = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool)
    refusals = {}
    for row, name in enumerate(config.systems):
        measured = precisions[: 2 if name in config.single else 1]
        system, inputs, targets = BUILDERS[name](config.samples, config.seed)
        for k, precision in enumerate(measured):
            relaxer = RELAXERS.get((name, precision))
            estimators = {key: EquilibriumPropagation(nudging, None, relaxer) for key, nudging in chosen.items()}
            found = compare_gradients(
                system, inputs, targets, cost=COST, estimators=estimators, betas=betas, precisions=[precision]
            )
            reasons = json.loads(found.attrs["physnet_refusals"])
            refusals |= {f"{name}, {key}, {precision}": text for key, text in reasons.items()}
            found = found.sel(parameter="all", precision=precision).transpose("estimator", "beta")
            error[row, :, k], residual[row, :, k] = found.relative_error, found.residual
            converged[row, :, k] = found.converged
    fits = [[slope(betas, error[i, j, 0], converged[i, j, 0]) for j in range(shape[1])] for i in range(shape[0])]
    dims = ("system", "stencil", "precision", "beta")
    measures = [
        (Variable("error", dims, "1", "relative error of the EP gradient, all parameters"), error),
        (Variable("residual", dims, "1", "largest relative residual of all phases"), residual),
        (Variable("converged", dims, "1", "whether every phase settled, inside the radius of analyticity"), converged),
        (
            Variable("slope", dims[:2], "1", "slope of log error against log beta in double precision"),
            np.array(fits)[..., 0],
        ),
        (Variable("slope_points", dims[:2], "1", "betas that the slope was fitted to"), np.array(fits)[..., 1]),
        (Variable("order", dims[1:2], "1", "slope that the stencil promises"), [n.order for n in chosen.values()]),
    ]
    coords = [
        _text("system", "system that settles", config.systems),
        _text("stencil", "nudging", config.stencils),
        _text("precision", "precision of the arithmetic", precisions),
        (Variable("beta", ("beta",), "1", "nudging strength over the nudging scale"), betas),
    ]
    return _dataset(config, measures, coords, physnet_refusals=json.dumps(refusals, sort_keys=True))


def slope(betas, errors, converged):
    """(slope, points) of log error against log beta, where the error is below 0.1 and ten times above the floor.

    What rounding leaves falls as 1/beta; the error at the smallest beta bounds it. (NaN, points) for fewer than four.
    """
    floor = np.fmin.reduce(errors * betas) / betas
    counts = converged & (errors > _ABOVE_FLOOR * floor) & (errors <= _LARGEST_ERROR)
    if counts.sum() < _FEWEST:
        return np.nan, int(counts.sum())
    return float(np.polyfit(np.log(betas[counts]), np.log(errors[counts]), 1)[0]), int(counts.sum())


def _vector(result):
    return np.concatenate([np.ravel(np.asarray(leaf, float)) for leaf in jax.tree.leaves(result.gradient)])


def _against_steps(config):
    """step_error: EP after K nudged steps and K-step backpropagation, against each other and against the whole."""
    system, inputs, targets = hopfield(config.samples, config.seed)
    data = (system, inputs, targets, COST)
    exact = ImplicitDifferentiation()(*data)
    reference, size = _vector(exact), np.linalg.norm(_vector(exact))
    steps = np.arange(1, config.steps + 1)
    ways = {
        "nudged steps": EquilibriumPropagation(Centred(_STEP_BETA, relative=True), steps=1),
        "truncated BPTT": TruncatedBPTT(1),
        "recurrent backpropagation": RecurrentBackpropagation(1),
    }
    found = {name: np.array([_vector(way.with_steps(int(k))(*data)) for k in steps]) for name, way in ways.items()}
    error = np.array([np.linalg.norm(rows - reference, axis=1) / size for rows in found.values()])
    bptt = found["truncated BPTT"]
    apart = np.linalg.norm(found["nudged steps"] - bptt, axis=1) / np.linalg.norm(bptt, axis=1)
    radius = float(jnp.max(_radii(system, exact.free.state, jnp.asarray(inputs))))
    counts = (error[1] < 0.1) & (error[1] > 1e-11)
    decay = np.exp(np.polyfit(steps[counts], np.log(error[1][counts]), 1)[0]) if counts.sum() >= _FEWEST else np.nan
    measures = [
        (Variable("step_error", ("way", "step"), "1", "relative error of the gradient after so many steps"), error),
        (Variable("step_difference", ("step",), "1", "nudged steps against truncated BPTT, relative"), apart),
        (Variable("decay", (), "1", "factor by which the error of truncated BPTT falls in a step"), decay),
        (Variable("spectral_radius", (), "1", "largest |eigenvalue| of one step at the free states"), radius),
    ]
    coords = [
        _text("way", "way to the gradient", list(ways)),
        (Variable("step", ("step",), "1", "number of steps"), steps),
    ]
    return _dataset(config, measures, coords)


@eqx.filter_jit
def _radii(system, states, inputs):
    """(sample,) spectral radius of one synchronous step at the free state."""

    def one(state, inputs):
        matrix = jacobian(Problem(system, inputs), state)
        return jnp.max(jnp.abs(jnp.linalg.eigvals(jnp.eye(matrix.shape[0]) - matrix)))

    return jax.vmap(one)(states, inputs)


def _against_asymmetry(config):
    """rule_error: the plain vector-field rule and the corrected one, from symmetric to asymmetric Jacobians."""
    rules = {"vector field": VectorFieldRule(), "corrected": CorrectedRule()}
    networks, mixings = config.networks, np.linspace(0, 0.35, config.mixings)
    shape = (len(networks), len(rules), len(mixings))
    error, angle, odd, good = (
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.zeros(shape[::2]),
        np.zeros(shape, bool),
    )
    for i, network in enumerate(networks):
        for k, mixing in enumerate(mixings):
            system, inputs, targets = asymmetric(config.samples, config.seed, float(mixing), network == "linear")
            exact = ImplicitDifferentiation()(system, inputs, targets, COST)
            odd[i, k] = float(_asymmetries(system, exact.free.state, jnp.asarray(inputs)))
            for j, rule in enumerate(rules.values()):
                way = EquilibriumPropagation(Centred(1e-3, relative=True), rule)
                result = way(system, inputs, targets, COST, throw=False)
                measures = compared(_vector(result)[None], _vector(exact))
                error[i, j, k], angle[i, j, k] = measures["relative_error"][0], np.degrees(measures["angle"][0])
                good[i, j, k] = bool(jnp.all(result.converged))
    dims = ("network", "rule", "mixing")
    measures = [
        (Variable("rule_error", dims, "1", "relative error of the gradient by this rule, centred, beta 1e-3"), error),
        (Variable("rule_angle", dims, "degree", "angle of the gradient by this rule to the exact one"), angle),
        (Variable("rule_converged", dims, "1", "whether every phase settled"), good),
        (
            Variable("jacobian_asymmetry", dims[::2], "1", "|J - J^T| / |J + J^T| of the force, mean over samples"),
            odd,
        ),
    ]
    coords = [
        _text("network", "units of the network", networks),
        _text("rule", "learning rule", list(rules)),
        (Variable("mixing", ("mixing",), "1", "share of independent weights in the backward ones"), mixings),
    ]
    return _dataset(config, measures, coords)


@eqx.filter_jit
def _asymmetries(system, states, inputs):
    return jnp.mean(jax.vmap(lambda s, x: asymmetry(force_jacobian(system, s, x)))(states, inputs))


def _continual(config):
    """continual_difference: updates at every nudged step against the EP gradient of as many steps."""
    from physnet.continual import continual_update

    system, inputs, targets = hopfield(config.samples, config.seed)
    nudging = OneSided(_CONTINUAL_BETA)
    held = _vector(EquilibriumPropagation(nudging, steps=_CONTINUAL_STEPS)(system, inputs, targets, COST))
    difference = np.full(len(_RATIOS), np.nan)
    for k, ratio in enumerate(_RATIOS):
        rate = float(ratio * _CONTINUAL_BETA)
        update = continual_update(
            system, inputs, targets, cost=COST, nudging=nudging, learning_rate=rate, steps=_CONTINUAL_STEPS
        )
        change = np.concatenate([np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(update.change)])
        difference[k] = np.linalg.norm(-change / rate - held) / np.linalg.norm(held)
    gentle = _RATIOS <= 1.1e-2
    fitted = np.polyfit(np.log(_RATIOS[gentle]), np.log(difference[gentle]), 1)[0]
    what = "continual EP against the EP gradient of as many steps, relative difference"
    measures = [
        (Variable("continual_difference", ("rate_ratio",), "1", what), difference),
        (Variable("continual_slope", (), "1", "its slope against eta/beta up to 1e-2, double logarithmic"), fitted),
    ]
    ratio = Variable("rate_ratio", ("rate_ratio",), "1", "learning rate over nudging strength, eta/beta")
    return _dataset(config, measures, [(ratio, _RATIOS)])
