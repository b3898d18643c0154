"""The Ising machine of `studies.energy_landscape`: minima found against all binary states, one injection after another.

Phases at 0 and pi are stationary whatever the injection S. With spins s, W = -K A on the graph A and the matrix
L_ij = delta_ij sum_k W_ik s_i s_k - W_ij s_i s_j, the Hessian there is 2 pi (L + 2 S), so that a binary state is a
minimum exactly above S = -(lowest eigenvalue of L) / 2.
"""

import jax
import numpy as np

from oscillators import Dense, PhaseNetwork
from physnet.landscape import Symmetry, basin_volumes, find_equilibria
from physnet.landscape.datasets import landscape_dataset
from physnet.variable import Variable
from studies._landscape_parts import listed, titled

_BINARY = 1e-5  # rad: how near a phase must be to 0 or pi to be a spin
_BLOCK = 4096  # binary states whose Hessians are worked out at once
_REFERENCES = "arXiv:1709.08102"


def graph(config) -> np.ndarray:
    """Adjacency matrix of a random graph (spin, spin): every pair an edge with probability `density`."""
    drawn = np.random.default_rng(config.seed).random((config.spins, config.spins)) < config.density
    upper = np.triu(drawn, 1)
    return (upper | upper.T).astype(float)


def cuts(adjacency, spins) -> np.ndarray:
    """Edges between spins of opposite sign, of states (state, spin)."""
    return (adjacency.sum() - np.einsum("ki,ij,kj->k", spins, adjacency, spins)) / 4


def enumerated(adjacency, coupling):
    """(spins (state, spin), cut (state,), threshold (state,), Hz) of all binary states, the last spin held at 1."""
    count = len(adjacency)
    spins = 1.0 - 2 * (np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1)
    threshold = []
    for first in range(0, len(spins), _BLOCK):
        s = spins[first : first + _BLOCK]
        acting = -coupling * adjacency * s[:, :, None] * s[:, None, :]
        matrix = acting.sum(axis=2)[:, :, None] * np.eye(count) - acting
        threshold.append(-np.linalg.eigvalsh(matrix)[:, 0] / 2)
    return spins, cuts(adjacency, spins), np.concatenate(threshold)


def _machine(config):
    adjacency = graph(config)
    _, cut, threshold = enumerated(adjacency, config.coupling)
    found, flip = [], (Symmetry(shift=np.pi),)
    for injection in config.injections:
        network = PhaseNetwork(Dense(-config.coupling * adjacency), second_harmonic=np.full(config.spins, injection))
        key = jax.random.key(config.seed)
        known = find_equilibria(network, starts=config.searched, symmetries=flip, key=jax.random.fold_in(key, 1))
        found.append(basin_volumes(network, equilibria=known, starts=config.starts, symmetries=flip, key=key))
    phases = [basins.equilibria.vector for basins in found]
    one, each = ("equilibrium",), ("search",)
    binary = Variable("binary", one, "1", "whether every phase is at 0 or pi")
    cut_of = Variable("cut", one, "1", "edges cut by the signs of the cosines")
    further = [
        (binary, [np.abs(np.sin(phase)).max(axis=1) < _BINARY for phase in phases]),
        (cut_of, [cuts(adjacency, np.where(np.cos(phase) >= 0, 1.0, -1.0)) for phase in phases]),
    ]
    stable = [np.sum(threshold < injection) for injection in config.injections]
    best = f"Hz, lowest of those of the largest cut: {threshold[cut == cut.max()].min():.6g}"
    pairs = [
        *listed(found, further),
        (Variable("injection", each, "Hz", "second-harmonic injection S/2pi"), np.array(config.injections)),
        (Variable("stable_binary", each, "1", "binary states that are minima, of all, up to a turn by pi"), stable),
        (Variable("binary_cut", ("binary_state",), "1", "edges cut by each binary state"), cut),
        (Variable("binary_threshold", ("binary_state",), "Hz", "injection above which it is a minimum"), threshold),
        (Variable("adjacency", ("spin", "other_spin"), "1", "1 where two spins are joined by an edge"), adjacency),
    ]
    title = f"Energy landscape of an oscillator Ising machine of {config.spins} spins"
    summary = (
        f"Random graph of {int(adjacency.sum() / 2)} edges, largest cut {cut.max():.0f}; all {len(cut)} binary states "
        f"enumerated (threshold, {best}); at each of {len(found)} injections {config.searched} starts of a "
        f"search and {config.starts} that follow the dynamics"
    )
    chart = found[-1].equilibria.chart
    return landscape_dataset(chart, pairs, default_title=title, **titled(config, title, summary, _REFERENCES))


PARTS = {"binary_threshold": _machine}
