"""Negative inner product."""

import keras

from tensorflow_similarity._core.numerics import inner_products
from tensorflow_similarity.distances.distance import Distance
from tensorflow_similarity.types import Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class InnerProductSimilarity(Distance):
    """The inner product of two embeddings, negated so that smaller is closer.

    d(q, k) = -sum_f q_f * k_f, unbounded on both sides

    The name is the one notebooks know; what it answers is a distance like the others,
    -q.k, where TensorFlow Similarity 0.17 answered q.k. It is not 0 between equal
    rows, and a zero row is at 0 from everything. On rows of length 1 it ranks as the
    cosine distance does.

    Known as "inner_product", "innerproductsimilarity", "ip".

    Example:

    >>> float(InnerProductSimilarity()([[1.0, 2.0]], [[3.0, 4.0]])[0, 0])
    -11.0
    """

    name = "inner_product"
    aliases = ("ip", "innerproductsimilarity")

    def call(self, query: Tensor, key: Tensor) -> Tensor:
        return -inner_products(query, key)
