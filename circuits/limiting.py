"""Exponential elements made gentle, for cold starts only: the law continued linearly beyond a knee."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from circuits.elements import Element


class Limited(Element):
    """`inner` up to `limit` (V), and its tangent there beyond: still convex, and never infinite."""

    inner: Element
    limit: Float[Array, "*element"] | float

    @property
    def kind(self):
        return self.inner.kind

    def current(self, voltage):
        inside, beyond = jnp.minimum(voltage, self.limit), jnp.maximum(voltage - self.limit, 0)
        return self.inner.current(inside) + self.inner.differential_conductance(self.limit) * beyond

    def differential_conductance(self, voltage):
        return self.inner.differential_conductance(jnp.minimum(voltage, self.limit))

    def cocontent(self, voltage):
        inside, beyond = jnp.minimum(voltage, self.limit), jnp.maximum(voltage - self.limit, 0)
        tangent = self.inner.current(self.limit) + 0.5 * self.inner.differential_conductance(self.limit) * beyond
        return self.inner.cocontent(inside) + tangent * beyond

    def parameters(self):
        return ()


def has_knee(element: Element) -> bool:
    """Whether an element is exponential, so that a cold start could overflow."""
    return jax.eval_shape(element.knee, 1.0) is not None


def limited(system, inputs: Float[Array, " input"]):
    """The circuit at these inputs with its exponential elements limited to the current that its sources can drive.

    Every other element is thought to carry its current at the largest voltage between fixed potentials. No more than
    their sum can reach a diode, so that the limit leaves the steady state where it is.
    """
    driven = system.driven(inputs)
    potentials = driven.potentials(driven.initial_state(inputs), inputs)
    span = jnp.max(potentials) - jnp.min(potentials)
    total = jnp.zeros_like(span)
    for group in driven.conductors:
        if not has_knee(group.element):
            total += jnp.sum(jnp.abs(group.element.current(span)))

    def limit(group):
        if not has_knee(group.element):
            return group
        return replace(group, element=Limited(group.element, group.element.knee(total)))

    return replace(driven, conductors=tuple(map(limit, driven.conductors)))
