"""A layer that changes nothing and logs how far its inputs vary."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import l2_normalize, to_float
from tensorflow_similarity._core.spread import batch_std
from tensorflow_similarity.types import FloatTensor, Tensor


class _MeanOfLayer(keras.metrics.Mean):
    """A mean whose variables belong to the layer that updates it.

    Keras 3.15 on JAX hands metrics their state after the layers ran, so that what a
    layer adds to a metric of its own is lost. The state of layers does travel.
    """

    @property
    def variables(self) -> list[Any]:
        return []

    def result(self) -> FloatTensor:
        # Within a compiled step of JAX the state travels, and nothing can be read here.
        if self.count._value is None:
            return ops.zeros((), self.dtype)
        return super().result()


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ActivationStdLoggingLayer(keras.layers.Layer):
    """Passes its inputs on, and logs how far they vary over the batch.

    std = mean over features of std over the batch of x / |x|, along the last axis

    `fit` and `evaluate` report its mean over the batches of the epoch under the name of
    the layer. About 1 / sqrt(features) means well spread, 0 collapsed. Inputs pass
    unchanged, dtype and mask included, and the figure is computed in float32 at least.
    It has no weights and adds nothing to a saved model.

    Under a `tf.distribute` strategy each replica looks at its own rows. On JAX the
    figure is known at the end of an epoch; within it, and in `train_on_batch`, it
    reads 0.

    Args:
        name: str, also the key in `History.history`.
        **kwargs: those of `keras.layers.Layer`.

    Call arguments:
        inputs: shape (batch, ..., features).

    Example:

    >>> layer = ActivationStdLoggingLayer("proj_std")
    >>> x = layer(keras.ops.array([[2.0, 0.0], [-3.0, 0.0]]))
    >>> float(layer.metrics[0].result())
    0.5
    """

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        # What passes must not change, so a narrow policy does not cast it.
        self.autocast = False
        self.supports_masking = True
        self._mean = _MeanOfLayer(name=name, dtype="float32")

    def call(self, inputs: Tensor) -> Tensor:
        unit = l2_normalize(ops.stop_gradient(to_float(inputs)))
        rows = ops.reshape(unit, (ops.shape(unit)[0], -1))
        self._mean.update_state(batch_std(rows))
        return inputs

    @property
    def variables(self) -> list[Any]:
        """The layer's state, that of its metric included; its `weights` are none."""
        return [*super().variables, self._mean.total, self._mean.count]

    def compute_output_spec(self, inputs: Any) -> Any:
        """That of the inputs."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)
