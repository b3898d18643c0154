"""Provenance: equal configurations give equal text, and nothing names the machine."""

import enum
import json
import platform
import re
import subprocess
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from physnet import provenance
from physnet.errors import PhysnetError


class Method(enum.Enum):
    CENTRED = 1


@dataclass(frozen=True)
class Config:
    hidden: tuple[int, ...] = (100, 10)
    beta: float = 1.0
    data: Path | None = Path("data/mnist")
    method: Method = Method.CENTRED
    gains: dict = field(default_factory=lambda: {"b": np.float32(0.5), "a": np.arange(2)})


def test_a_config_becomes_sorted_json():
    text = provenance.config_json(Config())
    assert text == (
        '{"beta": 1.0, "data": "data/mnist", "gains": {"a": [0, 1], "b": 0.5}, '
        '"hidden": [100, 10], "method": "CENTRED"}'
    )
    assert provenance.config_json({"b": 1, "a": {2, 1}}) == provenance.config_json({"a": {1, 2}, "b": 1})
    assert provenance.config_json(None) == "{}"


def test_numbers_that_json_lacks_become_text():
    assert json.loads(provenance.config_json({"a": float("inf"), "b": float("nan")})) == {"a": "inf", "b": "nan"}


@pytest.mark.parametrize(
    ("config", "message"),
    [({"a": {"f": [print]}}, r"config\.a\.f\[0\] is a builtin"), (3, "config is a int"), ({"z": 1j}, "complex")],
)
def test_what_cannot_be_recorded_is_named(config, message):
    with pytest.raises(PhysnetError, match=message):
        provenance.config_json(config)


def test_collect_gives_text_and_integers_only():
    found = provenance.collect(Config(), seed=np.int64(3), precision="double", device="cpu")
    assert all(type(value) in (str, int) for value in found.values())
    assert found["physnet_seed"] == 3 and found["physnet_precision"] == "double" and found["physnet_device"] == "cpu"
    assert found["physnet_config_sha256"] == provenance.config_sha256(found["physnet_config"])
    versions = json.loads(found["physnet_versions"])
    assert versions["python"] == platform.python_version() and versions["numpy"] == np.__version__
    datetime.strptime(found["date_created"], "%Y-%m-%dT%H:%M:%SZ")
    assert provenance.collect()["physnet_seed"] == "unspecified"


def test_the_start_is_written_in_utc():
    started = datetime(2025, 1, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert provenance.collect(started=started)["date_created"] == "2025-01-01T23:30:00Z"
    assert provenance.collect(started="2025-01-01T00:00:00Z")["date_created"] == "2025-01-01T00:00:00Z"


def test_nothing_names_the_machine():
    found = provenance.collect({})
    assert re.fullmatch("none|[0-9a-f]{40}(-dirty)?", found["physnet_git"])
    assert str(Path(provenance.__file__).parent) not in json.dumps(found)
    assert set(json.loads(found["physnet_versions"])) == {"python", *provenance.PACKAGES}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository that holds a provenance.py, with git's identity set for this test alone."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "someone@example.org")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "provenance.py").write_text("a = 1\n")
    try:
        subprocess.run(["git", "init", "-q", tmp_path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git here")
    provenance.git_state.cache_clear()
    yield tmp_path
    provenance.git_state.cache_clear()


def _commit(folder):
    for command in (["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-C", folder, *command], check=True, capture_output=True)


def _state(folder):
    provenance.git_state.cache_clear()
    return provenance.git_state(folder / "package")


def test_git_state_follows_the_checkout(checkout, monkeypatch):
    assert _state(checkout) == "none"  # nothing committed
    _commit(checkout)
    clean = _state(checkout)
    assert len(clean) == 40
    (checkout / "result.nc").write_text("not code")
    assert _state(checkout) == clean
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a hook
    assert _state(checkout) == clean
    (checkout / "package" / "provenance.py").write_text("a = 2\n")
    assert _state(checkout) == f"{clean}-dirty"


def test_an_installed_copy_inside_another_repository_has_no_commit(checkout):
    _commit(checkout)
    (checkout / "venv").mkdir()
    (checkout / "venv" / "provenance.py").write_text("a = 1\n")
    assert provenance.git_state(checkout / "venv") == "none"


def test_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _state(tmp_path) == "none"


def test_a_git_that_hangs(monkeypatch, tmp_path):
    def hang(*arguments, **options):
        raise subprocess.TimeoutExpired("git", options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert _state(tmp_path) == "none"
