"""A run repeated from its result: that the numbers agree, that a difference shows, and what cannot be repeated."""

import json
import subprocess
import sys

import pytest
import xarray as xr

from physnet import provenance, results
from physnet.cli import main
from physnet.errors import PhysnetError
from physnet.repeat import repeat

pytest_plugins = ("toys",)

READER = '''"""Adds numbers from a file."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    """What is added."""

    data: Path | None = None
    """Text file of numbers."""
    offset: float = 0.0
    """What the sum begins with [V]."""

    def quick(self):
        return self


def run(config, *, out=None, resume=False, progress=True):
    import numpy as np

    from physnet import provenance, results
    from physnet.variable import Variable

    ds = results.to_dataset(
        [(Variable("total", (), "V", "sum of the file"), config.offset + np.loadtxt(config.data).sum())],
        title="a sum",
        attrs=provenance.collect(config) | {"physnet_study": "reader"},
    )
    results.save(ds, out, overwrite=True)
    return ds


def figures(ds):
    return {}


def summary(ds):
    return f"{float(ds.total)} V"
'''


@pytest.fixture
def first(importable, capsys):
    """The package of the toy study, where a result of two steps lies in the working folder."""
    assert main(["run", "toy-study", "--quick", "--step-voltage", "0.1"]) == 0
    capsys.readouterr()
    return importable


def forged(change, path="toy-study.nc"):
    """The result after `change` of its attributes by another program."""
    ds = results.open(path)
    change(ds.attrs)
    ds.to_netcdf(path)


def test_the_same_run_gives_the_same_numbers(first, tmp_path, capsys):
    before = (tmp_path / "work" / "toy-study.nc").read_bytes()
    assert main(["run", "--from", "toy-study.nc"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "reached 0.2 V in 2 steps" and out[-1] == "toy-study-again.nc"
    assert "the numbers agree" in out and "configuration: the same" in out
    assert not any("need not agree" in line for line in out)
    assert (tmp_path / "work" / "toy-study.nc").read_bytes() == before
    again = results.open("toy-study-again.nc")
    assert again.voltage.values.tolist() == [0.1, 0.2]
    assert again.physnet_config_sha256 == results.open("toy-study.nc").physnet_config_sha256


def test_a_study_whose_code_has_changed_is_found_out(first, rewrite, capsys):
    rewrite("(step + 1) * config.step_voltage", "(step + 1) * config.step_voltage * (1 + 1e-6)")
    assert main(["run", "--from=toy-study.nc", "--out", "b.nc"]) == 1
    out = capsys.readouterr().out
    assert "the numbers DISAGREE: voltage" in out
    assert "physnet compare toy-study.nc b.nc --rtol 1e-6" in out
    assert out.splitlines()[-1] == "b.nc"


def test_options_beside_it_replace_those_of_the_file(first, capsys):
    assert main(["run", "--steps", "3", "--from", "toy-study.nc"]) == 0
    out = capsys.readouterr().out
    assert "steps: 2 in toy-study.nc, 3 here" in out and "step_voltage" not in out.split("configuration:")[0]
    assert "the numbers DISAGREE" in out and "the numbers need not agree" in out
    assert results.open("toy-study-again.nc").voltage.values[-1] == pytest.approx(0.3)


def test_help_shows_the_settings_of_the_file(first, capsys):
    assert main(["run", "--from", "toy-study.nc", "--help"]) == 0
    out = capsys.readouterr().out
    assert "(default: 0.1)" in out and "toy-study-again.nc" in out
    assert main(["run", "--help"]) == 0
    assert "--from FILE" in capsys.readouterr().out


def test_an_interrupted_repetition_goes_on(first, capsys):
    command = ["run", "--from", "toy-study.nc", "--steps", "4"]
    assert main([*command, "--stop-at", "3"]) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "continue with: physnet run --from toy-study.nc --steps 4 --stop-at 3 --resume" in captured.err
    assert main(command) == 1
    assert "toy-study-again.nc exists. Continue it with --resume" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert results.open("toy-study-again.nc").sizes["step"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda attrs: attrs.pop("physnet_study"), "toy-study.nc does not come from a study"),
        (lambda attrs: attrs.update(physnet_study="gone"), "a study that is not installed: unknown study 'gone'"),
        (lambda attrs: attrs.update(physnet_config='{"steps": 3}'), "does not match its SHA-256"),
    ],
)
def test_results_that_cannot_be_repeated(first, tmp_path, capsys, change, message):
    forged(change)
    assert main(["run", "--from", "toy-study.nc"]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.out == ""
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["toy-study.nc"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from"], 2, "needs a result file"),
        (["--from", "--steps", "3"], 2, "needs a result file"),
        (["--from", "a.nc", "--from", "b.nc"], 2, "--from is given twice"),
        (["toy-study", "--from", "toy-study.nc"], 2, "Leave out 'toy-study'"),
        (["--from", "toy-stdy.nc"], 1, "toy-stdy.nc does not exist. Did you mean toy-study.nc"),
        (["--from", "toy-study.nc", "--out", "toy-study.nc", "--force"], 1, "is the result to be repeated"),
        (["--from", "toy-study.nc", "--out", "nowhere/a.nc"], 1, "the folder nowhere does not exist"),
        (["--from", "toy-study.nc", "--step", "3"], 2, "--steps"),
    ],
)
def test_wrong_command_lines(first, tmp_path, capsys, arguments, code, message):
    before = (tmp_path / "work" / "toy-study.nc").read_bytes()
    assert main(["run", *arguments]) == code
    assert message in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["toy-study.nc"]
    assert (tmp_path / "work" / "toy-study.nc").read_bytes() == before


