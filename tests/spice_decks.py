"""Circuits as SPICE lines for tests: a named one for every element and use, and random ones."""

import subprocess

import numpy as np
import pytest

from circuits.spice import ngspice

needs_ngspice = pytest.mark.skipif(not ngspice.available(), reason="ngspice is not installed: apt-get install ngspice")
VT = 1.38064852e-23 * 300.15 / 1.6021766208e-19  # k T / q, V, at 27 C, with the constants of ngspice

NAMED = {
    "divider": "V1 a 0 10\nR1 a b 1k\nR2 b 0 3k",
    "multiplied": "V1 a 0 10\nR1 a b 1k m=3\nR2 b 0 3k m=0.5",
    "floating_source": "V1 a b 5\nR1 a 0 1k\nR2 b 0 2k\nR3 a b 3k",
    "source_chain": "V1 a 0 1\nV2 b a 2\nV3 c b 3\nR1 c d 1k\nR2 d 0 1k",
    "current_source": "I1 0 a 1m\nR1 a 0 1k\nR2 a b 2k\nR3 b 0 3k",
    "bridge": "V1 a 0 5\nR1 a b 1k\nR2 a c 2k\nR3 b c 500\nR4 b 0 3k\nR5 c 0 1.5k",
    "ladder": "V1 n0 0 1\n" + "\n".join(f"R{k}a n{k} n{k + 1} 1k\nR{k}b n{k + 1} 0 2k" for k in range(6)),
    "capacitors_carry_nothing": "V1 a 0 5\nR1 a b 1k\nC1 b 0 1u\nC2 a b 1n\nR2 b 0 1meg",
    "pulse_at_zero": "V1 a 0 PULSE(2 5 1n 1n)\nR1 a b 1k\nR2 b 0 1k",
    "sine_at_zero": "V1 a 0 SIN(1 1 1k 0 0 90)\nR1 a b 1k\nR2 b 0 1k",
    "sine_with_dc": "V1 a 0 DC 3 SIN(1 1 1k)\nR1 a b 1k\nR2 b 0 1k",
    "pwl_at_zero": "I1 0 a PWL(1m 2m 2m 4m)\nR1 a b 1k\nR2 b 0 1k",
    "exp_at_zero": "V1 a 0 EXP(2 3 1 1)\nR1 a b 1k\nR2 b 0 1k",
    "diode": "V1 a 0 5\nR1 a b 1k\nD1 b 0 dm\n.model dm d",
    "diode_reverse": "V1 a 0 -5\nR1 a b 1k\nD1 b 0 dm\nR2 b 0 1k\n.model dm d is=1e-12",
    "diode_resistance": "V1 a 0 5\nR1 a b 100\nD1 b 0 dm\n.model dm d rs=20 n=1.7 is=2n",
    "diode_area": "V1 a 0 5\nR1 a b 1k\nD1 b c dm area=3\nD2 c 0 dm 2 m=4\n.model dm d rs=5",
    "diode_at_tiny_current": "V1 a 0 0.2\nR1 a b 1meg\nD1 b 0 dm\n.model dm d",
    "diode_at_large_current": "V1 a 0 100\nR1 a b 1\nD1 b 0 dm\n.model dm d rs=0.1",
    "diode_stack": "V1 a 0 5\nR1 a b 1k\nD1 b c dm\nD2 c d dm\nD3 d 0 dm\n.model dm d n=1.2",
    "diodes_antiparallel": "V1 a 0 3\nR1 a b 1k\nD1 b 0 dm\nD2 0 b dm\n.model dm d is=1e-12",
    "rectifier_bridge": "V1 a b 6\nD1 a p dm\nD2 b p dm\nD3 m a dm\nD4 m b dm\nR1 p m 1k\nR2 m 0 1k\n"
    ".model dm d is=1e-12",
    "diode_or": "V1 a 0 5\nV2 b 0 3\nD1 a o dm\nD2 b o dm\nR1 o 0 1k\n.model dm d",
    "zener": "V1 a 0 12\nR1 a z 470\nD1 0 z dz\nR2 z 0 2k\n.model dz d bv=5.1 ibv=5m",
    "zener_soft": "V1 a 0 12\nR1 a z 1k\nD1 0 z dz\n.model dz d bv=5 ibv=1u nbv=3 is=1e-13",
    "zener_forward": "V1 a 0 5\nR1 a z 1k\nD1 z 0 dz\n.model dz d bv=5",
    "zener_small_ibv": "V1 a 0 12\nR1 a z 1k\nD1 0 z dz\n.model dz d bv=5 ibv=1e-14 is=1e-14",
    "amplifier": "V1 a 0 1\nR1 a b 1k\nR2 b 0 1k\nE1 c 0 b 0 4\nR3 c d 1k\nR4 d 0 1k",
    "amplifier_differential": "V1 a 0 1\nV2 b 0 3\nE1 c d a b -2\nR1 c 0 1k\nR2 d 0 2k",
    "inverting_feedback": "V1 a 0 1\nR1 a m 1k\nR2 m o 10k\nE1 o 0 0 m 1e5\nRl o 0 1k",
    "transconductance": "V1 a 0 1\nG1 0 b a 0 2m\nR1 b 0 1k\nR2 b c 1k\nR3 c 0 1k",
    "transconductance_as_resistor": "V1 a 0 1\nR1 a b 1k\nG1 b 0 b 0 1m m=2",
    "current_mirror_ideal": "V1 a 0 5\nR1 a b 1k\nVs b 0 0\nF1 0 c vs 2\nR2 c 0 500",
    "current_gain": "V1 a 0 5\nR1 a 0 1k\nF1 b 0 v1 3\nR2 b 0 100\nR3 b c 1k\nR4 c 0 1k",
    "transresistance": "V1 a 0 5\nR1 a b 1k\nVs b 0 0\nH1 c 0 vs 300\nR2 c d 1k\nR3 d 0 2k",
    "nmos_saturated": "Vd d 0 5\nVg g 0 2\nRd d x 10k\nM1 x g 0 0 nm W=10u L=2u\n"
    ".model nm nmos vto=0.7 kp=40u lambda=0.02",
    "nmos_triode": "Vd d 0 5\nVg g 0 5\nRd d x 100k\nM1 x g 0 0 nm W=10u L=1u\n"
    ".model nm nmos vto=0.7 kp=40u lambda=0.02",
    "nmos_off": "Vd d 0 5\nVg g 0 0.3\nRd d x 10k\nM1 x g 0 0 nm\n.model nm nmos vto=0.7",
    "nmos_body": "Vd d 0 5\nVg g 0 4\nM1 d g s 0 nm W=20u L=1u\nRs s 0 10k\n"
    ".model nm nmos vto=0.7 kp=40u gamma=0.5 phi=0.65",
    "nmos_swapped": "Vd d 0 -1\nVg g 0 1\nRd d x 10k\nM1 0 g x d nm W=10u L=1u\n"
    ".model nm nmos vto=0.7 kp=40u gamma=0.3",
    "nmos_resistances": "Vd d 0 5\nVg g 0 3\nRd d x 1k\nM1 x g 0 0 nm W=50u L=1u m=2\n"
    ".model nm nmos vto=1 kp=40u rd=50 rs=20",
    "pmos": "Vd d 0 5\nVg g 0 2\nM1 x g d d pm W=20u L=1u\nRd x 0 10k\n.model pm pmos vto=-0.8 kp=20u lambda=0.03",
    "pmos_body": "Vd d 0 5\nVg g 0 1\nRs d s 5k\nM1 x g s d pm W=20u L=1u\nRd x 0 10k\n"
    ".model pm pmos vto=-0.8 kp=20u gamma=0.4",
    "inverter": "Vd d 0 3\nVg g 0 1.4\nM1 o g 0 0 nm W=10u L=1u\nM2 o g d d pm W=20u L=1u\nRl o 0 1meg\n"
    ".model nm nmos vto=0.7 kp=40u lambda=0.05\n.model pm pmos vto=-0.7 kp=20u lambda=0.05",
    "mirror": "Vd d 0 5\nR1 d a 20k\nM1 a a 0 0 nm W=10u L=1u\nM2 b a 0 0 nm W=20u L=1u\nR2 d b 5k\n"
    ".model nm nmos vto=0.7 kp=40u lambda=0.02",
    "pair": "Vd d 0 5\nV1 p 0 2\nV2 q 0 2.05\nR1 d x 10k\nR2 d y 10k\nM1 x p s 0 nm W=40u L=1u\n"
    "M2 y q s 0 nm W=40u L=1u\nI1 s 0 100u\n.model nm nmos vto=0.7 kp=40u lambda=0.01 gamma=0.4",
    "parameters": ".param r={2*k} k=1k ratio='r/k+sqrt(4)'\nV1 a 0 {ratio}\nR1 a b {r}\nR2 b 0 k",
    "nested": ".subckt half a b r=1k\n.subckt one a b\nR1 a b {r/2}\n.ends\nX1 a m one\nX2 m b one\n.ends\n"
    "V1 in 0 6\nX1 in o half r=3k\nX2 o 0 half",
    "clamp_in_subcircuit": ".subckt clamp a lo=0.5\nV1 r 0 {lo}\nD1 a r dm\n.model dm d is={lo*1e-13}\n.ends\n"
    "V1 in 0 4\nR1 in o 1k\nX1 o clamp lo=1.5\nR2 o 0 10k",
}


