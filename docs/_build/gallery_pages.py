"""The pages of the gallery, as Markdown, from what docs/_build/gallery.py kept."""

import ast
import importlib.util
import json
from pathlib import Path

from docstrings import markdown
from gallery import Entry, Outcome, entries

LEAD = """\
# Gallery

Every study at the small size of `--quick`, which ends in about 20 s: what it printed and the figures that
`physnet figures` drew, by the code that this site was built from. Small sizes show that a study runs and what it
measures; the numbers to quote are those of the full size: [studies](../studies.md), [benchmarks](../benchmarks.md).

| page | what |
|---|---|
"""


def index(shown: list[Entry]) -> str:
    """The list of all pages."""
    rows = [f"| [{entry.name}]({entry.name}.md) | {_docstring(entry).splitlines()[0]} |" for entry in shown]
    return LEAD + "\n".join(rows) + "\n"


def page(entry: Entry, outcome: Outcome | None) -> str:
    """One study: its docstring, command, what it printed, figures, where they came from. None: it was not run."""
    systems = [other.options[-1] for other in entries() if other.study == entry.study and other.options]
    parts = [f"# {entry.name}", markdown(_docstring(entry), systems)]
    parts.append(_block(f"{entry.command} --out {entry.name}.nc"))
    if outcome is None:
        parts.append(
            "*Not run: this site was built without running the studies, and no kept result is of this version of the "
            "code. `python docs/_build/gallery.py` runs them.*"
        )
        return "\n\n".join(parts) + "\n"
    if outcome.message:
        parts.append(f"*It did not run where this site was built ({outcome.seconds:.0f} s):*")
        parts.append(_block(outcome.message))
        return "\n\n".join(parts) + "\n"
    parts.append(f"It took {outcome.seconds:.0f} s, start-up and compilation included, and printed")
    parts.append(_block(outcome.summary))
    parts += [f"![{figure.stem.replace('_', ' ')}]({picture(entry, figure)})" for figure in outcome.figures]
    parts.append(f"## Where it came from\n\n{_provenance(outcome.provenance)}")
    return "\n\n".join(parts) + "\n"


def picture(entry: Entry, figure: Path) -> str:
    """Where a figure lies, seen from the page."""
    return f"figures/{entry.name}/{figure.name}"


def _docstring(entry: Entry) -> str:
    """Of the study's module, read without running it."""
    from physnet.discovery import studies

    spec = importlib.util.find_spec(studies()[entry.study].module)
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def _provenance(attributes: dict[str, str]) -> str:
    """One line for each attribute, as the file holds it; versions without the quotes of their JSON."""
    lines = []
    for name, value in attributes.items():
        if name == "physnet_versions":
            value = ", ".join(f"{package} {version}" for package, version in json.loads(value).items())
        lines.append(f"* `{name}`: {value}")
    return "\n".join(lines)
