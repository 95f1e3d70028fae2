"""Normalised temperature-scaled cross-entropy with labels."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_log_sum_exp
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class NTXentLoss(MetricLoss):
    """Asks each positive of an anchor to be told from all of its negatives.

    loss = mean over pairs (i, p) of
           -log(exp(s_ip / T) / (exp(s_ip / T) + sum_n exp(s_in / T))),  with s = 1 - d

    The other positives of the anchor are not in the sum below: a positive competes with
    negatives only. With two rows a class this is SimCLR's loss. The mean is over
    pairs, so that a class with more rows weighs more; each anchor answers its sum of
    pairs times (number of anchors / number of pairs), whose mean over anchors it is.

    An anchor without a positive or without a negative has value 0 and weight 0, and its
    pairs are not counted. One sum of negatives an anchor serves all its positives, so
    that time and memory are O(batch^2).

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper.
        temperature: float > 0. The smaller, the more the hardest negatives matter.
            Defaults to 0.07, as in MoCo, and better for retrieval than SimCLR's 0.5;
            the best for labelled data is often smaller still, down to 0.01.
        decoupled: bool. Takes the positive out of the sum below (DCL), which keeps the
            gradient of small batches from vanishing; the loss may then be negative.
            Defaults to False, as in SimCLR.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: as `MetricLoss` takes them.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `temperature` is not above 0.

    Example:

    >>> loss = NTXentLoss(temperature=1.0)
    >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), 4)
    0.3133

    Reference:
        Chen et al., "A Simple Framework for Contrastive Learning of Visual
        Representations", ICML 2020. Yeh et al., "Decoupled Contrastive Learning",
        ECCV 2022.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        temperature: float = 0.07,
        decoupled: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be above 0. Received: temperature={temperature!r}."
            )
        self.temperature = temperature
        self.decoupled = decoupled

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        # Softmax does not see that -d is the similarity less a constant.
        logits = -pairs.distances / self.temperature
        other, has_negative = masked_log_sum_exp(logits, pairs.negatives)
        counted = ops.logical_and(pairs.positives, has_negative[:, None])
        terms = other[:, None] - logits
        if not self.decoupled:
            terms = ops.softplus(terms)
        totals = ops.sum(ops.where(counted, terms, 0.0), axis=1)
        kept = ops.any(counted, axis=1)
        n_pairs = ops.sum(ops.cast(counted, totals.dtype))
        n_anchors = ops.sum(ops.cast(kept, totals.dtype))
        return totals * (n_anchors / ops.where(n_pairs > 0, n_pairs, 1.0)), kept

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "decoupled": self.decoupled,
        }
