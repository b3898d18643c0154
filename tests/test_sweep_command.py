"""physnet sweep on the command line: what it prints, its exit status, and what lies on disk afterwards."""

import importlib
import json
import os
import sys
from importlib import metadata

import numpy as np
import pytest

from physnet import discovery, sweeps
from physnet.cli import main
from physnet.sweeps import parts

STUDY = '''"""A divider of two resistors."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Config:
    """What the divider is."""

    voltage: float = 1.0
    """Source voltage [V]."""
    share: float = 0.5
    """Share of the lower resistor [1]."""
    seeds: int = 1
    """How many [1]."""

    def quick(self):
        return replace(self, voltage=2.0)

    def check(self):
        from physnet.errors import PhysnetError

        if self.voltage < 0:
            raise PhysnetError(f"divider: voltage is {self.voltage} V; it is 0 or more")


def run(config, *, out=None, resume=False, progress=True):
    import numpy as np

    from physnet import provenance, results
    from physnet.variable import Variable

    config.check()
    if config.voltage == 13:
        raise KeyboardInterrupt
    attrs = provenance.collect(config, seed=0) | {"physnet_study": "divider"}
    variables = [(Variable("potential", (), "V", "potential of the middle"), np.asarray(config.voltage * config.share))]
    ds = results.to_dataset(variables, title="divider", attrs=attrs)
    if out is not None:
        results.save(ds, out)
    return ds


def figures(ds):
    return {}


def summary(ds):
    return ""
'''


@pytest.fixture
def divider(tmp_path, monkeypatch):
    """A study registered as an installed one would be, and an empty working folder."""
    package = tmp_path / "divider_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "divider.py").write_text(STUDY)
    entry = metadata.EntryPoint("dividers", "divider_package", discovery.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry] * (group == discovery.GROUP))
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "divider_package"]:
        del sys.modules[name]


ALONE = ("--workers", "1")  # what is registered here is not to other processes


def test_a_sweep_from_the_command_line(divider, capsys):
    assert main(["sweep", "divider", "--over", "voltage=1:4:lin4", "--over", "share=0.25,0.5", *ALONE]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:2] == ["Sweep of divider over voltage, share", "8 points: 4 voltage x 2 share"]
    assert printed.out.splitlines()[-1] == "divider-sweep"
    assert "potential: 0.25 .. 2 V" in printed.out and "8/8" in printed.err
    ds = sweeps.open("divider-sweep")
    assert np.array_equal(ds.potential, ds.voltage * ds.share)
    assert (ds.voltage.attrs["units"], ds.voltage.attrs["long_name"]) == ("V", "Source voltage")


def test_options_of_the_study_hold_for_all_points(divider):
    assert main(["sweep", "divider", "--over", "share=0.5,1", "--quick", "--out", "a", *ALONE]) == 0
    assert sweeps.open("a").potential.values.tolist() == [1.0, 2.0]
    assert main(["sweep", "divider", "--over", "share=0.5,1", "--voltage", "8", "--out", "b", *ALONE]) == 0
    assert sweeps.open("b").potential.values.tolist() == [4.0, 8.0]
    assert json.loads(sweeps.open("b").attrs["physnet_config"])["voltage"] == 8.0


def test_fields_that_move_together_and_draws(divider):
    zipped = ["--zip", "voltage=1,2,3", "--zip", "share=0.1,0.2,0.3"]
    assert main(["sweep", "divider", *zipped, "--out", "a", *ALONE]) == 0
    assert sweeps.open("a").potential.values == pytest.approx([0.1, 0.4, 0.9])
    assert main(["sweep", "divider", "--over", "voltage=1:9:logsobol8", "--out", "b", *ALONE]) == 0
    assert dict(sweeps.open("b").sizes) == {"draw": 8}


def test_failures_are_told_and_run_again_when_asked(divider, capsys):
    over = ["sweep", "divider", "--over", "voltage=1,-1,2", *ALONE]
    assert main(over) == 0
    assert "1 failed\n  1 x PhysnetError: divider: voltage is -1.0 V" in capsys.readouterr().out
    assert main([*over, "--retry-failed"]) == 0
    assert main(["sweep", "divider", "--over", "share=2", "--voltage", "1", "--out", "fine", *ALONE]) == 0
    capsys.readouterr()
    assert main(["sweep", "divider", "--over", "voltage=-1,-2", "--out", "bad", *ALONE]) == 1
    assert "voltage is -1.0 V" in capsys.readouterr().err and not os.path.exists("bad")


def test_interrupted_and_gone_on(divider, capsys):
    over = ["sweep", "divider", "--over", "voltage=1,2,13,4", "--chunk", "1", *ALONE]
    assert main(over) == 130
    assert "divider-sweep holds 2 of 4 points; go on with the same command" in capsys.readouterr().err
    assert [part.first for part in parts.parts("divider-sweep")] == [0, 1]
    assert main(over) == 130
    assert "holds 2 of 4" in capsys.readouterr().err


def test_force_begins_again(divider, capsys):
    assert main(["sweep", "divider", "--over", "voltage=1,2", *ALONE]) == 0
    assert main(["sweep", "divider", "--over", "voltage=3", *ALONE]) == 1
    assert "holds another sweep" in capsys.readouterr().err
    assert main(["sweep", "divider", "--over", "voltage=3", "--force", *ALONE]) == 0
    assert sweeps.open("divider-sweep").voltage.values.tolist() == [3.0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "usage: physnet sweep"),
        (["--over", "a=1"], 2, "STUDY"),
        (["dividr", "--over", "a=1"], 2, "Did you mean 'divider'"),
        (["divider"], 2, "give one or more --over"),
        (["divider", "--over", "voltage"], 2, "not of the form FIELD=VALUES"),
        (["divider", "--over", "volts=1"], 1, "no option 'volts'. Did you mean 'voltage'"),
        (["divider", "--over", "voltage=1", "--nothing"], 2, "--nothing"),
        (["divider", "--over", "voltage=1", "--resume", "--force"], 2, "Give one of them"),
        (["divider", "--over", "voltage=1", "--scheduler", "tcp://x", "--workers", "2"], 2, "Give one of them"),
        (["divider", "--over", "voltage=1", "--keep", "lost", *ALONE], 1, "no variable 'lost' to keep"),
        (["divider", "--over", "voltage=1", "--out", "missing/deep/s", *ALONE], 0, ""),
    ],
)
def test_wrong_lines(arguments, code, message, divider, capsys):
    assert main(["sweep", *arguments]) == code
    assert message in capsys.readouterr().err


def test_help_shows_every_form_of_values(divider, capsys):
    assert main(["sweep", "--help"]) == 0
    out = capsys.readouterr().out
    for word in ("--over FIELD=VALUES", "--scheduler", "log20", "sobol64", "random50", "lin11"):
        assert word in out
