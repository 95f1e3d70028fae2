"""Manhattan distance."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances.distance import Distance
from tensorflow_similarity.types import Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ManhattanDistance(Distance):
    """Sum of the absolute differences of two embeddings.

    d(q, k) = sum_f |q_f - k_f|, from 0 up

    Memory is O(n_queries * n_keys) in the gradient too: features are visited one after
    the other and nothing of shape (n_queries, n_keys, dim) is ever made. Where two
    features are equal the gradient is 0. Second derivatives are not offered.

    Known as "manhattan", "manhattandistance", "l1", "taxicab".

    Example:

    >>> float(ManhattanDistance()([[0.0, 0.0]], [[3.0, -4.0]])[0, 0])
    7.0
    """

    name = "manhattan"
    aliases = ("l1", "taxicab", "manhattandistance")

    def call(self, query: Tensor, key: Tensor) -> Tensor:
        return _sum_of_absolute_differences(query, key)


@ops.custom_gradient  # type: ignore[untyped-decorator]
def _sum_of_absolute_differences(query: Tensor, key: Tensor) -> Any:
    # Without the stop, TensorFlow's eager tape would still record every feature's step.
    queries = ops.transpose(ops.stop_gradient(query))
    keys = ops.transpose(ops.stop_gradient(key))

    def differences(feature: Any) -> Tensor:
        return (
            ops.take(queries, feature, axis=0)[:, None]
            - ops.take(keys, feature, axis=0)[None, :]
        )

    def gradient(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
        # Keras 3.15: torch passes the arguments and `upstream=`, the others one tensor.
        if upstream is None:
            (upstream,) = args

        def of_feature(feature: Any) -> tuple[Tensor, Tensor]:
            signs = upstream * ops.sign(differences(feature))
            return ops.sum(signs, axis=1), -ops.sum(signs, axis=0)

        by_query, by_key = ops.map(
            of_feature, ops.arange(query.shape[1], dtype="int32")
        )
        return ops.transpose(by_query), ops.transpose(by_key)

    total = ops.fori_loop(
        1,
        query.shape[1],
        lambda feature, total: total + ops.abs(differences(feature)),
        ops.abs(differences(0)),
    )
    return total, gradient
