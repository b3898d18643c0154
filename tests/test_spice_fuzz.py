"""Mangled decks and wild circuits: a result, or an error that names file and line; never anything else."""

import re

import numpy as np
import pytest
from spice_decks import NAMED

from circuits import Circuit
from circuits.spice import parse_spice
from physnet import relax
from physnet.errors import ConvergenceError, PhysnetError

BASE = """a title
.param rr = 2k k='rr/2' big={max(rr, k)*3}
.options temp=30 gmin=1e-15 method=gear
.global vdd
V1 in 0 DC 5 PULSE(0 5 1n 1n 1n 5n 10n) AC 1 0
Vdd vdd 0 {2*2.5}
R1 in mid {k} m=2 tc1=1m
R2 mid
+ 0 3k ; a comment
I1 0 mid SIN(1m 1m 1k)
.subckt clamp a b isat=1e-14 params: lo=0.5
D1 a b dm area=2
Rx a vdd {lo*1meg}
.model dm d(is={isat} rs=2 bv=5 ibv=1m)
.ends clamp
X1 mid 0 clamp isat=2e-14
E1 e 0 mid 0 2
G1 e 0 (mid 0) 1m
F1 e 0 v1 2
H1 h 0 v1 10
Re e h 1k
M1 d in 0 0 nm W=10u L=1u
.model nm nmos level=1 vto=1 kp=2e-5 lambda=0.02 gamma=0.4
C1 d 0 1u ic=1
Rd vdd d 10k
I2 0 d PWL(0 0 1u 1m)
.dc V1 0 5 0.5
.tran 1u 1m uic
.print v(mid) i(v1)
.op
.end
"""
PIECES = [
    "{",
    "}",
    "(",
    ")",
    "'",
    '"',
    "=",
    "+",
    "-",
    "*",
    "/",
    ",",
    ";",
    "$",
    ".",
    "0",
    "1e999",
    "nan",
    "inf",
    "\t",
    " ",
]
PIECES += [
    "R1",
    "V1",
    "X1",
    "D1",
    ".subckt s a",
    ".ends",
    ".param",
    ".model",
    ".include",
    "x",
    "{x}",
    "{1/0}",
    "\n",
    "\n+",
]
PIECES += [
    "-1",
    "1e-400",
    "{1e308*10}",
    "{sqrt(-1)}",
    "{" * 50,
    "((((",
    "µ",
    "\x00",
    "\x0b",
    "é",
    "**",
    "?:",
    "m=0",
    "DC",
    "PWL",
]


def mangled(rng: np.random.Generator) -> str:
    """The base deck after a few accidents: characters, words and lines lost, doubled, moved or made up."""
    text = BASE
    for _ in range(rng.integers(1, 7)):
        at = int(rng.integers(0, len(text)))
        kind = int(rng.integers(0, 8))
        lines = text.split("\n")
        i, j = (int(k) for k in rng.integers(0, len(lines), 2))
        if kind == 0:
            text = text[:at] + text[at + int(rng.integers(1, 8)) :]
        elif kind in (1, 2):
            text = text[:at] + str(rng.choice(PIECES)) + text[at:]
        elif kind == 3:
            text = text[:at] + chr(int(rng.integers(32, 127))) + text[at + 1 :]
        elif kind == 4:
            text = "\n".join([*lines[:i], *lines[i + 1 :]])
        elif kind == 5:
            text = "\n".join([*lines[:i], lines[j], *lines[i:]])
        elif kind == 6:
            words = lines[i].split()
            rng.shuffle(words)
            text = "\n".join([*lines[:i], " ".join(words), *lines[i + 1 :]])
        else:
            words = lines[i].split()
            if words:
                words[int(rng.integers(0, len(words)))] = str(rng.choice(PIECES))
            text = "\n".join([*lines[:i], " ".join(words), *lines[i + 1 :]])
        text = text or " "
    return text


def outcome(text: str, build: bool):
    """The deck, or None where an error said file and line. Anything else is raised, with the deck that caused it."""
    try:
        deck = parse_spice(text, name="fuzz.cir", folder="/nonexistent")
        if build:
            deck.build()
        return deck
    except PhysnetError as error:
        assert re.match(r"fuzz\.cir:\d+: \S", str(error)) and len(str(error)) < 2000, f"{error}\n{text}"
        return None
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}\n{text}") from error


def mangle_and_read(seed: int, count: int) -> int:
    rng = np.random.default_rng(seed)
    return sum(outcome(mangled(rng), build=k % 25 == 0) is not None for k in range(count))


def test_mangled_decks():
    assert 50 < mangle_and_read(0, 1000) < 950


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 10))
def test_more_mangled_decks(seed):
    assert 50 < mangle_and_read(seed, 1000) < 950


@pytest.mark.parametrize(
    "text", ["", "\n", "\0", "+", ".", ".end", "t\n" + "+ a\n" * 5, "t\n.subckt\n", "t\n=\n", "t\n{}\n"]
)
def test_odd_files(text):
    assert outcome(text, build=True) is None


