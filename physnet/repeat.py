"""A run, again, from what its result says of itself, and whether the numbers agree."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import ModuleType

from physnet import configs, discovery, provenance, results
from physnet.differences import Comparison, compare
from physnet.errors import PhysnetError


@dataclass(frozen=True)
class Recipe:
    """How a result was made, read from its file.

    path: the file. name: of the study, study: its module. stored: the configuration that the file holds, as plain
    values. config: the same as the study's Config.
    """

    path: Path
    name: str
    study: ModuleType
    stored: Mapping
    config: object

    def added(self) -> tuple[str, ...]:
        """Fields that the study has today and the file does not name: they keep their defaults."""
        return tuple(field.name for field in dataclasses.fields(self.config) if field.name not in self.stored)

    def changes(self, config) -> dict[str, tuple]:
        """{field: (value stored, value in `config`)} of those that differ."""
        pairs = {f.name: (getattr(self.config, f.name), getattr(config, f.name)) for f in dataclasses.fields(config)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def check_out(self, out: Path) -> None:
        """Raises PhysnetError when the repetition would go where the result itself lies."""
        if out.exists() and out.samefile(self.path):
            raise PhysnetError(f"{out} is the result to be repeated. Choose another --out")

    def changed(self, **changes):
        """The stored configuration with some fields replaced. Raises PhysnetError for one that the study has not."""
        for name, value in changes.items():
            configs.check(configs.field(type(self.config), name, f"study '{self.name}'"), value, str(self.path))
        return dataclasses.replace(self.config, **changes)


@dataclass(frozen=True)
class Repetition:
    """A result and its repetition; `str()` says what was changed, what differs and whether the numbers agree.

    path, out: the two files. added, changes: as in `Recipe`. comparison: of the two datasets, the stored one first.
    """

    path: Path
    out: Path
    added: tuple[str, ...]
    changes: Mapping[str, tuple]
    comparison: Comparison

    @property
    def agree(self) -> bool:
        """Whether the numbers agree."""
        return self.comparison.agree

    @property
    def expected(self) -> bool:
        """Whether they should: nothing was changed but where data lie."""
        return all(isinstance(value, PurePath) for pair in self.changes.values() for value in pair)

    def __str__(self):
        lines = [f"{name}: {_said(old)} in {self.path}, {_said(new)} here" for name, (old, new) in self.changes.items()]
        lines += [f"{name}: not in {self.path}; the default of today's study was taken" for name in self.added]
        lines.append(str(self.comparison))
        if not self.expected:
            lines.append("options were changed, so the numbers need not agree")
        elif not self.agree:
            lines.append(f"for another tolerance: physnet compare {self.path} {self.out} --rtol 1e-6")
        return "\n".join(lines)


def recipe(path) -> Recipe:
    """How the result in `path` was made.

    Raises PhysnetError when it does not come from a study, the study is not installed or has no such field any more,
    or the stored configuration is not the one that the run wrote.
    """
    path = Path(path)
    with results.look(path) as ds:
        attributes = dict(ds.attrs)
    name = attributes.get("physnet_study")
    if name is None:
        raise PhysnetError(
            f"{path} does not come from a study (it has no attribute physnet_study), so it does not say how to make it "
            "again. Run the program that wrote it"
        )
    text = str(attributes.get("physnet_config", ""))
    if provenance.config_sha256(text) != attributes.get("physnet_config_sha256"):
        raise PhysnetError(
            f"{path}: its configuration (physnet_config) does not match its SHA-256, so it was changed after the run. "
            "Give the options yourself: physnet run " + str(name).replace("_", "-")
        )
    try:
        stored = json.loads(text)
    except ValueError as error:
        raise PhysnetError(f"{path}: its configuration (physnet_config) is not JSON: {error}") from error
    try:
        study = discovery.load(str(name))
    except discovery.UnknownStudyError as error:
        raise PhysnetError(f"{path} comes from a study that is not installed: {error}") from error
    where = f"{path}, made by an earlier or later version of the study"
    return Recipe(path, str(name).replace("_", "-"), study, stored, configs.from_plain(study.Config, stored, where))


def default_out(path) -> Path:
    """Where the repetition of `path` goes when nothing else is said: in the working folder."""
    return Path(f"{Path(path).stem}-again.nc")


def repeat(path, out=None, *, overwrite: bool = False, progress: bool = True, **changes) -> Repetition:
    """Runs a study again with the configuration that the result in `path` holds, and compares the numbers.

    out: the new result (default: `<stem of path>-again.nc` in the working folder); never `path` itself.
    progress: show how far it is. changes: fields of the study's Config to set otherwise; numbers then need not agree.

    Raises PhysnetError as `recipe` does, for a change that the study does not know, and when `out` cannot be written
    or exists while `overwrite` is False.
    """
    again = recipe(path)
    out = default_out(path) if out is None else Path(out)
    again.check_out(out)
    results.check_writable(out, overwrite)
    return perform(again, again.changed(**changes), out, resume=False, progress=progress)[1]


def perform(again: Recipe, config, out: Path, *, resume: bool, progress: bool):
    """(dataset, Repetition): the run itself, into `out`, and how it compares.

    Raises PhysnetError when the run fails, with the files that the configuration names and that are not here.
    """
    try:
        ds = again.study.run(config, out=out, resume=resume, progress=progress)
    except (PhysnetError, OSError) as error:
        absent = _absent(config)
        if not absent:
            raise
        raise PhysnetError(
            f"{error}\n{again.path} was made with files that are not here: "
            + ", ".join(f"{name} {value}" for name, value in absent.items())
            + ". Say where they are: "
            + " ".join(f"--{name.replace('_', '-')} PATH" for name in absent)
        ) from error
    if not out.is_file():
        raise PhysnetError(f"study '{again.name}' ended without writing {out}. A study writes its result itself")
    with results.look(again.path) as before, results.look(out) as after:
        comparison = compare(before, after, names=(str(again.path), str(out)))
    return ds, Repetition(again.path, out, again.added(), again.changes(config), comparison)


def _absent(config) -> dict[str, PurePath]:
    """Paths of the configuration that do not exist here."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {n: v for n, v in values.items() if isinstance(v, PurePath) and not Path(v).expanduser().exists()}


def _said(value) -> str:
    return str(value) if isinstance(value, PurePath) else repr(value)
