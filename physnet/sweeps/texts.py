"""A design from the command line: beta=0.01:1:log20, seed=0:10, mode=a,b, gain=0:2:sobol64."""

import re

import numpy as np

from physnet import configs
from physnet.errors import PhysnetError, UsageError
from physnet.sweeps.design import Design, grid, random, sobol, zipped

FORMS = """\
values of a field:
  FIELD=a,b,c             these values
  FIELD=0:10              whole numbers from 0 to 9, as in Python
  FIELD=0:10:2            ... in steps of 2; of a field with fractions 0, 2, ... up to 10, the end included
  FIELD=0:1:lin11         11 values, evenly spaced, ends included
  FIELD=0.01:1:log20      20 values, evenly spaced in their logarithm, ends included
  FIELD=0:1:sobol64       64 draws that fill the range evenly (logsobol64: in the logarithm)
  FIELD=0:1:random50      50 independent draws (lograndom50: in the logarithm)
fields that are drawn are drawn together, along one dim `draw`."""

_RANGE = re.compile(r"(?P<low>[^:,]+):(?P<high>[^:,]+)(?::(?P<how>[^:,]+))?")
_COUNTED = re.compile(r"(lin|log|sobol|logsobol|random|lograndom)(\d+)")
_DRAWS = {"sobol": sobol, "random": random}


def design(config_class: type, over, together=(), seed: int = 0) -> Design:
    """The design of texts such as "beta=0.01:1:log20" over the fields of a configuration.

    over: of the grid and the draws, in order; together: fields that move as one, along one dim. seed: of the draws.
    Raises UsageError, naming the text, where it cannot be read.
    """
    axes, draws, kinds = [], {}, set()
    for text in over:
        field, spec = _split(config_class, text)
        how = _how(spec)
        kind = how[0].removeprefix("log") if how else None
        if kind in _DRAWS:
            if not draws:
                axes.append(None)  # where the draws come among the dims
            kinds.add((kind, how[1]))
            draws[field.name] = (*_ends(field, spec, text), *(["log"] if how[0].startswith("log") else []))
        else:
            axes.append(grid(**{field.name: _values(field, spec, text)}))
    if len(kinds) > 1:
        raise UsageError(
            f"sweep: fields that are drawn are drawn together, here {sorted(kinds)}. Give one kind and count"
        )
    moved = {}
    for text in together:
        field, spec = _split(config_class, text)
        moved[field.name] = _values(field, spec, text)
    if moved:
        axes.append(zipped(**moved))
    whole = Design(())
    for axis in axes:
        if axis is None:
            ((kind, count),) = kinds
            axis = _DRAWS[kind](count, draws, seed=seed)
        whole = whole * axis
    return whole


def _split(config_class, text):
    """(the field, its values as text)"""
    name, equals, spec = text.partition("=")
    if not equals or not name.strip() or not spec.strip():
        raise UsageError(f"sweep: '{text}' is not of the form FIELD=VALUES, such as beta=0.01:1:log20 or seed=0:10")
    return configs.field(config_class, name.strip(), f"sweep: '{text}'"), spec.strip()


def _how(spec):
    """(kind, count) of a counted range, None of anything else."""
    match = _RANGE.fullmatch(spec)
    counted = _COUNTED.fullmatch(match["how"]) if match and match["how"] else None
    return (counted[1], int(counted[2])) if counted else None


def _values(field, spec, text) -> list:
    match = _RANGE.fullmatch(spec)
    if match is None or not _is_number(match["low"]):
        return [_parsed(field, part, text) for part in spec.split(",")]
    how = _how(spec)
    if how:
        return _spaced(field, *_ends(field, spec, text), *how, text)
    return _stepped(field, match, text)


def _spaced(field, low, high, kind, count, text) -> list:
    """Evenly spaced values, ends included; whole numbers where the field takes no others."""
    if kind not in ("lin", "log"):
        raise UsageError(f"sweep: '{text}': fields that move together take values or ranges, no draws")
    if count < 1 or (kind == "log" and not (low > 0 and high > 0)):
        raise UsageError(f"sweep: '{text}': a logarithmic range lies above 0, and a count is 1 or more")
    values = np.geomspace(low, high, count) if kind == "log" else np.linspace(low, high, count)
    if _is_whole(field):
        whole = np.unique(values.round().astype(int))
        if len(whole) < count:
            raise UsageError(f"sweep: '{text}': only {len(whole)} different whole numbers there. Ask for fewer")
        return whole.tolist()
    return values.tolist()


def _stepped(field, match, text) -> list:
    if _is_whole(field):
        low, high, step = (_parsed(field, part, text) for part in (match["low"], match["high"], match["how"] or "1"))
        values = list(range(low, high, step)) if step else []
    elif match["how"] is None:
        raise UsageError(f"sweep: '{text}': how many values? Add :lin11, :log20, :sobol64 or a step, such as :0.1")
    else:
        low, high, step = (float(_parsed(field, part, text)) for part in match.group("low", "high", "how"))
        reach = (high - low) / step if step else -1.0
        values = (low + step * np.arange(int(reach * (1 + 1e-12)) + 1)).tolist() if 0 <= reach < 1e7 else []
    if not values:
        raise UsageError(f"sweep: '{text}' holds no values. Turn the ends or the step round")
    return values


def _ends(field, spec, text):
    match = _RANGE.fullmatch(spec)
    kind = int if _is_whole(field) else float
    try:
        return kind(match["low"]), kind(match["high"])
    except ValueError as error:
        raise UsageError(f"sweep: '{text}': the ends of a range are numbers ({error})") from error


def _parsed(field, part, text):
    try:
        return configs.parsed(field, part.strip(), f"sweep: '{text}'")
    except PhysnetError as error:
        raise UsageError(str(error)) from error


def _is_whole(field) -> bool:
    return configs.takes(field, int) and not configs.takes(field, float)


def _is_number(text) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
