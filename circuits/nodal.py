"""What every system of node potentials measures its forces and its energy in."""

from physnet.system import System


class NodalSystem(System):
    """A system whose residual is the current out of balance at its nodes, A, and whose energy is a co-content, W."""

    @property
    def residual_units(self):
        return "A"

    @property
    def energy_units(self):
        return "W"
