"""What a .model line says of a diode or a MOSFET, and how temperature moves it, as ngspice has it."""

import difflib
import math
from dataclasses import dataclass

from circuits.spice.analyses import kelvin
from circuits.spice.flatten import Frame
from circuits.spice.tokens import Card

BOLTZMANN, CHARGE = 1.38064852e-23, 1.6021766208e-19  # J/K and C as in ngspice (CODATA 2014)
ROOM = 300.15  # K, 27 degree C: the default of TEMP and TNOM

# Of no weight in a direct-current state: charges, noise, ratings, statistics, names.
_CHARGE = {
    "fc",
    "kf",
    "af",
    "pb",
    "m",
    "mj",
    "mjsw",
    "vj",
    "cj",
    "cjo",
    "cj0",
    "cjsw",
    "cjp",
    "php",
    "vjsw",
    "tt",
    "fcs",
}
_RATINGS = {"iave", "vpk", "mfg", "type", "bv_max", "fv_max", "id_max", "pd_max", "te_max", "rth0", "cth0"}
# These matter only where the temperature is not TNOM.
_DIODE_TEMPERATURE = {"trs", "trs1", "trs2", "tm1", "tm2", "ttt1", "ttt2", "tcv", "tbv1", "tbv2", "tlev", "tlevc"}
_DIODE_TEMPERATURE |= {"cta", "ctp", "tpb", "tphp", "gap1", "gap2"}
_DIODE = {"is": 1e-14, "n": 1.0, "rs": 0.0, "bv": None, "ibv": 1e-3, "nbv": None, "eg": 1.11, "xti": 3.0}
_MOSFET = {"vto": 0.0, "kp": 2e-5, "lambda": 0.0, "gamma": 0.0, "phi": 0.6, "is": 1e-14, "rd": 0.0, "rs": 0.0}
_MOSFET_CHARGE = _CHARGE | _RATINGS | {"cbd", "cbs", "cgso", "cgdo", "cgbo"}
_DIODE_NAMES = {"js": "is", "vb": "bv", "tref": "tnom"}  # further spellings
_MOSFET_NAMES = {"vt0": "vto", "u0": "uo", "tref": "tnom"}
_KINDS = "D (diode), NMOS and PMOS (level 1)"


@dataclass(frozen=True)
class DiodeModel:
    """A junction at its temperature, for area 1.

    saturation_current: A. thermal_voltage: n k T / q, V. resistance: in series, ohm. breakdown_voltage: V, None if it
    does not break down; there it carries breakdown_current, A, and that grows e-fold in breakdown_slope, V.
    """

    saturation_current: float
    thermal_voltage: float
    resistance: float
    breakdown_voltage: float | None
    breakdown_current: float
    breakdown_slope: float
    junction_voltage: float  # k T / q

    def knee(self, size: float) -> float:
        """V: where the reverse current of the broken-down junction is the saturation current, as ngspice matches it.

        size: area times multiplier (1), which breakdown and saturation current share.
        """
        saturation, current = self.saturation_current * size, self.breakdown_current * size
        vt, bv = self.junction_voltage, self.breakdown_voltage
        if current < saturation * bv / vt:  # the law already carries more: it breaks down at BV itself
            return bv
        knee = bv - self.breakdown_slope * math.log1p(current / saturation)
        for _ in range(25):
            knee = bv - self.breakdown_slope * math.log(current / saturation + 1 - knee / vt)
            reached = saturation * (math.exp(min((bv - knee) / self.breakdown_slope, 700.0)) - 1 + knee / vt)
            if abs(reached - current) <= 1e-12 * current:
                break
        return knee


@dataclass(frozen=True)
class MosfetModel:
    """A level-1 transistor at its temperature. sign: +1 for NMOS, -1 for PMOS.

    threshold: VTO, V. transconductance: KP, A/V2. modulation: LAMBDA, 1/V. body: GAMMA, V^0.5. surface: PHI, V.
    saturation_current: of each bulk junction, A. thermal_voltage: V. drain_resistance, source_resistance: ohm.
    """

    sign: int
    threshold: float
    transconductance: float
    modulation: float
    body: float
    surface: float
    saturation_current: float
    thermal_voltage: float
    drain_resistance: float
    source_resistance: float


def diode_model(card: Card, frame: Frame, temperature: float, nominal: float) -> DiodeModel:
    """The diode that a .model card describes, at `temperature` (K); `nominal` (K) where the card gives no TNOM."""
    p, nominal = _read(card, frame, _DIODE, _DIODE_NAMES, _CHARGE | _RATINGS, temperature, nominal)
    _positive(card, p, "is", "A")
    _positive(card, p, "n", "")
    _not_negative(card, p, "rs", "ohm")
    vt = BOLTZMANN * temperature / CHARGE
    ratio = temperature / nominal
    growth = (ratio - 1) * p["eg"] / (p["n"] * vt) + p["xti"] / p["n"] * math.log(ratio)
    if not abs(growth) < 600:
        raise card.error(f".model {card.words[0]}: at {temperature:.6g} K its saturation current overflows. Check EG.")
    if p["bv"] is not None:
        _positive(card, p, "bv", "V")
        _positive(card, p, "ibv", "A")
    p["nbv"] = p["n"] if p["nbv"] is None else p["nbv"]
    _positive(card, p, "nbv", "")
    return DiodeModel(p["is"] * math.exp(growth), p["n"] * vt, p["rs"], p["bv"], p["ibv"], p["nbv"] * vt, vt)


