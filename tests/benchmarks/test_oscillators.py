"""Ensembles and large networks of oscillators against the alternatives, at the same error, in the same run.

    python -m pytest tests/benchmarks/test_oscillators.py --benchmark-only -s -n 0

prints the tables of docs/benchmarks.md. Times are of the second call, without compilation, CPU seconds of all threads
and wall seconds; where an alternative is too slow for the whole map it runs networks spread over it, with the most
sensitive ones, and is scaled up, which favours it (a vmapped solver waits for its slowest member). JiTCODE is optional:
pip install jitcode sympy.
"""

import contextlib
import resource
import tempfile
import time

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

from oscillators import AllToAll, AutoOscillators, Phasors
from physnet import FixedStep, Varied, integrate

SPAN, SAMPLES, SIDE = 10e-6, 256, 100
TIMES = np.concatenate([[0.0], SPAN / 2 * (1 + np.arange(1, SAMPLES + 1) / SAMPLES)])
NETWORK = AutoOscillators.from_preset("map", AllToAll(0.4e6, 3), frequency=np.full(3, 300e6))
DETUNINGS = np.stack(np.meshgrid(*[np.linspace(-8e6, 8e6, SIDE)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
WORST = 2e-4  # MHz


def detune(system, values):
    return eqx.tree_at(lambda s: s.frequency, system, system.frequency.at[1:].add(values))


def measured(call):
    """(result, CPU s, wall s) of the second call."""
    call()
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def mean_frequencies(real, imag):
    """MHz, (oscillator, network), from arrays (time, oscillator, network) at the last 256 times."""
    phase = -np.unwrap(np.arctan2(imag, real), axis=0)
    return (phase[-1] - phase[0]) / (2 * np.pi * (TIMES[-1] - TIMES[1])) / 1e6


def by_physnet(step, checked=16):
    run = integrate(Varied(NETWORK, detune, 2), DETUNINGS, TIMES, engine=FixedStep(step, checked=checked))
    return mean_frequencies(*(np.moveaxis(leaf, 0, -1)[1:] for leaf in run.state))


# The equations once more, as someone would write them for one purpose: c, (3, network), in the rotating frame.
_GAMMA, _PUMP, _SHIFT, _W = (2 * np.pi * x for x in (5e6, 7.5e6, 40e6, 0.4e6))


def offsets(detunings):
    turning = 2 * np.pi * (300e6 - float(NETWORK.frame))
    return turning + 2 * np.pi * np.concatenate([np.zeros((len(detunings), 1)), detunings], axis=1).T


def velocity(c, omega):
    p = (c * c.conj()).real
    return (-1j * (omega + _SHIFT * p) - _GAMMA + _PUMP * (1 - p) - _W) * c + _W * c.sum(axis=0)


def real_velocity(x, y, omega):
    p = x * x + y * y
    turning, growth = omega + _SHIFT * p, -_GAMMA + _PUMP * (1 - p) - _W
    u, v = (_W * part.sum(axis=0, keepdims=True) for part in (x, y))
    return growth * x + turning * y + u, growth * y - turning * x + v


def start(networks):
    x, y = (np.asarray(part) for part in NETWORK.initial_state(NETWORK.currents))
    return tuple(np.repeat(part[:, None], networks, axis=1) for part in (x, y))


@eqx.filter_jit
def plain_rk4(x, y, omega, steps):
    """A plain fourth-order loop over (3, network), `steps` to each recorded interval of 19.5 ns."""
    h = SPAN / 2 / SAMPLES / steps

    def step(_, state):
        a = real_velocity(*state, omega)
        b = real_velocity(*(s + h / 2 * k for s, k in zip(state, a)), omega)
        c = real_velocity(*(s + h / 2 * k for s, k in zip(state, b)), omega)
        d = real_velocity(*(s + h * k for s, k in zip(state, c)), omega)
        return tuple(s + h / 6 * (k + 2 * m + 2 * n + q) for s, k, m, n, q in zip(state, a, b, c, d))

    def record(state, _):
        state = jax.lax.fori_loop(0, steps, step, state)
        return state, state

    settled = jax.lax.fori_loop(0, SAMPLES * steps, step, (x, y))
    return jax.lax.scan(record, settled, None, length=SAMPLES)[1]


def by_rk4(steps, lanes=2500):
    """In chunks of 2500 networks, the fastest of 250 to 10,000."""
    omega, (x, y) = offsets(DETUNINGS), start(len(DETUNINGS))
    parts = [slice(k, k + lanes) for k in range(0, len(DETUNINGS), lanes)]
    found = [plain_rk4(x[:, part], y[:, part], omega[:, part], steps) for part in parts]
    return mean_frequencies(*(np.concatenate([np.asarray(f[k]) for f in found], axis=-1) for k in (0, 1)))


@eqx.filter_jit
def diffrax_map(x, y, omega, rtol):
    def one(x, y, omega):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, s, w: jnp.concatenate(real_velocity(s[:3], s[3:], w))),
            diffrax.Dopri8(),
            0.0,
            SPAN,
            1e-9,
            jnp.concatenate([x, y]),
            args=omega,
            saveat=diffrax.SaveAt(ts=jnp.asarray(TIMES[1:])),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol),
            max_steps=100_000,
        )
        return solution.ys

    return jax.vmap(one, in_axes=-1, out_axes=-1)(x, y, omega)


