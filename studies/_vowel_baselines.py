"""Perceptrons on the same formants, the same folds: what the oscillators are measured against."""

import numpy as np

from studies._vowel_learning import Threshold, count_parameters, decide, learn, read
from studies._vowel_training import standardised

NAMES = ("layer of four threshold units, read by pattern", "perceptron, one output per vowel (softmax)")
_CANDIDATES, _STARTS = 4096, 64


def predictions(formants, labels, train, *, classes: int, seed: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """(vowel predicted for every sample (baseline, sample), -1 where none; numbers of parameters that were learned).

    The first has as many units as there are oscillators, learns by the same search and the same gradient and is read
    the same way: 12 parameters to the oscillators' 10. The second is the usual linear classifier, fitted to convergence
    by scikit-learn without a penalty to speak of.
    """
    from sklearn.linear_model import LogisticRegression

    inputs = standardised(formants, train)[0].astype(np.float32)
    model = Threshold()
    learned = learn(model, inputs, labels, train, classes=classes, candidates=_CANDIDATES, starts=_STARTS, seed=seed)
    parameters, assigned = learned.best(0)
    patterns = read(decide(model, parameters, inputs), assigned)
    softmax = LogisticRegression(C=1e3, max_iter=5000).fit(inputs[train].astype(float), labels[train])
    guessed = softmax.predict(inputs.astype(float))
    counts = (count_parameters(parameters), softmax.coef_.size + softmax.intercept_.size)
    return np.stack([patterns, guessed]), counts
