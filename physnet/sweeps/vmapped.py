"""A JAX function of single numbers, run at many points of a sweep at a time and on every device."""

from collections.abc import Callable, Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet import precision  # noqa: F401  (double precision, before any array is made)
from physnet.errors import PhysnetError
from physnet.sharding import spread


class Vmapped:
    """`function(**fields)`, or `function(**fields, key=...)` with a key, over many points: compiled once, vectorised.

    function: from the swept fields as scalars to {name: scalar or array}; traceable by JAX, at the top level of a
    module where other processes are to run it. key: a random key (`jax.random.key(0)`); point n of the sweep gets
    `fold_in(key, n)`, so that what is drawn depends on the point, not on how a sweep was cut. None: nothing is drawn.
    lanes: points in one call on one device; several devices take as many each.
    """

    def __init__(self, function: Callable, *, key=None, lanes: int = 64):
        if lanes < 2:
            raise PhysnetError(f"Vmapped: lanes is {lanes}; take 2 or more")
        self.function, self.lanes = function, lanes
        # As plain numbers: keys do not pickle.
        self._key = None if key is None else np.asarray(jax.random.key_data(key))
        self.__qualname__ = getattr(function, "__qualname__", type(function).__name__)
        self.__signature__ = _signature(function, key)

    def __call__(self, **point):
        """The results at one point, as point 0 of a sweep. point: field=value, in the fields' units."""
        return {name: value[0] for name, value in self.many({k: [v] for k, v in point.items()}, [0]).items()}

    def many(self, values: Mapping[str, Sequence], numbers: Sequence[int]) -> dict[str, np.ndarray]:
        """{name: array (point, ...)} at many points.

        values: {field: one value for each point}, in the fields' units. numbers: of the points, from 0.
        """
        width = self.lanes * jax.local_device_count()
        count, found = len(numbers), []
        for start in range(0, count, width):
            # The last call is filled up with its last point, so that one program serves all.
            chosen = np.minimum(np.arange(start, start + width), count - 1)
            arrays = {name: jnp.asarray(np.asarray(column)[chosen]) for name, column in values.items()}
            places = jnp.asarray(np.asarray(numbers)[chosen].astype(np.uint32))
            part = _many(self.function, self._key, *spread((arrays, places)))
            found.append({name: np.asarray(value)[: count - start] for name, value in part.items()})
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


@eqx.filter_jit
def _many(function, key, arrays, numbers):
    def one(fields, number):
        if key is None:
            return function(**fields)
        return function(**fields, key=jax.random.fold_in(jax.random.wrap_key_data(key), number))

    return jax.vmap(one)(arrays, numbers)


def _signature(function, key):
    """That of the function without `key`, which is not a field."""
    import inspect

    signature = inspect.signature(function)
    if key is not None and "key" not in signature.parameters:
        raise PhysnetError("Vmapped: the function is given a key but has no argument `key`")
    return signature.replace(parameters=[p for p in signature.parameters.values() if p.name != "key"])
