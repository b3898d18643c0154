"""The ramps of `studies.binding` learn by differentiating through the simulation of the auto-oscillators in time.

Forward mode, six directions at once: every network has six numbers to learn, and a reverse pass would keep all steps.
"""

from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from physnet.engines.fixed_step import follow
from studies._binding_data import CLASSES
from studies._binding_equilibrium import ACCEPTED, APART, MEMBER_WEIGHT, REJECTED, Learned
from studies._binding_network import network
from studies._binding_ramps import RAMPS, UNIT, WINDOW, moved, signal_for

# While they learn the coupling falls from the first to the second of these factors. A raised coupling locks more
# sequences, and it is locked ones that have smooth derivatives: where phases slip, chance decides.
RAISED = (2.0, 1.25)
SUBSTEPS = 3  # steps of 3.3 ns, order 8: the reading is exact to 1e-3
HOP = 4  # a.u. between looks
RATE = 1.0  # units of `moved` at first; falls to a tenth along half a cosine
LARGEST = 1.0  # derivative of one sequence along a unit: longer ones are cut, they come from phases that slip


def edge(raised):
    """1 - S of phases of raised coupling where the true one just fails, as in `_binding_equilibrium`."""
    return 1 - (5 + 4 * np.sqrt(1 - raised**-2)) / 9


def _disorder(units, ramps, events, raised, limit):
    """(class, sequence): least log (1 + u) over all looks, u = (1 - S)/limit, S = <|sum c|^2> / 3 <sum |c|^2>."""
    own = network()
    weight = own.couplings[0].weight
    system = eqx.tree_at(lambda n: n.couplings[0].weight, own, weight * raised)
    networks, sequences = len(ramps), len(events)
    each = jnp.repeat(moved(ramps, jnp.broadcast_to(units, ramps.shape)), sequences, axis=0)
    signal = signal_for(system, each, jnp.tile(events, (networks, 1)))
    initial = jax.vmap(lambda one: system.initial_state(one.at(jnp.zeros(()))))(signal)
    signal, initial = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), (signal, initial))
    times = UNIT * jnp.arange(WINDOW + 1)
    x, y = follow(system, signal, initial, None, times, jnp.full(WINDOW, SUBSTEPS))

    def look(values):
        total = jnp.cumsum(values, axis=0)
        return (total[APART:] - total[:-APART])[::HOP]

    order = look(x.sum(1) ** 2 + y.sum(1) ** 2) / (3 * look((x * x + y * y).sum(1)))
    return jnp.log1p((1 - order.max(0)) / limit).reshape(networks, sequences)


@jax.jit
def _with_derivative(ramps, events, raised, limit):
    def both(units):
        value = _disorder(units, ramps, events, raised, limit)
        return value, value

    return jax.jacfwd(both, has_aux=True)(jnp.zeros(len(RAMPS)))


def _in_threads(ramps, events, raised):
    """`_with_derivative` as arrays, half of the networks on each of two cores: (derivative, value)."""
    with ThreadPoolExecutor() as pool:
        halves = pool.map(lambda part: _with_derivative(part, events, raised, edge(raised)), np.split(ramps, 2))
        return tuple(np.concatenate([np.asarray(part) for part in parts]) for parts in zip(*halves))


def learn(start, events, labels, steps: int) -> Learned:
    """Trains from one start (class, 6) and returns the last ramps. events: (sequence, 2), a.u. labels: (sequence,)."""
    member = labels[None, :] == np.arange(len(CLASSES))[:, None]
    weight, sign = np.where(member, MEMBER_WEIGHT, 1.0), np.where(member, 1.0, -1.0)
    bound = np.log1p(np.where(member, ACCEPTED, REJECTED))
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, steps, 0.1), b1=0.8, b2=0.95)
    ramps, memory, history = start, optimiser.init(jnp.zeros(start.shape)), []
    for raised in np.linspace(*RAISED, steps):
        along, disorder = _in_threads(ramps, events, raised)
        lack = np.maximum(sign * (disorder - bound), 0)
        length = np.linalg.norm(along, axis=-1, keepdims=True)
        along = along * np.minimum(1, LARGEST / np.maximum(length, 1e-12))
        history.append((weight * lack**2 / 2).mean(1))
        gradient = ((weight * lack * sign)[..., None] * along).mean(1)
        update, memory = optimiser.update(jnp.asarray(gradient), memory)
        ramps = moved(ramps, np.asarray(update))
    return Learned(ramps, np.array(history), np.zeros(len(CLASSES), int), np.nan, True)
