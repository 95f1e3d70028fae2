"""Signal-to-noise ratio distance."""

import keras
from keras import ops

from tensorflow_similarity._core.numerics import pairwise_squared
from tensorflow_similarity.distances.distance import Distance
from tensorflow_similarity.types import Tensor

# Rows of length 1 with any spread at all are far above it, in float32 too.
_NO_SIGNAL = 1e-12


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SNRDistance(Distance):
    """Noise to signal: what the key adds to the query, relative to the query.

    d(q, k) = var(q - k) / var(q), population variances over the features, from 0 up

    Asymmetric: the query, or anchor, is the signal. A constant added to all features
    of a row changes nothing. A query that is (nearly) constant, var(q) <= 1e-12, has
    no signal to divide by: its distance is the noise var(q - k) itself, and finite.
    Noise below the rounding noise of |q|^2 + |k|^2 - 2 q.k is 0 with gradient 0.

    Known as "snr", "snrdistance", "signal-to-noise-ratio".

    Example:

    >>> float(SNRDistance()([[1.0, -1.0]], [[3.0, -3.0]])[0, 0])
    4.0

    Reference:
        Yuan et al., "Signal-to-Noise Ratio: A Robust Distance Metric for Deep Metric
        Learning", CVPR 2019.
    """

    name = "snr"
    aliases = ("snrdistance", "signal-to-noise-ratio")

    def call(self, query: Tensor, key: Tensor) -> Tensor:
        dim = query.shape[1]
        query = query - ops.sum(query, axis=1, keepdims=True) / dim
        key = key - ops.sum(key, axis=1, keepdims=True) / dim
        noise = pairwise_squared(query, key) / dim
        signal = ops.sum(ops.square(query), axis=1, keepdims=True) / dim
        return noise / ops.where(signal > _NO_SIGNAL, signal, 1.0)
