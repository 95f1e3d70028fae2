"""Threshold-consistent margin loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pair_means import count, shares_of_mean
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ThresholdConsistentMarginLoss(MetricLoss):
    """Pushes only the pairs that one threshold for all classes would get wrong.

    loss = pos_weight * mean over positive pairs with s <= pos_margin of pos_margin - s
         + neg_weight * mean over negative pairs with s >= neg_margin of s - neg_margin
    with s = 1 - d

    Meant beside another loss, which orders the neighbours; this one makes the same
    distance mean the same for every class, which a calibrated threshold relies on:

    `TripletLoss() + ThresholdConsistentMarginLoss()`

    The means run over the pairs that are wrong, so that few of them are not drowned by
    the many right ones; where there is none, the term is 0. The value of an anchor is
    its part of both means times the number of anchors with any pair, so that the mean
    over anchors is the loss. An anchor without any pair leaves the mean.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", whose
            similarity the paper takes. Beside another loss it must be the one of that
            loss.
        pos_margin: float, a similarity. Defaults to 0.9, as in the paper.
        neg_margin: float, a similarity. Defaults to 0.5, as in the paper.
        pos_weight: float of at least 0. Defaults to 1.0, as in the paper.
        neg_weight: float of at least 0. Defaults to 1.0, as in the paper.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: `targets`, `reduction` and `miner` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `neg_margin` is above `pos_margin`, or a weight below 0.

    Example:

    >>> loss = ThresholdConsistentMarginLoss(pos_margin=1.0, neg_margin=0.5)
    >>> rows = [[5.0, 0.0], [3.0, 4.0], [0.0, 1.0]]
    >>> round(float(loss([0, 0, 1], rows)), 4)
    0.7

    The positives have similarity 0.6, short of 1 by 0.4. Of the negative pairs one has
    0.8, too much by 0.3; the other, at 0, is fine and does not count.

    Reference:
        Zhang et al., "Threshold-Consistent Margin Loss for Open-World Deep Metric
        Learning", ICLR 2024.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        pos_margin: float = 0.9,
        neg_margin: float = 0.5,
        pos_weight: float = 1.0,
        neg_weight: float = 1.0,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not neg_margin <= pos_margin:
            raise ValueError(
                "`neg_margin` and `pos_margin` are similarities, and `neg_margin` must "
                f"not be the higher one. Received: pos_margin={pos_margin!r}, "
                f"neg_margin={neg_margin!r}."
            )
        if not (pos_weight >= 0 and neg_weight >= 0):
            raise ValueError(
                "`pos_weight` and `neg_weight` must be at least 0. Received: "
                f"pos_weight={pos_weight!r}, neg_weight={neg_weight!r}."
            )
        self.pos_margin = pos_margin
        self.neg_margin = neg_margin
        self.pos_weight = pos_weight
        self.neg_weight = neg_weight

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        s = 1.0 - pairs.distances
        apart = ops.logical_and(pairs.positives, s <= self.pos_margin)
        close = ops.logical_and(pairs.negatives, s >= self.neg_margin)
        anchors = ops.any(ops.logical_or(pairs.positives, pairs.negatives), axis=1)
        values = count(anchors, s.dtype) * (
            self.pos_weight * shares_of_mean(self.pos_margin - s, apart)
            + self.neg_weight * shares_of_mean(s - self.neg_margin, close)
        )
        return values, anchors

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pos_margin": self.pos_margin,
            "neg_margin": self.neg_margin,
            "pos_weight": self.pos_weight,
            "neg_weight": self.neg_weight,
        }
