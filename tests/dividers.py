"""A small dataset that follows the schema, for the tests of what becomes of it."""

import numpy as np

from physnet import results
from physnet.variable import Variable

VOLTAGE = Variable("voltage", ("sample", "node"), "V", "node voltage")
RESIDUAL = Variable("residual", ("sample",), "1", "relative residual of the currents", (0.0, np.inf))
CONVERGED = Variable("converged", ("sample",), "1", "whether the residual is within the tolerance")
NODE = Variable("node", ("node",), long_name="node name")


def steady(**changes):
    """Two samples on three nodes, one of them unconverged."""
    arrays = {
        "voltage": np.arange(6.0).reshape(2, 3),
        "residual": np.array([1e-9, np.nan]),
        "converged": np.array([True, False]),
    } | changes
    pairs = [(v, arrays[v.name]) for v in (VOLTAGE, RESIDUAL, CONVERGED)]
    return results.to_dataset(pairs, coords=[(NODE, ["a", "b", "c"])], title="A divider", summary="Two samples.")
