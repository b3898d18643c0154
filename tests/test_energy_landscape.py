"""The study of landscapes as its user meets it, at its quick size; answers by numpy and scipy, or in closed form."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from physnet import PhysnetError, cli, discovery, results
from studies import energy_landscape

QUICK = energy_landscape.Config().quick()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The file of a system, made once."""
    folder, known = tmp_path_factory.mktemp("landscape"), {}

    def of(system):
        if system not in known:
            known[system] = folder / f"{system}.nc"
            energy_landscape.run(replace(QUICK, system=system), out=known[system], progress=False)
        return known[system]

    return of


def check_file(ds):
    """What every system's file holds: the schema, certificates, shares that sum to 1."""
    assert results.validate(ds) == [] and ds.attrs["physnet_study"] == "energy-landscape"
    assert float(ds.residual.max()) <= 1e-9 and (ds.converged == 1).all()
    if "search" in ds.sizes:
        given = np.bincount(ds.search_number.values, weights=ds.share.values, minlength=ds.sizes["search"])
        np.testing.assert_allclose(given + ds.unsettled_share, 1, atol=1e-12)
    else:
        assert float(ds.share.sum() + ds.unlisted_share + ds.unsettled_share) == pytest.approx(1)
    assert ((ds.share_low <= ds.share) & (ds.share <= ds.share_high)).all()


