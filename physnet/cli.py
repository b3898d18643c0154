"""The command `physnet`: its own commands (physnet.commands) and those that other packages add (an entry point).

Results go to stdout, progress and errors to stderr.

Nothing heavy is imported before it is needed: a study brings the simulator in when it runs.
"""

import contextlib
import difflib
import importlib
import os
import sys

from physnet import discovery
from physnet.errors import PhysnetError, UsageError

# Each has a function `command(arguments)` that returns the exit status.
COMMANDS = {
    "list": "physnet.commands.listing",
    "run": "physnet.commands.running",
    "sweep": "physnet.commands.sweeping",
    "inspect": "physnet.commands.inspecting",
    "compare": "physnet.commands.comparing",
    "figures": "physnet.commands.drawing",
    "report": "physnet.commands.reporting",
}

USAGE = """\
usage: physnet [--version] [--help] COMMAND ...

Physics that computes and learns by settling.

commands:
  list                           the studies that can be run
  run STUDY [options]            run a study and write its result; run STUDY --help shows every option
  run --from FILE [options]      repeat a run from its result, and say whether the numbers agree
  sweep STUDY --over ...         run a study at many settings, part by part; goes on where it stopped
  inspect FILE ... [--json]      what a result file or sweep holds, and whether it follows the schema
  compare A B [--json]           what differs between two results: settings, provenance, numbers
  figures FILE [--out DIR]       draw a result file's figures, in DIR (default: figures)
  report FILE|DIR ... --out HTML one page with figures, summary, provenance and every variable
"""


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
    if first in COMMANDS:  # nothing installed beside physnet replaces one of these
        return importlib.import_module(COMMANDS[first]).command(rest)
    added = discovery.commands()
    if first in added:
        return discovery.load_command(added[first])(rest)
    names = [*COMMANDS, *added]
    near = difflib.get_close_matches(first, [*names, "--version", "--help"], n=1, cutoff=0.4)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    kind = "option" if first.startswith("-") else "command"
    raise UsageError(f"unknown {kind} '{first}'.{hint} Commands: {', '.join(names)}")
