"""The command: what it prints where, its exit status, and what is left on disk when something goes wrong."""

import json
import os
import struct
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from physnet import discovery, results
from physnet.cli import main
from physnet.errors import PhysnetError
from physnet.variable import Variable

pytest_plugins = ("toys",)


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
        (["run"], 2, "name the study first, or a result to repeat (--from FILE). Studies: broken, toy-study"),
        (["run", "broken"], 1, "cannot be imported"),
        (["runn"], 2, "unknown command 'runn'. Did you mean 'run'?"),
        (["--versoin"], 2, "unknown option '--versoin'. Did you mean '--version'?"),
        (["inspect"], 2, "FILE"),
        (["inspect", "a.nc"], 1, "a.nc does not exist"),
        (["figures", "a.nc"], 1, "a.nc does not exist"),
        (["figures", "a.nc", "--format", "gif"], 2, "invalid choice: 'gif'"),
        (["figures", "a.nc", "--dpi", "0"], 2, "'0' is no resolution; give 1 to 2400 dots per inch"),
        (["figures", "a.nc", "--dpi", "fine"], 2, "'fine' is no resolution"),
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


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG\r\n\x1a\n"), ("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_figures_are_drawn_from_the_file(importable, capsys, kind, start):
    main(["run", "toy-study", "--quick"])
    capsys.readouterr()
    assert main(["figures", "toy-study.nc", "--out", "deep/pictures", "--format", kind]) == 0
    path = os.path.join("deep", "pictures", f"voltage.{kind}")
    assert capsys.readouterr().out == f"{path}\n"
    assert os.listdir("deep/pictures") == [f"voltage.{kind}"]
    with open(path, "rb") as file:
        assert file.read(8).startswith(start)


def test_the_resolution_of_figures(importable):
    main(["run", "toy-study", "--quick"])
    assert main(["figures", "toy-study.nc", "--dpi", "50"]) == 0
    with open("figures/voltage.png", "rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:])
    assert (width, height) == (320, 240)  # matplotlib's 6.4 by 4.8 inches


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
