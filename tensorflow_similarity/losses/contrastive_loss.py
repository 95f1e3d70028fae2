"""Contrastive loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pair_means import count, shares_of_mean
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ContrastiveLoss(MetricLoss):
    """Pulls positives within one distance and pushes negatives beyond another.

    loss = mean over positive pairs of max(0, d - pos_margin)
         + mean over negative pairs of max(0, neg_margin - d)

    or, `squared`, half the square of each term. The two means are separate, so that the
    many negatives do not outweigh the few positives, and run over all pairs of the
    batch, pairs that are far enough included.

    The value of an anchor is its part of both means times the number of anchors, so
    that the mean over anchors is the loss. Without positive pairs only negatives are
    pushed, without negative pairs only positives are pulled. An anchor without any pair
    leaves the mean.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", which
            lies in [0, 2] whatever the norms of the rows, so that the margins have a
            fixed meaning. The paper has "euclidean".
        pos_margin: float of at least 0, in the unit of the distance. Defaults to 0.0,
            as in the paper: positives are pulled together all the way.
        neg_margin: float above 0, in the unit of the distance. Defaults to 0.5, an
            angle of 60 degrees: the Euclidean distance 1 between rows of length 1.
        squared: whether to take half the square of each term. Defaults to False; True
            is the paper, whose gradient fades as a pair nears its margin.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: `targets`, `reduction` and `miner` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim).
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: for a margin out of range.

    Example:

    >>> loss = ContrastiveLoss("euclidean", neg_margin=6.0)
    >>> float(loss([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]]))
    5.5

    The positive pair is 5 apart. The negative pairs are 8 and 5 apart: 0 and 1 short of
    the margin, half on average.

    Reference:
        Hadsell et al., "Dimensionality Reduction by Learning an Invariant Mapping",
        CVPR 2006.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        pos_margin: float = 0.0,
        neg_margin: float = 0.5,
        squared: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not pos_margin >= 0:
            raise ValueError(
                "`pos_margin` must be a number of at least 0. Received: "
                f"pos_margin={pos_margin!r}."
            )
        if not neg_margin > 0:
            raise ValueError(
                "`neg_margin` must be a number above 0. Received: "
                f"neg_margin={neg_margin!r}."
            )
        self.pos_margin = pos_margin
        self.neg_margin = neg_margin
        self.squared = squared

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        pull = ops.relu(pairs.distances - self.pos_margin)
        push = ops.relu(self.neg_margin - pairs.distances)
        if self.squared:
            pull, push = 0.5 * ops.square(pull), 0.5 * ops.square(push)
        anchors = ops.any(ops.logical_or(pairs.positives, pairs.negatives), axis=1)
        values = count(anchors, pull.dtype) * (
            shares_of_mean(pull, pairs.positives)
            + shares_of_mean(push, pairs.negatives)
        )
        return values, anchors

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pos_margin": self.pos_margin,
            "neg_margin": self.neg_margin,
            "squared": self.squared,
        }
