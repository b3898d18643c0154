"""Operating points of circuits against ngspice and scipy, on one core; prints ratios, asserts only that states agree.

taskset -c 0 python -m pytest tests/benchmarks/test_circuit_solvers.py --benchmark-only -s -n 0
"""

import time
from statistics import median

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from circuits import (
    BlockDescent,
    CholmodSolver,
    LayeredNetwork,
    OperatingPoint,
    ShockleyDiode,
    SparseSolver,
    Uniform,
    grid,
    write_spice,
)
from circuits.spice import ngspice
from physnet import Centred, PhysnetError, SquaredError, relax
from physnet.equilibrium import compiled_settle
from physnet.gradients import phase_gradient
from physnet.implicit import implicit_from_states
from physnet.nudging_scale import nudging_scales

SATURATION, THERMAL = 1e-14, 0.02585


def timed(function, runs=5):
    """(median seconds, result) after one call that compiles and analyses."""
    jax.block_until_ready(function())
    spent = []
    for _ in range(runs):
        start = time.perf_counter()
        result = jax.block_until_ready(function())
        spent.append(time.perf_counter() - start)
    return median(spent), result


def diode_grid(n):
    """n x n resistors of 0.5 to 1.5 mS, Shockley diodes to ground at a tenth of the nodes, one input of 5 V."""
    key = jax.random.key(0)
    circuit = grid(
        n, n, conductance=Uniform(0.5e-3, 1.5e-3), diode_share=0.1, diode=ShockleyDiode(SATURATION, THERMAL), key=key
    )
    circuit.voltage_source("V", "in", 0, 5.0).resistor("Rin", "in", "0,0", resistance=1.0)
    return circuit.resistor("Rg", f"{n - 1},{n - 1}", 0, resistance=1e3)


def newton_of_scipy(system, state):
    """SPICE's own method with scipy's sparse LU: junction voltages limited as pnjlim does. (seconds, steps, state)"""
    network = system.network
    coefficients = [np.asarray(g.slopes(v)) for g, v in zip(network.conductors, network.values(jnp.asarray(state)))]
    linear = [g.element.quadratic for g in network.conductors]
    diodes = next(g for g in network.conductors if not g.element.quadratic)
    at = np.asarray(diodes.out_of)
    no_diodes = np.concatenate([c if line else 0 * c for c, line in zip(coefficients, linear)])
    matrix = network.pattern.matrix(no_diodes)
    right = -np.asarray(system.residual(jnp.zeros_like(state), system.default_inputs()))
    critical = THERMAL * np.log(THERMAL / np.sqrt(2) / SATURATION)
    start, w = time.perf_counter(), np.zeros(len(at))
    for step in range(1, 100):
        g, i = SATURATION / THERMAL * np.exp(w / THERMAL), SATURATION * np.expm1(w / THERMAL)
        diagonal, extra = np.zeros(matrix.shape[0]), right.copy()
        diagonal[at], extra[at] = g, extra[at] - (i - g * w)
        v = splu((matrix + sp.diags(diagonal)).tocsc(), permc_spec="MMD_AT_PLUS_A").solve(extra)
        new = v[at]
        if np.max(np.abs(new - w)) < 1e-9:
            return time.perf_counter() - start, step, v
        grown = 1 + (new - w) / THERMAL
        limited = np.where(
            w > 0,
            np.where(grown > 0, w + THERMAL * np.log(np.maximum(grown, 1e-300)), critical),
            THERMAL * np.log(np.maximum(new, 1e-9) / THERMAL),
        )
        w = np.where((new > critical) & (np.abs(new - w) > 2 * THERMAL), limited, new)
    raise AssertionError("no convergence")


@pytest.mark.parametrize("n", [100, 300])
def test_grid(benchmark, n, tmp_path):
    circuit = diode_grid(n)
    system = circuit.build(inputs=["V"], outputs=[f"{n // 2},{n // 2}"])
    inputs = jnp.array([[5.0]])
    state = ours = None
    for solver in (SparseSolver(), CholmodSolver()):
        relaxer = OperatingPoint(solver, tolerance=1e-9)
        if relaxer.refuses(system, None):
            print(f"\n{type(solver).__name__}: {relaxer.refuses(system, None)}")
            continue
        spent, found = timed(lambda r=relaxer: compiled_settle(system, inputs, None, r, initial=None))
        print(
            f"\n{n} x {n}, {type(solver).__name__}: {spent:.3f} s, {int(found.steps[0])} steps, "
            f"residual {float(found.residual[0]):.1e}"
        )
        if state is None:
            state, ours = found.state[0], spent
    seconds, steps, other = newton_of_scipy(system, state)
    np.testing.assert_allclose(other, state, rtol=1e-7, atol=1e-9)
    print(f"scipy's LU, SPICE's junction limiting: {seconds:.2f} s in {steps} steps; ratio {seconds / ours:.1f}")
    if ngspice.available():
        path = tmp_path / "grid.cir"
        write_spice(circuit, path)
        start = time.perf_counter()
        try:
            ngspice.run(path, timeout=60)
            said = ""
        except PhysnetError:
            said = "no answer after "
        spent = time.perf_counter() - start
        print(f"ngspice, whole process with reading the deck: {said}{spent:.2f} s; ratio {spent / ours:.1f}")
    benchmark.pedantic(lambda: relax(system), rounds=3)


def test_gradients_of_ten_thousand_edges(benchmark):
    system = diode_grid(71).build(inputs=["V"], outputs=["35,35", "60,20", ("3,0", "0,30")])
    inputs, targets, cost = jnp.array([[5.0]]), jnp.array([[0.3, 0.6, 0.1]]), SquaredError()
    relaxer, unit = OperatingPoint(SparseSolver()), Centred(1.0, relative=True)
    of_free, free = timed(lambda: compiled_settle(system, inputs, None, relaxer, initial=None))
    scale = 1e-4 * nudging_scales(system, cost, free.state, inputs)
    gradient, implicit = eqx.filter_jit(phase_gradient), eqx.filter_jit(implicit_from_states)
    of_ep, _ = timed(lambda: gradient(system, inputs, targets, cost, unit, relaxer, scale=scale, free=free))
    of_theorem, _ = timed(lambda: implicit(system, inputs, targets, cost, free))
    print(
        f"\n9,940 edges: free phase {1e3 * of_free:.1f} ms; each nudged phase {of_ep / 2 / of_free:.2f} of it; "
        f"EP gradient, free phase included, {1 + of_ep / of_free:.2f}; implicit {1 + of_theorem / of_free:.2f}"
    )
    benchmark.pedantic(lambda: compiled_settle(system, inputs, None, relaxer, initial=None), rounds=3)


def test_layered(benchmark):
    """1568-512-20 (inputs doubled), Shockley diodes, a batch of 64."""
    key = jax.random.key(0)
    network = LayeredNetwork.random((784, 512, 20), key=key, diode=ShockleyDiode(1e-6, THERMAL), input_gain=10.0)
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.random((64, 784)) * (rng.random((64, 784)) < 0.2))
    relaxer = BlockDescent(tolerance=1e-9)
    spent, found = timed(lambda: compiled_settle(network, inputs, None, relaxer, initial=None), runs=15)
    print(
        f"\nlayered 1568-512-20, batch 64: {1e3 * spent:.1f} ms, residual {float(found.residual.max()):.1e}, "
        f"{int(found.steps.max())} sweeps"
    )
    benchmark.pedantic(lambda: compiled_settle(network, inputs, None, relaxer, initial=None), rounds=3)
