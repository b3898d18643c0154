"""Couplings: every structure against its dense matrix, what is reciprocal, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscillators.coupling import AllToAll, Coupling, Dense
from oscillators.low_rank import LowRank
from oscillators.sparse import Sparse, chain, ring
from physnet import PhysnetError


def couplings(size: int, dtype=np.float64) -> dict[str, Coupling]:
    rng = np.random.default_rng(size)
    off = ~np.eye(size, dtype=bool)
    weights, phases = (np.where(off, rng.normal(size=(size, size)), 0).astype(dtype) for _ in range(2))
    rows, columns = np.nonzero(off & (rng.random((size, size)) < 0.4))
    sparse = weights[rows, columns], phases[rows, columns]
    left, right = rng.normal(size=(2, size, 2)).astype(dtype)
    number = dtype(0.7)
    return {
        "all_to_all": AllToAll(number, size),
        "all_to_all_turned": AllToAll(number, size, 0.3),
        "dense": Dense(weights),
        "dense_turned": Dense(weights, phases),
        "sparse": Sparse(rows, columns, sparse[0], size=size),
        "sparse_turned": Sparse(rows, columns, *sparse, size=size),
        "ring": ring(size, number),
        "ring_turned": ring(size, np.full(size, number), 0.4),
        "chain": chain(size, np.arange(1, size, dtype=dtype)),
        "low_rank": LowRank(left, right),
        "low_rank_turned": LowRank(left, right, 0.3),
        "low_rank_signed": LowRank(left, left * dtype(-1)),
    }


ALL = {f"{name}_5": coupling for name, coupling in couplings(5).items()}
ALL |= {f"{name}_12": coupling for name, coupling in couplings(12).items() if "dense" in name}  # another formula
RECIPROCAL = ("all_to_all", "ring", "chain", "low_rank_signed")


@pytest.mark.parametrize("name", ALL)
def test_apply_is_the_product_with_the_matrix(name):
    coupling, rng = ALL[name], np.random.default_rng(0)
    weights, phases = coupling.matrices()
    matrix = weights * np.exp(1j * phases)
    assert not np.diagonal(weights).any() and not np.diagonal(phases).any()
    real, imag = rng.normal(size=(2, coupling.size))
    found = coupling.apply(jnp.asarray(real), jnp.asarray(imag))
    expected = matrix @ (real + 1j * imag)
    np.testing.assert_allclose(np.asarray(found[0]) + 1j * np.asarray(found[1]), expected, rtol=1e-12, atol=1e-12)
    lanes = jax.vmap(coupling.apply, in_axes=-1, out_axes=-1)(
        *(jnp.stack([jnp.asarray(c)] * 2, -1) for c in (real, imag))
    )
    np.testing.assert_allclose(np.asarray(lanes[0])[:, 1], expected.real, rtol=1e-12, atol=1e-12)
    strength, exact = np.asarray(coupling.total_strength()), np.abs(matrix).sum(axis=1)
    assert (strength >= exact - 1e-12).all()
    if not isinstance(coupling, LowRank):
        np.testing.assert_allclose(strength, exact, rtol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_reciprocity_is_that_of_the_matrix(name):
    coupling = ALL[name]
    matrix = coupling.complex_matrix()
    for found, turned in ((coupling.asymmetry(), matrix.T), (coupling.irreversibility(), matrix.conj().T)):
        expected = np.linalg.norm(matrix - turned) / np.linalg.norm(matrix + turned)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
    assert (coupling.irreversibility() < 1e-12) == (name.rsplit("_", 1)[0] in RECIPROCAL)
    mended = coupling.symmetrised()
    np.testing.assert_allclose(mended.complex_matrix(), (matrix + matrix.conj().T) / 2, atol=1e-12)
    assert mended.irreversibility() < 1e-12


def test_undirected_couplings_act_both_ways_with_one_weight():
    edges = [(2, 0), (1, 3), (3, 4)]
    coupling = Sparse.undirected(edges, [1.0, 2.0, 3.0], 5)
    weights, _ = coupling.matrices()
    assert np.array_equal(weights, weights.T) and weights[0, 2] == 1 and weights[4, 3] == 3
    (parameter,) = coupling.parameters
    assert parameter.get(coupling).shape == (3,) and parameter.variable.dims == ("edge",)
    assert coupling.coordinates()[0][1] == ("0-2", "1-3", "3-4")
    c = jnp.arange(5.0) + 1
    slope = jax.grad(lambda w: jnp.vdot(c, Sparse.undirected(edges, w, 5).apply(c, 0 * c)[0]))(coupling.weights)
    np.testing.assert_allclose(slope, [2 * 1 * 3, 2 * 2 * 4, 2 * 4 * 5])
    directed = Sparse([0], [1], [1.0], size=2)
    assert directed.coordinates()[0][1] == ("0<-1",) and directed.apply(c[:2], c[:2])[0].tolist() == [2.0, 0.0]


def test_rings_and_chains():
    np.testing.assert_array_equal(ring(4, 1.0).matrices()[0], np.roll(np.eye(4), 1, 0) + np.roll(np.eye(4), 1, 1))
    np.testing.assert_array_equal(chain(3, [1.0, 2.0]).matrices()[0], [[0, 1, 0], [1, 0, 2], [0, 2, 0]])


def test_the_diagonal_never_acts_or_learns():
    coupling = Dense(np.ones((3, 3)) - np.eye(3))
    c = jnp.array([1.0, 2.0, 3.0])
    slope = jax.grad(lambda w: jnp.vdot(c, Dense(w).apply(c, c)[0]))(coupling.weights)
    assert not np.diagonal(slope).any() and slope[0, 1] == 2


@pytest.mark.parametrize("name", couplings(5))
def test_single_precision_stays_single(name):
    coupling = couplings(5, np.float32)[name]
    c = jnp.ones(5, jnp.float32)
    leaves = (*coupling.apply(c, c), coupling.total_strength(), *coupling.symmetrised().apply(c, c))
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}


def test_phases_are_described_and_do_not_learn_unasked():
    names = {p.variable.name: (p.variable.units, p.trainable) for p in ALL["dense_turned_5"].parameters}
    assert names == {"coupling_weight": ("Hz", True), "coupling_phase": ("rad", False)}
    names = {p.variable.name: p.trainable for p in ALL["low_rank_turned_5"].parameters}
    assert names == {"coupling_left": True, "coupling_right": True, "coupling_phase": False}
    assert ring(3, 1.0, delay=1e-9).description == {"kind": "Sparse", "size": 3, "delay": 1e-9}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AllToAll(np.nan, 3), "AllToAll: strength is nan Hz"),
        (lambda: AllToAll([1.0, 2.0], 3), r"AllToAll: strength has shape \(2,\); give one number, Hz"),
        (lambda: AllToAll(1.0, 0), "AllToAll: size is 0"),
        (lambda: AllToAll(1.0, 2.5), "AllToAll: size is 2.5"),
        (lambda: AllToAll(1.0, 3, delay=-1e-9), "AllToAll: delay is -1e-09 s"),
        (lambda: AllToAll("strong", 3), "AllToAll: strength: real numbers"),
        (lambda: Dense(np.zeros((2, 3))), r"Dense: weights have shape \(2, 3\); give a square matrix"),
        (lambda: Dense(np.diag([0.0, 5.0])), r"weights\[1, 1\] is 5 Hz; an oscillator does not couple to itself"),
        (lambda: Dense([[0, np.inf], [1, 0]]), r"Dense: weights\[0, 1\] is inf Hz"),
        (lambda: Dense(np.zeros((2, 2)), np.zeros(2)), r"Dense: phases has shape \(2,\)"),
        (lambda: Dense(1j * np.ones((2, 2))), "Dense: weights: real numbers are needed"),
        (lambda: Sparse([0, 3], [1, 1], [1.0, 1.0], size=3), r"Sparse: rows\[1\] is 3; .* from 0 to 2"),
        (lambda: Sparse([0], [-1], [1.0], size=3), r"Sparse: columns\[0\] is -1"),
        (lambda: Sparse([0.5], [1], [1.0], size=3), "Sparse: rows: give a sequence of whole numbers"),
        (lambda: Sparse([0], [0], [1.0], size=3), "entry 0 couples oscillator 0 to itself"),
        (lambda: Sparse([0, 0], [1, 1], [1.0, 2.0], size=3), r"the pair \(0, 1\) is given more than once"),
        (lambda: Sparse.undirected([(0, 1), (1, 0)], 1.0, 3), r"the pair \(0, 1\) is given more than once"),
        (lambda: Sparse.undirected([0, 1, 2], 1.0, 3), r"edges have shape \(3,\); give pairs"),
        (lambda: Sparse([0, 1], [1, 0], [1.0], size=3), r"Sparse: weights has shape \(1,\)"),
        (lambda: LowRank(np.ones((3, 2)), np.ones((2, 3))), r"LowRank: right has shape \(2, 3\)"),
        (lambda: LowRank(np.ones(3), np.ones(3)), r"LowRank: left has shape \(3,\)"),
        (lambda: ring(2, 1.0), "ring: size is 2; give a whole number of at least 3"),
        (lambda: chain(4, [1.0, 2.0]), r"Sparse: weights has shape \(2,\); give \(3,\)"),
        (lambda: AllToAll(1.0, 5000).matrices(), "5000 oscillators make a matrix"),
    ],
)
def test_bad_couplings_are_named(build, message):
    with pytest.raises(PhysnetError, match=message):
        build()
