"""SoftTriple loss."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import epsilon_of, safe_sqrt
from tensorflow_similarity.losses.class_loss import (
    Classes,
    ClassLoss,
    as_count,
    check_positive,
)
from tensorflow_similarity.types import FloatTensor

# Cosines are bounded: exp(cosine / gamma) up to here stays far from float32's limits.
_PLAIN_EXPONENT = 40.0


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class SoftTripleLoss(ClassLoss):
    """Classifies by a softened maximum of the cosines to several centres a class.

    s_ic   = sum_k softmax_k(cos_ick / gamma) * cos_ick
    loss_i = -log softmax_c(scale * (s_ic - margin * [c = y_i])) at c = y_i
           + tau / (C * K * (K - 1)) * sum_c sum_{j < k} |w_cj - w_ck|

    The last term draws the centres of a class together, so that it keeps only as many
    apart as it needs; it is part of each row's value, and its gradient between two
    centres that coincide is 0. With one centre a class it is absent.

    A row with label -1 has value 0 and weight 0: it leaves the mean. A zero embedding
    has the cosine 0 with every centre, and gradient 0.

    Args:
        num_classes: int >= 1. Labels are 0, ..., num_classes - 1.
        centers_per_class: int >= 1, K above. Defaults to 10, as in the paper.
        scale: float > 0, the paper's lambda. Defaults to 20.0, as in the paper.
        gamma: float > 0. The lower, the nearer the softened maximum is to the maximum.
            Defaults to 0.1, as in the paper. The code of the authors takes 1 / gamma.
        margin: float from 0 to 2, in units of the cosine. Defaults to 0.01, as in the
            paper.
        tau: float >= 0. Weight of the last term. Defaults to 0.2, as in the paper.
        **kwargs: `learning_rate_multiplier`, `dim`, `reduction` and `name` of
            `TrainedLoss`. The paper trains centres at 100 times the rate of the
            network: `learning_rate_multiplier=100`.

    Call arguments:
        y_true: integer class ids, shape (batch,) or (batch, 1), -1 for unknown.
        y_pred: embeddings, shape (batch, dim). Need not be normalised.
        sample_weight: weight of each row, shape (batch,).

    Returns:
        One loss a row, shape (batch,), before the reduction.

    Raises:
        ValueError: if an argument is out of its range; on a call, for a label that is
            no class, or, within `fit`, at the end of the epoch.

    Reference:
        Qian et al., "SoftTriple Loss: Deep Metric Learning Without Triplet Sampling",
        ICCV 2019.
    """

    def __init__(
        self,
        num_classes: int,
        centers_per_class: int = 10,
        scale: float = 20.0,
        gamma: float = 0.1,
        margin: float = 0.01,
        tau: float = 0.2,
        **kwargs: Any,
    ):
        super().__init__(num_classes, **kwargs)
        self.centers_per_class = as_count("centers_per_class", centers_per_class)
        self.vectors_per_class = self.centers_per_class
        check_positive(scale=scale, gamma=gamma)
        if not (0 <= margin <= 2 and tau >= 0):
            raise ValueError(
                "`margin` must be from 0 to 2, in units of the cosine, and `tau` at "
                f"least 0. Received: margin={margin!r}, tau={tau!r}."
            )
        self.scale = scale
        self.gamma = gamma
        self.margin = margin
        self.tau = tau

    def compute_classes(self, classes: Classes) -> FloatTensor:
        cosines = classes.cosines_by_class
        exponents = cosines / self.gamma
        if 1.0 / self.gamma > _PLAIN_EXPONENT:
            largest = ops.max(exponents, axis=1, keepdims=True)
            exponents = exponents - ops.stop_gradient(largest)
        shares = ops.exp(exponents)
        similarities = ops.sum(shares * cosines, axis=1) / ops.sum(shares, axis=1)
        own = ops.cast(classes.own, similarities.dtype)
        logits = self.scale * (similarities - self.margin * own)
        return classes.cross_entropy(logits) + self._spread(classes.vectors)

    def _spread(self, vectors: FloatTensor) -> FloatTensor:
        """The term that draws the centres of a class together, scalar."""
        n = self.centers_per_class
        if n == 1 or self.tau == 0:
            return ops.zeros((), dtype=vectors.dtype)
        centers = ops.reshape(vectors, (n, self.num_classes, vectors.shape[1]))
        centers = ops.transpose(centers, (1, 0, 2))
        squared = 2.0 - 2.0 * (centers @ ops.transpose(centers, (0, 2, 1)))
        # Below its rounding noise a squared distance is 0: so is its gradient then, in
        # place of a very steep one.
        squared = ops.where(squared > 8.0 * epsilon_of(vectors.dtype), squared, 0.0)
        # Each pair stands twice in the sum, a centre and itself add nothing.
        total = ops.sum(safe_sqrt(squared)) / 2.0
        return self.tau / (self.num_classes * n * (n - 1)) * total

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "centers_per_class": self.centers_per_class,
            "scale": self.scale,
            "gamma": self.gamma,
            "margin": self.margin,
            "tau": self.tau,
        }
