"""Every Python block of the README and the docs runs, top to bottom, as a reader would paste it."""

import re
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.name)
def test_examples_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    with jax.numpy_rank_promotion("allow"):  # as a user has it
        for block in BLOCK.findall(page.read_text()):
            exec(compile(block, page.name, "exec"), namespace)
    plt.close("all")


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_example_of_the_readme_is_short():
    block = BLOCK.search((ROOT / "README.md").read_text()).group(1)
    assert len([line for line in block.splitlines() if line.strip()]) <= 15
