"""Three spin-torque oscillators recognise sequences of events by synchronising.

Events set off ramps of the oscillators' frequencies; where all three meet, the oscillators lock and their emission
becomes one strong line. One network, that is one set of ramps, for each class. The ramps are set from the class's mean
sequence, trained by Equilibrium Propagation, and trained by differentiating through the simulation (after Romera et
al., Nat. Commun. 13, 883, 2022, doi:10.1038/s41467-022-28159-1).
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from physnet.errors import PhysnetError
from studies._binding_data import CLASSES, EVENTS

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

REFERENCES = (
    "Romera et al. 2022, doi:10.1038/s41467-022-28159-1; sequences from Hillenbrand et al. 1995, doi:10.1121/1.411872"
)


@dataclass(frozen=True)
class Config:
    """Options of `physnet run binding`."""

    full: bool = False
    """Also accuracy under thermal noise, under dispersion of the sequences, and left one out."""
    steps: int = 100
    """Steps of the training by Equilibrium Propagation [1]."""
    simulation_steps: int = 30
    """Steps of the training through the simulation [1]."""
    grid: int = 24
    """Simulated sequences along t2 and t3 in the map of what each network recognises [1]."""
    draws: int = 20
    """Repetitions for each temperature and dispersion, with --full [1]."""
    temperatures: tuple[float, ...] = (0.0, 100.0, 300.0, 600.0, 1200.0)
    """Temperatures of the thermal noise, with --full [K]."""
    dispersions: tuple[float, ...] = (0.0, 10.0, 50.0, 100.0)
    """Radius of the disc from which the shift of each sequence (t2, t3) is drawn, uniformly, with --full [a.u.]."""
    seed: int = 0
    """Seeds the noise and the shifts [1]."""

    def quick(self) -> "Config":
        """The same path with few steps and a coarse map; the trainings do not reach their end."""
        return replace(self, steps=15, simulation_steps=3, grid=8)

    def check(self) -> None:
        """Raises PhysnetError for a value that makes no sense."""
        for name, least in (("steps", 1), ("simulation_steps", 2), ("grid", 2), ("draws", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise PhysnetError(f"binding: {name} is {getattr(self, name)}; take {least} or more.")
        for name, unit in (("temperatures", "K"), ("dispersions", "a.u.")):
            values = getattr(self, name)
            bad = [value for value in values if not (value >= 0 and np.isfinite(value))]
            if bad or not values:
                raise PhysnetError(
                    f"binding: {name} hold {bad[0] if bad else 'nothing'} {unit if bad else ''}; give one or more "
                    f"finite values of at least 0 {unit}."
                )
            if len(set(values)) < len(values):
                raise PhysnetError(f"binding: {name} {values} {unit} hold a value twice; leave it out once.")


def run(config: Config, *, out: Path | None = None, resume: bool = False, progress: bool = True) -> "xr.Dataset":
    """Trains, tests and maps the four networks. See physnet.discovery.

    A run keeps no checkpoint: `resume` hands back a finished result of the same options and else starts anew, which is
    said on stderr.
    """
    config.check()
    if resume and out is not None and (done := _finished(config, out)) is not None:
        return done
    from physnet import results
    from studies import _binding_runs as runs

    def say(text):
        if progress:
            print(f"binding: {text}", file=sys.stderr, flush=True)

    trained = runs.trained(config, say)
    variables, coords = runs.tested(config, trained, say)
    if config.full:
        from studies import _binding_robustness as robustness

        variables += robustness.variables(config, trained, say)
        coords += robustness.coordinates(config)
    ds = results.to_dataset(
        variables,
        coords=coords,
        title="Sequences of events recognised by the synchronisation of three oscillators",
        summary=f"{len(EVENTS)} sequences of {len(CLASSES)} classes, one network each; ramps set from the centroid, by "
        "Equilibrium Propagation and through the simulation; one a.u. is "
        f"{1e9 * runs.UNIT:g} ns; train = test unless left one out",
        references=REFERENCES,
        attrs=runs.provenance(config) | {"physnet_study": "binding"},
    )
    if out is not None:
        results.save(ds, out, overwrite=True)
    return ds


def _finished(config, out):
    """The result in `out` where its options are the same."""
    from physnet import provenance, results

    found = results.open(out) if out.is_file() else None
    same = provenance.config_sha256(provenance.config_json(config))
    if found is not None and found.attrs.get("physnet_config_sha256") == same:
        print(f"binding: {out} is finished; nothing is left to do", file=sys.stderr)
        return found
    print(f"binding: {out} is of other options, and a run keeps no checkpoint: starting anew", file=sys.stderr)
    return None


def summary(ds: "xr.Dataset") -> str:
    """The table of accuracies, how sure the simulation is, and robustness where it was asked for."""
    names = [str(name) for name in ds["class"].values]

    def row(title, values):
        return f"{title:40}" + "".join(f"{100 * float(value):11.1f}" for value in values)

    lines = [
        ds.attrs["title"],
        "",
        f"{'one-vs-rest accuracy (%), train = test':40}" + "".join(f"{n:>11}" for n in names),
    ]
    for training in ds.training.values:
        lines.append(row(f"ramps: {training}", ds.accuracy.sel(training=training)))
    lines += [row(str(name), ds.baseline_accuracy.sel(baseline=name)) for name in ds.baseline.values]
    if "left_out_accuracy" in ds:
        lines += ["", "each sequence left out of the training in turn"]
        lines += [
            row(f"ramps: {t}", ds.left_out_accuracy.sel(left_out_training=t)) for t in ds.left_out_training.values
        ]
        lines += [row(str(b), ds.baseline_left_out_accuracy.sel(baseline=b)) for b in ds.baseline.values]
        for name, unit in (("temperature", "K"), ("dispersion", "a.u.")):
            lines += ["", f"mean over classes and {ds.sizes['draw']} draws (%), standard error of the draws"]
            lines.append(f"{name + ' (' + unit + ')':40}" + "".join(f"{value:15g}" for value in ds[name].values))
            for training in ds.training.values:
                each = 100 * ds[f"{name}_accuracy"].sel(training=training).mean("class")
                mean, error = each.mean("draw").values, each.std("draw", ddof=1).values / np.sqrt(ds.sizes["draw"])
                lines.append(
                    f"{'ramps: ' + str(training):40}" + "".join(f"{m:9.2f} ± {e:.2f}" for m, e in zip(mean, error))
                )
    agreement = float((ds.recognised == ds.locked).mean())
    lines += [
        "",
        f"detector: highest peak of the summed emission at least {float(ds.threshold):g} free peaks; equal mean "
        f"frequencies say the same of {100 * agreement:.1f} % of the runs",
        f"steady states of Equilibrium Propagation: {'all' if int(ds.converged) else 'not all'} converged, largest "
        f"relative residual {float(ds.residual):.1e}; integration error "
        f"{float(ds.integration_error.max()):.1e} of an amplitude",
    ]
    return "\n".join(lines)


def figures(ds: "xr.Dataset") -> "dict[str, Figure]":
    """Ramps, spectra, maps, accuracies, and robustness where it was asked for. From the dataset alone."""
    from studies import _binding_figures

    return _binding_figures.all_figures(ds)
