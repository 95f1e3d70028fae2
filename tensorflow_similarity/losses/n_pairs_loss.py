"""Multi-class N-pair loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_log_sum_exp
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class NPairsLoss(MetricLoss):
    """Tells the positive of each anchor from all negatives of the batch at once.

    loss_i = mean_p log(1 + sum_n exp(s_in - s_ip)) + l2_weight * |z_i|^2,  with s = z.z
    the inner products of rows that are not normalised.

    Every row is an anchor, and all rows of other classes are its negatives. The paper
    draws two rows a class and takes one of the two as anchor and the other as what
    anchors of other classes are compared with; here both take both parts, and the order
    of the batch does not matter. With more than two rows of a class an anchor has
    several positives, and its loss is the mean over them, each compared with the
    negatives alone: the other positives are in no sum.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean, and its length is not penalised. Memory is O(batch^2).

    Args:
        distance: Distance, its name or its serialized dict; s = -d. Defaults to
            "inner_product", as in the paper. The cosine, whose similarities end at 1,
            leaves this loss hardly any gradient: take `NTXentLoss` for it.
        l2_weight: float of at least 0. Keeps the embeddings from growing, which would
            lower the loss without any learning. Defaults to 0.002, as in the paper.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: as `MetricLoss` takes them.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim), not normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `l2_weight` is negative.

    Example:

    >>> loss = NPairsLoss(l2_weight=0.0)
    >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])), 4)
    0.1269

    Reference:
        Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective",
        NIPS 2016.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "inner_product",
        l2_weight: float = 0.002,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not l2_weight >= 0:
            raise ValueError(
                f"`l2_weight` must be at least 0. Received: l2_weight={l2_weight!r}."
            )
        self.l2_weight = l2_weight

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        logits = -pairs.distances
        other, has_negative = masked_log_sum_exp(logits, pairs.negatives)
        terms = ops.softplus(other[:, None] - logits)
        count = ops.sum(ops.cast(pairs.positives, terms.dtype), axis=1)
        total = ops.sum(ops.where(pairs.positives, terms, 0.0), axis=1)
        some = count > 0
        values = total / ops.where(some, count, 1.0)
        lengths = ops.sum(ops.square(pairs.query_embeddings), axis=1)
        return (
            values + self.l2_weight * lengths,
            ops.logical_and(some, has_negative),
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "l2_weight": self.l2_weight}
