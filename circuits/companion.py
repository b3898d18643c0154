"""A circuit as Newton's method sees it: every nonlinear element replaced by its tangent at a voltage of its own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements import CurrentSource
from circuits.group import gather
from circuits.linear_solvers import Coefficients
from circuits.network import Network
from physnet.nudge import Nudge
from physnet.problem import Problem
from physnet.system import System


class Companion(eqx.Module):
    """One sample of a circuit, nudged or not. `operating` holds, for each conducting group, the values that its
    elements are linearised at: those of the unknowns for linear ones, their own for junctions and transistors."""

    system: System
    inputs: Array
    nudge: Nudge | None

    @property
    def problem(self) -> Problem:
        """What is to be brought to rest."""
        return Problem(self.system, self.inputs, self.nudge)

    @property
    def circuit(self):
        """The circuit of this sample, its variations (`Varied`) put in place."""
        return self._under[0]

    @property
    def _under(self):
        system, inputs = self.system, self.inputs
        while not hasattr(system, "network"):
            system, inputs = system.under(inputs)
        return system, inputs

    def network(self, share=None) -> Network:
        """The network with its inputs in place, its sources at a share of their values."""
        circuit, inputs = self._under
        driven = circuit.driven(inputs)
        return driven if share is None else driven.scaled(share)

    def inside(self, unknowns: Float[Array, " u"]) -> Float[Array, " u"]:
        """The nearest unknowns that ideal diodes allow."""
        box = self.network().bounds()
        return unknowns if box is None else jnp.clip(unknowns, *box)

    def operating(self, unknowns: Float[Array, " u"], share=None) -> list[Array]:
        """Every element linearised where it is; exponential ones not beyond what the circuit could drive into them."""
        network = self.network(share)
        values = network.values(unknowns)
        if not any(_is_limited(group) for group in network.conductors):
            return values
        potentials = network.potentials(unknowns)
        most = self.stiffest() * (jnp.max(potentials) - jnp.min(potentials))
        for group, v in zip(network.conductors, values):
            if isinstance(group.element, CurrentSource):
                most = most + jnp.sum(jnp.abs(group.element.current(v[0])))
        return [_limited(g, v, most) if _is_limited(g) else v for g, v in zip(network.conductors, values)]

    def certificate(self, unknowns: Float[Array, " u"]) -> Float[Array, ""]:
        """The relative residual of the circuit as it is."""
        return self.problem.certificate(self.circuit.as_state(unknowns))[0]

    def continued_certificate(self, unknowns, share, shunt, anchor) -> Float[Array, ""]:
        """The relative residual with scaled sources and shunts; only a measure of progress."""
        network = self.network(share)
        pull = self._shunts(network, shunt) * (unknowns - anchor)
        residual = network.balance(unknowns) + pull - self._force(unknowns)
        scale = network.balance_scale(unknowns) + jnp.abs(pull) + self._shunts(network, shunt) * 1e-3
        box = network.bounds()
        if box is not None:
            held = ((unknowns <= box[0]) & (residual > 0)) | ((unknowns >= box[1]) & (residual < 0))
            residual = jnp.where(held, 0, residual)
        tiny = jnp.finfo(unknowns.dtype).tiny
        return jnp.max(jnp.where(residual == 0, 0, jnp.abs(residual) / jnp.maximum(scale, tiny)))

    def stiffest(self) -> Float[Array, ""]:
        """Where shunts begin, S: the largest conductance that linear elements show at any node."""
        return jnp.maximum(self.network().stiffest(), 1e-6)

    def _shunts(self, network, shunt):
        return jnp.where(jnp.arange(network.unknowns) < network.free, shunt, 0)

    def _force(self, unknowns):
        if self.nudge is None:
            return jnp.zeros_like(unknowns)
        return self.circuit.unknowns(self.problem.force(self.circuit.as_state(unknowns)))

    def linearised(self, unknowns, operating, share, shunt, anchor) -> tuple[Coefficients, Float[Array, " u"]]:
        """(coefficients of the Jacobian, right side) of one Newton step."""
        network = self.network(share)
        values = network.values(unknowns)
        slopes = [group.slopes(w) for group, w in zip(network.conductors, operating)]
        flows = [
            group.flows(v if group.element.quadratic else w)
            + (0 if group.element.quadratic else group.linearised(g, v - w))
            for group, v, w, g in zip(network.conductors, values, operating, slopes)
        ]
        shunts = self._shunts(network, shunt)
        size, dtype = network.unknowns, unknowns.dtype
        residual = gather(network.conductors, flows, size, dtype) + shunts * (unknowns - anchor)
        residual = residual - self._force(unknowns)
        diagonal = _diagonal(network, slopes) + shunts
        # Blocking junctions leave a node next to no conductance. Its balance is known to eps of its currents, and that
        # rounding must not move it by more than about a volt.
        currents = gather(network.conductors, [jnp.abs(flow) for flow in flows], size, dtype)
        ballast = jnp.finfo(dtype).eps * currents
        ballast = jnp.where((diagonal == 0) & (ballast == 0), 1, ballast)
        ballast = jnp.where(jnp.arange(size) < network.free, ballast, 0)
        free = jnp.ones(size, bool)
        box = network.bounds()
        right = -residual
        if box is not None:
            descent = -residual / jnp.where(diagonal > 0, diagonal, 1)
            low = (unknowns + descent <= box[0]) & (residual > 0)
            high = (unknowns + descent >= box[1]) & (residual < 0)
            free = ~(low | high)
            right = jnp.where(low, box[0] - unknowns, jnp.where(high, box[1] - unknowns, right))
        packed = jnp.concatenate([g.ravel() for g in slopes] or [jnp.zeros(0, dtype)])
        outputs, dense = self._nudge_conductance(unknowns, network)
        correction = None
        if self.nudge is not None and self.nudge.anchor is not None:
            rest = network.values(self.circuit.unknowns(self.nudge.anchor))
            at_rest = [group.slopes(v) for group, v in zip(network.conductors, rest)]
            correction = jnp.concatenate([g.ravel() for g in at_rest])
        return Coefficients(packed, outputs, shunts + ballast, free, dense, correction), right

    def _nudge_conductance(self, unknowns, network):
        """(S at each output, S between outputs or None): the curvature of beta C."""
        count = network.plus.shape[0]
        if self.nudge is None:
            return jnp.zeros(count, unknowns.dtype), None
        curvature = self.nudge.cost.curvature()
        if curvature is not None:
            return jnp.full(count, self.nudge.beta * curvature, unknowns.dtype), None
        outputs = network.output_voltages(unknowns)
        hessian = self.nudge.beta * jax.hessian(self.nudge.cost)(outputs, self.nudge.target)
        return jnp.zeros(count, unknowns.dtype), hessian.astype(unknowns.dtype)

    def moved(self, unknowns, operating, step, share) -> tuple[Float[Array, " u"], list[Array]]:
        """The unknowns after a step, and where each element is then linearised: on its load line."""
        network = self.network(share)
        new = self.inside(unknowns + step)
        slopes = [group.slopes(w) for group, w in zip(network.conductors, operating)]
        at_nodes = jnp.append(_diagonal(network, slopes), jnp.inf)
        junctions = max(1, sum(len(group.names) for group in network.conductors if _has_knee(group)))
        moved = []
        for group, v, w, g in zip(network.conductors, network.values(new), operating, slopes):
            if group.element.quadratic:
                moved.append(v)
            elif group.two_terminal:
                moved.append(_on_load_line(group, v, w, g, at_nodes, junctions))
            else:
                limit = group.element.step_limit
                k = group.terminals.shape[0]
                moved.append(jnp.concatenate([w[:k] + jnp.clip(v[:k] - w[:k], -limit, limit), v[k:]]))
        return new, moved


def _has_knee(group) -> bool:
    return group.two_terminal and jax.eval_shape(group.element.knee, 1.0) is not None


def _is_limited(group) -> bool:
    return _has_knee(group) or not (group.two_terminal or np.isinf(group.element.step_limit))


def _limited(group, values, current):
    """Values at which an exponential element carries no more than this current, A; a transistor else starts at 0 V."""
    if not group.two_terminal:
        bearable = jnp.all(jnp.abs(group.flows(values)) <= 1e3 * current, axis=0)
        return jnp.where(bearable, values, 0)
    voltage = jnp.minimum(values[0] - values[1], group.element.knee(current))
    lowest = group.element.reverse_knee(current)
    voltage = voltage if lowest is None else jnp.maximum(voltage, lowest)
    return jnp.stack([voltage, jnp.zeros_like(voltage)])


def _on_load_line(group, v, w, slope, at_nodes, junctions):
    """The voltage of each element where its law meets the line through the predicted current and voltage.

    The line's slope is the conductance that the rest of the circuit shows at its two nodes, in series, as of the last
    step: a diode with resistors around it settles in one step, eliminated at its node by Lambert's W. Many junctions
    load a circuit together, so that each sees less of it: N^(-2/3) of its neighbourhood does best on grids.
    """
    voltage, before = v[0] - v[1], w[0] - w[1]
    predicted = group.element.current(before) + slope * (voltage - before)
    a, b = (jnp.maximum(at_nodes[end] - slope, 0) for end in (group.out_of, group.into))
    series = _series(a, b) * junctions ** (-2 / 3)
    tiny = jnp.finfo(v.dtype).eps * jnp.max(jnp.where(jnp.isfinite(at_nodes), at_nodes, 0))
    load = jnp.maximum(series, jnp.maximum(1e-3 * slope, tiny))
    found = group.element.on_load_line(predicted + load * voltage, load, before)
    found = jnp.where(jnp.isfinite(load), found, voltage)
    return jnp.stack([found, jnp.zeros_like(found)])


def _series(a, b):
    """a b / (a + b), also where one or both are infinite."""
    small, large = jnp.minimum(a, b), jnp.maximum(a, b)
    ratio = jnp.where(jnp.isfinite(large), small / jnp.where(large > 0, large, 1), 0)
    return jnp.where(jnp.isfinite(small), small / (1 + ratio), large)


def _diagonal(network: Network, slopes) -> Float[Array, " u"]:
    """What each unknown's own balance gains per unit of it: the conductance at a node, S."""
    size, own = network.unknowns, []
    for group, g in zip(network.conductors, slopes):
        if group.two_terminal:
            own.append(jnp.stack([g, g]))
        else:
            k = min(group.rows.shape[0], group.columns.shape[0])
            own.append(jnp.abs(jnp.stack([g[i, i] for i in range(k)])))
    dtype = own[0].dtype if own else network.dtype
    return gather(network.conductors, own, size, dtype)
