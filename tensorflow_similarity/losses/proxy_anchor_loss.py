"""Proxy-Anchor loss."""

import math
from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import masked_log1p_sum_exp
from tensorflow_similarity.losses.class_loss import Classes, ClassLoss, check_positive
from tensorflow_similarity.types import BoolTensor, FloatTensor

# Sums of exp up to here, over any batch, stay far from the limits of float32.
_PLAIN_EXPONENT = 60.0


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class ProxyAnchorLoss(ClassLoss):
    """Each proxy pulls the rows of its class and pushes the others, the hardest most.

    loss = mean over classes c of the batch of
               log(1 + sum_{i: y_i = c} exp(-alpha * (cos_ic - margin)))
         + mean over all classes c of
               log(1 + sum_{i: y_i != c} exp(alpha * (cos_ic + margin)))

    The sums go over rows, so that rows weigh each other, and no loss belongs to one row
    alone: every row has the batch's loss as its value. `sample_weight` multiplies that
    and does not tell rows apart. A row with label -1 is in no sum and has value 0 and
    weight 0; a batch of such rows has loss 0. A zero embedding has gradient 0.

    Args:
        num_classes: int >= 1. Labels are 0, ..., num_classes - 1.
        margin: float from 0 to 1, in units of the cosine. Defaults to 0.1, as in the
            paper.
        alpha: float > 0. How much more the hardest rows count. Defaults to 32.0, as in
            the paper.
        **kwargs: `learning_rate_multiplier`, `dim`, `reduction` and `name` of
            `TrainedLoss`. The paper trains proxies at 100 times the rate of the
            network: `learning_rate_multiplier=100`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), -1 for unknown.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: as above, shape (batch,).

    Returns:
        The batch's loss for each row, shape (batch,), before the reduction.

    Raises:
        ValueError: if an argument is out of its range; on a call, for a label that is
            no class, or, within `fit`, at the end of the epoch.

    Reference:
        Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020.
    """

    def __init__(
        self,
        num_classes: int,
        margin: float = 0.1,
        alpha: float = 32.0,
        **kwargs: Any,
    ):
        super().__init__(num_classes, **kwargs)
        if not 0 <= margin <= 1:
            raise ValueError(
                "`margin` must be from 0 to 1, in units of the cosine. Received: "
                f"margin={margin!r}."
            )
        check_positive(alpha=alpha)
        self.margin = margin
        self.alpha = alpha

    def initializer(self, dim: int) -> Any:
        # He-normal by fan-out of a (num_classes, dim) matrix, as the authors do; Keras
        # calls the first axis the fan-in.
        return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")

    def compute_classes(self, classes: Classes) -> FloatTensor:
        own, known = classes.own, classes.known[:, None]
        # One class a row: its exponent is computed once a row, not once a class.
        own_cosine = ops.sum(ops.where(own, classes.cosines, 0.0), axis=1)[:, None]
        present = ops.any(own, axis=0)
        pull = self._log1p_sum_exp(-own_cosine, self.margin, own)
        push = self._log1p_sum_exp(
            classes.cosines,
            self.margin,
            ops.logical_and(known, ops.logical_not(own)),
        )
        n_present = ops.sum(ops.cast(present, pull.dtype))
        # A class that is absent has an empty sum, log(1 + 0).
        total = ops.sum(pull) / ops.where(n_present > 0, n_present, 1.0)
        total = total + ops.sum(push) / self.num_classes
        return ops.broadcast_to(total, ops.shape(classes.labels))

    def _log1p_sum_exp(
        self, values: FloatTensor, offset: float, mask: BoolTensor
    ) -> FloatTensor:
        """log(1 + sum of exp(alpha * (values + offset)) down each column's mask)."""
        if self.alpha * (1.0 + offset) > _PLAIN_EXPONENT:
            values = ops.broadcast_to(values, ops.shape(mask))
            return masked_log1p_sum_exp(self.alpha * (values + offset), mask, axis=0)
        # Cosines are bounded: without the search for the largest this is one pass.
        terms = ops.where(mask, ops.exp(self.alpha * values), 0.0)
        return ops.log1p(math.exp(self.alpha * offset) * ops.sum(terms, axis=0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "alpha": self.alpha}
