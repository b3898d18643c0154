"""The ramps of `studies.binding` learn by Equilibrium Propagation on the phase-locked steady state.

Where the three frequencies come closest, the oscillators are reduced to their phases, which settle; a cost of their
order nudges them, and the nudged displacement of a phase over beta is the derivative of the cost with respect to that
oscillator's frequency: dC/df_i = -2 pi (phi_i(+beta) - phi_i(-beta)) / 2 beta, from E = -2 pi sum_i f_i phi_i + ...
Only differences of frequencies matter, so that these sum to zero: the common phase is projected out, none is pinned.
At a given moment a frequency is linear in the levels and slopes of its ramp, and so passes the derivative on to them.
The moment itself is where the frequencies are closest, so that its own shift counts only to second order.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from oscillators import AllToAll, PhaseNetwork
from physnet import Centred, Newton, ep_gradient
from physnet.cost import Cost
from studies._binding_network import SPAN, crossed, reduced_coupling
from studies._binding_ramps import WINDOW, frequencies_at, frequencies_in_time, moved, per_unit

# While it learns, the coupling is three times as strong: sequences that would drift lock, and so have a gradient.
RAISED = 3.0
# 1 - S of three phases of raised coupling under detunings at which the true coupling just fails to hold them; the two
# ways to fail (one oscillator against two, a chain of three) agree within 1 %.
EDGE = 1 - (5 + 4 * np.sqrt(1 - RAISED**-2)) / 9
# Detunings of zero mean below this many times the coupling lock, whatever their pattern, and Newton's method finds that
# state from equal phases; beyond it no state is asked for.
LOCKS = 1.7
ACCEPTED, REJECTED = 0.6, 2.0  # disorder in units of EDGE: members stay below, others above
APART = SPAN // 2  # a.u. between the two moments at which the phases settle, the middle half of the detector's look
MEMBER_WEIGHT = 1.5  # of a member against one of the three times as many others
BETA = 1e-3  # relative
RATE = 0.3  # units of `moved` at first; falls to a twentieth along half a cosine


class OrderMargin(Cost):
    """h^2/2 of what three phases lack: members of order, others of disorder; two are read against the third.

    u = (1 - S)/EDGE with S = |sum_i exp(i phi_i)|^2/9: 0 in phase, 1 at the edge of locking. For members (targets +1)
    h = log (1 + u)/(1 + ACCEPTED), for others (targets -1) h = log (1 + REJECTED)/(1 + u), and 0 where negative.
    """

    def __call__(self, outputs, target):
        x, y = 1 + outputs[0] + outputs[1], outputs[2] + outputs[3]
        disorder = (1 - (x * x + y * y) / 9) / EDGE
        member = target[0] > 0
        lack = jnp.log((1 + disorder) / (1 + jnp.where(member, ACCEPTED, REJECTED))) * jnp.where(member, 1, -1)
        return 0.5 * jnp.maximum(lack, 0) ** 2

    def largest_curvature(self):
        # |dS/d(outputs)| <= 2 sqrt 2/3 and |d2S| <= 4/9; with v = log (1 + u), |h| <= log (1 + 1/EDGE)
        return (1 + np.log(1 + 1 / EDGE)) * (8 / 9) / EDGE**2 + np.log(1 + 1 / EDGE) * (4 / 9) / EDGE


@dataclass(frozen=True)
class Learned:
    """What training gives. ramps: (class, 6). cost: (step, class), of the ramps before each step. start: (class,).

    residual, converged: the largest relative residual of all steady states, and whether every one met its tolerance.
    """

    ramps: np.ndarray
    cost: np.ndarray
    start: np.ndarray
    residual: float
    converged: bool


def phase_network() -> PhaseNetwork:
    """The reduced model with raised coupling; inputs: detunings, Hz."""
    return PhaseNetwork(AllToAll(RAISED * reduced_coupling(), 3))


def settle(system, detunings, members, *, beta: float = BETA):
    """(cost (sample,), dC/df (sample, 3) in 1/Hz, residual, converged) by Equilibrium Propagation.

    detunings: (sample, 3), Hz, zero mean, within LOCKS. members: (sample,), bool. beta: relative.
    """
    targets = np.where(members, 1.0, -1.0)[:, None] * np.ones((1, 4))
    nudging = Centred(beta, relative=True)
    found = ep_gradient(system, detunings, targets, cost=OrderMargin(), nudging=nudging, relaxer=Newton())
    up, down = np.asarray(found.nudged.displacement)
    slopes = (up - down) / np.asarray(found.betas[0] - found.betas[1])[:, None]
    gradients = -2 * np.pi * (slopes - slopes.mean(1, keepdims=True))
    residual = max(float(found.free.residual.max()), float(found.nudged.residual.max()))
    return np.asarray(_costs(found.free.outputs, targets)), gradients, residual, bool(np.all(found.converged))


@jax.jit
def _costs(outputs, targets):
    return jax.vmap(OrderMargin())(outputs, targets)


@jax.jit
def _frequencies(ramps, events, times):
    """Frequencies (sample, 3), MHz, and their derivatives (sample, 3, 6) along the ramps."""

    def one(ramps, events, time):
        return frequencies_at(ramps, events, time), jax.jacfwd(frequencies_at)(ramps, events, time)

    return jax.vmap(one)(ramps, events, times)


def closest_moments(ramps, events) -> np.ndarray:
    """(sample, 2) times, a.u., APART from each other, between which the frequencies of a sample come closest.

    Closest: the larger of the two sums of squared detunings is the smallest there is.
    """
    times = np.arange(WINDOW + 1.0)
    spread = np.asarray(frequencies_in_time(ramps, events, times).var(-1))
    begin = np.maximum(spread[:, :-APART], spread[:, APART:]).argmin(-1)
    return np.stack([begin, begin + APART], axis=-1).astype(float)


def cost_and_gradient(system, ramps, events, labels, kept=None):
    """(cost (network,), its derivative (network, 6) along the ramps, residual, converged).

    ramps: (network, 6), where network n is for class n mod 4. events: (sequence, 2), a.u. labels: (sequence,).
    kept: (network, sequence), which sequences a network is trained on; None for all.
    """
    each, sequences = crossed(ramps, events)
    moments = closest_moments(each, sequences)
    twice = (np.repeat(each, 2, axis=0), np.repeat(sequences, 2, axis=0), moments.ravel())
    frequencies, along = (np.asarray(array) for array in _frequencies(*twice))
    detunings = 1e6 * (frequencies - frequencies.mean(1, keepdims=True))
    members = labels[None, :] == np.arange(len(ramps))[:, None] % 4
    member = np.repeat(members.ravel(), 2)
    near = np.abs(detunings).max(1) < LOCKS * RAISED * reduced_coupling()
    # Those out of reach stand in as members in perfect order, which costs nothing; others need no push there, and a
    # member there would get none.
    found = settle(system, np.where(near[:, None], detunings, 0), member | ~near)
    weight = np.where(member, MEMBER_WEIGHT, 1) * near
    if kept is not None:
        weight = weight * np.repeat(kept.ravel(), 2)
    cost = (weight * found[0]).reshape(len(ramps), -1).mean(1)
    gradients = np.einsum("n,ni,nip->np", weight, 1e6 * found[1], along).reshape(len(ramps), -1, along.shape[-1])
    return cost, gradients.mean(1), *found[2:]


def learn(starts, events, labels, steps: int, kept=None) -> Learned:
    """Trains from every start and keeps, for each network, the ramps of least cost.

    starts: each (network, 6), where network n is for class n mod 4. events, labels, kept: as for `cost_and_gradient`;
    with `kept` there is one start.
    """
    count = len(starts)
    ramps = np.concatenate(starts)
    system = phase_network()
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, steps, 0.05))
    memory = optimiser.init(jnp.zeros(ramps.shape))
    best, best_ramps, history, worst, settled = np.full(len(ramps), np.inf), ramps, [], 0.0, True
    for _ in range(steps + 1):
        cost, gradient, residual, converged = cost_and_gradient(system, ramps, events, labels, kept)
        better = cost < best
        best, best_ramps = np.where(better, cost, best), np.where(better[:, None], ramps, best_ramps)
        worst, settled = max(worst, residual), settled and converged
        history.append(cost)
        update, memory = optimiser.update(jnp.asarray(gradient * per_unit(ramps)), memory)
        ramps = moved(ramps, np.asarray(update))
    start = best.reshape(count, -1).argmin(0)
    each = np.arange(len(start))
    history = np.reshape(history, (steps + 1, count, -1))[:, start, each]
    return Learned(best_ramps.reshape(count, -1, ramps.shape[-1])[start, each], history, start, worst, settled)
