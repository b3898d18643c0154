"""Parameter sets of auto-oscillators; every value says whether it was read, recalled, derived or chosen here."""

import difflib
import math
from dataclasses import dataclass

from oscillators import theory
from physnet.errors import PhysnetError

_MODEL = "10.1109/TMAG.2008.2009935"


@dataclass(frozen=True)
class Preset:
    """The parameters of one auto-oscillator, in the symbols of `oscillators.theory`; rates are X/2pi in Hz.

    name, title, doi: what the set is called, what it describes, and the publication of the device or model.
    frequency_hz: f0, Hz, the frequency in the limit of small power. nonlinear_shift_hz: N/2pi, Hz. damping_hz: G_G/2pi,
    Hz. nonlinear_damping: Q, dimensionless. efficiency_hz_per_ampere: sigma/2pi, Hz/A. current_ampere: I, A, the
    operating point. diffusion_hz: D/2pi, Hz, for noise <f f*> = 2 D delta(t). coupling_hz: W/2pi, Hz, between such
    oscillators, None where neither a source nor a good reason gives one.
    notes: pairs (quantity, how it is known). "read": stated in the source named. "(m)": from memory of the publication,
    not checked against it. "derived": follows from other values of the set. "chosen here": a plausible value that no
    source gives; do not quote it as published.
    """

    name: str
    title: str
    doi: str
    frequency_hz: float
    nonlinear_shift_hz: float
    damping_hz: float
    nonlinear_damping: float
    efficiency_hz_per_ampere: float
    current_ampere: float
    diffusion_hz: float
    coupling_hz: float | None
    notes: tuple[tuple[str, str], ...]

    @property
    def threshold_ampere(self) -> float:
        """I_th in A."""
        return float(theory.threshold_current(self.efficiency_hz_per_ampere, self.damping_hz))

    @property
    def supercriticality(self) -> float:
        """zeta = I/I_th at the operating point, dimensionless."""
        return float(theory.supercriticality(self.current_ampere, self.efficiency_hz_per_ampere, self.damping_hz))

    @property
    def power(self) -> float:
        """p0 at the operating point, dimensionless."""
        return float(theory.stationary_power(self.supercriticality, self.nonlinear_damping))

    @property
    def generation_frequency_hz(self) -> float:
        """f_g = f0 + (N/2pi) p0 at the operating point, in Hz."""
        return float(theory.generation_frequency(self.frequency_hz, self.nonlinear_shift_hz, self.power))

    @property
    def relaxation_rate_hz(self) -> float:
        """G_p/2pi at the operating point, in Hz."""
        return float(theory.relaxation_rate(self.damping_hz, self.supercriticality))

    @property
    def nu(self) -> float:
        """N p0/G_p at the operating point, dimensionless."""
        return float(theory.nonlinear_coupling(self.nonlinear_shift_hz, self.power, self.relaxation_rate_hz))

    @property
    def linewidth_hz(self) -> float:
        """Full width at half maximum at the operating point, in Hz."""
        return float(theory.linewidth(self.diffusion_hz, self.power, self.nu))

    @property
    def tuning_hz_per_ampere(self) -> float:
        """df_g/dI at the operating point, in Hz/A."""
        efficiency, damping = self.efficiency_hz_per_ampere, self.damping_hz
        shift, q = self.nonlinear_shift_hz, self.nonlinear_damping
        return float(theory.frequency_tuning(self.supercriticality, shift, efficiency, damping, q))


def preset(name: str) -> Preset:
    """The parameter set called `name`. Raises PhysnetError, naming the nearest, for a name that `presets()` lacks."""
    known = {entry.name: entry for entry in _PRESETS}
    if isinstance(name, str) and name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    hint = f"Did you mean '{near[0]}'?" if near else f"Pass one of {', '.join(known)}."
    raise PhysnetError(f"preset: no set is called {name!r}. {hint} presets() lists them.")


def presets() -> tuple[Preset, ...]:
    """Every parameter set, in the order of this file."""
    return _PRESETS


_VORTEX = (
    ("nonlinear_damping", "chosen here: 0, the fewest free parameters"),
    ("damping_hz", "chosen here: 10 MHz, which makes nu = 4.2"),
    ("efficiency_hz_per_ampere", "chosen here: a threshold of 3 mA"),
    ("current_ampere", "chosen here: twice the threshold, so that ramps by tens of MHz stay above it"),
    ("nonlinear_shift_hz", "derived: 7 MHz/mA at the operating point, published scale of vortex oscillators (m)"),
)
# Twice the threshold and Q = 0: p0 = 1/2 and df_g/dI = N/(4 I_th), so 7 MHz/mA and 3 mA make N = 84 MHz and nu = 4.2.
_NU = 84 * 0.5 / 10

