"""Runs every study at its small size and keeps what it printed and drew: python docs/_build/gallery.py [NAME ...]

The gallery of the site is made of this (docs/_build/gallery_pages.py). A study that ran is kept with a key of the code
and of its command, so that a second build runs nothing; one that failed is tried again every time.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "gallery"
PACKAGES = ("physnet", "circuits", "oscillators", "studies")
LIMIT = 300  # seconds for one study
AT_ONCE = 2
# Attributes of a result that say where it came from, in the order in which a page shows them.
PROVENANCE = (
    *("date_created", "physnet_git", "physnet_versions", "physnet_device", "physnet_precision"),
    *("physnet_seed", "physnet_config_sha256"),
)


@dataclass(frozen=True)
class Entry:
    """One page of the gallery: its name, the study that it shows, and the options beside --quick."""

    name: str
    study: str
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows `physnet` on the command line, without --out."""
        return ("run", self.study, *self.options, "--quick")

    @property
    def command(self) -> str:
        """The command as a reader types it."""
        return " ".join(("physnet", *self.arguments))

    @property
    def folder(self) -> Path:
        """Where the outcome is kept."""
        return KEPT / self.name

    @property
    def key(self) -> str:
        """Changes with the code of the four packages and with the command."""
        return hashlib.sha256(f"{code_sha256()}\n{self.command}".encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What came of an entry.

    seconds: of `physnet run`, wall time. summary: what it printed. message: why it failed, else empty.
    figures: pictures, absolute paths. provenance: attributes of the result.
    """

    key: str
    seconds: float
    summary: str
    message: str
    figures: tuple[Path, ...]
    provenance: dict[str, str]


@cache
def code_sha256() -> str:
    """SHA-256 over every Python file of the four packages, names included."""
    digest = hashlib.sha256()
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def entries() -> list[Entry]:
    """Every study once; the energy landscape once for each of its systems."""
    from physnet.discovery import studies
    from studies.energy_landscape import SYSTEMS

    found = []
    for name in studies():
        if name == "energy-landscape":
            found += [Entry(f"{name}-{system}", name, ("--system", system)) for system in SYSTEMS]
        else:
            found.append(Entry(name, name))
    return found


def kept(entry: Entry) -> Outcome | None:
    """What is kept of an entry, run by this very code; None where there is nothing."""
    try:
        record = json.loads((entry.folder / "record.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if record["key"] != entry.key:
        return None
    figures = tuple(entry.folder / name for name in record.pop("figures"))
    return Outcome(**record, figures=figures)


def run(entry: Entry) -> Outcome:
    """Runs an entry, draws its result and keeps both; a failure is told, not kept."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT, prefix=".running-") as name:
        folder = Path(name)
        began = time.perf_counter()
        ran = _physnet(folder, *entry.arguments, "--out", "result.nc")
        seconds = time.perf_counter() - began
        if ran.returncode:
            return Outcome(entry.key, seconds, "", _last_message(ran), (), {})
        drawn = _physnet(folder, "figures", "result.nc", "--out", ".")
        if drawn.returncode:
            return Outcome(entry.key, seconds, ran.stdout, _last_message(drawn), (), {})
        record = {
            "key": entry.key,
            "seconds": seconds,
            "summary": ran.stdout.removesuffix("result.nc\n").strip("\n"),
            "message": "",
            "figures": [Path(line).name for line in drawn.stdout.splitlines()],
            "provenance": _provenance(folder / "result.nc"),
        }
        (folder / "record.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        shutil.rmtree(entry.folder, ignore_errors=True)
        shutil.copytree(folder, entry.folder)
    return kept(entry)


def _physnet(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """`physnet ARGUMENTS` in `folder`, on the CPU; a process past its time ends with status 124."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "MPLBACKEND": "Agg", "COLUMNS": "100"}
    command = [sys.executable, "-m", "physnet", *arguments]
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": LIMIT}
    try:
        return subprocess.run(command, cwd=folder, env=environment, **options)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"stopped after {LIMIT} s, the limit of the gallery")


def _last_message(done: subprocess.CompletedProcess) -> str:
    """The error that a process ended with, without the progress before it."""
    text = done.stderr.strip()
    at = text.rfind("physnet: error:")
    return text[at:] if at >= 0 else "\n".join(text.splitlines()[-5:]) or f"ended with status {done.returncode}"


def _provenance(path: Path) -> dict[str, str]:
    from physnet import results

    attributes = results.open(path).attrs
    return {name: str(attributes[name]) for name in PROVENANCE if name in attributes}


def run_missing(wanted: list[Entry]) -> dict[str, Outcome]:
    """The outcome of every entry by name; what is not kept is run, two at a time, progress on stderr."""
    found = {entry.name: outcome for entry in wanted if (outcome := kept(entry)) is not None}
    missing = [entry for entry in wanted if entry.name not in found]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for entry, outcome in zip(missing, pool.map(run, missing)):
            found[entry.name] = outcome
            state = f"failed: {outcome.message}" if outcome.message else "ran"
            print(f"gallery: {entry.command}: {state} ({outcome.seconds:.0f} s)", file=sys.stderr, flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def main() -> int:
    """Runs what is missing; 0 when every study ran, 1 when not, 130 when interrupted."""
    parser = argparse.ArgumentParser(description="Run every study at its small size and keep what it printed and drew.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="pages of the gallery (default: all)")
    names = parser.parse_args().names
    known = {entry.name: entry for entry in entries()}
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no page called {', '.join(unknown)}. Pages: {', '.join(known)}")
    began = time.perf_counter()
    try:
        found = run_missing([known[name] for name in names or known])
    except KeyboardInterrupt:
        print(f"gallery: interrupted. {KEPT} holds what ran so far; the same command goes on", file=sys.stderr)
        return 130
    failed = [name for name, outcome in found.items() if outcome.message]
    print(f"{len(found) - len(failed)} of {len(found)} in {KEPT}, {time.perf_counter() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
