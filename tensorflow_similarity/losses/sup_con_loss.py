"""Supervised contrastive loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_log_sum_exp
from tensorflow_similarity.distances import Distance
from tensorflow_similarity.losses.metric_loss import MetricLoss
from tensorflow_similarity.losses.pairs import Pairs
from tensorflow_similarity.types import BoolTensor, FloatTensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SupConLoss(MetricLoss):
    """Asks each positive of an anchor to be told from all other rows.

    loss_i = -mean_p log(exp(s_ip / T) / sum_{k != i} exp(s_ik / T)),  with s = 1 - d

    This is L_out, the better of the paper's two forms: the mean over positives stands
    outside the logarithm. All other rows are in the sum below, the other positives of
    the anchor too, so that its least value is the logarithm of the number of positives;
    `NTXentLoss` leaves them out.

    An anchor without a positive has value 0 and weight 0: it leaves the mean. One with
    several positives and no negative learns from them to be as near as each other.
    Memory is O(batch^2).

    Args:
        distance: Distance, its name or its serialized dict. Defaults to "cosine", as in
            the paper.
        temperature: float > 0. The smaller, the more the nearest rows matter. Defaults
            to 0.1, as in the paper. The code of the authors multiplies the loss by
            temperature / 0.07 besides, which is left to the learning rate here.
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

    >>> loss = SupConLoss(temperature=1.0)
    >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), 4)
    0.3133

    Reference:
        Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equation 2.
    """

    def __init__(
        self,
        distance: Distance | str | dict[str, Any] = "cosine",
        temperature: float = 0.1,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(distance=distance, name=name, **kwargs)
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be above 0. Received: temperature={temperature!r}."
            )
        self.temperature = temperature

    def compute(self, pairs: Pairs) -> tuple[FloatTensor, BoolTensor]:
        # Softmax does not see that -d is the similarity less a constant.
        logits = -pairs.distances / self.temperature
        others = ops.logical_or(pairs.positives, pairs.negatives)
        below, _ = masked_log_sum_exp(logits, others)
        count = ops.sum(ops.cast(pairs.positives, logits.dtype), axis=1)
        total = ops.sum(ops.where(pairs.positives, logits, 0.0), axis=1)
        some = count > 0
        return below - total / ops.where(some, count, 1.0), some

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
