"""A sweep on disk: `sweep.json`, which says what is swept, and parts, each a whole dataset of some of its points."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physnet import results
from physnet.errors import PhysnetError
from physnet.files import atomic
from physnet.sweeps import labels

MANIFEST = "sweep.json"
FORMAT = "physnet-sweep-1"
_PART = re.compile(r"part-(\d{9})-(\d{9})\.nc")
_MERGED = 2**25  # bytes of numbers up to which small parts become one


@dataclass(frozen=True, order=True)
class Part:
    """The points first to stop - 1, and the file that holds them."""

    first: int
    stop: int
    path: Path


def is_sweep(path) -> bool:
    """Whether `path` is the folder of a sweep."""
    return (Path(path) / MANIFEST).is_file()


def read_manifest(folder) -> dict:
    """What is swept. Raises PhysnetError where the folder holds no sweep, or one of a newer physnet."""
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found = manifest["format"]
    except FileNotFoundError as error:
        raise PhysnetError(f"{folder} is no folder of a sweep: it has no {MANIFEST}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PhysnetError(f"{path} cannot be read ({error}). Start the sweep again (--force)") from error
    if found != FORMAT:
        raise PhysnetError(f"{path} is of format {found!r}, and this version reads {FORMAT}. Upgrade physnet")
    return manifest


def write_manifest(folder, manifest: dict) -> None:
    """Writes what is swept, whole or not at all."""
    with atomic(Path(folder) / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def parts(folder) -> list[Part]:
    """The parts in a folder, in order; of two that overlap, as a merge that was killed leaves them, the larger."""
    found: list[Part] = []
    everything = [
        Part(int(match[1]), int(match[2]) + 1, entry)
        for entry in Path(folder).iterdir()
        if (match := _PART.fullmatch(entry.name))
    ]
    for part in sorted(everything, key=lambda part: (part.first, -part.stop)):
        if not found or part.first >= found[-1].stop:
            found.append(part)
    return found


def missing(done: Iterable[Part], size: int) -> list[tuple[int, int]]:
    """(first, stop) of every run of points that no part holds."""
    edges = [0, *(edge for part in done for edge in (part.first, part.stop)), size]
    return [(first, stop) for first, stop in zip(edges[::2], edges[1::2]) if first < stop]


def write(folder, ds) -> Part:
    """Writes a part, whole or not at all; it is named for its points."""
    first, stop = int(ds.point[0]), int(ds.point[-1]) + 1
    path = Path(folder) / f"part-{first:09d}-{stop - 1:09d}.nc"
    results.save(ds, path, overwrite=True)
    return Part(first, stop, path)


def whole(part: Part):
    """The part's dataset, None where it is damaged or holds other points than its name says."""
    try:
        ds = results.open(part.path)
    except PhysnetError:
        return None
    right = "point" in ds and np.array_equal(ds.point.values, np.arange(part.first, part.stop))
    return ds if right and "point_status" in ds else None


def tidy(folder, *, retry_failed: bool = False) -> list[Part]:
    """The whole parts, in order, after what is no use was removed.

    Removed are torn parts, and those that lie within another. retry_failed: points that failed are cut out, so that
    they are missing.
    """
    kept = []
    for part in parts(folder):
        ds = whole(part)
        if ds is None:
            part.path.unlink()
            continue
        bad = ds.point_status.values != 0
        if retry_failed and bad.any():
            kept += _cut(folder, part, ds, bad)
        else:
            kept.append(part)
    names = {part.path.name for part in kept}
    for entry in Path(folder).iterdir():
        if _PART.fullmatch(entry.name) and entry.name not in names:
            entry.unlink()
    return sorted(kept)


def _cut(folder, part, ds, bad) -> list[Part]:
    """The good stretches of a part as parts of their own, in its place."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], bad, [True]]).astype(int)))
    made = [write(folder, ds.isel(point=slice(a, b))) for a, b in zip(edges[::2], edges[1::2])]
    part.path.unlink()  # last: as long as it is there, it is the part that counts
    return made


def merge(folder) -> None:
    """Neighbouring small parts become one, up to 32 MB of numbers, so that thousands of points open at once."""
    import xarray as xr

    group, size = [], 0
    for part in [*parts(folder), None]:
        ds = whole(part) if part is not None else None
        grows = ds is not None and size + ds.nbytes <= _MERGED and (not group or _follows(part, ds, *group[-1]))
        if not grows and len(group) > 1:
            changing = labels.changing([ds for _, ds in group])
            alike = {"data_vars": "minimal", "coords": "minimal", "compat": "override", "join": "override"}
            one = [labels.spread(ds, changing) for _, ds in group]
            write(folder, xr.concat(one, "point", combine_attrs="override", **alike))
            for small, _ in group:
                small.path.unlink()
        if not grows:
            group, size = [], 0
        if ds is not None:
            group.append((part, ds))
            size += ds.nbytes


def _follows(part, ds, before, its) -> bool:
    """Whether a part continues the one before it, with the same variables (where all points failed there are none)."""
    return part.first == before.stop and set(ds.data_vars) == set(its.data_vars)


def clear(folder) -> None:
    """Removes a sweep's parts and what says what is swept; a folder that holds anything else keeps it."""
    folder = Path(folder)
    for entry in list(folder.iterdir()):
        if _PART.fullmatch(entry.name) or entry.name == MANIFEST:
            entry.unlink()


def check_folder(folder) -> None:
    """Makes the folder, or raises PhysnetError where a sweep cannot be kept there."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise PhysnetError(f"{folder} is a file. A sweep is kept in a folder: choose another --out")
    strangers = [] if not folder.exists() or is_sweep(folder) else [e.name for e in os.scandir(folder)]
    if any(not name.startswith(".") for name in strangers):
        raise PhysnetError(f"{folder} holds other files ({sorted(strangers)[0]}, ...). Choose a new folder for --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhysnetError(f"{folder} cannot be made: {error.strerror or error}. Choose another --out") from error
