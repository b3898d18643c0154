"""Fisher's iris flowers, as installed with scikit-learn, as voltages."""

from dataclasses import dataclass

import numpy as np

SPECIES = ("setosa", "versicolor", "virginica")
FEATURES = ("sepal length", "sepal width", "petal length", "petal width")


@dataclass(frozen=True)
class Flowers:
    """inputs (sample, feature), in units of the range of the training flowers, and species 0 to 2 (sample,)."""

    train_inputs: np.ndarray
    train_species: np.ndarray
    test_inputs: np.ndarray
    test_species: np.ndarray


def iris(samples: int, seed: int, inverted=()) -> Flowers:
    """`samples` flowers to train on, a third of each species, drawn by the seed; the other of the 150 to test on.

    Each feature is scaled by the lowest and the highest value among the training flowers to 0 to 1; those with the
    numbers in `inverted` from 1 to 0.
    """
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split

    features, species = load_iris(return_X_y=True)
    split = train_test_split(features, species, train_size=samples, random_state=seed, stratify=species)
    train, test, *answers = split
    low, high = train.min(axis=0), train.max(axis=0)
    scaled = [(part - low) / (high - low) for part in (train, test)]
    turned = np.isin(np.arange(features.shape[1]), inverted)
    train, test = (np.where(turned, 1 - part, part) for part in scaled)
    return Flowers(train, answers[0], test, answers[1])


def nearest(outputs, prototypes):
    """The number of the nearest prototype. outputs: (..., output). prototypes: (species, output), or one set for each
    leading index of outputs but the last."""
    difference = outputs[..., :, None, :] - prototypes[..., None, :, :]
    return np.argmin(np.sum(difference**2, axis=-1), axis=-1)


def class_means(outputs, species):
    """(..., species, output): mean of the outputs (..., sample, output) of each species (..., sample)."""
    chosen = species[..., None] == np.arange(len(SPECIES))
    total = np.einsum("...sk,...so->...ko", chosen, outputs)
    return total / chosen.sum(axis=-2)[..., None]


def software_accuracy(flowers: Flowers) -> dict[str, float]:
    """Test accuracy of ordinary classifiers on the same flowers: nearest class mean, logistic regression, LDA."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import NearestCentroid

    models = {
        "nearest mean of the features": NearestCentroid(),
        "logistic regression": LogisticRegression(C=100.0, max_iter=5000),
        "linear discriminant analysis": LinearDiscriminantAnalysis(),
    }
    train, test = (flowers.train_inputs, flowers.train_species), (flowers.test_inputs, flowers.test_species)
    return {name: float(model.fit(*train).score(*test)) for name, model in models.items()}
