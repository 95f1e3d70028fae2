"""Cosine distance."""

import keras
from keras import ops

from tensorflow_similarity._core.numerics import inner_products, l2_normalize
from tensorflow_similarity.distances.distance import Distance
from tensorflow_similarity.types import Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class CosineDistance(Distance):
    """One minus the cosine of the angle between two embeddings.

    d(q, k) = max(0, 1 - (q / |q|) . (k / |k|)), from 0 (same direction) to 2 (opposite)

    The embeddings need not be normalised: it is done here, and changes nothing for
    those that are. A zero row has no direction: it is at distance 1 from everything,
    with gradient 0. Not a metric: the triangle inequality does not hold.

    Known as "cosine", "cosinedistance".

    Example:

    >>> float(CosineDistance()([[2.0, 0.0]], [[0.0, 3.0]])[0, 0])
    1.0
    """

    name = "cosine"
    aliases = ("cosinedistance",)

    def call(self, query: Tensor, key: Tensor) -> Tensor:
        cosines = inner_products(l2_normalize(query), l2_normalize(key))
        return ops.relu(1.0 - cosines)
