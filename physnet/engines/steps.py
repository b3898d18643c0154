"""One step of a fixed size, for states laid out (component, batch)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree
from scipy.integrate import DOP853

Field = Callable[[Array, PyTree], PyTree]  # (time, state) -> ds/dt, every sample at once
ORDER = 8
NOISY_ORDER = 1.5  # in the strong sense; 3 without noise

_STAGES = len(DOP853.B)
_A = [[float(a) for a in row[:_STAGES]] for row in DOP853.A[:_STAGES]]
_SIDE = 1e-9  # of a step: inputs that jump where a step begins or ends are read on the step's own side of the jump


def _inside(c: float) -> float:
    return min(max(float(c), _SIDE), 1 - _SIDE)


_B, _C = [float(b) for b in DOP853.B], [_inside(c) for c in DOP853.C[:_STAGES]]


def _combined(state: PyTree, weights, rates) -> PyTree:
    """state + sum_i weights_i rates_i, zero weights left out."""
    for weight, rate in zip(weights, rates):
        if not (isinstance(weight, float) and weight == 0):
            state = jax.tree.map(lambda s, r, w=weight: s + w * r, state, rate)
    return state


def _stage(field: Field, live: Array, time: Array, state: PyTree, weights, rates) -> PyTree:
    """field at state + sum weights rates, held apart from the other stages.

    XLA on CPU fuses a stage into each of its later uses and so computes it up to eleven times; it does not fuse across
    a conditional. `live` is true, and traced, so that XLA cannot know.
    """

    def compute(operands):
        state, rates = operands
        return field(time, _combined(state, weights, rates))

    def never(operands):
        return jax.tree.map(jnp.zeros_like, operands[0])

    return jax.lax.cond(live, compute, never, (state, list(rates)))


def runge_kutta_8(field: Field, live: Array, time: Array, state: PyTree, step: Array) -> PyTree:
    """A step of the 8th-order method of Dormand and Prince (Hairer, Norsett, Wanner, doi:10.1007/978-3-540-78862-1)."""
    rates = []
    for a, c in zip(_A, _C):
        weights = [step * x if x else 0.0 for x in a[: len(rates)]]
        rates.append(_stage(field, live, time + c * step, state, weights, rates))
    return _combined(state, [step * b if b else 0.0 for b in _B], rates)


def runge_kutta_4(field: Field, live: Array, time: Array, state: PyTree, step: Array, first: PyTree) -> PyTree:
    """A step of the classical method of order 4. first: field(time, state), which the caller has worked out."""
    rates = [first]
    for c in (0.5, 0.5, 1.0):
        weights = [*([0.0] * (len(rates) - 1)), c * step]
        rates.append(_stage(field, live, time + _inside(c) * step, state, weights, rates))
    return _combined(state, [step * b for b in (1 / 6, 1 / 3, 1 / 3, 1 / 6)], rates)


_NOISY_A = ((), (1.0,), (0.25, 0.25))
_NOISY_B = (1 / 6, 1 / 6, 2 / 3)
_NOISY_C = (_inside(0.0), _inside(1.0), 0.5)
_NOISY_SHIFT = (0.0, 0.0, 1.5)


def additive_noise(
    field: Field, live: Array, time: Array, state: PyTree, step: Array, increment: PyTree, area: PyTree
) -> PyTree:
    """A step with additive noise: strong order 1.5, weak order 2, order 3 where the noise vanishes.

    increment: sigma dW, area: sigma times the integral of W over the step (s sqrt(s)), each shaped like the state. The
    order conditions are those of Roessler 2010, doi:10.1137/09076636X, section 4: sum b = 1, sum b c = 1/2,
    sum b c^2 = 1/3, sum b B = 1, sum b B^2 = 3/2.
    """
    rates = []
    for a, c, shift in zip(_NOISY_A, _NOISY_C, _NOISY_SHIFT):
        start = state if shift == 0 else jax.tree.map(lambda s, z, b=shift: s + (b / step) * z, state, area)
        rates.append(_stage(field, live, time + c * step, start, [step * x for x in a], rates))
    state = _combined(state, [step * b for b in _NOISY_B], rates)
    return jax.tree.map(jnp.add, state, increment)
