"""Circle loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_log_sum_exp
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class CircleLoss(MetricLoss):
    """Pulls and pushes each similarity by how far it is from where it should be.

    loss_i = log(1 + sum_p exp(-gamma * a_p * (s_ip - (1 - margin)))
                   * sum_n exp(gamma * a_n * (s_in - margin))),  with s = 1 - d,
    a_p = max(0, 1 + margin - s_ip) and a_n = max(0, s_in + margin), taken as constants:
    no gradient flows through them.

    One logarithm of a product, as in the paper, where TensorFlow Similarity 0.17 adds
    two logarithms and differentiates the weights a_p and a_n too.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. Memory is O(batch^2).

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper, whose similarity is then 1 - d.
        gamma: float > 0. How sharply the hardest pairs outweigh the others. Defaults to
            80.0, as in the paper for fine-grained retrieval; it takes 256 for faces and
            128 for re-identification.
        margin: float from -1 to 1. Positives are to reach a similarity of 1 - margin,
            negatives to stay below margin. Defaults to 0.40, as in the paper for
            fine-grained retrieval; it takes 0.25 for faces and re-identification.
        name: str. Defaults to "circle_loss".
        **kwargs: as `MetricLoss` takes them.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `gamma` is not above 0 or `margin` is out of range.

    Example:

    >>> loss = CircleLoss(gamma=2.0, margin=0.5)
    >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])), 4)
    1.5073

    Reference:
        Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity
        Optimization", CVPR 2020.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        gamma: float = 80.0,
        margin: float = 0.40,
        name: str | None = "circle_loss",
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not gamma > 0:
            raise ValueError(f"`gamma` must be above 0. Received: gamma={gamma!r}.")
        if not -1 <= margin <= 1:
            raise ValueError(
                "`margin` must be a similarity from -1 to 1. Received: "
                f"margin={margin!r}."
            )
        self.gamma = gamma
        self.margin = margin

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        d, m = pairs.distances, self.margin
        constant = ops.stop_gradient(d)
        pull, has_positive = masked_log_sum_exp(
            self.gamma * ops.relu(constant + m) * (d - m), pairs.positives
        )
        push, has_negative = masked_log_sum_exp(
            self.gamma * ops.relu(1.0 + m - constant) * (1.0 - m - d), pairs.negatives
        )
        return ops.softplus(pull + push), ops.logical_and(has_positive, has_negative)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma, "margin": self.margin}
