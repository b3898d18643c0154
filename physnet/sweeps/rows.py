"""What some points of a sweep gave: one array for each variable, row by row, and what went wrong where."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from physnet.errors import PhysnetError
from physnet.variable import Variable


class MismatchError(PhysnetError):
    """Two points of a sweep gave variables that do not fit into one array."""


@dataclass
class Rows:
    """Results of the points first, first + 1, ...; a point that failed has a message, NaN, and 0 for integers.

    template: the dataset of one point that did not fail (its variables' values aside), None where all failed.
    columns: {variable: array (point, ...)}. labels: {coordinate: array (point, ...)} of those that are not the same at
    all points. seconds: that the points took.
    """

    first: int
    errors: list[str]
    template: object = None
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def size(self) -> int:
        """How many points."""
        return len(self.errors)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(map(bool, self.errors))

    @property
    def nbytes(self) -> int:
        """Memory of the columns, byte."""
        return sum(column.nbytes for column in self.columns.values())


def blank(dtype):
    """What stands where a point failed: NaN, 0 for integers, no text."""
    return {"f": np.nan, "U": "", "T": "", "O": ""}.get(np.dtype(dtype).kind, 0)


class Collector:
    """Takes the results of points one by one.

    keep: names of the variables to keep, all where it is empty. variables: what a mapping's values are.
    """

    def __init__(self, first: int, size: int, keep=(), variables=()):
        self.rows = Rows(first, [""] * size)
        self._keep = tuple(keep)
        self._variables = {variable.name: variable for variable in variables}
        self._names: list[str] = []
        self._coords: dict = {}

    def fail(self, row: int, error: BaseException) -> None:
        """Notes what went wrong at a point."""
        self.rows.errors[row] = f"{type(error).__name__}: {error}".strip()

    def add(self, row: int, result) -> None:
        """Stores a point's result: a Dataset, or {name: number or array}.

        Raises MismatchError where it does not fit to those before it.
        """
        if self.rows.template is None:
            self._begin(result)
        source = getattr(result, "variables", result)
        for name in self._names:
            try:
                value = source[name]
            except KeyError:
                raise MismatchError(self._differ(row, name, "is missing", "is there")) from None
            value = np.asarray(getattr(value, "values", value))
            column = self.rows.columns[name]
            if value.shape != column.shape[1:]:
                raise MismatchError(self._differ(row, name, f"has shape {value.shape}", f"had {column.shape[1:]}"))
            if not np.can_cast(value.dtype, column.dtype, "same_kind"):
                raise MismatchError(self._differ(row, name, f"is of type {value.dtype}", f"was {column.dtype}"))
            column[row] = value
        for name, known in self._coords.items():
            self._label(row, name, known, source)

    def _label(self, row, name, known, source) -> None:
        """Notes a point's own labels where they are not those of the first."""
        if name not in source or source[name].shape != known.shape:
            raise MismatchError(self._differ(row, name, "has other labels", "had its own"))
        value = source[name].values
        if name not in self.rows.labels:
            if np.array_equal(value, known):
                return
            text = known.dtype.kind in "UTO"
            self.rows.labels[name] = np.empty((self.rows.size, *known.shape), object if text else known.dtype)
            self.rows.labels[name][:] = known
        self.rows.labels[name][row] = value

    def fill(self, results) -> None:
        """Stores the results of all points at once: a Dataset with the dim `point` first, or {name: (point, ...)}."""
        size = self.rows.size
        many = results if hasattr(results, "data_vars") else _dataset(results, self._variables, ("point",))
        for name, variable in many.data_vars.items():
            if variable.dims[:1] != ("point",) or variable.sizes["point"] != size:
                raise MismatchError(
                    f"sweep: '{name}' has dims {dict(variable.sizes)} where {size} points were run; 'point' comes first"
                )
        self._begin(many.isel(point=0, drop=True))
        for name in self._names:
            self.rows.columns[name] = np.asarray(many[name].values)

    def _begin(self, result) -> None:
        """The first result says which variables there are."""
        first = result if hasattr(result, "data_vars") else _dataset(result, self._variables)
        missing = [name for name in self._keep if name not in first.data_vars]
        if missing:
            raise MismatchError(f"sweep: no variable '{missing[0]}' to keep. Variables: {', '.join(first.data_vars)}")
        first = first[list(self._keep)] if self._keep else first
        self._names = [str(name) for name in first.data_vars]
        for name in self._names:
            value = first[name].values
            self.rows.columns[name] = np.full((self.rows.size, *value.shape), blank(value.dtype), value.dtype)
        self.rows.template = first
        is_dataset = hasattr(result, "data_vars")
        self._coords = {name: first[name].values for name in first.coords} if is_dataset else {}

    def _differ(self, row, name, this, that) -> str:
        return (
            f"sweep: variable '{name}' of point {self.rows.first + row} {this}, and {that} before. "
            "Variables that change from point to point do not fit into one array: name those to keep (keep=, --keep)"
        )


def _dataset(mapping: Mapping, variables: Mapping[str, Variable], leading=()):
    """A mapping's numbers as a dataset; those that no Variable describes are plain numbers."""
    import xarray as xr

    if not isinstance(mapping, Mapping):
        raise MismatchError(
            f"sweep: a point gave a {type(mapping).__name__}; return an xarray.Dataset or {{name: number or array}}"
        )
    data = {}
    for name, value in mapping.items():
        array, known = np.asarray(value), variables.get(name)
        shape = array.shape[len(leading) :]
        if len(shape) != (len(known.dims) if known else 0):
            raise MismatchError(
                f"sweep: '{name}' has shape {shape}. Name its dims: variables=[Variable('{name}', ('node',), 'V', ...)]"
            )
        known = known or Variable(name, (), "1", name.replace("_", " "))
        attributes = {"units": known.units, "long_name": known.long_name}
        if array.dtype == bool:
            array = array.astype(np.int8)
        data[name] = ((*leading, *known.dims), array, attributes)
    return xr.Dataset(data)
