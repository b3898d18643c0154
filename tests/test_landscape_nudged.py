"""Families of landscapes, what they refuse, and free equilibria under a growing nudge against the cubic of a well."""

import jax.numpy as jnp
import numpy as np
import pytest
from landscapes import coupled_wells

from oscillators import AllToAll, Dense, PhaseNetwork
from physnet import PhysnetError, SquaredError, results
from physnet.landscape.branches.continuation import follow_equilibrium
from physnet.landscape.branches.families import vary_beta, vary_input, vary_parameter
from physnet.landscape.branches.nudged import nudged_landscape

EXACT = 1e-8


def test_a_nudge_takes_the_other_well_away_where_its_cubic_says():
    # 4h x (x^2 - 1) + beta (x - t) has two equal roots where 4 (beta - 4h)^3 + 27 * 4h beta^2 t^2 = 0.
    height, target = 1.0, 1.5
    p = np.polynomial.Polynomial([-4 * height, 1])
    roots = (4 * p**3 + 27 * 4 * height * target**2 * np.polynomial.Polynomial([0, 0, 1])).roots()
    roots = roots.real[np.abs(roots.imag) < 1e-12]
    fold, other_fold = roots[roots > 0].min(), roots[roots < 0].max()  # the well at 1 goes where it is pushed away
    wells = coupled_wells(height, 0.0)
    free = [jnp.array([-1.0, -1.0]), jnp.array([1.0, -1.0])]
    cost, aim = SquaredError(), jnp.array([target, -1.0])
    found = nudged_landscape(wells, cost=cost, target=aim, betas=(-2.0, 3.0), equilibria=free)
    assert found.highest_kind.tolist() == ["fold", "none"] and found.lowest_kind.tolist() == ["none", "fold"]
    assert abs(found.highest[0] - fold) < EXACT and abs(found.lowest[1] - other_fold) < EXACT
    assert np.isnan(found.highest[1]) and np.isnan(found.lowest[0])
    branch = found.branches[0]
    assert branch.value[0] == -2 and branch.stable.all()
    np.testing.assert_allclose(found.cost[0], ((branch.vector - [target, -1.0]) ** 2).sum(axis=1) / 2)
    x = branch.vector[:, 0]
    np.testing.assert_allclose(branch.energy, height * (x**2 - 1) ** 2, atol=1e-12)  # E, without the nudge
    ds = found.to_dataset(title="wells")
    assert results.validate(ds) == [] and ds.cost.dims == ("point",) and ds.highest_kind.values[0] == "fold"
    assert ds.beta.units == "J m-2" and ds.title == "wells"
    with pytest.raises(PhysnetError, match="leave|lowest <= 0 <= highest"):
        nudged_landscape(wells, cost=cost, target=aim, betas=(1.0, 3.0), equilibria=free)


def test_families_say_what_there_is():
    wells = coupled_wells()
    with pytest.raises(PhysnetError, match=r"no parameter 'stiffness'.*height \(J m-4\), coupling \(N m-1\)"):
        vary_parameter(wells, name="stiffness")
    with pytest.raises(PhysnetError, match=r"force has no element 2 on its axis axis. Give a number from 0 to 1."):
        vary_input(wells, which=2)
    with pytest.raises(PhysnetError, match=r"no element 'flow'.*names 0, 1, 2"):
        vary_input(PhaseNetwork(AllToAll(0.2, 3)), which="flow")
    with pytest.raises(PhysnetError, match="coupling is 0, so no factor"):
        vary_parameter(coupled_wells(1.0, 0.0), name="coupling", scaled=True)
    family = vary_parameter(wells, name="height", scaled=True)
    assert family.variable.name == "height_factor" and family.variable.units == "1"
    assert float(family.problem(jnp.asarray(3.0)).system.height) == 3.0
    network = PhaseNetwork(AllToAll(0.2, 3), np.array([1.0, 2.0, 3.0]))
    family = vary_parameter(network, name="natural_frequency", element=1)
    assert family.problem(jnp.asarray(5.0)).system.natural_frequency.tolist() == [1, 5, 3]
    mask = np.array([True, False, True])
    both = vary_parameter(network, name="natural_frequency", element=mask, scaled=True)
    assert both.problem(jnp.asarray(2.0)).system.natural_frequency.tolist() == [2, 2, 6]
    beta = vary_beta(wells, cost=SquaredError(), target=jnp.zeros(2))
    assert beta.variable.units == "J m-2" and float(beta.problem(jnp.asarray(0.5)).nudge.beta) == 0.5
    with pytest.raises(PhysnetError, match="start and stop are both"):
        follow_equilibrium(family, jnp.zeros(3), 1.0, 1.0)


def test_what_breaks_the_energy_is_refused():
    network = PhaseNetwork(Dense(np.array([[0.0, 0.2], [0.2, 0.0]])))
    alone = vary_parameter(network, name="coupling_weight", element=(0, 1))
    with pytest.raises(PhysnetError, match="derive from no energy"):
        follow_equilibrium(alone, jnp.zeros(2), 0.3, 1.0)
