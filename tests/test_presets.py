"""Parameter sets: what they must reproduce, and that every number says where it comes from."""

from dataclasses import FrozenInstanceError, fields

import pytest

from oscillators import theory
from oscillators.device_presets import Preset, preset, presets
from physnet.errors import PhysnetError

KINDS = ("read", "derived", "chosen here", "figure-read (approximate)", "(m)", "not given")
each = pytest.mark.parametrize("entry", presets(), ids=lambda entry: entry.name)


@each
def test_every_number_says_how_it_is_known(entry):
    numbers = [field.name for field in fields(Preset) if field.name not in ("name", "title", "doi", "notes")]
    assert sorted(quantity for quantity, _ in entry.notes) == sorted(numbers)
    assert all(known.startswith(KINDS) for _, known in entry.notes)
    assert entry.doi.startswith("10.")
    missing = [name for name in numbers if getattr(entry, name) is None]
    assert missing == [quantity for quantity, known in entry.notes if known.startswith("not given")]


@each
def test_every_set_runs_by_itself_above_threshold(entry):
    assert entry.current_ampere > entry.threshold_ampere > 0
    assert 0 < entry.power < 1
    assert entry.linewidth_hz < entry.relaxation_rate_hz / 10  # where the linewidth formula holds
    assert preset(entry.name) is entry


def test_names_are_unique():
    assert len({entry.name for entry in presets()}) == len(presets()) >= 4


def test_the_oracle_set_gives_the_checked_numbers():
    entry = preset("oracle")
    assert entry.power == pytest.approx(0.25)
    assert entry.relaxation_rate_hz == pytest.approx(2.5e6)
    assert entry.nu == pytest.approx(4)
    assert entry.linewidth_hz == pytest.approx(1.082e3, rel=1e-3)
    assert theory.mutual_locking_half_range(entry.coupling_hz, entry.nu) == pytest.approx(20e3)


def test_the_map_set_is_the_timed_one():
    entry = preset("map")
    assert (entry.supercriticality, entry.power) == (pytest.approx(1.5), pytest.approx(1 / 3))


@pytest.mark.parametrize("name", ["vortex-binding", "vortex-vowels"])
def test_the_vortex_sets_lie_on_the_published_scale(name):
    entry = preset(name)
    assert 300e6 < entry.generation_frequency_hz < 400e6
    assert 40e3 < entry.linewidth_hz < 1e6
    assert entry.tuning_hz_per_ampere == pytest.approx(7e9)


def test_the_binding_set_covers_its_ramps():
    entry = preset("vortex-binding")
    assert entry.generation_frequency_hz == pytest.approx(339.5e6)
    for frequency in (323e6, 346.8e6):  # the ends of the ramps
        power = (frequency - entry.frequency_hz) / entry.nonlinear_shift_hz
        assert 1.3 < 1 / (1 - power) < 2.5  # zeta at Q = 0: well above threshold over the whole ramp


def test_an_unknown_name_gets_its_neighbour():
    with pytest.raises(PhysnetError, match="Did you mean 'vortex-binding'"):
        preset("vortex_binding")
    with pytest.raises(PhysnetError, match="Pass one of vortex-binding, "):
        preset("qqqq")
    with pytest.raises(PhysnetError, match="no set is called 3"):
        preset(3)


def test_a_preset_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        preset("map").damping_hz = 1.0
