"""Gives the classes of the API pages their signature: fields of an equinox Module are the arguments of its constructor.

griffe does so for dataclasses; a Module becomes one only when it runs, and nothing here runs.
"""

import griffe


class Constructors(griffe.Extension):
    """Adds an `__init__` to every class with fields that has none and is no dataclass by decorator."""

    def on_package(self, *, pkg: griffe.Module, **kwargs) -> None:
        """Called by griffe for each package."""
        _add(pkg)


def _add(thing: griffe.Object) -> None:
    for member in list(thing.members.values()):
        if not member.is_alias and (member.is_module or member.is_class):
            _add(member)
    if thing.is_class and not thing.decorators and "__init__" not in thing.members:
        fields = _fields(thing)
        if fields:
            first = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
            made = griffe.Function("__init__", parameters=griffe.Parameters(first, *fields), lineno=thing.lineno)
            thing.set_member("__init__", made)


def _fields(thing: griffe.Class) -> list[griffe.Parameter]:
    """Fields of the class and of those it derives from, bases first, as a dataclass orders them."""
    found: dict[str, griffe.Parameter] = {}
    for owner in (*reversed(bases(thing)), thing):
        if "__init__" in owner.members and owner is not thing and not _made(owner):
            return []  # an inherited constructor of its own
        for name, member in owner.members.items():
            if member.is_alias or not member.is_attribute or member.annotation is None or name.startswith("_"):
                continue
            if "property" in member.labels or str(member.annotation).startswith(("ClassVar", "typing.ClassVar")):
                found.pop(name, None)
                continue
            kind = griffe.ParameterKind.positional_or_keyword
            found[name] = griffe.Parameter(
                name, annotation=member.annotation, kind=kind, default=_default(member.value)
            )
    return list(found.values())


def _made(owner: griffe.Class) -> bool:
    return owner.members["__init__"].docstring is None and not owner.members["__init__"].endlineno


def _default(value):
    """The default of a field; that of `eqx.field(..., default=...)` where it stands in one, "..." from a factory."""
    if not (isinstance(value, griffe.ExprCall) and str(value.canonical_path).rpartition(".")[2] == "field"):
        return value
    given = {part.name: part.value for part in value.arguments if isinstance(part, griffe.ExprKeyword)}
    return given.get("default", "..." if "default_factory" in given else None)


def bases(thing: griffe.Class) -> list[griffe.Class]:
    """The classes that one derives from, as far as they are of our packages."""
    try:
        return thing.mro()
    except (ValueError, griffe.AliasResolutionError, griffe.CyclicAliasError):
        return []
