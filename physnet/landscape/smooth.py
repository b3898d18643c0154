"""Which systems have a smooth energy that can be climbed and descended by its slopes and curvatures."""

from physnet.system import EnergySystem, System, is_boxed

LARGEST_DENSE = 2000  # coordinates: a dense Hessian of them takes 32 MB, its eigenvectors a few seconds


def why_not_smooth(system: System, without_energy: str) -> str | None:
    """Why a system has no smooth energy, as `Relaxer.refuses` says it; None where it has one.

    without_energy: what to use where there is no energy.
    """
    if not isinstance(system, EnergySystem) or system.iterates:
        return f"it has no energy whose slope is its residual. {without_energy}"
    if is_boxed(system):
        return "its state is confined to a box, where the energy has corners; use ProjectedNewton() for minima."
    return None
