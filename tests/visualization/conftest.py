"""What the tests of plots share."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def figures():
    """No figure outlives its test."""
    yield
    plt.close("all")


@pytest.fixture
def pairs():
    """Distances of same and of different pairs that overlap, with ties."""
    rng = np.random.default_rng(0)
    same, different = rng.normal(0.3, 0.1, 200), rng.normal(0.6, 0.1, 300)
    return np.round(same, 2), np.round(different, 2)


@pytest.fixture
def results(pairs):
    """What the evaluation of those pairs gives: rates at every threshold."""
    same, different = pairs
    thresholds = np.array([-np.inf, *sorted({*same, *different})])
    same_within = np.array([(same <= t).sum() for t in thresholds])
    different_within = np.array([(different <= t).sum() for t in thresholds])
    return SimpleNamespace(
        thresholds=thresholds,
        same_within=same_within,
        different_within=different_within,
        fpr=different_within / len(different),
        tpr=same_within / len(same),
        auc=0.5,
    )


@pytest.fixture
def calibration():
    """Metrics over distance with two cutpoints."""
    f1 = np.array([0.2, 0.6, 0.8, 0.7])
    return SimpleNamespace(
        thresholds={
            "distance": np.array([0.1, 0.2, 0.3, 0.4]),
            "precision": np.array([1.0, 0.9, 0.8, 0.6]),
            "recall": np.array([0.1, 0.5, 0.8, 1.0]),
            "f1": f1,
            "value": f1,
        },
        cutpoints={
            "optimal": {"name": "optimal", "distance": 0.3},
            "sure": {"name": "sure", "distance": 0.2},
        },
    )


@pytest.fixture
def legend():
    """The words of the legend."""
    return lambda ax: [text.get_text() for text in ax.get_legend().get_texts()]
