"""Configurations read back from a dataset's attributes are the ones that were written, for every study."""

import enum
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from physnet import configs, discovery, provenance
from physnet.errors import PhysnetError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0


@dataclass(frozen=True)
class Config:
    """All kinds of fields."""

    steps: int = 20
    """How many steps [1]. More about them."""
    step_voltage: float = 0.5
    """Voltage of one step [V]: from the
    first node to the second."""
    limit: float = math.inf
    colour: Colour = Colour.BLUE
    """Colour."""
    rates: tuple[float, ...] = (1.0, 2.0)
    pair: tuple[int, str] = (1, "one")
    data: Path | None = None
    mode: Literal["fast", "exact"] = "fast"
    level: Literal[1, 2] = 1
    flag: bool = False
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize("name", list(discovery.studies()))
def test_every_study_reads_its_configuration_back(name):
    study = discovery.load(name)
    for config in (study.Config(), study.Config().quick()):
        stored = json.loads(provenance.config_json(config))
        assert configs.from_plain(study.Config, stored, name) == config


def test_all_kinds_of_fields_come_back():
    config = Config(3, -1.0, -math.inf, Colour.RED, (), (2, "two"), Path("a/b"), "exact", 2, True, Inner(3.0))
    for each in (config, Config()):
        assert configs.from_plain(Config, json.loads(provenance.config_json(each)), "test") == each


def test_fields_say_what_they_mean():
    found = configs.fields(Config)
    assert (found["steps"].long_name, found["steps"].units) == ("How many steps", "1")
    assert (found["step_voltage"].long_name, found["step_voltage"].units) == ("Voltage of one step", "V")
    assert (found["rates"].long_name, found["rates"].units) == ("rates", "1")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "7", 7),
        ("step_voltage", "1e-3", 1e-3),
        ("limit", "inf", math.inf),
        ("colour", "RED", Colour.RED),
        ("rates", "1 2.5", (1.0, 2.5)),
        ("data", "None", None),
        ("data", "folder", Path("folder")),
        ("mode", "exact", "exact"),
        ("level", "2", 2),
        ("flag", "true", True),
    ],
)
def test_values_from_text(name, text, value):
    assert configs.parsed(configs.fields(Config)[name], text, "test") == value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepz": 3}, "no option 'stepz'. Did you mean 'steps'"),
        ({"steps": 2.5}, "steps = 2.5 is no int"),
        ({"steps": True}, "steps = True is no int"),
        ({"mode": "slow"}, "mode = 'slow' is no"),
        ({"colour": "GREEN"}, "colour = 'GREEN' is no Colour"),
        ({"pair": [1]}, "pair = "),
        ({"flag": "perhaps"}, "flag = 'perhaps' is no bool"),
    ],
)
def test_what_does_not_fit_is_named(values, message):
    with pytest.raises(PhysnetError, match="there: .*" + message.replace("(", r"\(")):
        configs.from_plain(Config, values, "there")
