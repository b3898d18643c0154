"""Phases as recorded in time: mean frequencies, order parameters, phase slips.

Amplitudes are c = sqrt(p) exp(-i phi), so that phi = -arg c grows at a positive frequency. Everything here reads the
states of a `Trajectory` of `AutoOscillators`, `Phasors`, `Kuramoto` or `PhaseNetwork`, alone or `Varied`, with or
without a sample axis. Frequencies are those of the laboratory: that of the system's rotating frame is added.
"""

import jax.numpy as jnp
import numpy as np

from oscillators import checks
from oscillators.window import Window
from physnet.engines.base import fastest_rate
from physnet.errors import PhysnetError, require_instance
from physnet.signals import Held
from physnet.trajectory import Trajectory

_FEWEST_RECORDS, _RECORDED = 257, 1.5  # and rad of the fastest rate between records by default


def mean_frequencies(trajectory: Trajectory, *, begin=None, end=None, weighting: str = "flat") -> np.ndarray:
    """Mean frequency of each oscillator in the laboratory frame, Hz, (*sample, oscillator).

    trajectory: of `integrate`. begin, end: s; the second half of the run by default. weighting: "flat", turns over
    time, which tells apart what differs by 0.75/(end - begin); or "smooth", which counts the middle of the window most,
    so that the phase with which a beat happens to begin and end hardly matters: for beats that fit several times into
    the window it is far closer. NaN where a state is not finite.
    Raises PhysnetError where a phase turns too far between records to be followed (naming the longest interval that is
    safe), and for a trajectory without phases.
    """
    window = Window.of(trajectory, begin, end)
    return window.unbatched(window.frequencies(weighting)[0])


def unwrapped_phases(trajectory: Trajectory, *, begin=None, end=None) -> np.ndarray:
    """phi, rad, (*sample, time, oscillator), in the rotating frame, continuous in time.

    trajectory, begin, end: as for `mean_frequencies`, as are the errors.
    """
    window = Window.of(trajectory, begin, end)
    if window.angle is None:
        window.check_spacing()
        found = np.unwrap(window.phases(slice(None)), axis=0)
    else:
        found = window.angle
    return window.unbatched(found)


def order_parameter(trajectory: Trajectory, *, harmonic: int = 1, oscillators=None, begin=None, end=None) -> np.ndarray:
    """r(t) = |mean over oscillators of exp(i harmonic phi)| at each recorded time, (*sample, time), dimensionless.

    trajectory: of `integrate`. harmonic: m of the m-th order parameter (Daido 1992, doi:10.1143/ptp/88.6.1213): two
    opposite groups have 0 at 1 and 1 at 2. oscillators: which to take; all by default. begin, end: s; the whole run by
    default.
    """
    harmonic = checks.whole(harmonic, "order_parameter: harmonic")
    require_instance(trajectory, Trajectory, "trajectory")
    begin = np.asarray(trajectory.times)[0] if begin is None else begin
    window = Window.of(trajectory, begin, end, least=1)
    chosen = chosen_oscillators(oscillators, "order_parameter", window.shape[1])
    found = np.empty((window.shape[0], window.shape[2]))
    for rows in window.blocks():
        found[rows] = np.abs(np.mean(window.unit(rows)[:, chosen] ** harmonic, axis=1))
    return window.unbatched(found)


def phase_slips(trajectory: Trajectory, first: int = 0, second: int = 1, *, begin=None, end=None):
    """(forward, backward): how often phi_first - phi_second gained and lost a full turn, whole numbers (*sample,).

    A slip counts when the difference is a full turn away from where it was at the last one (or at `begin`), so a phase
    that trembles about a boundary does not slip. trajectory: of `integrate`. first, second: numbers of oscillators,
    from 0. begin, end: s; the second half of the run by default. Errors as those of `mean_frequencies`.
    """
    window = Window.of(trajectory, begin, end)
    for name, index in (("first", first), ("second", second)):
        if checks.whole(index, f"phase_slips: {name}", 0) >= window.shape[1]:
            raise PhysnetError(f"phase_slips: {name} is {index}; oscillators are numbered 0 to {window.shape[1] - 1}.")
    if window.angle is None:
        window.check_spacing()
        parts = [np.unwrap(np.arctan2(-window.imag[:, i], window.real[:, i]), axis=0) for i in (first, second)]
    else:
        parts = [window.angle[:, i] for i in (first, second)]
    turns = (parts[0] - parts[1]) / (2 * np.pi)
    anchor = turns[0].copy()
    counts = np.zeros((2, *anchor.shape), int)
    for now in turns[1:]:
        slipped = np.trunc(now - anchor)
        if slipped.any():
            slipped = np.nan_to_num(slipped)
            anchor += slipped
            counts[0] += np.maximum(slipped, 0).astype(int)
            counts[1] += np.maximum(-slipped, 0).astype(int)
    return tuple(window.unbatched(count) for count in counts)


def chosen_oscillators(oscillators, where: str, size: int):
    """What picks them out of `size`; all where None. Raises PhysnetError for none and for ones that are not there."""
    if oscillators is None:
        return slice(None)
    chosen = checks.indices(oscillators, f"{where}: oscillators", size)
    if not chosen.size:
        raise PhysnetError(f"{where}: oscillators is empty; name at least one of 0 to {size - 1}, or leave it out.")
    return chosen


def recording_times(system, inputs, duration, settling, records, where: str) -> tuple[np.ndarray, int]:
    """(times, s, from 0 to `duration`; the index from which on they are evenly close, `settling`).

    settling: half of the duration by default. records: how many from there on; by default as many as the fastest rate
    of the system under `inputs` (sample, input) asks for. Raises PhysnetError.
    """
    duration = checks.seconds(duration, f"{where}: duration")
    settling = duration / 2 if settling is None else checks.seconds(settling, f"{where}: settling")
    if not settling < duration:
        raise PhysnetError(f"{where}: settling takes {settling:.6g} of {duration:.6g} s; leave some time to look.")
    if records is None:
        rate = fastest_rate(system, Held(jnp.asarray(inputs))) or 0.0
        records = max(_FEWEST_RECORDS, int(np.ceil((duration - settling) * rate / _RECORDED)) + 1)
    records = checks.whole(records, f"{where}: records", 5)
    times = np.linspace(settling, duration, records)
    return (times, 0) if settling == 0 else (np.concatenate([[0.0], times]), 1)
