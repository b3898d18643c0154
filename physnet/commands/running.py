"""A study, run and kept: physnet run STUDY [options], or run again: physnet run --from FILE [options]"""

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from physnet import discovery
from physnet.errors import PhysnetError, UsageError

HELP = """\
usage: physnet run STUDY [options]
       physnet run --from FILE [options that differ]

STUDY          run a study and write its result; physnet run STUDY --help shows its options
--from FILE    repeat the run that a result file comes from, with the settings it holds, and say whether the numbers
               agree: exit status 0 when they do, 1 when not. The new result goes to FILE's stem and -again.nc in the
               working folder unless --out is given. Options given beside it replace those of the file; the numbers
               then need not agree. physnet run --from FILE --help shows them all

studies: {studies}
"""


@dataclass(frozen=True)
class RunOptions:
    """Where the result goes."""

    out: Path
    """Result file (netCDF); also the checkpoint while the study runs."""
    resume: bool = False
    """Continue from the result file where an earlier run stopped."""
    force: bool = False
    """Start again and overwrite the result file."""
    quick: bool = False
    """The same study at a size that ends in about 20 s; options given beside it still hold."""


def command(arguments) -> int:
    """Runs a study and prints its summary and where its result lies.

    0; 130 when interrupted; of a repeated run 1 when the numbers do not agree though they should.
    """
    source, rest = _source(arguments)
    if source is not None:
        return _repeat(source, rest, arguments)
    if not arguments or arguments[0].startswith("-"):
        names = ", ".join(discovery.studies()) or "none installed"
        if arguments and arguments[0] in ("-h", "--help"):
            print(HELP.format(studies=names), end="")
            return 0
        raise UsageError(f"run: name the study first, or a result to repeat (--from FILE). Studies: {names}")
    study = discovery.load(arguments[0])
    name = study.__name__.rpartition(".")[2].replace("_", "-")
    config, options = _parse(study, name, arguments[1:], study.Config(), Path(f"{name}.nc"))
    out = options.out.expanduser()
    resume = _check_target(name, out, options)
    before = _fingerprint(out)
    try:
        ds = study.run(config, out=out, resume=resume, progress=True)
    except KeyboardInterrupt:
        return _interrupted(out, before, arguments)
    if not out.is_file():
        raise PhysnetError(f"study '{name}' ended without writing {out}. A study writes its result itself")
    print(study.summary(ds))
    print(out)
    return 0


def _source(arguments) -> tuple[str | None, list[str]]:
    """(the file after --from, the other arguments); None without --from."""
    rest, found = [], None
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option != "--from":
            rest.append(word)
            continue
        if found is not None:
            raise UsageError("run: --from is given twice. Repeat one result at a time")
        found = value if equals else next(words, "")
        if not found or found.startswith("-"):
            raise UsageError("run: --from needs a result file: physnet run --from FILE")
    if found is not None and rest and not rest[0].startswith("-"):
        raise UsageError(f"run: --from takes the study from {found}. Leave out '{rest[0]}'")
    return found, rest


def _repeat(source, rest, arguments) -> int:
    from physnet import repeat

    path = Path(source).expanduser()
    recipe = repeat.recipe(path)
    config, options = _parse(recipe.study, recipe.name, rest, recipe.config, repeat.default_out(path), f"--from {path}")
    out = options.out.expanduser()
    recipe.check_out(out)
    resume = _check_target(recipe.name, out, options)
    before = _fingerprint(out)
    try:
        ds, repetition = repeat.perform(recipe, config, out, resume=resume, progress=True)
    except KeyboardInterrupt:
        return _interrupted(out, before, arguments)
    print(recipe.study.summary(ds))
    print()
    print(repetition)
    print(out)
    return int(repetition.expected and not repetition.agree)


def _parse(study, name, arguments, config, out, called=None):
    """(config, RunOptions) from the command line: flat options, each with its docstring, unit and default.

    config: what holds where nothing is given; out: the default of --out; called: how the command was, if not by name.
    """
    import tyro

    clash = {f.name for f in dataclasses.fields(study.Config)} & {f.name for f in dataclasses.fields(RunOptions)}
    if clash:
        raise PhysnetError(f"study '{name}': its Config must not have the fields {sorted(clash)}, which are run's own")

    def parse(config):
        defaults = (config, RunOptions(out))
        fields = [("study", study.Config, defaults[0]), ("result", RunOptions, defaults[1])]
        parsed = tyro.cli(
            dataclasses.make_dataclass("Run", fields, frozen=True),
            args=arguments,
            prog=f"physnet run {called or name}",
            description=(study.__doc__ or "").strip(),
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
        return parsed.study, parsed.result

    parsed, options = parse(config)
    # Parsed again over the small size, so that what was given beside --quick still holds.
    return parse(config.quick()) if options.quick else (parsed, options)


def _check_target(name, out, options) -> bool:
    """Raises, before any work, when the result could not be written; True when there is a run to resume."""
    from physnet import results

    if options.resume and options.force:
        raise UsageError("--resume continues the earlier result and --force throws it away. Give one of them")
    try:
        exists = out.exists()
    except OSError as error:
        raise PhysnetError(f"{out} cannot be looked at: {error.strerror or error}. Choose another --out") from error
    if out.is_file() and not (options.resume or options.force):
        raise PhysnetError(
            f"{out} exists. Continue it with --resume, overwrite it with --force, or choose another --out"
        )
    results.check_writable(out, overwrite=True)
    if not (options.resume and exists):
        if options.resume:
            print(f"physnet: {out} does not exist, so there is nothing to resume: starting anew", file=sys.stderr)
        return False
    with results.look(out) as ds:
        other = ds.attrs.get("physnet_study")
    if str(other).replace("_", "-") != name:
        raise PhysnetError(f"{out} is a result of study '{other}', not of '{name}'. Choose another --out, or --force")
    return True


def _fingerprint(path) -> tuple[int, int] | None:
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.is_file() else None


def _interrupted(out, before, arguments) -> int:
    print(f"physnet: interrupted. {_what_is_kept(out, before, arguments)}", file=sys.stderr)
    return 130


def _what_is_kept(out, before, arguments) -> str:
    now = _fingerprint(out)
    if now is None:
        return f"Nothing was written to {out}"
    again = shlex.join(["physnet", "run", *(a for a in arguments if a not in ("--force", "--resume")), "--resume"])
    if now == before and "--resume" not in arguments:
        return f"{out} is as it was before"
    return f"{out} holds what was done so far; continue with: {again}"
