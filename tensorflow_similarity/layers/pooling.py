"""Generalized mean pooling: between the mean and the maximum of a feature map."""

import math
from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import largest_of, to_float
from tensorflow_similarity.types import BoolTensor, FloatTensor, Tensor

# Below this p the power mean is the geometric mean, as far as float32 can tell.
_GEOMETRIC = 1e-5
# Below this |p| powers are so near 1 that their mean has to be taken of x^p - 1.
_SMALL_POWER = 0.1


class GeneralizedMeanPooling(keras.layers.Layer):
    """What the pooling layers share: a power mean over the axes between.

    With m the minimum over positions, of each example and channel, z = x - m + 1:

    y = (mean of z^p)^(1/p) + m - 1

    The shift makes z positive for any x, so that every p is allowed: 1 is the mean,
    infinity the maximum, -infinity the minimum, 0 the geometric mean of z. It is
    computed in float32 at least, without overflow for any p, and finite in value and
    gradient.

    A mask, which one-dimensional layers get from layers such as `Embedding(mask_zero=
    True)`, leaves out positions; an example without any gives 0.

    Args:
        p: float, not NaN. Defaults to 3.0, as Radenović et al. start from.
        data_format: "channels_last" or "channels_first". Defaults to None: what Keras
            is configured for.
        keepdims: whether the pooled axes stay, of length 1.
        **kwargs: those of `keras.layers.Layer`.

    Raises:
        ValueError: for another `data_format`, or a `p` that is not a number.

    Reference:
        Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation",
        TPAMI 2018. The shift by the minimum is TF Similarity's.
    """

    # How many axes are pooled; each of the layers says it.
    _n_axes = 0

    def __init__(
        self,
        p: float = 3.0,
        data_format: str | None = None,
        keepdims: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if isinstance(p, bool | str) or math.isnan(p):
            raise ValueError(f"`p` must be a number. Received: p={p!r}.")
        if data_format not in (None, "channels_first", "channels_last"):
            raise ValueError(
                '`data_format` must be "channels_last" or "channels_first". Received: '
                f"data_format={data_format!r}."
            )
        self.p = float(p)
        self.data_format = data_format or keras.config.image_data_format()
        self.keepdims = keepdims
        self.supports_masking = True
        if not self._n_axes:
            raise NotImplementedError(
                "Use `GeneralizedMeanPooling1D` or `GeneralizedMeanPooling2D`."
            )
        self.input_spec = keras.layers.InputSpec(ndim=self._n_axes + 2)

    def call(self, inputs: Tensor, mask: BoolTensor | None = None) -> Tensor:
        axes, x, kept = self._axes(), to_float(inputs), None
        if mask is not None:
            kept = ops.cast(mask, "bool")
            channels = next(a for a in range(1, len(x.shape)) if a not in axes)
            kept = ops.expand_dims(kept, channels)
        y = self.pool(x, axes, kept)
        if kept is not None:
            y = ops.where(ops.any(kept, axis=axes, keepdims=True), y, 0.0)
        if not self.keepdims:
            y = ops.squeeze(y, axis=axes)
        return ops.cast(y, self.compute_dtype)

    def pool(
        self, x: FloatTensor, axes: tuple[int, ...], kept: BoolTensor | None
    ) -> FloatTensor:
        """The power mean over `axes`, which stay with length 1.

        Args:
            x: at least float32.
            axes: those of the positions.
            kept: which positions count, broadcast against `x`; None: all.
        """
        highest = largest_of(x.dtype)
        if kept is None:
            lowest = ops.min(x, axis=axes, keepdims=True)
            highs = ops.max(x, axis=axes, keepdims=True)
            count = ops.cast(math.prod(ops.shape(x)[a] for a in axes), x.dtype)
        else:
            lowest = ops.min(ops.where(kept, x, highest), axis=axes, keepdims=True)
            highs = ops.max(ops.where(kept, x, -highest), axis=axes, keepdims=True)
            count = ops.sum(ops.cast(kept, x.dtype), axis=axes, keepdims=True)
            count = ops.where(count > 0, count, 1.0)
        if self.p == math.inf:
            return highs
        if self.p == -math.inf:
            return lowest

        def mean(values: FloatTensor) -> FloatTensor:
            if kept is not None:
                values = ops.where(kept, values, 0.0)
            return ops.sum(values, axis=axes, keepdims=True) / count

        z = x - lowest + 1.0
        if kept is not None:
            z = ops.where(kept, z, 1.0)
        if abs(self.p) < _GEOMETRIC:
            return ops.exp(mean(ops.log(z))) + lowest - 1.0
        # Divided by the largest, or with p < 0 by the least, which is 1, all powers are
        # at most 1 and one of them is 1. What it is divided by cancels, so that it
        # needs no gradient.
        scale = ops.stop_gradient(highs - lowest + 1.0) if self.p > 0 else 1.0
        exponents = self.p * ops.log(z / scale)
        if abs(self.p) < _SMALL_POWER:
            log = ops.log1p(mean(ops.expm1(exponents)))
        else:
            log = ops.log(mean(ops.exp(exponents)))
        return scale * ops.exp(log / self.p) + lowest - 1.0

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "p": self.p,
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }

    def compute_mask(self, inputs: Tensor, mask: BoolTensor | None = None) -> None:
        """None: what is pooled has no positions to mask."""
        return None

    def _axes(self) -> tuple[int, ...]:
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self._n_axes))

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """The shape of the output."""
        axes = self._axes()
        if self.keepdims:
            return tuple(1 if a in axes else n for a, n in enumerate(input_shape))
        return tuple(n for a, n in enumerate(input_shape) if a not in axes)


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class GeneralizedMeanPooling1D(GeneralizedMeanPooling):
    """Generalized mean pooling over the steps of a sequence.

    As `GeneralizedMeanPooling` says, over one axis. Masked steps leave the mean.

    Args:
        p, data_format, keepdims, **kwargs: as there.

    Call arguments:
        inputs: shape (batch, steps, channels), or (batch, channels, steps) with
            channels first.
        mask: which steps count, shape (batch, steps). Defaults to None: all.

    Returns:
        Shape (batch, channels); with `keepdims` the steps' axis of length 1 stays.

    Example:

    >>> layer = GeneralizedMeanPooling1D(p=float("inf"))
    >>> float(layer(keras.ops.array([[[1.0], [5.0], [2.0]]]))[0, 0])
    5.0
    """

    _n_axes = 1


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class GeneralizedMeanPooling2D(GeneralizedMeanPooling):
    """Generalized mean pooling over the height and width of a feature map.

    As `GeneralizedMeanPooling` says, over two axes, of any or unknown length. With p
    about 3 it is the usual last pooling of retrieval networks: what stands out anywhere
    in the picture counts more than the average.

    Args:
        p, data_format, keepdims, **kwargs: as there.

    Call arguments:
        inputs: shape (batch, height, width, channels), or (batch, channels, height,
            width) with channels first.

    Returns:
        Shape (batch, channels); with `keepdims` two axes of length 1 stay.

    Example:

    >>> layer = GeneralizedMeanPooling2D(p=1)
    >>> float(layer(keras.ops.array([[[[1.0], [2.0]], [[3.0], [6.0]]]]))[0, 0])
    3.0
    """

    _n_axes = 2
