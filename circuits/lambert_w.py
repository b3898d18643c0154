"""The Lambert W function of an exponential: the closed form of a diode in series with a resistor."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def log_lambert(z: Float[Array, "..."]) -> Float[Array, "..."]:
    """W(exp(z)): the positive w with w + log(w) = z (Wright's omega on the real line).

    A resistor R in series with a Shockley diode (saturation current Is, thermal voltage Vt) across V carries
    i = (Vt/R) W((R Is/Vt) exp((V + R Is)/Vt)) - Is. The exponential overflows at 18 V; its logarithm does not.

    z: dimensionless, as is w, of any shape, float32 or float64. Accurate to a few units in the last place over the
    whole range: exp(z) for very negative z, z - log(z) for huge z. Differentiable to any order, dw/dz = w/(1 + w). NaN
    stays NaN.

    Two steps of the fourth-order iteration of Fritsch, Shafer & Crowley 1973, doi:10.1145/361952.361970.
    """
    z = jnp.asarray(z)
    return _omega(z.astype(jnp.promote_types(z.dtype, jnp.float32)) if z.dtype.kind == "f" else z.astype(float))


@jax.custom_jvp
def _omega(z):
    eps = jnp.finfo(z.dtype).eps
    # Beyond these two ends the leading terms are exact to rounding: w^2 < eps w below, log(z)/z^2 < eps above.
    lowest, highest = jnp.log(eps).astype(z.dtype), jnp.asarray(1 / eps, z.dtype)
    inside = jnp.clip(z, lowest, highest)
    large = inside > 1
    x = jnp.exp(jnp.where(large, 1, inside))
    w = jnp.where(large, inside - jnp.log(jnp.where(large, inside, 1)), x / (1 + x))
    for _ in range(2):
        # Two forms of z - w - log(w): the logarithm of a ratio near one keeps the relative error of small w.
        r = jnp.where(large, inside - w - jnp.log(w), jnp.log(x / w) - w)
        p = 2 * (1 + w) * (1 + w + 2 * r / 3)
        w = w * (1 + r / (1 + w) * (p - r) / (p - 2 * r))
    finite = jnp.minimum(z, jnp.finfo(z.dtype).max)
    above = z - jnp.log(jnp.where(z > highest, finite, 1))
    return jnp.where(z < lowest, jnp.exp(jnp.minimum(z, lowest)), jnp.where(z > highest, above, w))


@_omega.defjvp
def _omega_jvp(primals, tangents):
    w = _omega(*primals)
    return w, tangents[0] * (w / (1 + w))
