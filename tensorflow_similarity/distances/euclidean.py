"""Euclidean distance."""

import keras

from tensorflow_similarity._core.numerics import pairwise_squared, safe_sqrt
from tensorflow_similarity.distances.distance import Distance
from tensorflow_similarity.types import Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class EuclideanDistance(Distance):
    """Length of the straight line between two embeddings.

    d(q, k) = sqrt(sum_f (q_f - k_f)^2), from 0 up

    Computed from |q|^2 + |k|^2 - 2 q.k in O(n_queries * n_keys) memory. Pairs closer
    than the rounding noise of that subtraction, about 1e-3 of their length in float32,
    are at distance 0 with gradient 0: equal rows give 0 and no NaN.

    Known as "euclidean", "euclideandistance", "l2", "pythagorean".

    Example:

    >>> float(EuclideanDistance()([[0.0, 0.0]], [[3.0, 4.0]])[0, 0])
    5.0
    """

    name = "euclidean"
    aliases = ("euclideandistance", "l2", "pythagorean")

    def call(self, query: Tensor, key: Tensor) -> Tensor:
        return safe_sqrt(pairwise_squared(query, key))
