"""A study at many settings, part by part: physnet sweep STUDY --over FIELD=VALUES"""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from physnet import discovery
from physnet.errors import PhysnetError, UsageError

_DESCRIPTION = """\
Runs a study at many settings and keeps every point, part by part, in a folder. The same line goes on where it stopped.

Options that are not listed here are those of the study (physnet run STUDY --help), for all points.
"""


def command(arguments) -> int:
    """Runs a sweep and prints what came of it; 0, 1 where every point failed, 130 when interrupted."""
    from physnet.sweeps.texts import FORMS

    parser = _parser(FORMS)
    if not arguments or arguments[0] in ("-h", "--help"):
        parser.print_help(sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    options, rest = parser.parse_known_args(arguments)
    if options.study.startswith("-"):
        raise UsageError("sweep: name the study first: physnet sweep STUDY --over FIELD=VALUES")
    study = discovery.load(options.study)
    name = study.__name__.rpartition(".")[2].replace("_", "-")
    if not (options.over or options.zip):
        raise UsageError(f"sweep: give one or more --over FIELD=VALUES, such as --over seed=0:10\n{FORMS}")
    from physnet.sweeps import texts

    config = _config(study, name, rest, options.quick)
    design = texts.design(study.Config, options.over, options.zip, options.draw_seed)
    folder = (options.out or Path(f"{name}-sweep")).expanduser()
    return _run(name, config, design, folder, options)


def _parser(forms):
    parser = argparse.ArgumentParser(
        "physnet sweep",
        usage="physnet sweep STUDY --over FIELD=VALUES ... [options] [the study's own options]",
        description=_DESCRIPTION,
        epilog=forms,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("study", metavar="STUDY", help="see physnet list")
    parser.add_argument("--over", action="append", default=[], metavar="FIELD=VALUES", help="sweep a field; repeatable")
    parser.add_argument(
        "--zip", action="append", default=[], metavar="FIELD=VALUES", help="fields that move together; repeatable"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the sweep (default: STUDY-sweep)")
    parser.add_argument("--quick", action="store_true", help="each point at the study's small size")
    parser.add_argument("--keep", metavar="A,B", help="keep these variables only (default: all)")
    parser.add_argument("--chunk", type=int, metavar="N", help="points per part (default: as many as take 4 s)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on this Dask cluster, such as tcp://10.0.0.1:8786")
    parser.add_argument("--draw-seed", type=int, default=0, metavar="N", help="seed of sobol and random draws")
    parser.add_argument(
        "--resume", action="store_true", help="go on where an earlier run stopped; this is so by default"
    )
    parser.add_argument("--retry-failed", action="store_true", help="run points that failed again")
    parser.add_argument("--force", action="store_true", help="start again; what the sweep holds is lost")
    return parser


def _config(study, name, rest, quick):
    """The configuration that all points share, from the options that are the study's own."""
    import tyro

    def parse(config):
        return tyro.cli(
            study.Config,
            args=rest,
            default=config,
            prog=f"physnet sweep {name}",
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )

    config = parse(study.Config())
    return parse(config.quick()) if quick else config


def _run(name, config, design, folder, options) -> int:
    from physnet.sweeps import parts, running, task
    from physnet.sweeps.crews import connected

    if options.force and options.resume:
        raise UsageError("--resume goes on with the sweep and --force throws it away. Give one of them")
    if options.scheduler and options.workers:
        raise UsageError("--scheduler runs the points on a cluster and --workers on this machine. Give one of them")
    keep = tuple(part.strip() for part in (options.keep or "").split(",") if part.strip())
    work = task.StudyTask(name, config, keep)
    together = work.lanes(design) > 1  # on all devices of one process
    workers = options.workers or (1 if together else min(os.cpu_count() or 1, design.size))
    with connected(options.scheduler) if options.scheduler else contextlib.nullcontext() as client:
        try:
            ds = running.sweep(
                work,
                design,
                out=folder,
                chunk=options.chunk,
                workers=1 if client else workers,
                client=client,
                resume=not options.force,
                retry_failed=options.retry_failed,
                progress=True,
            )
        except KeyboardInterrupt:
            held = sum(p.stop - p.first for p in parts.parts(folder)) if folder.is_dir() else 0
            print(
                f"physnet: interrupted. {folder} holds {held} of {design.size} points; go on with the same command",
                file=sys.stderr,
            )
            return 130
    return _report(ds, folder)


def _report(ds, folder) -> int:
    """Prints what the sweep holds; 1 where nothing came of it."""
    from physnet.sweeps.combined import summary

    print(summary(ds))
    print(folder)
    failed = int((ds.point_status == 1).sum())
    if failed == ds.point_status.size:
        raise PhysnetError(f"every point failed. The first: {ds.point_error.values.flat[0]!s}")
    return 0
