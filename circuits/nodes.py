"""One node, its diode to ground and everything else that is tied to it, solved exactly.

A node of a layered network sees its neighbours as one source: an inflow I (A), what would flow in with the node at
0 V, and a total conductance g (S). With a diode to ground the node voltage v minimises g v^2/2 - I v + Q(v), Q the
co-content of the diode, which has a closed form for each diode here. A nudged node is the same problem for the
displacement from the free voltage: the diode seen from its operating point is another diode of the same kind. Solving
for the displacement keeps its full relative precision, which the difference of two voltages would lose.
"""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.lambert_w import log_lambert


class Node(eqx.Module):
    """The nodes of one layer, (n,) or (sample, n)."""

    @abstractmethod
    def settle(self, inflow: Array, conductance: Array) -> Float[Array, "*sample n"]:
        """The voltage, V, at which the currents balance: inflow in A, conductance in S."""

    @abstractmethod
    def imbalance(self, inflow: Array, conductance: Array, voltage: Array) -> Float[Array, "*sample n"]:
        """The net current, A, into the nodes at this voltage, less what a diode at its limit holds back."""

    @abstractmethod
    def displaced(self, voltage: Array, imbalance: Array) -> "Node":
        """The same nodes seen from an operating point: settles displacements, driven by changes of the inflow.

        imbalance: inflow - conductance * voltage at the operating point, A.
        """

    @abstractmethod
    def project(self, voltage: Array) -> Float[Array, "*sample n"]:
        """The nearest voltage, V, that the diodes allow."""


class FreeNode(Node):
    """No diode: v = I / g, and 0 V where nothing is connected."""

    def settle(self, inflow, conductance):
        return inflow / jnp.where(conductance > 0, conductance, jnp.inf)

    def imbalance(self, inflow, conductance, voltage):
        return inflow - conductance * voltage

    def displaced(self, voltage, imbalance):
        return self

    def project(self, voltage):
        return voltage


class IdealDiodeNode(Node):
    """An ideal diode to ground keeps the voltage in [lowest, highest], one of them 0 V, the other infinite.

    held: current, A, that the diode carries at the operating point, which a change of inflow must first overcome.
    """

    lowest: Float[Array, "*sample n"]
    highest: Float[Array, "*sample n"]
    held: Float[Array, "*sample n"] | None = None

    def settle(self, inflow, conductance):
        if self.held is not None:
            inflow = inflow + self.held
        voltage = inflow / jnp.where(conductance > 0, conductance, jnp.inf)
        return self.project(voltage)

    def imbalance(self, inflow, conductance, voltage):
        return conductance * (self.settle(inflow, conductance) - voltage)

    def displaced(self, voltage, imbalance):
        against = ((voltage <= self.lowest) & (imbalance < 0)) | ((voltage >= self.highest) & (imbalance > 0))
        held = jnp.where(against, imbalance, 0)
        return IdealDiodeNode(self.lowest - voltage, self.highest - voltage, held)

    def project(self, voltage):
        return jnp.clip(voltage, self.lowest, self.highest)


class ShockleyNode(Node):
    """A Shockley diode to ground, i = Is (exp(v / a) - 1): the node voltage is a Lambert W of the drive.

    0 V where nothing else is connected.

    orientation: +1 with the anode at the node (holds the voltage down), -1 with the cathode there.
    log_saturation: log(Is / 1 A) at the operating point. thermal_voltage: a = n k T / q, V.
    """

    orientation: Float[Array, "*shared n"]
    log_saturation: Float[Array, "*sample n"]
    thermal_voltage: Float[Array, ""]

    def settle(self, inflow, conductance):
        a, saturation = self.thermal_voltage, jnp.exp(self.log_saturation)
        connected = conductance > 0
        conductance = jnp.where(connected, conductance, 1)
        drive = (self.orientation * inflow + saturation) / (a * conductance)
        log_ratio = self.log_saturation - jnp.log(a * conductance)
        omega = log_lambert(log_ratio + drive)
        # Two forms of one number; each is free of cancellation where it is used.
        conducting = jnp.log(jnp.where(omega > 0, omega, 1)) - log_ratio
        voltage = self.orientation * a * jnp.where(omega > 1, conducting, drive - omega)
        return jnp.where(connected, voltage, 0)

    def imbalance(self, inflow, conductance, voltage):
        diode = jnp.exp(self.log_saturation) * jnp.expm1(self.orientation * voltage / self.thermal_voltage)
        return inflow - conductance * voltage - self.orientation * diode

    def displaced(self, voltage, imbalance):
        log_saturation = self.log_saturation + self.orientation * voltage / self.thermal_voltage
        return ShockleyNode(self.orientation, log_saturation, self.thermal_voltage)

    def project(self, voltage):
        return voltage