def random_lines(rng: np.random.Generator, stages: int) -> str:
    """A random circuit that has one operating point.

    Networks of resistors, diodes, capacitors and sources, up to `stages` of them; each later one is driven by the
    earlier ones, through controlled sources and transistor gates, and none drives back.
    """
    lines, before, count, senses, new_senses = [], [], 0, [], []

    def name(letter):
        nonlocal count
        count += 1
        return f"{letter}{count}"

    def log(low, high):
        return f"{10 ** rng.uniform(low, high):.6g}"

    for stage in range(rng.integers(1, stages + 1)):
        nodes = [f"n{stage}_{k}" for k in range(rng.integers(2, 6))]
        for k, node in enumerate(nodes):
            lines.append(f"{name('r')} {node} {rng.choice(nodes[:k]) if k else '0'} {log(2, 4)}")
        lines.append(f"{name('i')} 0 {nodes[-1]} {rng.uniform(-5e-4, 5e-4):.6g}")

        def two(nodes=nodes):
            return rng.choice([*nodes, "0"], 2, replace=False)

        for _ in range(rng.integers(2, 7)):
            a, b = two()
            kind = rng.choice(["r", "d", "dr", "dz", "i", "v", "c"])
            if kind == "r":
                lines.append(f"{name('r')} {a} {b} {log(2, 4)}")
            elif kind == "c":
                lines.append(f"{name('c')} {a} {b} {log(-12, -6)}")
            elif kind == "i":
                lines.append(f"{name('i')} {a} {b} {rng.uniform(-5e-4, 5e-4):.6g}")
            elif kind == "v":
                source, inner = name("v"), name("p")
                lines += [f"{source} {inner} {b} {rng.uniform(-6, 6):.6g}", f"{name('r')} {inner} {a} {log(2, 4)}"]
                new_senses.append(source)
            else:
                model = name("dm")
                extra = {"d": "", "dr": f"rs={rng.uniform(1, 50):.4g}", "dz": f"bv={rng.uniform(3, 8):.4g}"}[kind]
                lines.append(f"{name('d')} {a} {b} {model}")
                lines.append(f".model {model} d is={log(-15, -12)} n={rng.uniform(1, 2):.5g} {extra}")
        for _ in range(rng.integers(1, 4) if before else 0):
            a, b = two()
            c, d = rng.choice([*before, "0"], 2, replace=False)
            kind = rng.choice(["e", "g", "m", *(["f", "h"] if senses else [])])
            if kind == "e":
                inner = name("p")
                lines += [
                    f"{name('e')} {inner} {b} {c} {d} {rng.uniform(-2, 2):.6g}",
                    f"{name('r')} {inner} {a} {log(2, 4)}",
                ]
            elif kind == "g":
                lines.append(f"{name('g')} {a} {b} {c} {d} {rng.uniform(-1e-4, 1e-4):.6g}")
            elif kind == "f":
                lines.append(f"{name('f')} {a} {b} {rng.choice(senses)} {rng.uniform(-2, 2):.6g}")
            elif kind == "h":
                inner = name("p")
                lines += [
                    f"{name('h')} {inner} {b} {rng.choice(senses)} {rng.uniform(-1e3, 1e3):.6g}",
                    f"{name('r')} {inner} {a} {log(2, 4)}",
                ]
            else:
                model, polarity = name("mm"), rng.choice(["nmos", "pmos"])
                lines.append(f"{name('m')} {a} {c} 0 0 {model} W={log(-5.5, -4)} L=1u")
                vto = rng.uniform(0.3, 1.2) * (1 if polarity == "nmos" else -1)
                lines.append(
                    f".model {model} {polarity} vto={vto:.5g} kp={log(-5, -4)} lambda={rng.uniform(0, 0.05):.4g}"
                )
        before += nodes
        senses = list(new_senses)
    return "\n".join(lines)


def side_by_side(circuits: dict[str, str]) -> str:
    """One deck of independent circuits: node n of circuit k is xk.n. Each is a subcircuit without nodes."""
    lines = ["circuits side by side"]
    for name, body in circuits.items():
        lines += [f".subckt s_{name}", body, ".ends", f"x{name} s_{name}"]
    return "\n".join([*lines, ""])


def printed(deck: str, folder) -> list[list[str]]:
    """The rows of numbers that ngspice prints for a deck with a .control section, as words."""
    path = folder / "deck.cir"
    path.write_text(deck)
    text = subprocess.run(["ngspice", "-b", str(path)], capture_output=True, text=True, check=False, timeout=60).stdout
    return [line.split() for line in text.splitlines() if line[:1].isdigit()]
