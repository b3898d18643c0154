"""Studies whose file grows along one dimension (one rule, one kind of device, one circuit after another)."""

from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr
from tqdm import tqdm

from physnet import results
from studies._parts import resumed


def in_rows(
    config,
    rows: Mapping[object, Callable[[], xr.Dataset]],
    *,
    dim: str,
    out: Path | None,
    resume: bool,
    progress: bool,
) -> xr.Dataset:
    """One dataset of all rows, joined along `dim` and saved to `out` after each; with resume, those there are kept.

    rows: {a value of the coordinate `dim`: what makes a dataset whose `dim` is that value alone}, in order. Variables
    without that dim are those of the first row. Raises PhysnetError where the file was made with other options.
    """
    ds = resumed(out, config) if resume else None
    with tqdm(rows.items(), disable=not progress, desc=dim) as bar:
        for value, make in bar:
            bar.set_postfix({dim: value})
            if ds is not None and value in ds[dim].values:
                continue
            ds = joined(ds, make(), dim)
            if out is not None:
                results.save(ds, out, overwrite=True)
    return ds


def joined(ds: xr.Dataset | None, row: xr.Dataset, dim: str) -> xr.Dataset:
    """The dataset with one more row."""
    if ds is None:
        return row
    alike = {"data_vars": "minimal", "coords": "minimal", "compat": "override", "join": "override"}
    return xr.concat([ds, row], dim, combine_attrs="override", **alike)
