"""Smooth-AP: average precision with sigmoids for steps."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.losses.soft_ranks import (
    check_max_positives,
    check_temperature,
    sigmoid_step,
    soft_ranks,
)
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SmoothAPLoss(MetricLoss):
    """One minus the average precision of each anchor's ranking, made smooth.

    loss_i = 1 - mean_p (1 + R+_p) / (1 + R+_p + R-_p)
    R+_p = sum over other positives q of sigmoid((d_ip - d_iq) / temperature)
    R-_p = sum over negatives n of sigmoid((d_ip - d_in) / temperature)

    R+_p and R-_p are softly the numbers of positives and of negatives before p, so the
    fraction is the precision where p stands. The query itself has no rank. Exponents
    are clipped to +-50: a pair that far apart, 0.5 by the default, has no gradient.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. Memory is O(batch^2), forward and backward; the time grows with the
    positives of the anchor that has most.

    Args:
        temperature: float > 0, in the unit of the distance. Defaults to 0.01, as in the
            paper; less is nearer to the average precision and learns from fewer pairs.
        max_positives: int of at least 1. Of more positives than this, the mean runs
            over this many, the farthest, which have most to gain; all are still
            counted in R+. Defaults to 32: above the 4 to 16 examples a class of a
            usual batch, so that the loss is exact there.
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper.
        **kwargs: `targets`, `reduction`, `name` and `miner` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, from 0 to 1, shape (batch,), before the reduction.

    Raises:
        ValueError: if `temperature` is not above 0 or `max_positives` not at least 1.

    Example:

    >>> loss = SmoothAPLoss()
    >>> rows = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]]
    >>> round(float(loss([0, 0, 1, 2], rows)), 4)
    0.5

    From both rows of class 0 the row of class 1 comes before the other: the precision
    is 1 / 2.

    Reference:
        Brown et al., "Smooth-AP: Smoothing the Path Towards Large-Scale Image
        Retrieval", ECCV 2020.
    """

    def __init__(
        self,
        temperature: float = 0.01,
        max_positives: int = 32,
        distance: Distance | str | dict[str, Any] = "cosine",
        **kwargs: Any,
    ):
        super().__init__(distance=distance, **kwargs)
        check_temperature(temperature=temperature)
        self.temperature = temperature
        self.max_positives = check_max_positives(max_positives)

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        ranks = soft_ranks(pairs, sigmoid_step(self.temperature), self.max_positives)
        # 1 - (1 + R+) / (1 + R+ + R-), without the loss of digits near 0.
        wrong = ranks.negatives_before
        values = ranks.mean(wrong / (1.0 + ranks.positives_before + wrong))
        return values, ops.logical_and(
            ops.any(pairs.positives, axis=1), ops.any(pairs.negatives, axis=1)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "max_positives": self.max_positives,
        }
