"""The rule that docstrings of public things keep: every parameter described, numbers with a unit, arrays with a shape.

An entry is `name: what it is`, or `name, other (dim, ...): what they are`, in the docstring of the function, of the
method that it overrides, of a class that it belongs to, or the text under the field. It ends where the next one begins,
or the paragraph does. `name` (A, positive) in passing is one too; what is no number may be named in backticks in a
sentence. An entry that says "as for `relax`" is that of `relax`; "Other arguments as for `relax`" is those of `relax`.
`tests/docstring_walk.py` finds what is public, `tests/test_docstrings.py` holds the rule.
"""

import collections.abc
import re
import types
import typing

import jax
import numpy as np

_SYMBOL = r"(?:[kMGmunp]?(?:Hz|ohm|[VASFWJs])|rad|K|deg|dB)(?:-?\d|\^-?[\d./]+)?"
# Where a sentence stops after it, or goes on from it: "in A", "(A, positive)", ", V at the". Not "A function".
_UNIT = re.compile(
    rf"(?<![\w/])(?:1/)?{_SYMBOL}(?:[ /]{_SYMBOL})*"
    r"(?=[,;:.)\]]|$| (?:or|and|above|below|at|of|per|for|into|from|each|to)\b)"
    rf"|\b(?:in|per) {_SYMBOL}\b|1/\({_SYMBOL}(?: {_SYMBOL})*\)"
)
# What has no unit of its own, or that of something else: "dimensionless", "[1]", "a share of", "in the state's unit".
_WORDS = re.compile(
    r"\b(?:dimensionless|relative|shares?|fractions?|ratio|probabilit(?:y|ies)|\w*units?\b)"
    r"|signal\^2|a\.u\.|per cent|%|^1[,.;]|\[1\]|\(1\)",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"\b(?:numbers?|how many|whether|index|indices|counts?|which|labels?|names?|true|whole)\b|-1 ", re.I
)
_SHAPE = re.compile(
    r"\(\*\w+\)|\((?:\.\.\.|[\w*+ -]+)?,(?:[\w*+., /()-]*)\)|\(\)|\bshaped?\b|\bscalar\b|\bnumber\b|\bbroadcast"
    r"|\bone for\b",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\b(?:as for|as in|as of|see|those of|that of|the kind of) `([\w.]+?)(?:\(\))?`")
_GENERAL = re.compile(
    r"\b(?:parameters|arguments|fields|options|the rest|the others|all others)\b[^.:]{0,30}? (?:as for|as in|those of)"
    r" `([\w.]+)`",
    re.IGNORECASE,
)
_BLANKET = "All quantities are dimensionless"


def entries(text: str, names, *, loose: bool = False) -> dict[str, str]:
    """What a docstring says of each of `names`, for those it has an entry of, where that opens a sentence.

    loose: entries within a sentence and in passing, in their place; "the bias: b = ..." may then be prose.
    """
    names = set(names)
    if not text or not names:
        return {}
    # Names that are not asked for may stand in a list that opens a sentence, not in one within it.
    anything, known = _list_of("[a-z_][a-z_0-9]*"), _list_of("|".join(sorted(names, key=len, reverse=True)))
    opening, within = rf"(?:^|(?<=[.;] )|(?<=\()){anything}:(?=\s)", rf"(?<=\s){known}:(?=\s)"
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", text):
        paragraph = " ".join(paragraph.split())
        first = list(re.finditer(opening, paragraph))
        later = [one for one in re.finditer(within, paragraph) if all(one.end() != head.end() for head in first)]
        ends = [match.start() for match in (*first, *later, *re.finditer(r"\bRaises ", paragraph))] + [len(paragraph)]
        for head in later if loose else first:
            said = paragraph[head.end() : min(end for end in ends if end >= head.end())].strip()
            for name, shape in re.findall(r"(?<![\w(])(\w+)`?(?: (\([^()]*\)))?(?=[,:`( ])", head[0]):
                if name in names:
                    found.setdefault(name, f"{shape} {said}".strip())
    return {name: said for name in names if (said := _in_passing(text, name))} | found if loose else found


def beside_entries(text: str, names) -> str:
    """A docstring without the first sentence of each entry: what may speak of the result."""
    for name, said in entries(text, names).items():
        text = " ".join(text.split()).replace(re.split(r"(?<=[.;]) ", said)[0], "").replace(f"{name}:", "")
    return text


def _in_passing(text: str, name: str) -> str | None:
    """What stands in parentheses after `name`, or the unit after it."""
    found = re.search(rf"`{name}`(?: \(([^()]+(?:\([^()]*\)[^()]*)*)\)|, ([^ ]+[,.;]))", " ".join(text.split()))
    return found and (found[1] or (found[2] if has_unit(found[2], may_count=False) else None))


def _list_of(name: str) -> str:
    """The pattern of "a, b (dim, ...) and c", each a `name`, or of "a(b, c) -> d"."""
    item = rf"\*{{0,2}}`?(?:{name})`?(?: ?\([^()]*\))?"
    return rf"{item}(?: -> \w+|(?:(?:, and |, or |, | and | or ){item})*)"


def mentioned(text: str, name: str) -> bool:
    """Whether a sentence speaks of the parameter, its name in backticks."""
    return bool(re.search(rf"`{re.escape(name)}[`=.(]", text))


def has_unit(text: str, *, may_count: bool) -> bool:
    """Whether a text states a unit, or that there is none; `may_count`: or that it is a number of things, or a flag."""
    text = re.sub(r"\((?:[\w*.]+, ?)*unit(?:, ?[\w*.]*)*\)", "", text)  # the dim called "unit"
    return bool(_UNIT.search(text) or _WORDS.search(text) or (may_count and _COUNT.search(text)))


def units_in(text: str) -> list[dict[str, float]]:
    """Every unit that a text states, as exponents: {"A": 1, "V": -2} for A/V^2."""
    return [exponents(re.sub(r"^(?:in|per) ", "", found[0])) for found in _UNIT.finditer(text)]


def exponents(unit: str) -> dict[str, float]:
    """A unit as exponents of its symbols: "A V-2", "A/V^2" and "A V^-2" are one; {} for "1"."""
    above, _, below = unit.replace("(", "").replace(")", "").partition("/")
    found: dict[str, float] = {}
    for part, sign in ((above, 1), (below, -1)):
        for symbol, power in re.findall(r"([A-Za-z]+)\^?(-?[\d.]*)", part):
            found[symbol] = found.get(symbol, 0) + sign * float(power or 1)
    return found


def has_shape(text: str) -> bool:
    """Whether a text states the shape of an array."""
    return bool(_SHAPE.search(text))


def all_dimensionless(text: str) -> bool:
    """Whether a docstring says that nothing in it has a unit."""
    return _BLANKET in " ".join(text.split())


def reference(entry: str) -> str | None:
    """The name of what an entry refers to."""
    found = _REFERENCE.search(entry)
    return found[1] if found else None


def general_references(text: str) -> list[str]:
    """The names of what a docstring refers to for all that it does not describe."""
    return _GENERAL.findall(" ".join(text.split()))


class Kind(typing.NamedTuple):
    """What an annotation says: whether a value is a number, surely not a count, an array, one of a stated shape."""

    number: bool = False
    real: bool = False
    array: bool = False
    shaped: bool = False


def kind(annotation, default=None) -> Kind:
    """The kind of a value of this annotation (`inspect.Parameter.empty` for none) and default."""
    if isinstance(annotation, str):
        array, real = (
            bool(re.search(rf"\b(?:{names})\b", annotation)) for names in ("ndarray|Array|ArrayLike", "float")
        )
        return Kind(array or real, real, array, array and "Float[" in annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType, tuple, list, collections.abc.Sequence):
        kinds = [kind(one) for one in arguments if one is not ...]
        shaped = [one.shaped for one in kinds if one.array]
        return Kind(*(any(one[i] for one in kinds) for i in range(3)), bool(shaped) and all(shaped))
    if hasattr(annotation, "dim_str"):  # of jaxtyping
        real = not isinstance(annotation.dtypes, tuple | list) or "float32" in annotation.dtypes
        return Kind(real, real, True, True)
    if not isinstance(annotation, type) or annotation.__name__ == "_empty":
        return Kind(*(isinstance(default, float),) * 2)
    if annotation in (float, complex):
        return Kind(True, True)
    return Kind(True, False, True) if issubclass(annotation, np.ndarray | jax.Array) else Kind()