def by_diffrax(chosen, rtol):
    ys = np.asarray(diffrax_map(*start(len(chosen)), offsets(DETUNINGS[chosen]), rtol))
    return mean_frequencies(ys[:, :3], ys[:, 3:])


def by_jitcode(chosen, rtol):
    """(frequencies, CPU s, wall s): compiled once, before the clock starts."""
    import jitcode
    import symengine

    w = symengine.symbols("w0 w1 w2")
    x, y = [jitcode.y(i) for i in range(3)], [jitcode.y(i + 3) for i in range(3)]
    growth = [-_GAMMA + _PUMP * (1 - a * a - b * b) - _W for a, b in zip(x, y)]
    turning = [omega + _SHIFT * (a * a + b * b) for a, b, omega in zip(x, y, w)]
    field = [g * a + t * b + _W * sum(x) for g, t, a, b in zip(growth, turning, x, y)]
    field += [g * b - t * a + _W * sum(y) for g, t, a, b in zip(growth, turning, x, y)]
    solver = jitcode.jitcode(field, n=6, control_pars=w, verbose=False)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # its build reads any pyproject.toml
        solver.compile_C()
    solver.set_integrator("dop853", rtol=rtol, atol=rtol, nsteps=10**6)
    omega, (x, y) = offsets(DETUNINGS[chosen]), start(1)
    cpu, wall = time.process_time(), time.perf_counter()
    found = np.empty((SAMPLES, 6, len(chosen)))
    for k in range(len(chosen)):
        solver.set_initial_value(np.concatenate([x[:, 0], y[:, 0]]), 0.0)
        solver.set_parameters(omega[:, k])
        for i, t in enumerate(TIMES[1:]):
            found[i, :, k] = solver.integrate(t)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return mean_frequencies(found[:, :3], found[:, 3:]), cpu, wall


