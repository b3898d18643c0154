"""Every Python block of the README and the docs runs, top to bottom, as a reader would paste it; pages are complete."""

import importlib
import os
import re
import sys
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import pytest
import yaml

from physnet import configs, discovery
from physnet.commands.running import RunOptions
from physnet.sweeps import texts

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
PAGES = [ROOT / "README.md", *WRITTEN]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"\bphysnet (?:run|sweep) ([^`\n#|]*)")
LONG = ("docs/circuits.md", "docs/extending.md", "docs/oscillators.md")
API = ("physnet", "physnet.landscape", "physnet.networks", "physnet.sweeps", "circuits", "oscillators")


def name_of(page):
    return str(page.relative_to(ROOT))


def with_examples():
    """The pages with Python on them; those that take 10 to 20 s are marked slow."""
    for page in PAGES:
        if BLOCK.search(page.read_text()):
            yield pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] * (name_of(page) in LONG))


@pytest.mark.parametrize("page", list(with_examples()))
def test_examples_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    with jax.numpy_rank_promotion("allow"):  # as a user has it
        for block in BLOCK.findall(page.read_text()):
            exec(compile(block, page.name, "exec"), namespace)
    plt.close("all")


@pytest.fixture(scope="module")
def made():
    """The module that knows which pages are made, not written."""
    sys.path.insert(0, str(DOCS / "_build"))
    yield importlib.import_module("made")
    sys.path.remove(str(DOCS / "_build"))


def test_links_lead_somewhere(made):
    there = {DOCS / name for name in made.pages()}
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", BLOCK.sub("", page.read_text())):
            if not target.startswith("http"):
                path = Path(os.path.normpath(page.parent / target))
                assert path.exists() or path in there, f"{page.name}: {target}"


def test_the_example_of_the_readme_is_short():
    block = BLOCK.search((ROOT / "README.md").read_text()).group(1)
    assert len([line for line in block.splitlines() if line.strip()]) <= 15


def test_every_page_is_in_the_navigation(made):
    def named(item):
        if isinstance(item, str):
            return [item]
        return [name for part in (item.values() if isinstance(item, dict) else item) for name in named(part)]

    listed = named(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    written = {str(page.relative_to(DOCS)) for page in WRITTEN}
    made_pages = set(made.pages()) - set(made.gallery_pages())  # those hang below the gallery's index
    assert len(listed) == len(set(listed))
    assert set(listed) == written | made_pages


def test_the_table_of_studies_is_complete():
    text = (DOCS / "studies.md").read_text()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert sorted(cell.strip("`") for cell in rows if cell.startswith("`")) == sorted(discovery.studies())


@pytest.mark.parametrize("page", [page for page in PAGES if COMMAND.search(page.read_text())], ids=name_of)
def test_commands_name_real_studies_and_options(page):
    own = {name.replace("_", "-") for name in RunOptions.__dataclass_fields__} | {"help", "workers", "scheduler"}
    for words in map(str.split, COMMAND.findall(page.read_text())):
        if words[0].startswith("--") or words[0].isupper():  # a file, a placeholder
            continue
        study, where = discovery.load(words[0].rstrip(".,;:)")), f"{page.name}: {' '.join(words)}"
        for option, value in zip(words, [*words[1:], ""]):
            if option == "--over":
                texts.design(study.Config, [value])
            elif option.startswith("--") and option[2:] not in own:
                configs.field(study.Config, option[2:], where)


def test_the_api_pages_hold_what_the_packages_export():
    directives = re.findall(r"^::: (\S+)", "\n".join(p.read_text() for p in (DOCS / "api").glob("*.md")), re.MULTILINE)
    assert len(directives) == len(set(directives))
    missing = [
        f"{package}.{name}"
        for package in API
        for name in importlib.import_module(package).__all__
        if not (name.startswith("__") or any(re.fullmatch(rf"{package}\..*\b{name}", path) for path in directives))
    ]
    assert not missing, f"without a line '::: module.name' in docs/api: {missing}"
