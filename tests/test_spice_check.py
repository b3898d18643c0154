"""A trained network in physnet and in ngspice, as the study's user meets it, at a small size."""

from dataclasses import replace

import numpy as np
import pytest
from spice_decks import needs_ngspice

from circuits.spice import ngspice
from physnet import PhysnetError, cli, discovery, results
from studies import spice_check

SMALL = spice_check.Config(hidden=5, digits=2, epochs=1, samples=240)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    path = tmp_path_factory.mktemp("spice") / "run.nc"
    spice_check.run(replace(SMALL, deck=path.with_suffix(".cir")), out=path, progress=False)
    return path


@needs_ngspice
def test_every_node_agrees_in_every_phase(compared):
    ds = results.open(compared)
    difference = abs(ds.node_voltage - ds.spice_voltage)
    assert float(difference.max()) < SMALL.tolerance
    assert float(difference.sel(solver="Newton").max()) < 1e-12
    # What EP reads, the shift under a nudge, is far above what the programs differ by.
    shift = abs(ds.spice_voltage.isel(nudge=1) - ds.spice_voltage.isel(nudge=0))
    assert float(shift.max()) > 1e4 * float(difference.max())


@needs_ngspice
def test_its_file_holds_what_it_promises(compared):
    assert "spice-check" in discovery.studies()
    ds = results.open(compared)
    assert results.validate(ds) == []
    assert dict(ds.sizes) == {"solver": 2, "nudge": 3, "sample": 2, "node": 15}
    assert (ds.converged == 1).all()
    assert ds.nudge.values[0] == 0 and ds.nudge.values[1] == -ds.nudge.values[2] > 0


@needs_ngspice
def test_the_deck_it_leaves_is_the_one_it_compared(compared):
    potentials = ngspice.run(compared.with_suffix(".cir"))
    ds = results.open(compared)
    for k, phase in enumerate(("free", "towards", "away")):
        found = [potentials[f"x{phase}.{node}"] for node in map(str, ds.node.values)]
        np.testing.assert_allclose(found, ds.spice_voltage[k, 0], atol=1e-14)


@needs_ngspice
def test_figures_and_summary_come_from_the_file(compared):
    ds = results.open(compared)
    drawn = spice_check.figures(ds)
    assert set(drawn) == {"difference", "shift"}
    for figure in drawn.values():
        figure.canvas.draw()
        assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)
    text = spice_check.summary(ds)
    for word in ("block descent", "Newton", "nudged to the target", "within the tolerance", "ngspice-"):
        assert word in text
    worse = ds.assign(spice_voltage=ds.spice_voltage + 1e-3)
    assert "NOT WITHIN" in spice_check.summary(worse)


def test_without_ngspice_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "never.nc"
    with pytest.raises(PhysnetError, match=r"ngspice is not installed.*apt-get install ngspice"):
        spice_check.run(SMALL, out=out, progress=False)
    assert cli.main(["run", "spice-check", "--quick", "--out", str(out)]) != 0
    assert "ngspice is not installed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 0}, "hidden is 0"),
        ({"beta": 1.5}, "0 < beta < 1"),
        ({"digits": 400}, "there are 360"),
        ({"tolerance": 0.0}, "tolerance is 0.0 V"),
        ({"samples": 10}, "samples is 10"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        spice_check.run(replace(SMALL, **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []
