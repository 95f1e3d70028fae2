"""Triplet loss with mining inside the batch."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_max, masked_min
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor

_POSITIVE_STRATEGIES = ("easy", "hard")
_NEGATIVE_STRATEGIES = ("easy", "hard", "semi-hard")


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class TripletLoss(MetricLoss):
    """Asks the negative of each anchor to be farther away than its positive.

    loss_i = max(0, d_ip - d_in + margin), or without a margin log(1 + exp(d_ip - d_in))

    Each anchor has one triplet, mined in the batch. Positive p: "hard", the farthest of
    its class; "easy", the nearest. Negative n: "hard", the nearest of another class;
    "semi-hard", the nearest of those farther than the mined positive, or, if there is
    none, the farthest; "easy", the farthest.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. Memory is O(batch^2).

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            TensorFlow Similarity. FaceNet used "squared_euclidean" with margin 0.2.
        positive_mining_strategy: "hard" or "easy". Defaults to "hard", as in Hermans
            et al.; "easy" keeps classes with several clusters apart.
        negative_mining_strategy: "semi-hard", "hard" or "easy". Defaults to
            "semi-hard", as in FaceNet: the hardest negatives early in training can
            make all embeddings collapse to one point.
        margin: float of at least 0, in the unit of the distance, or None for the soft
            margin. Defaults to None, which Hermans et al. found best.
        name: str. Defaults to "triplet_loss".
        **kwargs: `targets` and `reduction` of `MetricLoss`.

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
        if positive_mining_strategy not in _POSITIVE_STRATEGIES:
            raise ValueError(
                "`positive_mining_strategy` must be one of "
                f"{list(_POSITIVE_STRATEGIES)}. Received: "
                f"positive_mining_strategy={positive_mining_strategy!r}."
            )
        if negative_mining_strategy not in _NEGATIVE_STRATEGIES:
            raise ValueError(
                "`negative_mining_strategy` must be one of "
                f"{list(_NEGATIVE_STRATEGIES)}. Received: "
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
        if self.positive_mining_strategy == "hard":
            positive, has_positive = masked_max(pairs.distances, pairs.positives)
        else:
            positive, has_positive = masked_min(pairs.distances, pairs.positives)

        nearest, has_negative = masked_min(pairs.distances, pairs.negatives)
        if self.negative_mining_strategy == "hard":
            negative = nearest
        else:
            negative, _ = masked_max(pairs.distances, pairs.negatives)
        if self.negative_mining_strategy == "semi-hard":
            farther = ops.logical_and(
                pairs.negatives, pairs.distances > positive[:, None]
            )
            semi_hard, has_semi_hard = masked_min(pairs.distances, farther)
            negative = ops.where(has_semi_hard, semi_hard, negative)

        if self.margin is None:
            values = ops.softplus(positive - negative)
        else:
            values = ops.relu(positive - negative + self.margin)
        return values, ops.logical_and(has_positive, has_negative)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "positive_mining_strategy": self.positive_mining_strategy,
            "negative_mining_strategy": self.negative_mining_strategy,
            "margin": self.margin,
        }


TripletMarginLoss = TripletLoss
"""The name of `TripletLoss` in pytorch-metric-learning."""
