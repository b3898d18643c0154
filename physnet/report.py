"""Results as one HTML page that needs nothing else: no network, no script, no simulator.

`write` gathers what each file says (its study's summary and figures, how well states settled, departures from the
schema, provenance, every variable) and `physnet.report_page` lays it out.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from physnet import configs, files, results
from physnet.errors import PhysnetError
from physnet.figures import figures_of, is_sweep, opened, study_of
from physnet.inspection import Inspection, inspect
from physnet.report_figures import Picture, picture
from physnet.report_page import page

SMALL = 64 * 2**20  # bytes that are read at once, so that the list of variables shows their numbers


@dataclass(frozen=True)
class Section:
    """What the page says of one result.

    name: of its file or folder. error: why it could not be read; the rest is then empty.
    card: what `physnet.inspection` finds. summary: of its study, or else of the file.
    notes: what could not be shown, and why. pictures: its figures. listing: xarray's own page of it, HTML.
    fields: what the study says of each field of its configuration; empty where it is not installed.
    """

    name: str
    error: str = ""
    card: Inspection | None = None
    summary: str = ""
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    listing: str = ""
    fields: dict[str, configs.Field] | None = None


def write(paths, out, *, overwrite: bool = False) -> list[Section]:
    """Writes the page of one or more results to `out`, whole or not at all, and returns its sections.

    paths: result files, folders of result files, folders of sweeps. A file that cannot be read, among others, gets a
    section with its error, and what a study cannot draw is said in its place.
    Raises PhysnetError when a path does not exist, a folder holds no result, nothing at all can be read, or `out` is
    one of the results, exists while `overwrite` is False, or cannot be written.
    """
    paths, out = [Path(path) for path in paths], Path(out)
    sources = [source for path in paths for source in _sources(path)]
    if out.exists() and any(path.exists() and out.samefile(path) for path, _ in sources):
        raise PhysnetError(f"{out} is one of the results. Choose another --out")
    results.check_writable(out, overwrite)
    sections = [_section(path, name) for path, name in sources]
    if all(section.error for section in sections):
        raise PhysnetError("; ".join(section.error for section in sections))
    text = page(sections, _title(paths, sections))
    with files.atomic(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return sections


def _sources(path: Path) -> list[tuple[Path, str]]:
    """(path, its name on the page) of every result that `path` stands for."""
    if not path.is_dir() or is_sweep(path):
        if not path.exists():
            results.open(path)  # says what is wrong, and which file may be meant
        return [(path, path.resolve().name)]
    entries = sorted(path.iterdir())
    found = [p for p in entries if (p.suffix == ".nc" and p.is_file() and not p.name.startswith(".")) or is_sweep(p)]
    if not found:
        raise PhysnetError(f"{path} holds no result (*.nc) and is no sweep. Name a result file, or a folder of them")
    return [(p, f"{path.resolve().name}/{p.name}") for p in found]


def _title(paths, sections) -> str:
    if len(sections) == 1:
        return sections[0].card.title or sections[0].name
    where = f" in {paths[0].resolve().name}" if len(paths) == 1 else ""
    return f"{len(sections)} results{where}"


def _section(path: Path, name: str) -> Section:
    try:
        section = Section(name, card=replace(inspect(path), path=name))
        with opened(path) as ds:
            if ds.nbytes <= SMALL:
                ds.load()
            summary, fields, notes = _summary(ds, path)
            pictures, undrawn = _pictures(ds, path)
            listing = _listing(ds)
    except PhysnetError as error:
        return Section(name, error=_plainly(error, path))
    return replace(
        section, summary=summary, fields=fields, pictures=pictures, notes=(*notes, *undrawn), listing=listing
    )


def _summary(ds, path):
    """(summary, fields of the configuration, notes): by the study where it works, else as the file has it."""
    stored = str(ds.attrs.get("summary", ""))
    if is_sweep(path):
        from physnet.sweeps.combined import summary

        return summary(ds), {}, []
    if "physnet_study" not in ds.attrs:
        return stored, {}, []
    try:
        study = study_of(ds, path)
        return study.summary(ds), configs.fields(study.Config), []
    except PhysnetError as error:
        return stored, {}, [f"The summary is the one that the file holds: {_plainly(error, path)}"]
    except Exception as error:  # a study is anyone's code, perhaps newer or older than the file
        return stored, {}, [f"The summary is the one that the file holds: the study's own failed ({_shown(error)})."]


def _pictures(ds, path):
    """(pictures, notes) of every figure that can be drawn."""
    try:
        figures = figures_of(ds, path)
    except PhysnetError as error:
        return (), [f"No figures: {_plainly(error, path)}"]
    except Exception as error:  # as above
        return (), [f"No figures: they could not be drawn ({_shown(error)})."]
    pictures, notes = [], []
    for name, figure in figures.items():
        try:
            pictures.append(picture(name, figure))
        except Exception as error:  # many errors show only when a figure is laid out
            notes.append(f"The figure '{name}' could not be drawn ({_shown(error)}).")
        finally:
            _close(figure)
    return tuple(pictures), notes


def _close(figure) -> None:
    """pyplot keeps every figure that was made through it."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)


def _listing(ds) -> str:
    import xarray as xr

    with xr.set_options(display_style="html"):
        return ds._repr_html_()


def _plainly(error, path) -> str:
    """The message without the folders of this machine."""
    return str(error).replace(str(path.resolve()), path.name).replace(str(path), path.name)


def _shown(error) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
