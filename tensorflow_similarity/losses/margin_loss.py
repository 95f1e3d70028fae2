"""Margin loss with a learnable boundary."""

import math
from typing import Any

import keras
from keras import ops

from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.label_note import LabelNote
from tensorflow_similarity.losses.pair_means import at_least_one, count
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.losses.trained_loss import TrainedLoss
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class MarginLoss(LabelNote, TrainedLoss):
    """Keeps positives nearer than a boundary and negatives farther, by a margin.

    loss = sum over active pairs of l / number of active pairs + nu * mean_i beta_i
    l_ip = max(0, alpha + d_ip - beta_i),  l_in = max(0, alpha - d_in + beta_i)

    A pair is active where l is above 0. The number of active pairs is a constant to the
    gradient: it changes only in steps. beta_i is the boundary of anchor i: one for all,
    or that of its class. Learned, it moves until active positives outnumber active
    negatives by the share nu of all active pairs, which is what nu is for.

    The value of an anchor is its part of the sum times the number of anchors, so that
    the mean over anchors is the loss. Without active pairs the sum is 0. An anchor
    without any pair leaves the mean.

    The paper draws negatives evenly over distances: `miner="distance_weighted"`.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "euclidean", as
            in the paper, for rows of length 1, which `MetricEmbedding` gives.
        alpha: float of at least 0, in the unit of the distance. Half the gap to keep
            between positives and negatives. Defaults to 0.2, as in the paper.
        beta: float, in the unit of the distance. The boundary, or where it starts.
            Defaults to 1.2, as in the paper.
        nu: float of at least 0. Keeps a learned boundary from growing. Defaults to 0.0,
            which the paper found enough for one boundary for all.
        learn_beta: whether the boundary is learned. Defaults to False: then the loss
            needs no `SimilarityModel`.
        num_classes: int. As many boundaries, class ids 0 to `num_classes` - 1. Defaults
            to None: one boundary for all.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: `learning_rate_multiplier` and `dim` of `TrainedLoss`; `targets`,
            `reduction` and `miner` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim).
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: for a number out of range; for `nu` or `num_classes` without
            `learn_beta`; for `num_classes` with targets that have no class ids. On a
            call, for a class id of `num_classes` or more; within a graph, where nothing
            can be raised, such a row is no anchor.

    Example:

    >>> loss = MarginLoss(alpha=1.0, beta=5.0)
    >>> float(loss([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]]))
    1.0

    The positives are 5 apart, the negatives 8 and 5: all but the first negative pair
    are active, by 1.

    Reference:
        Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "euclidean",
        alpha: float = 0.2,
        beta: float = 1.2,
        nu: float = 0.0,
        learn_beta: bool = False,
        num_classes: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not (0 <= alpha < math.inf and 0 <= nu < math.inf):
            raise ValueError(
                "`alpha` and `nu` must be at least 0. Received: "
                f"alpha={alpha!r}, nu={nu!r}."
            )
        if not math.isfinite(beta):
            raise ValueError(f"`beta` must be finite. Received: beta={beta!r}.")
        if not learn_beta and (nu or num_classes is not None):
            raise ValueError(
                "`nu` and `num_classes` are for boundaries that are learned: give "
                f"`learn_beta=True`. Received: nu={nu!r}, num_classes={num_classes!r}, "
                f"learn_beta={learn_beta!r}."
            )
        if num_classes is not None and not num_classes >= 1:
            raise ValueError(
                "`num_classes` must be an integer of at least 1, or None. Received: "
                f"num_classes={num_classes!r}."
            )
        if num_classes is not None and self.targets not in ("labels", "labels_ids"):
            raise ValueError(
                "`num_classes` needs class ids, targets='labels' or 'labels_ids'. "
                f"Received: targets={self.targets!r}."
            )
        self.alpha = alpha
        self.beta = beta
        self.nu = nu
        self.learn_beta = learn_beta
        self.num_classes = num_classes

    @property
    def has_weights(self) -> bool:
        return self.learn_beta

    def add_weights(self, dim: int) -> None:
        start = keras.initializers.Constant(self.beta)
        self.add_weight("beta", (self.num_classes or 1,), start)
        if self.num_classes is not None:
            self.add_label_note()

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        if self.num_classes is not None:
            pairs = self._with_classes(pairs, self.num_classes)
        d = pairs.distances
        beta = self._boundaries(pairs)
        l_positive = ops.where(pairs.positives, ops.relu(self.alpha + d - beta), 0.0)
        l_negative = ops.where(pairs.negatives, ops.relu(self.alpha - d + beta), 0.0)
        losses = l_positive + l_negative
        anchors = ops.any(ops.logical_or(pairs.positives, pairs.negatives), axis=1)
        n_active = at_least_one(count(losses > 0, d.dtype))
        values = count(anchors, d.dtype) / n_active * ops.sum(losses, axis=1)
        if self.nu:
            values = values + self.nu * beta[:, 0]
        return values, anchors

    def _boundaries(self, pairs: Pairs) -> FloatTensor:
        """The boundary of each anchor, (n_queries, 1)."""
        column = ops.zeros_like(pairs.distances[:, :1])
        if not self.learn_beta:
            return column + self.beta
        beta = ops.cast(self.weight("beta"), column.dtype)
        if self.num_classes is None:
            return column + beta
        rows = ops.clip(pairs.query_labels, 0, self.num_classes - 1)
        return ops.take(beta, rows)[:, None]

    def _with_classes(self, pairs: Pairs, num_classes: int) -> Pairs:
        """The pairs whose anchor has a boundary; raises for others where it can."""
        labels: Any = pairs.query_labels
        self.note(labels)
        known = ops.logical_and(labels >= 0, labels < num_classes)[:, None]
        return pairs.kept(
            ops.logical_and(pairs.positives, known),
            ops.logical_and(pairs.negatives, known),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "beta": self.beta,
            "nu": self.nu,
            "learn_beta": self.learn_beta,
            "num_classes": self.num_classes,
        }