def test_fields_that_the_study_lost_or_gained(first, rewrite, capsys):
    rewrite('steps: int = 20\n    """How many', 'rungs: int = 2\n    """How many')
    assert main(["run", "--from", "toy-study.nc"]) == 1
    error = capsys.readouterr().err
    assert "toy-study.nc" in error and "no option 'steps'" in error and "rungs" in error
    rewrite("rungs: int = 2", "steps: int = 2\n    gain: float = 1.0")
    assert main(["run", "--from", "toy-study.nc"]) == 0
    assert "gain: not in toy-study.nc; the default of today's study was taken" in capsys.readouterr().out


def test_data_that_lie_elsewhere_now(importable, tmp_path, capsys):
    (importable / "reader.py").write_text(READER)
    data = tmp_path / "numbers.txt"
    data.write_text("1 2 3.5")
    assert main(["run", "reader", "--data", str(data)]) == 0
    moved = data.rename(tmp_path / "moved.txt")
    capsys.readouterr()
    assert main(["run", "--from", "reader.nc"]) == 1
    error = capsys.readouterr().err
    assert f"files that are not here: data {data}" in error and "--data PATH" in error and "Traceback" not in error
    assert main(["run", "--from", "reader.nc", "--data", str(moved)]) == 0
    out = capsys.readouterr().out
    assert "the numbers agree" in out and "need not agree" not in out
    moved.write_text("1 2 4")  # other data under a new name are no excuse
    assert main(["run", "--from", "reader.nc", "--data", str(moved), "--force"]) == 1


def test_repeat_from_python(first, tmp_path):
    again = repeat("toy-study.nc", tmp_path / "b.nc", progress=False)
    assert again.agree and again.expected and again.changes == {} and again.added == ()
    other = repeat("toy-study.nc", tmp_path / "c.nc", progress=False, step_voltage=0.2)
    assert not other.agree and not other.expected and other.changes == {"step_voltage": (0.1, 0.2)}
    assert "step_voltage: 0.1 in toy-study.nc, 0.2 here" in str(other)
    with pytest.raises(PhysnetError, match="exists"):
        repeat("toy-study.nc", tmp_path / "b.nc")
    with pytest.raises(PhysnetError, match="no option 'step_volts'. Did you mean 'step_voltage'"):
        repeat("toy-study.nc", tmp_path / "d.nc", step_volts=1.0)
    with pytest.raises(PhysnetError, match="steps = 'many'"):
        repeat("toy-study.nc", tmp_path / "d.nc", steps="many")
    with pytest.raises(PhysnetError, match="is the result to be repeated"):
        repeat("toy-study.nc", "toy-study.nc", overwrite=True)


def test_a_configuration_that_is_no_json(first, capsys):
    broken = {"physnet_config": "{steps", "physnet_config_sha256": provenance.config_sha256("{steps")}
    forged(lambda attrs: attrs.update(broken))
    assert main(["run", "--from", "toy-study.nc"]) == 1
    assert "is not JSON" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("study", ["flow-network", "gradient-quality", "synchronisation-map"])
def test_real_studies_repeat_bit_for_bit(study, tmp_path):
    def physnet(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "physnet", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )

    physnet("run", study, "--quick", "--out", "first.nc")
    assert "the numbers agree" in physnet("run", "--from", "first.nc").stdout
    assert json.loads(physnet("compare", "first.nc", "first-again.nc", "--rtol", "0", "--json").stdout)["agree"]
    first, again = results.open(tmp_path / "first.nc"), results.open(tmp_path / "first-again.nc")
    clocks = [name for name in first.data_vars if name.endswith("_time")]
    xr.testing.assert_equal(first.drop_vars(clocks), again.drop_vars(clocks))
