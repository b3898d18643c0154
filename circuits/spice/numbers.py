"""Numbers as SPICE writes them: 2.2k, 3MEG, 10uF, 1mil."""

import re

from circuits.spice.where import Where, shown

# Powers of ten; MEG comes before M, which is milli, in either case. Femto, not farad: 1F is 1e-15.
_SCALES = {"t": 12, "g": 9, "meg": 6, "k": 3, "m": -3, "u": -6, "\u00b5": -6, "\u03bc": -6, "n": -9, "p": -12, "f": -15}
_NUMBER = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[ed]([+-]?[0-9]+))?([a-z\u00b5\u03bc\u03c9\u03a9]*)")
_MIL = 25.4e-6  # m, a thousandth of an inch


def number(text: str) -> float | None:
    """The value of a SPICE number, in its unit; None if the text is none.

    A scale suffix may follow, and any letters after it are taken for the unit and ignored, as in 4.7kOhm. Scale and
    exponent are read as one decimal number, so that 2.2u is the float nearest to 2.2e-6.
    """
    match = _NUMBER.fullmatch(text.lower())
    if match is None:
        return None
    mantissa, exponent, letters = match[1], int((match[2] or "0")[:12]), match[3]
    if letters.startswith("mil"):
        return float(f"{mantissa}e{exponent}") * _MIL
    scale = _SCALES["meg"] if letters.startswith("meg") else _SCALES.get(letters[:1], 0)
    return float(f"{mantissa}e{exponent + scale}")


def require_number(text: str, where: Where, what: str) -> float:
    """As `number`, with an error that names the file and line of what was expected."""
    value = number(text)
    if value is None:
        raise where.error(f"{what} is {shown(text)}; give a number such as 4.7k, or an expression in braces.")
    if not abs(value) < float("inf"):
        raise where.error(f"{what} is {shown(text)}, which no floating-point number holds. Use a smaller one.")
    return value
