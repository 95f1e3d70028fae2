"""Triplet loss with mining inside the batch."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_max, masked_min
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.all_triplets import sum_over_positives, triplet_terms
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pair_means import at_least_one, count, shares_of_mean
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class TripletLoss(MetricLoss):
    """Asks the negative of each anchor to be farther away than its positive.

    loss_i = max(0, d_ip - d_in + margin), or without a margin log(1 + exp(d_ip - d_in))

    Each anchor has one triplet, mined in the batch. Positive p: "hard", the farthest of
    its class; "easy", the nearest. Negative n: "hard", the nearest of another class;
    "semi-hard", the nearest of those farther than the mined positive, or, if there is
    none, the farthest; "easy", the farthest.

    With "all" positives an anchor has a triplet with each of them, for which the
    negative is mined; with "all" negatives one with each of those; with both, every
    triplet of the batch. The loss is then the mean over triplets, those without loss
    included: the value of an anchor is its part times the number of anchors. A `miner`
    chooses the pairs that the strategies then choose among.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. Memory is O(batch^2), whatever the strategies. Time is, too, times
    the most positives an anchor has for "all" positives with "semi-hard" or "all"
    negatives.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            TensorFlow Similarity. FaceNet used "squared_euclidean" with margin 0.2.
        positive_mining_strategy: "hard", "easy" or "all". Defaults to "hard", as in
            Hermans et al.; "easy" keeps classes with several clusters apart; "all" with
            "semi-hard" negatives is FaceNet.
        negative_mining_strategy: "semi-hard", "hard", "easy" or "all". Defaults to
            "semi-hard", as in FaceNet: the hardest negatives early in training can
            make all embeddings collapse to one point.
        margin: float of at least 0, in the unit of the distance, or None for the soft
            margin. Defaults to None, which Hermans et al. found best.
        name: str. Defaults to "triplet_loss".
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

    >>> loss = TripletLoss("euclidean", margin=1.0)
    >>> float(loss([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]]))
    0.5

    Row 0 has its positive at 5 and its negative at 8: no loss. Row 1 has both at 5.
    Row 2 has no positive: it does not count.

    Reference:
        Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and
        Clustering", CVPR 2015. Hermans et al., "In Defense of the Triplet Loss for
        Person Re-Identification", 2017.
    """

    positive_mining_strategies: tuple[str, ...] = ("all", "easy", "hard")
    negative_mining_strategies: tuple[str, ...] = ("all", "easy", "hard", "semi-hard")

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        positive_mining_strategy: str = "hard",
        negative_mining_strategy: str = "semi-hard",
        margin: float | None = None,
        name: str | None = "triplet_loss",
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if positive_mining_strategy not in self.positive_mining_strategies:
            raise ValueError(
                "`positive_mining_strategy` must be one of "
                f"{list(self.positive_mining_strategies)}. Received: "
                f"positive_mining_strategy={positive_mining_strategy!r}."
            )
        if negative_mining_strategy not in self.negative_mining_strategies:
            raise ValueError(
                "`negative_mining_strategy` must be one of "
                f"{list(self.negative_mining_strategies)}. Received: "
                f"negative_mining_strategy={negative_mining_strategy!r}."
            )
        if margin is not None and not margin >= 0:
            raise ValueError(
                "`margin` must be a number of at least 0, or None for the soft margin. "
                f"Received: margin={margin!r}."
            )
        self.positive_mining_strategy = positive_mining_strategy
        self.negative_mining_strategy = negative_mining_strategy
        self.margin = margin

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        d, positives, negatives = pairs.distances, pairs.positives, pairs.negatives
        nearest, has_negative = masked_min(d, negatives)
        farthest, _ = masked_max(d, negatives)
        anchors = ops.logical_and(ops.any(positives, axis=1), has_negative)
        positives = ops.logical_and(positives, anchors[:, None])
        negatives = ops.logical_and(negatives, anchors[:, None])
        n_anchors = count(anchors, d.dtype)

        if self.positive_mining_strategy == "all":
            if self.negative_mining_strategy in ("hard", "easy"):
                hard = self.negative_mining_strategy == "hard"
                gaps = d - (nearest if hard else farthest)[:, None]
                terms = triplet_terms(gaps, self.margin)
                return n_anchors * shares_of_mean(terms, positives), anchors
            semi_hard = self.negative_mining_strategy == "semi-hard"
            sums = sum_over_positives(d, positives, negatives, self.margin, semi_hard)
            n_triplets = ops.sum(ops.cast(positives, d.dtype), axis=1)
            if not semi_hard:
                n_triplets *= ops.sum(ops.cast(negatives, d.dtype), axis=1)
            return n_anchors / at_least_one(ops.sum(n_triplets)) * sums, anchors

        mined = masked_max if self.positive_mining_strategy == "hard" else masked_min
        positive, _ = mined(d, positives)
        if self.negative_mining_strategy == "all":
            terms = triplet_terms(positive[:, None] - d, self.margin)
            return n_anchors * shares_of_mean(terms, negatives), anchors
        if self.negative_mining_strategy == "hard":
            negative = nearest
        elif self.negative_mining_strategy == "easy":
            negative = farthest
        else:
            farther = ops.logical_and(negatives, d > positive[:, None])
            semi_hard_one, has_semi_hard = masked_min(d, farther)
            negative = ops.where(has_semi_hard, semi_hard_one, farthest)
        return triplet_terms(positive - negative, self.margin), anchors

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "positive_mining_strategy": self.positive_mining_strategy,
            "negative_mining_strategy": self.negative_mining_strategy,
            "margin": self.margin,
        }


TripletMarginLoss = TripletLoss
"""The name of `TripletLoss` in pytorch-metric-learning."""
