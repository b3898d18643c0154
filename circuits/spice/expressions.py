"""Arithmetic of .param and of values in braces, by a small grammar: nothing of a deck is ever run as Python.

    choice  = either ["?" choice ":" choice]     either = both {"||" both}        both = compared {"&&" compared}
    compared = sum [("<" | ">" | "<=" | ">=" | "==" | "!=") sum]                  sum = product {("+" | "-") product}
    product = unary {("*" | "/") unary}          unary = ("-" | "+" | "!") unary | power
    power   = atom {("**" | "^") atom}           atom = number | name | name "(" choice {"," choice} ")"
            | "(" choice ")"

As in ngspice, -2**2 is -4, 2**3**2 is 64, and log is the natural logarithm.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from circuits.spice.numbers import number
from circuits.spice.where import Where, shown

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[ed][+-]?[0-9]+)?[a-z\u00b5\u03bc]*)|(?P<name>[a-z_][\w.#]*)"
    r"|(?P<sign>\*\*|\|\||&&|<=|>=|==|!=|[-+*/^<>!?:(),]))"
)
_LEVELS = (("||",), ("&&",), ("<", ">", "<=", ">=", "==", "!="), ("+", "-"), ("*", "/"))
_DEPTH, _LENGTH = 40, 4000

CONSTANTS = {"pi": math.pi, "e": math.e, "boltz": 1.38064852e-23, "echarge": 1.6021766208e-19, "kelvin": -273.15}


def _power(x: float, y: float) -> float:
    if x < 0 and y != int(y):
        raise ValueError("a root of a negative number")
    return math.pow(x, y)


def _operator_power(x: float, y: float) -> float:
    if x < 0:  # ngspice takes |x|, other programs do not
        raise ValueError("programs disagree on powers of a negative number; write pow(x, y), or pwr(x, y) for |x|^y")
    return math.pow(x, y)


def _exactly(count: int, function: Callable) -> tuple[Callable, int, int]:
    return function, count, count


FUNCTIONS = {
    **{name: _exactly(1, getattr(math, name)) for name in ("sqrt", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: _exactly(1, getattr(math, name)) for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh", "log10")},
    "arctan": _exactly(1, math.atan),
    "log": _exactly(1, math.log),
    "ln": _exactly(1, math.log),
    "abs": _exactly(1, abs),
    "int": _exactly(1, lambda x: float(math.trunc(x))),
    "nint": _exactly(1, lambda x: float(round(x))),
    "floor": _exactly(1, lambda x: float(math.floor(x))),
    "ceil": _exactly(1, lambda x: float(math.ceil(x))),
    "sgn": _exactly(1, lambda x: float((x > 0) - (x < 0))),
    "pow": _exactly(2, _power),
    "pwr": _exactly(2, lambda x, y: math.pow(abs(x), y)),
    "min": (lambda *x: min(x), 1, 100),
    "max": (lambda *x: max(x), 1, 100),
}

_OPERATORS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": _operator_power,
    "^": _operator_power,
    "<": lambda x, y: float(x < y),
    ">": lambda x, y: float(x > y),
    "<=": lambda x, y: float(x <= y),
    ">=": lambda x, y: float(x >= y),
    "==": lambda x, y: float(x == y),
    "!=": lambda x, y: float(x != y),
    "&&": lambda x, y: float(bool(x) and bool(y)),
    "||": lambda x, y: float(bool(x) or bool(y)),
}


@dataclass(frozen=True)
class Expression:
    """A parsed expression. names: the parameters that it asks for."""

    text: str
    where: Where
    names: frozenset[str]
    _tree: tuple

    def value(self, parameters: Mapping[str, float]) -> float:
        """Its value; raises PhysnetError for a parameter that is missing and a result that is no finite number."""
        try:
            value = _value(self._tree, parameters)
        except KeyError as error:
            raise self.where.error(
                f"unknown parameter {error.args[0]} in {shown(self.text)}. Define it: .param {error.args[0]}=..."
            ) from None
        except ZeroDivisionError:
            raise self.where.error(f"{shown(self.text)} divides by zero.") from None
        except (ValueError, OverflowError) as error:
            raise self.where.error(f"{shown(self.text)} has no value: {error}.") from None
        if not math.isfinite(value):
            raise self.where.error(f"{shown(self.text)} is {value}; values are finite.")
        return value


def parse(text: str, where: Where) -> Expression:
    """The expression that `text` (without its braces) holds. Raises PhysnetError naming what it cannot be."""
    if len(text) > _LENGTH:
        raise where.error(f"an expression of {len(text)} characters; {_LENGTH} is the most. Split it with .param.")
    parser = _Parser(text.lower(), where)
    tree = parser.choice(0)
    if parser.kind is not None:
        raise parser.error(f"unexpected {shown(parser.token)}")
    return Expression(text, where, frozenset(parser.names), tree)


class _Parser:
    """Recursive descent, to a depth at which it stops with a message."""

    def __init__(self, text, where):
        self.text, self.where, self.names = text, where, set()
        self.at = 0
        self.advance()

    def error(self, message):
        return self.where.error(f"{message} in the expression {shown(self.text)}.")

    def advance(self):
        rest = self.text[self.at :].strip()
        if not rest:
            self.kind = self.token = None
            return
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise self.error(f"unexpected {shown(rest[0])}")
        self.kind, self.token, self.at = match.lastgroup, match[match.lastgroup], match.end()

    def take(self, *tokens):
        if self.kind == "sign" and self.token in tokens:
            token = self.token
            self.advance()
            return token
        return None

    def expect(self, token):
        if not self.take(token):
            raise self.error(f"'{token}' expected, not {'the end' if self.kind is None else shown(self.token)}")

    def choice(self, depth):
        if depth > _DEPTH:
            raise self.error(f"nested more than {_DEPTH} deep; split it with .param")
        condition = self.binary(0, depth)
        if not self.take("?"):
            return condition
        yes = self.choice(depth + 1)
        self.expect(":")
        return "choice", condition, yes, self.choice(depth + 1)

    def binary(self, level, depth):
        if level == len(_LEVELS):
            return self.unary(depth)
        first, rest = self.binary(level + 1, depth), []
        while token := self.take(*_LEVELS[level]):
            rest.append((token, self.binary(level + 1, depth)))
        return ("chain", first, rest) if rest else first

    def unary(self, depth):
        if depth > _DEPTH:
            raise self.error(f"nested more than {_DEPTH} deep; split it with .param")
        if token := self.take("-", "+", "!"):
            return "unary", token, self.unary(depth + 1)
        first, rest = self.atom(depth), []
        while token := self.take("**", "^"):
            rest.append((token, self.signed(depth + 1)))
        return ("chain", first, rest) if rest else first

    def signed(self, depth):
        """An exponent, whose sign binds at once: 2**-1."""
        token = self.take("-", "+")
        return ("unary", token, self.atom(depth)) if token else self.atom(depth)

    def atom(self, depth):
        kind, token = self.kind, self.token
        if kind == "number":
            self.advance()
            return "number", number(token)
        if kind == "name":
            self.advance()
            if self.take("("):
                return self.call(token, depth)
            self.names.add(token)
            return "name", token
        if self.take("("):
            inner = self.choice(depth + 1)
            self.expect(")")
            return inner
        raise self.error(f"a value expected, not {'the end' if kind is None else shown(token)}")

    def call(self, name, depth):
        if name not in FUNCTIONS:
            raise self.error(f"unknown function {name} (known: {', '.join(sorted(FUNCTIONS))})")
        arguments = [self.choice(depth + 1)]
        while self.take(","):
            arguments.append(self.choice(depth + 1))
        self.expect(")")
        _, least, most = FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            raise self.error(f"{name} takes {least if least == most else f'{least} or more'} values")
        return "call", name, *arguments


def _value(tree, parameters):
    """The value of a tree; its depth was bounded when it was parsed."""
    kind = tree[0]
    if kind == "number":
        return tree[1]
    if kind == "name":
        name = tree[1]
        return parameters[name] if name in parameters or name not in CONSTANTS else CONSTANTS[name]
    if kind == "unary":
        value = _value(tree[2], parameters)
        return {"-": -value, "+": value, "!": float(not value)}[tree[1]]
    if kind == "choice":
        return _value(tree[2] if _value(tree[1], parameters) else tree[3], parameters)
    if kind == "call":
        return float(FUNCTIONS[tree[1]][0](*(_value(argument, parameters) for argument in tree[2:])))
    value = _value(tree[1], parameters)
    for operator, operand in tree[2]:  # from the left
        value = _OPERATORS[operator](value, _value(operand, parameters))
    return value
