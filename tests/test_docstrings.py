"""Every public function, class and method says of each parameter what it is, of numbers in which unit and shape."""

import inspect

import docstring_rule as rule
import docstring_walk as walk
import equinox as eqx
import numpy as np
import pytest
from jaxtyping import Array, Float

import circuits

# Files whose docstrings are not yet held to the rule, by how their path begins: written at the same time as this test.


@pytest.fixture(scope="module")
def said():
    return walk.everything_said(walk.public_things())


def test_every_parameter_is_described_with_its_unit_and_shape(said):
    lacking = [(one, miss) for one in said.values() for miss in walk.misses(one, said)]
    lines = sorted(f"{one.place}: {one.title}: {miss}" for one, miss in lacking)
    assert not lines, f"{len(lines)} misses (the rule is in tests/docstring_rule.py):\n" + "\n".join(lines)


def test_nothing_public_is_passed_over(said):
    assert {title.split(".")[0] for title in said} == set(walk.PACKAGES)
    for title in (
        "physnet.equilibrium.relax",  # exported by name
        "circuits.elements.base.Element.current",  # inherited by what is exported
        "circuits.generators.layered",  # a function that shares its name with a module
        "oscillators.theory.adler_beat",  # in a module that the docs import
        "physnet.landscape.passes.tree.Disconnectivity",  # exported by an inner package
        "physnet.system.System.residual",
        "studies.binding.Config",
    ):
        assert title in said
    assert sum(len(one.values) for one in said.values()) > 2000


def _elements():
    exported = (getattr(circuits, name) for name in circuits.__all__)
    kinds = [one for one in exported if inspect.isclass(one) and issubclass(one, circuits.Component)]
    return [kind for kind in kinds if not inspect.isabstract(kind)]


@pytest.mark.parametrize("element", _elements(), ids=lambda kind: kind.__name__)
def test_units_of_elements_are_those_that_datasets_carry(element, said):
    """What a docstring says of a field is what its Variable says: two sources, written apart."""
    one = said[f"{element.__module__}.{element.__qualname__}"]
    for parameter in element.example().parameters():
        variable = parameter.variable
        if variable.name not in one.values:
            continue
        entry = walk.entry_of(variable.name, one)
        if variable.units != "1":
            assert rule.exponents(variable.units) in rule.units_in(entry), f"{variable.name}: {entry}"
        else:  # UDUNITS has no root of a volt, so that its numbers stand in datasets without a unit
            assert "dimensionless" in entry or {"V": 0.5} in rule.units_in(entry), f"{variable.name}: {entry}"


class _Base(eqx.Module):
    """Settles. Methods take voltage: V, (...)."""

    def current(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """The current, A, at a voltage."""


class _Good(_Base):
    """A junction.

    slope, offset: S and V, the offset of the curve. steps: how many. `label` names it.
    """

    slope: float
    offset: float
    steps: int
    label: str

    def current(self, voltage):
        return voltage * self.slope


class _Undescribed(_Base):
    """A junction. slope: of the curve."""

    slope: float
    steps: int


def good(times, values: np.ndarray, *, share: float = 0.1, key=None) -> np.ndarray:
    """What comes of values, (time,), W.

    times: (time,), s, increasing. values (time, node): the potentials, V. share: relative, of the largest. key: of the
    noise.

    Raises PhysnetError for another share: there is none.
    """


def refers(times, values: np.ndarray, *, share: float = 0.1, floor=1.0):
    """The same again. floor: V. Other arguments as for `good`."""


def bad(times, values: np.ndarray, *, share: float = 0.1, floor=1.0, key=None) -> np.ndarray:
    """A rough look at the values of a run.

    times: (time,), of the run. values: V. share: a number above 0. floor: below which nothing counts.
    """


def _misses(*things):
    said = walk.everything_said({thing.__name__: thing for thing in things})
    kept = {title: one for title, one in said.items() if title.startswith(__name__)}
    return [miss.split(" in ")[0] for one in kept.values() for miss in walk.misses(one, said)]


@pytest.fixture
def this_module_too(monkeypatch):
    monkeypatch.setattr(walk, "PACKAGES", (*walk.PACKAGES, __name__.split(".")[0]))


def test_the_checker_accepts_what_is_said(this_module_too):
    assert _misses(good, refers, _Good) == []


def test_the_checker_finds_what_is_missing(this_module_too):
    assert _misses(bad) == [
        "times: no unit",
        "values: no shape",
        "share: no unit",
        "floor: no unit",
        "key: not described",
        "the result: no unit",
        "the result: no shape",
    ]
    assert _misses(_Undescribed) == ["slope: no unit", "steps: not described"]


@pytest.mark.parametrize("text", ["V", "in A, positive", "A/V^2, above 0", "1/(V s)", "s-1", "dimensionless", "[MHz]"])
def test_units_are_recognised(text):
    assert rule.has_unit(text, may_count=False)


@pytest.mark.parametrize("text", ["A function of it", "the number", "Very large", "(unit,), one for each", "e.g. Sine"])
def test_what_is_no_unit_is_not_taken_for_one(text):
    assert not rule.has_unit(text, may_count=False)
