"""A study, run and kept: physnet run STUDY [options]"""

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from physnet import discovery
from physnet.errors import PhysnetError, UsageError


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
    """Runs a study and prints its summary and where its result lies; 0, or 130 when interrupted."""
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
