"""Each element as the lines of a deck that have its law; what no line has is refused by name."""

from collections.abc import Callable
from dataclasses import dataclass, field

from circuits import elements
from circuits.bundle import Branch
from circuits.spice.models import BOLTZMANN, CHARGE, ROOM
from circuits.spice.names import SpiceNames
from physnet.errors import PhysnetError

THERMAL_VOLTAGE = BOLTZMANN * ROOM / CHARGE  # V, of ngspice at 27 degree C


@dataclass
class Body:
    """The lines of a circuit as they are written. models: each .model text once, by its parameters."""

    digits: int = 17
    names: SpiceNames = field(default_factory=SpiceNames)
    lines: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)

    def add(self, branch: Branch) -> None:
        """Writes one element. Raises PhysnetError for one that has no SPICE line."""
        write = WRITERS.get(type(branch.element))
        if write is None:
            raise PhysnetError(
                f"write_spice: {branch.title} ({type(branch.element).__name__}) has no SPICE element with its law. "
                f"{_ADVICE.get(type(branch.element), 'Replace it by elements that SPICE has, or leave it out')}."
            )
        write(self, branch)

    def number(self, value) -> str:
        """A number to the digits of this deck, as short as it reads back the same."""
        value = float(value)
        return repr(value) if self.digits >= 17 else f"{value:.{self.digits}g}"

    def line(self, branch: Branch, letter: str, nodes, *rest: str, part: str = "") -> None:
        """One element line: its name, its nodes (names of the circuit), what follows."""
        nodes = " ".join(self.names.node(node) for node in nodes)
        self.lines.append(" ".join((self.names.element(branch.name, letter, part), nodes, *rest)))

    def model(self, kind: str, letter: str, **parameters) -> str:
        """The name of a .model with these parameters, written once."""
        text = " ".join(f"{name}={self.number(value)}" for name, value in parameters.items())
        key = f"{kind} {text}"
        return self.models.setdefault(key, f"{letter}model{len(self.models) + 1}")

    def model_lines(self) -> list[str]:
        return [f".model {name} {key}" for key, name in self.models.items()]

    def voltage(self, plus: str, minus: str) -> str:
        """v(plus, minus) as a behavioural source writes it."""
        a, b = self.names.node(plus), self.names.node(minus)
        if b == "0":
            return f"v({a})"
        return f"(-v({b}))" if a == "0" else f"v({a},{b})"


def _resistor(body, branch):
    _conductance(body, branch, float(branch.element.conductance))


def _memristor(body, branch):
    element = branch.element
    g = 1 / element.resistance if isinstance(element, elements.LinearDriftMemristor) else element.conductance
    body.lines.append(f"* {branch.name!a}: a memristor, at its present state")
    _conductance(body, branch, float(g))


def _conductance(body, branch, g, part=""):
    if g == 0:
        body.lines.append(f"* {branch.name!a}: 0 S, open: left out")
    else:
        body.line(branch, "r", branch.nodes[:2], body.number(1 / g), part=part)


def _diode(body, branch):
    _junction(body, branch, branch.nodes)


def _junction(body, branch, nodes, part=""):
    element = branch.element
    emission = float(element.thermal_voltage) / THERMAL_VOLTAGE
    model = body.model("D", "d", **{"is": element.saturation_current, "n": emission})
    body.line(branch, "d", nodes, model, part=part)


def _antiparallel(body, branch):
    _junction(body, branch, branch.nodes, "_forward")
    _junction(body, branch, branch.nodes[::-1], "_reverse")


def _zener(body, branch):
    import math

    e = branch.element
    saturation, a, b = (float(x) for x in (e.saturation_current, e.thermal_voltage, e.breakdown_slope))
    # Where the breakdown current is the saturation current: the form in which ngspice takes BV as it stands.
    knee = float(e.breakdown_voltage) - b * math.log(float(e.breakdown_current) / saturation)
    if knee > 2 * THERMAL_VOLTAGE:
        parameters = {"is": saturation, "n": a / THERMAL_VOLTAGE, "bv": knee, "ibv": saturation}
        body.line(branch, "d", branch.nodes, body.model("D", "d", **parameters, nbv=b / THERMAL_VOLTAGE))
        return
    v, n = body.voltage(*branch.nodes), body.number
    leak = f"exp(-{n(e.breakdown_voltage)}/{n(b)})"
    broken = f"{n(e.breakdown_current)}*(exp(-({v}+{n(e.breakdown_voltage)})/{n(b)})-{leak})"
    _behaviour(body, branch, f"{n(saturation)}*(exp({v}/{n(a)})-1)-{broken}")


def _finite_conductance(body, branch):
    v, n = body.voltage(*branch.nodes), body.number
    on, off = branch.element.on_conductance, branch.element.off_conductance
    _behaviour(body, branch, f"{v} < 0 ? {n(off)}*{v} : {n(on)}*{v}")


def _threshold(body, branch):
    e, v, n = branch.element, body.voltage(*branch.nodes), body.number
    width, step = float(e.corner_width), float(e.on_conductance) - float(e.off_conductance)
    x = f"({v}-{n(e.threshold)})"
    if width > 0:
        corner = f"({x}+{n(width / 2)})^2*{n(0.5 / width)}"
        ramp = f"({x} < {n(-width / 2)} ? 0 : ({x} < {n(width / 2)} ? {corner} : {x}))"
    else:
        ramp = f"({x} < 0 ? 0 : {x})"
    _behaviour(body, branch, f"{n(e.off_conductance)}*{v}+{n(step)}*{ramp}")


