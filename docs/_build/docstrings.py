"""Docstrings are plain prose; this makes Markdown of them for the API pages, without changing the source.

In prose, `name: what it is` begins a new argument wherever it stands in a paragraph. Names that are arguments or fields
of the object documented become a list, one item each, and what is raised a paragraph of its own.
"""

import re
from collections.abc import Iterable

import griffe
from constructors import bases

_CODE = re.compile(r"(`+[^`]*`+)")
_SPECIAL = re.compile(r"([\\*_\[\]#$])")
_NAME = r"\w+(?: \([^()]*\))?"  # an argument, perhaps with its shape: inputs (sample, input)
_MARK = re.compile(rf"(?:^|(?<=[.;:)] )|(?<=Methods take ))({_NAME}(?:, {_NAME})*): ", re.MULTILINE)
_RAISES = re.compile(r"(?:^|(?<=[.;] ))(?=(?:Raises|Returns) )")


def escaped(text: str) -> str:
    """Prose as Markdown that reads the same: every special character is itself, but for `code`."""
    parts = _CODE.split(text)
    return "".join(part if i % 2 else _SPECIAL.sub(r"\\\1", part).replace("<", "&lt;") for i, part in enumerate(parts))


def markdown(text: str, names: Iterable[str] = ()) -> str:
    """A docstring as Markdown; names: the arguments or fields that begin an item of a list."""
    known = set(names)
    return "\n\n".join(_paragraph(part, known) for part in re.split(r"\n\s*\n", text.strip("\n")))


def _paragraph(text: str, names: set[str]) -> str:
    lines = text.split("\n")
    if all(line.startswith("    ") for line in lines):  # an equation or an example
        return text
    if lines[0].startswith("* "):
        return "\n".join(("* " + escaped(line[2:])) if line.startswith("* ") else escaped(line) for line in lines)
    flowing = "\n".join(line.strip() for line in lines)
    # A name begins an item after a full stop, or at the begin of a line that does not go on with a list of names.
    found = (*_MARK.finditer(flowing.replace("\n", " ")), *_MARK.finditer(flowing))
    marks = []
    for mark in sorted(found, key=lambda mark: (mark.start(1), -mark.end(1))):
        if _all_known(mark[1], names) and (not marks or mark.start(1) >= marks[-1].end()):
            marks.append(mark)
    flowing = flowing.replace("\n", " ")
    ends = [*(mark.start(1) for mark in marks[1:]), len(flowing)]
    lead = flowing[: marks[0].start(1)] if marks else flowing
    items = [f"* `{mark[1]}`: {_sentences(flowing[mark.end() : end])}" for mark, end in zip(marks, ends)]
    return "\n\n".join(part for part in (_sentences(lead), "\n".join(items)) if part)


def _all_known(list_of_names: str, names: set[str]) -> bool:
    found = re.findall(r"(\w+)(?: \([^()]*\))?(?:, |$)", list_of_names)
    return bool(found) and set(found) <= names


def _sentences(text: str) -> str:
    """Prose, with what is raised or returned in a paragraph of its own after the list."""
    return "\n\n".join(escaped(part.strip()) for part in _RAISES.split(text) if part.strip())


class Prose(griffe.Extension):
    """Rewrites the docstrings of a package once it has been read (not imported)."""

    def on_package(self, *, pkg: griffe.Module, **kwargs) -> None:
        """Called by griffe for each package."""
        _rewrite(pkg)


def _rewrite(thing: griffe.Object) -> None:
    if thing.docstring is not None:
        thing.docstring.value = markdown(thing.docstring.value, _names(thing))
    for member in thing.members.values():
        if not member.is_alias:
            _rewrite(member)


def _names(thing: griffe.Object) -> list[str]:
    """Arguments of a function; fields of a class and of those it derives from, and the arguments of its methods."""
    if thing.is_function:
        return [parameter.name for parameter in thing.parameters]
    if not thing.is_class:
        return []
    found = []
    for owner in (thing, *bases(thing)):
        for name, member in owner.members.items():
            if member.is_alias:
                continue
            found += [name] if member.is_attribute else []
            found += [parameter.name for parameter in member.parameters] if member.is_function else []
    return found
