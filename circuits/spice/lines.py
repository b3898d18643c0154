"""From files to logical lines: comments gone, continuations joined, included files in place."""

import re
from dataclasses import dataclass
from pathlib import Path

from circuits.spice.where import Where, shown
from physnet.errors import PhysnetError

_LARGEST = 64 * 2**20  # bytes of one file
_MOST_LINES = 1_000_000
_DEEPEST = 20
_COMMENT = re.compile(r";|(?:^|(?<=\s))\$")
_ELEMENT = re.compile(r"\s*(?:\.[a-z]|[rcdviefghmx]\w*[0-9]\w*\s+\S+\s+\S+\s+[\w.{+-])", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """One logical line, its continuations joined; `where` is its first physical line."""

    text: str
    where: Where


def read_text(path: Path, where: Where | None = None) -> str:
    """The text of a deck, as UTF-8 or Latin-1. where: the .include that asks for it."""
    said = "" if where is None else f"{where}: .include: "
    try:
        if path.is_dir():
            raise PhysnetError(f"{said}{path} is a folder. Name a file in it.")
        if path.exists() and not path.is_file():
            raise PhysnetError(f"{said}{path} is not a regular file. Name a text file.")
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise PhysnetError(f"{said}{path} does not exist.{_near(path)}") from None
    except (OSError, ValueError) as error:
        raise PhysnetError(f"{said}{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(data) > _LARGEST:
        raise PhysnetError(f"{said}{path} is larger than {_LARGEST >> 20} MiB. Name a netlist.")
    if b"\0" in data:
        raise PhysnetError(f"{said}{path} is not text (it holds zero bytes). Name a netlist.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _near(path: Path) -> str:
    import difflib

    try:
        names = [p.name for p in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f" Did you mean {path.with_name(near[0])}?" if near else ""


def deck_lines(text: str, name: str, folder: Path, notes: list[str]) -> tuple[str, list[Line]]:
    """(title, logical lines) of a deck. Its first line is the title, whatever it says; .end ends it.

    name: how messages call the file. folder: where .include looks first. notes: what was passed over is added here.
    """
    physical = _physical(text)
    title = physical[0].strip() if physical else ""
    if _ELEMENT.match(title):
        notes.append(f"{name}:1: the first line is the title, as always in SPICE; {shown(title)} is not read.")
    pieces: list[tuple[list[str], Where]] = []
    _collect(physical, 1, name, folder, pieces, notes, ())
    return title, [Line(" ".join(parts), where) for parts, where in pieces]


def _physical(text: str) -> list[str]:
    """Lines as an editor counts them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _collect(physical, start, name, folder, lines, notes, files):
    """Adds the logical lines of one file: the pieces of each, and where the first of them stands."""
    control = None
    own = len(lines)  # continuations do not reach into the file that includes this one
    for i, raw in enumerate(physical[start:], start + 1):
        where = Where(name, i)
        if raw.lstrip()[:1] == "*":
            continue
        text = _COMMENT.split(raw, maxsplit=1)[0].strip()
        if not text:
            continue
        command = text.split(maxsplit=1)[0].lower()
        if control is not None:
            control = None if command == ".endc" else control
            continue
        if text[0] == "+":
            if len(lines) == own:
                raise where.error("'+' continues the line before it, and there is none here.")
            lines[-1][0].append(text[1:])
        elif command == ".control":
            control = where
            notes.append(f"{where}: .control blocks are passed over; write analyses as .dc and .tran lines.")
        elif command in (".include", ".inc"):
            _include(text, where, folder, lines, notes, files)
            own = len(lines)
        elif command == ".end":
            if any(line.strip() for line in physical[i:]):
                notes.append(f"{where}: what follows .end is not read.")
            return
        else:
            lines.append(([text], where))
        if len(lines) > _MOST_LINES:
            raise where.error(f"more than {_MOST_LINES} lines, with what it includes. Split the deck.")
    if control is not None:
        raise control.error(".control without .endc. Add it.")


def _include(text, where, folder, lines, notes, files):
    parts = text.split(maxsplit=1)
    if len(parts) < 2:
        raise where.error(".include names no file. Write .include FILE.")
    wanted = parts[1].strip().strip("\"'").strip()
    if not wanted:
        raise where.error(".include names no file. Write .include FILE.")
    path = folder / Path(wanted)
    text = read_text(path, where)
    identity = path.resolve()
    if identity in files:
        raise where.error(f".include: {path} includes itself. Remove one of its .include lines.")
    if len(files) >= _DEEPEST:
        raise where.error(f".include: files are nested more than {_DEEPEST} deep.")
    _collect(_physical(text), 0, str(path), path.parent, lines, notes, (*files, identity))
