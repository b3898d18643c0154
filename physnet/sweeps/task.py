"""What a sweep does at its points: a study, or a function; one point after another, or many at a time."""

import abc
import dataclasses
import inspect
import time
from collections.abc import Mapping, Sequence

import numpy as np

from physnet import configs, discovery
from physnet.errors import PhysnetError
from physnet.sweeps.design import Design
from physnet.sweeps.rows import Collector, MismatchError, Rows
from physnet.variable import Variable

_LANES = 64  # points of a study that are run at a time


class Task(abc.ABC):
    """The work of a sweep. It is sent to other processes and machines, so it must pickle.

    keep: names of the variables to keep, all where empty. variables: unit and meaning of what a mapping holds.
    Methods take these. design: the points of the sweep. point: {field: value}, in the fields' units. number: of the
    point, from 0. name: of a swept field.
    """

    keep: tuple[str, ...]
    variables: tuple[Variable, ...]

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What is swept, for people and for telling one sweep from another."""

    @abc.abstractmethod
    def check(self, design: Design) -> None:
        """Raises PhysnetError, before any work, where the design does not fit."""

    @abc.abstractmethod
    def at(self, point: Mapping, number: int):
        """The result at the point {field: value} with this number: a Dataset, or {name: number or array}."""

    @abc.abstractmethod
    def many(self, values: Mapping[str, Sequence], numbers: Sequence[int]):
        """The results at many points, where `lanes` is above 1: a Dataset or mapping with the dim `point` first.

        values: {field: one value for each point}. numbers: the points' numbers in the sweep, for random keys.
        """

    @abc.abstractmethod
    def lanes(self, design: Design) -> int:
        """How many points are best done at a time; 1 where they go one after another."""

    @abc.abstractmethod
    def field(self, name: str) -> Variable:
        """Unit and meaning of a swept field."""

    @abc.abstractmethod
    def settings(self):
        """What determines the results beside the design: a mapping or dataclass that JSON holds."""

    def rows(self, design: Design, first: int, stop: int) -> Rows:
        """The results of the points `first` to `stop` - 1; points that fail are noted, and the others go on.

        Raises MismatchError where results do not fit into one array: that concerns the whole sweep.
        """
        began = time.perf_counter()
        numbers = range(first, stop)
        values = design.values(numbers)
        found = self._together(values, numbers) if self.lanes(design) > 1 else None
        found = self._in_turn(values, numbers) if found is None else found
        found.seconds = time.perf_counter() - began
        return found

    def _together(self, values, numbers) -> Rows | None:
        try:
            ds = self.many(values, numbers)
        except MismatchError:
            raise
        except Exception:  # which point it was shows when they go one by one
            return None
        collector = Collector(numbers[0], len(numbers), self.keep, self.variables)
        collector.fill(ds)
        return collector.rows

    def _in_turn(self, values, numbers) -> Rows:
        collector = Collector(numbers[0], len(numbers), self.keep, self.variables)
        for row in range(len(numbers)):
            try:
                result = self.at({name: column[row] for name, column in values.items()}, numbers[row])
            except Exception as error:  # one point's failure is not that of the others
                collector.fail(row, error)
            else:
                collector.add(row, result)
        return collector.rows


class StudyTask(Task):
    """A study, run at each point with the swept fields in the place of its configuration's.

    A study whose module has `run_many(config, values, points) -> Dataset` with the dim `point` first, and `VARIED`, the
    fields that it takes as arrays, is run at many points at a time.

    study: its name. config: of the fields that are not swept; the defaults where None. keep: names of the variables to
    keep, all where empty.
    """

    def __init__(self, study: str, config=None, keep: Sequence[str] = ()):
        self.study = study.replace("_", "-")
        module = self._module
        self.config = module.Config() if config is None else config
        if not isinstance(self.config, module.Config):
            raise PhysnetError(f"sweep: config is a {type(config).__name__}; pass a Config of the study '{study}'")
        self.keep, self.variables = tuple(keep), ()

    @property
    def _module(self):
        return discovery.load(self.study)

    @property
    def name(self) -> str:
        return self._module.__name__.rpartition(".")[2].replace("_", "-")

    def check(self, design: Design) -> None:
        known = configs.fields(self._module.Config)
        for axis in design.axes:
            for name, values in axis.fields.items():
                described = configs.field(self._module.Config, name, f"sweep of '{self.name}'")
                if described.name != name:
                    raise PhysnetError(f"sweep: the field is '{described.name}', not '{name}'")
                for value in values:
                    configs.check(known[name], value, f"sweep of '{self.name}'")
        checked = getattr(self.config, "check", None)  # a first point that makes no sense is found before any work
        if checked is not None:
            dataclasses.replace(self.config, **{name: v[0] for name, v in design.values([0]).items()}).check()

    def at(self, point: Mapping, number: int):
        return self._module.run(dataclasses.replace(self.config, **point), out=None, resume=False, progress=False)

    def many(self, values, numbers):
        arrays = {name: np.asarray(column) for name, column in values.items()}
        return self._module.run_many(self.config, arrays, np.asarray(numbers))

    def lanes(self, design: Design) -> int:
        many = set(design.fields) <= set(getattr(self._module, "VARIED", ()))
        return _LANES if many else 1

    def field(self, name: str) -> Variable:
        described = configs.fields(self._module.Config)[name]
        return Variable(name, (), described.units, described.long_name)

    def settings(self):
        return self.config


class FunctionTask(Task):
    """A function of the swept fields, `function(**point)`, that gives a Dataset or {name: number or array}.

    One with a method `many(values, numbers)`, such as `Vmapped`, is run at many points at a time. keep: names of the
    variables to keep, all where empty. variables: unit and
    meaning of what a mapping holds, and of swept fields.
    """

    def __init__(self, function, keep: Sequence[str] = (), variables: Sequence[Variable] = ()):
        if not callable(function):
            raise PhysnetError(
                f"sweep: {function!r} is no study and cannot be called. Pass a study's name or a function"
            )
        self.function, self.keep, self.variables = function, tuple(keep), tuple(variables)

    @property
    def name(self) -> str:
        function = getattr(self.function, "func", self.function)  # of functools.partial
        return getattr(function, "__qualname__", type(function).__name__)

    def check(self, design: Design) -> None:
        try:
            inspect.signature(self.function).bind(**dict.fromkeys(design.fields))
        except TypeError as error:
            raise PhysnetError(
                f"sweep: {self.name} cannot be called with {', '.join(design.fields)}: {error}"
            ) from error
        except ValueError:  # no signature to be had, as of some compiled functions
            return

    def lanes(self, design: Design) -> int:
        return getattr(self.function, "lanes", 1)

    def at(self, point: Mapping, number: int):
        if hasattr(self.function, "many"):  # by its own number, so that it draws what it would have drawn with others
            found = self.function.many({name: [value] for name, value in point.items()}, [number])
            return {name: value[0] for name, value in found.items()}
        return self.function(**point)

    def many(self, values, numbers):
        return self.function.many(values, numbers)

    def field(self, name: str) -> Variable:
        known = {variable.name: variable for variable in self.variables}
        return known.get(name, Variable(name, (), "1", name.replace("_", " ")))

    def settings(self):
        return {name: repr(value) for name, value in getattr(self.function, "keywords", {}).items()}
