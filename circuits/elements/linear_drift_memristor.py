"""The memristor of linear ionic drift: a resistor that remembers its charge."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from circuits.elements.base import Element, above_zero, first_not
from circuits.elements.fields import fixed
from circuits.elements.pulse import check_pulse, is_share


class LinearDriftMemristor(Element):
    """A memristive resistor: i = v / R(w), R = R_on w + R_off (1 - w), and dw/dt = k R_on i (1 - (2w - 1)^2p).

    w, from 0 to 1, is the doped share of the film; positive current raises it. At an operating point w is held, and
    the element is a resistor, Q = v^2 / 2R. `state_rate` and `pulsed` move it. The window of Joglekar stops the drift
    at both ends, and at the ends themselves it is 0: a state of exactly 0 or 1 never leaves.

    state: w, dimensionless. on_resistance, off_resistance: ohm, above 0, the second at least the first. mobility: k =
    mu / D^2, 1/(V s), of dopants over film thickness squared (1e-14 m2/(V s) over (10 nm)^2 is 100). window: p, a whole
    number above 0; large p leaves the drift linear but at the ends. Raises PhysnetError for values outside these
    ranges. Strukov et al. 2008, doi:10.1038/nature06932; Joglekar & Wolf 2009, doi:10.1088/0143-0807/30/4/001.
    """

    state: Float[Array, "*element"] | float = 0.5
    on_resistance: Float[Array, "*element"] | float = 100.0
    off_resistance: Float[Array, "*element"] | float = 16e3
    mobility: Float[Array, "*element"] | float = 100.0
    window: int = eqx.field(static=True, default=1)

    kind = "linear_drift_memristor"
    quadratic = True

    @property
    def resistance(self) -> Float[Array, "*element"]:
        """R(w), ohm, at the present state."""
        return self.on_resistance * self.state + self.off_resistance * (1 - self.state)

    def current(self, voltage):
        return voltage / self.resistance

    def differential_conductance(self, voltage):
        return 1 / self.resistance + jnp.zeros_like(voltage)

    def cocontent(self, voltage):
        return 0.5 * voltage**2 / self.resistance

    def state_rate(self, voltage: Float[Array, "..."]) -> Float[Array, "..."]:
        """dw/dt, 1/s, under a voltage, V."""
        drift = self.mobility * self.on_resistance * self.current(voltage)
        return drift * (1 - (2 * self.state - 1) ** (2 * self.window))

    def with_state(self, state: Float[Array, "*element"] | float) -> "LinearDriftMemristor":
        """The same element in another state. state: w, dimensionless."""
        return LinearDriftMemristor(state, self.on_resistance, self.off_resistance, self.mobility, self.window)

    def pulsed(
        self, voltage: Float[Array, "*element"] | float, duration: Float[Array, "*element"] | float
    ) -> "LinearDriftMemristor":
        """The element after a time at a constant voltage, to a relative 1e-9 of the state.

        voltage: V. duration: s, at least 0. Followed in log(w / (1 - w)), which has no ends to run into. Raises
        PhysnetError for a negative duration.
        """
        check_pulse(voltage, duration)
        fields = (self.state, self.on_resistance, voltage)
        dtype = jnp.result_type(1.0, *fields)  # of the fields, where they are arrays
        shape = jnp.broadcast_shapes(*map(jnp.shape, (*fields, duration)))
        # Arrays throughout: other numbers then run the same compiled program.
        element = jax.tree.map(lambda x: jnp.asarray(x, dtype), self)
        return self.with_state(_drifted(element, jnp.broadcast_to(jnp.asarray(voltage * duration, dtype), shape)))

    def parameters(self):
        return (
            fixed("state", "1", "doped share of each memristor", (0.0, 1.0), name="memristor_state"),
            fixed("on_resistance", "ohm", "resistance of each memristor at state 1"),
            fixed("off_resistance", "ohm", "resistance of each memristor at state 0"),
            fixed("mobility", "V-1 s-1", "dopant mobility over squared thickness of each film"),
        )

    def fault(self):
        wrong = first_not(is_share, self.state)
        if wrong is not None:
            return f"state {wrong:.6g}; it must lie between 0 (off) and 1 (on)."
        for name, values, unit in (
            ("on resistance", self.on_resistance, "ohm"),
            ("off resistance", self.off_resistance, "ohm"),
            ("mobility", self.mobility, "1/(V s)"),
        ):
            wrong = first_not(above_zero, values)
            if wrong is not None:
                return f"{name} {wrong:.6g} {unit}; it must be finite and above 0."
        if np.any(np.asarray(self.on_resistance) > np.asarray(self.off_resistance)):
            on, off = np.max(self.on_resistance), np.min(self.off_resistance)
            return f"on resistance {on:.6g} ohm above the off resistance {off:.6g} ohm; swap them."
        if not isinstance(self.window, int) or isinstance(self.window, bool) or self.window < 1:
            return f"window {self.window!r}; give a whole number of 1 or more (1 is the parabola)."
        return None


@eqx.filter_jit
def _drifted(element: LinearDriftMemristor, impulse: Float[Array, "*element"]) -> Float[Array, "*element"]:
    """The state after voltage times time, V s: the rate is proportional to the voltage, so that nothing else counts."""
    inner = (element.state > 0) & (element.state < 1)
    state = jnp.where(inner, element.state, 0.5)
    floor = 16 * float(jnp.finfo(impulse.dtype).eps)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(_velocity),
        diffrax.Tsit5(),
        t0=jnp.zeros((), impulse.dtype),
        t1=jnp.ones((), impulse.dtype),
        dt0=None,
        y0=jnp.broadcast_to(jnp.log(state) - jnp.log1p(-state), impulse.shape),
        args=(element, impulse),
        stepsize_controller=diffrax.PIDController(rtol=max(1e-10, floor), atol=max(1e-10, floor), norm=_largest),
        max_steps=100_000,
    )
    return jnp.where(inner, 1 / (1 + jnp.exp(-solution.ys[-1])), element.state)


def _velocity(share, x, args):
    """d log(w / (1 - w)), as a share of the impulse goes by: dw = w (1 - w) dx."""
    element, impulse = args
    on, off = 1 / (1 + jnp.exp(-x)), 1 / (1 + jnp.exp(x))
    # The window is w (1 - w) times a polynomial: 1 - y^2p = (1 - y^2)(1 + y^2 + ...), y = 2w - 1.
    square = (on - off) ** 2
    window = 4 * sum(square**n for n in range(element.window))
    resistance = element.on_resistance * on + element.off_resistance * off
    return element.mobility * element.on_resistance / resistance * window * impulse


def _largest(x):
    return jnp.max(jnp.abs(x))
