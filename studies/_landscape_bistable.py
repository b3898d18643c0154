"""The bistable circuit of `studies.energy_landscape`: a tunnel diode fed through a resistor, a capacitor across it."""

import jax
import jax.numpy as jnp
import numpy as np

from circuits import Circuit, TunnelDiode
from physnet.landscape import basin_volumes, bifurcation_diagram, explore, slice_line, vary_input
from studies._landscape_parts import beside, prefixed, shares, titled

_CAPACITANCE = 1e-12  # F
_HIGHEST = 0.6  # V: beyond it the diode carries ten times its peak current
_REFERENCES = "doi:10.1103/PhysRev.109.603"


def circuit(config):
    """The system: its input is the source voltage, its output the voltage of the diode."""
    made = Circuit().voltage_source("V1", "in", 0, config.supply)
    made.resistor("R1", "in", "out", resistance=config.resistance).add("D1", "out", 0, TunnelDiode())
    return made.capacitor("C1", "out", 0, capacitance=_CAPACITANCE).build(inputs=["V1"], outputs=["out"])


def _landscape(config):
    system, box = circuit(config), (0.0, _HIGHEST)
    inputs = jnp.asarray([config.supply])
    key = jax.random.key(config.seed)
    found = explore(system, inputs, starts=min(config.starts, 100), within=box, key=key)
    equilibria = found.equilibria
    basins = basin_volumes(system, inputs, equilibria=equilibria, starts=config.starts, within=box, key=key)
    line = slice_line(
        system, inputs, state=jnp.zeros(1), direction=jnp.ones(1), span=(0.0, _HIGHEST), equilibria=equilibria
    )
    title = "Energy landscape of a tunnel diode fed through a resistor"
    summary = (
        f"Source of {config.supply:g} V behind {config.resistance:g} ohm: {len(found.minima)} stable operating points; "
        f"starts drawn from 0 to {_HIGHEST:g} V. {found.searched}"
    )
    ds = found.to_dataset(**titled(config, title, summary, _REFERENCES))
    return beside(ds, shares(equilibria, basins)).merge(
        prefixed(line, "line", "position", "equilibrium"), combine_attrs="override"
    )


def _diagram(config):
    family = vary_input(circuit(config))
    diagram = bifurcation_diagram(family, [np.zeros(1)], 0.0, config.highest_supply)
    ds = diagram.to_dataset(**titled(config, "Operating points along the source voltage", ""))
    return prefixed(ds, "diagram", "point", "special")


PARTS = {"share": _landscape, "diagram_branch": _diagram}
