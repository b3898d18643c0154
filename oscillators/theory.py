"""Closed forms for auto-oscillators and coupled phases: what theory predicts before anything is simulated.

Arguments are numbers or NumPy arrays and broadcast. Rates, couplings and diffusion are given as X/2pi in Hz, as papers
quote them; a formula that is homogeneous in the rates then reads the same in Hz as in rad/s. The source, unless another
is named, is Slavin & Tiberkevich, IEEE Trans. Magn. 45, 1875 (2009), doi:10.1109/TMAG.2008.2009935, with the oscillator

    dc/dt = -i(w0 + N p)c - G_G(1 + Q p)c + sigma I(1 - p)c + sum_j W exp(ib) c_j + F exp(-i w_e t) + noise,  p = |c|^2,

with c = sqrt(p) exp(-i phi), so that dphi/dt = +w. Every function raises PhysnetError for a value that is not finite or
lies outside the domain stated with its argument.
"""

import numpy as np

from physnet.errors import PhysnetError


def supercriticality(current, efficiency, damping):
    """zeta = sigma I / G_G: how many times the current exceeds the one at which pumping balances the natural damping.

    current: I in A. efficiency: sigma/2pi in Hz/A. damping: G_G/2pi > 0 in Hz. Returns zeta, dimensionless; the
    oscillator runs by itself where zeta > 1.
    """
    current = _checked("supercriticality", "current", current, "A")
    efficiency = _checked("supercriticality", "efficiency", efficiency, "Hz/A")
    return efficiency * current / _checked("supercriticality", "damping", damping, "Hz", above=0)


def threshold_current(efficiency, damping):
    """I_th = G_G / sigma in A: below it an oscillator only rings down.

    efficiency: sigma/2pi > 0 in Hz/A. damping: G_G/2pi > 0 in Hz.
    """
    efficiency = _checked("threshold_current", "efficiency", efficiency, "Hz/A", above=0)
    return _checked("threshold_current", "damping", damping, "Hz", above=0) / efficiency


def stationary_power(supercriticality, nonlinear_damping=0.0):
    """p0 = (zeta - 1)/(zeta + Q), the power of the free limit cycle; zero at and below threshold (zeta <= 1).

    supercriticality: zeta, dimensionless. nonlinear_damping: Q > -1, dimensionless. Returns p0 in [0, 1),
    dimensionless.
    """
    zeta = _checked("stationary_power", "supercriticality", supercriticality, "")
    q = _checked("stationary_power", "nonlinear_damping", nonlinear_damping, "", above=-1)
    zeta = np.maximum(zeta, 1)
    return (zeta - 1) / (zeta + q)


def generation_frequency(frequency, nonlinear_shift, power):
    """f_g = f0 + (N/2pi) p in Hz: the frequency of free oscillation at power p.

    frequency: f0 in Hz, the limit of small power. nonlinear_shift: N/2pi in Hz, of either sign. power: p >= 0,
    dimensionless.
    """
    frequency = _checked("generation_frequency", "frequency", frequency, "Hz")
    shift = _checked("generation_frequency", "nonlinear_shift", nonlinear_shift, "Hz")
    return frequency + shift * _checked("generation_frequency", "power", power, "", least=0)


def frequency_tuning(supercriticality, nonlinear_shift, efficiency, damping, nonlinear_damping=0.0):
    """df_g/dI = (N/2pi) (1 + Q)/(zeta + Q)^2 / I_th in Hz/A: how far a current step moves the free frequency.

    supercriticality: zeta >= 1, dimensionless. nonlinear_shift: N/2pi in Hz. efficiency: sigma/2pi > 0 in Hz/A.
    damping: G_G/2pi > 0 in Hz. nonlinear_damping: Q > -1, dimensionless. From d p0/d zeta = (1 + Q)/(zeta + Q)^2.
    """
    zeta = _checked("frequency_tuning", "supercriticality", supercriticality, "", least=1)
    q = _checked("frequency_tuning", "nonlinear_damping", nonlinear_damping, "", above=-1)
    shift = _checked("frequency_tuning", "nonlinear_shift", nonlinear_shift, "Hz")
    return shift * (1 + q) / (zeta + q) ** 2 / threshold_current(efficiency, damping)


