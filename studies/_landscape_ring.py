"""The ring of `studies.energy_landscape`: twisted states, the passes between them, their basins."""

import jax
import numpy as np

from oscillators import PhaseNetwork, ring
from oscillators.theory import ring_energy_per_bond
from physnet.landscape import Symmetry, basin_volumes, explore
from physnet.variable import Variable
from studies._landscape_parts import beside, shares, titled

_REFERENCES = "doi:10.1063/1.2165594"


def _turned(n):
    """The rotations of the ring, under which equilibria count once; mirror images, q and -q, do not."""
    return (Symmetry(np.roll(np.arange(n), 1)),)


def _landscape(config):
    n = config.oscillators
    network = PhaseNetwork(ring(n, config.coupling))
    found = explore(network, starts=min(config.starts, 200), symmetries=_turned(n), key=jax.random.key(config.seed))
    twists = _twists(found.equilibria.vector)
    basins = basin_volumes(
        network,
        equilibria=found.equilibria,
        starts=config.starts,
        symmetries=_turned(n),
        key=jax.random.key(config.seed + 1),
    )
    exact = Variable("exact_energy", ("equilibrium",), "rad2 s-1", "energy in closed form, NaN where there is none")
    winding = Variable("winding_number", ("equilibrium",), "1", "turns of the phase once around the ring")
    title = f"Energy landscape of a ring of {n} oscillators"
    summary = (
        f"{len(found.minima)} minima and {int((found.equilibria.index == 1).sum())} saddles up to rotations of the "
        f"ring; {found.searched}"
    )
    ds = found.to_dataset(**titled(config, title, summary, _REFERENCES))
    pairs = [
        (winding, twists),
        (exact, exact_energies(config, twists, found.equilibria.index)),
        *shares(found.equilibria, basins),
    ]
    return beside(ds, pairs)


def _twists(vectors):
    """(equilibrium,), the turns of the phase around the ring, neighbours differing by less than half a turn."""
    steps = np.diff(vectors, axis=1, append=vectors[:, :1])
    return np.round(np.angle(np.exp(1j * steps)).sum(axis=1) / (2 * np.pi)).astype(int)


def exact_energies(config, twists, index):
    """(equilibrium,), rad^2/s: of twisted states, and of passes, where one bond is turned the other way; else NaN.

    At a pass all bonds but one differ by the same angle a and one by pi - a, which pulls alike. Around the ring that is
    (n - 1) a + pi - a = 2 pi q for q > 0, and its mirror image for q < 0: a = pi (2 q -+ 1) / (n - 2), and the energy
    is -(n - 2) K cos(a).
    """
    n, scale = config.oscillators, 2 * np.pi * config.coupling
    angle = np.pi * (2 * twists - np.sign(twists)) / (n - 2)
    passes = -scale * (n - 2) * np.cos(angle)
    return np.select([index == 0, index == 1], [scale * n * ring_energy_per_bond(twists, n), passes], np.nan)


PARTS = {"winding_number": _landscape}
