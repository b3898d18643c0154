"""The one family of errors that physnet raises for input it cannot accept and states it did not reach."""


class PhysnetError(ValueError):
    """Something a user can mend. The text says what, where, the value with its unit, and the fix."""


class ConvergenceError(PhysnetError):
    """A steady state was asked for and not reached within the tolerance and the steps allowed."""


class SchemaError(PhysnetError):
    """A dataset or file does not follow the `physnet-1` schema (see docs/schema.md)."""


class UsageError(PhysnetError):
    """The command line itself is wrong."""


def require_instance(value, kind: type, name: str) -> None:
    """Raises PhysnetError unless `value` is a `kind`; a class in its place gets its parentheses named."""
    if isinstance(value, kind):
        return
    if isinstance(value, type) and issubclass(value, kind):
        raise PhysnetError(f"{name} is the class {value.__name__}; did you forget the parentheses?")
    shown = repr(value)
    shown = shown if len(shown) <= 80 and "\n" not in shown else f"a {type(value).__name__}"
    raise PhysnetError(f"{name} is {shown}; pass an object of a subclass of {kind.__name__}.")
