"""Generalised lifted structure loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_log_sum_exp
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class GeneralizedLiftedStructureLoss(MetricLoss):
    """Compares all positives of an anchor at once with all of its negatives.

    loss_i = max(0, log sum_p exp(d_ip) + log sum_n exp(margin - d_in))

    A soft form of the hardest triplet: the first term is about the farthest positive,
    the second about the nearest negative. An anchor without a positive or without a
    negative leaves the mean.

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "euclidean", as
            in the paper.
        margin: float of at least 0, in the unit of the distance. Defaults to 1.0, as
            for `LiftedStructureLoss`.
        name: str. Defaults to None: made from the name of the class.
        **kwargs: `targets`, `reduction` and `miner` of `MetricLoss`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), or as `targets` says.
        y_pred: embeddings, shape (batch, dim).
        sample_weight: weight of each row as an anchor, shape (batch,).

    Returns:
        One loss per anchor, shape (batch,), before the reduction.

    Raises:
        ValueError: for a negative margin.

    Example:

    >>> loss = GeneralizedLiftedStructureLoss()
    >>> float(loss([0, 0, 1], [[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]]))
    0.5

    Row 0 has its positive at 5 and its negative at 8: no loss. Row 1 has both at 5, a
    loss of the margin. Row 2 has no positive: it does not count.

    Reference:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification",
        2017.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "euclidean",
        margin: float = 1.0,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not margin >= 0:
            raise ValueError(
                f"`margin` must be a number of at least 0. Received: margin={margin!r}."
            )
        self.margin = margin

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        d = pairs.distances
        far, has_positive = masked_log_sum_exp(d, pairs.positives)
        near, has_negative = masked_log_sum_exp(self.margin - d, pairs.negatives)
        return ops.relu(far + near), ops.logical_and(has_positive, has_negative)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin}
