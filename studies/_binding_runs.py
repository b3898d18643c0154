"""What `studies.binding` trains and measures, as variables of its dataset."""

import numpy as np

from physnet.variable import Variable
from studies import _binding_equilibrium, _binding_simulation
from studies._binding_data import BASELINES, CLASSES, EVENTS, LABELS, MEMBERS, baseline_predictions
from studies._binding_network import SPAN, THRESHOLD, crossed, device, filled, follow, network, read
from studies._binding_ramps import RAMPS, UNIT, WINDOW, centroid_ramps, early_ramps, frequencies_in_time

TRAININGS = ("centroid", "equilibrium propagation", "simulation")
_T2, _T3 = (120.0, 660.0), (240.0, 740.0)  # a.u., of the map


def starts(events, labels):
    """The closed forms that training starts from: the centroid ramps and those that meet early."""
    return [centroid_ramps(events, labels), early_ramps(events, labels)]


def trained(config, say):
    """{training: `Learned`}; the centroid's holds the closed form only."""
    late, early = starts(EVENTS, LABELS)
    say("training by Equilibrium Propagation")
    equilibrium = _binding_equilibrium.learn([late, early], EVENTS, LABELS, config.steps)
    say("training through the simulation")
    simulation = _binding_simulation.learn(early, EVENTS, LABELS, config.simulation_steps)
    nothing = _binding_equilibrium.Learned(late, np.zeros((0, len(CLASSES))), np.zeros(len(CLASSES), int), np.nan, True)
    return dict(zip(TRAININGS, (nothing, equilibrium, simulation)))


def tested(config, learned, say):
    """(variables, coords): accuracies, what each sequence does, the map, and one recognised and one other run."""
    say("testing every network on every sequence")
    ramps = np.stack([one.ramps for one in learned.values()])  # (training, class, 6)
    shape = (*ramps.shape[:2], len(EVENTS))
    found = read(*crossed(ramps.reshape(-1, len(RAMPS)), EVENTS), checked=None)
    recognised, locked = found.recognised.reshape(shape), found.locked.reshape(shape)
    predicted = baseline_predictions(EVENTS, LABELS, EVENTS)
    dims = ("training", "class", "sequence")
    equilibrium, simulation = (learned[name] for name in TRAININGS[1:])
    variables = [
        (Variable("accuracy", dims[:2], "1", "one-vs-rest accuracy, train = test"), (recognised == MEMBERS).mean(-1)),
        (
            Variable("locked_accuracy", dims[:2], "1", "the same where equal mean frequencies decide"),
            (locked == MEMBERS).mean(-1),
        ),
        (
            Variable("baseline_accuracy", ("baseline", "class"), "1", "one-vs-rest accuracy of software, train = test"),
            (predicted == MEMBERS).mean(-1),
        ),
        (Variable("recognised", dims, "1", "whether the detector finds three oscillators in step"), recognised),
        (Variable("locked", dims, "1", "whether three mean frequencies are equal over a look"), locked),
        (
            Variable("emission_peak", dims, "1", "highest emission peak over that of a free one"),
            found.peak.reshape(shape),
        ),
        (
            Variable("phase_slip", dims, "1", "least difference of phase advance over a look, in turns"),
            found.slip.reshape(shape),
        ),
        (
            Variable("integration_error", dims, "1", "error of an amplitude's real or imaginary part by step doubling"),
            found.error.reshape(shape),
        ),
        (Variable("threshold", (), "1", "emission peak from which a sequence counts as recognised"), THRESHOLD),
        (Variable("unit_of_time", (), "s", "one a.u. of the sequences"), UNIT),
        (
            Variable("cost", ("step", "class"), "1", "cost of Equilibrium Propagation before each step"),
            equilibrium.cost,
        ),
        (
            Variable(
                "simulation_cost", ("simulation_step", "class"), "1", "cost through the simulation before each step"
            ),
            simulation.cost,
        ),
        (Variable("residual", (), "1", "largest relative residual of all steady states"), equilibrium.residual),
        (Variable("converged", (), "1", "whether every steady state met its tolerance"), equilibrium.converged),
        (Variable("label", ("sequence",), "1", "number of the class of a sequence"), LABELS),
        (Variable("t2", ("sequence",), "1", "second event, a.u. after the first"), EVENTS[:, 0]),
        (Variable("t3", ("sequence",), "1", "third event, a.u. after the first"), EVENTS[:, 1]),
    ]
    for i, name in enumerate(RAMPS):
        kind, number = name.split("_")
        if kind == "slope":
            what = f"speed at which the free frequency of oscillator {number} {'rises' if number == '1' else 'falls'}"
            variables.append((Variable(f"ramp_{name}", dims[:2], "MHz us-1", what), 1e-6 * ramps[..., i] / UNIT))
        else:
            what = f"free frequency of oscillator {number} before its ramp"
            variables.append((Variable(f"ramp_{name}", dims[:2], "MHz", what), ramps[..., i]))
    coords = [
        (Variable("training", ("training",), "1", "how the ramps were set"), np.array(TRAININGS)),
        (Variable("class", ("class",), "1", "class that a network is for"), np.array(CLASSES)),
        (Variable("baseline", ("baseline",), "1", "ordinary software"), np.array(BASELINES)),
    ]
    for variables_more, coords_more in (_map(config, ramps, say), _shown(ramps, recognised, say)):
        variables, coords = variables + variables_more, coords + coords_more
    return variables, coords


