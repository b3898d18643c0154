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
    ds = _resumed(out, config) if resume else None
    with tqdm(parts.items(), disable=not progress, desc=name) as bar:
        for marker, measure in bar:
            if ds is not None and marker in ds:
                continue
            part = measure(config)
            ds = part if ds is None else ds.merge(part, combine_attrs="override")
            if out is not None:
                results.save(ds, out, overwrite=True)
    return ds


def _resumed(out, config):
    ds = results.open(out)
    if ds.attrs["physnet_config"] != provenance.config_json(config):
        raise PhysnetError(
            f"{out} was made with other options: {ds.attrs['physnet_config']}. Give the same, or start again (--force)"
        )
    return ds
