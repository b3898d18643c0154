"""The one family of errors that physnet raises for input it cannot accept and states it did not reach."""


class PhysnetError(ValueError):
    """Something a user can mend. The text says what, where, the value with its unit, and the fix."""


class ConvergenceError(PhysnetError):
    """A steady state was asked for and not reached within the tolerance and the steps allowed."""


class SchemaError(PhysnetError):
    """A dataset or file does not follow the `physnet-1` schema (see docs/schema.md)."""
