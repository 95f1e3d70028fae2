"""Proxy-Anchor loss."""

import math
from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import inner_products, masked_log1p_sum_exp
from tensorflow_similarity.losses.class_loss import Classes, ClassLoss, check_positive
from tensorflow_similarity.types import FloatTensor

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
        own = classes.own
        others = ops.logical_and(classes.known[:, None], ops.logical_not(own))
        # Multiplied before the product, where it costs least.
        scaled = inner_products(self.alpha * classes.embeddings, classes.vectors)
        of_own = ops.sum(ops.where(own, scaled, 0.0), axis=1)
        offset = self.alpha * self.margin
        if self.alpha + offset > _PLAIN_EXPONENT:
            to_own = ops.broadcast_to(of_own[:, None], ops.shape(own))
            pull = masked_log1p_sum_exp(offset - to_own, own, axis=0)
            push = masked_log1p_sum_exp(offset + scaled, others, axis=0)
        else:
            # Cosines are bounded, so no search for the largest; and a row has one own
            # class, so its exponent is taken once, not once a class.
            factor = math.exp(offset)
            sums = ops.exp(-of_own)[None, :] @ ops.cast(own, scaled.dtype)
            pull = ops.log1p(factor * sums[0])
            terms = ops.where(others, ops.exp(scaled), 0.0)
            push = ops.log1p(factor * ops.sum(terms, axis=0))
        # A class without rows has an empty sum: log(1 + 0).
        n_present = ops.sum(ops.cast(ops.any(own, axis=0), scaled.dtype))
        total = ops.sum(pull) / ops.where(n_present > 0, n_present, 1.0)
        total = total + ops.sum(push) / self.num_classes
        return ops.broadcast_to(total, ops.shape(classes.labels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "alpha": self.alpha}
