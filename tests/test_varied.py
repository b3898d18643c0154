"""Systems that vary from sample to sample: what is refused before anything runs."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from oscillators.auto_oscillator import AutoOscillators
from oscillators.coupling import AllToAll
from physnet import PhysnetError
from physnet.checks import check_inputs
from physnet.varied import Varied

NETWORK = AutoOscillators.from_preset("oracle", AllToAll(1e3, 2))


def changed(name):
    def change(system, values):
        return eqx.tree_at(lambda s: getattr(s, name), system, getattr(system, name) * values)

    return change


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("damping", [[1, 1], [1, 2]], r"sample 1 of 2, with the values \(1, 2\): .*below threshold: oscillator 1 "),
        ("damping", [[1, 1], [1, 1], [-1, 1]], "sample 2 of 3.*damping of oscillator 0 is -7.5e.06 Hz"),
        ("efficiency", [[1, 0]], "sample 0 of 1.*efficiency of oscillator 1 is 0 Hz/A"),
        ("frequency", [[1, -1]], "sample 0 of 1.*frequency of oscillator 1 is -3e.08 Hz"),
        ("nonlinear_shift", [[1, -100]], ".*free frequency .* of oscillator 1"),
    ],
)
def test_values_without_sense_name_the_sample_and_the_oscillator(name, rows, message):
    with pytest.raises(PhysnetError, match=f"Varied: {message}"):
        check_inputs(Varied(NETWORK, changed(name), 2), np.array(rows, float))


def test_values_with_sense_pass_even_nested():
    outer = Varied(Varied(NETWORK, changed("damping"), 2, base=None), lambda varied, values: varied, 1, base=[1.0, 1.0])
    assert check_inputs(outer, np.zeros((5, 1)))[0].shape == (5, 1)


def nothing(system, values):
    return None


def longer(system, values):
    return eqx.tree_at(lambda s: s.frequency, system, jnp.zeros(3))


def other(system, values):
    return AutoOscillators.from_preset("oracle")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((AutoOscillators, nothing, 1), {}, "system is the class AutoOscillators; did you forget the parentheses"),
        ((NETWORK, changed("damping"), 0), {}, "number is 0"),
        ((NETWORK, changed("damping"), 2.0), {}, "number is 2.0"),
        ((NETWORK, 3, 2), {}, "place is 3; pass a function"),
        (
            (NETWORK, changed("damping"), 3),
            {},
            r"change\(system, values\) with values of shape \(3,\), raised TypeError",
        ),
        ((NETWORK, nothing, 2), {}, "returned NoneType; return the changed system"),
        ((NETWORK, longer, 2), {}, r"whose frequency has shape \(3,\); it was \(2,\)"),
        ((NETWORK, other, 2), {}, "returned a AutoOscillators that is not built like the"),
        ((NETWORK, changed("damping"), 2), {"names": ["a"]}, "names are .* give 2"),
        ((NETWORK, changed("damping"), 2), {"base": np.full((3, 2), 4e-3)}, r"base has a sample axis, shape \(3, 2\)"),
    ],
)
def test_misuse_is_named(arguments, options, message):
    with pytest.raises(PhysnetError, match=f"Varied: .*{message}"):
        Varied(*arguments, **options)
