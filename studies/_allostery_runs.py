"""What `studies.allostery` measures: grids tuned in one way after another, all seeds side by side."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from circuits.generators import grid
from physnet import Variable, provenance, results
from studies import _circuit_copies as copies
from studies._rows import in_rows

REFERENCES = (
    "Rocks, Pashine, Bischofberger, Goodrich, Liu & Nagel 2017, doi:10.1073/pnas.1612139114; Rocks, Ronellenfitsch, "
    "Liu, Nagel & Katifori 2019, doi:10.1073/pnas.1806790116; Stern, Hexner, Rocks & Liu 2021, "
    "doi:10.1103/PhysRevX.11.021045; Scellier & Bengio 2017, doi:10.3389/fncom.2017.00024"
)
_BY_EPOCH = ("rule", "seed", "epoch")
VARIABLES = (
    Variable("response", _BY_EPOCH, "1", "voltage across the target over that across the source, after the step"),
    Variable("residual", _BY_EPOCH, "1", "largest relative residual of the steady states of the step"),
    Variable("converged", _BY_EPOCH, "1", "fraction of the steady states of the step that settled"),
    Variable("power", _BY_EPOCH, "W", "power of all edges after the step"),
    Variable("edge_count", _BY_EPOCH, "1", "edges left after the step"),
    Variable("conductance", ("rule", "seed", "edge"), "S", "conductance after the last step", (0.0, np.inf)),
    Variable(
        "potential", ("rule", "seed", "node"), "V", "node potential after the last step, lower source node at 0 V"
    ),
)


def run(config, out, resume, progress):
    """The dataset of the study; ways that the file at `out` holds already are taken from there if `resume`."""
    bench = Bench(config)

    def tuned(rule):
        return _dataset(bench, rule, bench.removed() if rule == "removal" else bench.learned(rule))

    rows = {rule: partial(tuned, rule) for rule in config.rules}
    return in_rows(config, rows, dim="rule", out=out, resume=resume, progress=progress)


class Bench:
    """The grid and the first conductances of every seed, which all ways of tuning share."""

    def __init__(self, config):
        self.config, upper = config, config.rows // 2 - 1
        self.source, self.target = ([f"{upper + i},{c}" for i in (0, 1)] for c in (0, config.columns - 1))
        circuit = grid(config.rows, config.columns, conductance=config.highest)
        self.edges = [(branch.name, *branch.nodes) for branch in circuit.branches()]
        circuit.voltage_source("Vsource", *self.source, voltage=config.voltage)
        circuit.voltage_source("Vground", self.source[1], 0, voltage=0.0)
        self.system = circuit.build(inputs=["Vsource"], outputs=[tuple(self.target)])
        draw = (np.random.default_rng(seed) for seed in config.seeds)
        self.initial = np.stack([rng.uniform(0.5, 1, len(self.edges)) * config.highest for rng in draw])
        self.nodes = [f"{r},{c}" for r in range(config.rows) for c in range(config.columns)]

    def inputs(self, count):
        """The voltage of the source, (copy, sample, input), V."""
        return jnp.full((count, 1, 1), self.config.voltage)

    def measured(self, conductances):
        """{name: (copy, ...)} of the free states at these conductances."""
        found = copies.answer(self.system, jnp.asarray(conductances), self.inputs(len(conductances)))
        places = [self.system.labels.nodes.index(name) for name in self.nodes]
        return {
            "response": np.asarray(found.outputs)[:, 0, 0] / self.config.voltage,
            "residual": np.asarray(found.residual)[:, 0],
            "converged": np.asarray(found.converged)[:, 0].astype(float),
            "power": np.asarray(found.edge_power)[:, 0].sum(axis=1),
            "potential": np.asarray(found.potentials)[:, 0, places],
            "edge_count": (np.asarray(conductances) > 0).sum(axis=1),
        }

    def learned(self, rule):
        """Conductances step down the rule's gradient, each by Adam's share of its own past."""
        config, inputs = self.config, self.inputs(len(self.config.seeds))
        targets = jnp.full_like(inputs, config.response * config.voltage)
        optimiser = optax.adam(config.learning_rate * config.highest, eps=1e-30)
        conductances, history = jnp.asarray(self.initial), []
        state = optimiser.init(conductances)
        for _ in range(config.epochs):
            scale = copies.scales(self.system, conductances, inputs)
            nudging, beta = copies.stencil(rule, scale, beta=config.beta, eta=config.eta)
            told = copies.learn(self.system, conductances, inputs, targets, nudging, beta)
            step, state = optimiser.update(told.gradient, state)
            conductances = jnp.clip(conductances + step, config.lowest, config.highest)
            found = self.measured(conductances)
            found["residual"] = np.maximum(found["residual"], told.residual)
            found["converged"] = np.minimum(found["converged"], told.converged)
            history.append(found)
        return history, np.asarray(conductances)

    def removed(self):
        """Edge by edge: each time the one whose loss brings the response nearest, by trying every one."""
        config, conductances, history = self.config, self.initial.copy(), []
        found = self.measured(conductances)
        for _ in range(config.epochs):
            found = {**found, "residual": found["residual"].copy(), "converged": found["converged"].copy()}
            tried = np.repeat(conductances[:, None], len(self.edges), axis=1)  # (seed, candidate, edge)
            tried[:, np.arange(len(self.edges)), np.arange(len(self.edges))] = 0
            whole = np.array([[self.in_one_piece(g) for g in candidates] for candidates in tried])
            fair = np.where(whole[..., None], tried, conductances[:, None])  # what falls apart is not solved
            rows = self.measured(fair.reshape(-1, len(self.edges)))
            rows = {name: value.reshape(len(conductances), len(self.edges), -1) for name, value in rows.items()}
            error = np.abs(rows["response"][..., 0] - config.response)
            best = np.where(whole & (conductances > 0), error, np.inf).argmin(axis=1)
            now = np.abs(found["response"] - config.response)
            for seed, edge in enumerate(best):
                found["residual"][seed] = rows["residual"][seed].max()
                found["converged"][seed] = rows["converged"][seed].mean()
                if now[seed] > config.tolerance * config.response and error[seed, edge] < now[seed]:
                    conductances[seed, edge] = 0
            if history and (conductances > 0).sum() == history[-1]["edge_count"].sum():
                break
            certificates = found["residual"], found["converged"]
            found = self.measured(conductances) | dict(zip(("residual", "converged"), certificates))
            history.append(found)
        history += [history[-1]] * (config.epochs - len(history))
        return history, conductances

    def in_one_piece(self, conductances):
        """Whether the edges that conduct join all nodes."""
        kept = np.flatnonzero(conductances)
        number = {name: i for i, name in enumerate(self.nodes)}
        ends = np.array([[number[a], number[b]] for _, a, b in self.edges])[kept]
        size = (len(self.nodes),) * 2
        return connected_components(coo_matrix((np.ones(len(kept)), ends.T), size), directed=False)[0] == 1


def _dataset(bench, rule, found):
    config, (history, conductances) = bench.config, found
    values = {name: np.stack([row[name] for row in history], axis=1) for name in history[0]}
    values |= {"potential": history[-1]["potential"], "conductance": conductances}
    before = bench.measured(bench.initial)
    names, first, second = (np.array(column) for column in zip(*bench.edges))
    place = np.array([name.split(",") for name in bench.nodes], int)
    role = ["source" if n in bench.source else "target" if n in bench.target else "inner" for n in bench.nodes]
    shared = [
        (Variable("initial_response", ("seed",), "1", "response of the fresh grid"), before["response"]),
        (Variable("initial_potential", ("seed", "node"), "V", "node potential of the fresh grid"), before["potential"]),
        (Variable("initial_conductance", ("seed", "edge"), "S", "conductance of the fresh grid"), bench.initial),
    ]
    coords = [
        (Variable("rule", ("rule",), "1", "way of tuning"), np.array([rule])),
        (Variable("seed", ("seed",), "1", "seed of the first conductances"), np.array(config.seeds)),
        (Variable("epoch", ("epoch",), "1", "steps of learning, or edges removed"), np.arange(1, config.epochs + 1)),
        (Variable("edge", ("edge",), "1", "edge"), names),
        (Variable("first_node", ("edge",), "1", "node of the first end"), first),
        (Variable("second_node", ("edge",), "1", "node of the second end"), second),
        (Variable("node", ("node",), "1", "node: row, column"), np.array(bench.nodes)),
        (Variable("node_row", ("node",), "1", "row of the node"), place[:, 0]),
        (Variable("node_column", ("node",), "1", "column of the node"), place[:, 1]),
        (Variable("node_role", ("node",), "1", "source, target or inner"), np.array(role)),
    ]
    attributes = provenance.collect(
        config, seed=config.seeds[0], precision="double", device=jax.devices()[0].device_kind
    )
    return results.to_dataset(
        [(variable, np.asarray(values[variable.name])[None]) for variable in VARIABLES] + shared,
        coords=coords,
        title=f"A grid of resistors that answers {config.columns - 1} columns away",
        summary=f"{config.rows} x {config.columns} nodes, {len(bench.edges)} edges, {config.voltage:g} V across the "
        f"source, wanted response {config.response:g}, {len(config.seeds)} seed(s), at most {config.epochs} steps",
        references=REFERENCES,
        attrs=attributes
        | {"physnet_study": "allostery", "wanted_response": config.response, "tolerance": config.tolerance},
    )
