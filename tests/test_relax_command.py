"""`physnet relax`: what it prints where, its exit status, and what is left on disk."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from circuits.spice import command as module
from circuits.spice import ngspice
from circuits.spice.report import quantity
from physnet import discovery, results
from physnet.cli import main
from physnet.errors import PhysnetError

DECK = """a clamp
V1 in 0 2
R1 in out 1k
D1 out 0 dm
R2 out 0 10k
.model dm d is=1e-12
.print v(out)
.tran 1u 1m
.end
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a deck; the command as an installed one would be."""
    (tmp_path / "a.cir").write_text(DECK)
    entries = {discovery.COMMANDS: [metadata.EntryPoint("relax", "circuits.spice.command:command", discovery.COMMANDS)]}
    monkeypatch.setattr(metadata, "entry_points", lambda group: entries.get(group, []))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_operating_point(capsys):
    assert main(["relax", "a.cir"]) == 0
    captured = capsys.readouterr()
    lines = [line.split() for line in captured.out.splitlines()]
    assert lines[0] == ["node", "potential"] and lines[1] == ["in", "2", "V"]
    assert lines[2][0] == "out" and lines[2][2] == "mV" and 500 < float(lines[2][1]) < 600
    source = next(line for line in lines if line[:1] == ["v1"])
    assert source[1:5] == ["voltage", "source", "2", "V"] and float(source[-2]) < 0
    assert "Kirchhoff's current law holds: relative residual" in captured.out
    assert "Power delivered: " in captured.out and "Solved by OperatingPoint" in captured.out
    assert "a.cir:7: .print is passed over" in captured.err and "physnet.integrate" in captured.err


def test_a_sweep_is_saved_and_checked(capsys):
    command = ["relax", "a.cir", "--sweep", "V1=0:2:0.5", "--out", "a.nc"]
    check = ["--check", "ngspice"] if ngspice.available() else []
    assert main([*command, *check]) == 0
    out = capsys.readouterr().out
    assert out.startswith("5 operating points: v1 from 0 to 2") and out.endswith("a.nc\n")
    assert "holds at 5 of 5 points" in out
    if check:
        assert "ngspice agrees: 10 potentials compared" in out
    ds = results.open("a.nc")
    assert results.validate(ds) == [] and ds.title == "a clamp"
    assert ds.input_value.values.tolist() == [0, 0.5, 1, 1.5, 2] and ds.input_value.units == "V"
    assert ds.input_value.dims == ("sample",) and ds.converged.values.all()
    power = ds.branch_power.sum("branch").values
    assert np.max(np.abs(power)) < 1e-12
    before = Path("a.nc").read_bytes()
    assert main(command) == 1
    assert "a.nc exists" in capsys.readouterr().err and Path("a.nc").read_bytes() == before
    assert main([*command, "--force"]) == 0


def test_the_sweep_of_the_deck_is_run(folder, capsys):
    (folder / "b.cir").write_text(DECK.replace(".end\n", ".dc V1 0 2 0.5\n.end\n"))
    assert main(["relax", "b.cir"]) == 0
    assert capsys.readouterr().out.startswith("5 operating points: v1 from 0 to 2")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "FILE.cir"),
        (["a.cir", "--sweeep", "V1=0:1:1"], 2, "--sweeep"),
        (["a.cir", "--check", "spectre"], 2, "spectre"),
        (["flaots.cir"], 1, "flaots.cir does not exist. Did you mean floats.cir?"),
        (["."], 1, "is a folder"),
        (["a.cir", "--sweep", "V1"], 1, "write SOURCE=START:STOP:STEP, such as V1=0:5:0.1"),
        (["a.cir", "--sweep", "V1=0:1:x"], 1, "'x' is no number"),
        (["a.cir", "--sweep", "V1=0:1:-1"], 1, "leads away from 1"),
        (["a.cir", "--sweep", "V9=0:1:1"], 1, "a.cir has no source v9. Sources: v1"),
        (["a.cir", "--sweep", "R1=0:1:1"], 1, "a.cir has no source r1"),
        (["a.cir", "--gmin", "-1"], 1, "gmin is -1"),
        (["a.cir", "--gmin", "small"], 1, "'small' is no number"),
        (["a.cir", "--out", "no/a.nc"], 1, "the folder no does not exist"),
        (["a.cir", "--out", "."], 1, "is a folder"),
        (["a.cir", "--force"], 1, "no --out is given"),
        (["bad.cir"], 1, "bad.cir:3: unknown card 'Q1' (bipolar transistor)"),
        (["floats.cir"], 1, "floats.cir:4: node c floats"),
        (["binary.cir"], 1, "is not text"),
    ],
)
def test_errors_are_one_clear_line_and_change_nothing(folder, capsys, arguments, code, message):
    (folder / "bad.cir").write_text("t\nR1 a 0 1k\nQ1 c b e qm\n")
    (folder / "floats.cir").write_text("t\nV1 a 0 1\nR1 a b 1k\nC1 b c 1u\nR2 b 0 1k\n")
    (folder / "binary.cir").write_bytes(b"\x00\x01")
    before = sorted(folder.iterdir())
    assert main(["relax", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err and message in captured.err
    if code == 1:
        errors = [line for line in captured.err.splitlines() if not line.startswith("physnet: note: ")]
        assert len(errors) == 1 and errors[0].startswith("physnet: error: ")
    assert sorted(folder.iterdir()) == before


def test_help_and_the_list_of_commands(capsys):
    assert main(["relax", "--help"]) == 0
    out = capsys.readouterr().out
    for text in ("--sweep", "--out", "--check", "--force", "--gmin", ".dc", ".tran"):
        assert text in out
    assert main(["--help"]) == 0
    assert "relax ...                      The operating point of a SPICE deck" in capsys.readouterr().out
    assert main(["relas"]) == 2
    known = "list, run, sweep, inspect, compare, figures, report, relax"
    assert f"unknown command 'relas'. Did you mean 'relax'? Commands: {known}" in capsys.readouterr().err


def test_interrupted(monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "read_spice", stop)
    assert main(["relax", "a.cir", "--out", "a.nc"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_ngspice_that_is_absent(monkeypatch, capsys):
    monkeypatch.setattr(ngspice.shutil, "which", lambda name: None)
    assert main(["relax", "a.cir", "--check", "ngspice"]) == 1
    assert "apt-get install ngspice" in capsys.readouterr().err


def test_commands_that_do_not_load(monkeypatch, capsys):
    def commands(*values):
        entries = [metadata.EntryPoint("odd", value, discovery.COMMANDS) for value in values]
        monkeypatch.setattr(metadata, "entry_points", lambda group: entries * (group == discovery.COMMANDS))

    commands("no_such_package.module:command")
    assert main(["odd"]) == 1
    assert "command 'odd' (no_such_package.module:command) cannot be imported" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "cannot be found" in capsys.readouterr().out
    commands("circuits.spice.command:nothing")
    assert main(["odd"]) == 1
    assert "cannot be imported" in capsys.readouterr().err
    commands("a.b:c", "d.e:f")
    with pytest.raises(PhysnetError, match="command 'odd' is in a.b and in d.e"):
        discovery.commands()


def test_quantities():
    assert quantity(0.0047, "A") == "4.7 mA" and quantity(-1200, "V") == "-1.2 kV" and quantity(0, "W") == "0 W"
    assert quantity(1e-18, "A") == "1e-18 A" and quantity(float("nan"), "V") == "nan V"
