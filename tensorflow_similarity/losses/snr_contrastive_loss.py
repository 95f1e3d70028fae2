"""Contrastive loss on the signal-to-noise ratio."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity.losses.contrastive_loss import ContrastiveLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SNRContrastiveLoss(ContrastiveLoss):
    """The contrastive loss on noise to signal, with embeddings of mean zero.

    loss = mean over positive pairs of max(0, d - pos_margin)
         + mean over negative pairs of max(0, neg_margin - d)
         + regularization_weight * mean over anchors of |sum_f z_f|
    d(a, b) = var(a - b) / var(a), variances over the features

    Only variances count in d, so it says nothing of the mean of a row; the last term
    keeps that at 0, where variance and length are one. An anchor without any pair
    leaves both the mean and the regularizer.

    Args:
        pos_margin: float of at least 0, a ratio of variances. Defaults to 0.0:
            positives are pulled together all the way.
        neg_margin: float above 0, a ratio of variances. Defaults to 1.0: noise as
            strong as the signal. Independent rows of equal variance are at 2.
        regularization_weight: float of at least 0. Defaults to 0.1, as in the paper.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: `squared` of `ContrastiveLoss`; `targets`, `reduction` and `miner` of
            `MetricLoss`. The distance is "snr".

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: for a margin or weight out of range.

    Example:

    >>> loss = SNRContrastiveLoss(regularization_weight=0.5)
    >>> float(loss([0, 0], [[1.0, -1.0], [3.0, -1.0]]))
    1.125

    The rows differ by [2, 0], of variance 1, and their own variances are 1 and 4: the
    mean distance is 0.625. Their sums are 0 and 2: half of 1 on average.

    Reference:
        Yuan et al., "Signal-to-Noise Ratio: A Robust Distance Metric for Deep Metric
        Learning", CVPR 2019.
    """

    def __init__(
        self,
        pos_margin: float = 0.0,
        neg_margin: float = 1.0,
        regularization_weight: float = 0.1,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            distance="snr",
            pos_margin=pos_margin,
            neg_margin=neg_margin,
            name=name,
            **kwargs,
        )
        if not regularization_weight >= 0:
            raise ValueError(
                "`regularization_weight` must be a number of at least 0. Received: "
                f"regularization_weight={regularization_weight!r}."
            )
        self.regularization_weight = regularization_weight

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        values, anchors = super().compute(pairs)
        offsets = ops.abs(ops.sum(pairs.query_embeddings, axis=1))
        return values + self.regularization_weight * offsets, anchors

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["distance"]  # It is always the same.
        return {**config, "regularization_weight": self.regularization_weight}
