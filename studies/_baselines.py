"""What a network that learns by settling is measured against: the same data, the same split, ordinary software."""

import numpy as np

from studies._digit_data import Digits


def logistic_accuracy(data: Digits, *, epochs: int, seed: int) -> float:
    """Test accuracy of multinomial logistic regression.

    Up to 10,000 samples: scikit-learn's, fitted to convergence (L-BFGS, its default penalty). More: the perceptron
    below without a hidden layer, which needs no copy of the images in floating point.
    """
    if len(data.train_labels) > 10_000:
        return mlp_accuracy(data, (), epochs=epochs, seed=seed)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=5000).fit(data.train_images / data.white, data.train_labels)
    return float(model.score(data.test_images / data.white, data.test_labels))


def mlp_accuracy(data: Digits, hidden: tuple[int, ...], *, epochs: int, seed: int, batch_size: int = 32) -> float:
    """Test accuracy of a perceptron with these hidden layers: backpropagation, ReLU, cross-entropy, Adam at 1e-3.

    epochs: passes over the training set. seed: of the weights (He initialisation) and of the order of samples.
    """
    import jax
    import jax.numpy as jnp
    import optax

    images, labels = jnp.asarray(data.train_images), jnp.asarray(data.train_labels, jnp.int32)
    widths = (images.shape[1], *hidden, int(labels.max()) + 1)
    rng, key = np.random.default_rng(seed), jax.random.key(seed)
    weights = [
        (jnp.asarray(rng.normal(0, np.sqrt(2 / n), (n, m)), jnp.float32), jnp.zeros(m, jnp.float32))
        for n, m in zip(widths, widths[1:])
    ]
    optimiser = optax.adam(1e-3)
    batch_size = min(batch_size, len(labels))
    steps = len(labels) // batch_size

    def logits(weights, images):
        images = images.astype(jnp.float32) / data.white
        for matrix, bias in weights[:-1]:
            images = jax.nn.relu(images @ matrix + bias[None, :])
        return images @ weights[-1][0] + weights[-1][1][None, :]

    def loss(weights, images, labels):
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits(weights, images), labels))

    @jax.jit
    def epoch(weights, state, key, images, labels):
        order = jax.random.permutation(key, len(labels))

        def step(i, carry):
            weights, state = carry
            batch = jax.lax.dynamic_slice_in_dim(order, i * batch_size, batch_size)
            updates, state = optimiser.update(jax.grad(loss)(weights, images[batch], labels[batch]), state)
            return optax.apply_updates(weights, updates), state

        return jax.lax.fori_loop(0, steps, step, (weights, state))

    state = optimiser.init(weights)
    for number in range(epochs):
        weights, state = epoch(weights, state, jax.random.fold_in(key, number), images, labels)
    predicted = np.argmax(np.asarray(jax.jit(logits)(weights, jnp.asarray(data.test_images))), axis=1)
    return float(np.mean(predicted == data.test_labels))