def test_sizes_that_could_hang():
    deep = "t\nR1 a 0 " + "{" + "(" * 3000 + "1" + ")" * 3000 + "}\n"
    assert outcome(deep, build=False) is None
    lines = "t\nV1 a 0 PWL(\n" + "".join(f"+ {k} {k}\n" for k in range(20_000)) + "+ )\nR1 a b 1k\nR2 b 0 1k\n"
    assert outcome(lines, build=False) is not None
    circle = "t\n" + "".join(f".param p{k}={{p{(k + 1) % 2000}}}\n" for k in range(2000)) + "R1 a 0 {p0}\n"
    assert outcome(circle, build=False) is None
    assert outcome("t\nR1 a 0 {" + "9**" * 300 + "9}\n", build=False) is None


def wild(rng: np.random.Generator, prefix: str) -> list[str]:
    """A random netlist with nothing taken care of: it may float, short, contradict itself or hold no source."""
    nodes = ["0", *(f"{prefix}{k}" for k in range(rng.integers(1, 6)))]
    lines = []
    for k in range(rng.integers(1, 10)):
        a, b = rng.choice(nodes, 2)
        kind, name = str(rng.choice(["r", "r", "r", "d", "v", "i", "c"])), f"{prefix}_{k}"
        value = {
            "r": f"{10 ** rng.uniform(0, 6):.4g}",
            "d": str(rng.choice(["dm", "dr"])),
            "v": f"{rng.uniform(-5, 5):.4g}",
            "i": f"{rng.uniform(-1e-3, 1e-3):.4g}",
            "c": "1n",
        }[kind]
        lines.append(f"{kind}{name} {a} {b} {value}")
    # Where nothing flows at all a relative certificate has nothing to compare with.
    return [*lines, *(f"i{node} 0 {node} {rng.uniform(1e-6, 1e-5):.4g}" for node in nodes[1:])]


def test_wild_circuits_settle_or_are_refused():
    rng = np.random.default_rng(5)
    models = [".model dm d", ".model dr d is=1e-12 n=1.5 rs=10"]
    sound, lines = 0, ["wild", *models]
    for k in range(150):
        own = wild(rng, f"w{k}n")
        if outcome("\n".join(["t", *models, *own]), build=True) is not None:
            sound, lines = sound + 1, [*lines, *own]
    assert sound > 15
    system = parse_spice("\n".join(lines), name="fuzz.cir").build()
    equilibrium = relax(system, throw=False)
    assert np.all(np.isfinite(np.asarray(system.potentials(equilibrium.state, equilibrium.inputs))))
    assert bool(equilibrium.converged) == (float(equilibrium.residual) <= 1e-9)
    assert equilibrium.converged


def test_the_named_decks_survive_lost_lines():
    for body in NAMED.values():
        lines = body.split("\n")
        for k in range(len(lines)):
            outcome("\n".join(["t", *lines[:k], *lines[k + 1 :]]), build=False)


def side_by_side(circuits) -> Circuit:
    """Circuits that share nothing but ground as one, names and nodes numbered: one program for all of them."""
    whole = Circuit()
    for k, circuit in enumerate(circuits):
        for branch in circuit.branches():
            nodes = [node if node == "0" else f"{k}|{node}" for node in branch.nodes]
            control = None if branch.control is None else f"{k}|{branch.control}"
            whole.add(f"{k}|{branch.name}", *nodes, branch.element, control=control)
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_every_mangled_deck_that_is_sound_settles_or_says_why_not(seed):
    """1,000 mangled decks: built one by one, settled a hundred at a time, the doubtful ones again by themselves."""
    rng = np.random.default_rng(seed)
    decks = [outcome(mangled(rng), build=True) for _ in range(1000)]
    circuits = [deck.circuit for deck in decks if deck is not None and len(deck.circuit)]
    assert len(circuits) > 50
    doubtful, certified = [], 0
    for start in range(0, len(circuits), 100):
        batch = circuits[start : start + 100]
        system = side_by_side(batch).build()
        equilibrium = relax(system, throw=False)
        network, unknowns = system.driven(equilibrium.inputs), system.unknowns(equilibrium.state)
        assert np.all(np.isfinite(np.asarray(unknowns)))
        off = np.abs(np.asarray(network.balance(unknowns))) > 1e-12 * np.asarray(network.balance_scale(unknowns))
        names = [*system.labels.free, *system.labels.branches]
        missed = {int(names[i].split("|")[0]) for i in np.flatnonzero(off)}
        certified += len(batch) - len(missed)
        doubtful += [batch[k] for k in missed]
    for circuit in doubtful[:5]:
        try:
            assert float(relax(circuit.build()).residual) <= 1e-12
        except ConvergenceError as error:
            assert "not reached" in str(error)
    print(f"{len(circuits)} of 1,000 sound, {certified} certified, {len(doubtful)} doubtful")
    assert certified > 0.9 * len(circuits)
