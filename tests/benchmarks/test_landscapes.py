"""Searches for equilibria and spectra of large Hessians, against what one would write with scipy.

    python -m pytest tests/benchmarks/test_landscapes.py --benchmark-only -s -n 0

The search: 10,000 starts of an XY network of 50 oscillators with random couplings, and the loop of scipy's `minimize`
(L-BFGS-B with the analytic gradient, numpy) over the same starts, in the same run; both must find the same energies.
The spectrum: the ten lowest modes of 10,000 phases of degree 8, against scipy's shift-and-invert of the sparse Hessian
written down by hand.
"""

import resource
import statistics
import time

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import eigsh

from oscillators import Dense, PhaseNetwork, Sparse
from physnet import relax
from physnet.landscape import find_equilibria, lowest_modes

SIZE, STARTS, RUNS = 50, 10_000, 5
KEY = jax.random.key(0)


def couplings(seed: int) -> np.ndarray:
    upper = np.triu(np.random.default_rng(seed).normal(size=(SIZE, SIZE)), 1) / np.sqrt(SIZE)
    return upper + upper.T


def scipy_minimum(weights, start):
    def energy(phases):
        cosine, sine = np.cos(phases), np.sin(phases)
        u, v = weights @ cosine, weights @ sine
        return -0.5 * (cosine @ u + sine @ v), sine * u - cosine * v

    return minimize(energy, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-8, "ftol": 1e-15, "maxiter": 5000})


def levels(energies) -> np.ndarray:
    """Distinct energies; those of mirror images phi and -phi are one."""
    energies = np.sort(energies)
    return energies[np.append(True, np.diff(energies) > 1e-6)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equilibria_of_fifty_oscillators_from_ten_thousand_starts(benchmark, seed):
    weights = couplings(seed)
    net = PhaseNetwork(Dense(weights))
    begun = time.perf_counter()
    find_equilibria(net, starts=STARTS, key=KEY)
    first = time.perf_counter() - begun
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(STARTS))
    starts = np.asarray(jax.vmap(lambda key: net.initial_state(jnp.zeros(SIZE), key))(keys))
    ours, theirs, ends = [], [], []
    for part in np.split(starts, RUNS):
        begun = time.perf_counter()
        found = find_equilibria(net, starts=STARTS, key=KEY)
        ours.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        ends += [scipy_minimum(weights, start) for start in part]
        theirs.append((time.perf_counter() - begun) * RUNS)
    benchmark.pedantic(lambda: find_equilibria(net, starts=STARTS, key=KEY), rounds=1)
    assert found.converged.all() and (found.index == 0).all() and not found.unsettled
    mine, reached = levels(found.energy / (2 * np.pi)), levels([end.fun for end in ends])
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(
        f"\nseed {seed}: {len(found)} minima of {len(mine)} energies from {STARTS} starts in "
        f"{statistics.median(ours):.2f} s (the first time, compiling, {first:.1f} s), largest residual "
        f"{found.residual.max():.0e}; scipy {len(reached)} energies in {statistics.median(theirs):.1f} s; "
        f"ratio {ratio:.1f}"
    )
    assert len(mine) == len(reached)
    np.testing.assert_allclose(mine, reached, rtol=0, atol=1e-6)


def sparse_hessian(net, edges, weights, phases):
    a, b = edges.T
    stiff = 2 * np.pi * weights * np.cos(phases[a] - phases[b])
    rows, columns = np.concatenate([a, b, a, b]), np.concatenate([b, a, a, b])
    size = len(phases)
    return coo_matrix((np.concatenate([-stiff, -stiff, stiff, stiff]), (rows, columns)), shape=(size, size)).tocsc()


@pytest.mark.parametrize("kind", ["lattice", "random"])
def test_the_lowest_modes_of_ten_thousand_phases(benchmark, kind):
    size, side = 10_000, 100
    if kind == "random":
        edges = np.array(nx.random_regular_graph(8, size, seed=0).edges())
    else:
        i, j = np.divmod(np.arange(size), side)
        steps = ((0, 1), (1, 0), (1, 1), (1, -1))
        edges = np.concatenate(
            [np.stack([i * side + j, (i + a) % side * side + (j + b) % side], axis=1) for a, b in steps]
        )
    weights = np.random.default_rng(0).uniform(0.5, 1.5, len(edges))
    net = PhaseNetwork(Sparse.undirected(edges, weights, size))
    state = relax(net).state
    found = benchmark.pedantic(lambda: lowest_modes(net, state=state, count=10), rounds=3)
    hessian = sparse_hessian(net, edges, weights, np.asarray(state))
    begun = time.perf_counter()
    known = np.sort(eigsh(hessian, 11, sigma=-0.01, return_eigenvectors=False))[1:]
    theirs = time.perf_counter() - begun
    np.testing.assert_allclose(found.curvature, known, rtol=1e-5)
    assert found.index == 0 and found.flat == 0
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"\n{kind}: ten lowest modes in {benchmark.stats.stats.median:.1f} s by products alone, {theirs:.1f} s by a "
        f"sparse factorisation; the same to {np.abs(found.curvature / known - 1).max():.0e}; peak memory of the "
        f"process {memory:.2f} GiB, the factorisation's included"
    )