def check_drawn(path, system, words):
    """One page of labelled panels and a summary, in a process that has no JAX."""
    program = (
        "import sys\n"
        "sys.modules['jax'] = None\n"
        "from physnet import results\n"
        "from studies import energy_landscape as study\n"
        f"ds = results.open({str(path)!r})\n"
        "drawn = study.figures(ds)\n"
        f"assert set(drawn) == {{{system!r}}}, set(drawn)\n"
        f"figure = drawn[{system!r}]\n"
        "figure.canvas.draw()\n"
        "assert len(figure.axes) == 4\n"
        "assert all(a.get_ylabel() and a.get_xlabel() or a.get_title() for a in figure.axes)\n"
        "print(study.summary(ds))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout


# The bistable circuit


def diode(v):
    return 4.7e-3 * v / 0.065 * np.exp(1 - v / 0.065) + 1e-11 * np.expm1(v / 0.02585)


def slope(v):
    return 4.7e-3 / 0.065 * (1 - v / 0.065) * np.exp(1 - v / 0.065) + 1e-11 / 0.02585 * np.exp(v / 0.02585)


def roots(f, low, high):
    grid = np.linspace(low, high, 5001)
    value = f(grid)
    return [brentq(f, grid[k], grid[k + 1], xtol=1e-15) for k in np.flatnonzero(value[1:] * value[:-1] < 0)]


@pytest.mark.slow
def test_the_bistable_circuit_has_the_operating_points_and_folds_of_scipy(made):
    ds = results.open(made("bistable"))
    check_file(ds)
    low, middle, high = roots(lambda v: diode(v) + (v - QUICK.supply) / QUICK.resistance, 0, 0.6)
    by_voltage = ds.sortby(ds.node_voltage[:, 0])
    np.testing.assert_allclose(by_voltage.node_voltage[:, 0], [low, middle, high], rtol=1e-9)
    np.testing.assert_array_equal(by_voltage["index"], [0, 1, 0])
    # Folds: where the load line touches the curve.
    voltages = roots(lambda v: slope(v) + 1 / QUICK.resistance, 0, 0.6)
    supplies = [v + QUICK.resistance * diode(v) for v in voltages]
    order = np.argsort(ds.diagram_special_node_voltage[:, 0].values)
    np.testing.assert_allclose(ds.diagram_special_node_voltage[order, 0], voltages, rtol=1e-7)
    np.testing.assert_allclose(ds.diagram_special_input_voltage[order], supplies, rtol=1e-9)
    assert float(ds.diagram_residual.max()) < 1e-9
    # All starts below the unstable point end at the lower one; starts are uniform between 0 and 0.6 V.
    shares = by_voltage.isel(equilibrium=0)
    assert float(shares.share_low) <= middle / 0.6 <= float(shares.share_high)


@pytest.mark.slow
def test_the_page_of_the_bistable_circuit(made):
    check_drawn(made("bistable"), "bistable", ["2 stable", "fold at a source of 1.007", "3 of 3 equilibria met"])


def test_a_run_goes_on_from_its_file(made, monkeypatch):
    from studies import _landscape_ising

    path = made("ising")
    parts = dict.fromkeys(_landscape_ising.PARTS, lambda config: pytest.fail("measured again"))
    monkeypatch.setattr(_landscape_ising, "PARTS", parts)
    config = replace(QUICK, system="ising")
    again = energy_landscape.run(config, out=path, resume=True, progress=False)
    assert again.equals(results.open(path))
    with pytest.raises(PhysnetError, match="made with other options"):
        energy_landscape.run(replace(config, seed=1), out=path, resume=True, progress=False)


# The Ising machine


def machine_energy(phases, adjacency, injection):
    """K sum over edges of cos(difference) - S/2 sum cos(2 phase), Hz, written once more with numpy."""
    differences = phases[:, None] - phases[None]
    return np.sum(np.triu(adjacency) * np.cos(differences)) - injection / 2 * np.sum(np.cos(2 * phases))


def softest(phases, adjacency, injection, h=1e-4):
    """The lowest curvature there, Hz, from differences of the energy."""
    steps, signs = h * np.eye(len(phases)), ((1, 1), (1, -1), (-1, 1), (-1, -1))
    hessian = [
        [sum(s * t * machine_energy(phases + s * a + t * b, adjacency, injection) for s, t in signs) for b in steps]
        for a in steps
    ]
    return np.linalg.eigvalsh(np.array(hessian) / (4 * h * h))[0]


def test_the_ising_machine_has_the_binary_minima_that_enumeration_gives(made):
    ds = results.open(made("ising"))
    check_file(ds)
    spins, adjacency = ds.sizes["spin"], ds.adjacency.values
    assert ds.sizes["binary_state"] == 2 ** (spins - 1)
    for number in (0, 5, int(np.argmin(ds.binary_threshold.values))):
        state = np.pi * (number >> np.arange(spins) & 1)
        cut = sum(adjacency[i, j] for i in range(spins) for j in range(i) if state[i] != state[j])
        assert float(ds.binary_cut[number]) == cut
        assert abs(softest(state, adjacency, float(ds.binary_threshold[number]))) < 1e-5
    for k, injection in enumerate(ds.injection.values):
        found = ds.isel(equilibrium=np.flatnonzero(ds.search_number.values == k))
        stable = np.sum(ds.binary_threshold.values < injection)
        assert int(ds.stable_binary[k]) == stable == int(found.binary.sum())
        for phases, value in zip(found.oscillator_phase.values, found.energy.values):
            assert value == pytest.approx(2 * np.pi * machine_energy(phases, adjacency, injection), rel=1e-12)


def test_the_page_of_the_ising_machine(made):
    check_drawn(made("ising"), "ising", ["Largest cut", "starts at largest", "met their tolerance"])


# The others


@pytest.mark.slow
def test_the_ring_has_the_energies_of_the_closed_forms(made):
    ds = results.open(made("ring"))
    check_file(ds)
    assert sorted(ds.winding_number.values[ds["index"].values == 0]) == [-1, 0, 1]
    known = np.isfinite(ds.exact_energy.values)
    assert known.sum() == 5
    np.testing.assert_allclose(ds.energy[known], ds.exact_energy[known], rtol=1e-9)
    assert float(ds.exact_energy.min()) == pytest.approx(-2 * np.pi * QUICK.oscillators)
    q = 2 * np.pi / QUICK.oscillators
    assert float(ds.exact_energy[known].values[1]) == pytest.approx(-2 * np.pi * QUICK.oscillators * np.cos(q))
    check_drawn(made("ring"), "ring", ["state q = 0", "pass q = 1"])


@pytest.mark.slow
def test_an_xy_network_learns_xor_and_is_left_with_right_answers(tmp_path):
    path = tmp_path / "xor.nc"
    config = replace(energy_landscape.Config(system="xor"), starts=100)
    ds = energy_landscape.run(config, out=path, progress=False)
    check_file(ds)
    assert float(ds.train_cost[-1]) < 1e-3 < 0.5 < float(ds.train_cost[0])
    after = np.isin(ds.search_number, np.flatnonzero(ds.stage.values == "after"))
    assert ds.answers_right.values[after].all() and not ds.answers_right.values[~after].all()
    np.testing.assert_allclose(ds.output_phase, ds.oscillator_phase[:, -1])
    check_drawn(path, "xor", ["stable states", "starts that end right"])


@pytest.mark.slow
def test_a_memory_recalls_below_its_capacity(made):
    ds = results.open(made("memory"))
    check_file(ds)
    assert ds.kept[0] == ds.stored[0] and float(ds.recalled_share[0]) > 0.5
    outputs = np.tanh(QUICK.gain * ds.potential.values[ds.search_number.values == 0])
    from studies._landscape_memory import patterns

    overlap = np.abs(outputs @ patterns(QUICK)[: QUICK.patterns[0]].T / QUICK.units).max(axis=1)
    np.testing.assert_allclose(ds.overlap.values[ds.search_number.values == 0], overlap, rtol=1e-9)
    check_drawn(made("memory"), "memory", ["recalled", "spurious"])


# How it is called


def test_a_word_of_one_study_finds_it_and_an_ambiguous_one_lists_them():
    assert discovery.load("landscape") is discovery.load("energy_landscape") is energy_landscape
    assert discovery.load("digits").__name__ == "studies.digits"  # a whole name goes before a word of another
    with pytest.raises(discovery.UnknownStudyError, match="word of several studies: conv-mnist, hopfield-mnist"):
        discovery.load("mnist")
    with pytest.raises(discovery.UnknownStudyError, match="unknown study 'landscap'"):
        discovery.load("landscap")


def test_the_command_line_takes_the_word(tmp_path, capsys):
    assert cli.main(["run", "landscape", "--system", "pond", "--out", str(tmp_path / "never.nc")]) == 1
    assert "choose one of ring, bistable, xor, memory, ising" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": 0}, "starts is 0; give 1 to"),
        ({"oscillators": 4}, "oscillators is 4; give 5 to 30"),
        ({"spins": 17}, "spins is 17; give 3 to 16"),
        ({"resistance": -1.0}, "resistance is -1.0 ohm"),
        ({"gain": np.nan}, "gain is nan"),
        ({"supply": 2.0}, "supply is 2 V, above highest_supply, 1.4 V"),
        ({"patterns": (3, 24)}, "patterns is"),
        ({"patterns": (4, 2)}, "ascending"),
        ({"injections": ()}, "injections is"),
        ({"flipped": 0.6}, "flipped is 0.6; give 0 to 0.5"),
    ],
)
def test_options_without_meaning_are_refused(change, message, tmp_path):
    with pytest.raises(PhysnetError, match=message):
        energy_landscape.run(replace(QUICK, **change), out=tmp_path / "never.nc", progress=False)
    assert list(tmp_path.iterdir()) == []
