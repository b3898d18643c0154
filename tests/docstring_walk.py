"""What is public, found by walking the packages and what README and docs import, and what its docstrings lack.

Public are the names that packages export, the names that README and docs import or spell out, and every study's Config:
functions, the constructors and fields of classes, and their public methods, inherited ones included.
"""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import docstring_rule as rule

from physnet import configs, discovery

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("physnet", "circuits", "oscillators", "studies")
_IMPORT = re.compile(rf"\bfrom ((?:{'|'.join(PACKAGES)})[\w.]*) import ([\w, ]+)")
_SPELT_OUT = re.compile(rf"\b((?:{'|'.join(PACKAGES)})(?:\.\w+)+)")
_UNKNOWN = inspect.Parameter.empty
_TUPLE = re.compile(r"(?<!\w)\((?:\.\.\.|\*?[a-z]\w*),[ \w.*]*\)")  # a shape, (sample, input)
_DEEPEST = 3  # references from docstring to docstring


@dataclasses.dataclass(frozen=True)
class Said:
    """A function, method or class with its public parameters and fields, and the docstrings that speak of them.

    title: full name. thing: the function or class itself. values: (annotation, default) by name. texts: docstrings, the
    nearest first. returns: annotation of the result; result: the docstrings that may describe it.
    """

    title: str
    thing: object
    values: dict[str, tuple[object, object]]
    texts: tuple[str, ...]
    returns: object = _UNKNOWN
    result: str = ""

    @property
    def place(self) -> str:
        """file:line."""
        return f"{Path(inspect.getsourcefile(self.thing)).relative_to(ROOT)}:{inspect.getsourcelines(self.thing)[1]}"


# What is public


def public_things() -> dict[str, object]:
    """Every public function and class by a name that reaches it."""
    found: dict[str, object] = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        inner = (one.name for one in pkgutil.walk_packages(module.__path__, f"{package}.") if one.ispkg)
        for home in (package, *inner):
            exporting = importlib.import_module(home)
            for name in getattr(exporting, "__all__", ()):
                _add(found, f"{home}.{name}", getattr(exporting, name))
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        imported = (f"{home}.{name}" for home, names in _IMPORT.findall(text) for name in re.findall(r"\w+", names))
        for path in (*imported, *_SPELT_OUT.findall(text)):
            _add(found, path, _at(path))
    for study in discovery.studies().values():
        found[f"{study.module}.Config"] = importlib.import_module(study.module).Config
    return found


def _add(found: dict, path: str, thing) -> None:
    """Adds what is at a dotted path: a function, a class, or all of those that a module defines."""
    if not inspect.ismodule(thing):
        if inspect.isclass(thing) or inspect.isfunction(inspect.unwrap(thing)):
            found[path] = thing
    elif not hasattr(thing, "__path__"):
        for name, one in vars(thing).items():
            if not name.startswith("_") and getattr(one, "__module__", None) == thing.__name__:
                found[f"{path}.{name}"] = one


def _at(path: str):
    """What a dotted path leads to, an attribute before a module of the same name; None for nothing."""
    home, _, name = path.rpartition(".")
    for find in (lambda: getattr(importlib.import_module(home), name), lambda: importlib.import_module(path)):
        try:
            return find()
        except (ImportError, AttributeError):  # a module not yet imported; a file name; a method
            continue
    return None


def everything_said(things: dict[str, object]) -> dict[str, Said]:
    """By full name: functions, constructors, methods and properties."""
    found = {}
    for thing in things.values():
        if inspect.isclass(thing):
            found |= {one.title: one for one in _of_class(thing)}
        else:
            one = _of_function(inspect.unwrap(thing))
            found[one.title] = one
    return found


def _of_function(thing) -> Said:
    values, returns = _signature(thing)
    text = inspect.getdoc(thing) or ""
    return Said(f"{thing.__module__}.{thing.__qualname__}", thing, values, (text,), returns, text)


def _of_class(cls):
    """The class itself, and its public methods at the class that defines them."""
    if issubclass(cls, BaseException):
        return
    owners = [owner for owner in cls.__mro__ if owner.__module__.split(".")[0] in PACKAGES]
    classes = tuple(inspect.cleandoc(vars(owner)["__doc__"]) for owner in owners if vars(owner).get("__doc__"))
    yield Said(f"{cls.__module__}.{cls.__qualname__}", cls, _values_of(cls), classes or ("",))
    for name in sorted({name for owner in owners for name in vars(owner)}):
        if name.startswith("_") and name != "__call__":
            continue
        holders = [(owner, vars(owner)[name]) for owner in owners if name in vars(owner)]
        functions = [_function(thing) for _, thing in holders]
        if functions[0] is None:
            continue
        functions = [function for function in functions if function is not None]
        bound = not isinstance(holders[0][1], staticmethod)
        values, returns = _signature(functions[0], bound)
        for other in functions[1:]:  # what an override does not annotate, the method that it overrides does
            more, result = _signature(other, bound)
            values = {key: more.get(key, value) if value[0] is _UNKNOWN else value for key, value in values.items()}
            returns = result if returns is _UNKNOWN else returns
        docs = tuple(inspect.cleandoc(function.__doc__) for function in functions if function.__doc__)
        if not docs and name == "__call__":
            docs = classes[:1]
        title = f"{holders[0][0].__module__}.{holders[0][0].__qualname__}.{name}"
        yield Said(title, functions[0], values, (docs or ("",)) + classes, returns, "\n\n".join(docs))


