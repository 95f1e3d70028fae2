"""How far the mined positive or negative of each anchor is."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity import distances
from tensorflow_similarity._core.numerics import masked_max, masked_min
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.pairs import Targets, make_pairs
from tensorflow_similarity.training_metrics.batch_metric import BatchMetric
from tensorflow_similarity.types import FloatTensor, Tensor

_AGGREGATES = ("mean", "avg", "max", "min", "sum")
_ANCHORS = ("positive", "negative")
_STRATEGIES = ("hard", "easy")


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class DistanceMetric(BatchMetric):
    """Distance from each anchor to its mined positive or negative, aggregated.

    Positives: "hard" is the farthest, "easy" the nearest. Negatives: "hard" is the
    nearest, "easy" the farthest.

    | aggregate | of a batch | over the epoch |
    | --- | --- | --- |
    | "mean", "avg" | mean over anchors | mean over all anchors |
    | "max", "min" | that of its anchors | mean over batches |
    | "sum" | sum over anchors | mean over batches |

    The largest distance of a whole epoch would be one example's, and of its first
    steps; a sum would grow with the number of steps. Means over batches are comparable
    between epochs of any length, and with the batch size unchanged between runs.

    Anchors without a positive (or negative) leave it, batches without any such anchor
    too. With sample weights "mean" and "sum" weigh anchors, "max" and "min" leave out
    those of weight 0.

    Args:
        distance: Distance, its name or its serialized dict.
        aggregate: "mean" or "avg", "max", "min" or "sum". Defaults to "mean".
        anchor: whether to look at the "positive" or the "negative" of each anchor.
            Defaults to "positive".
        name: str. Defaults to None: "mean_pos", "max_neg" and so on.
        positive_mining_strategy: "hard" or "easy". Defaults to "hard".
        negative_mining_strategy: "hard" or "easy". Defaults to "hard".
        **kwargs: `targets`, by default "labels", and `dtype` of `BatchMetric`.

    Raises:
        ValueError: for an unknown distance, aggregate, anchor or strategy.

    Example:

    >>> metric = DistanceMetric("euclidean", aggregate="max")
    >>> metric.update_state([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [9.0, 9.0]])
    >>> float(metric.result())
    5.0
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any],
        aggregate: str = "mean",
        anchor: str = "positive",
        name: str | None = None,
        positive_mining_strategy: str = "hard",
        negative_mining_strategy: str = "hard",
        targets: Targets = "labels",
        **kwargs: Any,
    ):
        for argument, value, known in (
            ("aggregate", aggregate, _AGGREGATES),
            ("anchor", anchor, _ANCHORS),
            ("positive_mining_strategy", positive_mining_strategy, _STRATEGIES),
            ("negative_mining_strategy", negative_mining_strategy, _STRATEGIES),
        ):
            if value not in known:
                raise ValueError(
                    f"`{argument}` must be one of {list(known)}. Received: "
                    f"{argument}={value!r}."
                )
        super().__init__(name or f"{aggregate}_{anchor[:3]}", targets, **kwargs)
        self.distance = distances.get(distance)
        self.aggregate = aggregate
        self.anchor = anchor
        self.positive_mining_strategy = positive_mining_strategy
        self.negative_mining_strategy = negative_mining_strategy
        self._direction = "down" if anchor == "positive" else "up"

    def measure(
        self, targets: Tensor, embeddings: FloatTensor, weights: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        pairs = make_pairs(
            targets, embeddings, distance=self.distance, kind=self.targets
        )
        if self.anchor == "positive":
            mask, farthest = pairs.positives, self.positive_mining_strategy == "hard"
        else:
            mask, farthest = pairs.negatives, self.negative_mining_strategy == "easy"
        mined, some = (masked_max if farthest else masked_min)(pairs.distances, mask)
        weights = ops.where(some, weights, 0.0)
        counted = weights > 0
        if self.aggregate in ("max", "min"):
            extreme = masked_max if self.aggregate == "max" else masked_min
            value, any_counted = extreme(mined, counted, axis=0)
            return value, ops.cast(any_counted, mined.dtype)
        total = ops.sum(weights * mined)
        if self.aggregate == "sum":
            return total, ops.cast(ops.any(counted), mined.dtype)
        weight = ops.sum(weights)
        return total / ops.where(weight > 0, weight, 1.0), weight

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "distance": distances.serialize(self.distance),
            "aggregate": self.aggregate,
            "anchor": self.anchor,
            "positive_mining_strategy": self.positive_mining_strategy,
            "negative_mining_strategy": self.negative_mining_strategy,
            "targets": self.targets,
        }


def max_pos(distance: Distance | str | dict[str, Any], **kwargs: Any) -> DistanceMetric:
    """The largest distance to the farthest positive, named "max_pos"."""
    return DistanceMetric(distance, "max", "positive", **kwargs)


def max_neg(distance: Distance | str | dict[str, Any], **kwargs: Any) -> DistanceMetric:
    """The largest distance to the nearest negative, named "max_neg"."""
    return DistanceMetric(distance, "max", "negative", **kwargs)


def avg_pos(distance: Distance | str | dict[str, Any], **kwargs: Any) -> DistanceMetric:
    """The mean distance to the farthest positive, named "mean_pos"."""
    return DistanceMetric(distance, "mean", "positive", **kwargs)


def avg_neg(distance: Distance | str | dict[str, Any], **kwargs: Any) -> DistanceMetric:
    """The mean distance to the nearest negative, named "mean_neg"."""
    return DistanceMetric(distance, "mean", "negative", **kwargs)


def min_pos(distance: Distance | str | dict[str, Any], **kwargs: Any) -> DistanceMetric:
    """The least distance to the farthest positive, named "min_pos"."""
    return DistanceMetric(distance, "min", "positive", **kwargs)


def min_neg(distance: Distance | str | dict[str, Any], **kwargs: Any) -> DistanceMetric:
    """The least distance to the nearest negative, named "min_neg"."""
    return DistanceMetric(distance, "min", "negative", **kwargs)


def sum_pos(distance: Distance | str | dict[str, Any], **kwargs: Any) -> DistanceMetric:
    """The sum of distances to the farthest positive, named "sum_pos"."""
    return DistanceMetric(distance, "sum", "positive", **kwargs)


def sum_neg(distance: Distance | str | dict[str, Any], **kwargs: Any) -> DistanceMetric:
    """The sum of distances to the nearest negative, named "sum_neg"."""
    return DistanceMetric(distance, "sum", "negative", **kwargs)