def test_a_map_of_auto_oscillators(benchmark):
    reference = by_physnet(1.25e-9)
    few = np.linspace(0, len(DETUNINGS) - 1, 4).astype(int)  # an independent solver vouches for the reference
    for k in few:
        c = start(1)[0][:, 0] + 1j * start(1)[1][:, 0]
        omega = offsets(DETUNINGS[[k]])[:, 0]
        options = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-12, "t_eval": TIMES[1:]}
        y = solve_ivp(lambda t, c, omega=omega: velocity(c, omega), (0, SPAN), c, **options).y
        assert np.abs(mean_frequencies(y.real.T, y.imag.T) - reference[:, k]).max() < 1e-6

    def error(found, chosen=slice(None)):
        return np.abs(found - reference[:, chosen]).max()

    print(f"\n{'10,000 networks of 3, 10 us':48}{'CPU s':>9}{'wall s':>9}{'ratio':>8}{'worst error, MHz':>18}")
    rows = {}

    def row(name, cpu, wall, worst):
        rows[name] = cpu, wall, worst
        print(f"{name:48}{cpu:9.2f}{wall:9.2f}{cpu / next(iter(rows.values()))[0]:8.2f}{worst:18.1e}", flush=True)

    found, cpu, wall = measured(lambda: by_physnet(None))
    row("physnet, FixedStep()", cpu, wall, error(found))
    for steps in (20, 128, 160):
        found, cpu, wall = measured(lambda n=steps: by_rk4(n))
        row(f"plain JAX RK4, {19531 / steps:.0f} ps", cpu, wall, error(found))
    # Few networks are sensitive and decide the worst error: a sample of the map has to have them.
    sensitive = np.argsort(np.abs(by_physnet(9.7e-9, checked=0) - reference).max(axis=0))[::-1]

    def sample(number):
        spread = np.linspace(0, len(DETUNINGS) - 1, number - number // 5).round().astype(int)
        return np.concatenate([spread, sensitive[: number // 5]])

    chosen = sample(1000)
    for rtol in (1e-9, 1e-11):
        found, cpu, wall = measured(lambda r=rtol: by_diffrax(chosen, r))
        scale = len(DETUNINGS) / len(chosen)
        row(f"diffrax vmap Dopri8, rtol {rtol:g} (1000 of them)", scale * cpu, scale * wall, error(found, chosen))
    chosen = sample(50)
    try:
        for rtol in (1e-10, 1e-12):
            found, cpu, wall = by_jitcode(chosen, rtol)
            scale = len(DETUNINGS) / len(chosen)
            row(f"JiTCODE dop853, rtol {rtol:g} (50 of them)", scale * cpu, scale * wall, error(found, chosen))
    except ImportError as missing:
        print(f"JiTCODE left out ({missing}): pip install jitcode sympy")
    assert next(iter(rows.values()))[2] <= WORST
    benchmark.pedantic(lambda: by_physnet(None), rounds=3)


def kuramoto(size, coupling):
    """(system, initial phases): unit normal frequencies (rad/s) at their quantiles, K/N coupling."""
    rng = np.random.default_rng(0)
    omega = rng.permutation(norm.ppf((np.arange(size) + 0.5) / size))
    system = Phasors(AllToAll(coupling / size / (2 * np.pi), size), omega / (2 * np.pi))
    return system, omega, np.random.default_rng(1).uniform(-np.pi, np.pi, size)


@pytest.mark.parametrize("coupling", [1.5, 2.0, 3.0])
def test_kuramoto_all_to_all(benchmark, coupling):
    system, omega, phases = kuramoto(1000, coupling)

    def field(t, theta):
        z = np.exp(1j * theta).mean()
        return omega + coupling * (z.imag * np.cos(theta) - z.real * np.sin(theta))

    def by_scipy(method, tolerance):
        return solve_ivp(field, (0, 100), phases, method=method, rtol=tolerance, atol=tolerance).y[:, -1]

    reference = by_scipy("DOP853", 1e-13)

    def error(theta):
        return np.sqrt(np.mean(np.angle(np.exp(1j * (theta - reference))) ** 2))

    frame = 2 * np.pi * float(system.frame_frequency(system.default_inputs()))
    initial = (np.cos(phases), -np.sin(phases))

    def ours(step):
        run = integrate(system, None, [0.0, 100.0], initial=initial, engine=FixedStep(step, checked=0))
        return np.arctan2(-np.asarray(run.state[1])[-1], np.asarray(run.state[0])[-1]) + frame * 100

    rows = {}
    for step in (0.22, 0.2, 0.16, 0.1):
        found, cpu, wall = zip(*[measured(lambda s=step: ours(s)) for _ in range(5)])
        rows[f"physnet, phasors, step {step}"] = np.median(cpu), np.median(wall), error(found[0])
    for tolerance in (1e-8, 3e-9, 1e-9, 3e-10):
        found, cpu, wall = zip(*[measured(lambda r=tolerance: by_scipy("RK45", r)) for _ in range(3)])
        rows[f"scipy RK45, tolerance {tolerance:g}"] = np.median(cpu), np.median(wall), error(found[0])
    good = {name: row for name, row in rows.items() if row[2] <= 1e-6}
    fastest = min(row[1] for name, row in good.items() if name.startswith("physnet"))
    title = f"Kuramoto, N = 1000, T = 100, K = {coupling}"
    print(f"\n{title:40}{'CPU s':>9}{'wall s':>9}{'ratio':>8}{'rms error, rad':>16}")
    for name, (cpu, wall, rms) in rows.items():
        print(f"{name:40}{cpu:9.3f}{wall:9.3f}{wall / fastest:8.1f}{rms:16.1e}")
    benchmark.pedantic(lambda: ours(0.2), rounds=3)


def test_cost_against_size(benchmark):
    print(f"\n{'N':>9}{'s per step':>13}{'ns per oscillator and step':>28}{'peak memory, MB':>17}")
    for size in (1_000, 10_000, 100_000, 1_000_000):
        system, _, phases = kuramoto(size, 2.0)
        initial = (np.cos(phases), -np.sin(phases))
        steps = max(10, 2_000_000 // size)
        _, _, wall = measured(
            lambda s=system, i=initial, n=steps: integrate(
                s, None, [0.0, 0.04 * n], initial=i, engine=FixedStep(0.04, checked=0)
            )
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{size:9d}{wall / steps:13.2e}{1e9 * wall / steps / size:28.1f}{peak:17.0f}")
    system, _, phases = kuramoto(1000, 2.0)
    benchmark.pedantic(lambda: integrate(system, None, [0.0, 1.0], initial=(np.cos(phases), -np.sin(phases))), rounds=3)
