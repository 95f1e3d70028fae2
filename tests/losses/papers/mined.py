"""Losses that look at the hardest pairs."""

from tensorflow_similarity import losses
from tests import reference

from . import Paper

PAPERS = [
    Paper(
        losses.TripletLoss,
        reference.triplet,
        [
            {"positive": p, "negative": n, "margin": m, "distance": d}
            for p, n, m, d in [
                ("hard", "semi-hard", None, "cosine"),
                ("hard", "semi-hard", 0.5, "euclidean"),
                ("hard", "hard", 0.2, "squared_euclidean"),
                ("hard", "easy", 3.0, "manhattan"),
                ("easy", "semi-hard", 0.4, "cosine"),
                ("easy", "hard", None, "snr"),
                ("easy", "easy", 0.9, "inner_product"),
            ]
        ],
        renamed={
            "positive": "positive_mining_strategy",
            "negative": "negative_mining_strategy",
        },
    ),
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
