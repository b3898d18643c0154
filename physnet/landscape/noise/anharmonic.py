"""What the shape of a landscape beyond its curvature does to Kramers' rate: the first order in the noise."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physnet.errors import PhysnetError
from physnet.landscape.chart import Chart
from physnet.landscape.equilibria import Equilibria
from physnet.landscape.noise.kramers import chart_of, curvatures

_LARGEST = 100  # coordinates: third derivatives of so many are a million numbers


def kramers_correction(minimum: Equilibria, saddles: Equilibria) -> np.ndarray:
    """c (saddle,), in 1 over the energy's unit: the rate over each saddle is k (1 + c D) to first order in the noise D.

    c = c(saddle) - c(minimum), each the first term by which int exp(-E/D) over the surroundings of the state differs
    from the Gaussian integral, with G the inverse of the Hessian (of either sign) and sums over repeated indices:

    -1/8 E_ijkl G_ij G_kl + 1/8 E_ijk E_lmn G_ij G_kl G_mn + 1/12 E_ijk E_lmn G_il G_jm G_kn

    In one dimension this is the expansion of the exact mean first-passage time (Hanggi, Talkner & Borkovec 1990,
    doi:10.1103/RevModPhys.62.251, section II (m)). In more it continues that free energy to the saddle, which was
    checked against numerical solutions of the backward equation and not derived: the rates of two coupled double wells
    follow it with an error of order D^2. A size |c D| of order one says that k means little.

    minimum, saddles: as for `kramers_rate`, of at most 100 coordinates. Raises PhysnetError as it does.
    """
    chart = chart_of(minimum, saddles)
    if chart.size > _LARGEST:
        raise PhysnetError(
            f"kramers_correction: {chart.size} coordinates; it takes all third derivatives and is meant for at most "
            f"{_LARGEST}."
        )
    found = []
    for equilibria, index in ((minimum, 0), (saddles, 1)):
        for vector, (basis, hessian) in zip(equilibria.vector, curvatures(chart, equilibria, index), strict=True):
            inverse = basis @ np.linalg.inv(hessian) @ basis.T
            found.append(float(_correction(chart, jnp.asarray(vector), jnp.asarray(inverse, chart.dtype))))
    return np.array(found[1:]) - found[0]


@eqx.filter_jit
def _correction(chart: Chart, vector, inverse):
    third = jax.jacfwd(chart.curvature)(vector)
    fourth = jax.jacfwd(jax.jacfwd(lambda v: jnp.vdot(chart.curvature(v), inverse)))(vector)
    traced = jnp.einsum("ijk,ij->k", third, inverse)
    raised = jnp.einsum("ijk,il,jm->lmk", third, inverse, inverse)
    twice = traced @ inverse @ traced / 8 + jnp.einsum("lmk,lmn,kn->", raised, third, inverse) / 12
    return twice - jnp.vdot(fourth, inverse) / 8
