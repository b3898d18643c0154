"""The simulations of `studies.synchronisation_map`."""

import time

import equinox as eqx
import numpy as np

from oscillators import AllToAll, AutoOscillators, preset, theory
from oscillators.maps import synchronisation_map
from physnet import FixedStep
from studies._parts import in_parts

REFERENCES = "Slavin and Tiberkevich 2009, doi:10.1109/TMAG.2008.2009935"
MEGA, MICRO, NANO = 1e6, 1e-6, 1e-9
_FREQUENCIES = ("mean_frequency", "residual", "resolution")  # stored in MHz
_KEPT = ("synchronised", "order_parameter", "residual", "converged")


def run(config, out, resume, progress):
    """The dataset of the study; parts that the file at `out` holds already are taken from there if `resume`."""
    steps = {"mean_frequency": _map, "tongue_beat": _tongue}
    if config.hysteresis:
        steps["sweep_synchronised"] = _sweeps
    return in_parts(config, steps, out=out, resume=resume, progress=progress, name="synchronisation map")


def detune_two(system, values):
    """Oscillators 2 and 3 off the frequency of oscillator 1, Hz."""
    return eqx.tree_at(lambda s: s.frequency, system, system.frequency.at[1:].add(values))


def tongue(system, values):
    """Oscillator 2 off the frequency of oscillator 1, and the coupling of the two, Hz."""
    detuned = system.frequency.at[1].add(values[1])
    return eqx.tree_at(lambda s: (s.frequency, s.couplings[0].weight), system, (detuned, values[0]))


def _map(config):
    """three oscillators: frequencies and clusters over the detunings of two of them."""
    network = AutoOscillators.from_preset(
        "map", AllToAll(config.coupling * MEGA, 3, config.coupling_phase or None), frequency=np.full(3, 300e6)
    )
    detunings = np.linspace(-config.span, config.span, config.points) * MEGA
    began, worked = time.perf_counter(), time.process_time()
    ds = synchronisation_map(
        network,
        detune_two,
        {
            "detuning_2": (detunings, "Hz", "frequency of oscillator 2 less that of oscillator 1, uncoupled"),
            "detuning_3": (detunings, "Hz", "frequency of oscillator 3 less that of oscillator 1, uncoupled"),
        },
        duration=config.duration * MICRO,
        records=config.records,
        engine=FixedStep(config.step * NANO),
        title="Synchronisation of coupled auto-oscillators: a map of three, an Arnold tongue of two",
        summary=f"{config.points} x {config.points} detunings within {config.span:g} MHz at W/2pi = "
        f"{config.coupling:g} MHz; tongue up to W/2pi = {config.tongue_coupling:g} MHz",
        references=REFERENCES,
        config=config,
        physnet_study="synchronisation_map",
    )
    spent = time.perf_counter() - began, time.process_time() - worked
    ds = _in_mega(ds)
    for name, value, meaning in zip(("wall_time", "cpu_time"), spent, ("by the clock", "of all cores")):
        ds[name] = ((), value, {"units": "s", "long_name": f"time that the map of three took, {meaning}"})
    return ds


def _pair(config):
    """(two oscillators, keyword arguments, grid, b, nu) of the tongue."""
    device = preset("map")
    phase = np.arctan(device.nu) if config.tongue_phase is None else config.tongue_phase
    network = AutoOscillators.from_preset("map", AllToAll(1.0, 2, phase), frequency=np.full(2, 300e6))
    couplings = np.linspace(0, config.tongue_coupling, config.tongue_couplings + 1)[1:] * MEGA
    widest = theory.mutual_locking_half_range(couplings[-1], device.nu, phase)
    widest = 1.3 * max(float(widest), config.tongue_coupling * MEGA)
    grid = {
        "coupling": (couplings, "Hz", "coupling strength W/2pi"),
        "detuning": (np.linspace(-widest, widest, config.tongue_detunings), "Hz", "difference of the free frequencies"),
    }
    return network, grid, phase, device.nu


def _tongue(config):
    """Arnold tongue: two oscillators from fresh starts."""
    network, grid, phase, nu = _pair(config)
    ds = _in_mega(
        synchronisation_map(network, tongue, grid, duration=config.tongue_duration * MICRO, weighting="smooth")
    )
    beat = ds.mean_frequency.isel(oscillator=1) - ds.mean_frequency.isel(oscillator=0)
    beat.attrs = {"units": "MHz", "long_name": "mean difference of the two frequencies"}
    found = _half_range(ds.detuning.values, beat.values, ds.synchronised.values.astype(bool))
    expected = theory.mutual_locking_half_range(ds.coupling.values, nu, phase)
    kept = ds[list(_KEPT)].rename({name: f"tongue_{name}" for name in _KEPT})
    kept["tongue_beat"] = beat
    for name, values, meaning in (
        ("tongue_half_range", found, "largest detuning that locks, by simulation"),
        ("tongue_theory", expected, "largest detuning that locks, first-order theory"),
    ):
        kept[name] = (("coupling",), values, {"units": "MHz", "long_name": meaning})
    kept["tongue_phase"] = ((), phase, {"units": "rad", "long_name": "coupling phase b of the two oscillators"})
    return kept


def _sweeps(config):
    """sweeps: the tongue's detuning up and down, each point from the final state of its neighbour."""
    network, grid, *_ = _pair(config)
    ds = _in_mega(
        synchronisation_map(
            network, tongue, grid, duration=config.tongue_duration * MICRO / 2, sweep="both", along="detuning"
        )
    )
    return ds[list(_KEPT)].rename({name: f"sweep_{name}" for name in _KEPT})


def _half_range(detunings, beat, locked):
    """(coupling,): mean of both edges, each between the last detuning d that locks and the first that drifts.

    Between them by Adler's law, beat^2 = d^2 - edge^2, with an edge that may depend on d: extrapolated to where the
    beat vanishes, from the first two that drift. NaN where no edge lies within the detunings.
    """
    found = np.full(len(beat), np.nan)
    for k in range(len(beat)):
        edges = []
        for side in (-1, 1):
            places = np.flatnonzero(side * detunings > 0)
            places = places[np.argsort(np.abs(detunings[places]))]
            first = int(np.argmin(locked[k, places]))
            if locked[k, places[first]] or first + 1 == len(places):
                continue
            square = detunings[places] ** 2
            (near, far), (low, high) = square[first : first + 2], (square - beat[k, places] ** 2)[first : first + 2]
            slope = (high - low) / (far - near)
            edge = np.sqrt(max((low - slope * near) / (1 - slope), 0.0)) if slope < 1 else 0.0
            least = np.sqrt(square[first - 1]) if first else 0.0
            edges.append(np.clip(edge, least, np.sqrt(near)))
        if edges:
            found[k] = np.mean(edges)
    return found


def _in_mega(ds):
    """Frequencies, detunings and couplings in MHz."""
    names = [name for name in (*_FREQUENCIES, *(set(ds.coords) - {"sweep"})) if name in ds.variables]
    for name in names:
        attributes = ds[name].attrs | {"units": "MHz"}
        ds = ds.assign({name: ds[name] / MEGA}) if name in ds.data_vars else ds.assign_coords({name: ds[name] / MEGA})
        ds[name].attrs = attributes
    return ds
