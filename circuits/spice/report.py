"""An operating point in words and tables, and as a dataset."""

import numpy as np

from circuits.branches import branch_dataset
from physnet.variable import Variable

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))
_PREFIXES += ((1e-12, "p"), (1e-15, "f"))


def quantity(value: float, unit: str) -> str:
    """A value with its unit and a prefix, to seven digits: 4.7 mA."""
    value = float(value)
    if not np.isfinite(value):
        return f"{value} {unit}"
    for size, prefix in _PREFIXES:
        if abs(value) >= size * (1 - 1e-12):
            return f"{value / size:.7g} {prefix}{unit}"
    return f"0 {unit}" if value == 0 else f"{value:.4g} {unit}"


def node_table(system, equilibrium) -> str:
    """Every node and its potential."""
    potentials = np.asarray(system.potentials(equilibrium.state, equilibrium.inputs))
    rows = [(name, quantity(v, "V")) for name, v in zip(system.labels.nodes, potentials) if name != "0"]
    return _table(("node", "potential"), rows)


def branch_table(system, equilibrium) -> str:
    """Every element: its voltage, its current, the power that it absorbs; and the sum of those."""
    ds = branch_dataset(equilibrium)
    rows = [
        (str(name), str(kind).replace("_", " "), quantity(v, "V"), quantity(i, "A"), quantity(p, "W"))
        for name, kind, v, i, p in zip(
            ds.branch.values, ds.kind.values, ds.branch_voltage.values, ds.branch_current.values, ds.branch_power.values
        )
    ]
    return _table(("element", "kind", "voltage", "current", "power absorbed"), rows)


def certificate(system, equilibrium) -> str:
    """How well Kirchhoff's current law holds, what the sources deliver, and how the state was found."""
    residual, imbalance = np.max(np.asarray(equilibrium.residual)), np.max(np.asarray(equilibrium.imbalance))
    reached = np.asarray(equilibrium.converged)
    how_many = "" if reached.ndim == 0 else f" at {int(reached.sum())} of {reached.size} points"
    verdict = "holds" if reached.all() else "does NOT hold"
    power = branch_dataset(equilibrium).branch_power.values
    delivered = -np.sum(np.where(power < 0, power, 0), axis=-1)
    lines = [
        f"Kirchhoff's current law {verdict}{how_many}: relative residual {residual:.2e}, largest imbalance "
        f"{quantity(imbalance, 'A')}.",
        f"Power delivered: {_range(delivered, 'W')}, absorbed by the others to {quantity(_unbalanced(power), 'W')}.",
        f"Solved by {_relaxer(system, equilibrium)} in {_steps(equilibrium)} steps.",
    ]
    return "\n".join(lines)


def _unbalanced(power):
    """The largest sum of powers, W, which Tellegen's theorem says is 0."""
    return float(np.max(np.abs(np.sum(power, axis=-1))))


def _range(values, unit):
    low, high = float(np.min(values)), float(np.max(values))
    return quantity(high, unit) if low == high else f"{quantity(low, unit)} to {quantity(high, unit)}"


def _steps(equilibrium):
    steps = np.asarray(equilibrium.steps)
    return str(int(steps.max())) if steps.min() == steps.max() else f"{int(steps.min())} to {int(steps.max())}"


def _relaxer(system, equilibrium) -> str:
    relaxer = system.default_relaxer()
    name = type(relaxer).__name__
    strategies = getattr(relaxer, "strategies", None)
    if equilibrium.strategy is None or not strategies:
        return name
    found = {strategies[int(k)] for k in np.ravel(np.asarray(equilibrium.strategy)) if 0 <= int(k) < len(strategies)}
    return f"{name} ({', '.join(sorted(map(str, found)))})" if found else name


def sweep_dataset(equilibrium, sweep, *, title: str):
    """The dataset of every element; of a sweep, with the swept value as the coordinate of its samples."""
    from physnet import results

    ds = branch_dataset(equilibrium, title=title)
    if sweep is None:
        return ds
    unit = "V" if sweep.source.rpartition(".")[2][0] == "v" else "A"
    variable = Variable("input_value", ("sample",), unit, f"value of source {sweep.source}")
    attrs = {"units": variable.units, "long_name": variable.long_name}
    ds = ds.assign_coords({variable.name: (variable.dims, sweep.values(), attrs)})
    results.check(ds)
    return ds


def _table(head, rows) -> str:
    """Columns side by side; the first ones to the left, numbers to the right."""
    left = len(head) - 3 if len(head) > 3 else 1
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
