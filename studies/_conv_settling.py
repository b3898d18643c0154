"""How a trained convolutional network settles, and how far its truncated phases are from the exact gradient."""

import numpy as np

from physnet.variable import Variable

_SHOWN, _COMPARED, _STEPS = 200, 16, 40  # images, images, steps


def method(config):
    """cost, nudging and relaxer of a `studies.conv_mnist.Config`, as `fit` takes them."""
    from physnet import Centred, CrossEntropy, FixedPoint, SquaredError

    relaxer = FixedPoint(tolerance=config.tolerance, max_steps=config.free_steps, nudged_steps=config.nudged_steps)
    cost = CrossEntropy() if config.cost == "cross-entropy" else SquaredError()
    return {"cost": cost, "nudging": Centred(config.beta), "relaxer": relaxer}


def measured(config, data, network):
    """(variables, coordinates): residual after each step of a free phase, and the cosine of the gradients used in
    training to those of settled phases in double precision at a beta of 1e-3.
    """
    images, labels = data.test_images[:_SHOWN], data.test_labels[:_SHOWN]
    quality = gradient_quality(network, images[:_COMPARED], np.eye(10)[labels[:_COMPARED]], **method(config))
    names = [p.variable.name for p in network.parameters if p.trainable]
    long_name = f"largest change of any unit in one more step, {len(labels)} test images"
    variables = [
        (Variable("settling", ("sample", "step"), "1", long_name), settling(network, images)),
        (
            Variable("gradient_quality", ("parameter",), "1", "cosine of the gradient in training to the exact one"),
            quality,
        ),
    ]
    coords = [
        (Variable("step", ("step",), "1", "steps taken, each moving odd and even layers once"), np.arange(_STEPS + 1)),
        (Variable("parameter", ("parameter",), "1", "trainable parameter"), np.array(names)),
    ]
    return variables, coords


def settling(network, images):
    """(sample, step): largest |s - sigma(u)| over the units after 0, 1, 2, ... steps of a free phase."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from physnet import FixedPoint
    from physnet.equilibrium import settle

    step = FixedPoint(tolerance=0.0, max_steps=1)

    @eqx.filter_jit
    def residuals(network, inputs):
        def advance(state, _):
            left = jax.vmap(network.residual)(state, inputs)
            worst = [jnp.max(jnp.abs(leaf).reshape(len(images), -1), axis=1) for leaf in left]
            return settle(network, inputs, None, step, initial=state, certify=False).state, jnp.stack(worst).max(axis=0)

        start = jax.vmap(network.initial_state)(inputs)
        return jax.lax.scan(advance, start, None, length=_STEPS + 1)[1]

    return np.asarray(residuals(network, jnp.asarray(images, network.input_gain.dtype))).T


def gradient_quality(network, images, targets, *, cost, nudging, relaxer):
    """(parameter,) cosine of the gradient as trained with to that of settled phases in double precision."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from physnet import Centred, FixedPoint
    from physnet.gradients import phase_gradient

    def gradient(network, nudging, relaxer):
        dtype = network.input_gain.dtype
        inputs, labels = jnp.asarray(images, dtype), jnp.asarray(targets, dtype)
        found = eqx.filter_jit(phase_gradient)(network, inputs, labels, cost, nudging, relaxer, certify=False)
        return [np.ravel(np.asarray(p.get(found.gradient), float)) for p in network.parameters if p.trainable]

    wide = jax.tree.map(lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, network)
    used = gradient(network, nudging, relaxer)
    exact = gradient(wide, Centred(1e-3), FixedPoint(tolerance=1e-8, max_steps=500))
    return np.array([a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(used, exact)])
