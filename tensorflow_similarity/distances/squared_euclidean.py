"""Squared Euclidean distance."""

import keras

from tensorflow_similarity._core.numerics import pairwise_squared
from tensorflow_similarity.distances.distance import Distance
from tensorflow_similarity.types import Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SquaredEuclideanDistance(Distance):
    """Square of the Euclidean distance between two embeddings.

    d(q, k) = sum_f (q_f - k_f)^2, from 0 up

    Computed from |q|^2 + |k|^2 - 2 q.k in O(n_queries * n_keys) memory. Values below
    the rounding noise of that subtraction, about 1e-6 of the squared lengths in
    float32, are 0 with gradient 0: equal rows give 0. On rows of length 1 it is twice
    the cosine distance.

    Known as "squared_euclidean", "squaredeuclideandistance", "sqeuclidean", "sql2".

    Example:

    >>> float(SquaredEuclideanDistance()([[0.0, 0.0]], [[3.0, 4.0]])[0, 0])
    25.0
    """

    name = "squared_euclidean"
    aliases = ("sql2", "sqeuclidean", "squaredeuclideandistance")

    def call(self, query: Tensor, key: Tensor) -> Tensor:
        return pairwise_squared(query, key)
