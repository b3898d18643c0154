"""The voltage of a nonlinear element on its load line, by a search that cannot leave its bracket."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_STEPS = 160


def bracketed(
    element, source: Float[Array, "..."], conductance: Float[Array, "..."], start: Float[Array, "..."]
) -> Float[Array, "..."]:
    """The root, V, of f(v) = i(v) + g v - J for a monotone element: Newton steps, bisection where they do not suit.

    source: J, A. conductance: g, S, above 0. start: V; where it lies outside the bracket, its nearest end.

    The bracket needs no search. Where i never falls, i(v) - i(0) has the sign of v, so that v lies between 0 and
    (J - i(0)) / g; and an exponential element stays within the knee of |J - i(0)|. A Newton step is taken if it stays
    inside and is at most half as long as the step before (beyond a knee each gains one thermal voltage only). Else
    the bracket is halved in the order of the floating-point numbers, which ends after as many steps as these have
    bits, however far apart its ends. Each voltage stops at the rounding of its own currents.
    """
    shape = jax.eval_shape(lambda *x: element.current(x[2]) + x[1] * x[2] - x[0], source, conductance, start)
    given = (source, conductance, start)
    source, conductance, start = (jnp.broadcast_to(jnp.asarray(x, shape.dtype), shape.shape) for x in given)
    eps = jnp.finfo(shape.dtype).eps

    def f(v):
        """(the imbalance, A, what arithmetic can resolve of it)"""
        current, shunt = element.current(v), conductance * v
        return current + shunt - source, 2 * eps * (jnp.abs(current) + jnp.abs(shunt) + jnp.abs(source))

    zero = jnp.zeros_like(source)
    drive = source - element.current(zero)
    low, high = _bracket(element, drive, conductance)

    def searching(carry):
        *_, done, count = carry
        return ~jnp.all(done) & (count < _STEPS)

    def step(carry):
        low, high, v, moved, done, count = carry
        value, resolution = f(v)
        low, high = jnp.where(value < 0, v, low), jnp.where(value < 0, high, v)
        newton = v - value / (element.differential_conductance(v) + conductance)
        useful = (newton >= low) & (newton <= high) & (2 * jnp.abs(newton - v) <= moved)
        resolved = (jnp.abs(value) <= resolution) & jnp.isfinite(value)
        new = jnp.where(useful, newton, jnp.where(resolved, v, _middle(low, high)))
        new = jnp.where(done, v, new)
        # NaN ends the search, too: it would never be resolved.
        done |= resolved | (jnp.abs(new - v) <= eps * jnp.abs(v)) | jnp.isnan(value)
        return low, high, new, jnp.abs(new - v), done, count + 1

    begin = jnp.clip(start, low, high)
    carry = (low, high, begin, jnp.full_like(zero, jnp.inf), jnp.zeros(shape.shape, bool), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(searching, step, carry)[2]


def _bracket(element, drive, conductance):
    """(lowest, highest) voltage, V, that a current `drive`, A, beyond that at 0 V can bring about."""
    largest = jnp.finfo(drive.dtype).max
    far = jnp.clip(drive / conductance, -largest, largest)
    low, high = jnp.minimum(far, 0), jnp.maximum(far, 0)
    # Knees are rounded: a little room, so that the root is inside.
    knee, reverse = element.knee(jnp.maximum(drive, 0)), element.reverse_knee(jnp.maximum(-drive, 0))
    if knee is not None:
        high = jnp.minimum(high, 1.001 * knee + 1e-9)
    if reverse is not None:
        low = jnp.maximum(low, 1.001 * reverse - 1e-9)
    return low.astype(drive.dtype), high.astype(drive.dtype)


def _middle(low, high):
    """The number midway between two in the order of the floating-point numbers, whose bits read as integers give it."""
    kind = jnp.int64 if low.dtype.itemsize == 8 else jnp.int32
    least = jnp.iinfo(kind).min

    def swap(bits):
        return jnp.where(bits < 0, least - bits, bits)

    a, b = (swap(jax.lax.bitcast_convert_type(x, kind)) for x in (low, high))
    middle = (a >> 1) + (b >> 1) + (a & b & 1)
    return jax.lax.bitcast_convert_type(swap(middle), low.dtype)