def _function(thing):
    """The function behind a method, property or class method; None for anything else."""
    for inner in ("method", "fget", "func", "__func__"):  # of equinox, of properties, cached ones, class methods
        thing = getattr(thing, inner, None) or thing
    thing = inspect.unwrap(thing)
    return thing if inspect.isfunction(thing) else None


@functools.cache
def _signature(function, bound: bool = False) -> tuple[dict, object]:
    """(annotation, default) of each parameter, and the annotation of the result."""
    known = inspect.signature(function)
    values = {name: (one.annotation, one.default) for name, one in known.parameters.items()}
    if bound or next(iter(values), None) in ("self", "cls"):
        values.pop(next(iter(values), None), None)
    return {name: value for name, value in values.items() if not name.startswith("_")}, known.return_annotation


def _values_of(cls) -> dict:
    """What a class is made of: the arguments of its constructor and its public fields."""
    made = not inspect.isabstract(cls) and cls.__init__ is not object.__init__
    values = dict(_signature(cls.__init__)[0]) if made else {}
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        if not field.name.startswith("_"):
            values[field.name] = (field.type, values.get(field.name, (None, None))[1])
    return values


# What is missing


def misses(one: Said, known: dict[str, Said]) -> list[str]:
    """What the docstrings of a thing lack: the parameter, and what of it."""
    if not one.texts[0]:
        return ["no docstring"]
    found = [miss for name in one.values for miss in _misses_of(name, one, known)]
    result = rule.kind(one.returns)
    plain = any(map(rule.all_dimensionless, one.texts))
    text = rule.beside_entries(one.result, one.values)
    if result.number and not plain and not rule.has_unit(text, may_count=not result.real):
        found.append("the result: no unit")
    if result.array and not result.shaped and not rule.has_shape(text):
        found.append("the result: no shape")
    return found


def _misses_of(name: str, one: Said, known: dict[str, Said], depth: int = 0) -> list[str]:
    """What is missing of one parameter, after whatever its docstring refers to."""
    annotation, default = one.values[name]
    kind, entry = rule.kind(annotation, default), entry_of(name, one)
    if entry is None:
        for path in (path for text in one.texts for path in rule.general_references(text)):
            target = _target(path, one, known)
            if target is not None and name in target.values and depth < _DEEPEST:
                return _misses_of(name, target, known, depth + 1)
        described = not kind.number and not kind.array and any(rule.mentioned(text, name) for text in one.texts)
        return [] if described else [f"{name}: not described"]
    number = kind.number or (annotation is _UNKNOWN and _TUPLE.search(entry))
    plain = any(map(rule.all_dimensionless, one.texts))
    found = []
    if number and not plain and not rule.has_unit(entry, may_count=not kind.real):
        found.append(f"{name}: no unit in '{entry}'")
    if kind.array and not kind.shaped and not rule.has_shape(entry):
        found.append(f"{name}: no shape in '{entry}'")
    target = _target(rule.reference(entry), one, known) if found else None
    if target is not None and name in target.values and depth < _DEEPEST:
        return _misses_of(name, target, known, depth + 1)
    return found


def entry_of(name: str, one: Said) -> str | None:
    """What the docstrings say of a parameter: the nearest entry, else one in passing, else the text under the field."""
    for loose in (False, True):
        for text in one.texts:
            found = rule.entries(text, one.values, loose=loose)
            if name in found:
                return found[name]
    return _texts_under_fields(one.thing).get(name) if inspect.isclass(one.thing) else None


@functools.cache
def _texts_under_fields(cls) -> dict[str, str]:
    return {name: " ".join(text.split()) for name, text in configs._docstrings(cls).items()}


def _target(path: str | None, one: Said, known: dict[str, Said]) -> Said | None:
    """The public thing that a docstring names, of the same package first."""
    found = [title for title in known if path and (title == path or title.endswith(f".{path}"))]
    if not found and path:  # physnet.to_dataset is defined in physnet.datasets
        found = [title for title in known if title.split(".")[-1] == path.split(".")[-1]]
    found.sort(key=lambda title: (title.split(".")[0] != one.title.split(".")[0], title.count(".")))
    return known[found[0]] if found else None
