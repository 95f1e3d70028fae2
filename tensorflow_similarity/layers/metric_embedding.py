"""The last layer of an embedding model."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import l2_normalize, to_float
from tensorflow_similarity.types import Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MetricEmbedding(keras.layers.Dense):
    """A Dense layer whose outputs have length 1.

    y = x / |x| along the last axis, with x = activation(inputs . kernel + bias)

    A zero x has no direction: its output is zero, with gradient zero. The length is
    taken in float32 at least. Under a global policy that computes in float16 or
    bfloat16 the layer works in float32, since float16 lengths are off by 7e-4 and every
    distance after it would be; `dtype=` overrules that.

    Args:
        units: int, at least 1. The width of the embedding.
        activation: as in `keras.layers.Dense`. Defaults to None: one that cuts off
            negative values would confine embeddings to one corner of the sphere.
        **kwargs: the other arguments of `keras.layers.Dense`.

    Call arguments:
        inputs: shape (batch, ..., features).

    Returns:
        Embeddings, shape (batch, ..., units), each of length 1 or zero.

    Example:

    >>> layer = MetricEmbedding(2, kernel_initializer="identity")
    >>> print(keras.ops.convert_to_numpy(layer(keras.ops.array([[3.0, 4.0]]))))
    [[0.6 0.8]]
    """

    def __init__(self, units: int, activation: Any = None, **kwargs: Any):
        compute_dtype = keras.config.dtype_policy().compute_dtype
        if kwargs.get("dtype") is None and compute_dtype in ("float16", "bfloat16"):
            kwargs["dtype"] = "float32"
        super().__init__(units, activation=activation, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = super().call(inputs, training=training)
        return ops.cast(l2_normalize(to_float(outputs)), self.compute_dtype)
