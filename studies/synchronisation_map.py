"""Where coupled spintronic oscillators keep step: an Arnold tongue against theory, and a map of three oscillators.

Two Slavin-Tiberkevich oscillators under detuning and coupling, from fresh starts and swept up and down in detuning,
since a power that relaxes slowly makes synchronisation hysteretic; and three oscillators under two detunings, the map
by which simulators are timed.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Config:
    """Options of `physnet run synchronisation-map`."""

    points: int = 100
    """Values of each detuning in the map of three oscillators [1]."""
    span: float = 8.0
    """Detunings of the map run from minus to plus this [MHz]."""
    coupling: float = 0.4
    """Coupling strength W/2pi of the three oscillators [MHz]."""
    coupling_phase: float = 0.0
    """Coupling phase b of the three oscillators [rad]."""
    duration: float = 10.0
    """Time that each point of the map is followed [us]; mean frequencies are those of the second half."""
    records: int = 257
    """Times recorded in the second half, begin and end included [1]."""
    step: float = 3.26
    """Longest integration step of the map [ns]; at this one the worst mean frequency is off by less than 2e-4 MHz."""
    tongue_detunings: int = 73
    """Detunings of the Arnold tongue [1]."""
    tongue_couplings: int = 24
    """Coupling strengths of the Arnold tongue [1]."""
    tongue_coupling: float = 1.2
    """Strongest coupling W/2pi of the Arnold tongue [MHz]."""
    tongue_phase: float | None = None
    """Coupling phase b of the Arnold tongue [rad]. None: arctan nu, where the tongue is widest."""
    tongue_duration: float = 8.0
    """Time that each point of the Arnold tongue is followed [us]."""
    hysteresis: bool = True
    """Sweep the detuning of the tongue up and down as well, each point from the final state of its neighbour."""

    def quick(self) -> "Config":
        """The same path at a size that ends in 20 s."""
        return replace(
            self, points=min(self.points, 40), tongue_detunings=min(self.tongue_detunings, 19), tongue_couplings=8
        )

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no physical sense."""
        units = {"span": "MHz", "duration": "us", "step": "ns", "tongue_coupling": "MHz", "tongue_duration": "us"}
        for name, unit in units.items():
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise PhysnetError(f"synchronisation-map: {name} is {value} {unit}; it must be finite and above 0.")
        for name, unit in (("coupling", "MHz"), ("coupling_phase", "rad"), ("tongue_phase", "rad")):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise PhysnetError(f"synchronisation-map: {name} is {value} {unit}; it must be finite.")
        for name, least in (("points", 2), ("records", 17), ("tongue_detunings", 5), ("tongue_couplings", 2)):
            if getattr(self, name) < least:
                raise PhysnetError(f"synchronisation-map: {name} is {getattr(self, name)}; take {least} or more.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """The map, the tongue and its sweeps; `out` is whole after each. See physnet.discovery."""
    config.check()
    from studies import _map_runs

    return _map_runs.run(config, out, resume, progress)


def summary(ds: "xr.Dataset") -> str:
    """Shares of the map by who keeps step with whom, and the edges of the tongue against theory."""
    from studies._map_figures import PATTERNS, patterns

    shares = [100 * float(np.mean(patterns(ds) == k)) for k in range(len(PATTERNS))]
    lines = [ds.attrs["title"], ds.attrs["summary"], "", "three oscillators, share of the map:"]
    lines += [f"  {name:22}{share:6.2f} %" for name, share in zip(PATTERNS, shares)]
    lines.append(
        f"settled {100 * float(ds.converged.mean()):.2f} % of points (mean frequencies of both halves alike within 3 "
        f"resolutions of {1e3 * float(ds.resolution):.0f} kHz); error of the state by step doubling "
        f"{float(ds.step_error.max()):.1e} where checked"
    )
    if "wall_time" in ds:
        lines.append(
            f"{ds.converged.size} networks in {float(ds.wall_time):.2f} s, {float(ds.cpu_time):.2f} s of CPU, "
            "compilation included"
        )
    if "tongue_half_range" in ds:
        lines += [
            "",
            "two oscillators, locking half-range (MHz):",
            f"{'W/2pi':>10}{'simulated':>12}{'first order':>13}",
        ]
        chosen = np.unique(np.linspace(0, ds.sizes["coupling"] - 1, 5).round().astype(int))
        lines += [
            f"{float(row.coupling):10.3f}{float(row.tongue_half_range):12.3f}{float(row.tongue_theory):13.3f}"
            for row in (ds.isel(coupling=int(k)) for k in chosen)
        ]
    if "sweep_synchronised" in ds:
        from studies._map_figures import bistable

        share = 100 * float(np.mean(bistable(ds)))
        lines += ["", f"bistable (what a sweep finds depends on its direction): {share:.1f} % of the tongue's plane"]
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """The map, the tongue with theory, and where sweeps up and down differ. From the dataset alone."""
    from studies import _map_figures

    return _map_figures.all_figures(ds)
