"""The forty sequences of events of `studies.binding`, their classes, and what ordinary software makes of them."""

import numpy as np

CLASSES = ("cheddar", "brie", "cheshire", "stilton")

# (t2, t3) in a.u., t1 = 0: t2 = 480000/F2 and t3 = 240000/F1 of ten women's vowels each (aw, er, iy, uw; F in Hz) of
# Hillenbrand et al. 1995, doi:10.1121/1.411872.
_PAIRS = {
    "cheddar": (
        (400.000000, 294.478528),
        (391.836735, 315.789474),
        (456.707897, 310.880829),
        (385.542169, 311.688312),
        (393.442623, 308.483290),
        (437.556974, 296.662546),
        (336.605891, 294.478528),
        (410.256410, 311.284047),
        (430.879713, 317.880795),
        (420.315236, 344.332855),
    ),
    "brie": (
        (334.029228, 510.638298),
        (333.102012, 480.000000),
        (279.720280, 387.722132),
        (323.232323, 485.829960),
        (299.251870, 463.320463),
        (324.324324, 477.137177),
        (300.751880, 484.848485),
        (320.855615, 423.280423),
        (308.681672, 479.041916),
        (284.360190, 451.977401),
    ),
    "cheshire": (
        (171.062010, 544.217687),
        (166.089965, 551.724138),
        (177.580466, 631.578947),
        (173.473076, 560.747664),
        (177.580466, 693.641618),
        (179.372197, 546.697039),
        (178.505020, 609.137056),
        (161.779575, 486.815416),
        (168.421053, 542.986425),
        (167.480809, 503.144654),
    ),
    "stilton": (
        (449.438202, 477.137177),
        (482.897384, 527.472527),
        (431.266846, 549.199085),
        (442.804428, 625.000000),
        (437.956204, 476.190476),
        (431.266846, 507.399577),
        (480.961924, 503.144654),
        (422.535211, 539.325843),
        (429.722471, 496.894410),
        (616.966581, 515.021459),
    ),
}
EVENTS = np.array([pair for name in CLASSES for pair in _PAIRS[name]])  # (sequence, 2)
LABELS = np.repeat(np.arange(len(CLASSES)), [len(_PAIRS[name]) for name in CLASSES])  # (sequence,)
MEMBERS = LABELS[None, :] == np.arange(len(CLASSES))[:, None]  # (class, sequence)

BASELINES = ("logistic unit", "linear support-vector machine")


def baseline_predictions(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """(baseline, class, test sequence): whether each one-vs-rest unit says yes.

    train: (sequence, 2), a.u., standardised by its own mean and deviation. labels: (sequence,). test: (n, 2), a.u.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    mean, deviation = train.mean(0), train.std(0)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    models = (LogisticRegression(), SVC(kernel="linear"))
    return np.array(
        [[model.fit(train, labels == k).predict(test) for k in range(len(CLASSES))] for model in models], bool
    )
