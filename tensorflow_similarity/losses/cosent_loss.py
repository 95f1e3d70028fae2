"""Cosine sentence loss: similarities ranked as the grades of the pairs."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import (
    cumulative_log_sum_exp,
    largest_of,
    masked_log1p_sum_exp,
    masked_log_sum_exp,
)
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs, Targets
from tensorflow_similarity.types import BoolTensor, FloatTensor, IntTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class CoSENTLoss(MetricLoss):
    """Asks every pair of a higher grade to be more similar than every one of a lower.

    loss = log(1 + sum over pairs (i, j), (k, l) with g_ij > g_kl of
                   exp(scale * (s_kl - s_ij))),  with s = 1 - d

    The grades g are the relation given as `y_true`, of any real values from 0 up; only
    their order matters. Below 0 a pair is unknown and in no sum, as a row with itself.
    (i, j) and (j, i) are two pairs. With labels, positives have the grade 1 and
    negatives 0.

    The loss has no part that is one anchor's: each anchor with a pair answers the
    loss of the whole batch, so that the mean over anchors is that. If all pairs have
    one grade, value and weight are 0.

    The batch^4 comparisons are never made: for pairs sorted by grade the sum is one
    running log-sum-exp. Time is O(batch^2 log batch), memory O(batch^2). The gradient
    is exact; a gradient of the gradient is not.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper.
        scale: float > 0. How much the worst comparison outweighs the others. Defaults
            to 20.0, as in the paper.
        targets: as `MetricLoss` takes them. Defaults to "relation".
        name: str. Defaults to None: made from the name of the class.
        **kwargs: as `MetricLoss` takes them.

    Call arguments:
        y_true: grades, shape (batch, batch), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,): only their mean
            matters.

    Returns:
        The loss of the batch for each anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `scale` is not above 0.

    Example:

    >>> loss = CoSENTLoss(scale=1.0)
    >>> grades = [[-1, 3, 1], [-1, -1, -1], [-1, -1, -1]]
    >>> round(float(loss(grades, [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])), 4)
    1.3133

    Row 1, of grade 3, is less similar to row 0 than row 2, of grade 1: log(1 + e).

    Reference:
        Huang et al., "CoSENT: Consistent Sentence Embedding via Similarity Ranking",
        IEEE/ACM Transactions on Audio, Speech, and Language Processing, 2024.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        scale: float = 20.0,
        targets: Targets = "relation",
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, targets=targets, name=name, **kwargs)
        if not scale > 0:
            raise ValueError(f"`scale` must be above 0. Received: scale={scale!r}.")
        self.scale = scale

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        logits = -self.scale * pairs.distances
        if pairs.relation is None:
            low, has_low = masked_log_sum_exp(logits, pairs.negatives, axis=None)
            high, has_high = masked_log_sum_exp(-logits, pairs.positives, axis=None)
            some = ops.logical_and(has_low, has_high)
            loss = ops.softplus(low + high)
        else:
            paired = ops.logical_or(pairs.positives, pairs.negatives)
            loss, some = _ranking_loss(logits, pairs.relation, paired)
        counted = ops.any(ops.logical_or(pairs.positives, pairs.negatives), axis=1)
        weights = ops.logical_and(counted, some)
        return ops.where(weights, loss, 0.0), weights

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


def _ranking_loss(
    logits: FloatTensor, grades: FloatTensor, mask: BoolTensor
) -> tuple[FloatTensor, BoolTensor]:
    """log(1 + sum of exp(x_q - x_p) over g_p > g_q under the mask), and if any is.

    Logits, grades and mask have one shape, (n_queries, n_keys).
    """
    width = ops.shape(logits)[1]
    order = ops.argsort(ops.reshape(grades, (-1,)))
    grades = ops.take(ops.reshape(grades, (-1,)), order)
    mask = ops.take(ops.reshape(mask, (-1,)), order)
    x = ops.take(ops.reshape(logits, (-1,)), order)
    constant = ops.stop_gradient(x)

    # Of each pair p the sum over lower grades, and of each q that over higher ones:
    # the running sum before the first pair of the grade, and after the last.
    first, after = _runs(grades)
    lowest = ops.full((1,), -largest_of(x.dtype), dtype=x.dtype)
    running = cumulative_log_sum_exp(ops.where(mask, constant, lowest), width)
    lower = ops.take(ops.concatenate([lowest, running]), first)
    running = cumulative_log_sum_exp(
        ops.flip(ops.where(mask, -constant, lowest)), width
    )
    higher = ops.take(ops.concatenate([ops.flip(running), lowest]), after)

    is_high = ops.logical_and(mask, lower > 0.5 * lowest)
    is_low = ops.logical_and(mask, higher > 0.5 * lowest)
    loss = masked_log1p_sum_exp(lower - constant, is_high, axis=0)
    # d loss / d x_q = sum_p exp(x_q - x_p - loss), and for p its negative: known
    # without going back through the running sums. `x - constant` is 0.
    slope = _masked_exp(constant + higher - loss, is_low) - _masked_exp(
        lower - constant - loss, is_high
    )
    return loss + ops.sum(slope * (x - constant)), ops.any(is_high)


def _runs(grades: FloatTensor) -> tuple[IntTensor, IntTensor]:
    """For each of the sorted grades, where its equals begin, and where they end."""
    n = ops.shape(grades)[0]
    at = ops.arange(n, dtype="int32")
    begins = ops.concatenate([ops.ones((1,), "bool"), grades[1:] > grades[:-1]])
    run = ops.cumsum(ops.cast(begins, "int32")) - 1
    # Where each run begins, the runs in order, then n. Not by `segment_sum`, which
    # goes through float32 on torch, nor `searchsorted`, n^2 under XLA (Keras 3.15).
    starts = ops.sort(ops.where(begins, at, n))
    starts = ops.concatenate([starts, ops.full((1,), n, dtype=starts.dtype)])
    return ops.take(starts, run), ops.take(starts, run + 1)


def _masked_exp(x: FloatTensor, mask: BoolTensor) -> FloatTensor:
    return ops.where(mask, ops.exp(ops.where(mask, x, 0.0)), 0.0)
