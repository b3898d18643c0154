"""Holomorphic nudging: beta on a circle in the complex plane, where a few points tell the derivative almost exactly."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.augmented import Augmented
from physnet.equilibrium import BEYOND, settle
from physnet.errors import PhysnetError
from physnet.nudging import FREE, Nudging, Phases
from physnet.problem import Problem
from physnet.system import System, is_boxed

_LARGEST_RATIO = 0.7  # of beta over the radius of analyticity: at N = 8 the gradient is then off by 6 %
_ANALYTIC = 1e-6  # share of the response that may disagree with the Cauchy-Riemann equations


class Holomorphic(Nudging):
    """N nudged phases at beta_k = beta exp(2 pi i k / N): Cauchy's formula for d/d(beta), biased by O(beta^N).

    g = Re (1/N) sum_k [dF(beta_k) - dF(0)] / beta_k. The states are complex inside the gradient only; conjugate phases
    are conjugate states, so that N/2 + 1 are settled. N = 2 is `Centred`. The steady state must be an analytic
    function of beta up to the circle: phases whose Fourier coefficients over the circle do not fall off are marked as
    not converged (status 3), since the formula then says nothing. Laborieux & Zenke 2022, arXiv:2209.00530.

    points: N, even. Complex phases are settled by the relaxer's `for_complex_states`.
    """

    points: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        if isinstance(self.points, bool) or not isinstance(self.points, int | np.integer):
            raise PhysnetError(f"Holomorphic: points is {self.points!r}; give an even whole number, such as 8.")
        if self.points < 2 or self.points % 2:
            raise PhysnetError(
                f"Holomorphic: points is {self.points}; it must be even and at least 2, so that conjugate phases pair."
            )

    @property
    def factors(self):
        return tuple(complex(np.exp(2j * np.pi * k / self.points)) for k in range(self.points // 2 + 1))

    @property
    def pairs(self):
        return tuple((k, FREE) for k in range(self.points // 2 + 1))

    @property
    def weights(self):
        """The share of each pair: 1/N for the two real phases, 2/N for those that stand for their conjugates too."""
        return tuple((1 if k in (0, self.points // 2) else 2) / self.points for k, _ in self.pairs)

    @property
    def order(self):
        return self.points

    def refuses(self, system, cost, rule, relaxer):
        if is_boxed(system):
            return (
                "its state is confined to a box, and what clips is no analytic function of beta. Use Centred(beta), "
                "or smooth elements (a Shockley diode, a logistic unit)."
            )
        return relaxer.for_complex_states().refuses(ComplexPhase(system), cost)

    def check(self, system, cost, states, inputs, targets):
        try:
            error = float(_cauchy_riemann(system, cost, states, inputs, targets))
        except (TypeError, ValueError, NotImplementedError) as problem:
            reason = str(problem).split("\n")[0]
            raise PhysnetError(
                f"Holomorphic refuses {type(system).__name__}: its physics cannot be continued to complex states "
                f"({reason}). Use Centred(beta)."
            ) from problem
        if not error <= _ANALYTIC:
            raise PhysnetError(
                f"Holomorphic refuses {type(system).__name__}: its force is not an analytic function of the state (the "
                f"Cauchy-Riemann equations are off by {error:.2g}, relatively): something in it clips, takes absolute "
                "values or conjugates. Use Centred(beta)."
            )

    def phases(self, system, inputs, targets, cost, rule, relaxer, *, beta, free, certify=True):
        betas = jnp.stack([factor * beta for factor in self.factors])
        start = (free.state, jax.tree.map(jnp.zeros_like, free.state))

        def phase(beta):
            nudge = rule.nudge(system, inputs, targets, cost, beta, free.state)
            relaxing = relaxer.for_complex_states()
            return settle(ComplexPhase(system), (inputs, nudge), None, relaxing, initial=start, certify=certify)

        nudged = jax.vmap(phase)(betas)
        displacement = jax.tree.map(lambda real, imag, s: (real - s[None]) + 1j * imag, *nudged.state, free.state)
        inside = _analytic(displacement, self.points)
        converged = nudged.converged & inside[None]
        status = jnp.where(nudged.converged & ~inside[None], jnp.int8(BEYOND), nudged.status)
        nudged = replace(nudged, converged=converged, status=status)
        return Phases(nudged, displacement, betas, jnp.all(converged, axis=0))


def _analytic(displacement, points: int):
    """(sample,) whether the states over the circle are those of a function analytic inside it.

    Its Fourier coefficients c_n = a_n beta^n fall like (beta/R)^n, R the radius of analyticity; c_N-1 and c_0 - s0 are
    held against c_1. Two points, the centred stencil, have no further coefficient to tell.
    """
    half = jnp.concatenate(
        [leaf.reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(displacement)], axis=-1
    )  # (phase, sample, coordinate)
    whole = jnp.concatenate([half, jnp.conj(half[1:-1])[::-1]])
    size = jnp.linalg.norm(jnp.fft.fft(whole, axis=0), axis=-1)
    rounding = 100 * jnp.finfo(size.dtype).eps * size[1]
    if points == 2:
        return jnp.ones(size.shape[1:], bool)
    last, mean = (jnp.maximum(size[n] - rounding, 0) / size[1] for n in (points - 1, 0))
    ratio = jnp.maximum(last ** (1 / (points - 2)), mean ** (1 / (points - 1)))
    return ~(ratio > _LARGEST_RATIO)


class ComplexPhase(Augmented):
    """A system in a nudged phase of complex beta, its state split into real and imaginary parts (re, im).

    Inputs: (inputs, nudge) of the system. Whatever settles real systems settles it.
    """

    system: System

    def _problem(self, inputs) -> Problem:
        return Problem(self.system, *inputs)

    def _split(self, tree):
        return jax.tree.map(jnp.real, tree), jax.tree.map(jnp.imag, tree)

    def _joined(self, state):
        return jax.tree.map(lambda re, im: re + 1j * im, *state)

    def residual(self, state, inputs):
        return self._split(self._problem(inputs).residual(self._joined(state)))

    def vector_field(self, state, inputs):
        return self._split(self._problem(inputs).vector_field(self._joined(state)))

    def residual_scale(self, state, inputs):
        scale = self.system.residual_scale(state[0], inputs[0])
        force = self._problem(inputs).force(self._joined(state))
        scale = jax.tree.map(lambda a, b: a + jnp.abs(b), scale, force)
        return scale, scale

    def neutral_modes(self, state):
        modes = self.system.neutral_modes(state[0])
        zero = jax.tree.map(jnp.zeros_like, state[0])
        return (*((mode, zero) for mode in modes), *((zero, mode) for mode in modes))

    def outputs(self, state, inputs):
        return self.system.outputs(state[0], inputs[0])

    def initial_state(self, inputs, key=None):
        state = self.system.initial_state(inputs, key)
        return state, jax.tree.map(jnp.zeros_like, state)

    @property
    def resolved(self):
        return ComplexPhase(self.system.resolved)

    def resolve(self, inputs):
        return self.system.resolve(inputs[0]), inputs[1]

    @property
    def iterates(self):
        return self.system.iterates

    @property
    def blocks(self):
        leaves = len(self.system.variables)
        return tuple((*block, *(i + leaves for i in block)) for block in self.system.blocks)

    @property
    def variables(self):
        named = ((part, v) for part in ("real", "imaginary") for v in self.system.variables)
        return tuple(replace(v, name=f"{v.name}_{part}", long_name=f"{v.long_name}, {part} part") for part, v in named)

    def default_relaxer(self):
        return self.system.default_relaxer().for_complex_states()


@eqx.filter_jit
def _cauchy_riemann(system, cost, states, inputs, targets):
    """|r(s + ih v) - ih J v| / |h J v|, relative, of the worst sample: what is left is not analytic, or O(h^2)."""

    def one(state, inputs, target):
        flat, unravel = jax.flatten_util.ravel_pytree(state)
        direction = unravel(jnp.asarray(np.random.default_rng(0).normal(size=flat.size), flat.dtype))
        step = jnp.finfo(flat.dtype).eps ** 0.5

        def force(state):
            outputs = system.outputs(state, inputs)
            return system.residual(state, inputs), cost(outputs, target)

        real = jax.jvp(force, (state,), (direction,))[1]
        moved = force(jax.tree.map(lambda s, v: s + 1j * step * v, state, direction))
        off = jax.tree.map(lambda f, j: f.imag / step - j, moved, real)
        sizes = [jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))) for tree in (off, real)]
        return sizes[0] / sizes[1]

    return jnp.max(jax.vmap(one)(states, inputs, targets))
