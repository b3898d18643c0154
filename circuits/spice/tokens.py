"""A logical line as words, `name = value` pairs and expressions."""

import re
from dataclasses import dataclass

from circuits.spice.lines import Line
from circuits.spice.where import Where, shown

_TOKEN = re.compile(r"[\s,]*(?:(\{[^{}]*\})|('[^']*')|(\"[^\"]*\")|([()=])|([^\s,(){}='\"]+))")


@dataclass(frozen=True)
class Value:
    """A value as it stands in the deck: a word, or, in braces or quotes, an expression."""

    text: str
    expression: bool
    where: Where

    def __str__(self):
        return self.text


@dataclass(frozen=True)
class Card:
    """One line. name: its first word. words: what follows, up to the first pair and between them. pairs: name = value.

    Names and words are in lower case; parentheses and commas only separate. `text` is the line as it was written.
    """

    name: str
    words: tuple[Value, ...]
    pairs: dict[str, Value]
    where: Where
    text: str

    def error(self, message: str):
        return self.where.error(message)


def card(line: Line) -> Card:
    """The card on a line. Raises PhysnetError for braces, quotes and parentheses that do not match."""
    values, where = _values(line), line.where
    if not values or values[0].text == "=" or values[0].expression:
        raise where.error(f"{shown(line.text)} is no element and no dot command.")
    words, pairs, at = [], {}, 1
    while at < len(values):
        follows = at + 1 < len(values) and _equals(values[at + 1])
        if _equals(values[at]):
            raise where.error(f"'=' without a name before it in {shown(line.text)}.")
        if not follows:
            words.append(values[at])
            at += 1
            continue
        name = values[at].text
        if values[at].expression:
            raise where.error(f"{shown(name)} cannot be a name: '=' follows it.")
        if at + 2 >= len(values) or _equals(values[at + 2]):
            raise where.error(f"{name}= has no value. Write {name}=VALUE.")
        if name in pairs:
            raise where.error(f"{name} is given twice. Give it once.")
        pairs[name] = values[at + 2]
        at += 3
    return Card(values[0].text, tuple(words), pairs, where, line.text)


def _equals(value: Value) -> bool:
    return value.text == "=" and not value.expression


def _values(line: Line) -> list[Value]:
    """Words in lower case; the text of an expression without its braces or quotes."""
    values, at, depth = [], 0, 0
    text = line.text.rstrip(" \t,")
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at:].lstrip(" \t,")
            what = {"{": "'{' without '}'", "}": "'}' without '{'"}.get(
                rest[:1], f"a quote without its end at {rest[:1]}"
            )
            raise line.where.error(f"{what} in {shown(line.text)}.")
        at = match.end()
        braces, quotes, string, sign, word = match.groups()
        if sign in ("(", ")"):
            depth += 1 if sign == "(" else -1
            if depth < 0:
                raise line.where.error(f"')' without '(' in {shown(line.text)}.")
        elif braces is not None or quotes is not None:
            values.append(Value((braces or quotes)[1:-1].strip().lower(), True, line.where))
        elif string is not None:
            values.append(Value(string[1:-1].lower(), False, line.where))
        else:
            values.append(Value((sign or word).lower(), False, line.where))
    if depth:
        raise line.where.error(f"'(' without ')' in {shown(line.text)}.")
    return values