def relaxation_rate(damping, supercriticality):
    """G_p/2pi in Hz: a disturbance of the power dies as exp(-2 G_p t), with G_p = G_G (zeta + Q) p0 = G_G (zeta - 1).

    The nonlinear damping Q sets p0 but cancels here. damping: G_G/2pi > 0 in Hz. supercriticality: zeta >= 1,
    dimensionless.
    """
    damping = _checked("relaxation_rate", "damping", damping, "Hz", above=0)
    return damping * (_checked("relaxation_rate", "supercriticality", supercriticality, "", least=1) - 1)


def power_relaxation_time(relaxation_rate):
    """1/(2 G_p) in s, the time in which a disturbance of the power falls to 1/e. relaxation_rate: G_p/2pi > 0 in Hz."""
    return 1 / (4 * np.pi * _checked("power_relaxation_time", "relaxation_rate", relaxation_rate, "Hz", above=0))


def nonlinear_coupling(nonlinear_shift, power, relaxation_rate):
    """nu = N p0 / G_p, dimensionless: how strongly a disturbance of the power moves the phase before it dies.

    nonlinear_shift: N/2pi in Hz. power: p0 > 0, dimensionless. relaxation_rate: G_p/2pi > 0 in Hz.
    """
    shift = _checked("nonlinear_coupling", "nonlinear_shift", nonlinear_shift, "Hz")
    power = _checked("nonlinear_coupling", "power", power, "", above=0)
    return shift * power / _checked("nonlinear_coupling", "relaxation_rate", relaxation_rate, "Hz", above=0)


def linewidth(diffusion, power, nu=0.0):
    """(1 + nu^2) (D/2pi) / p0 in Hz, the full width at half maximum of the free emission line.

    White noise <f f*> = 2 D delta(t) makes the phase diffuse, var(phi) = 2 pi FWHM t, and a diffusing phase makes the
    line Lorentzian. Holds well above threshold, where the width is small against G_p/pi: the phase must diffuse little
    while the power relaxes.

    diffusion: D/2pi >= 0 in Hz. power: p0 > 0, nu: nonlinear coupling, both dimensionless.
    """
    diffusion = _checked("linewidth", "diffusion", diffusion, "Hz", least=0)
    power = _checked("linewidth", "power", power, "", above=0)
    return (1 + _checked("linewidth", "nu", nu, "") ** 2) * diffusion / power


def injection_locking_half_range(drive, power, nu=0.0):
    """(F/2pi) sqrt(1 + nu^2)/sqrt(p0) in Hz: the largest |f_e - f_g| at which an injected signal holds the phase.

    To first order in F/G_p; beyond it the two ends of the band differ and locking becomes hysteretic.

    drive: F/2pi in Hz, the injected amplitude. power: p0 > 0 of the free oscillator, nu: nonlinear coupling, both
    dimensionless.
    """
    drive = np.abs(_checked("injection_locking_half_range", "drive", drive, "Hz"))
    power = _checked("injection_locking_half_range", "power", power, "", above=0)
    return drive * np.hypot(1, _checked("injection_locking_half_range", "nu", nu, "")) / np.sqrt(power)


def mutual_locking_half_range(coupling, nu=0.0, coupling_phase=0.0):
    """2 (W/2pi) sqrt(1 + nu^2) |cos(b - arctan nu)| in Hz: the largest |f1 - f2| at which two oscillators lock.

    f1, f2 are the free frequencies of two oscillators of equal power that act on each other through W exp(ib) c_j, to
    first order in W/G_p. At b = 0 the gain sqrt(1 + nu^2) cancels exactly, leaving 2W; it comes in full at
    b = arctan nu and vanishes a quarter turn from there.

    coupling: W/2pi in Hz. nu: nonlinear coupling, dimensionless. coupling_phase: b in rad.
    """
    coupling = np.abs(_checked("mutual_locking_half_range", "coupling", coupling, "Hz"))
    nu = _checked("mutual_locking_half_range", "nu", nu, "")
    phase = _checked("mutual_locking_half_range", "coupling_phase", coupling_phase, "rad")
    return 2 * coupling * np.abs(np.cos(phase) + nu * np.sin(phase))


