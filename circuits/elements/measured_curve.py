"""A measured current-voltage curve as an element."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import PchipInterpolator

from circuits.elements.base import Element
from physnet.errors import PhysnetError
from physnet.precision import real_array


class MeasuredCurve(Element):
    """A current law through the points of a table: cubic Hermite pieces whose slopes never let the current fall.

    Between two points i is the cubic with the slopes of Fritsch & Carlson 1980, doi:10.1137/0717021 (PCHIP); beyond
    the ends the straight line with the slope there. The co-content is its exact integral, with Q(0) = 0. So a device
    without a model settles and learns as the others do. Passive if the curve goes through 0 V, 0 A.

    voltages: V, (point,), increasing. currents: A, (point,), not falling. Each has a second axis, first, in a group.
    slopes, areas: at the points, di/dv, S, and Q, W; worked out of these two when the element is made.
    Raises PhysnetError for fewer than two points, values that are not finite, voltages that do not increase and
    currents that fall, with row (the first is row 1) and value.
    """

    voltages: Float[Array, "*element point"]
    currents: Float[Array, "*element point"]
    slopes: Float[Array, "*element point"]
    areas: Float[Array, "*element point"]

    kind = "measured_curve"
    # Its fields are arrays for one element already.
    table: ClassVar[bool] = True

    def __init__(self, voltages, currents):
        v, i = (
            np.array(real_array(x, f"MeasuredCurve: {name}"), dtype=float)
            for name, x in (("voltages", voltages), ("currents", currents))
        )
        _check(v, i, "MeasuredCurve", lambda k: f"row {k + 1}")
        curve = PchipInterpolator(v, i)
        self.voltages, self.currents = v, i
        self.slopes = np.maximum(np.append(curve.c[2], curve.derivative()(v[-1])), 0)
        integral = curve.antiderivative()
        self.areas = integral(v) - integral(np.clip(0.0, v[0], v[-1]))
        # 0 V outside the table: the straight line leads there.
        if not v[0] <= 0 <= v[-1]:
            end = 0 if v[0] > 0 else -1
            self.areas = self.areas + i[end] * v[end] - 0.5 * self.slopes[end] * v[end] ** 2

    @classmethod
    def from_csv(cls, path: str | Path) -> "MeasuredCurve":
        """A curve from a text file: two columns, voltage in V and current in A, separated by a comma.

        path: of the file. Empty lines and lines that start with # are passed over, and so is one heading. Raises
        PhysnetError that names the file and the line for anything else, and what the table itself must meet.
        """
        path = Path(path)
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise PhysnetError(f"{path}: it cannot be read as text ({error}). Give a CSV file.") from None
        rows, places = [], []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            fields = [field.strip() for field in line.split(",")]
            if len(fields) != 2:
                raise PhysnetError(
                    f"{path}, line {number}: {len(fields)} column{'s' * (len(fields) != 1)} in {line.strip()!r}; give "
                    "two, voltage in V and current in A, separated by a comma."
                )
            try:
                rows.append([float(field) for field in fields])
            except ValueError:
                if rows or places:
                    raise PhysnetError(
                        f"{path}, line {number}: {line.strip()!r} is not two numbers; give V and A without units."
                    ) from None
                rows, places = [], [None]  # the one heading
                continue
            places.append(number)
        places = [place for place in places if place is not None]
        table = np.array(rows, float).reshape(-1, 2)
        _check(table[:, 0], table[:, 1], str(path), lambda k: f"line {places[k]}")
        return cls(table[:, 0], table[:, 1])

    @classmethod
    def example(cls):
        return cls([-1.0, -0.5, 0.0, 0.25, 0.5, 0.6], [-3e-6, -1e-6, 0.0, 2e-6, 2e-6, 9e-4])

    @property
    def description(self):
        columns = {name: np.asarray(getattr(self, name), float).tolist() for name in ("voltages", "currents")}
        return {"kind": self.kind, **columns}

    def _piece(self, voltage):
        """(Q, i, di/dv at the nearer end of the piece of each voltage, two more coefficients, v above it, v beyond the
        table). From the nearer end: a current near 0 at a point keeps its digits on both sides of it."""
        columns = [jnp.asarray(x) for x in (self.voltages, self.currents, self.slopes, self.areas)]
        shape = jnp.broadcast_shapes(jnp.shape(voltage), columns[0].shape[:-1])
        voltage = jnp.broadcast_to(voltage, shape)
        columns = [x.reshape((1,) * (len(shape) + 1 - x.ndim) + x.shape) for x in columns]
        k = jnp.sum(voltage[..., None] >= columns[0][..., 1:-1], axis=-1, keepdims=True)

        def take(column, k):
            return jnp.take_along_axis(jnp.broadcast_to(column, (*shape, column.shape[-1])), k, axis=-1)[..., 0]

        left, right = ([take(x, k + step) for x in columns] for step in (0, 1))
        nearer = voltage - left[0] > right[0] - voltage
        v0, i0, s0, q0 = (jnp.where(nearer, b, a) for a, b in zip(left, right))
        v1, i1, s1, _ = (jnp.where(nearer, a, b) for a, b in zip(left, right))
        width = v1 - v0
        mean = (i1 - i0) / width
        second, third = (3 * mean - 2 * s0 - s1) / width, (s0 + s1 - 2 * mean) / width**2
        inside = jnp.clip(voltage, left[0], right[0])
        return q0, i0, s0, second, third, inside - v0, voltage - inside

    def current(self, voltage):
        _, i, s, second, third, x, beyond = self._piece(voltage)
        slope = s + x * (2 * second + 3 * third * x)
        return i + x * (s + x * (second + third * x)) + slope * beyond

    def differential_conductance(self, voltage):
        _, _, s, second, third, x, _ = self._piece(voltage)
        return jnp.maximum(s + x * (2 * second + 3 * third * x), 0)

    def cocontent(self, voltage):
        q, i, s, second, third, x, beyond = self._piece(voltage)
        area = q + x * (i + x * (s / 2 + x * (second / 3 + third * x / 4)))
        current = i + x * (s + x * (second + third * x))
        slope = s + x * (2 * second + 3 * third * x)
        return area + beyond * (current + 0.5 * slope * beyond)

    def parameters(self):
        # A table is no parameter of its system: `description` holds it.
        return ()

    @property
    def conducts(self):
        return self.currents[..., -1] > self.currents[..., 0]


def _check(voltages, currents, title: str, row: Callable[[int], str]):
    """Raises PhysnetError for a table that is no current law, naming its first wrong row."""
    if voltages.ndim != 1 or voltages.shape != currents.shape:
        raise PhysnetError(
            f"{title}: voltages have shape {voltages.shape} and currents {currents.shape}; give one current, A, for "
            "each voltage, V."
        )
    if len(voltages) < 2:
        raise PhysnetError(f"{title}: {len(voltages)} row{'s' * (len(voltages) != 1)}; a curve needs 2 or more.")
    for name, values, unit in (("voltage", voltages, "V"), ("current", currents, "A")):
        wrong = ~np.isfinite(values)
        if wrong.any():
            k = int(np.argmax(wrong))
            raise PhysnetError(f"{title}, {row(k)}: {name} {values[k]:.6g} {unit}; it must be finite.")
    wrong = np.diff(voltages) <= 0
    if wrong.any():
        k = int(np.argmax(wrong)) + 1
        falls = " This table falls: turn it round." if (np.diff(voltages) < 0).all() else " Sort the rows."
        raise PhysnetError(
            f"{title}, {row(k)}: voltage {voltages[k]:.6g} V after {voltages[k - 1]:.6g} V ({row(k - 1)}); voltages "
            f"must increase from row to row.{falls}"
        )
    wrong = np.diff(currents) < 0
    if wrong.any():
        k = int(np.argmax(wrong)) + 1
        raise PhysnetError(
            f"{title}, {row(k)}: current falls from {currents[k - 1]:.6g} A ({row(k - 1)}) to {currents[k]:.6g} A; a "
            "current that falls has no unique operating point. Smooth the noise, or swap the sign of the current."
        )
