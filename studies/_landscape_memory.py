"""Hopfield's memory of `studies.energy_landscape`: stored and spurious minima, recall from cues, load after load."""

import jax
import jax.numpy as jnp
import numpy as np

from physnet.landscape import Symmetry, basin_volumes
from physnet.landscape.datasets import landscape_dataset
from physnet.networks import HopfieldMemory
from physnet.variable import Variable
from studies._landscape_parts import STORED, listed, titled

_REFERENCES = "doi:10.1073/pnas.81.10.3088; doi:10.1103/PhysRevLett.55.1530"


def patterns(config) -> np.ndarray:
    """(pattern, unit) of 1 and -1, as many as the largest memory holds; smaller ones hold the first of them."""
    return np.random.default_rng(config.seed).choice([-1.0, 1.0], (max(config.patterns), config.units))


def cues(config, stored) -> np.ndarray:
    """(cue, unit): `config.cues` of each pattern in turn, that share of their units turned over, drawn for each cue."""
    rng, count = np.random.default_rng(config.seed + 1), round(config.flipped * config.units)
    made = np.repeat(stored, config.cues, axis=0)
    for cue in made:
        cue[rng.choice(config.units, count, replace=False)] *= -1
    return made


def _memories(config):
    drawn, mirror = patterns(config), (Symmetry(sign=-1),)
    found, overlaps, recalled, settled = [], [], [], []
    for number in config.patterns:
        stored = drawn[:number]
        memory = HopfieldMemory.storing(stored, gain=config.gain)
        key = jax.random.key(config.seed)
        found.append(basin_volumes(memory, starts=config.starts, symmetries=mirror, key=key))
        overlaps.append(found[-1].equilibria.outputs @ stored.T / config.units)
        given = jnp.asarray(cues(config, stored))
        ends = basin_volumes(memory, starts=jax.vmap(memory.potential_of)(given))
        reached, own = ends.equilibria.found, np.repeat(np.arange(number), config.cues)
        rests = reached >= 0
        overlap = ends.equilibria.outputs[reached[rests]] * stored[own[rests]]
        recalled.append(np.sum(overlap.mean(axis=1) > STORED) / len(own))
        settled.append(np.mean(rests))
    one, each = ("equilibrium",), ("search",)
    nearest = [np.abs(overlap).argmax(axis=1) for overlap in overlaps]
    largest = [np.abs(overlap).max(axis=1) for overlap in overlaps]
    kept = [len(set(n[m > STORED].tolist())) for n, m in zip(nearest, largest, strict=True)]
    further = [
        (Variable("overlap", one, "1", "largest overlap with a stored pattern, of either sign", (0, 1)), largest),
        (Variable("nearest_pattern", one, "1", "pattern that the overlap is largest with"), nearest),
    ]
    pairs = [
        *listed(found, further),
        (Variable("memory_load", each, "1", "patterns per unit"), np.array(config.patterns) / config.units),
        (Variable("stored", each, "1", "patterns stored"), np.array(config.patterns)),
        (Variable("kept", each, "1", f"patterns with a minimum of overlap above {STORED} among those found"), kept),
        (Variable("recalled_share", each, "1", "share of the cues that end in their own pattern"), recalled),
        (Variable("cue_settled_share", each, "1", "share of the cues that ended in a stable state"), settled),
    ]
    title = f"Energy landscapes of a Hopfield memory of {config.units} units"
    summary = (
        f"Patterns by Hebb's rule, gain {config.gain:g}; {config.starts} starts with activities drawn uniformly, "
        f"{config.cues} cues of each pattern, {round(config.flipped * config.units)} units turned over in each; minima "
        "counted up to the sign of all units"
    )
    chart = found[-1].equilibria.chart
    return landscape_dataset(chart, pairs, default_title=title, **titled(config, title, summary, _REFERENCES))


PARTS = {"overlap": _memories}
