"""Triplet loss that counts the nearer of two negative distances."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import largest_of
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.all_triplets import triplet_terms
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.losses.triplet_loss import TripletLoss
from tensorflow_similarity.types import BoolTensor, FloatTensor, IntTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class PNLoss(TripletLoss):
    """Asks the negative to be farther from the anchor and from its positive.

    loss_i = max(0, d_ip - min(d_in, d_pn) + margin), or without a margin
    log(1 + exp(d_ip - min(d_in, d_pn)))

    Each anchor has one triplet, mined as in `TripletLoss`. Where the negative is nearer
    to the positive than to the anchor, the two swap roles. Of equally far rows the
    first in the batch is mined.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. Memory is O(batch^2).

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            TensorFlow Similarity.
        positive_mining_strategy: "hard" or "easy". Defaults to "hard".
        negative_mining_strategy: "semi-hard", "hard" or "easy". Defaults to
            "semi-hard".
        margin: float of at least 0, in the unit of the distance, or None for the soft
            margin. Defaults to None, as in TensorFlow Similarity.
        name: str. Defaults to "pn_loss".
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

    >>> loss = PNLoss("euclidean", margin=1.0)
    >>> float(loss([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]]))
    1.0

    Row 0 has its positive at 5 and its negative at 8, which is but 5 from the positive:
    a loss of the margin, as for row 1. Row 2 has no positive: it does not count.

    Reference:
        Balntas et al., "Learning Local Feature Descriptors with Triplets and Shallow
        Convolutional Neural Networks", BMVC 2016: the swap of anchor and positive.
    """

    positive_mining_strategies = ("easy", "hard")
    negative_mining_strategies = ("easy", "hard", "semi-hard")

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        positive_mining_strategy: str = "hard",
        negative_mining_strategy: str = "semi-hard",
        margin: float | None = None,
        name: str | None = "pn_loss",
        **kwargs: Any,
    ):
        super().__init__(
            distance=distance,
            positive_mining_strategy=positive_mining_strategy,
            negative_mining_strategy=negative_mining_strategy,
            margin=margin,
            name=name,
            **kwargs,
        )

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        d, negatives = pairs.distances, pairs.negatives
        hard = self.positive_mining_strategy == "hard"
        p = (_farthest if hard else _nearest)(d, pairs.positives)
        d_ap = _at(d, p)
        if self.negative_mining_strategy == "hard":
            n = _nearest(d, negatives)
        else:
            n = _farthest(d, negatives)
        if self.negative_mining_strategy == "semi-hard":
            farther = ops.logical_and(negatives, d > d_ap[:, None])
            n = ops.where(ops.any(farther, axis=1), _nearest(d, farther), n)
        d_an = _at(d, n)
        d_pn = _at(pairs.distances_from(p), n)
        nearer = ops.where(d_pn < d_an, d_pn, d_an)
        anchors = ops.logical_and(
            ops.any(pairs.positives, axis=1), ops.any(negatives, axis=1)
        )
        return triplet_terms(d_ap - nearer, self.margin), anchors


def _farthest(d: FloatTensor, mask: BoolTensor) -> IntTensor:
    """The first key that is farthest under the mask, (n_queries,)."""
    return ops.argmax(ops.where(mask, d, -largest_of(d.dtype)), axis=1)


def _nearest(d: FloatTensor, mask: BoolTensor) -> IntTensor:
    """The first key that is nearest under the mask, (n_queries,)."""
    return ops.argmin(ops.where(mask, d, largest_of(d.dtype)), axis=1)


def _at(rows: FloatTensor, columns: Tensor) -> FloatTensor:
    """Of each row the value in its column, (n_queries,)."""
    return ops.squeeze(ops.take_along_axis(rows, columns[:, None], axis=1), axis=1)