def adler_beat(detuning, half_range):
    """Mean beat sign(d) sqrt(d^2 - L^2) in Hz between an oscillator and what pulls it; 0 where |d| <= L (locked).

    The phase difference obeys Adler's dpsi/dt = 2 pi (d - L sin psi): it halts near the locked phase, then slips.
    Adler, Proc. IRE 34, 351 (1946), doi:10.1109/JRPROC.1946.229930.

    detuning: d in Hz, free. half_range: L >= 0 in Hz.
    """
    detuning = _checked("adler_beat", "detuning", detuning, "Hz")
    half_range = _checked("adler_beat", "half_range", half_range, "Hz", least=0)
    return np.sign(detuning) * np.sqrt(np.maximum((detuning - half_range) * (detuning + half_range), 0))


def locking_time(detuning, half_range):
    """1/(2 pi sqrt(L^2 - d^2)) in s, in which a locked phase forgets 1 - 1/e of a disturbance; inf where |d| >= L.

    From Adler's equation (see `adler_beat`), so where the power relaxes much faster. detuning: d in Hz. half_range:
    L >= 0 in Hz.
    """
    detuning = _checked("locking_time", "detuning", detuning, "Hz")
    half_range = _checked("locking_time", "half_range", half_range, "Hz", least=0)
    rate = 2 * np.pi * np.sqrt(np.maximum((half_range - detuning) * (half_range + detuning), 0))
    with np.errstate(divide="ignore"):
        return np.divide(1, rate)


def two_oscillator_beat(frequency_difference, coupling):
    """Mean frequency difference sign(d) sqrt(d^2 - K^2) in Hz of two Kuramoto oscillators; 0 where |d| <= |K|.

    dtheta_i/dt = w_i + (K/2) sin(theta_j - theta_i), the K/N convention with N = 2.

    frequency_difference: d = f1 - f2, free, in Hz. coupling: K/2pi in Hz.
    """
    return adler_beat(frequency_difference, np.abs(_checked("two_oscillator_beat", "coupling", coupling, "Hz")))


def kuramoto_critical_coupling(central_density):
    """K_c/2pi = 2/(pi g(0)) in Hz: an infinite all-to-all population begins to synchronise above it.

    dtheta_i/dt = w_i + (K/N) sum_j sin(theta_j - theta_i), natural frequencies from an even density g that falls from
    its centre. Review: Acebron et al., Rev. Mod. Phys. 77, 137 (2005), doi:10.1103/RevModPhys.77.137.

    central_density: g(0) > 0 in 1/Hz, the density of the frequencies (in Hz) at its maximum.
    """
    return 2 / (np.pi * _checked("kuramoto_critical_coupling", "central_density", central_density, "1/Hz", above=0))


def kuramoto_lorentzian_critical_coupling(half_width):
    """K_c/2pi = 2 gamma in Hz: `kuramoto_critical_coupling` for a Lorentzian, g(0) = 1/(pi gamma).

    half_width: gamma > 0 in Hz, half the full width at half maximum of the natural frequencies.
    """
    half_width = _checked("kuramoto_lorentzian_critical_coupling", "half_width", half_width, "Hz", above=0)
    return kuramoto_critical_coupling(1 / (np.pi * half_width))


def kuramoto_order_parameter(coupling, half_width):
    """r = sqrt(1 - 2 gamma/K), the stationary |mean exp(i theta)| for Lorentzian frequencies; 0 below K_c = 2 gamma.

    Infinite population, model and source of `kuramoto_critical_coupling`. coupling: K/2pi >= 0 in Hz. half_width: gamma
    > 0 in Hz. Returns r in [0, 1), dimensionless.
    """
    coupling = _checked("kuramoto_order_parameter", "coupling", coupling, "Hz", least=0)
    critical = kuramoto_lorentzian_critical_coupling(half_width)
    return np.sqrt(1 - critical / np.maximum(coupling, critical))


