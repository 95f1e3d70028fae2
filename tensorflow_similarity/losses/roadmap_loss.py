"""ROADMAP: an upper bound of one minus average precision, and a contrastive loss."""

import math
from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.losses.soft_ranks import (
    Step,
    check_max_positives,
    check_temperature,
    clipped_sigmoid,
    soft_ranks,
)
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ROADMAPLoss(MetricLoss):
    """SupAP, which bounds average precision from below, beside a contrastive loss.

    loss_i = mean_p N_p / (1 + R_p + N_p)
           + contrastive_weight * (mean_p max(0, pos_margin - s_ip)
                                   + mean_n max(0, s_in - neg_margin))
    R_p = how many other positives are nearer than p, without a gradient
    N_p = sum over negatives n of H(s_in - s_ip),  with s = 1 - distance

    H(u) = sigmoid(u / temperature)          for u < 0
           1/2 + sigmoid(u / temperature)    for 0 <= u <= delta
           1/2 + sigmoid(delta / temperature) + rho * (u - delta)   beyond

    H is nowhere below the step from 0 to 1, so the first term is nowhere below one
    minus the average precision, and its slope does not vanish for negatives that are
    far too near, as that of Smooth-AP does. The second term makes scores of several
    batches comparable. The paper's convex mix with one half is one half of this.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. Memory is O(batch^2), forward and backward; the time grows with the
    positives of the anchor that has most.

    Args:
        temperature: float > 0, in the unit of the distance. Defaults to 0.01, as in the
            paper.
        rho: float >= 0. Slope for negatives nearer than the positive by more than
            `delta`. Defaults to 100.0, as in the paper.
        delta: float >= 0, in the unit of the distance. Defaults to 0.05, as in the
            paper.
        pos_margin: float. Positives less similar than this are pulled. Defaults to 0.9,
            as in the paper.
        neg_margin: float. Negatives more similar than this are pushed. Defaults to 0.6,
            as in the paper.
        contrastive_weight: float >= 0. Defaults to 1.0: both alike, as in the paper.
        max_positives: int of at least 1. Of more positives than this, the first mean
            runs over this many, the farthest, which have most to gain; all are still
            counted in R. Defaults to 32: above the 4 to 16 examples a class of a usual
            batch, so that the loss is exact there.
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper: s is then the cosine.
        **kwargs: `targets`, `reduction`, `name` and `miner` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `temperature` is not above 0, `rho`, `delta` or
            `contrastive_weight` is below 0, or `max_positives` is not at least 1.

    Example:

    >>> loss = ROADMAPLoss(contrastive_weight=0.0)
    >>> rows = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]]
    >>> round(float(loss([0, 0, 1, 2], rows)), 4)
    0.9565

    Row 2 is nearer to both rows of class 0 than they are to each other, by 0.2 and by
    0.36: far beyond `delta`, so that it counts for many.

    Reference:
        Ramzi et al., "Robust and Decomposable Average Precision for Image Retrieval",
        NeurIPS 2021.
    """

    def __init__(
        self,
        temperature: float = 0.01,
        rho: float = 100.0,
        delta: float = 0.05,
        pos_margin: float = 0.9,
        neg_margin: float = 0.6,
        contrastive_weight: float = 1.0,
        max_positives: int = 32,
        distance: Distance | str | dict[str, Any] = "cosine",
        **kwargs: Any,
    ):
        super().__init__(distance=distance, **kwargs)
        check_temperature(temperature=temperature)
        if not (rho >= 0 and delta >= 0 and contrastive_weight >= 0):
            raise ValueError(
                "`rho`, `delta` and `contrastive_weight` must be at least 0. Received: "
                f"rho={rho!r}, delta={delta!r}, "
                f"contrastive_weight={contrastive_weight!r}."
            )
        self.temperature = temperature
        self.rho = rho
        self.delta = delta
        self.pos_margin = pos_margin
        self.neg_margin = neg_margin
        self.contrastive_weight = contrastive_weight
        self.max_positives = check_max_positives(max_positives)

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        step = _bounding_step(self.temperature, self.rho, self.delta)
        ranks = soft_ranks(pairs, step, self.max_positives)
        wrong = ranks.negatives_before
        values = ranks.mean(wrong / (1.0 + ranks.positives_before + wrong))

        s = 1.0 - pairs.distances
        too_far = _masked_mean(ops.relu(self.pos_margin - s), pairs.positives)
        too_near = _masked_mean(ops.relu(s - self.neg_margin), pairs.negatives)
        values = values + self.contrastive_weight * (too_far + too_near)
        return values, ops.logical_and(
            ops.any(pairs.positives, axis=1), ops.any(pairs.negatives, axis=1)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "rho": self.rho,
            "delta": self.delta,
            "pos_margin": self.pos_margin,
            "neg_margin": self.neg_margin,
            "contrastive_weight": self.contrastive_weight,
            "max_positives": self.max_positives,
        }


def _bounding_step(temperature: float, rho: float, delta: float) -> Step:
    """The step itself for positives, without a slope, and H for negatives."""
    at_delta = 0.5 + 1.0 / (1.0 + math.exp(-min(delta / temperature, 50.0)))

    def value(gaps: FloatTensor, positives: BoolTensor) -> FloatTensor:
        reached = ops.cast(gaps >= 0, gaps.dtype)
        soft = clipped_sigmoid(gaps / temperature) + 0.5 * reached
        bound = ops.where(gaps > delta, at_delta + rho * (gaps - delta), soft)
        return ops.where(positives, ops.cast(gaps > 0, gaps.dtype), bound)

    def slope(gaps: FloatTensor, positives: BoolTensor) -> FloatTensor:
        share = clipped_sigmoid(gaps / temperature)
        soft = share * (1.0 - share) / temperature
        return ops.where(positives, 0.0, ops.where(gaps > delta, rho, soft))

    return Step(value, slope)


def _masked_mean(values: FloatTensor, mask: BoolTensor) -> FloatTensor:
    n = ops.sum(ops.cast(mask, values.dtype), axis=1)
    return ops.sum(ops.where(mask, values, 0.0), axis=1) / ops.where(n > 0, n, 1.0)