def _map(config, ramps, say):
    """What the networks trained by Equilibrium Propagation, and the centroid's, recognise on a grid of sequences."""
    say("mapping the plane of sequences")
    t2, t3 = np.linspace(*_T2, config.grid), np.linspace(*_T3, config.grid)
    grid = np.stack(np.meshgrid(t2, t3, indexing="ij"), -1).reshape(-1, 2)
    found = read(*crossed(ramps.reshape(-1, len(RAMPS)), grid))
    dims = ("training", "class", "map_t2", "map_t3")
    peak = found.peak.reshape(*ramps.shape[:2], len(t2), len(t3))
    return [(Variable("map_peak", dims, "1", "highest emission peak over that of a free one, on a grid"), peak)], [
        (Variable("map_t2", ("map_t2",), "1", "second event of the grid, a.u."), t2),
        (Variable("map_t3", ("map_t3",), "1", "third event of the grid, a.u."), t3),
    ]


def _shown(ramps, recognised, say):
    """Two runs of the Brie network trained by Equilibrium Propagation: a Brie and the Stilton that is nearest to it."""
    from oscillators import emission_spectrum

    own = np.flatnonzero(LABELS == 1)
    member = int(own[np.argsort(recognised[1, 1, own], kind="stable")[-1]])
    others = np.flatnonzero((LABELS == 3) & ~recognised[1, 1])
    others = others if len(others) else np.flatnonzero(LABELS == 3)
    other = int(others[np.hypot(*(EVENTS[others] - EVENTS[member]).T).argmin()])
    rows = [member, other]
    one = np.repeat(ramps[1, 1][None], 2, axis=0)
    run = follow(filled(one), filled(EVENTS[rows]))
    real, imag = (np.asarray(part)[:2] for part in run.state)
    times = np.arange(WINDOW + 1.0)
    peak_at = read(one, EVENTS[rows]).time
    frame = float(network().frame)
    phases = -np.unwrap(np.arctan2(imag, real), axis=1)
    kernel = np.ones(10) / 10
    slopes = np.gradient(phases, UNIT, axis=1) / (2e6 * np.pi)
    smooth = np.apply_along_axis(lambda a: np.convolve(a, kernel, "same"), 1, slopes) + frame / 1e6
    smooth[:, :10] = smooth[:, -10:] = np.nan
    spectra = []
    for k in range(2):
        begin = int(np.clip(peak_at[k] - SPAN, 0, WINDOW - 2 * SPAN))
        look = slice(begin, begin + 2 * SPAN)
        spectra.append(
            emission_spectrum(
                UNIT * times[look],
                real[k, look].sum(-1),
                imag[k, look].sum(-1),
                frame_frequency=frame,
                resolution_bandwidth=1.6 / (2 * SPAN * UNIT),
            )
        )
    dims = ("shown", "time", "oscillator")
    free = np.asarray(frequencies_in_time(one, EVENTS[rows], times))
    return [
        (Variable("free_frequency", dims, "MHz", "frequency that each oscillator would have alone"), free),
        (Variable("oscillator_frequency", dims, "MHz", "frequency over 0.1 us of each oscillator"), smooth),
        (
            Variable("spectrum", ("shown", "frequency"), "1", "summed emission around its highest peak, in free peaks"),
            np.stack([s.power for s in spectra]) / device().power,
        ),
        (Variable("shown_sequence", ("shown",), "1", "number of the sequence shown"), np.array(rows)),
        (Variable("shown_time", ("shown",), "1", "middle of the look with the highest peak, a.u."), peak_at),
    ], [
        (Variable("time", ("time",), "1", "time since the first event, a.u."), times),
        (Variable("oscillator", ("oscillator",), "1", "oscillator"), np.arange(1, 4)),
        (Variable("frequency", ("frequency",), "MHz", "frequency of the emission"), spectra[0].frequency / 1e6),
        (Variable("shown", ("shown",), "1", "run shown"), np.array(["recognised", "not recognised"])),
    ]


def provenance(config):
    """The attributes that say where the result comes from."""
    import jax

    from physnet.provenance import collect

    return collect(config, seed=config.seed, precision="double", device=jax.devices()[0].device_kind)
