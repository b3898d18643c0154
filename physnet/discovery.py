"""Finds studies, the modules of every package that the entry-point group `physnet.studies` names, and commands.

A study is a module with a docstring and four names:

* `Config`: a frozen dataclass, a docstring under each field (unit included), and `quick() -> Config`, a 20 s size;
* `run(config, *, out=None, resume=False, progress=True) -> xarray.Dataset`: writes `out`, checkpoints included,
  unless it is None; its dataset carries the attribute `physnet_study`;
* `figures(ds) -> dict[str, matplotlib.figure.Figure]` and `summary(ds) -> str`: from the dataset alone.

It imports JAX inside functions, so that loading it, and with it `--help`, is quick.

A study that can run many points of a sweep at a time has two names more (physnet.sweeps):

* `VARIED`: the fields of its Config that it takes as arrays;
* `run_many(config, varied, points) -> xarray.Dataset` with the dim `point` first: varied is {field: array (point,)},
  points their numbers in the sweep, which random keys fold in.

A command is an entry of the group `physnet.commands`: its name is what follows `physnet` on the command line, its value
a function of the remaining arguments that returns the exit status (see physnet.cli.main). The first line of the
docstring of its module is what `physnet --help` says of it.
"""

import ast
import difflib
import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from physnet.errors import PhysnetError

GROUP = "physnet.studies"
COMMANDS = "physnet.commands"
CONTRACT = ("Config", "run", "figures", "summary")


class UnknownStudyError(PhysnetError):
    """No study has the name asked for."""


@dataclass(frozen=True)
class StudyInfo:
    """A study as `physnet list` shows it.

    name: as the command line takes it. module: that holds it, dotted. title: one line about it.
    """

    name: str
    module: str
    title: str


def studies() -> dict[str, StudyInfo]:
    """Every installed study by name, in alphabetical order; none of them is imported.

    Raises PhysnetError when a package that should hold studies is missing or two packages offer the same name.
    """
    found: dict[str, StudyInfo] = {}
    for package in sorted({entry.module for entry in metadata.entry_points(group=GROUP)}):
        for module in pkgutil.iter_modules(_folders(package)):
            if module.name.startswith("_"):
                continue
            name, path = module.name.replace("_", "-"), f"{package}.{module.name}"
            if name in found:
                raise PhysnetError(f"study '{name}' is in {found[name].module} and in {path}. Uninstall or rename one")
            spec = module.module_finder.find_spec(module.name, None)
            found[name] = StudyInfo(name, path, _title(spec.origin if spec else None))
    return dict(sorted(found.items()))


def commands() -> dict[str, metadata.EntryPoint]:
    """The entry point of every installed command by name, in alphabetical order; none of them is imported.

    Raises PhysnetError when two packages offer the same name.
    """
    found: dict[str, metadata.EntryPoint] = {}
    for entry in metadata.entry_points(group=COMMANDS):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise PhysnetError(f"command '{entry.name}' is in {other.module} and in {entry.module}. Uninstall one")
    return dict(sorted(found.items()))


def command_title(entry: metadata.EntryPoint) -> str:
    """What a command does, in one line, without importing its package. entry: one of `commands`."""
    top, _, rest = entry.module.partition(".")
    try:
        folder = Path(_folders(top)[0])
    except PhysnetError as error:
        return f"(cannot be found: {error})"
    return _title(str(folder.joinpath(*rest.split(".")).with_suffix(".py")))


def load_command(entry: metadata.EntryPoint):
    """The function behind a command. entry: one of `commands`. Raises PhysnetError when it cannot be imported."""
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise PhysnetError(f"command '{entry.name}' ({entry.value}) cannot be imported: {error}") from error


def load(name: str):
    """The module of the study called `name`; '-' and '_' are the same.

    A word of exactly one study's name will do: "landscape" for "energy-landscape". Raises UnknownStudyError with the
    nearest name, or with all that share the word; PhysnetError when the module cannot be imported or does not follow
    the contract above.
    """
    known, wanted = studies(), name.replace("_", "-")
    sharing = [full for full in known if wanted in full.split("-")] if wanted not in known else []
    if len(sharing) > 1:
        raise UnknownStudyError(f"'{name}' is a word of several studies: {', '.join(sharing)}. Give the whole name")
    wanted = sharing[0] if sharing else wanted
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.4)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UnknownStudyError(f"unknown study '{name}'.{hint} Studies: {', '.join(known) or 'none installed'}")
    path = known[wanted].module
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        raise PhysnetError(f"study '{wanted}' ({path}) cannot be imported: {error}") from error
    missing = [item for item in CONTRACT if not hasattr(module, item)]
    if missing:
        raise PhysnetError(f"study '{wanted}' ({path}) has no {', '.join(missing)}. See physnet.discovery")
    return module


def _folders(package: str) -> list[str]:
    """Where the package's modules lie, without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:  # of the parent of a dotted name
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        raise PhysnetError(f"the package of studies '{package}' is registered but cannot be found. Install it again")
    return list(spec.submodule_search_locations)


def _title(origin: str | None) -> str:
    """First line of a module's docstring, read without running it."""
    try:
        text = ast.get_docstring(ast.parse(Path(origin or "").read_text(encoding="utf-8")))
    except (OSError, SyntaxError, ValueError) as error:
        return f"(cannot be read: {error})"
    return text.splitlines()[0] if text else "(no docstring)"