def mosfet_model(card: Card, frame: Frame, temperature: float, nominal: float) -> MosfetModel:
    """The transistor that a .model card describes, at `temperature` (K)."""
    without_weight = _MOSFET_CHARGE | {"tox", "uo"} if "kp" in card.pairs else _MOSFET_CHARGE
    if "tox" in card.pairs and "kp" not in card.pairs:
        raise card.error(f".model {card.words[0]}: KP from TOX and UO is not supported. Give KP, A/V^2.")
    p, nominal = _read(card, frame, _MOSFET, _MOSFET_NAMES, without_weight, temperature, nominal)
    _positive(card, p, "phi", "V")
    for name, unit in (
        ("kp", "A/V^2"),
        ("lambda", "1/V"),
        ("gamma", "V^0.5"),
        ("is", "A"),
        ("rd", "ohm"),
        ("rs", "ohm"),
    ):
        _not_negative(card, p, name, unit)
    sign = 1 if card.words[1].text == "nmos" else -1
    vt, ratio = BOLTZMANN * temperature / CHARGE, temperature / nominal
    phi = ratio * p["phi"] + _fermi(temperature) - ratio * _fermi(nominal)
    if not phi > 0:
        raise card.error(f".model {card.words[0]}: PHI is {phi:.6g} V at {temperature:.6g} K; it must be above 0.")
    flat = p["vto"] - sign * p["gamma"] * math.sqrt(p["phi"]) + (_gap(nominal) - _gap(temperature)) / 2
    threshold = flat + sign * (phi - p["phi"]) / 2 + sign * p["gamma"] * math.sqrt(phi)
    growth = _gap(nominal) * CHARGE / (BOLTZMANN * nominal) - _gap(temperature) / vt
    saturation = p["is"] * math.exp(min(growth, 600.0))
    if ratio == 1:  # to the last bit
        phi, threshold, saturation = p["phi"], p["vto"], p["is"]
    kp = p["kp"] / (ratio * math.sqrt(ratio))
    return MosfetModel(sign, threshold, kp, p["lambda"], p["gamma"], phi, saturation, vt, p["rd"], p["rs"])


def _gap(temperature):
    """The band gap of silicon, eV."""
    return 1.16 - 7.02e-4 * temperature**2 / (temperature + 1108)


def _fermi(temperature):
    """How a Fermi potential moves with temperature, V."""
    vt = BOLTZMANN * temperature / CHARGE
    arg = -_gap(temperature) / (2 * BOLTZMANN * temperature) + 1.1150877 / (2 * BOLTZMANN * ROOM)
    return -2 * vt * (1.5 * math.log(temperature / ROOM) + CHARGE * arg)


def _read(card, frame, known, spellings, ignored, temperature, nominal):
    """(parameters, nominal temperature, K) of a .model card."""
    name = card.words[0].text
    if len(card.words) > 2:
        raise card.error(f".model {name}: {card.words[2]} has no value. Write NAME=VALUE.")
    values = dict(known)
    pairs = {spellings.get(key, key): value for key, value in card.pairs.items()}
    with_temperature = _DIODE_TEMPERATURE if known is _DIODE else set()
    if "level" in pairs and frame.value(pairs["level"], f".model {name}: LEVEL") != 1:
        raise card.error(f".model {name}: level {pairs['level']} is not supported; level 1 is. Give its parameters.")
    if "tnom" in pairs:
        nominal = kelvin(card, frame.value(pairs["tnom"], f".model {name}: TNOM (degree C)"))
    for key, value in pairs.items():
        if key in known:
            values[key] = frame.value(value, f".model {name}: {key.upper()}")
        elif key in with_temperature and temperature != nominal:
            raise card.error(
                f".model {name}: {key.upper()} matters at {temperature:.6g} K, away from TNOM ({nominal:.6g} K), and "
                "is not supported there. Set TEMP to TNOM, or remove it."
            )
        elif key not in ignored | with_temperature | {"level", "tnom"}:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            hint = f" Did you mean {near[0].upper()}?" if near else ""
            names = ", ".join(known).upper()
            raise card.error(
                f".model {name}: parameter {key.upper()} is not supported.{hint} Supported: {names}, TNOM."
            )
    return values, nominal


def _positive(card, values, name, unit):
    if not values[name] > 0:
        raise card.error(
            f".model {card.words[0]}: {name.upper()} is {values[name]:.6g} {unit}".rstrip() + "; it is > 0."
        )


def _not_negative(card, values, name, unit):
    if not values[name] >= 0:
        raise card.error(f".model {card.words[0]}: {name.upper()} is {values[name]:.6g} {unit}; it is >= 0.")


def kinds() -> str:
    """Every kind of model, for messages."""
    return _KINDS
