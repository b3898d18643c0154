"""What the pages on circuits say: the element table, the elements of docs/extending.md, the output of `physnet relax`.

`python tests/test_circuit_docs.py` prints the table of docs/circuits.md.
"""

import inspect
import re
from pathlib import Path

import pytest
import test_element_library as laws

from circuits import Element, MultiTerminal, elements
from circuits.spice.command import command

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEAD = ("element", "law", "terminals", "reciprocal", "monotone", "learns")


def row(kind):
    """One element as the table has it: the first sentence of its docstring, then its flags."""
    law = " ".join(inspect.getdoc(kind).split("\n\n")[0].split())
    law = re.split(r"\. (?=[A-Z])", law)[0].rstrip(".")
    terminals = "first, second" if issubclass(kind, Element) else ", ".join(kind.terminals)
    flags = ("yes" if flag else "no" for flag in (kind.reciprocal, kind.monotone))
    learned = [p.variable.name for p in kind.example().parameters() if p.trainable]
    return f"`{kind.__name__}`", law, terminals, *flags, ", ".join(learned) or "-"


def element_table():
    """Every element that is exported, two terminals first, as lines of Markdown."""
    kinds = sorted(laws.KINDS, key=lambda kind: (issubclass(kind, MultiTerminal), kind.__name__))
    rows = [HEAD, ("---",) * len(HEAD), *map(row, kinds)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def test_the_element_table_is_what_the_elements_say():
    assert {kind.__name__ for kind in laws.KINDS} <= {*elements.__all__}
    assert element_table() in (DOCS / "circuits.md").read_text(), "paste what python tests/test_circuit_docs.py prints"


@pytest.fixture(scope="module")
def examples():
    """The element classes that docs/extending.md defines, not one of its circuits run."""
    namespace = {}
    for block in BLOCK.findall((DOCS / "extending.md").read_text())[:2]:
        definitions = re.split(r"^\w+ = Circuit\(\)", block, flags=re.MULTILINE)[0]
        exec(compile(definitions, "extending.md", "exec"), namespace)
    return namespace["QuadraticLaw"].example(), namespace["Gyrator"].example()


def test_the_elements_of_the_docs_are_lawful(examples):
    two, many = examples
    for element in examples:
        laws.test_every_field_is_a_described_parameter_in_its_range(type(element))
        laws.test_values_that_are_no_finite_numbers_are_refused_with_name_and_unit(type(element))
    for check in (
        laws.test_current_is_the_derivative_of_cocontent,
        laws.test_cocontent_is_the_integral_of_current,
        laws.test_conductance_is_the_derivative_of_current,
        laws.test_monotone_elements_never_fall_and_others_do,
        laws.test_elements_but_sources_are_passive,
        laws.test_a_quadratic_cocontent_is_one,
        laws.test_laws_act_on_groups_and_keep_single_precision,
        laws.test_load_lines_are_met_wherever_the_search_starts,
        laws.test_knees_carry_their_current,
    ):
        check(two)
    laws.test_jacobians_are_as_the_flags_say(many)
    laws.test_currents_sum_to_zero_unless_the_rest_returns_through_ground(many)
    laws.test_many_terminals_act_on_groups_and_keep_single_precision(many)


def test_physnet_relax_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "spice.md").read_text()
    deck = re.search(r'Path\("clamp.cir"\)\.write_text\("""(.*?)"""\)', page, re.DOTALL).group(1)
    Path("clamp.cir").write_text(deck)
    shown = re.search(r"^\$ physnet relax clamp.cir .*?\n(.*?)^Kirchhoff", page, re.DOTALL | re.MULTILINE).group(1)
    assert command(["clamp.cir"]) == 0
    assert capsys.readouterr().out.startswith(shown)


if __name__ == "__main__":
    print(element_table())
