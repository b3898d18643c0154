"""The command: what it prints where, its exit status, and what is left on disk when something goes wrong."""

import importlib
import json
import os
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from physnet import discovery, results
from physnet.cli import main
from physnet.errors import PhysnetError
from physnet.variable import Variable

STUDY = '''"""Counts steps of a toy.

More about it.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Config:
    """What the toy does."""

    steps: int = 20
    """How many steps (1)."""
    step_voltage: float = 0.5
    """Voltage of one step (V)."""
    stop_at: int = -1
    """Step at which someone presses Ctrl-C, -1 for never."""

    def quick(self):
        return replace(self, steps=2)


def run(config, *, out=None, resume=False, progress=True):
    import numpy as np

    from physnet import provenance, results
    from physnet.variable import Variable

    done = list(results.open(out).voltage.values) if resume else []
    attrs = provenance.collect(config, seed=0) | {"physnet_study": "toy_study"}
    for step in range(len(done), config.steps):
        if step == config.stop_at:
            raise KeyboardInterrupt
        done.append((step + 1) * config.step_voltage)
        ds = results.to_dataset(
            [(Variable("voltage", ("step",), "V", "voltage"), np.array(done))], title="toy", attrs=attrs
        )
        if out is not None:
            results.save(ds, out, overwrite=step > 0 or out.exists())
    return ds


def figures(ds):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot(ds.voltage)
    return {"voltage": figure}


def summary(ds):
    return f"reached {float(ds.voltage[-1])} V in {ds.sizes['step']} steps"
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A package of studies, registered as an installed one would be, and an empty working folder."""
    package = tmp_path / "toy_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('listing studies must not import them')\n")
    (package / "_helper.py").write_text("")
    (package / "broken.py").write_text('"""A broken one."""\nimport nothing_of_this_name\n')
    (package / "unfinished.py").write_text('"""An unfinished one."""\n')
    (package / "toy_study.py").write_text(STUDY)
    entry = metadata.EntryPoint("toys", "toy_package", discovery.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry] * (group == discovery.GROUP))
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "toy_package"]:
        del sys.modules[name]


@pytest.fixture
def importable(toy):
    (toy / "__init__.py").write_text("")
    importlib.invalidate_caches()
    return toy


def voltages(path="toy-study.nc"):
    return results.open(path).voltage.values.tolist()


# Discovery.


def test_list_reads_titles_without_importing(toy, capsys):
    (toy / "wrong.py").write_text("def (:\n")
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(maxsplit=1) == ["broken", "A broken one."]
    assert lines[1].split(maxsplit=1) == ["toy-study", "Counts steps of a toy."]
    assert lines[3].startswith("wrong") and "cannot be read" in lines[3]
    assert len(lines) == 4
    assert "toy_package" not in sys.modules


def test_both_spellings_load_the_same_study(importable):
    assert discovery.load("toy-study") is discovery.load("toy_study")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "cannot be imported: No module named 'nothing_of_this_name'"),
        ("unfinished", "has no Config, run, figures, summary"),
        ("toystudy", r"unknown study 'toystudy'\. Did you mean 'toy-study'\? Studies: broken, toy-study, unfinished"),
        ("zzzz", "unknown study 'zzzz'. Studies: "),
    ],
)
def test_studies_that_do_not_load(importable, name, message):
    with pytest.raises(PhysnetError, match=message):
        discovery.load(name)


def test_a_registered_package_that_is_gone(monkeypatch):
    entry = metadata.EntryPoint("gone", "gone_package", discovery.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    with pytest.raises(PhysnetError, match="'gone_package' is registered but cannot be found"):
        discovery.studies()


def test_two_studies_of_one_name(toy, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "toy_study.py").write_text("")
    entries = [metadata.EntryPoint(name, name, discovery.GROUP) for name in ("toy_package", "other")]
    monkeypatch.setattr(metadata, "entry_points", lambda group: entries)
    with pytest.raises(PhysnetError, match=r"'toy-study' is in other\.toy_study and in toy_package\."):
        discovery.studies()


# Running.


def test_run_prints_the_summary_and_the_path_last(importable, capsys):
    assert main(["run", "toy-study", "--steps", "3", "--step-voltage", "2"]) == 0
    out = capsys.readouterr().out
    assert out == "reached 6.0 V in 3 steps\ntoy-study.nc\n"
    assert voltages() == [2.0, 4.0, 6.0]
    assert json.loads(results.open("toy-study.nc").physnet_config)["step_voltage"] == 2.0


def test_quick_yields_to_what_is_given_beside_it(importable):
    assert main(["run", "toy_study", "--quick", "--step-voltage", "2", "--out", "a.nc"]) == 0
    assert voltages("a.nc") == [2.0, 4.0]
    assert main(["run", "toy_study", "--steps", "3", "--quick", "--out", "b.nc"]) == 0
    assert len(voltages("b.nc")) == 3


def test_help_shows_every_field_with_unit_and_default(importable, capsys):
    assert main(["run", "toy-study", "--help"]) == 0
    out = capsys.readouterr().out
    for text in ("Counts steps of a toy.", "--step-voltage", "Voltage of one step (V).", "0.5", "toy-study.nc"):
        assert text in out
    for flag in ("--resume", "--force", "--quick"):
        assert flag in out and f"{flag} {{" not in out
    assert main(["run", "--help"]) == 0
    assert "toy-study" in capsys.readouterr().out


def test_an_existing_file_is_kept_before_any_work(importable, capsys):
    assert main(["run", "toy-study", "--quick"]) == 0
    capsys.readouterr()
    assert main(["run", "toy-study", "--steps", "4"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("physnet: error: toy-study.nc exists. Continue it with --resume")
    assert len(voltages()) == 2
    assert main(["run", "toy-study", "--steps", "4", "--step-voltage", "3", "--resume"]) == 0
    assert voltages() == [0.5, 1.0, 9.0, 12.0]
    assert main(["run", "toy-study", "--steps", "1", "--force"]) == 0
    assert voltages() == [0.5]


def test_an_interrupted_run_says_what_is_kept_and_how_to_go_on(importable, capsys):
    command = ["run", "toy-study", "--steps", "5"]
    assert main([*command, "--stop-at", "0"]) == 130
    assert "Nothing was written to toy-study.nc" in capsys.readouterr().err
    assert main([*command, "--stop-at", "3", "--force"]) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "continue with: physnet run toy-study --steps 5 --stop-at 3 --resume" in captured.err
    assert len(voltages()) == 3
    assert main([*command, "--stop-at", "0", "--force"]) == 130
    assert "toy-study.nc is as it was before" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert voltages() == [0.5, 1.0, 1.5, 2.0, 2.5]


def test_resume_without_a_file_starts_anew(importable, capsys):
    assert main(["run", "toy-study", "--quick", "--resume"]) == 0
    assert "nothing to resume" in capsys.readouterr().err
    assert len(voltages()) == 2


def test_resume_refuses_files_that_are_not_its_own(importable, capsys):
    ds = results.to_dataset([], title="t", attrs={"physnet_study": "digits"})
    results.save(ds, "other.nc")
    assert main(["run", "toy-study", "--resume", "--out", "other.nc"]) == 1
    assert "other.nc is a result of study 'digits', not of 'toy-study'" in capsys.readouterr().err
    with open("text.nc", "w") as file:
        file.write("not netCDF")
    assert main(["run", "toy-study", "--resume", "--out", "text.nc"]) == 1
    assert "text.nc is not a netCDF file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "toy-study", "--out", "nowhere/a.nc"], 1, "the folder nowhere does not exist"),
        (["run", "toy-study", "--out", "."], 1, "is a folder"),
        (["run", "toy-study", "--out", "/dev/null"], 1, "not a regular file"),
        (["run", "toy-study", "--resume", "--force"], 2, "Give one of them"),
        (["run", "toy-study", "--step", "3"], 2, "--steps"),
        (["run", "toy-study", "--steps", "three"], 2, "three"),
        (["run", "toystudy"], 2, "Did you mean 'toy-study'?"),
        (["run"], 2, "name the study first. Studies: broken, toy-study"),
        (["run", "broken"], 1, "cannot be imported"),
        (["runn"], 2, "unknown command 'runn'. Did you mean 'run'?"),
        (["--versoin"], 2, "unknown option '--versoin'. Did you mean '--version'?"),
        (["inspect"], 2, "FILE"),
        (["inspect", "a.nc"], 1, "a.nc does not exist"),
        (["figures", "a.nc"], 1, "a.nc does not exist"),
        (["list", "--long"], 2, "--long"),
    ],
)
def test_errors_are_clear_and_change_nothing(importable, tmp_path, capsys, arguments, code, message):
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    assert message in captured.err
    assert list((tmp_path / "work").iterdir()) == []


# Inspecting and drawing.


def test_figures_are_drawn_from_the_file(importable, capsys):
    main(["run", "toy-study", "--quick"])
    capsys.readouterr()
    assert main(["figures", "toy-study.nc", "--out", "deep/pictures"]) == 0
    path = os.path.join("deep", "pictures", "voltage.png")
    assert capsys.readouterr().out == f"{path}\n"
    with open(path, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("attrs", "message"),
    [({}, "names no study"), ({"physnet_study": "gone"}, "comes from a study that is not installed")],
)
def test_figures_of_a_file_without_a_study(importable, capsys, attrs, message):
    results.save(results.to_dataset([], title="t", attrs=attrs), "a.nc")
    assert main(["figures", "a.nc"]) == 1
    assert message in capsys.readouterr().err


def test_figures_that_have_nowhere_to_go(importable, capsys):
    main(["run", "toy-study", "--quick"])
    assert main(["figures", "toy-study.nc", "--out", "toy-study.nc"]) == 1
    assert "cannot hold the figures" in capsys.readouterr().err


def test_inspect_goes_on_after_a_bad_file(importable, capsys):
    main(["run", "toy-study", "--quick"])
    capsys.readouterr()
    assert main(["inspect", "none.nc", "toy-study.nc", "toy-study.nc", "--json"]) == 1
    captured = capsys.readouterr()
    cards = [json.loads(line) for line in captured.out.splitlines()]
    assert [card["title"] for card in cards] == ["toy", "toy"]
    assert cards[0]["variables"][0]["units"] == "V" and cards[0]["violations"] == []
    assert captured.err == "physnet: error: none.nc does not exist.\n"


# The installed command, as a process of its own.


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "physnet", *arguments], capture_output=True, text=True, **options
    )


def test_version_help_and_unknown_study_as_a_process(tmp_path):
    done = command("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"physnet {metadata.version('physnet')}\n")
    done = command(cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("usage: physnet")
    assert done.stdout == command("--help", cwd=tmp_path).stdout
    done = command("run", "no-such-study-anywhere", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("physnet: error: unknown study 'no-such-study-anywhere'.")


def test_inspect_as_a_process(tmp_path):
    ds = results.to_dataset([(Variable("v", ("node",), "V", "voltage"), np.ones(3))], title="t")
    results.save(ds, tmp_path / "a.nc")
    done = command("inspect", "a.nc", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "follows physnet-1" in done.stdout


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "physnet", "--help"], stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
