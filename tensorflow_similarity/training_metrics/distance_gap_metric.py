"""The gap between classes, negative when they overlap."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity import distances
from tensorflow_similarity._core.numerics import masked_max, masked_min
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.pairs import Targets, make_pairs
from tensorflow_similarity.training_metrics.batch_metric import BatchMetric
from tensorflow_similarity.types import FloatTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class DistanceGapMetric(BatchMetric):
    """The least distance between classes minus the greatest within one.

    gap = min over anchors of d(hardest negative) - max of d(hardest positive)

    Above 0 one threshold tells all pairs of the batch right; below 0 some negative is
    nearer than some positive is far. A batch without a positive or without a negative
    pair leaves it. Over the epoch it is the mean over batches. Anchors of sample weight
    0 are left out.

    Args:
        distance: Distance, its name or its serialized dict.
        name: str. Defaults to "dist_gap".
        **kwargs: `targets`, by default "labels", and `dtype` of `BatchMetric`.

    Raises:
        ValueError: for an unknown distance.

    Example:

    >>> metric = DistanceGapMetric("manhattan")
    >>> metric.update_state([0, 0, 1, 1], [[0.0], [2.0], [3.0], [5.5]])
    >>> float(metric.result())
    -1.5
    """

    _direction = "up"

    def __init__(
        self,
        distance: Distance | str | dict[str, Any],
        name: str | None = "dist_gap",
        targets: Targets = "labels",
        **kwargs: Any,
    ):
        super().__init__(name or "dist_gap", targets, **kwargs)
        self.distance = distances.get(distance)

    def measure(
        self, targets: Tensor, embeddings: FloatTensor, weights: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        pairs = make_pairs(
            targets, embeddings, distance=self.distance, kind=self.targets
        )
        farthest, has_positive = masked_max(pairs.distances, pairs.positives)
        nearest, has_negative = masked_min(pairs.distances, pairs.negatives)
        counted = weights > 0
        within, some = masked_max(
            farthest, ops.logical_and(counted, has_positive), axis=0
        )
        between, others = masked_min(
            nearest, ops.logical_and(counted, has_negative), axis=0
        )
        both = ops.logical_and(some, others)
        return between - within, ops.cast(both, within.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "distance": distances.serialize(self.distance),
            "targets": self.targets,
        }


def dist_gap(
    distance: Distance | str | dict[str, Any], **kwargs: Any
) -> DistanceGapMetric:
    """The signed gap between classes, named "dist_gap"."""
    return DistanceGapMetric(distance, **kwargs)
