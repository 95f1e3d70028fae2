"""How many anchors a loss still has something to teach."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import to_float
from tensorflow_similarity._core.phase import phase
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import make_pairs
from tensorflow_similarity.training_metrics.batch_metric import BatchMetric
from tensorflow_similarity.types import BoolTensor, FloatTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ActiveFraction(BatchMetric):
    """The fraction of anchors whose loss is above a threshold.

    fraction = active anchors / counted anchors, from 0 (all is learned) to 1

    An anchor is active if its loss is above `threshold`. It counts if the loss counts
    it, or if it has a positive and a negative in the batch of which mining, by a miner
    or inside the loss, left none: that one has nothing left to learn. Anchors that have
    no pairs to begin with leave it, as do batches of such anchors. Each anchor weighs
    its sample weight; over the epoch it is the mean over all anchors.

    Near 0 steps are spent on examples that teach nothing: take harder ones. With a
    miner of the hardest, near 1 and steady, they may be too hard.

    Args:
        loss: MetricLoss, or its serialized dict. The one the model is compiled with, or
            another.
        threshold: float of at least 0, in the unit of the loss. Defaults to 0, right
            for hinges, which are exactly 0 where all is well. Losses of soft margins
            are never 0.
        name: str. Defaults to "active_fraction".
        **kwargs: `dtype` of `BatchMetric`.

    Raises:
        TypeError: if `loss` is not a `MetricLoss`.
        ValueError: for a negative threshold, a loss with weights of its own, or one
            made of other losses.

    Example:

    >>> from tensorflow_similarity.losses import TripletLoss
    >>> metric = ActiveFraction(TripletLoss("euclidean", margin=1.0))
    >>> metric.update_state([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]])
    >>> float(metric.result())
    0.5

    Row 0 has its positive at 5 and its negative at 8, row 1 both at 5; row 2 has no
    positive.
    """

    _direction = "down"

    def __init__(
        self,
        loss: MetricLoss | dict[str, Any],
        threshold: float = 0.0,
        name: str | None = "active_fraction",
        **kwargs: Any,
    ):
        if isinstance(loss, dict):
            loss = keras.saving.deserialize_keras_object(loss)
        if not isinstance(loss, MetricLoss):
            raise TypeError(
                f"`loss` must be a `MetricLoss` of this package. Received: {loss!r}."
            )
        if loss.trained_parts(None):
            raise ValueError(
                f"`loss` must be without weights of its own. Received: {loss.name!r}, "
                "whose weights a metric could not save. Its anchors are always "
                "active; look at `DistanceMetric` instead."
            )
        if type(loss).__call__ is not MetricLoss.__call__:
            raise ValueError(
                "`loss` must give one loss an anchor from labels and embeddings. "
                f"Received: {type(loss).__name__}. Give one of the losses it is made "
                "of."
            )
        if not threshold >= 0:
            raise ValueError(
                "`threshold` must be a number of at least 0. Received: "
                f"threshold={threshold!r}."
            )
        super().__init__(name or "active_fraction", loss.targets, **kwargs)
        self.loss = loss
        self.threshold = float(threshold)

    def measure(
        self, targets: Tensor, embeddings: FloatTensor, weights: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        counted, active = active_anchors(self.loss, targets, embeddings, self.threshold)
        weights = ops.where(counted, weights, 0.0)
        weight = ops.sum(weights)
        total = ops.sum(ops.where(active, weights, 0.0))
        return total / ops.where(weight > 0, weight, 1.0), weight

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "threshold": self.threshold,
        }


def active_anchors(
    loss: MetricLoss, targets: Tensor, embeddings: FloatTensor, threshold: float
) -> tuple[BoolTensor, BoolTensor]:
    """Which anchors count, and which of them have a loss above the threshold."""
    embeddings = to_float(embeddings)
    pairs = make_pairs(targets, embeddings, distance=loss.distance, kind=loss.targets)
    could = ops.logical_and(
        ops.any(pairs.positives, axis=1), ops.any(pairs.negatives, axis=1)
    )
    with phase(training=False):
        values, weights = loss._values_and_weights(targets, embeddings)
    taught = weights > 0
    active = ops.logical_and(taught, values > threshold)
    return ops.logical_or(could, taught), active
