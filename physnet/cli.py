"""The command `physnet`: list, run, inspect, draw, and what other packages add (entry points `physnet.commands`).

Results go to stdout, progress and errors to stderr.

Nothing heavy is imported before it is needed: a study brings the simulator in when it runs.
"""

import argparse
import contextlib
import dataclasses
import difflib
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from physnet import discovery
from physnet.errors import PhysnetError

USAGE = """\
usage: physnet [--version] [--help] COMMAND ...

Physics that computes and learns by settling.

commands:
  list                           the studies that can be run
  run STUDY [options]            run a study and write its result; run STUDY --help shows every option
  inspect FILE ... [--json]      what a result file holds, and whether it follows the schema
  figures FILE [--out DIR]       draw a result file's figures as PNG, in DIR (default: figures)
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


class UsageError(PhysnetError):
    """The command line itself is wrong."""


def main(argv=None) -> int:
    """Runs the command line `argv` (default: the process's own) and returns its exit status.

    0 success; 1 an error that a person can mend, in one message on stderr; 2 a wrong command line; 130 interrupted.
    """
    arguments = [str(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    try:
        code = _guarded(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 0


def _guarded(arguments) -> int:
    try:
        return _dispatch(arguments)
    except SystemExit as stop:  # argparse and tyro have said why
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        print("physnet: interrupted", file=sys.stderr)
        return 130
    except (UsageError, discovery.UnknownStudyError) as error:
        print(f"physnet: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except (PhysnetError, OSError) as error:
        print(f"physnet: error: {error}", file=sys.stderr)
        return 1


def _dispatch(arguments) -> int:
    commands = {"list": _list, "run": _run, "inspect": _inspect, "figures": _figures}
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        for name, entry in discovery.commands().items():
            print(f"  {name} ...".ljust(33) + discovery.command_title(entry))
        return 0
    first, rest = arguments[0], arguments[1:]
    if first in ("-V", "--version"):
        from physnet import __version__

        print(f"physnet {__version__}")
        return 0
    added = {} if first in commands else discovery.commands()  # none of them replaces a command of physnet's own
    if first in added:
        return discovery.load_command(added[first])(rest)
    if first not in commands:
        commands |= added
        near = difflib.get_close_matches(first, [*commands, "--version", "--help"], n=1, cutoff=0.4)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        kind = "option" if first.startswith("-") else "command"
        raise UsageError(f"unknown {kind} '{first}'.{hint} Commands: {', '.join(commands)}")
    return commands[first](rest)


def _list(arguments) -> int:
    argparse.ArgumentParser("physnet list", description="The studies that can be run.").parse_args(arguments)
    found = discovery.studies()
    width = max(map(len, found), default=0)
    for study in found.values():
        print(f"{study.name.ljust(width)}  {study.title}")
    return 0


def _inspect(arguments) -> int:
    parser = argparse.ArgumentParser("physnet inspect", description="What result files hold.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a result file (netCDF)")
    parser.add_argument("--json", action="store_true", help="one line of JSON per file")
    options = parser.parse_args(arguments)
    from physnet.inspection import inspect

    code = 0
    for i, path in enumerate(options.files):
        try:
            card = inspect(path)
        except PhysnetError as error:  # the other files are still worth showing
            print(f"physnet: error: {error}", file=sys.stderr)
            code = 1
            continue
        print(card.to_json() if options.json else f"\n{card}" if i else card)
    return code


def _figures(arguments) -> int:
    parser = argparse.ArgumentParser("physnet figures", description="Draw a result file's figures as PNG.")
    parser.add_argument("file", metavar="FILE", help="a result file (netCDF)")
    parser.add_argument("--out", metavar="DIR", default="figures", help="folder for the pictures (default: figures)")
    options = parser.parse_args(arguments)
    from physnet import results

    ds = results.open(options.file)
    import matplotlib

    matplotlib.use("Agg")  # before a study imports pyplot: no display is needed
    drawn = _drawn(ds, options.file)
    folder = Path(options.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in drawn.items():
            path = folder / f"{name}.png"
            figure.savefig(path, dpi=200)
            print(path)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PhysnetError(
            f"{folder} cannot hold the figures: {error.strerror or error}. Choose another --out"
        ) from error
    return 0


def _drawn(ds, path):
    """The figures of the study that the dataset names; without one, those of a landscape."""
    name = ds.attrs.get("physnet_study")
    if name is None:
        from physnet.landscape.drawing.pages import figures

        try:
            return figures(ds)
        except PhysnetError as error:
            raise PhysnetError(f"{path} names no study (attribute physnet_study), and {error}") from error
    try:
        return discovery.load(str(name)).figures(ds)
    except discovery.UnknownStudyError as error:
        raise PhysnetError(f"{path} comes from a study that is not installed: {error}") from error


def _run(arguments) -> int:
    if not arguments or arguments[0].startswith("-"):
        names = ", ".join(discovery.studies()) or "none installed"
        if arguments and arguments[0] in ("-h", "--help"):
            print(
                f"usage: physnet run STUDY [options]\n\nstudies: {names}\n\nphysnet run STUDY --help shows its options."
            )
            return 0
        raise UsageError(f"run: name the study first. Studies: {names}")
    study = discovery.load(arguments[0])
    name = study.__name__.rpartition(".")[2].replace("_", "-")
    config, options = _parse(study, name, arguments[1:])
    out = options.out.expanduser()
    resume = _check_target(name, out, options)
    before = _fingerprint(out)
    try:
        ds = study.run(config, out=out, resume=resume, progress=True)
    except KeyboardInterrupt:
        print(f"physnet: interrupted. {_what_is_kept(out, before, arguments)}", file=sys.stderr)
        return 130
    if not out.is_file():
        raise PhysnetError(f"study '{name}' ended without writing {out}. A study writes its result itself")
    print(study.summary(ds))
    print(out)
    return 0


def _parse(study, name, arguments):
    """(config, RunOptions) from the command line: flat options, each with its docstring, unit and default."""
    import tyro

    clash = {f.name for f in dataclasses.fields(study.Config)} & {f.name for f in dataclasses.fields(RunOptions)}
    if clash:
        raise PhysnetError(f"study '{name}': its Config must not have the fields {sorted(clash)}, which are run's own")

    def parse(config):
        defaults = (config, RunOptions(Path(f"{name}.nc")))
        fields = [("study", study.Config, defaults[0]), ("result", RunOptions, defaults[1])]
        parsed = tyro.cli(
            dataclasses.make_dataclass("Run", fields, frozen=True),
            args=arguments,
            prog=f"physnet run {name}",
            description=(study.__doc__ or "").strip(),
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
        return parsed.study, parsed.result

    config, options = parse(study.Config())
    # Parsed again over the small size, so that what was given beside --quick still holds.
    return parse(config.quick()) if options.quick else (config, options)


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
    other = results.open(out).attrs.get("physnet_study")
    if str(other).replace("_", "-") != name:
        raise PhysnetError(f"{out} is a result of study '{other}', not of '{name}'. Choose another --out, or --force")
    return True


def _fingerprint(path) -> tuple[int, int] | None:
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.is_file() else None


def _what_is_kept(out, before, arguments) -> str:
    now = _fingerprint(out)
    if now is None:
        return f"Nothing was written to {out}"
    again = shlex.join(["physnet", "run", *(a for a in arguments if a not in ("--force", "--resume")), "--resume"])
    if now == before and "--resume" not in arguments:
        return f"{out} is as it was before"
    return f"{out} holds what was done so far; continue with: {again}"