def _ekv(body, branch):
    e, n = branch.element, body.number
    drain, gate, source, bulk = branch.nodes
    p, vt, slope = int(e.polarity), float(e.thermal_voltage), float(e.slope_factor)

    def softplus(node):
        pinch = f"({n(p)}*{body.voltage(gate, bulk)}-{n(p * float(e.threshold))})/{n(slope)}"
        return f"ln(1+exp(({pinch}-{n(p)}*{body.voltage(node, bulk)})/{n(2 * vt)}))"

    scale = p * 2 * slope * float(e.transconductance_parameter) * vt**2
    _behaviour(body, branch, f"{n(scale)}*(({softplus(source)})^2-({softplus(drain)})^2)", (drain, source))


def _behaviour(body, branch, current, nodes=None):
    body.line(branch, "b", branch.nodes if nodes is None else nodes, f"i={current}")


def _plain(letter: str, *fields: str) -> Callable:
    """A writer of a line that ends with the fields' values."""

    def write(body, branch):
        values = [body.number(getattr(branch.element, name)) for name in fields]
        if branch.control is not None:
            values.insert(0, body.names.element(branch.control, "v"))
        body.line(branch, letter, branch.nodes, *values)

    return write


def _ammeter(body, branch):
    body.line(branch, "v", branch.nodes, "0")


def _op_amp(body, branch):
    output, plus, minus = branch.nodes
    e, names = branch.element, body.names
    gain, ohm = body.number(e.open_loop_gain), float(e.output_resistance)
    inner = names.inner_node(f"{branch.name}_output") if ohm > 0 else names.node(output)
    name = names.element(branch.name, "e")
    body.lines.append(f"{name} {inner} 0 {names.node(plus)} {names.node(minus)} {gain}")
    if ohm > 0:
        resistor = names.element(branch.name, "r", "_resistance")
        body.lines.append(f"{resistor} {inner} {names.node(output)} {body.number(ohm)}")


def _bidirectional(body, branch):
    a, b = branch.nodes
    g, gain = float(branch.element.amplifier_conductance), float(branch.element.amplifier_gain)
    for part, out, control, value in (
        ("_ii", a, a, g * gain * gain),
        ("_io", a, b, -g * gain),
        ("_oi", b, a, -g * gain),
        ("_oo", b, b, g),
    ):
        body.line(branch, "g", (out, "0", control, "0"), body.number(value), part=part)


def _transistor(body, branch):
    e = branch.element
    drain, _, source, bulk = branch.nodes
    saturation, a = float(e.bulk_saturation_current), float(e.junction_thermal_voltage)
    # The junctions of a MOSFET have the temperature of the deck; others stand beside it.
    own = abs(a / THERMAL_VOLTAGE - 1) < 1e-12
    parameters = {
        "level": 1,
        "vto": e.threshold,
        "kp": e.transconductance_parameter,
        "lambda": e.channel_length_modulation,
        "gamma": e.body_effect,
        "phi": e.surface_potential,
        "is": saturation if own else 0,
    }
    model = body.model("NMOS" if int(e.polarity) > 0 else "PMOS", "m", **parameters)
    body.line(branch, "m", branch.nodes, model, "w=1", "l=1")
    if float(e.minimum_conductance) > 0 and drain != source:
        resistor = Branch(branch.name, (drain, source), e)
        _conductance(body, resistor, float(e.minimum_conductance), "_conductance")
    if saturation > 0 and not own:
        model = body.model("D", "d", **{"is": saturation, "n": a / THERMAL_VOLTAGE})
        for part, node in (("_drain", drain), ("_source", source)):
            if node != bulk:
                nodes = (bulk, node) if int(e.polarity) > 0 else (node, bulk)
                body.line(branch, "d", nodes, model, part=part)


WRITERS: dict[type, Callable[[Body, Branch], None]] = {
    elements.Ammeter: _ammeter,
    elements.AntiparallelDiodes: _antiparallel,
    elements.BidirectionalAmplifier: _bidirectional,
    elements.Capacitor: _plain("c", "capacitance"),
    elements.CurrentControlledCurrentSource: _plain("f", "current_gain"),
    elements.CurrentControlledVoltageSource: _plain("h", "transresistance"),
    elements.CurrentSource: _plain("i", "current_value"),
    elements.EKVTransistor: _ekv,
    elements.FiniteConductanceDiode: _finite_conductance,
    elements.LinearDriftMemristor: _memristor,
    elements.OpAmp: _op_amp,
    elements.Resistor: _resistor,
    elements.ShockleyDiode: _diode,
    elements.SquareLawTransistor: _transistor,
    elements.ThresholdDiode: _threshold,
    elements.ThresholdMemristor: _memristor,
    elements.VoltageControlledCurrentSource: _plain("g", "transconductance"),
    elements.VoltageControlledVoltageSource: _plain("e", "voltage_gain"),
    elements.VoltageSource: _plain("v", "voltage"),
    elements.ZenerDiode: _zener,
}
_ADVICE = {
    elements.IdealDiode: "Use ShockleyDiode() or FiniteConductanceDiode()",
    elements.IdealOpAmp: "Use OpAmp(open_loop_gain=1e6)",
    elements.MeasuredCurve: "Fit a ShockleyDiode to it",
}
