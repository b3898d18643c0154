"""The ramps of `studies.binding` learn by Equilibrium Propagation on the phase-locked steady state.

Where the three frequencies come closest, the oscillators are reduced to their phases, which settle; a cost of their
order nudges them, and the nudged displacement of a phase over beta is the derivative of the cost with respect to that
oscillator's frequency: dC/df_i = -2 pi (phi_i(+beta) - phi_i(-beta)) / 2 beta, from E = -2 pi sum_i f_i phi_i + ...
Only differences of frequencies matter, so that these sum to zero: the common phase is projected out, none is pinned.
"""

import jax.numpy as jnp
import numpy as np
import optax

from oscillators import AllToAll, PhaseNetwork
from physnet import Centred, Newton, ep_gradient
from physnet.cost import Cost
from studies._binding_network import SPAN, reduced_coupling
from studies._binding_ramps import CEILING, FLOOR, IS_SLOPE, WINDOW, frequencies_in_time

# While it learns, the coupling is three times as strong: sequences that would drift lock, and so have a gradient.
RAISED = 3.0
# 1 - S of three phases of raised coupling whose detunings are those at which the true coupling just fails; the two
# ways to fail (one oscillator against two, a chain) agree within 1 %.
_SINE = 1 / RAISED
EDGE = 1 - (5 + 4 * np.sqrt(1 - _SINE**2)) / 9
LOCKS = 1.7  # in units of the coupling: detunings (zero mean) below it lock, whatever their pattern
ACCEPTED, REJECTED = 0.6, 1.6  # disorder in units of EDGE that members stay below and the others above
LEVEL, LOG_SLOPE = 2.0, 0.1  # MHz and 1: a unit of the learning rate along levels and logarithms of slopes


class OrderMargin(Cost):
    """h^2/2 of what phases lack: members of order, others of disorder, of three oscillators read against one of them.

    u = (1 - S)/EDGE, S = |sum_i exp(i phi_i)|^2/9: 0 in phase, 1 at the edge of locking. h = log (1 + u)/(1 + ACCEPTED)
    for members (targets +1), log (1 + REJECTED)/(1 + u) for others (targets -1), 0 where that is negative.
    """

    def __call__(self, outputs, target):
        x, y = 1 + outputs[0] + outputs[1], outputs[2] + outputs[3]
        disorder = (1 - (x * x + y * y) / 9) / EDGE
        member = target[0] > 0
        limit = jnp.where(member, ACCEPTED, REJECTED)
        lack = jnp.log((1 + disorder) / (1 + limit)) * jnp.where(member, 1, -1)
        return 0.5 * jnp.maximum(lack, 0) ** 2

    def largest_curvature(self):
        # |dS/d(outputs)| <= 2 sqrt 2/3; h' and h'' are at most 1 and h at most log(1 + 1/EDGE) in units of EDGE
        return (1 + np.log(1 + 1 / EDGE)) * (8 / 9) / EDGE**2


def phase_network() -> PhaseNetwork:
    """The reduced model with raised coupling; inputs: detunings, Hz."""
    return PhaseNetwork(AllToAll(RAISED * reduced_coupling(), 3))


def frequency_gradients(system, detunings, members, *, beta: float = 1e-3):
    """(cost (sample,), dC/df (sample, 3) in 1/Hz, largest residual, all converged) by Equilibrium Propagation.

    detunings: (sample, 3), Hz, of samples that lock. members: (sample,), bool. beta: relative.
    """
    targets = np.where(members, 1.0, -1.0)[:, None] * np.ones((1, 4))
    cost = OrderMargin()
    found = ep_gradient(system, detunings, targets, cost=cost, nudging=Centred(beta, relative=True), relaxer=Newton())
    up, down = np.asarray(found.nudged.displacement)
    slopes = (up - down) / np.asarray(found.betas[0] - found.betas[1])[:, None]
    gradients = -2 * np.pi * (slopes - slopes.mean(1, keepdims=True))
    costs = np.array(_costs(cost, found.free.outputs, jnp.asarray(targets)))
    residual = max(float(found.free.residual.max()), float(found.nudged.residual.max()))
    return costs, gradients, residual, bool(np.all(found.converged))


def _costs(cost, outputs, targets):
    import jax

    return jax.vmap(cost)(outputs, targets)


def closest_moments(ramps, events):
    """(sample, 2) times, a.u.: the ends of the look, as long as the detector's, in which the frequencies come closest.

    Closest: the larger of the two ends' sums of squared detunings is the smallest there is.
    """
    times = np.arange(WINDOW + 1.0)
    frequencies = np.asarray(frequencies_in_time(jnp.asarray(ramps), jnp.asarray(events), jnp.asarray(times)))
    spread = frequencies.var(-1)
    begin = np.maximum(spread[:, : 1 - SPAN], spread[:, SPAN - 1 :]).argmin(-1)
    return np.stack([begin, begin + SPAN - 1.0], axis=-1)
