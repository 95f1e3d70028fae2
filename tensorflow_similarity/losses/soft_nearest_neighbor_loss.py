"""Soft nearest neighbour loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_log_sum_exp
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SoftNearestNeighborLoss(MetricLoss):
    """Asks a neighbour drawn at random, near ones more often, to be of the same class.

    loss_i = -log(sum_p exp(-d_ip / T) / sum_{k != i} exp(-d_ik / T))

    The sum below runs over all positives and negatives of the anchor. It is computed by
    logarithms of sums, without a constant that would bound the loss: an anchor whose
    positives are all far away has a large loss and a gradient.

    An anchor without a positive or without a negative has value 0 and weight 0: it
    leaves the mean. Memory is O(batch^2).

    Args:
        distance: Distance, its name or its serialized dict. Defaults to
            "squared_euclidean", as in the paper. With "cosine", whose distances end at
            2, take a temperature far below 1.
        temperature: float > 0, in the unit of the distance: only neighbours nearer than
            a few temperatures matter. Defaults to 1, as in TensorFlow Similarity; the
            paper learns it.
        name: str. Defaults to "soft_nn_loss".
        **kwargs: as `MetricLoss` takes them.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim).
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: if `temperature` is not above 0.

    Example:

    >>> loss = SoftNearestNeighborLoss()
    >>> round(float(loss([0, 0, 1], [[0.0], [1.0], [1.0]])), 4)
    1.0032

    Rows 0 and 1 are each other's positive at 1; row 2 is at 1 from row 0, a loss of
    log(2), and at 0 from row 1, a loss of log(1 + e).

    Reference:
        Frosst et al., "Analyzing and Improving Representations with the Soft Nearest
        Neighbor Loss", ICML 2019. `NCALoss` is the same at a scale of 1 / temperature.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "squared_euclidean",
        temperature: float = 1,
        name: str | None = "soft_nn_loss",
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be above 0. Received: temperature={temperature!r}."
            )
        self.temperature = temperature

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        logits = -pairs.distances / self.temperature
        same, has_positive = masked_log_sum_exp(logits, pairs.positives)
        other, has_negative = masked_log_sum_exp(logits, pairs.negatives)
        # -log(P / (P + N)) = log(1 + N / P), which keeps its digits near 0.
        return ops.softplus(other - same), ops.logical_and(has_positive, has_negative)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
