"""Lifted structure loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import (
    masked_log_sum_exp,
    masked_max,
    masked_min,
)
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pair_means import at_least_one, count
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor

_POSITIVE_STRATEGIES = ("all", "easy", "hard")


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class LiftedStructureLoss(MetricLoss):
    """Compares each positive pair with the negatives of both of its rows.

    loss = mean over positive pairs (i, j) of max(0, J_ij)^2 / 2
    J_ij = d_ij + log(sum_{n of i} exp(margin - d_in) + sum_{n of j} exp(margin - d_jn))

    The sums are made once a row and joined pair by pair: memory is O(batch^2). The
    value of an anchor is its part of the mean times the number of anchors with a pair,
    so that the mean over anchors is the loss. A positive pair neither of whose rows has
    a negative does not count; an anchor without any pair that counts leaves the mean.

    With keys of their own (see `between`) the negatives of a key are among the
    queries. Rows of a memory (see `XBM`) are no anchors and bring no negatives: of a
    pair with one, J has those of the row in the batch alone.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "euclidean", as
            in the paper.
        positive_mining_strategy: "all", every positive pair; "hard", of each anchor the
            one farthest apart; "easy", the one nearest; equally far ones count as one,
            with the mean of their losses. Defaults to "all", as in the paper.
        margin: float of at least 0, in the unit of the distance. Defaults to 1.0, as in
            the paper.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: `targets`, `reduction` and `miner` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim).
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: for an unknown strategy or a negative margin.

    Example:

    >>> loss = LiftedStructureLoss()
    >>> round(float(loss([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [0.0, 5.0]])), 4)
    4.4564

    The positives are 5 apart, their negatives 5 and sqrt(10): J = 2.985.

    Reference:
        Oh Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding",
        CVPR 2016.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "euclidean",
        positive_mining_strategy: str = "all",
        margin: float = 1.0,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if positive_mining_strategy not in _POSITIVE_STRATEGIES:
            raise ValueError(
                "`positive_mining_strategy` must be one of "
                f"{list(_POSITIVE_STRATEGIES)}. Received: "
                f"positive_mining_strategy={positive_mining_strategy!r}."
            )
        if not margin >= 0:
            raise ValueError(
                f"`margin` must be a number of at least 0. Received: margin={margin!r}."
            )
        self.positive_mining_strategy = positive_mining_strategy
        self.margin = margin

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        d, negatives = pairs.distances, pairs.negatives
        near, some = masked_log_sum_exp(self.margin - d, negatives)
        if pairs.key_embeddings is pairs.query_embeddings:
            key_near, key_some = near, some
        elif pairs.keys_start_with_queries:
            # Rows of a memory are no anchors: they bring no negatives of their own.
            n_more = ops.shape(d)[1] - ops.shape(d)[0]
            key_near = ops.concatenate([near, ops.zeros((n_more,), near.dtype)])
            key_some = ops.concatenate([some, ops.zeros((n_more,), "bool")])
        else:
            key_near, key_some = masked_log_sum_exp(self.margin - d, negatives, axis=0)
        joined = _log_add_exp(
            near[:, None], some[:, None], key_near[None, :], key_some[None, :]
        )
        losses = 0.5 * ops.square(ops.relu(d + joined))

        comparable = ops.logical_or(some[:, None], key_some[None, :])
        positives = ops.logical_and(pairs.positives, comparable)
        if self.positive_mining_strategy != "all":
            mined = (
                masked_max if self.positive_mining_strategy == "hard" else masked_min
            )
            chosen, _ = mined(d, positives)
            positives = ops.logical_and(positives, d == chosen[:, None])
        mask = ops.cast(positives, d.dtype)
        n_pairs = ops.sum(mask, axis=1)
        anchors = n_pairs > 0
        sums = ops.sum(mask * losses, axis=1)
        if self.positive_mining_strategy != "all":
            return sums / at_least_one(n_pairs), anchors
        n_anchors = count(anchors, d.dtype)
        return n_anchors / at_least_one(ops.sum(n_pairs)) * sums, anchors

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "positive_mining_strategy": self.positive_mining_strategy,
            "margin": self.margin,
        }


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class LiftedStructLoss(LiftedStructureLoss):
    """`LiftedStructureLoss` by the name and with the defaults of TF Similarity.

    Of each anchor only the farthest positive, by the cosine distance.

    Args:
        distance: as there. Defaults to "cosine".
        positive_mining_strategy: as there. Defaults to "hard".
        margin: as there. Defaults to 1.0.
        name: str. Defaults to "lifted_struct_loss".
        **kwargs: as there.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        positive_mining_strategy: str = "hard",
        margin: float = 1.0,
        name: str | None = "lifted_struct_loss",
        **kwargs: Any,
    ):
        super().__init__(
            distance=distance,
            positive_mining_strategy=positive_mining_strategy,
            margin=margin,
            name=name,
            **kwargs,
        )


def _log_add_exp(
    a: FloatTensor, has_a: BoolTensor, b: FloatTensor, has_b: BoolTensor
) -> FloatTensor:
    """log(exp(a) + exp(b)) of what there is of the two; 0 if there is neither."""
    # Absent ones are 0. By softplus the gradient is shared evenly between equals.
    both = ops.logical_and(has_a, has_b)
    return ops.where(both, a + ops.softplus(b - a), a + b)
