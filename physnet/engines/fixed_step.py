"""Fixed steps over ensembles laid out (component, batch), with a step-doubling estimate of the error."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from physnet.engines import delayed, steps
from physnet.engines.base import Engine, Run, fastest_rate, sample_keys
from physnet.engines.lanes import lanes
from physnet.errors import PhysnetError
from physnet.sharding import devices_of

# The step in units of one over the fastest rate: by default, and at most. Measured on detuned auto-oscillators.
_DEFAULT, _LARGEST = 0.28, 2.0
_NOISY_DEFAULT, _NOISY_LARGEST = 0.1, 1.0
_ELEMENTS = 4096  # numbers of one stage of one chunk: they stay in the cache of a core
_PAST = 2**23  # numbers that a chunk may keep of its past
_MOST_KNOTS = 64  # distinct times at which inputs bend that are made ends of steps
_ALIKE = 1e-9  # of a step: times this close are one


def _as_float(step):
    is_number = np.ndim(step) == 0 and np.asarray(step).dtype.kind in "iuf"
    return float(step) if is_number else step


class FixedStep(Engine):
    """Steps of one size for every sample: for ensembles of small networks, large networks, noise, delayed coupling.

    Without noise a Runge-Kutta method of order 8, with noise one of strong order 1.5 for additive noise, with delays
    one of order 4. Before the first time the state variables are taken to have had their initial values: for amplitudes
    in a rotating frame the past turns with the frame, so that what follows depends on the frame until it has settled.
    Small states through an adaptive solver cost ten times more: each sample's loop waits for all. Samples are cut in
    chunks that fit a core's cache and are spread over the cores; a sample's numbers do not depend on the cut, noise
    included (its key is the given one with the sample's index folded in).

    step: the longest step, s; by default from the system's fastest rate, and at most half of the shortest delay. Steps
    divide the intervals between recorded times, and the times where inputs bend or jump (of all samples, where these
    are at most 64), evenly, an even number to each. checked: how many samples, evenly spread, are run at twice the step
    as well, for `Run.error`; None for all (half as much work again), 0 for none. lanes: samples in a chunk. threads:
    chunks at once, by default one per core. Raises PhysnetError for values that are not so.
    """

    advice: ClassVar[str] = "Try a shorter step, FixedStep(step=...) in s, an earlier end"

    step: float | None = eqx.field(static=True, default=None, converter=_as_float)
    checked: int | None = eqx.field(static=True, default=16)
    lanes: int | None = eqx.field(static=True, default=None)
    threads: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.step is not None and not (isinstance(self.step, float) and 0 < self.step < np.inf):
            raise PhysnetError(f"FixedStep: step is {self.step!r}; give one finite number above 0, in s.")
        for name, least in (("checked", 0), ("lanes", 1), ("threads", 1)):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if value is not None and not (whole and value >= least):
                raise PhysnetError(
                    f"FixedStep: {name} is {value!r}; give a whole number of at least {least}, or None for "
                    f"{'all samples' if name == 'checked' else 'the default'}."
                )

    def refuses(self, system, *, noisy):
        if noisy and system.delays:
            return "delayed coupling with noise is not supported; leave out the key, or set the delays to 0."
        return None

    def run(self, system, signal, times, initial, key):
        samples = jax.tree.leaves(initial)[0].shape[0]
        longest = self._step(system, signal, noisy=key is not None)
        _check_memory(samples, len(times), initial, copies=2 if self.checked is None else 1)
        grid = _Grid.of(system, signal, times, longest)
        keys = sample_keys(key, samples)
        state = self._chunks(system, signal, grid, initial, keys)
        reached = np.all(
            [np.isfinite(leaf.reshape(samples, -1)).all(axis=1) for leaf in jax.tree.leaves(state)], axis=0
        )
        error = self._error(system, signal, grid, initial, keys, state)
        return Run(state, np.full(samples, grid.counts.sum(), np.int64), reached, error)

    def _step(self, system, signal, *, noisy) -> float:
        """The step to take, s. Raises PhysnetError for one too large, or none given where no rate is known."""
        rate = fastest_rate(system, signal)
        shortest = min(system.delays, default=np.inf) / 2
        if self.step is not None and self.step > shortest * (1 + 1e-9):
            raise PhysnetError(
                f"FixedStep: a step of {self.step:.3g} s is too large for {type(system).__name__}, whose shortest "
                f"delay is {2 * shortest:.3g} s: the largest is half of it, since twice the step is run for the error."
            )
        if rate is None:
            if self.step is None:
                raise PhysnetError(
                    f"FixedStep: {type(system).__name__} does not say how fast it moves, so give the step in s: "
                    "FixedStep(step=...). The error of the run tells whether it was short enough."
                )
            return self.step
        usual, largest = (_NOISY_DEFAULT, _NOISY_LARGEST) if noisy else (_DEFAULT, _LARGEST)
        if self.step is not None and self.step * rate > largest:
            raise PhysnetError(
                f"FixedStep: a step of {self.step:.3g} s is too large for {type(system).__name__}, whose fastest rate "
                f"is {rate:.3g} rad/s: the largest safe step is {largest / rate:.3g} s, the usual one "
                f"{usual / rate:.3g} s."
            )
        if self.step is not None:
            return self.step
        return min(usual / rate, shortest)

    def _chunks(self, system, signal, grid, initial, keys):
        """States (sample, time, ...) as NumPy views of arrays laid out (time, ..., sample)."""
        leaves, structure = jax.tree.flatten(initial)
        samples = leaves[0].shape[0]
        components = sum(leaf[0].size for leaf in leaves)
        numbers = min(_ELEMENTS, _PAST // (2 * (grid.past or 1)))
        width = self.lanes or max(1, numbers // components)
        chunks = -(-samples // width)
        width = -(-samples // chunks)  # the same for all but the last, which is filled up: one compiled program
        threads = self.threads or os.cpu_count() or 1
        recorded = len(grid.recorded)
        devices = devices_of(signal)  # of a spread batch, which take the chunks in turn
        found = [np.empty((recorded, *leaf.shape[1:], samples), leaf.dtype) for leaf in leaves]

        def work(begin):
            rows = np.minimum(np.arange(begin, begin + width), samples - 1)
            part = jax.tree.map(lambda leaf: leaf[rows], (signal, initial, keys))
            if devices:
                part = jax.device_put(part, devices[begin // width % len(devices)])
            state = _follow(system, *part, grid.times, grid.counts, grid.past)
            stop = min(begin + width, samples)
            for into, leaf in zip(found, jax.tree.leaves(state)):
                into[..., begin:stop] = np.asarray(leaf)[grid.recorded, ..., : stop - begin]

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(0, samples, width)))
        return structure.unflatten([np.moveaxis(leaf, -1, 0) for leaf in found])

    def _error(self, system, signal, grid, initial, keys, state):
        samples = jax.tree.leaves(initial)[0].shape[0]
        checked = samples if self.checked is None else min(self.checked, samples)
        error = np.full(samples, np.nan)
        if checked:
            rows = np.unique(np.linspace(0, samples - 1, checked).round().astype(int))
            part = jax.tree.map(lambda leaf: leaf[rows], (signal, initial, keys))
            coarse = self._chunks(system, part[0], grid.coarse(), *part[1:])
            order = delayed.ORDER if system.delays else steps.ORDER if keys is None else steps.NOISY_ORDER
            differences = [
                np.abs(a[rows] - b).reshape(len(rows), -1).max(axis=1)
                for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(coarse))
            ]
            error[rows] = np.max(differences, axis=0) / (2**order - 1 if grid.smooth else 1)
        return error


@dataclass(frozen=True)
class _Grid:
    """Where steps end. times: (time,), s; recorded: the places of those asked for. counts: steps in each interval.

    Counts are even, so that a run at twice the step ends at the same times; negative, they are of such a run.
    past: how many steps must be kept for the delays. smooth: whether inputs are known to bend only where steps end.
    """

    times: np.ndarray
    recorded: np.ndarray
    counts: np.ndarray
    past: int | None
    smooth: bool

    @classmethod
    def of(cls, system, signal, times, longest: float) -> "_Grid":
        times, knots = np.asarray(times), signal.knots()
        inside = () if knots is None else np.unique(knots[(knots > times[0]) & (knots < times[-1])])
        # In single precision a step cannot tell the sides of a jump at its end, and the past keeps one side only.
        exact = len(inside) <= _MOST_KNOTS and times.dtype == np.float64 and not system.delays
        smooth = knots is not None and (len(inside) == 0 or exact)
        near = max(_ALIKE * longest, 4 * np.finfo(times.dtype).eps * float(np.abs(times).max()))
        every, recorded = delayed.mesh(times, system.delays, inside if len(inside) <= _MOST_KNOTS else (), near)
        spans = np.diff(every.astype(float))
        counts = 2 * np.maximum(1, np.ceil(spans / (2 * longest) - 1e-9)).astype(int)
        past = delayed.history(every, counts, system.delays) if system.delays else None
        return cls(every.astype(times.dtype), recorded, counts, past, smooth)

    def coarse(self) -> "_Grid":
        return replace(self, counts=-(self.counts // 2))


@eqx.filter_jit
def _follow(system, signal, initial, keys, times, counts, past):
    """States (time, ..., sample). counts: steps between times; negative: coarse, as in `follow`."""
    move = lambda tree: jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), tree)  # noqa: E731
    return follow(system, move(signal), move(initial), keys, times, counts, past)


def follow(system, signal, initial: PyTree, keys, times: Array, counts: Array, past: int | None = None) -> PyTree:
    """The traceable core: states (time, ..., sample) from arrays laid out (..., sample).

    signal, initial: every array with the sample axis last. keys: (sample,), or None without noise. times: (time,), s.
    counts: (time - 1,) steps in each interval; negative ones are coarse steps, each with the noise of two fine ones.
    past: steps that a system with delays must keep (`delayed.history`).
    Forward-mode derivatives go through it, reverse-mode ones do not.
    """
    if system.delays:
        return delayed.follow(system, signal, initial, times, jnp.abs(counts), past)
    flow = lanes(system, signal, lambda s, state, u: s.vector_field(state, u))
    spread = lanes(system, signal, lambda s, state, u: s.diffusion(state, u))
    reach = lanes(system, signal, lambda s, state, u, noise: s.noise_to_state(noise, u))

    def field(time, state):
        return flow(state, time)

    def interval(carry, now):
        state, done = carry
        start, length, count = now
        total = jnp.abs(count)
        step = length / total

        def advance(i, state):
            live, time = i < total, start + i * step
            if keys is None:
                return steps.runge_kutta_8(field, live, time, state, step)
            sigma = spread(state, time)
            drawn = _noise(keys, done + i, step, count < 0, sigma)
            increment, area = (reach(state, time, noise) for noise in drawn)
            return steps.additive_noise(field, live, time, state, step, increment, area)

        state = jax.lax.fori_loop(0, total, advance, state)
        return (state, done + total), state

    start = (initial, jnp.zeros((), counts.dtype))
    _, states = jax.lax.scan(interval, start, (times[:-1], jnp.diff(times), counts))
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), initial, states)


def _noise(keys, index, step, coarse, sigma):
    """(sigma dW, sigma int W dt) of one step for every sample; a coarse step has the noise of two fine ones."""
    leaves, structure = jax.tree.flatten(sigma)

    def of_fine(index, step):
        def draw(key):
            each = jax.random.split(jax.random.fold_in(key, index), len(leaves))
            return [jax.random.normal(k, (2, *leaf.shape[:-1]), leaf.dtype) for k, leaf in zip(each, leaves)]

        pairs = jax.vmap(draw, out_axes=-1)(keys)
        root = jnp.sqrt(step)
        return [root * z[0] for z in pairs], [step * root * (z[0] / 2 + z[1] / np.sqrt(12)) for z in pairs]

    def of_pair():
        half = step / 2
        (first, area_1), (second, area_2) = of_fine(2 * index, half), of_fine(2 * index + 1, half)
        increments = [a + b for a, b in zip(first, second)]
        return increments, [a + b + half * w for a, b, w in zip(area_1, area_2, first)]

    increments, areas = jax.lax.cond(coarse, of_pair, lambda: of_fine(index, step))
    scaled = [[s * x for s, x in zip(leaves, xs)] for xs in (increments, areas)]
    return structure.unflatten(scaled[0]), structure.unflatten(scaled[1])


def _check_memory(samples: int, times: int, initial: PyTree, copies: int) -> None:
    """Raises PhysnetError where so many copies of the recorded states would not fit in the memory that is free."""
    each = copies * times * sum(leaf[0].size * leaf.dtype.itemsize for leaf in jax.tree.leaves(initial))
    free = _free_memory()
    if free is None or samples * each < 0.8 * free:
        return
    fits = int(0.8 * free // each)
    advice = f"integrate at most {fits} samples at a time" if fits else "record fewer times"
    raise PhysnetError(
        f"FixedStep: {samples} samples of {times} recorded times need {samples * each / 1e9:.3g} GB, and "
        f"{free / 1e9:.3g} GB of memory are free: {advice}, or record fewer times."
    )


def _free_memory() -> int | None:
    """Bytes that the system could hand out now; None where it does not say (other than Linux)."""
    try:
        with open("/proc/meminfo") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None
