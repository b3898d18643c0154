"""Studies whose file grows part by part, so that an interrupted run goes on where it stopped."""

from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr
from tqdm import tqdm

from physnet import provenance, results
from physnet.errors import PhysnetError


def in_parts(
    config,
    parts: Mapping[str, Callable[[object], xr.Dataset]],
    *,
    out: Path | None,
    resume: bool,
    progress: bool,
    name: str,
) -> xr.Dataset:
    """One dataset of all parts, saved to `out` after each; with resume, those the file holds already are kept.

    parts: {a variable that only this part makes: what makes it, from the config}, in order. Raises PhysnetError where
    the file was made with other options.
    """
    ds = resumed(out, config) if resume else None
    with tqdm(parts.items(), disable=not progress, desc=name) as bar:
        for marker, measure in bar:
            if ds is not None and marker in ds:
                continue
            part = measure(config)
            ds = part if ds is None else ds.merge(part, combine_attrs="override")
            if out is not None:
                results.save(ds, out, overwrite=True)
    return ds


def resumed(out: Path | None, config) -> xr.Dataset | None:
    """The file to go on with; None where there is none. Raises PhysnetError where it was made with other options."""
    if out is None or not Path(out).exists():
        return None
    ds = results.open(out)
    if ds.attrs["physnet_config"] != provenance.config_json(config):
        raise PhysnetError(
            f"{out} was made with other options: {ds.attrs['physnet_config']}. Give the same, or start again (--force)"
        )
    return ds
