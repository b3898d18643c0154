"""Where a result came from: configuration, versions, git state, seed, device and date, as dataset attributes.

Nothing here names the machine, its user or its folders: only what the user wrote into the configuration is kept.
"""

import dataclasses
import enum
import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path, PurePath

import numpy as np

from physnet.errors import PhysnetError

PACKAGES = ("physnet", "jax", "numpy", "scipy", "xarray", "diffrax", "equinox", "optimistix", "optax")


def collect(config=None, *, seed=None, precision=None, device=None, started=None) -> dict[str, str | int]:
    """The provenance attributes of the `physnet-1` schema.

    config: what determines the result: a mapping, a dataclass, or None. Paths become text exactly as given.
    seed: the integer that seeds the run, or None when nothing is random.
    precision: "single" or "double"; device: how the simulating side names its hardware, for example "cpu".
    started: when the run began, a datetime or ISO 8601 text; now when omitted.

    Returns physnet_config (JSON, sorted keys), physnet_config_sha256, physnet_versions (JSON), physnet_git,
    physnet_device, physnet_precision, physnet_seed and date_created. What is unknown reads "unspecified".
    Raises PhysnetError when a value of the configuration cannot be written as JSON.
    """
    text = config_json(config)
    return {
        "physnet_config": text,
        "physnet_config_sha256": config_sha256(text),
        "physnet_versions": versions(),
        "physnet_git": git_state(Path(__file__).resolve().parent),
        "physnet_device": "unspecified" if device is None else str(device),
        "physnet_precision": "unspecified" if precision is None else str(precision),
        "physnet_seed": "unspecified" if seed is None else int(seed),
        "date_created": _iso(started),
    }


def config_json(config) -> str:
    """The configuration as JSON with sorted keys: equal configurations give equal text.

    config: a mapping or a dataclass of plain values, arrays, paths and such; None for an empty one. Raises PhysnetError
    for anything else.
    """
    plain = {} if config is None else _plain(config, "config")
    if not isinstance(plain, dict):
        raise PhysnetError(f"config is a {type(config).__name__}; pass a mapping or a dataclass")
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, allow_nan=False)


def config_sha256(text: str) -> str:
    """SHA-256 of the configuration's JSON text, in hexadecimal. text: what `config_json` gave."""
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value, where: str):
    """`value` with nothing in it but what JSON holds; `where` names it in errors."""
    if isinstance(value, enum.Enum):  # before the scalars: an IntEnum is an int, yet its name says more
        return value.name
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no inf or nan
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist(), where)
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item, where) for item in value), key=repr)
    raise PhysnetError(
        f"{where} is a {type(value).__name__}, which cannot be recorded as JSON. "
        "Use numbers, text, paths, sequences, mappings or dataclasses"
    )


def _iso(moment) -> str:
    if isinstance(moment, str):
        return moment
    moment = datetime.now(UTC) if moment is None else moment
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def version() -> str:
    """The version of physnet that is installed."""
    try:
        return metadata.version("physnet")
    except metadata.PackageNotFoundError:
        return "unknown"


@cache
def versions() -> str:
    """Versions of Python and of the installed packages that results depend on, as JSON; nothing is imported."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return json.dumps(found)


@cache
def git_state(source: Path) -> str:
    """The commit that `source` is checked out at, with "-dirty" when Python files differ from it, or "none".

    Cached: the code that runs is the code that was there when the process began to use it.
    """
    # A virtual environment inside someone's repository is no checkout of this package: its files must be tracked.
    if _git(source, "ls-files", "--error-unmatch", "provenance.py") is None:
        return "none"
    commit = _git(source, "rev-parse", "HEAD")
    if not commit:
        return "none"
    changes = _git(source, "status", "--porcelain", "--untracked-files=all", "--", ":(top)*.py")
    # An unanswered status is not a clean one.
    return f"{commit}-dirty" if changes is None or changes else commit


def _git(folder: Path, *arguments: str) -> str | None:
    # Inside a git hook GIT_DIR and its kin point at another repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