def chain_critical_coupling(frequencies):
    """k_c/2pi = max_m |sum_{i<=m} (f_i - mean f)| in Hz: the weakest coupling that locks an open chain.

    dtheta_i/dt = w_i + k sum over neighbours of sin(theta_j - theta_i). Bond m must carry the summed mismatch of the
    oscillators before it and carries at most k. Strogatz & Mirollo, Physica D 31, 143 (1988).

    frequencies: (..., oscillator), at least two, in Hz, in the order of the chain. Returns (...) in Hz.
    """
    frequencies = _checked("chain_critical_coupling", "frequencies", frequencies, "Hz")
    if frequencies.ndim == 0 or frequencies.shape[-1] < 2:
        raise PhysnetError(
            f"chain_critical_coupling: frequencies of shape {frequencies.shape}; a chain has at least two oscillators. "
            "Pass them along the last axis."
        )
    mismatch = frequencies - frequencies.mean(-1, keepdims=True)
    return np.abs(np.cumsum(mismatch, -1)[..., :-1]).max(-1)


def open_chain_locks(frequencies, coupling):
    """Whether an open chain of phase oscillators has a locked state: |k| >= `chain_critical_coupling`.

    Repulsive coupling locks as well as attractive: turning every second phase by pi maps one onto the other.

    frequencies: (..., oscillator) in Hz. coupling: k/2pi in Hz, broadcast against (...). Returns (...) bool.
    """
    return np.abs(_checked("open_chain_locks", "coupling", coupling, "Hz")) >= chain_critical_coupling(frequencies)


def ring_state_is_stable(twists, oscillators):
    """Whether the q-twisted state theta_i = 2 pi q i/n of a ring of n identical phases is stable: |2 pi q/n| < pi/2.

    Attractive coupling between neighbours. At a quarter turn per bond the restoring slope cos(2 pi q/n) vanishes, and
    the state is not counted as stable. Wiley, Strogatz & Girvan, Chaos 16, 015103 (2006), doi:10.1063/1.2165594.

    twists: integer q, full turns around the ring. oscillators: integer n >= 3. Returns bool.
    """
    q, n = _ring("ring_state_is_stable", twists, oscillators)
    q = np.mod(q, n)  # whole numbers: a quarter turn is decided exactly
    return 4 * np.minimum(q, n - q) < n


def ring_energy_per_bond(twists, oscillators, coupling=1.0):
    """-J cos(2 pi q/n), the energy of each bond of a q-twisted ring, in the unit of J (Hz for J/2pi).

    E = -J sum_i cos(theta_i - theta_{i+1}). twists: integer q. oscillators: integer n >= 3. coupling: J, of either
    sign, in the unit that the energy shall have (Hz for J/2pi).
    """
    q, n = _ring("ring_energy_per_bond", twists, oscillators)
    return -_checked("ring_energy_per_bond", "coupling", coupling, "Hz") * np.cos(2 * np.pi * (q / n))


def triangle_ground_energy(coupling):
    """The least energy of three phases with E = -J sum over pairs of cos(theta_i - theta_j), in the unit of J.

    Attractive (J >= 0): all equal, -3J. Antiferromagnetic (J < 0): frustrated, 120 degrees apart, -1.5|J|, half of what
    the three bonds could give apart. coupling: J (Hz for J/2pi).
    """
    coupling = _checked("triangle_ground_energy", "coupling", coupling, "Hz")
    return np.where(coupling < 0, 1.5, -3.0)[()] * coupling


def _checked(where, name, value, unit, *, above=-np.inf, least=-np.inf):
    """The value as a real float64 array; PhysnetError names the worst one outside `above` < x or `least` <= x."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise PhysnetError(f"{where}: {name} is {value!r}; pass a real number or an array of them{_in(unit)}.")
    array = array.astype(float)
    wrong = array[~np.isfinite(array)]
    if wrong.size:
        raise PhysnetError(f"{where}: {name} holds {wrong[0]}{_in(unit)}; pass finite values.")
    if array.size and (array.min() < least or array.min() <= above):
        limit = f"> {above:g}" if array.min() <= above else f">= {least:g}"
        raise PhysnetError(f"{where}: {name} {array.min():g}{' ' + unit if unit else ''}; it must be {limit}.")
    return array


def _ring(where, twists, oscillators):
    q, n = np.asarray(twists), np.asarray(oscillators)
    if q.dtype.kind not in "iu" or n.dtype.kind not in "iu" or (n.size and n.min() < 3):
        raise PhysnetError(f"{where}: twists {twists!r} of {oscillators!r} oscillators; pass whole numbers, n >= 3.")
    return q.astype(int), n.astype(int)


def _in(unit):
    return f" in {unit}" if unit else ""
