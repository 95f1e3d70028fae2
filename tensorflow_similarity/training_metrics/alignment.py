"""How near positives are on the sphere."""

from typing import Any

import keras
from keras import ops

from tensorflow_similarity._core.numerics import l2_normalize
from tensorflow_similarity.distances import SquaredEuclideanDistance
from tensorflow_similarity.losses.pairs import Targets, make_pairs
from tensorflow_similarity.training_metrics.batch_metric import BatchMetric
from tensorflow_similarity.types import FloatTensor, Tensor


@keras.saving.register_keras_serializable(package="tensorflow_similarity")
class Alignment(BatchMetric):
    """Mean distance of positive pairs of embeddings of length 1; lower is nearer.

    alignment = mean over positive pairs (i, j) of |x_i - x_j|^alpha

    0 means that each class is one point, 2^(alpha / 2) that its members are at right
    angles. Read it beside `Uniformity`: one point for everything is aligned perfectly.
    Over the epoch it is the mean over all pairs; batches without a positive pair leave
    it. A pair weighs the sample weight of its anchor i.

    Args:
        alpha: float > 0. Defaults to 2.0, as in the paper.
        name: str. Defaults to "alignment".
        **kwargs: `targets`, by default "labels", and `dtype` of `BatchMetric`.

    Raises:
        ValueError: for an `alpha` of 0 or less.

    Example:

    >>> metric = Alignment()
    >>> metric.update_state([0, 0, 1], [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> float(metric.result())
    2.0

    Reference:
        Wang and Isola, "Understanding Contrastive Representation Learning through
        Alignment and Uniformity on the Hypersphere", ICML 2020.
    """

    _direction = "down"

    def __init__(
        self,
        alpha: float = 2.0,
        name: str | None = "alignment",
        targets: Targets = "labels",
        **kwargs: Any,
    ):
        if not alpha > 0:
            raise ValueError(
                f"`alpha` must be a number above 0. Received: alpha={alpha!r}."
            )
        super().__init__(name or "alignment", targets, **kwargs)
        self.alpha = float(alpha)

    def measure(
        self, targets: Tensor, embeddings: FloatTensor, weights: FloatTensor
    ) -> tuple[FloatTensor, FloatTensor]:
        pairs = make_pairs(
            targets,
            l2_normalize(embeddings),
            distance=SquaredEuclideanDistance(),
            kind=self.targets,
        )
        counts = ops.where(pairs.positives, weights[:, None], 0.0)
        weight = ops.sum(counts)
        total = ops.sum(counts * ops.power(pairs.distances, self.alpha / 2.0))
        return total / ops.where(weight > 0, weight, 1.0), weight

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "targets": self.targets}