_PRESETS = (
    Preset(
        name="vortex-binding",
        title="Vortex spin-torque oscillator of the binding experiment, at the middle of three free peaks",
        doi="10.1038/s41467-022-28159-1",
        frequency_hz=297.5e6,
        nonlinear_shift_hz=84e6,
        damping_hz=10e6,
        nonlinear_damping=0.0,
        efficiency_hz_per_ampere=10e6 / 3e-3,
        current_ampere=6e-3,
        diffusion_hz=200e3 * 0.5 / (1 + _NU**2),
        coupling_hz=None,
        notes=(
            ("frequency_hz", "derived: the middle free peak of the experiment, 339.5 MHz (m), less N p0"),
            *_VORTEX,
            ("diffusion_hz", "derived: a linewidth of 200 kHz, chosen here as the geometric middle of 40 kHz to 1 MHz"),
            ("coupling_hz", "not given: choose it; mutual locking needs the free peaks within the half-range"),
        ),
    ),
    Preset(
        name="vortex-vowels",
        title="Vortex spin-torque oscillator of the vowel-recognition experiment",
        doi="10.1038/s41586-018-0632-y",
        frequency_hz=308e6,
        nonlinear_shift_hz=84e6,
        damping_hz=10e6,
        nonlinear_damping=0.0,
        efficiency_hz_per_ampere=10e6 / 3e-3,
        current_ampere=6e-3,
        diffusion_hz=100e3 * 0.5 / (1 + _NU**2),
        coupling_hz=None,
        notes=(
            (
                "frequency_hz",
                "chosen here: 350 MHz in operation, the middle of 300 to 400 MHz, published scale of vortex "
                "oscillators (m)",
            ),
            *_VORTEX,
            ("diffusion_hz", "derived: a linewidth of 100 kHz, chosen here within 40 kHz to 1 MHz"),
            ("coupling_hz", "not given: choose it; the four oscillators are wired in series (m)"),
        ),
    ),
    Preset(
        name="oracle",
        title="Checked by simulation, locking ranges and linewidth: p0 = 1/4, G_p/2pi = 2.5 MHz, nu = 4",
        doi=_MODEL,
        frequency_hz=300e6,
        nonlinear_shift_hz=40e6,
        damping_hz=7.5e6,
        nonlinear_damping=0.0,
        efficiency_hz_per_ampere=2.5e9,
        current_ampere=4e-3,
        diffusion_hz=100 / (2 * math.pi),
        coupling_hz=10e3,
        notes=(
            ("frequency_hz", "chosen here: none of the checked figures depends on it"),
            ("nonlinear_shift_hz", "derived: nu = 4, chosen here"),
            ("damping_hz", "derived: G_p/2pi = 2.5 MHz at zeta = 4/3"),
            ("nonlinear_damping", "chosen here: 0, so that p0 = 1/4 is zeta = 4/3"),
            ("efficiency_hz_per_ampere", "chosen here: a threshold of 3 mA"),
            ("current_ampere", "derived: zeta = 4/3"),
            ("diffusion_hz", "derived: D = 100 /s, chosen here, a linewidth of 1.082 kHz"),
            ("coupling_hz", "derived: a half-range of 20.00 kHz at b = 0, chosen here"),
        ),
    ),
    Preset(
        name="map",
        title="Three coupled oscillators of the detuning map by which simulators are timed",
        doi=_MODEL,
        frequency_hz=300e6,
        nonlinear_shift_hz=40e6,
        damping_hz=5e6,
        nonlinear_damping=0.0,
        efficiency_hz_per_ampere=1.25e9,
        current_ampere=6e-3,
        diffusion_hz=0.0,
        coupling_hz=0.4e6,
        notes=(
            ("frequency_hz", "chosen here with the map"),
            ("nonlinear_shift_hz", "chosen here with the map"),
            ("damping_hz", "chosen here with the map"),
            ("nonlinear_damping", "chosen here with the map"),
            ("efficiency_hz_per_ampere", "chosen here: a threshold of 4 mA"),
            ("current_ampere", "derived: zeta = 1.5, chosen here with the map"),
            ("diffusion_hz", "chosen here: 0, the map is noiseless"),
            ("coupling_hz", "chosen here with the map; coupling phase b = 0"),
        ),
    ),
)
