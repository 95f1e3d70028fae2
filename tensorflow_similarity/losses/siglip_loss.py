"""Sigmoid loss over all pairs."""

import math
from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.losses.trained_loss import TrainedLoss
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SigLIPLoss(TrainedLoss):
    """Asks of each pair on its own whether it is one, by a logistic regression.

    loss_i = sum_j log(1 + exp(-y_ij * (t * s_ij + b))),  with s = 1 - d, y_ij = 1 for
    positives and -1 for negatives.

    Scale t and bias b are learned with the model, t by its logarithm; without
    `learn_scale` they stay what they are. The bias starts low, since nearly all pairs
    are negatives. A sum over keys and a mean over anchors, as in the paper: the loss
    grows with the batch. A row with itself is no pair. No row is compared with the
    others of its own anchor, so that any number of positives will do.

    An anchor without any pair has value 0 and weight 0. One without a positive learns
    from its negatives, one without a negative from its positives. Memory is O(batch^2).

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper.
        scale: float > 0, what t starts from. Defaults to 10.0, as in the paper.
        bias: float, what b starts from. Defaults to -10.0, as in the paper.
        learn_scale: bool. Whether t and b are learned, which takes a `SimilarityModel`,
            as `TrainedLoss` says. Defaults to True, as in the paper.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: as `TrainedLoss` takes them.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `scale` is not above 0 or `bias` is not a number.
        RuntimeError: on a call, if `learn_scale` and nobody has made the weights.

    Example:

    >>> loss = SigLIPLoss(scale=2.0, bias=-1.0, learn_scale=False)
    >>> round(float(loss([0, 0], [[1.0, 0.0], [1.0, 0.0]])), 4)
    0.3133

    Reference:
        Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        scale: float = 10.0,
        bias: float = -10.0,
        learn_scale: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not scale > 0:
            raise ValueError(f"`scale` must be above 0. Received: scale={scale!r}.")
        if not math.isfinite(bias):
            raise ValueError(f"`bias` must be finite. Received: bias={bias!r}.")
        self.scale = scale
        self.bias = bias
        self.learn_scale = learn_scale

    @property
    def has_weights(self) -> bool:
        return self.learn_scale

    def add_weights(self, dim: int) -> None:
        start = keras.initializers.Constant(math.log(self.scale))
        self.add_weight("log_scale", (), start)
        self.add_weight("bias", (), keras.initializers.Constant(self.bias))

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        similarities = 1.0 - pairs.distances
        scale, bias = self.scale, self.bias
        if self.learn_scale:
            dtype = similarities.dtype
            scale = ops.exp(ops.cast(self.weight("log_scale"), dtype))
            bias = ops.cast(self.weight("bias"), dtype)
        logits = scale * similarities + bias
        terms = ops.softplus(ops.where(pairs.positives, -logits, logits))
        paired = ops.logical_or(pairs.positives, pairs.negatives)
        values = ops.sum(ops.where(paired, terms, 0.0), axis=1)
        return values, ops.any(paired, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "bias": self.bias,
            "learn_scale": self.learn_scale,
        }
