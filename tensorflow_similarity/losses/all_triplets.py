"""Sums over every positive of every anchor, in the memory of one."""

from typing import Any

from keras import ops

from tensorflow_similarity._core.numerics import masked_max, masked_min
from tensorflow_similarity.types import BoolTensor, FloatTensor, Tensor


def triplet_terms(gap: FloatTensor, margin: float | None) -> FloatTensor:
    """The loss of triplets with these gaps d_ap - d_an, of any shape."""
    return ops.softplus(gap) if margin is None else ops.relu(gap + margin)


def sum_over_positives(
    distances: FloatTensor,
    positives: BoolTensor,
    negatives: BoolTensor,
    margin: float | None,
    semi_hard: bool,
) -> FloatTensor:
    """The losses of the triplets of each anchor, summed: shape (n_queries,).

    One positive of each anchor at a time meets its negatives, so that memory is
    O(n_queries * n_keys) and time that, times the most positives an anchor has. The
    slopes are summed along with the losses: nothing is kept for a backward pass. A
    second derivative does not go through.

    Args:
        distances: shape (n_queries, n_keys).
        positives: bool, the same shape.
        negatives: bool, the same shape.
        margin: None for the soft margin.
        semi_hard: whether a positive meets only the nearest of the negatives farther
            than itself, or, if there is none, the farthest; equally far ones share.
    """
    d = ops.stop_gradient(distances)
    number = ops.cumsum(ops.cast(positives, "int32"), axis=1)
    n_positives = ops.max(number)
    farthest, _ = masked_max(d, negatives)

    def more(k: Tensor, losses: Tensor, slopes: Tensor) -> Tensor:
        return k <= n_positives

    def add(k: Tensor, losses: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        positive = ops.logical_and(positives, number == k)
        d_ap = ops.sum(ops.where(positive, d, 0.0), axis=1, keepdims=True)
        met = ops.logical_and(negatives, ops.any(positive, axis=1, keepdims=True))
        if semi_hard:
            nearest, some = masked_min(d, ops.logical_and(met, d > d_ap))
            mined = ops.where(some, nearest, farthest)
            met = ops.logical_and(met, d == mined[:, None])
        weights = ops.cast(met, d.dtype)
        if semi_hard:
            n_met = ops.sum(weights, axis=1, keepdims=True)
            weights = weights / ops.where(n_met > 0, n_met, 1.0)
        gap = d_ap - d
        slope = weights * _slope(gap, margin)
        losses = losses + ops.sum(weights * triplet_terms(gap, margin), axis=1)
        pull = ops.where(positive, ops.sum(slope, axis=1, keepdims=True), 0.0)
        return k + 1, losses, slopes + pull - slope

    start: Any = (
        ops.ones((), dtype="int32"),
        ops.zeros_like(farthest),
        ops.zeros_like(d),
    )
    _, losses, slopes = ops.while_loop(more, add, start)
    # What the loop computed from is constant, and so is its outcome: no backend looks
    # for a gradient of the loop. The second term is 0, and its gradient the slopes.
    losses, slopes = ops.stop_gradient(losses), ops.stop_gradient(slopes)
    return losses + ops.sum(slopes * (distances - d), axis=1)


def _slope(gap: FloatTensor, margin: float | None) -> FloatTensor:
    """The derivative of `triplet_terms` by the gap."""
    if margin is None:
        return ops.sigmoid(gap)
    return ops.cast(gap + margin > 0, gap.dtype)
