"""Losses that look at the hardest pairs."""

from tensorflow_similarity import losses
from tests import reference

from . import Paper

PAPERS = [
    Paper(
        losses.MultiSimilarityLoss,
        reference.multi_similarity,
        [
            {},
            {"distance": "euclidean", "alpha": 3.0, "beta": 7.0, "center": 2.0},
            {"epsilon": -0.2, "lmda": 0.8},
            {"distance": "snr", "beta": 5.0, "epsilon": 1.0},
        ],
    ),
]
