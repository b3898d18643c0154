"""A study's configuration, field by field: what each means, and values from text or from a dataset's attributes."""

import ast
import dataclasses
import difflib
import enum
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from physnet.errors import PhysnetError

_UNIT = re.compile(r"\s*\[([^\[\]]+)\]")


@dataclass(frozen=True)
class Field:
    """One field of a configuration.

    name: as in the class. hint: its type. long_name: the first sentence of its docstring. units: in brackets there.
    """

    name: str
    hint: object
    long_name: str
    units: str


def fields(config_class: type) -> dict[str, Field]:
    """Every field of a configuration by name; a field without a unit in its docstring has "1".

    config_class: the dataclass.
    """
    hints, texts = typing.get_type_hints(config_class), _docstrings(config_class)
    found = {}
    for field in dataclasses.fields(config_class):
        text = " ".join(texts.get(field.name, "").split())
        unit = _UNIT.search(text)
        phrase = re.split(r"[.;:](?:\s|$)", _UNIT.sub("", text, count=1))[0].strip()
        found[field.name] = Field(
            field.name, hints[field.name], phrase or field.name.replace("_", " "), unit[1] if unit else "1"
        )
    return found


def _docstrings(config_class) -> dict[str, str]:
    """The text under each field, of the class and of those it inherits from."""
    found = {}
    for owner in reversed(config_class.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body
        except (OSError, TypeError, SyntaxError):  # made at run time: no source
            continue
        for before, after in zip(body, body[1:]):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(before, ast.AnnAssign) and is_text and isinstance(after.value.value, str):
                found[before.target.id] = after.value.value
    return found


def field(config_class: type, name: str, where: str) -> Field:
    """The field called `name` ('-' and '_' are the same).

    config_class: the dataclass. where: names the source in errors. Raises PhysnetError, with the nearest name, without
    such a field.
    """
    known, wanted = fields(config_class), name.replace("-", "_")
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.4)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise PhysnetError(f"{where}: no option '{name}'.{hint} Options: {', '.join(known)}")
    return known[wanted]


def from_plain(config_class: type, values: typing.Mapping, where: str):
    """The configuration whose `provenance.config_json` holds `values`; fields that are absent keep their defaults.

    config_class: the dataclass. where: names the source in errors. Raises PhysnetError for a field that the class does
    not have, and for a value that does not fit its type.
    """
    given = {}
    for name, value in values.items():
        described = field(config_class, name, where)
        try:
            given[described.name] = _typed(described.hint, value)
        except (TypeError, ValueError, KeyError) as error:
            raise PhysnetError(f"{where}: {name} = {value!r} is no {_shown(described.hint)}") from error
    return config_class(**given)


def parsed(described: Field, text: str, where: str):
    """A field's value from text, as on the command line.

    described: the field. text: what was given. where: names the source in errors. Raises PhysnetError where the text is
    no such value.
    """
    try:
        return _typed(described.hint, text)
    except (TypeError, ValueError, KeyError) as error:
        raise PhysnetError(f"{where}: {described.name} = '{text}' is no {_shown(described.hint)}") from error


def check(described: Field, value, where: str) -> None:
    """Raises PhysnetError where a value does not fit the field's type.

    described: the field. value: what was given. where: names the source in errors.
    """
    try:
        _typed(described.hint, value)
    except (TypeError, ValueError, KeyError) as error:
        raise PhysnetError(f"{where}: {described.name} = {value!r} is no {_shown(described.hint)}") from error


def takes(described: Field, kind: type) -> bool:
    """Whether the type of the field `described` is `kind`, or a union with it."""
    return described.hint is kind or kind in typing.get_args(described.hint)


def _typed(hint, value):
    """`value` (of JSON, or text) as `hint` asks. Raises TypeError, ValueError or KeyError where it cannot be."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _first(arguments, value)
    if origin is typing.Literal:
        return {str(choice): choice for choice in arguments}[str(value)]
    if origin is typing.Annotated:
        return _typed(arguments[0], value)
    if origin in (tuple, list, Sequence):
        return _sequence(origin, arguments, value)
    if hint is type(None):
        return None if value in (None, "None") else _refuse(value)
    if hint is bool:
        return {True: True, False: False, "True": True, "False": False, "true": True, "false": False}[value]
    if hint is int:
        return int(value) if not isinstance(value, float | bool) else _refuse(value)
    if hint is float:
        return float(value) if not isinstance(value, bool) else _refuse(value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum | PurePath) and isinstance(value, hint):
        return value
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint[value]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_plain(hint, value, hint.__name__)
    if hint is str or (isinstance(hint, type) and issubclass(hint, PurePath)):
        return hint(value) if isinstance(value, str) else _refuse(value)
    return hint(**value) if isinstance(value, dict) else hint(value)


def _first(hints, value):
    """The value by the first type that takes it, those that say more than text before text."""
    for hint in sorted(hints, key=lambda hint: hint is str or (isinstance(hint, type) and issubclass(hint, PurePath))):
        try:
            return _typed(hint, value)
        except (TypeError, ValueError, KeyError):
            continue
    return _refuse(value)


def _sequence(origin, arguments, value):
    parts = value.split() if isinstance(value, str) else list(value)
    if origin is not tuple or arguments[1:] == (...,):
        hints = [arguments[0]] * len(parts)
    elif len(arguments) == len(parts):
        hints = arguments
    else:
        _refuse(value)
    made = [_typed(hint, part) for hint, part in zip(hints, parts)]
    return tuple(made) if origin is tuple else made


def _refuse(value):
    raise ValueError(value)


def _shown(hint) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
