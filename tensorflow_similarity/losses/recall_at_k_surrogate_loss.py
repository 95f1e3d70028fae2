"""Recall@k surrogate: sigmoids for the steps of the recall."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.losses.soft_ranks import (
    check_max_positives,
    check_temperature,
    clipped_sigmoid,
    sigmoid_step,
    soft_ranks,
)
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class RecallAtKSurrogateLoss(MetricLoss):
    """One minus the recall among the first k, made smooth, averaged over several k.

    rank_p = 1 + sum over other keys j of sigmoid((d_ip - d_ij) / rank_temperature)
    recall_k = min(k, sum_p sigmoid((k - rank_p) / temperature)) / min(k, n_positives)
    loss_i = 1 - mean over k of recall_k

    The query itself is not among the keys, so the nearest key has rank 1. Exponents are
    clipped to +-50.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. Memory is O(batch^2), forward and backward; the time grows with the
    positives of the anchor that has most.

    Args:
        k: integers of at least 1. Defaults to (1, 2, 4, 8, 16), as in the paper.
        temperature: float > 0, in ranks: how soft the first k end. Defaults to 1.0, as
            in the paper.
        rank_temperature: float > 0, in the unit of the distance. Defaults to 0.01, as
            in the paper.
        max_positives: int, at least the largest `k`. Of more positives than this, the
            sum runs over this many, the nearest, of which alone some can be among the
            first k; all still have a part in the ranks. Defaults to 32: above the 4 to
            16 examples a class of a usual batch, so that the loss is exact there.
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
        ValueError: if `k` is empty or has a number below 1, a temperature is not above
            0, or `max_positives` is below the largest `k`.

    Example:

    >>> loss = RecallAtKSurrogateLoss(k=[1, 2], temperature=0.01)
    >>> rows = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]]
    >>> round(float(loss([0, 0, 1, 2], rows)), 4)
    0.75

    From both rows of class 0 the other has rank 2: not among the first, and on the very
    edge of the first two, which counts one half.

    Reference:
        Patel et al., "Recall@k Surrogate Loss with Large Batches and Similarity Mixup",
        CVPR 2022.
    """

    def __init__(
        self,
        k: Sequence[int] = (1, 2, 4, 8, 16),
        temperature: float = 1.0,
        rank_temperature: float = 0.01,
        max_positives: int = 32,
        distance: Distance | str | dict[str, Any] = "cosine",
        **kwargs: Any,
    ):
        super().__init__(distance=distance, **kwargs)
        numbers = [k] if isinstance(k, int) else list(k)
        if not numbers or any(
            isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in numbers
        ):
            raise ValueError(
                f"`k` must be one or more integers of at least 1. Received: k={k!r}."
            )
        check_temperature(temperature=temperature, rank_temperature=rank_temperature)
        if check_max_positives(max_positives) < max(numbers):
            raise ValueError(
                "`max_positives` must be at least the largest `k`, or not all of the "
                f"first k could be found. Received: max_positives={max_positives!r}, "
                f"k={k!r}."
            )
        self.k = numbers
        self.temperature = temperature
        self.rank_temperature = rank_temperature
        self.max_positives = max_positives

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        ranks = soft_ranks(
            pairs,
            sigmoid_step(self.rank_temperature),
            self.max_positives,
            nearest=True,
        )
        rank = 1.0 + ranks.positives_before + ranks.negatives_before
        n_positives = ops.sum(ops.cast(pairs.positives, rank.dtype), axis=1)
        missed = ops.zeros_like(n_positives)
        for k in self.k:
            shares = clipped_sigmoid((k - rank) / self.temperature)
            found = ops.sum(ops.where(ranks.kept, shares, 0.0), axis=1)
            most = ops.where(n_positives < k, n_positives, float(k))
            recall = ops.where(found < k, found, float(k))
            missed = missed + 1.0 - recall / ops.where(most > 0, most, 1.0)
        return missed / len(self.k), ops.logical_and(
            ops.any(pairs.positives, axis=1), ops.any(pairs.negatives, axis=1)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "k": list(self.k),
            "temperature": self.temperature,
            "rank_temperature": self.rank_temperature,
            "max_positives": self.max_positives,
        }
